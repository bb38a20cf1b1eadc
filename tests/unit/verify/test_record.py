"""The record of the kernels that the samples were judged on."""

import yaml

from tests.verify import expectation, record


def case(sample, result):
    """Return a test case as pytest writes it."""
    given = f'<property name="kernel" value="5.6.4-1"/><property name="sample" value="{sample}"/>'
    return f"<testcase><properties>{given}</properties>{result}</testcase>"


JUNIT = "".join(
    (
        "<testsuites><testsuite><testcase/>",
        case("ours/x", ""),
        case("ours/x", '<skipped type="pytest.xfail" message="known"/>'),
        case("ours/x", '<skipped type="pytest.skip" message="too slow"/>'),
        case("ours/y", '<failure message="no"/>'),
        "</testsuite></testsuites>",
    )
)

SAMPLES = [
    {"source": "ours", "name": "x"},
    {"source": "ours", "name": "y"},
    {"source": "upstream", "name": "z"},
]


def test_results_are_counted_by_kernel_and_sample():
    assert record.read_junit(JUNIT) == {
        "5.6.4-1": {
            "ours/x": {"passed": 1, "known": 1, "failed": 0, "skipped": 1},
            "ours/y": {"passed": 0, "known": 0, "failed": 1, "skipped": 0},
        }
    }


def test_the_table_has_the_oldest_kernel_first():
    judged = record.read_junit(JUNIT) | {"5.10.0-37": {}}
    assert record.table(judged, SAMPLES) == (
        "| program | 5.6.4-1 | 5.10.0-37 |\n"
        "| --- | --- | --- |\n"
        "| x | 1 passed, 1 known | not judged |\n"
        "| y | 0 passed, **1 failed** | not judged |\n"
        "| upstream's z | not judged | not judged |\n"
    )


def test_the_table_in_the_readme_is_the_record():
    judged, samples = yaml.safe_load(record.JUDGED.read_text()), expectation.read_catalog()
    readme = record.README.read_text()
    assert record.with_table(readme, record.table(judged, samples)) == readme, "run tests/verify/record.py"


def test_the_least_kernel_of_a_program_is_the_oldest_on_which_it_passed():
    judged = yaml.safe_load(record.JUDGED.read_text())
    for sample in expectation.read_catalog():
        results = {kernel: samples.get(expectation.label(sample)) for kernel, samples in judged.items()}
        good = [
            expectation.version(kernel)
            for kernel, counts in results.items()
            if counts and not counts["failed"]
        ]
        stated = [expectation.version(sample["least_kernel"])] if "least_kernel" in sample else []
        assert stated == sorted(good)[:1], expectation.label(sample)
