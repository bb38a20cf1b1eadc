"""How the programs of a host are judged: in which order, how many at a time, and what is kept."""

import json
import threading
import time
from types import SimpleNamespace

import pytest

from tests.verify import judging, remote

CASE = json.dumps({"case": "size 0", "ok": True, "found": "0 bytes"})


def sample(name, contract="cat"):
    return {"name": name, "source": "ours", "contract": contract, "known_faults": {}}


class FakeHost:
    """Answers each judge by one result, and remembers how many were at work at once."""

    def __init__(self, monkeypatch, answer=CASE, together=1):
        self.commands = []
        self.backend = SimpleNamespace(hostname="box", quote=lambda text, *_: text)
        self._answer = answer
        self._together = threading.Barrier(together, timeout=10)
        monkeypatch.setattr(remote, "run", self.run)

    def run(self, _, command):
        """Stand in for remote.run."""
        self.commands.append(command)
        self._together.wait()
        answer = self._answer
        if "verdict" in command:
            answer = f"verdict {answer}"
        return SimpleNamespace(stdout=answer, stderr="", rc=0)


def test_files_a_web_server_and_another_program_are_judged_beside_each_other(monkeypatch):
    """Each waits for the others here."""
    host = FakeHost(monkeypatch, together=3)
    samples = [sample("cat"), sample("server", "webserver"), sample("echo", "echo")]
    with judging.Judging(host, "6.1.0", None) as judged:
        for one in samples:
            judged.begin(one, "/program")
        assert all(judged.verdicts(one).good("size 0") for one in samples)


def test_a_program_is_judged_once(monkeypatch):
    host = FakeHost(monkeypatch)
    with judging.Judging(host, "6.1.0", None) as judged:
        for _ in range(3):
            judged.begin(sample("cat"), "/program")
        assert judged.verdicts(sample("cat")) is judged.verdicts(sample("cat"))
    assert len(host.commands) == 1


def test_a_judge_beside_a_web_server_has_processes_of_its_own(monkeypatch):
    host = FakeHost(monkeypatch)
    with judging.Judging(host, "6.1.0", None) as judged:
        for name, contract in (("cat", "cat"), ("echo", "echo"), ("server", "webserver")):
            judged.begin(sample(name, contract), "/program")
            judged.verdicts(sample(name, contract))
    assert ["LimitNPROC=128" in command for command in host.commands] == [True, True, False]


def test_a_judge_that_says_nothing_is_an_error(monkeypatch):
    with judging.Judging(FakeHost(monkeypatch, answer=""), "6.1.0", None) as judged:
        judged.begin(sample("cat"), "/program")
        with pytest.raises(remote.CheckError, match="box: a check ended with exit status 0"):
            judged.verdicts(sample("cat"))


def test_what_has_not_begun_at_the_end_is_left(monkeypatch):
    """After Ctrl-C, or where all tests that are left were told to stop."""
    host = FakeHost(monkeypatch, together=2)
    with judging.Judging(host, "6.1.0", None) as judged:
        for name in "abc":
            judged.begin(sample(name), "/program")
        while not host.commands:
            time.sleep(0.01)
    host.run(None, "the first one ends")
    time.sleep(0.3)  # enough for another to begin
    assert len(host.commands) == 2
