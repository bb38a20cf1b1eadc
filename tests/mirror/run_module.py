"""Runs the module kernel_mainline in this process, a hundred times as fast as by Ansible."""

import contextlib
import importlib.util
import io
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from ansible.module_utils import basic

ROLE = Path(__file__).parents[2] / "roles" / "kernel"


def run_module(**parameters: Any) -> dict[str, Any]:
    """Run the module and return its result; on a failure it has `failed`."""
    said = io.StringIO()
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": parameters}).encode()
    with (
        mock.patch.object(basic, "_ANSIBLE_ARGS", arguments),
        # Needed from ansible-core 2.19 on: how the arguments are serialized.
        mock.patch.object(basic, "_ANSIBLE_PROFILE", "legacy", create=True),
        contextlib.redirect_stdout(said),
        contextlib.suppress(SystemExit),
    ):
        _module().main()
    return json.loads(said.getvalue())


def _module() -> ModuleType:
    """Import the module with the role's module_utils below ansible.module_utils, as Ansible packs it."""
    for path in (ROLE / "module_utils").glob("mainline*.py"):
        name = f"ansible.module_utils.{path.stem}"
        if name not in sys.modules:
            sys.modules[name] = importlib.import_module(path.stem)
    spec = importlib.util.spec_from_file_location("kernel_mainline", ROLE / "library" / "kernel_mainline.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
