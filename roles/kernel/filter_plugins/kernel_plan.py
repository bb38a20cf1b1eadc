"""What the kernel step does on a host, what it remembers of it, and what it says."""

import re

DOCUMENTATION = """
    name: kernel_plan
    short_description: what is wanted, what is there already, and what is to be done
    positional: parameters, debs, build
    options:
      _input:
        description: What the module kernel_state returned.
        type: dict
        required: true
      parameters:
        description: >-
          The role's variables without their prefix, the C(distribution) and C(distribution_version) of the
          host, and C(newer), where each release keeps its newer kernels.
        type: dict
        required: true
      debs:
        description: What the module kernel_debs returned, or an empty dict.
        type: dict
        required: true
      build:
        description: What the module kernel_mainline returned, or an empty dict.
        type: dict
        required: true
"""

RETURN = """
    _value:
      description:
        - C(wanted), what was asked for, in the form that the manifest keeps.
        - C(suite) and C(package), of a kernel from the distribution's archive.
        - C(release), C(uname -r) of the new kernel, or an empty string where it is not known yet.
        - C(installed), whether just that is installed.
        - C(to_change), whether something is to be done at all.
        - C(leftover), whether a kernel that was never proved is to be removed first.
        - C(to_read), whether more is to be read of what was asked for, by C(read_SOURCE.yml).
        - C(confirm_seconds) and C(boot_seconds), the time-outs of a trial.
        - C(report), the line that says what holds, or what a run would do.
      type: dict
"""

#: A trial must be confirmed within four times what the host's last boot took, and never within less than
#: these seconds: the firmware alone of a server takes minutes.
CONFIRM_SECONDS, BOOTS = 300, 4
#: Seconds that the controller waits beyond the time to confirm.
BOOT_SECONDS = 600


def kernel_plan(state, parameters, debs, build):
    """Return what is to be done (DOCUMENTATION and RETURN above). Reads nothing itself."""
    source = parameters["source"]
    suite, package = _from_archive(state, parameters)
    wanted = _wanted(parameters, suite, package, debs, build)
    manifest = state["manifest"]
    installed = manifest.get("wanted", {}) == wanted and len(state["installed"]) == len(manifest["packages"])
    is_default = (
        installed
        and manifest["promoted"]
        and state["running"] == manifest["release"]
        and state["saved_entry"] == manifest["entry"]
        and state["next_entry"] == ""
    )
    to_change = source != "keep" and not state["container"] and not is_default
    release = debs.get("release", build.get("release", manifest["release"] if installed else ""))
    confirm = int(parameters["confirm_timeout"]) or _confirm_seconds(state)
    if state["container"]:
        report = f"a container runs the kernel of its host, {state['running']}"
    elif source == "keep":
        report = f"kept {state['running']}"
    elif is_default:
        report = f"{state['running']}, proved and default already"
    else:
        what = _what(parameters, suite, package, release, build)
        report = (
            f"would install {what} beside {state['running']}, boot it once on trial and make it the default"
        )
    return {
        "wanted": wanted,
        "suite": suite,
        "package": package,
        "release": release,
        "installed": installed,
        "to_change": to_change,
        "leftover": to_change and not manifest.get("promoted", True) and manifest["wanted"] != wanted,
        "to_read": _to_read(state, parameters, installed, debs, build),
        "confirm_seconds": confirm,
        "boot_seconds": int(parameters["boot_timeout"]) or confirm + BOOT_SECONDS,
        "report": report,
    }


def kernel_trial(state):
    """Return how a trial that was begun stands.

    Args:
        state: what the module kernel_state returned.

    Returns:
        ``none``; ``pending``, the host has not rebooted since; ``passed``, the kernel on trial runs;
        ``failed``, the host has gone back to another one.

    """
    trial = state["manifest"].get("trial") or {}
    if not trial:
        return "none"
    if state["boot_id"] == trial["boot_id"]:
        return "pending"
    return "passed" if state["running"] == state["manifest"]["release"] else "failed"


def kernel_unbootable(state, checked):
    """Return why GRUB could not boot the installed kernel or go back from it, or an empty string.

    Args:
        state: what the module kernel_state returned.
        checked: the result of ``grub-file``, or of a task that was skipped.

    """
    release = state["manifest"]["release"]
    if checked.get("rc", 0):
        return f"the debs of {release} are installed, but its image is nothing that GRUB could boot"
    if release not in state["entries"]:
        return f"the debs of {release} are installed, but grub.cfg has no entry for it"
    if state["default"] != state["running"]:
        booted = state["default"] or "what cannot be told from grub.cfg"
        return f"the debs of {release} are installed, but with them GRUB would boot {booted} by default"
    return ""


def kernel_manifest(state, plan, debs, build):
    """Return what is remembered of the debs that are about to be installed.

    A kernel of ours that is proved stays until the new one is; the kernel that the first of them replaced is
    the one to go back to.
    """
    before = state["manifest"]
    return {
        **plan["wanted"],
        "wanted": plan["wanted"],
        "release": debs["release"],
        "url": build.get("url", ""),
        "stamp": build.get("stamp", ""),
        "packages": {deb["package"]: deb["version"] for deb in debs["debs"]},
        "sha256": {deb["package"]: deb["sha256"] for deb in debs["debs"]},
        "previous": before.get("previous", state["running"]),
        "replaces": before if before.get("promoted") else before.get("replaces", {}),
        "promoted": False,
        "entry": "",
        "trial": {},
    }


