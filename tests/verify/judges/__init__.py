"""The judges of the samples: scripts that run on the host, inside the sandbox.

They reach the host through standard input, so nothing has to be copied there or cleaned up.
"""

from pathlib import Path

HERE = Path(__file__).parent


def source(contract: str) -> str:
    """Return one self-contained Python 3.6 script: the contract's judge with `common` as a module inside it.

    Args:
        contract: cat, cp or webserver, as in samples/catalog.yml.

    """
    return (
        "import sys, types\n"
        "common = sys.modules['common'] = types.ModuleType('common')\n"
        f"exec({(HERE / 'common.py').read_text()!r}, common.__dict__)\n"
        f"{(HERE / f'{contract}.py').read_text()}"
    )
