"""The judges: one test script per contract, which runs on the host inside the sandbox.

The host's Python reads them from standard input, so nothing has to be copied there or cleaned up. On the
controller they are imported for the names of their cases.
"""

import importlib
from pathlib import Path
from types import ModuleType

#: The case that a program must fail to prove that it uses io_uring; not a part of its contract.
WITHOUT = "without io_uring"

HERE = Path(__file__).parent


def source(contract: str) -> str:
    """Return a contract's judge as one Python 3.6 script that contains the module `common`.

    Args:
        contract: as in samples/catalog.yml, such as cat.

    """
    common = f"{__name__}.common"
    return (
        "import sys, types\n"
        f"common = sys.modules[{common!r}] = types.ModuleType({common!r})\n"
        f"exec({(HERE / 'common.py').read_text()!r}, common.__dict__)\n"
        f"{(HERE / f'{contract}.py').read_text()}"
    )


def cases(sample: dict) -> dict[str, str]:
    """Return the cases of a sample: what is expected, by the name of the case.

    Args:
        sample: an entry of samples/catalog.yml.

    """
    judge = judge_of(sample)
    left_out = () if sample.get("http") == "1.1" else getattr(judge, "HTTP_1_1", ())
    return {case: text for case, text in judge.CASES.expected.items() if case not in (*left_out, WITHOUT)}


def reason(sample: dict, case: str) -> str:
    """Return why a case of a sample matters."""
    return judge_of(sample).CASES.reasons[case]


def judge_of(sample: dict) -> ModuleType:
    """Import the judge of a sample's contract."""
    return importlib.import_module(f"{__name__}.{sample['contract']}")
