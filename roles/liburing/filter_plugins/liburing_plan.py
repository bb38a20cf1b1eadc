"""The liburing step: what it does on a host, its manifest, and its report."""

import os
import re

DOCUMENTATION = """
    name: liburing_plan
    short_description: whether liburing has to be built on a host, and what is known before the build
    positional: found
    options:
      _input:
        description: >-
          The request: source, url, ref, path, version and digest of that directory, run_tests, distribution,
          and commits, the versions of known commits.
        type: dict
        required: true
      found:
        description: >-
          What the host has: the manifest, the installed packages, the archive's candidate, and the ledger.
        type: dict
        required: true
"""

RETURN = """
    _value:
      description:
        - C(wanted), the request as it is stored in the manifest.
        - C(to_build), whether something else is installed.
        - C(leftovers), whether an earlier build was not cleaned up.
        - C(version), the version in liburing.spec, or an empty string if it is unknown before the download.
        - C(what), the source in words.
      type: dict
"""


def liburing_packages(lines, ours):
    """Parse dpkg's rows of the packages called liburing*.

    Args:
        lines: ``PACKAGE VERSION STATUS WANT``, as dpkg-query prints them.
        ours: the packages of the manifest.

    Returns:
        A dict: ``installed``, the versions by name, without the metapackage of a failed build; ``held``, the
        sorted names of packages that the owner holds.

    """
    rows = [line.split() for line in lines]
    rows = [row for row in rows if len(row) == 4]  # a package that is not installed has no version
    installed = {row[0]: row[1] for row in rows if row[2] == "installed" and row[0] != "liburing-build-deps"}
    return {
        "installed": installed,
        "held": sorted(row[0] for row in rows if row[3] == "hold" and row[0] not in ours),
    }


def apt_candidates(text):
    """Parse ``apt-cache policy``: return the candidate version of each package that has one."""
    return dict(re.findall(r"(?m)^(\S+):\n  Installed: .*\n  Candidate: ([^(\s]\S*)$", text))


def source_version(version):
    """Return the version of the source package: a binNMU (+b1) has no source of its own."""
    return re.sub(r"\+b[0-9]+$", "", version)


def upstream_version(version):
    """Return the part of a Debian version that is upstream's: that of 4:2.3-3 is 2.3 (deb-version(7))."""
    return re.sub(r"-[^-]*$", "", re.sub(r"^[0-9]+:", "", version))


def built_packages(rows):
    """Return the names of the packages in the same rows that ``built_version`` reads."""
    return [row.split()[0] for row in rows]


def built_version(rows):
    """Return the version of the source package in dpkg-query's rows ``PACKAGE VERSION SOURCE-VERSION``."""
    return rows[0].split()[2]


def liburing_plan(asked, found):
    """Compare the request with the host (RETURN above)."""
    wanted = _wanted(asked)
    manifest = found["manifest"]
    packages = manifest.get("packages", {})
    is_installed = (
        manifest.get("wanted") == wanted
        and all(found["installed"].get(name) == version for name, version in packages.items())
        and "files" in manifest
        and ("tests" in manifest or not asked["run_tests"])
        and (asked["source"] != "apt" or manifest.get("version") == found["candidate"])
    )
    purposes = [entry["purpose"] for entry in found["ledger"]["packages"].values()]
    return {
        "wanted": wanted,
        "to_build": not is_installed,
        "leftovers": bool(found["ledger"]["transactions"]) or "build" in purposes,
        "version": _known_version(asked),
        "what": _what(asked, found["candidate"]),
    }


def _wanted(asked):
    if asked["source"] == "git":
        return {"source": "git", "url": asked["url"], "ref": asked["ref"]}
    if asked["source"] == "path":
        return {"source": "path", "digest": asked["digest"]}
    return {"source": "apt"}


def _known_version(asked):
    if asked["source"] == "path":
        return asked["version"]
    if asked["source"] == "git":
        tag = re.match(r"liburing-([0-9.]+)", asked["ref"])
        return tag[1] if tag else asked["commits"].get(asked["ref"], "")
    return ""


