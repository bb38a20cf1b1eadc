"""The Makefile: its help, what it refuses, how it hands values on."""

import os
import re
import shutil
import subprocess

import pytest

from cli.run import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = {
    *("provision", "verify", "rollback", "report", "kernels"),
    *("test", "test-kernels", "test-blog", "test-unit", "lint", "docs", "lock", "help"),
    *("bench", "bench-samples", "bench-kernels"),
    *("lab-up", "lab-ssh", "lab-console", "lab-list", "lab-down", "lab-snapshot", "lab-revert"),
}

LOCKS = ("run", "lint", "older-hosts", "uv")


@pytest.fixture
def make(tmp_path):
    """Run make on a copy of the Makefile whose tools are stand-ins."""
    # What an outer make hands down to us would count as given on the command line.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "cli").mkdir()
    shutil.copy(ROOT / "cli/help.awk", tmp_path / "cli")
    (tmp_path / "requirements").mkdir()
    for name in LOCKS:
        (tmp_path / f"requirements/{name}.lock").write_text("pinned==1\n")
    (tmp_path / "lab").mkdir()
    packages = tmp_path / "lab" / "system-packages"
    packages.write_text("#!/bin/sh\n")
    packages.chmod(0o755)

    def run(*arguments, **variables):
        return subprocess.run(
            ["make", *arguments],
            cwd=tmp_path,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    run.directory = tmp_path
    return run


@pytest.fixture
def stand_in(make):
    """Put in place of Python a program that prints its arguments and the variable it is told to."""
    bin_directory = make.directory / ".venv" / "bin"
    bin_directory.mkdir(parents=True)
    shutil.copy(make.directory / "requirements/run.lock", make.directory / ".venv")
    python = bin_directory / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@" "HOST=$HOST"\n')
    python.chmod(0o755)
    return make


def test_make_alone_is_help_and_lists_every_target(make):
    answer = make()
    assert answer.returncode == 0
    assert set(re.findall(r"^  ([a-z][a-z-]+) ", answer.stdout, re.MULTILINE)) == TARGETS
    phony = set(" ".join(re.findall(r"^\.PHONY: (.*)", MAKEFILE, re.MULTILINE)).split())
    assert phony == TARGETS


def test_help_lists_every_variable_with_its_meaning_and_under_its_targets(make):
    lines = make().stdout.splitlines()
    (exported,) = re.findall(r"^variables := ((?:.*\\\n)*.*)", MAKEFILE, re.MULTILINE)
    exported = exported.replace("\\", "").split()
    assert len(exported) == len(set(exported))
    explained = {line.split()[0] for line in lines[lines.index("Variables") + 1 :]}
    assert explained == set(exported)
    for users in re.findall(r"^## \[(.*?)\]", MAKEFILE, re.MULTILINE):
        assert set(users.split()) <= TARGETS | {"all"}
    under_provision = next(lines[i + 1] for i, line in enumerate(lines) if line.startswith("  provision "))
    assert {"HOST", "PROFILE", "KERNEL", "CHECK", "V"} <= set(under_provision.split())


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("KERNAL", "KERNEL"), ("HOSTTS", "HOSTS"), ("PROFIL", "PROFILE"), ("kernel", "KERNEL")],
)
def test_a_misspelt_variable_ends_with_one_line_that_names_the_right_one(stand_in, misspelt, meant):
    answer = stand_in("provision", f"{misspelt}=keep")
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.count("\n") == 1
    assert f"no variable {misspelt}; did you mean {meant}?" in answer.stderr


def test_a_variable_like_no_other_is_refused_without_a_guess(make):
    answer = make("it's=1")
    assert answer.returncode == 2
    assert "no variable it's; `make help`" in answer.stderr


@pytest.mark.parametrize(
    "value", ["me@[::1]:22", "a b", "it's", '"; echo broken; "', "$$(echo broken)", "`echo broken`"]
)
def test_a_value_reaches_the_front_door_as_it_was_given(stand_in, value):
    answer = stand_in("provision", f"HOST={value}")
    assert answer.stdout.splitlines() == ["-m", "cli", "provision", f"HOST={value.replace('$$', '$')}"]


def test_the_environment_is_not_taken_for_what_was_asked(stand_in):
    assert "HOST=\n" in stand_in("provision", HOST="of-this-very-computer").stdout


@pytest.fixture
def python(make):
    """Put a stand-in in place of Python: it makes a virtual environment whose pip ends with a status."""

    def write(pip_status: int):
        path = make.directory / "python3"
        path.write_text(
            f"""#!/bin/sh
            [ "$1" = -m ] || exit 0  # the question for its version
            mkdir -p .venv/bin
            printf '#!/bin/sh\nexit {pip_status}\n' > .venv/bin/pip
            printf '#!/bin/sh\necho "$@" >>.venv/uv\n' > .venv/bin/uv
            printf '#!/bin/sh\n' > .venv/bin/python
            chmod +x .venv/bin/*
            """
        )
        path.chmod(0o755)
        return f"PYTHON={path}"

    return write


def test_the_tools_are_installed_once_and_anew_when_the_lock_changes(make, python):
    told = "Installing the tools"
    assert told in make("report", python(0)).stdout
    assert told not in make("report", python(0)).stdout
    # A checkout touches the file and leaves its content alone.
    os.utime(make.directory / "requirements/run.lock")
    assert told not in make("report", python(0)).stdout
    (make.directory / "requirements/run.lock").write_text("pinned==2\n")
    assert told in make("report", python(0)).stdout


def test_an_interrupted_installation_is_begun_anew(make, python):
    answer = make("report", python(1))
    assert answer.returncode == 2
    answer = make("report", python(0))
    assert "Installing the tools" in answer.stdout
    assert answer.returncode == 0


@pytest.mark.parametrize("name", ["lint", "older-hosts"])
def test_linters_and_the_older_ansible_are_installed_when_they_are_asked_for(make, python, name):
    make("report", python(0))
    log = make.directory / ".venv/uv"
    assert f"{name}.lock" not in log.read_text()
    told = [make(f".venv/{name}.lock", python(0)).stdout for _ in range(2)]
    assert [text.count("Installing") for text in told] == [1, 0]
    assert log.read_text().count(f"--require-hashes --python .venv{'/older-hosts' * (name != 'lint')} ") >= 1


def test_pip_installs_what_uv_cannot(make, python):
    """It knows a certificate or a mirror by its configuration, which uv does not read."""
    path = make.directory / "python3"
    python(0)
    path.write_text(path.read_text().replace('echo "$@" >>.venv/uv', "exit 2"))
    answer = make("report", f"PYTHON={path}")
    assert answer.returncode == 0
    assert (make.directory / ".venv/run.lock").exists()


def test_a_python_that_is_too_old_is_refused_in_a_sentence(make):
    python = make.directory / "python3"
    code = "import sys; sys.version_info = (3, 8, 1); exec(sys.argv[2])"
    python.write_text(f"#!/bin/sh\nexec /usr/bin/env python3 -c '{code}' \"$@\"\n")
    python.chmod(0o755)
    answer = make("report", f"PYTHON={python}")
    assert answer.returncode == 2
    assert "Python 3.8 is too old, 3.10 or later is needed: name one by PYTHON=" in answer.stderr
    assert "Traceback" not in answer.stderr
