"""A misspelt role variable and a value that a role does not allow are told by name, each in a line."""

import sys
from pathlib import Path

import pytest

ROLES = Path(__file__).parents[3] / "roles"
sys.path.insert(0, str(ROLES / "preflight/filter_plugins"))
from role_variables import ROLES as JUDGED  # noqa: E402
from role_variables import options, role_variables, unknown_variables, wrong_values  # noqa: E402


def test_every_role_that_takes_variables_is_judged():
    assert set(JUDGED) == {path.parents[1].name for path in ROLES.glob("*/meta/argument_specs.yml")}


@pytest.mark.parametrize(
    "name",
    ["kernel_source", "kernel_zzz", "kernal_source", "lib_uring_source", "release_upgrade_taget"],
)
def test_what_carries_a_roles_name_or_nearly_does_is_meant_for_a_role(name):
    assert role_variables([name]) == [name]


@pytest.mark.parametrize(
    "name",
    ["ansible_host", "groups", "kernel", "source", "common_root", "playbook_dir", "my_kernel_source_tree"],
)
def test_what_is_like_no_role_variable_is_the_owners(name):
    assert role_variables([name]) == []


def test_unknown_names_are_told_with_the_nearest_known_one():
    assert unknown_variables(["samples_of_my_own_make", "kernel_sorce", "kernel_source"]) == [
        "no role knows the variable kernel_sorce; did you mean kernel_source?",
        "no role knows the variable samples_of_my_own_make; docs/variables.md lists them all",
    ]


def test_the_defaults_are_allowed():
    assert wrong_values({name: option["default"] for name, option in options().items()}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel_headers", "yes"),
        ("kernel_boot_timeout", "600"),
        ("release_upgrade_target", 12),
        ("kernel_accept_risks", "dkms,userland"),
        ("kernel_accept_risks", ["dkms"]),
    ],
)
def test_a_value_that_ansible_converts_is_allowed(name, value):
    assert wrong_values({name: value}) == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("kernel_source", "foo", "kernel_source is 'foo'; it must be one of keep, apt, debs, mainline"),
        ("kernel_headers", "maybe", "kernel_headers is 'maybe'; it must be true or false"),
        ("kernel_version", 5.10, "kernel_version is the number 5.1; put the text in quotes"),
        ("kernel_boot_timeout", "x", "kernel_boot_timeout is 'x'; it must be a whole number"),
        (
            "kernel_accept_risks",
            ["dkms", "a"],
            "kernel_accept_risks is ['dkms', 'a']; "
            "it must be a list of some of grubenv, dkms, userland, secure_boot",
        ),
    ],
)
def test_a_value_that_is_not_allowed_is_told_with_what_is(name, value, says):
    assert wrong_values({name: value}) == [says]
