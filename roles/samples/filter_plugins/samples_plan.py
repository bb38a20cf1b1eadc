"""Which samples are built on a host, which are left out and why, and whether exactly those are installed."""

import hashlib
import json
import re

DOCUMENTATION = """
    name: samples_plan
    short_description: which samples are built on a host, and whether exactly those are installed
    positional: policy, found
    options:
      _input:
        description: What samples_for returned.
        type: dict
        required: true
      policy:
        description: The output of apt-cache policy for build-essential and the packages of the samples.
        type: str
        required: true
      found:
        description: >-
          C(manifest), from an earlier run; C(whole), whether its programs are unchanged; C(liburing), the
          checksum of liburing's manifest; C(pins), what each source is pinned to.
        type: dict
        required: true
"""

RETURN = """
    _value:
      description:
        - C(chosen), the catalog's entries to build.
        - C(left_out), the entries that are not built, and C(note), why, in words.
        - C(packages), those that the chosen ones need.
        - C(wanted), the request as it is stored in the manifest.
        - C(installed), whether exactly that is installed.
      type: dict
"""

SOURCES = {"ours": ["ours"], "upstream": ["upstream"], "all": ["ours", "upstream"]}


def samples_for(catalog, source, machine):
    """Return the samples of a source, split by whether they support an architecture.

    Args:
        catalog: the entries of samples/catalog.yml.
        source: ``ours``, ``upstream`` or ``all``.
        machine: the architecture, as ``uname -m`` prints it.

    Returns:
        A dict: ``sources``, their names; ``catalog``, the digest of the catalog; ``native`` and ``foreign``,
        the entries that do and do not support it; ``packages``, the sorted packages that the native ones
        need; ``machine``.

    """
    asked = [sample for sample in catalog if sample["source"] in SOURCES[source]]
    foreign = [sample for sample in asked if machine not in sample.get("architectures", [machine])]
    native = [sample for sample in asked if sample not in foreign]
    return {
        "sources": SOURCES[source],
        "catalog": hashlib.sha256(json.dumps(catalog).encode()).hexdigest(),
        "native": native,
        "foreign": foreign,
        "packages": sorted({package for sample in native for package in sample.get("packages", [])}),
        "machine": machine,
    }


def samples_plan(choice, policy, found):
    """Compare the request with the host (RETURN above)."""
    known = re.findall(r"(?m)^(\S+):\n.*\n  Candidate: (?!\(none\))", policy)
    # Without package lists (--check downloads none) apt knows no candidate at all: assume that all exist.
    available = known if "build-essential" in known else choice["packages"]
    missing = [package for package in choice["packages"] if package not in available]
    lacking = [sample for sample in choice["native"] if {*sample.get("packages", [])} & {*missing}]
    chosen = [sample for sample in choice["native"] if sample not in lacking]
    wanted = {
        "sources": {source: found["pins"][source] for source in choice["sources"]},
        "catalog": choice["catalog"],
        "liburing": found["liburing"],
        "missing": missing,
    }
    left_out = choice["foreign"] + lacking
    return {
        "chosen": chosen,
        "left_out": left_out,
        "note": _note(choice, left_out, lacking, missing),
        "packages": sorted({package for sample in chosen for package in sample.get("packages", [])}),
        "wanted": wanted,
        "installed": found["manifest"].get("wanted") == wanted and found["whole"],
    }


def _note(choice, left_out, lacking, missing):
    if not left_out:
        return ""
    reasons = [f"not for {choice['machine']}"] if choice["foreign"] else []
    reasons += [f"not in the archive: {', '.join(missing)}"] if lacking else []
    return f", left out: {', '.join(sample['name'] for sample in left_out)} ({'; '.join(reasons)})"


def samples_manifest(plan, installed):
    """Return the manifest of the programs.

    Args:
        plan: the result of ``samples_plan``.
        installed: what the module ``sample_programs`` returned for its ``chosen``.

    """
    return {
        "wanted": plan["wanted"],
        "sources": plan["wanted"]["sources"],
        "left_out": plan["left_out"],
        "samples": [
            {**sample, "path": path, "sha256": digest}
            for sample, path, digest in zip(plan["chosen"], installed["paths"], installed["digests"])
        ],
    }


def samples_digests(manifest):
    """Return the programs of a manifest, which may be empty, as ``sha256sum --check`` reads them."""
    return "".join(f"{sample['sha256']}  {sample['path']}\n" for sample in manifest.get("samples", []))


def samples_report(plan, sources, check):
    """Return the line that a run says of the step.

    Args:
        plan: that of ``samples_plan``, from before.
        sources: the names of the sources asked for.
        check: whether nothing was changed.

    """
    did = "to build and install" if check else "built and installed"
    if plan["installed"]:
        did = "installed already"
    return f"{len(plan['chosen'])} programs ({', '.join(sources)}) {did}{plan['note']}"


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return the filters by name."""
        return {
            "samples_for": samples_for,
            "samples_plan": samples_plan,
            "samples_digests": samples_digests,
            "samples_report": samples_report,
            "samples_manifest": samples_manifest,
        }
