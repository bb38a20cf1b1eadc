"""The role's modules, imported as Ansible packs them: the role's own module_utils beside Ansible's."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

ROLE = Path(__file__).parents[3] / "roles/common"


@pytest.fixture
def load_module(monkeypatch):
    """Return a function that imports one of the role's modules by its name."""

    def load(name):
        for path in (ROLE / "module_utils").glob("*.py"):
            full = f"ansible.module_utils.{path.stem}"
            own = importlib.import_module(path.stem)
            monkeypatch.setitem(sys.modules, full, own)
            monkeypatch.setattr(
                importlib.import_module("ansible.module_utils"), path.stem, own, raising=False
            )
        spec = importlib.util.spec_from_file_location(f"module_{name}", ROLE / "library" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
