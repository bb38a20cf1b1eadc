# The command line. `make` alone lists what can be asked for; every line of that list stands here as a `## ` comment.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh
.SHELLFLAGS := -euc
MAKEFLAGS += --no-print-directory

# ---- Variables -------------------------------------------------------------------------------------------------
# They are taken from the command line alone: tcsh exports HOST and WSL exports NAME, and neither means us by it.
# Recipes read them from the environment and never splice them into a shell word, so no value needs quoting twice.

## [provision verify rollback kernels] the host: [user@]address[:port], an IPv6 address in brackets; none = a lab host
HOST =
## [provision verify rollback kernels] several hosts, separated by commas
HOSTS =
## [provision verify rollback kernels] an Ansible inventory, in place of HOST and HOSTS
INVENTORY =
## [provision verify rollback kernels] what is built: the name of a file in profiles/; an inventory and the variables below override it
PROFILE = archive
## [provision verify] the release: keep, lts (the newest one), or a codename or number to upgrade to, such as focal
UPGRADE =
## [provision verify rollback] the kernel: 5.6, 5.6.19, 6.10-rc3, 5.6.x, latest, keep, apt[:SUITE[/PACKAGE]], debs:FOLDER
KERNEL =
## [provision verify rollback] liburing: apt (the distribution's source package), a git tag or commit, path:FOLDER
LIBURING =
## [provision verify rollback] the programs: ours, upstream, all
SAMPLES =
## [provision rollback] 1 = change nothing and say what would change
CHECK =
## [provision rollback verify] 1 = show everything that Ansible and pytest have to say
V =
## [provision verify] how the checks connect: paramiko (1.8 times as fast, bench/), ssh
CONNECTION = paramiko
## [provision verify rollback kernels lab-up lab-ssh lab-console lab-down lab-snapshot lab-revert] the lab host's name
NAME = lab
## [provision lab-up] the lab host's kind: vm (a virtual machine; the default), container (systemd-nspawn, needs root)
KIND =
## [provision lab-up test bench] the lab host's release, such as bookworm; none = this computer's own
SUITE =
## [lab-snapshot lab-revert] the snapshot's name
LABEL = clean
## [bench-kernels] the kernels to compare, each a value of KERNEL, separated by blanks
KERNELS = keep apt
## [bench bench-samples bench-kernels] how many rounds are kept of each case
ROUNDS = 5
## [bench-samples bench-kernels] seconds of load on a server in each round
DURATION = 2
## [bench-samples] only what this regular expression finds in "CASE: CONTENDER", such as 'server, 611.*09_web'
FILTER =
## [bench-samples] a clone of upstream's samples on this computer; none = GitHub's
UPSTREAM =
## [all] the Python that makes .venv, 3.10 or later
PYTHON = python3

variables := HOST HOSTS INVENTORY PROFILE UPGRADE KERNEL KERNELS LIBURING SAMPLES CHECK V CONNECTION NAME KIND SUITE LABEL \
    ROUNDS DURATION FILTER UPSTREAM PYTHON
export $(variables)

# A misspelt variable would be ignored in silence and the wrong thing built.
given := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
unknown := $(firstword $(filter-out $(variables),$(given)))
nearest = import difflib, sys; name, *known = sys.argv[1:]; \
    print(*map("; did you mean {}?".format, difflib.get_close_matches(name.upper(), known, 1)))
