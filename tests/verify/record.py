"""Record on which kernels the samples were judged, and with what result.

    python -m tests.verify.record reports/latest/junit.xml [...]

adds the results of verifications to judged.yml beside this file, and writes the table in samples/README.md
from it. A program's results on a kernel replace earlier ones on the same release.
"""

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import yaml

from tests.verify.expectation import CATALOG, label, version

JUDGED = Path(__file__).with_name("judged.yml")
README = CATALOG.with_name("README.md")

HEAD = """\
---
# On which kernels each program was judged, and the results of its cases: written by tests/verify/record.py
# from the JUnit reports of verifications.
"""

#: The table in README.md is between these lines.
BEGIN, END = "<!-- judged: written by tests/verify/record.py -->\n", "<!-- end -->\n"


def read_junit(text: str) -> dict[str, dict[str, dict[str, int]]]:
    """Count the results of the samples' cases in a JUnit report.

    Args:
        text: the report; the tests of a sample have the properties `kernel` and `sample`.

    Returns:
        By kernel and sample the numbers of cases: passed, known (expected failures), failed and skipped.

    """
    found = {}
    for case in ElementTree.fromstring(text).iter("testcase"):  # noqa: S314 - a report of our own
        given = {item.get("name"): item.get("value") for item in case.iter("property")}
        if "sample" not in given:
            continue
        counts = found.setdefault(given["kernel"], {}).setdefault(given["sample"], Counter())
        counts[result_of(case)] += 1
    return {
        kernel: {
            sample: {word: counts[word] for word in ("passed", "known", "failed", "skipped")}
            for sample, counts in samples.items()
        }
        for kernel, samples in found.items()
    }


def result_of(case: ElementTree.Element) -> str:
    """Return how a test case ended."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped")
    if skipped is None:
        return "passed"
    return "known" if skipped.get("type") == "pytest.xfail" else "skipped"


def table(judged: dict[str, dict[str, dict[str, int]]], samples: list[dict]) -> str:
    """Return the table of the programs and the kernels that they were judged on, the oldest first."""
    kernels = sorted(judged, key=version)
    rows = [["program", *kernels], ["---"] * (len(kernels) + 1)]
    for sample in samples:
        name = sample["name"] if sample["source"] == "ours" else f"upstream's {sample['name']}"
        rows.append([name, *(cell(judged[kernel].get(label(sample))) for kernel in kernels)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def cell(counts: dict[str, int] | None) -> str:
    """Return the text for the results of a program on a kernel."""
    if counts is None:
        return "not judged"
    parts = [f"{counts['passed']} passed"]
    parts += [f"{counts['known']} known"] if counts["known"] else []
    parts += [f"**{counts['failed']} failed**"] if counts["failed"] else []
    return ", ".join(parts)


def with_table(readme: str, text: str) -> str:
    """Return the README with its table replaced."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{text}{END}{after}"


def main(paths: list[str]) -> None:
    """Add the results of JUnit reports."""
    judged = yaml.safe_load(JUDGED.read_text()) if JUDGED.exists() else {}
    for path in paths:
        for kernel, samples in read_junit(Path(path).read_text()).items():
            judged.setdefault(kernel, {}).update(samples)
    JUDGED.write_text(HEAD + yaml.safe_dump(judged, default_flow_style=None, sort_keys=True, width=110))
    samples = yaml.safe_load(CATALOG.read_text())["samples"]
    README.write_text(with_table(README.read_text(), table(judged, samples)))


if __name__ == "__main__":
    main(sys.argv[1:])
