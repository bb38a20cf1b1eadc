"""What is expected of each host: the variables it was provisioned with, and the samples' catalog."""

import hashlib
import json
import re
from pathlib import Path

import yaml

CATALOG = Path(__file__).resolve().parents[2] / "samples" / "catalog.yml"


class ExpectationError(Exception):
    """A file of expectations cannot be used; the text is one line."""


def read_json(path: str | None, kind: type) -> dict | list:
    """Read a JSON file that may be left out.

    Args:
        path: the file, or None for an empty one.
        kind: the type of its content: dict or list.

    Raises:
        ExpectationError: it is missing, not JSON, or of another type.

    """
    if path is None:
        return kind()
    try:
        content = json.loads(Path(path).read_text())
    except OSError as problem:
        raise ExpectationError(f"{path}: {problem.strerror}") from None
    except ValueError as problem:
        raise ExpectationError(f"{path} is not JSON: {problem}") from None
    if not isinstance(content, kind):
        raise ExpectationError(f"{path}: a JSON {'object' if kind is dict else 'list'} is wanted")
    return content


def read_expected(path: str | None, hosts: list[str]) -> dict[str, dict]:
    """Read the role variables that each host was provisioned with, by the host's name.

    Args:
        path: the file; None if they are unknown, so that those of every host are empty.
        hosts: the hosts that are verified.

    Raises:
        ExpectationError: as read_json; or a host is missing.

    """
    if path is None:
        return {name: {} for name in hosts}
    content = read_json(path, dict)
    for name in hosts:
        if not isinstance(content.get(name), dict):
            raise ExpectationError(f"{path}: has no variables of the host {name}")
    return content


def read_steps(path: str | None) -> list[dict]:
    """Read what each step did; without a file no step ran, as with `make verify`.

    Raises:
        ExpectationError: as read_json.

    """
    return read_json(path if path and Path(path).exists() else None, list)


def read_catalog() -> list[dict]:
    """Read the catalog of the samples.

    Raises:
        ExpectationError: the catalog is missing or malformed.

    """
    try:
        return yaml.safe_load(CATALOG.read_text())["samples"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as problem:
        raise ExpectationError(f"{CATALOG} is no catalog of samples: {problem}") from None


def is_asked_for(sample: dict, expected: dict) -> bool:
    """Return whether a host should have a sample.

    Args:
        sample: an entry of the catalog.
        expected: the host's role variables; samples_source is ours, upstream or all. Without it every sample
            is asked for, and the host's manifest decides.

    """
    return expected.get("samples_source", "all") in ("all", sample["source"])


def label(sample: dict) -> str:
    """Return a sample's name in the reports: source/name."""
    return f"{sample['source']}/{sample['name']}"


def known_faults(sample: dict, release: str | None = None) -> dict[str, str]:
    """Return a sample's known faults by the names of their cases.

    Args:
        sample: an entry of the catalog.
        release: a kernel, as `uname -r` prints it: only the faults that this one shows. None: all of them.

    """
    found = {}
    for case, fault in sample["known_faults"].items():
        if isinstance(fault, str):
            found[case] = fault
            continue
        first, end = fault.get("from", "0"), fault.get("before", "99999")
        span = " ".join(f"{word} {fault[word]}" for word in ("from", "before") if word in fault)
        if release is None or version(first) <= version(release) < version(end):
            found[case] = f"{fault['fault']} (Linux {span})"
    return found


def version(release: str) -> tuple[int, ...]:
    """Return the numbers that a kernel's release begins with: 5.6.4-050604-generic is (5, 6, 4)."""
    return tuple(map(int, re.match(r"\d+(\.\d+)*", release)[0].split(".")))


def is_too_old(release: str, sample: dict) -> bool:
    """Return whether a kernel, as `uname -r` prints it, lacks the operations of a sample."""
    return version(release) < version(sample.get("needs_linux", "0"))


def is_same_commit(reference: str, commit: str) -> bool:
    """Return whether a full or abbreviated commit id names this commit."""
    return len(reference) >= 7 and commit.startswith(reference.lower())


def is_commit_id(reference: str) -> bool:
    """Return whether a reference is a commit id (7 to 40 hexadecimal digits), not a tag."""
    return 7 <= len(reference) <= 40 and all(digit in "0123456789abcdef" for digit in reference.lower())


def digest_of_ours() -> str:
    """Compute the digest of our samples' sources as the samples role does.

    It is the digest of the list that `sha256sum` prints for all files, sorted by path, without built programs
    and Markdown files.
    """
    directory = CATALOG.parent
    files = (
        path
        for path in directory.rglob("*")
        if path.is_file() and path.name != "program" and path.suffix != ".md"
    )
    paths = sorted(f"./{path.relative_to(directory)}" for path in files)
    lines = (f"{hashlib.sha256((directory / path).read_bytes()).hexdigest()}  {path}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
