"""The results of a judge, compared with what is expected of a sample on this kernel."""

import warnings

import pytest

from tests.verify import remote
from tests.verify.expectation import known_faults, label
from tests.verify.remote import name

PROVISION = "run the provisioning again and read the samples step's message"

SANDBOX = "/opt/uring-lab/sandbox"


class Verdicts:
    """The results of a judge; for a web server also what was seen from outside.

    Args:
        host: the host.
        sample: its entry in the catalog, and the `kernel` that runs.
        path: of the program on the host.
        lines: the judge's output.
        result: the result of the command that ran the judge.

    Raises:
        remote.CheckError: the judge printed no result.

    """

    def __init__(self, host, sample, path, lines, result):
        self._sample = f"{name(host)}: {label(sample)}"
        self._known = known_faults(sample, sample["kernel"])
        self._path = path
        self._cases = {}
        for line in lines:
            verdict = remote.read_json(host, line, result)
            self._cases[verdict["case"]] = verdict
        if not self._cases:
            remote.read_json(host, "", result)
        # A judge that was killed (after five minutes) leaves cases without a result.
        said = (result.stderr.strip() or "nothing").splitlines()[-1]
        missing = f"that it was not tried: the judge ended with exit status {result.rc}, saying: {said}"
        self._missing = {"ok": False, "found": missing}
        self.outside = {}

    def found(self, case):
        """Return what was found in a case."""
        return self._cases.get(case, self._missing)["found"]

    def good(self, case):
        """Return whether a case passed; skip the test, with the reason, if it could not be run."""
        good = self._cases.get(case, self._missing)["ok"]
        if good is None:
            pytest.skip(f"{self._sample}, {case}: not tried: {self.found(case)}")
        return good

    def check(self, case, expected):
        """Compare a case with what is expected, and with the catalog's known faults.

        A known fault of this kernel is an expected failure with its description. If it has disappeared, the
        catalog is outdated: a warning, not a failure of the host.
        """
        good, fault = self.good(case), self._known.get(case)
        if fault and good:
            warnings.warn(
                f"{self._sample}, {case}: fixed ({fault}): samples/catalog.yml is out of date", stacklevel=2
            )
        elif fault:
            pytest.xfail(f"known fault: {fault} (found {self.found(case)})")
        assert good, (
            f"{self._sample}, {case}: expected {expected}, found {self.found(case)}: try it by hand "
            f"(sudo {SANDBOX} {self._path}), or {PROVISION}"
        )
