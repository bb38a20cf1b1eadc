"""Write docs/variables.md from the argument specifications of the roles: `make docs`."""

from pathlib import Path

from roles.preflight.filter_plugins.role_variables import ROLES, specification

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "variables.md"

HEAD = """# Role variables

Made from `roles/*/meta/argument_specs.yml` by `make docs`. Each of these overrides those before it:
the roles' defaults, the profile, an inventory's variables, its `group_vars`, its `host_vars`, the
command line.
"""


def page() -> str:
    """Return the page: a table a role, a row a variable."""
    parts = [HEAD]
    for role in ROLES:
        spec = specification(role)
        parts.append(f"\n## {role}\n{spec['short_description']}.\n")
        parts.append("| variable | values | default | what it is |\n| --- | --- | --- | --- |")
        for name, option in spec["options"].items():
            values = ", ".join(f"`{choice}`" for choice in option.get("choices", [])) or option["type"]
            default = f"`{option['default']}`" if option["default"] != "" else "empty"
            parts.append(f"| `{name}` | {values} | {default} | {option['description'].strip()} |")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