ifneq ($(unknown),)
$(error there is no variable $(unknown)$(shell python3 -c '$(nearest)' '$(subst ','\'',$(unknown))' $(variables) \
    2>/dev/null); `make help` lists them all)
endif

# ---- Hosts -----------------------------------------------------------------------------------------------------
venv := .venv/run.lock
lint-tools := .venv/lint.lock
cli := .venv/bin/python -m cli
lab := .venv/bin/python -m lab

.PHONY: provision verify rollback report kernels
provision: $(venv) ## put an io_uring lab on HOST, or on a lab host made for it, and prove every step
	@exec $(cli) provision
verify: $(venv) ## check a provisioned host; changes nothing on it
	@exec $(cli) verify
rollback: $(venv) ## undo on a host what provisioning did: samples, liburing, kernel
	@exec $(cli) rollback
report: $(venv) ## show the table of the last run again
	@exec $(cli) report
kernels: $(venv) ## list the kernels that KERNEL may name, and those that HOST or the lab host has
	@exec $(cli) kernels

# ---- Lab hosts -------------------------------------------------------------------------------------------------
.PHONY: lab-up lab-ssh lab-console lab-list lab-down lab-snapshot lab-revert
lab-up: $(venv) ## make and start a disposable host
	@exec $(lab) up --name "$$NAME" $${KIND:+--kind "$$KIND"} $${SUITE:+--suite "$$SUITE"}
lab-ssh: $(venv) ## log in to it
	@exec $(lab) ssh --name "$$NAME"
lab-console: $(venv) ## show its console
	@exec $(lab) console --name "$$NAME"
lab-list: $(venv) ## list the disposable hosts
	@exec $(lab) list
lab-down: $(venv) ## stop it and remove it
	@exec $(lab) down --name "$$NAME"
lab-snapshot: $(venv) ## keep its present state under LABEL
	@exec $(lab) snapshot --name "$$NAME" "$$LABEL"
lab-revert: $(venv) ## go back to the state kept under LABEL
	@exec $(lab) revert --name "$$NAME" "$$LABEL"

# ---- Tests of this repository ----------------------------------------------------------------------------------
pytest = .venv/bin/python -m pytest --junit-xml=reports/$@/junit.xml --html=reports/$@/report.html --self-contained-html
shell-files = $$(git ls-files ':!*.j2' ':!*.py' | xargs grep -lE '^\#!.*\b(ba)?sh\b' --)
c-files = $$(git ls-files 'samples/*.c')
c-and-headers = $$(git ls-files 'samples/*.[ch]')

.PHONY: test test-kernels test-blog test-unit lint
test: lint ## lint, unit tests, and whole provisionings of disposable hosts (about an hour)
	@lab/system-packages vm container debian
# Two files at a time, since an emulated machine keeps one processor busy; from the end of the alphabet, which balances best.
	$(pytest) -n 2 --dist loadfile --no-loadscope-reorder -m 'not kernels' $$(ls -r tests/e2e/test_*.py) tests/unit
test-kernels: $(venv) ## every program on Linux 5.6, 5.10, 6.1, 6.12 and the newest, every trial boot, hosts with older Pythons (hours)
	@lab/system-packages vm container debian
	$(pytest) tests/e2e/test_kernels*.py tests/e2e/test_old_python.py
test-blog: $(venv) ## the profile blog-2020, whole, on a real Linux 5.6 (tests/e2e/test_blog.py says what it needs)
	@lab/system-packages vm
	$(pytest) tests/e2e/test_blog.py
test-unit: lint ## lint and the unit tests (a minute)
	$(pytest) tests/unit
lint: $(lint-tools) ## every linter, on every file that git knows
	@lab/system-packages test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check . || { echo "'.venv/bin/ruff format .' writes them so" >&2; exit 1; }
	.venv/bin/yamllint --strict .
	PATH="$$PWD/.venv/bin:$$PATH" ansible-lint -q
	shellcheck $(shell-files)
	.venv/bin/zizmor --offline --quiet .github
	.venv/bin/clang-format --dry-run -Werror $(c-and-headers)
	for file in $(c-files); do cc -std=gnu11 -Wall -Wextra -Werror -fsyntax-only "$$file"; done

# ---- Measurements ----------------------------------------------------------------------------------------------
.PHONY: bench bench-samples bench-kernels
bench: $(venv) ## measure provisioning a container against the article's commands typed by hand (half an hour; bench/README.md)
	@lab/system-packages bench
	@exec .venv/bin/python -m bench.provision --rounds "$$ROUNDS" $${SUITE:+--suite "$$SUITE"}
bench-samples: $(venv) ## measure the samples against coreutils, nginx and upstream's (half an hour; bench/README.md)
	@lab/system-packages bench
	@exec .venv/bin/python -m bench.samples --rounds "$$ROUNDS" --seconds "$$DURATION" --filter "$$FILTER" \
	    --upstream "$$UPSTREAM"
bench-kernels: $(venv) ## measure the web servers against nginx on each of KERNELS, in a lab machine of its own (bench/README.md)
	@exec .venv/bin/python -m bench.kernels --rounds "$$ROUNDS" --seconds "$$DURATION" -- $$KERNELS

# ---- The tools -------------------------------------------------------------------------------------------------
.PHONY: docs lock help
docs: $(venv) ## write docs/variables.md anew from the roles
	@.venv/bin/python -m cli.variables_page
compile := .venv/bin/uv pip compile --universal --python-version 3.10 --generate-hashes --upgrade --quiet
# uv takes a tenth of pip's time, but does not read pip's configuration, which may name a mirror or a certificate.
install = { .venv/bin/uv pip install --quiet --system-certs --require-hashes --python $(1) --requirement $< 2>/dev/null || \
    $(1)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<; }

lock: $(venv) ## pin anew every Python package of pyproject.toml in requirements/
	$(compile) pyproject.toml --output-file requirements/run.lock
	$(compile) pyproject.toml --group lint --constraint requirements/run.lock --output-file requirements/lint.lock
	for group in older-hosts uv; do \
	    $(compile) --group "pyproject.toml:$$group" --output-file "requirements/$$group.lock"; done
help: ## this list
	@awk -f cli/help.awk Makefile

# The copy of a lock is its stamp: written last, so that an interrupted installation is begun anew, and compared by
# content, so that a mere checkout installs nothing.
$(venv): requirements/run.lock
	@if cmp -s $< $@ && .venv/bin/python -c ''; then touch $@; exit; fi; \
	lab/system-packages controller; \
	"$$PYTHON" -c 'import sys; sys.version_info >= (3, 10) or sys.exit( \
	    "Python %d.%d is too old, 3.10 or later is needed: name one by PYTHON=" % sys.version_info[:2])'; \
	echo "Installing the tools of $< in .venv (once, half a minute)"; \
	"$$PYTHON" -m venv --clear .venv; \
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.lock; \
	$(call install,.venv); cp $< $@
$(lint-tools): requirements/lint.lock $(venv)
	@if cmp -s $< $@; then touch $@; exit; fi; \
	echo "Installing the linters of $< in .venv (once, a few seconds)"; $(call install,.venv); cp $< $@
# For hosts whose Python is too old for the modules of the newest ansible; cli/ansible.py asks for it.
.venv/older-hosts.lock: requirements/older-hosts.lock $(venv)
	@if cmp -s $< $@; then touch $@; exit; fi; \
	echo "Installing an ansible for hosts with an older Python, of $< (once, a few seconds)"; \
	.venv/bin/python -m venv --clear .venv/older-hosts; \
	$(call install,.venv/older-hosts); cp $< $@
