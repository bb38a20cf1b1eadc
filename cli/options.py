"""From the variables of make to the variables of the roles."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from cli.errors import UsageError
from cli.variables_page import ROOT
from roles.preflight.filter_plugins.role_variables import as_specified, unknown_variables, wrong_values
from roles.preflight.filter_plugins.role_variables import options as role_options

#: The releases that UPGRADE may name.
RELEASES = ROOT / "roles/release_upgrade/vars/releases.yml"

# A git tag or commit; neither an option of git (-x) nor a source of another kind (path:FOLDER).
_GIT_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")
_SUITE = re.compile(r"[a-z0-9][a-z0-9.-]*")
# A version of the mainline archive, the newest of a series, or the newest of all.
_MAINLINE = re.compile(r"v?([0-9]+\.[0-9]+(?:\.[0-9]+)?(?:-rc[0-9]+)?|[0-9]+\.[0-9]+\.x|latest)")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+")
_TEMPLATE = re.compile(r"{[{%]")


@dataclass(frozen=True)
class Options:
    """What a run was asked to do, apart from the hosts it is done to."""

    profile: str = "archive"
    profile_path: Path = Path("profiles/archive.yml")
    overrides: dict[str, object] = field(default_factory=dict)
    check: bool = False
    verbose: bool = False
    connection: str = "paramiko"

    def profile_variables(self) -> object:
        """Return the content of the profile: a dictionary, which read_options has made sure of."""
        return yaml.safe_load(self.profile_path.read_text())


def read_options(environment: Mapping[str, str], profiles: Path) -> Options:
    """Read the variables that the Makefile documents.

    Raises UsageError, naming what is allowed, for a value that has no meaning, here or in the profile.
    """
    profile = environment.get("PROFILE") or "archive"
    known = sorted(path.stem for path in profiles.glob("*.yml"))
    if profile not in known:
        raise UsageError(f"PROFILE={profile}: no such profile; there are {', '.join(known) or 'none'}")
    options = Options(
        profile=profile,
        profile_path=profiles / f"{profile}.yml",
        overrides=role_variables(environment),
        check=_switch(environment, "CHECK"),
        verbose=_switch(environment, "V"),
        connection=_one_of(environment, "CONNECTION", ("paramiko", "ssh")) or "paramiko",
    )
    _check_role_variables(options)
    return options


def _check_role_variables(options: Options) -> None:
    """Ask preflight's judge, before a host is made or touched. Raises UsageError, a line for each mistake."""
    name = options.profile_path.name
    try:
        profile = options.profile_variables()
    except yaml.YAMLError as error:
        raise UsageError(f"{name} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(profile, dict):
        raise UsageError(f"{name} is no dictionary of role variables")
    # What the command line overrides is never used. A template is Ansible's to resolve; see `checked`.
    values = {
        key: value for key, value in (profile | options.overrides).items() if not _TEMPLATE.search(str(value))
    }
    if problems := unknown_variables(profile) or wrong_values(values):
        raise UsageError("\n".join(f"{name}: {problem}" for problem in problems))


def checked(given: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, object]]:
    """Return the role variables of each host, in the types of the roles; the values are Ansible's.

    Raises UsageError, a line for each mistake, which names the hosts that have it.
    """
    mistaken: dict[str, list[str]] = {}
    for host, variables in given.items():
        for problem in unknown_variables(variables) or wrong_values(variables):
            mistaken.setdefault(problem, []).append(host)
    if mistaken:
        raise UsageError("\n".join(f"{', '.join(hosts)}: {problem}" for problem, hosts in mistaken.items()))
    return {host: as_specified(variables) for host, variables in given.items()}


def role_variables(environment: Mapping[str, str]) -> dict[str, object]:
    """Map UPGRADE, KERNEL, LIBURING, SAMPLES to role variables; an empty one leaves it to the profile."""
    variables: dict[str, object] = {}
    if upgrade := environment.get("UPGRADE"):
        variables["release_upgrade_target"] = _release(upgrade)
    if kernel := environment.get("KERNEL"):
        variables.update(_kernel(kernel))
    if liburing := environment.get("LIBURING"):
        variables.update(_liburing(liburing))
    if samples := _one_of(environment, "SAMPLES", role_options()["samples_source"]["choices"]):
        variables["samples_source"] = samples
    return variables


def _release(value: str) -> str:
    (table,) = yaml.safe_load(RELEASES.read_text()).values()
    releases = [release for distribution in table.values() for release in distribution]
    if value in ("keep", "lts") or any(value in (each["codename"], each["version"]) for each in releases):
        return value
    known = ", ".join(f"{each['codename']} ({each['version']})" for each in releases)
    raise UsageError(f"UPGRADE={value}: must be keep, lts, or a release by name or number: {known}")


def _kernel(value: str) -> dict[str, object]:
    source, _, rest = value.partition(":")
    suite, slash, package = rest.partition("/")
    if value == "keep":
        return {"kernel_source": "keep"}
    if value == "apt":
        return {"kernel_source": "apt"}
    if mainline := _MAINLINE.fullmatch(value):
        # 5.6.0 is v5.6 in the archive, and in what is remembered of it.
        version = re.sub(r"^([0-9]+\.[0-9]+)\.0$", r"\1", mainline[1])
        return {"kernel_source": "mainline", "kernel_version": version}
    if source == "apt" and _SUITE.fullmatch(suite) and bool(slash) == bool(_PACKAGE.fullmatch(package)):
        chosen = {"kernel_source": "apt", "kernel_apt_suite": suite}
        return chosen | ({"kernel_apt_package": package} if package else {})
    if source == "debs" and rest:
        folder = Path(rest).expanduser().absolute()
        if not any(folder.glob("*.deb")):
            raise UsageError(f"KERNEL={value}: no .deb file in {folder}")
        return {"kernel_source": "debs", "kernel_debs_folder": str(folder)}
    raise UsageError(
        f"KERNEL={value}: must be a version (5.6, 5.6.19, 6.10-rc3, 5.6.x, latest; see `make kernels`), "
        "keep, apt, apt:SUITE, apt:SUITE/PACKAGE or debs:FOLDER"
    )


def _liburing(value: str) -> dict[str, object]:
    if value == "apt":
        return {"liburing_source": "apt"}
    if _GIT_REF.fullmatch(value):
        return {"liburing_source": "git", "liburing_git_ref": value}
    source, _, rest = value.partition(":")
    if source == "path" and rest:
        folder = Path(rest).expanduser().absolute()
        if not (folder / "debian/control").is_file():
            raise UsageError(f"LIBURING={value}: no liburing tree with a debian/control in {folder}")
        return {"liburing_source": "path", "liburing_path": str(folder)}
    raise UsageError(
        f"LIBURING={value}: must be apt, a git tag or commit such as liburing-2.3, or path:FOLDER"
    )


def _one_of(environment: Mapping[str, str], name: str, allowed: Sequence[str]) -> str:
    value = environment.get(name, "")
    if value and value not in allowed:
        raise UsageError(f"{name}={value}: must be {' or '.join(allowed)}")
    return value


def _switch(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "")
    if value not in ("", "0", "1"):
        raise UsageError(f"{name}={value}: must be 1 or left out")
    return value == "1"
