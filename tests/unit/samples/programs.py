"""Our samples, built for the tests that run them, and data to run them on."""

import ctypes
import functools
import os
import platform
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

SAMPLES = Path(__file__).parents[3] / "samples"
CATALOG = yaml.safe_load((SAMPLES / "catalog.yml").read_text())["samples"]
OURS = [sample for sample in CATALOG if sample["source"] == "ours"]

#: A file that is shorter than its stated size (4096), on any Linux.
SYS_FILE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def binary(size: int) -> bytes:
    """Return `size` random bytes, the same ones each time."""
    return random.Random(size).randbytes(size)  # noqa: S311 (test data, not a secret)


def io_uring_setup() -> int:
    """Set up a ring by the system call; return 0 or the error number."""
    libc = ctypes.CDLL(None, use_errno=True)
    ring = libc.syscall(425, 4, ctypes.create_string_buffer(120))
    if ring < 0:
        return ctypes.get_errno()
    os.close(ring)
    return 0


@functools.cache
def _build_directory() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="uring-lab-samples-")


@functools.cache
def program(name: str, *edit: str) -> Path:
    """Build one of our samples by the catalog's command with -Werror; return the executable.

    edit: pairs of a text that occurs once in its sources, and its replacement.
    Skips the calling test if the compiler, LuaJIT, liburing's headers or io_uring is missing.
    """
    sample = next(sample for sample in OURS if sample["name"] == name)
    compiled = sample["build"][0] == "cc"
    tool, package = ("cc", "gcc") if compiled else ("luajit", "luajit")
    if not shutil.which(tool):
        pytest.skip(f"no {tool}: install {package}")
    if platform.machine() not in sample.get("architectures", [platform.machine()]):
        pytest.skip(f"{name} runs only on {', '.join(sample['architectures'])}, this is {platform.machine()}")
    if "-luring" in sample["build"] and not Path("/usr/include/liburing.h").exists():
        pytest.skip("no liburing headers: install liburing-dev")
    if sample["io_uring"] and (error := io_uring_setup()):
        pytest.skip(f"this machine refuses io_uring: {os.strerror(error)}")
    # Copy all samples, because 08 uses a file of 05.
    root = Path(tempfile.mkdtemp(dir=_build_directory().name))
    shutil.copytree(SAMPLES, root, ignore=shutil.ignore_patterns("program"), dirs_exist_ok=True)
    directory = root / sample["directory"]
    for old, new in zip(edit[::2], edit[1::2], strict=True):
        sources = {file: file.read_text() for file in directory.iterdir() if file.is_file()}
        found = [file for file, text in sources.items() for _ in range(text.count(old))]
        assert len(found) == 1, f"{old!r} has to occur once in the sources of {name}"
        found[0].write_text(sources[found[0]].replace(old, new))
    build = [*sample["build"], "-Werror"] if compiled else sample["build"]
    build = subprocess.run(build, cwd=directory, capture_output=True, text=True)
    assert build.returncode == 0, build.stderr
    return directory / "program"
