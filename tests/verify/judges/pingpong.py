"""Judge of the contract `pingpong`: `program COUNT` prints a table of the ways to wait for completions.

First a line with the columns' names, then one for each of WAYS in their order: the way, round trips, system
calls, sleeps, and the microseconds of a round trip, of which AT_ONCE are under way at once. A way that cannot
be tried here has a line of the way, "left out: " and the reason.

Arguments: the program, then the cases to run (default: all).
"""

import os
import re
import subprocess
import sys
import time

from tests.verify.judges.common import (
    TIMEOUT,
    Cases,
    deny_io_uring,
    quote,
    run,
    scratch,
    tell_status,
)

CASES = Cases()

#: The ways, and the Linux that brought each; None: it may be left out on any, for want of privileges.
WAYS = {
    "one": (5, 6),
    "all": (5, 6),
    "time-out": (5, 11),
    "min-wait": (6, 12),
    "registered": (6, 13),
    "SQPOLL": None,
}

COLUMNS = ["way", "round trips", "calls", "sleeps", "us each"]

#: Round trips of each way (few, because under emulation one takes milliseconds), and how many at once.
COUNT = 400
AT_ONCE = 4

#: A line with figures, and one without.
FIGURES = re.compile(r"(\S+) +(\d+) +(\d+) +(\d+) +(\d+\.\d+)")
LEFT_OUT = re.compile(r"(\S+) +left out: (.*\S)")