def _what(asked, candidate):
    if asked["source"] == "git":
        return f"{asked['url']} at {asked['ref']}"
    if asked["source"] == "path":
        return asked["path"]
    return " ".join(
        filter(None, ["liburing", candidate, "from the source package of", asked["distribution"]])
    )


def deb_packages(paths):
    """Return the sorted package names of debs, taken from their file names."""
    return sorted(os.path.basename(path).split("_")[0] for path in paths)


def liburing_manifest(plan, build):
    """Return the manifest of a build.

    Args:
        plan: the result of ``liburing_plan``.
        build: ``commit``; ``upstream``, the version in liburing.spec; ``versions``, dpkg-query's rows
            ``PACKAGE VERSION SOURCE-VERSION``; ``contents``, the rows ``SHA256 PATH`` of the debs' files, and
            one ``pkg-config VERSION``; ``archive``, the candidate, and ``below_archive``, whether the build
            is lower; ``edits``, the results of the edits; ``before``, the versions that were replaced;
            ``tests``, the results of upstream's tests, empty if they did not run.

    """
    versions = [line.split() for line in build["versions"]]
    contents = [line.split(None, 1) for line in build["contents"]]
    manifest = {
        **plan["wanted"],
        "wanted": plan["wanted"],
        "commit": build["commit"],
        "version": built_version(build["versions"]),
        "upstream": build["upstream"],
        "packages": {row[0]: row[1] for row in versions},
        "archive": build["archive"],
        "below_archive": build["below_archive"],
        "edits": [result["item"] for result in build["edits"] if result.get("changed")],
        "pkg_config": next(row[1] for row in contents if row[0] == "pkg-config"),
        "files": {re.sub(r"^\./", "/", row[1]): row[0] for row in contents if row[0] != "pkg-config"},
        "before": build["before"],
    }
    return {**manifest, "tests": build["tests"]} if build["tests"] else manifest


def liburing_report(manifest, plan, check=False):
    """Return the line that a run says of the step.

    Args:
        manifest: what is installed now.
        plan: that of ``liburing_plan``, from before.
        check: whether nothing was changed.

    """
    if check and plan["to_build"]:
        return "would build and install " + plan["what"]
    said = ", ".join(f"{name} {version}" for name, version in manifest["packages"].items())
    if manifest["commit"]:
        said += " at " + re.sub(r"^(.{12})[^+]*", r"\1", manifest["commit"]).replace("+", " with ")
    said += ", built and held" if plan["to_build"] else ", installed already"
    if manifest["edits"]:
        files = dict.fromkeys(edit["edit"]["file"] for edit in manifest["edits"])
        said += ", its build changed: " + " ".join(files)
    if manifest["below_archive"]:
        said += f", lower than the archive's {manifest['archive']} on purpose"
    if plan["to_build"] and "tests" in manifest:
        said += "; " + _tests_report(manifest["tests"])
    return said


def liburing_rollback_report(manifest, damaged):
    """Return the line that a rollback says of the step.

    Args:
        manifest: what was installed, or an empty dict.
        damaged: a sentence for each damaged file.

    """
    names = ", ".join(manifest.get("packages", {}))
    said = names + " taken back" if manifest else "nothing to take back"
    return "; left: ".join([said, *(["; ".join(damaged)] if damaged else [])])


def _tests_report(tests):
    said = [f"{tests['passed']} of upstream's tests passed"]
    for outcome, word in (("failed", "failed"), ("timed_out", "hung")):
        if tests[outcome]:
            said.append(f"{len(tests[outcome])} {word}: {' '.join(tests[outcome])}")
    if tests["skipped"]:
        said.append(f"{len(tests['skipped'])} skipped")
    if tests["unfinished"]:
        said.append(f"cut off in {tests['unfinished']}")
    return ", ".join(said)


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {
            "apt_candidates": apt_candidates,
            "built_packages": built_packages,
            "built_version": built_version,
            "deb_packages": deb_packages,
            "liburing_manifest": liburing_manifest,
            "liburing_packages": liburing_packages,
            "liburing_plan": liburing_plan,
            "liburing_report": liburing_report,
            "liburing_rollback_report": liburing_rollback_report,
            "source_version": source_version,
            "upstream_version": upstream_version,
        }
