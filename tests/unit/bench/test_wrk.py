"""Parsing wrk's output, and which results end a measurement."""

import json

import pytest

from bench import wrk
from bench.errors import BenchError

PROLOGUE = "Running 2s test @ http://127.0.0.1:8001/611.html\n  1 threads and 32 connections\n"


def output(**changes):
    seen = {
        "requests": 40000,
        "microseconds": 2000000,
        "bytes": 40000 * 800,
        "p99_microseconds": 1500,
        "errors": {"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0},
    }
    return PROLOGUE + json.dumps(seen | changes) + "\n"


def test_rate_and_p99_are_based_on_seconds():
    assert wrk.read(output(), 611) == {"rate": 20000, "p99": 0.0015, "requests": 40000}


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        (output(errors={"connect": 0, "read": 3, "timeout": 1}), "40000 requests: 3 of read, 1 of timeout"),
        (output(errors={"status": 40000}), "40000 of status"),
        (output(requests=0, bytes=0), "not one request"),
        (output(bytes=40000 * 610), "too short"),
        (PROLOGUE, "last line"),
        ("", "last line"),
    ],
)
def test_a_wrong_or_missing_result_ends_the_measurement(printed, reason):
    with pytest.raises(BenchError, match=reason):
        wrk.read(printed, 611)
