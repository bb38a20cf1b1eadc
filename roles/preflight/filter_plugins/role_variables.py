"""Whether role variables are what the argument specifications of the roles allow: the one judge of it.

Preflight asks it about all variables that Ansible has; the command line about a profile before a lab host is
made, and about what each host is given before any is connected to.
"""

import difflib
import functools
from pathlib import Path

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

DOCUMENTATION = """
    name: role_variables
    short_description: the names, of many, that are those of role variables or were meant to be
    options:
      _input:
        description: The names of all variables, as the lookup C(varnames) returns them.
        type: list
        elements: str
        required: true
"""

RETURN = """
    _value:
      description:
        - The names that begin with a role's name, and those nearly like a variable of a role.
      type: list
      elements: str
"""

#: The roles that take variables, in the order of the steps.
ROLES = ("preflight", "release_upgrade", "kernel", "liburing", "samples")

#: How much of a name must be that of a role variable to be taken for a slip of the finger (difflib's ratio).
SLIP = 0.9

_WORDS = {"bool": "true or false", "int": "a whole number", "list": "a list", "str": "a text"}


def specification(role):
    """Return the argument specification of a role's main entry point."""
    file = Path(__file__).parents[2] / role / "meta" / "argument_specs.yml"
    return yaml.safe_load(file.read_text())["argument_specs"]["main"]


@functools.cache
def options():
    """Return the specification of each role variable, by name."""
    return {name: option for role in ROLES for name, option in specification(role)["options"].items()}


def role_variables(names):
    """Return the names that are those of role variables, or were meant to be (RETURN above)."""
    known = options()
    prefixes = tuple(role + "_" for role in ROLES)
    return [
        name for name in names if name.startswith(prefixes) or difflib.get_close_matches(name, known, 1, SLIP)
    ]


def unknown_variables(names):
    """Return a sentence for each name that no role knows, with the nearest one that a role does know."""
    known = options()
    problems = []
    for name in sorted(set(names) - set(known)):
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else "docs/variables.md lists them all"
        problems.append(f"no role knows the variable {name}; {hint}")
    return problems


def wrong_values(given):
    """Return a sentence for each value that the specification does not allow.

    Args:
        given: the values by the names of role variables, templates resolved.

    """
    known = options()
    problems = [
        f"{name} is {value!r}; it must be {_allowed(known[name])}"
        for name, value in given.items()
        if _validated(name, value).error_messages
    ]
    # YAML reads 5.10 as the number 5.1, and 5.1 is another kernel.
    numbers = [
        name for name, value in given.items() if known[name]["type"] == "str" and isinstance(value, float)
    ]
    return problems + [f"{name} is the number {given[name]}; put the text in quotes" for name in numbers]


def as_specified(given):
    """Return the values of role variables in the types of their specification: the text "12" for 12."""
    return {name: _validated(name, value).validated_parameters[name] for name, value in given.items()}


def _validated(name, value):
    return ArgumentSpecValidator({name: options()[name]}).validate({name: value})


def _allowed(option):
    if "choices" not in option:
        return _WORDS[option["type"]]
    each = "a list of some of" if option["type"] == "list" else "one of"
    return f"{each} {', '.join(option['choices'])}"


class FilterModule:
    """The filters under their names."""

    def filters(self):
        """Return the filters of this file."""
        return {
            "role_variables": role_variables,
            "unknown_variables": unknown_variables,
            "wrong_values": wrong_values,
        }
