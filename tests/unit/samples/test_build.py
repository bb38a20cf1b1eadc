"""The catalog is valid, and our samples are built from it without a warning and are formatted."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.samples.programs import CATALOG, OURS, SAMPLES, program
from tests.verify import judges
from tests.verify.expectation import known_faults

NAMES = [
    "01_regular_cat",
    "02_cat_uring",
    "03_cat_liburing",
    "04_cp_liburing",
    "05_webserver_liburing",
]
#: The fields that every entry must have, and may have. A web server also has `public`.
FIELDS = {
    "name": str,
    "source": str,
    "directory": str,
    "build": list,
    "contract": str,
    "io_uring": bool,
    "known_faults": dict,
}
VERSION = r"\d+(\.\d+){1,2}"
OPTIONAL = {
    "packages": list,
    "architectures": list,
    "http": str,
    "least_kernel": str,
    "needs_linux": str,
}


@pytest.mark.parametrize("name", NAMES)
def test_our_sample_builds_without_a_warning(name):
    assert program(name).stat().st_mode & 0o111


@pytest.mark.parametrize("sample", CATALOG, ids=lambda sample: f"{sample['source']}-{sample['name']}")
def test_catalog_entry_is_complete_and_typed(sample):
    wanted = FIELDS | ({"public": str} if sample["contract"] == "webserver" else {})
    assert wanted.keys() <= sample.keys() <= (wanted | OPTIONAL).keys()
    for field, kind in (wanted | OPTIONAL).items():
        if field not in sample:
            continue
        assert isinstance(sample[field], kind), f"{field}: {sample[field]!r}"
    assert sample["contract"] in {"cat", "cp", "webserver", "echo", "fetch", "cksum", "pingpong"}
    for field in {"least_kernel", "needs_linux"} & sample.keys():
        assert re.fullmatch(VERSION, sample[field]), "a version in quotes, or YAML reads 5.10 as 5.1"
    faults = sample["known_faults"]
    bound = [fault for fault in faults.values() if not isinstance(fault, str)]
    for fault in bound:
        assert {"fault"} < fault.keys() <= {"fault", "from", "before"}
        assert all(re.fullmatch(VERSION, fault[word]) for word in fault.keys() - {"fault"})
    for text in [
        *sample["build"],
        *sample.get("packages", []),
        *sample.get("architectures", []),
        *faults,
        *known_faults(sample).values(),
    ]:
        assert isinstance(text, str)
        assert "\n" not in text
    assert "program" in sample["build"]
    assert faults.keys() <= judges.cases(sample).keys(), "known_faults has unknown cases"


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