def kernel_record(state, files):
    """Return what is recorded before GRUB is told of anything: the owner's state, to come back with rollback.

    Args:
        state: what the module kernel_state returned.
        files: the paths of those that tell GRUB to boot the saved entry.

    """
    fallback = state["fallback"]
    is_owners = fallback["mark"] == "auto" and fallback["package"] not in state["record"]["packages"]
    return {
        "files": files,
        "grub": {"previous": state["running"], "saved_entry": state["saved_entry"]},
        "marks": {fallback["package"]: "auto"} if is_owners else {},
    }


def kernel_rollback(state, boot_timeout):
    """Return how a host goes back to the kernel that it had before.

    Args:
        state: what the module kernel_state returned; its records may be damaged.
        boot_timeout: seconds that the controller waits for a boot, or 0.

    Returns:
        A dict: ``previous``, the kernel to boot, or an empty string where none of ours is known; ``entry``,
        its entry of GRUB; ``boot_seconds``; ``unhold``, the packages whose hold was ours; ``left``, what
        stays because the records do not tell whether it is ours.

    """
    manifest, record = state["manifest"], state["record"]
    previous = manifest.get("previous") or record["grub"].get("previous", "")
    named = {*manifest.get("packages", {}), *(manifest.get("replaces") or {}).get("packages", {})}
    unknown = sorted(named - {*record["packages"]}) if state["damaged"] else []
    return {
        "previous": previous,
        "entry": state["entries"].get(previous, ""),
        "boot_seconds": int(boot_timeout) or _confirm_seconds(state) + BOOT_SECONDS,
        "unhold": [name for name in record["holds"] if name in state["held"]],
        "left": state["damaged"] + [f"{name}, which may have been there before" for name in unknown],
    }


def kernel_rolled_back(removed, back, running):
    """Return the rollback's report.

    Args:
        removed: what the module lab_packages returned.
        back: what the filter kernel_rollback returned.
        running: the release that runs now.

    """
    gone = ", ".join(removed["removed"])
    left = back["left"] + [f"{name} ({why})" for name, why in sorted(removed["left"].items())]
    report = f"{gone} removed, {running} runs" if gone else "nothing to take back"
    return report + (f"; left: {'; '.join(left)}" if left else "")


def _confirm_seconds(state):
    return max(CONFIRM_SECONDS, BOOTS * int(state["boot_seconds"]))


def _from_archive(state, parameters):
    """Return the suite and the package of a kernel from the distribution's archive."""
    if parameters["source"] != "apt":
        return "", ""
    # Debian names its suites by release number alone, Ubuntu's numbers have two parts.
    release = parameters["distribution_version"]
    if parameters["distribution"] == "Debian":
        release = release.split(".")[0]
    row = parameters["newer"].get(parameters["distribution"], {}).get(release, {})
    # A host keeps the drivers it has: `cloud-amd64` in a Debian cloud image, `amd64` on hardware.
    flavour = re.search(r"((cloud|rt)-)?[a-z0-9]+$", state["running"]).group()
    package = parameters["apt_package"] or row.get("package", "").replace("FLAVOUR", flavour)
    suite = parameters["apt_suite"] or ("" if parameters["apt_package"] else row.get("suite", ""))
    return suite, package


def _wanted(parameters, suite, package, debs, build):
    source = parameters["source"]
    if source == "apt":
        return {"source": "apt", "suite": suite, "package": package}
    if source == "debs":
        return {"source": "debs", "sha256": sorted(deb["sha256"] for deb in debs.get("debs", []))}
    if source == "mainline":
        version = re.sub(r"^([0-9]+[.][0-9]+)[.]0$", r"\1", parameters["version"])
        return {
            "source": "mainline",
            "version": build.get("version", version),
            "flavour": parameters["flavour"],
            "headers": parameters["headers"],
        }
    return {"source": source}


def _to_read(state, parameters, installed, debs, build):
    if parameters["source"] == "debs":
        return not debs  # a bad one is told also where it could not be installed
    if state["container"]:
        return False
    # Neither the newest of a series nor the newest of all, which are others from time to time.
    is_exact = not re.search("x$|^latest$", parameters["version"])
    return parameters["source"] == "mainline" and not build and not (is_exact and installed)


def _what(parameters, suite, package, release, build):
    if parameters["source"] == "debs":
        return f"{release} from {parameters['debs_folder']}"
    if parameters["source"] == "mainline" and build:
        return f"mainline {build['version']} ({release}, {build['stamp']})"
    if parameters["source"] == "apt":
        return f"{package} from {suite or 'the sources of the host'}"
    return release


class FilterModule:
    """The filters under their names."""

    def filters(self):
        """Return the filters of this file."""
        return {
            "kernel_manifest": kernel_manifest,
            "kernel_plan": kernel_plan,
            "kernel_record": kernel_record,
            "kernel_rollback": kernel_rollback,
            "kernel_rolled_back": kernel_rolled_back,
            "kernel_trial": kernel_trial,
            "kernel_unbootable": kernel_unbootable,
        }
