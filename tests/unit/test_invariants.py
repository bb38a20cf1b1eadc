"""Rules for every role and playbook that ansible-lint does not check."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
#: The roles of the steps; `common` takes no variables.
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.name != "common")
TEXTS = sorted(
    path
    for directory in ("roles", "playbooks", "profiles", "inventory")
    for path in (ROOT / directory).rglob("*")
    if path.suffix in {".yml", ".j2", ".cfg", ".sh"}
)

PAGES = sorted(ROOT / page for page in ("README.md", "samples/README.md", "bench/README.md"))
PAGES += sorted((ROOT / "docs").glob("*.md"))

FORBIDDEN = {
    r"\bhttp://": "downloads are over https, or by apt, which verifies them",
    r"validate_certs: *(false|no)": "certificates are checked",
    r"allow_unauthenticated|--allow-unauthenticated|trusted=yes": "nothing unverified is installed",
    r"0777|a\+rwx": "no file is writable by everybody",
    r"StrictHostKeyChecking|host_key_checking": "host keys are checked; nothing turns that off",
    r"ignore_errors": "an error is handled where it happens",
}


def options(role):
    specs = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())
    return specs["argument_specs"]["main"]["options"]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_breaks_a_security_rule(path):
    for pattern, reason in FORBIDDEN.items():
        found = re.search(pattern, path.read_text())
        assert not found, f"{path.relative_to(ROOT)} says {found.group()!r}: {reason}"


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_documentation_of_a_role_agree(role):
    defaults = yaml.safe_load((ROOT / "roles" / role / "defaults/main.yml").read_text())
    documented = {name: option["default"] for name, option in options(role).items()}
    assert defaults == documented


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_links_to_exists(page):
    links = re.findall(r"\]\(([^)#\s]+)\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("role", ROLES)
def test_public_variables_begin_with_the_name_of_their_role(role):
    assert all(name.startswith(f"{role}_") for name in options(role))


@pytest.mark.parametrize("profile", sorted((ROOT / "profiles").glob("*.yml")), ids=lambda path: path.stem)
def test_a_profile_names_known_variables_and_every_source(profile):
    named = set(yaml.safe_load(profile.read_text()))
    known = {name for role in ROLES for name in options(role)}
    assert named <= known
    assert {"release_upgrade_target", "kernel_source", "liburing_source", "samples_source"} <= named


def test_host_keys_are_checked_by_ansible():
    assert re.search(r"^host_key_checking = true$", (ROOT / "ansible.cfg").read_text(), re.MULTILINE)


def test_facts_of_a_host_cannot_override_variables():
    assert re.search(r"^inject_facts_as_vars = False$", (ROOT / "ansible.cfg").read_text(), re.MULTILINE)


INJECTED = r"\bansible_(distribution|virtualization|architecture|processor|default_ipv4|kernel|os_family|env)"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_role_reads_a_fact_as_a_variable(path):
    assert not re.search(INJECTED, path.read_text()), "say ansible_facts.X"
