"""Fixtures for several unit tests: a mainline archive served on this computer."""

import importlib
import importlib.util
import os
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.mirror.archive import Mirror, Signer
from tests.mirror.run_module import run_module
from tests.mirror.server import serve

ROLES = Path(__file__).parents[2] / "roles"


@pytest.fixture
def load_module(monkeypatch):
    """Return a function that imports a role's module, with its module_utils below ansible.module_utils."""

    def load(role, name):
        for path in ROLES.glob("*/module_utils/*.py"):
            own = importlib.import_module(path.stem)
            monkeypatch.setitem(sys.modules, f"ansible.module_utils.{path.stem}", own)
            monkeypatch.setattr(
                importlib.import_module("ansible.module_utils"), path.stem, own, raising=False
            )
        path = ROLES / role / "library" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"module_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def signer():
    return Signer()


@pytest.fixture
def mirror(tmp_path, signer):
    return Mirror(tmp_path / "mainline", signer)


@pytest.fixture
def server(mirror, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    # Ansible loads all CA certificates for each request, which is slow; there is no TLS here.
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    with serve(mirror.root) as running:
        yield running


@pytest.fixture
def find(mirror, server):
    """Return a function that runs the module against that archive; parameters may be overridden."""
    return partial(run_module, url=server.url, key=str(mirror.key), fingerprint=mirror.fingerprint, timeout=5)
