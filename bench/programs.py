"""The samples, built as in the catalog: ours, and upstream's if they can be cloned."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.errors import BenchError

ROOT = Path(__file__).parents[1]
CATALOG = ROOT / "samples" / "catalog.yml"
#: The role's defaults, which pin upstream's commit.
PINS = ROOT / "roles" / "samples" / "defaults" / "main.yml"

#: Seconds.
CLONE_TIME = 60
BUILD_TIME = 120


@dataclass(frozen=True)
class Program:
    """A built sample.

    name: for the table, such as 03_cat_liburing or upstream 03_cat_liburing
    path: the executable
    entry: its entry in the catalog
    """

    name: str
    path: Path
    entry: dict


def build_all(directory: Path, upstream: str | None) -> tuple[list[Program], dict[str, str]]:
    """Build every sample in a directory.

    upstream: a clone of upstream's repository; None: clone the same one as the role

    Returns:
        The programs, and by name the reasons why others are missing.

    """
    left_out: dict[str, str] = {}
    # Copy all samples, because 08 uses a file of 05.
    ours = shutil.copytree(ROOT / "samples", directory / "ours", ignore=shutil.ignore_patterns("program"))
    roots = {"ours": ours}
    try:
        roots["upstream"] = clone(directory / "upstream", upstream)
    except BenchError as problem:
        left_out["upstream"] = str(problem)
    programs = []
    for entry in yaml.safe_load(CATALOG.read_text())["samples"]:
        if entry["source"] not in roots:
            continue
        name = entry["name"] if entry["source"] == "ours" else f"{entry['source']} {entry['name']}"
        try:
            path = build(entry, roots[entry["source"]])
        except BenchError as problem:
            left_out[name] = str(problem)
        else:
            programs.append(Program(name, path, entry))
    return programs, left_out


def clone(directory: Path, repository: str | None) -> Path:
    """Clone upstream's samples at the pinned commit; return the directory. Raises BenchError."""
    pins = yaml.safe_load(PINS.read_text())
    commit = pins["samples_git_commit"]
    for command in (
        ["clone", "--quiet", "--no-checkout", repository or pins["samples_git_url"], str(directory)],
        ["-C", str(directory), "checkout", "--quiet", "--detach", commit],
    ):
        try:
            answer = subprocess.run(
                ["git", *command],
                env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
                capture_output=True,
                text=True,
                timeout=CLONE_TIME,
            )
        except subprocess.TimeoutExpired as problem:
            raise BenchError(f"git {command[0]} took longer than {CLONE_TIME} s") from problem
        if answer.returncode:
            # git's first line is the error, later ones are hints.
            reason = (answer.stderr.strip().splitlines() or [f"git ended with {answer.returncode}"])[0]
            raise BenchError(f"{reason}; a clone on this computer can be named by UPSTREAM=FOLDER")
    return directory


def build(entry: dict, root: Path) -> Path:
    """Build one sample; return the executable. Raises BenchError."""
    directory = root / entry["directory"]
    try:
        answer = subprocess.run(
            entry["build"], cwd=directory, capture_output=True, text=True, timeout=BUILD_TIME
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise BenchError(f"it does not build: {problem}") from problem
    if answer.returncode:
        raise BenchError(f"it does not build: {(answer.stderr.strip().splitlines() or ['?'])[-1]}")
    return directory / "program"
