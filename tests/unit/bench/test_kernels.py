"""The samples on several kernels: ratios side by side, never rates."""

from bench.kernels import markdown


def row(ratio, won, cpu):
    return {"rate": 1234.0, "ratio": ratio, "won": won, "cpu_ratio": cpu, "rounds": 3}


def test_each_kernel_is_a_column_and_what_failed_is_said():
    found = {
        "5.6.4": {"611 B, 32": {"nginx": row(1, 0, 1), "05": row(0.5, 0, 2)}},
        "6.12.95": {"611 B, 32": {"nginx": row(1, 0, 1), "05": row(0.8, 1, 1.5), "09": row(2, 3, 0.4)}},
    }
    assert markdown(found).splitlines() == [
        "| 611 B, 32 | 5.6.4 | 6.12.95 |",
        "| --- | --- | --- |",
        "| nginx | 1.00 (0/3), CPU 1.00 | 1.00 (0/3), CPU 1.00 |",
        "| 05 | 0.50 (0/3), CPU 2.00 | 0.80 (1/3), CPU 1.50 |",
        "| 09 | failed | 2.00 (3/3), CPU 0.40 |",
    ]


def test_a_case_without_its_reference_has_no_ratio():
    found = {"5.6.4": {"611 B, 1": {"05": row(None, None, None)}}}
    assert "| 05 | failed |" in markdown(found)
