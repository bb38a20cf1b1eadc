"""An image is built once for the same inputs, and is complete or absent."""

import dataclasses
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lab import archive, image, lock


@pytest.fixture
def suite():
    return archive.suite("bookworm")


def test_a_key_changes_with_each_input(suite, monkeypatch):
    sources = archive.sources(suite, [])
    keys = {image.key(suite, sources)}
    keys.add(image.key(dataclasses.replace(suite, name="trixie"), sources))
    keys.add(image.key(dataclasses.replace(suite, kernel="linux-image-amd64"), sources))
    keys.add(image.key(suite, sources[:1]))
    monkeypatch.setattr(image, "PACKAGES", (*image.PACKAGES, "strace"))
    keys.add(image.key(suite, sources))
    monkeypatch.setattr(image, "FORMAT", image.FORMAT + 1)
    keys.add(image.key(suite, sources))
    monkeypatch.setattr(image.disk, "ROOT_MIB", image.disk.ROOT_MIB + 1)
    keys.add(image.key(suite, sources))
    assert len(keys) == 7


def test_a_key_is_the_same_for_the_same_inputs(suite):
    assert image.key(suite, ["a"]) == image.key(suite, ["a"])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(archive, "trusted_targets", list)
    return tmp_path


def test_an_image_is_built_once(cache, suite, monkeypatch):
    built = []

    def build(suite, directory):
        built.append(suite.name)
        (directory / "root.tar").write_text("root")

    monkeypatch.setattr(image, "_build_root", build)
    assert image.root(suite) == image.root(suite)
    assert built == ["bookworm"]


@pytest.mark.parametrize(
    ("name", "keyring", "kernel"),
    [
        ("trixie", "/usr/share/keyrings/debian-archive-keyring.gpg", "linux-image-cloud-amd64"),
        ("resolute", "/usr/share/keyrings/ubuntu-archive-keyring.gpg", "linux-image-virtual"),
    ],
)
def test_mmdebstrap_verifies_a_release_by_the_keys_of_its_distribution(
    cache, monkeypatch, name, keyring, kernel
):
    """Its own choice would be the keys of this computer's distribution."""
    commands = []

    def run(command, **options):
        commands.append(command)
        Path(command[command.index(name) + 1]).write_text("root")

    monkeypatch.setattr(image, "run", run)
    monkeypatch.setattr(image, "need", str)
    image.root(archive.suite(name))
    (command,) = commands
    sources = command[command.index(name) + 2 :]
    assert len(sources) == 3
    assert all(line.startswith(f"deb [signed-by={keyring}] http://") for line in sources)
    (include,) = [argument for argument in command if argument.startswith("--include=")]
    assert include.endswith(f",{kernel}")


@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError])
def test_a_build_that_ends_early_leaves_nothing(cache, suite, monkeypatch, fault):
    def build(suite, directory):
        (directory / "root.tar").write_text("half")
        raise fault

    monkeypatch.setattr(image, "_build_root", build)
    with pytest.raises(fault):
        image.root(suite)
    assert not [path for path in cache.rglob("*") if not path.is_dir()]
    assert not list(cache.rglob("*.partial"))


def test_the_remains_of_a_killed_build_are_removed(cache, suite, monkeypatch):
    monkeypatch.setattr(
        image, "_build_root", lambda suite, directory: (directory / "root.tar").write_text("whole")
    )
    directory = cache / "uring-lab/images" / f"bookworm-{image.key(suite, archive.sources(suite, []))}"
    (directory / "root.tar.partial").mkdir(parents=True)
    (directory / "root.tar.partial/root.tar").write_text("half")
    assert image.root(suite).read_text() == "whole"


def test_builds_at_the_same_time_build_only_once(cache, suite, monkeypatch):
    built = []

    def build(suite, directory):
        time.sleep(0.1)
        built.append(suite.name)
        (directory / "root.tar").write_text("root")

    monkeypatch.setattr(image, "_build_root", build)
    threads = [threading.Thread(target=image.root, args=(suite,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == ["bookworm"]


def test_a_lock_ends_with_its_holder(tmp_path):
    directory = tmp_path / "machine"
    code = f"import lab.lock, pathlib, os\nwith lab.lock.held(pathlib.Path({str(directory)!r})): os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with lock.held(directory):
        pass
    assert list(directory.iterdir()) == []
