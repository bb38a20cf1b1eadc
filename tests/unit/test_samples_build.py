"""The catalog is complete, and our samples build from it without a warning and are formatted."""

import ctypes
import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from tests.verify import judges

SAMPLES = Path(__file__).parents[2] / "samples"
CATALOG = yaml.safe_load((SAMPLES / "catalog.yml").read_text())["samples"]
OURS = [sample for sample in CATALOG if sample["source"] == "ours"]
NAMES = [
    "01_regular_cat",
    "02_cat_uring",
    "03_cat_liburing",
    "04_cp_liburing",
    "05_webserver_liburing",
]
#: What every entry has, and what it may have. A web server also says which folder it serves.
FIELDS = {
    "name": str,
    "source": str,
    "directory": str,
    "build": list,
    "contract": str,
    "io_uring": bool,
    "least_kernel": str,
    "known_faults": dict,
}
OPTIONAL = {"packages": list, "architectures": list, "http": str}


def io_uring_setup() -> int:
    """Try to make a ring without any library; return 0 or the error number."""
    libc = ctypes.CDLL(None, use_errno=True)
    ring = libc.syscall(425, 4, ctypes.create_string_buffer(120))
    if ring < 0:
        return ctypes.get_errno()
    os.close(ring)
    return 0


@functools.cache
def _build_folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="uring-lab-samples-")


@functools.cache
def program(name: str, *edit: str) -> Path:
    """Build one of our samples by the catalog's line, warnings being errors; return the executable.

    edit: a text that stands once in its sources, and what to put in its place, perhaps another such pair, and
    so on; nothing: as it is.
    Skips the calling test, saying why, where the compiler, LuaJIT, liburing's headers or io_uring is missing.
    """
    sample = next(sample for sample in OURS if sample["name"] == name)
    compiled = sample["build"][0] == "cc"
    tool, package = ("cc", "gcc") if compiled else ("luajit", "luajit")
    if not shutil.which(tool):
        pytest.skip(f"no {tool}: install {package}")
    if platform.machine() not in sample.get("architectures", [platform.machine()]):
        pytest.skip(
            f"{name} runs on {', '.join(sample['architectures'])} alone, this is {platform.machine()}"
        )
    if "-luring" in sample["build"] and not Path("/usr/include/liburing.h").exists():
        pytest.skip("no liburing headers: install liburing-dev")
    if sample["io_uring"] and (error := io_uring_setup()):
        pytest.skip(f"this machine refuses io_uring: {os.strerror(error)}")
    # All of them, since one may use a file of another's.
    root = Path(tempfile.mkdtemp(dir=_build_folder().name))
    shutil.copytree(SAMPLES, root, ignore=shutil.ignore_patterns("program"), dirs_exist_ok=True)
    folder = root / sample["directory"]
    for old, new in zip(edit[::2], edit[1::2], strict=True):
        sources = {file: file.read_text() for file in folder.iterdir() if file.is_file()}
        places = [file for file, text in sources.items() for _ in range(text.count(old))]
        assert len(places) == 1, f"{old!r} has to stand in the sources of {name} once"
        places[0].write_text(sources[places[0]].replace(old, new))
    build = [*sample["build"], "-Werror"] if compiled else sample["build"]
    build = subprocess.run(build, cwd=folder, capture_output=True, text=True)
    assert build.returncode == 0, build.stderr
    return folder / "program"


@pytest.mark.parametrize("name", NAMES)
def test_our_sample_builds_without_a_warning(name):
    assert program(name).stat().st_mode & 0o111


@pytest.mark.parametrize("source", ["ours", "upstream"])
def test_each_source_begins_with_the_five_programs_of_the_article(source):
    assert [sample["name"] for sample in CATALOG if sample["source"] == source][: len(NAMES)] == NAMES


@pytest.mark.parametrize("sample", CATALOG, ids=lambda sample: f"{sample['source']}-{sample['name']}")
def test_catalog_entry_is_complete_and_typed(sample):
    wanted = FIELDS | ({"public": str} if sample["contract"] == "webserver" else {})
    assert wanted.keys() <= sample.keys() <= (wanted | OPTIONAL).keys()
    for field, kind in (wanted | OPTIONAL).items():
        if field not in sample:
            continue
        assert isinstance(sample[field], kind), f"{field}: {sample[field]!r}"
    assert sample["contract"] in {"cat", "cp", "webserver"}
    assert re.fullmatch(r"\d+\.\d+", sample["least_kernel"]), "a version in quotes, or YAML reads 5.10 as 5.1"
    faults = sample["known_faults"]
    for text in [
        *sample["build"],
        *sample.get("packages", []),
        *sample.get("architectures", []),
        *faults,
        *faults.values(),
    ]:
        assert isinstance(text, str)
        assert "\n" not in text
    assert "program" in sample["build"]
    assert faults.keys() <= judges.cases(sample).keys(), "a fault has the name of a case of the judge"


@pytest.mark.parametrize("sample", OURS, ids=lambda sample: sample["name"])
def test_our_catalog_entry_points_at_files(sample):
    assert list((SAMPLES / sample["directory"]).glob("main.*"))
    assert (SAMPLES / sample.get("public", "")).is_dir()


def test_liburing_is_linked_exactly_where_it_is_used():
    for sample in OURS:
        sources = "".join(file.read_text() for file in (SAMPLES / sample["directory"]).glob("*.c"))
        assert ("-luring" in sample["build"]) == ("#include <liburing.h>" in sources), sample["name"]


@pytest.mark.parametrize("static", [False, True])
def test_makefile_builds_each_program_by_its_command_in_the_catalog(static):
    if not shutil.which("make"):
        pytest.skip("no make: install make")
    make = ["make", "--no-print-directory", "--dry-run", "--always-make", *["STATIC=1"] * static]
    done = subprocess.run(make, cwd=SAMPLES, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    commands = [line.split() for line in done.stdout.splitlines()]
    assert {words[1]: [word for word in words[3:] if word != "-static"] for words in commands} == {
        sample["directory"]: sample["build"] for sample in OURS if sample["build"][0] == "cc"
    }
    assert all(("-static" in words) == static for words in commands)


def test_our_c_is_formatted():
    formatter = Path(sys.executable).with_name("clang-format")
    if not formatter.exists():
        pytest.skip("no clang-format beside this Python: install the lint group of the lock file")
    files = sorted(SAMPLES.glob("*/*.[ch]"))
    assert files
    check = subprocess.run([formatter, "--dry-run", "--Werror", *files], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr
