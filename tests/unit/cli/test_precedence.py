"""Which of the variables that are given in several places a host gets: Ansible itself is asked."""

import json
from pathlib import Path

import pytest
import yaml

from cli import commands, run
from cli.errors import UsageError
from cli.options import read_options

# Each place sets its own variable and all that stand below it here, which the later places override.
PLACES = {
    "profile": "kernel_apt_suite",
    "inventory": "kernel_apt_package",
    "group_vars/all": "kernel_flavour",
    "group_vars/web": "kernel_architecture",
    "host_vars/web1": "samples_git_commit",
    "command-line": "liburing_git_ref",
}

INI = """\
db1
[web]
web1
web2
[all:vars]
"""

SCRIPT = """\
#!/bin/sh
echo '{"_meta": {"hostvars": {}}, "ungrouped": {"hosts": ["db1"]},'
echo '"web": {"hosts": ["web1", "web2"]}, "all": {"children": ["ungrouped", "web"], "vars": VARIABLES}}'
"""


def given_by(place):
    """Return the variables that a place sets."""
    places = list(PLACES)
    return dict.fromkeys(list(PLACES.values())[places.index(place) :], place)


def write_inventory(directory, kind):
    """Write an inventory that sets variables in every place, and return its path: a file or the directory."""
    hosts = directory / "hosts"
    variables = given_by("inventory")
    if kind == "script":
        hosts.write_text(SCRIPT.replace("VARIABLES", json.dumps(variables)))
        hosts.chmod(0o755)
    elif kind == "directory":
        hosts = hosts.with_suffix(".yml")
        web = {"hosts": {"web1": {}, "web2": {}}}
        hosts.write_text(
            yaml.safe_dump({"all": {"hosts": {"db1": {}}, "children": {"web": web}, "vars": variables}})
        )
    else:
        hosts.write_text(INI + "".join(f"{name}={value}\n" for name, value in variables.items()))
    for place in list(PLACES)[2:5]:
        path = directory / f"{place}.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(given_by(place)))
    return directory if kind == "directory" else hosts


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Begin a run on the hosts of an inventory, which are taken to be reached."""
    monkeypatch.setattr(run, "REPORTS", tmp_path / "reports")
    monkeypatch.setattr(commands, "_reach", lambda _run: {})
    (tmp_path / "profiles").mkdir()
    (tmp_path / "inventory").mkdir()
    (tmp_path / "profiles/archive.yml").write_text(yaml.safe_dump(given_by("profile")))

    def begin(inventory: Path, **given: str):
        environment = {"INVENTORY": str(inventory), **given}
        return commands._opened("verify", read_options(environment, tmp_path / "profiles"), environment)

    return begin


def expected(current):
    return json.loads((current.directory / "expect.json").read_text())


@pytest.fixture
def expected_of(opened, tmp_path):
    """Return what is expected of the hosts of an inventory file, with a profile."""

    def read(profile, hosts):
        (tmp_path / "profiles/archive.yml").write_text(profile)
        inventory = tmp_path / "inventory/hosts"
        inventory.write_text(hosts)
        with opened(inventory) as current:
            return expected(current)

    return read


@pytest.mark.parametrize("kind", ["ini", "directory", "script"])
def test_the_nearer_to_the_host_the_stronger_and_the_command_line_is_strongest(opened, tmp_path, kind):
    inventory = write_inventory(tmp_path / "inventory", kind)
    with opened(inventory, LIBURING="command-line") as current:
        found = expected(current)
        # What the verification expects is what the steps are given.
        assert current.ansible("playbooks/variables.yml") == 0
        steps = run.read_steps(current.directory / "steps.json")
        assert {step["host"]: json.loads(step["message"]) for step in steps} == found
    places = list(PLACES)
    from_places = {host: [values[variable] for variable in PLACES.values()] for host, values in found.items()}
    assert from_places == {
        "db1": [*places[:3], "group_vars/all", "group_vars/all", "command-line"],
        "web1": places,
        "web2": [*places[:4], "group_vars/web", "command-line"],
    }


def test_the_profile_overrides_the_defaults_of_the_roles(expected_of):
    found = expected_of("preflight_free_mib: 4096\n", "web1\nweb2 preflight_free_mib=8192\n")
    assert found == {"web1": {"preflight_free_mib": 4096}, "web2": {"preflight_free_mib": 8192}}


def test_ansible_resolves_templates_for_each_host(expected_of):
    found = expected_of(
        "kernel_debs_folder: /srv/{{ inventory_hostname }}\n",
        "web1\nweb2 release_upgrade_target='{{ codename }}' codename=trixie\n",
    )
    assert found["web1"]["kernel_debs_folder"] == "/srv/web1"
    assert found["web2"]["kernel_debs_folder"] == "/srv/web2"
    assert found["web2"]["release_upgrade_target"] == "trixie"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("kernel_sorce=keep", "web2: no role knows the variable kernel_sorce; did you mean kernel_source?"),
        (
            "kernel_version='{{ nowhere }}'",
            "the role variables cannot be resolved: web2: ",
        ),
        ("kernel_version='{{ 5 | nofilter }}'", "the role variables cannot be resolved: "),
    ],
)
def test_a_mistake_in_an_inventory_is_told_in_a_line_before_a_host_is_reached(
    opened, tmp_path, monkeypatch, line, says
):
    reached = []
    monkeypatch.setattr(commands, "_reach", reached.append)
    inventory = tmp_path / "inventory/hosts"
    inventory.write_text(f"web1\nweb2 {line}\n")
    with pytest.raises(UsageError) as refusal, opened(inventory):
        pass
    assert str(refusal.value).startswith(says)
    assert ("'nowhere' is undefined" in str(refusal.value)) == ("nowhere" in line)
    assert "\n" not in str(refusal.value)
    assert reached == []
    assert list(run.REPORTS.iterdir()) == []


def test_what_is_no_variable_of_a_role_is_the_owners_business(opened, tmp_path):
    inventory = tmp_path / "inventory/hosts"
    inventory.write_text("web1 nginx_port=80 rack=7 my_kernel='{{ nowhere }}'\n")
    with opened(inventory) as current:
        assert not {"nginx_port", "rack", "my_kernel"} & expected(current)["web1"].keys()


def test_the_example_of_an_inventory_gives_each_host_another_kernel(opened):
    with opened(run.ROOT / "inventory/hosts.example.yml") as current:
        found = expected(current)
    assert found["bench1"]["kernel_source"] == "keep"
    assert (found["bench2"]["kernel_source"], found["bench2"]["kernel_version"]) == ("mainline", "5.6")
