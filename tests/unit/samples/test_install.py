"""How the programs are built and installed on the host."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to build as another user")

BUILDER = "nobody"
HELLO = "#!/bin/sh\nid -un\n"


@pytest.fixture
def module(load_module):
    return load_module("samples", "sample_programs")


@pytest.fixture
def directory():
    """Make a directory that the builder may enter; those of pytest are root's alone."""
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture
def source(directory):
    """Make the builder's directory, with the sources of one program."""
    directory = directory / "source"
    (directory / "ours/hello/public/css").mkdir(parents=True)
    (directory / "ours/hello/hello.sh").write_text(HELLO)
    (directory / "ours/hello/public/css/page.css").write_text("p {}")
    for path in (directory, *directory.rglob("*")):
        shutil.chown(path, BUILDER)
    return directory


def program(name="hello", **changes):
    build = ["cp", "hello.sh", "program"]
    return {"name": name, "source": "ours", "directory": "hello", "build": build, **changes}


def test_a_program_is_built_as_the_builder_and_installed_as_roots(module, source, directory):
    told = ["sh", "-c", "id -un >by; cp hello.sh program"]
    made = module.make([program(build=told, public="hello/public")], source, directory / "to", BUILDER)
    path = directory / "to/ours/hello"
    assert (source / "ours/hello/by").read_text() == f"{BUILDER}\n"
    assert made == {
        "paths": [str(path)],
        "digests": [hashlib.sha256(HELLO.encode()).hexdigest()],
    }
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (0, 0o755)
    page = directory / "to/ours/public/css/page.css"
    assert (page.read_text(), page.stat().st_uid, page.stat().st_mode & 0o777) == ("p {}", 0, 0o644)


def test_nothing_is_installed_if_one_cannot_be_built(module, source, directory):
    failing = program("broken", build=["sh", "-c", "echo no such header; exit 3"])
    with pytest.raises(module.BuildError, match=r"broken: `sh .* ended with exit status 3:\nno such header"):
        module.make([program(), failing], source, directory / "to", BUILDER)
    assert not (directory / "to").exists()


def test_a_link_that_the_build_left_is_not_followed(module, source, directory):
    with pytest.raises(OSError, match="symbolic links"):
        module.make(
            [program(build=["ln", "-s", "/etc/shadow", "program"])], source, directory / "to", BUILDER
        )
    assert not (directory / "to/ours/hello").exists()


def test_an_earlier_program_is_replaced_whole(module, source, directory):
    for text in (HELLO, "#!/bin/sh\n"):
        (source / "ours/hello/hello.sh").write_text(text)
        module.make([program()], source, directory / "to", BUILDER)
    assert [path.name for path in (directory / "to/ours").iterdir()] == ["hello"]
    assert (directory / "to/ours/hello").read_text() == "#!/bin/sh\n"
