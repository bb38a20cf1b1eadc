"""Fixtures for several unit tests: a mainline archive served on this computer."""

import os
from functools import partial

import pytest

from tests.mirror.archive import Mirror, Signer
from tests.mirror.run_module import run_module
from tests.mirror.server import serve


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