class Table:
    """What the program printed, and how it ended."""

    def __init__(self, program, count=COUNT, preexec=None):
        start = time.monotonic()
        process = subprocess.Popen(
            [program, str(count)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=preexec,
        )
        self.group = process.pid
        try:
            output, self.errors = process.communicate(timeout=TIMEOUT * 4)
            self.status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            output, self.errors = process.communicate()
            self.status = None
        #: Seconds that it ran.
        self.seconds = time.monotonic() - start
        lines = output.decode("ascii", "replace").splitlines()
        self.columns = re.split("  +", lines[0].strip()) if lines else []
        #: By the way: its round trips, calls, sleeps and microseconds; or the reason why it is left out.
        self.figures, self.reasons = {}, {}
        #: The ways in the order of their lines; a line that is neither is itself.
        self.order = []
        for line in lines[1:]:
            figures, left_out = FIGURES.fullmatch(line), LEFT_OUT.fullmatch(line)
            self.order.append((figures or left_out).group(1) if figures or left_out else line)
            if figures:
                self.figures[figures.group(1)] = [float(number) for number in figures.groups()[1:]]
            elif left_out:
                self.reasons[left_out.group(1)] = left_out.group(2)

    def __str__(self):
        text = f"{tell_status(self.status)}, {len(self.figures)} of {len(WAYS)} ways"
        text += "".join(f", {way} left out: {reason}" for way, reason in self.reasons.items())
        return text + quote(self.errors)

    def check(self, right):
        """Return whether `right` holds for each way with figures, and what was found."""
        wrong = [way for way, numbers in self.figures.items() if way in WAYS and not right(way, *numbers)]
        good = self.status == 0 and bool(self.figures) and not wrong
        return good, f"{self}; wrong: {', '.join(wrong)}" if wrong else str(self)


@CASES.case("complete", "the columns, a line for each way in its order, no messages and exit status 0")
def complete(program):
    """Who compares ways has to see each of them, or why not."""
    table = Table(program)
    good = table.status == 0 and table.columns == COLUMNS and table.order == list(WAYS) and not table.errors
    return good, str(table)


@CASES.case("none left out", "figures for each way that this kernel has")
def none_left_out(program):
    """A program that leaves out what it could measure says nothing, and looks right."""
    table = Table(program)
    release = tuple(int(number) for number in re.findall(r"\d+", os.uname().release)[:2])
    missing = [way for way, since in WAYS.items() if since and since <= release and way not in table.figures]
    return not missing, f"{table}; without figures: {', '.join(missing)}" if missing else str(table)


def all_made(count):
    """Return a check of the round trips: so many, or as many as two seconds allowed."""
    return lambda way, trips, calls, sleeps, each: (
        trips == count or (0 < trips < count and trips * each / AT_ONCE > 2e6)
    )


@CASES.case("count", f"{COUNT} round trips of each way, and 10 if so many are asked for")
def count(program):
    """The number is the user's to choose: it decides how long the program takes."""
    good, found = Table(program).check(all_made(COUNT))
    return Table(program, 10).check(all_made(10)) if good else (good, found)


@CASES.case("calls", "with `one` at most a call for a round trip, with `all` hardly more than one for four")
def calls(program):
    """Fewer calls are what waiting for several is for. With a time-out each that passes adds one."""

    def right(way, trips, made, sleeps, each):
        fewest = trips // AT_ONCE
        if way == "one":
            return fewest <= made <= trips + AT_ONCE
        return way == "SQPOLL" or fewest <= made <= (1.5 * fewest if way == "all" else trips + AT_ONCE)

    return Table(program).check(right)


@CASES.case("sleeps", "hardly any with SQPOLL, and some with `all`")
def sleeps(program):
    """A wait that never sleeps did not wait; and who looks all the time does not sleep."""
    return Table(program).check(
        lambda way, trips, calls, slept, each: slept < 20 if way == "SQPOLL" else way != "all" or slept > 0
    )


@CASES.case("time", "times over 0 that together are no more than it ran")
def times(program):
    """A figure that cannot be is worse than none."""
    table = Table(program)
    good, found = table.check(lambda way, trips, calls, sleeps, each: each > 0)
    total = sum(numbers[0] * numbers[3] for numbers in table.figures.values()) / AT_ONCE / 1e6
    return good and total <= table.seconds, f"{found}; together {total:.3f} s of {table.seconds:.3f} s"


@CASES.case("no process left", "its other process to end with it, also when it is killed")
def no_process_left(program):
    """A process that is left behind takes a place until the machine is restarted."""
    table = Table(program)
    killed = subprocess.Popen([program, "1000000"], stdout=subprocess.DEVNULL, start_new_session=True)
    time.sleep(0.5)
    killed.kill()
    killed.wait()
    left = [group for group in (table.group, killed.pid) if outlives(group)]
    return table.status == 0 and not left, f"{table}; {len(left)} processes left"


def outlives(group):
    """Return whether a process of this group still runs after two seconds; kill it then."""
    end = time.monotonic() + 2
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    os.killpg(group, 9)
    return True


@CASES.case("usage", "a message, no output and an exit status over 0 for a count that is none")
def usage(program):
    """A slip of the keyboard must not become an endless run."""
    for argument in ("0", "-1", "many", "1000001", "1 2"):
        outcome = run([program, *argument.split(" ")])
        if not (outcome.refused and outcome.same):
            return False, f"{argument}: {outcome}"
    return True, "refused"


@CASES.case("full device", "a message and an exit status over 0")
def full_device(program):
    """Output that could not be written is an error, even if it is reported only at the end."""
    with open("/dev/full", "wb") as full:
        outcome = run([program, str(COUNT)], output=full, seconds=TIMEOUT * 4)
    return outcome.refused, str(outcome)


@CASES.case("io_uring denied", "it to work, or to end with a message, no output and an exit status over 0")
def io_uring_denied(program):
    """Many hosts deny io_uring, and a program has to report that."""
    table = Table(program, preexec=deny_io_uring)
    refused = bool(table.status) and table.status > 0 and bool(table.errors) and not table.columns
    return refused or (table.status == 0 and bool(table.figures)), str(table)


@CASES.case("without io_uring", "figures where io_uring is denied")
def without_io_uring(program):
    """A program that uses io_uring fails this case."""
    table = Table(program, preexec=deny_io_uring)
    return table.status == 0 and bool(table.figures), str(table)


if __name__ == "__main__":
    with scratch():
        CASES.judge(sys.argv[1], sys.argv[2:])
