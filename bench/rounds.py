"""The arithmetic of a comparison: order of the turns, medians, ratios, rounds won."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.errors import BenchError

#: The results of one turn, by the figure's name; the case defines the units.
Figures = dict[str, float]


@dataclass(frozen=True)
class Case:
    """Contenders that do the same work.

    title, label: the name of the case; cases with the same title share a panel of the chart
    reference: the contender that the others are compared with
    figure: the compared one: `rate` (requests per second, more is better) or `time` (seconds, less is better)
    contenders: functions that run one turn; they raise BenchError on a failure
    """

    title: str
    label: str
    reference: str
    figure: str
    contenders: dict[str, Callable[[], Figures]]

    @property
    def name(self) -> str:
        """Return title and label."""
        return f"{self.title}, {self.label}"


@dataclass
class Result:
    """The measurements of a case: by contender one entry per round, or the reason of its failure."""

    case: Case
    rounds: dict[str, list[Figures]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def order(names: Sequence[str], number: int) -> list[str]:
    """Return the order of the turns in a round.

    Every second round is reversed, and every two rounds another contender is first, so that none always runs
    after the same one.
    """
    start = number // 2 % len(names)
    turned = [*names[start:], *names[:start]]
    return turned[::-1] if number % 2 else turned


def measure(case: Case, count: int, progress: Callable[[str], None]) -> Result:
    """Run a warm-up round, and `count` rounds that are kept.

    A contender that fails is left out completely, with its reason.
    """
    result = Result(case, {name: [] for name in case.contenders})
    for number in range(count + 1):
        for name in order(list(result.rounds), number):
            progress(f"{'warming up' if number == 0 else f'round {number} of {count}'}: {name}")
            try:
                figures = case.contenders[name]()
            except BenchError as problem:
                result.failed[name] = str(problem)
                del result.rounds[name]
                continue
            if number:
                result.rounds[name].append(figures)
        if case.reference not in result.rounds:
            break
    return result


def summary(result: Result) -> dict[str, dict[str, float | None]]:
    """Summarize a result by contender.

    Returns:
        The median of each figure; `ratio`: that of the compared figure divided by the reference's; likewise
        `cpu_ratio` and, for servers, `p99_ratio`; `won`: the number of rounds in which it was better than the
        reference. These are None if the reference failed. A contender without a round is missing.

    """
    case = result.case
    reference = result.rounds.get(case.reference)
    rows: dict[str, dict[str, float | None]] = {}
    for name, rounds in result.rounds.items():
        if not rounds:  # the reference failed before their first turn
            continue
        row: dict[str, float | None] = {figure: _median(rounds, figure) for figure in rounds[0]}
        row["ratio"] = row["p99_ratio"] = row["cpu_ratio"] = row["won"] = None
        if reference:
            row["ratio"] = row[case.figure] / _median(reference, case.figure)
            for other in {"p99", "cpu"} & row.keys():
                row[f"{other}_ratio"] = row[other] / _median(reference, other)
            pairs = zip(rounds, reference, strict=True)
            row["won"] = sum(
                (ours[case.figure] > theirs[case.figure])
                if case.figure == "rate"
                else (ours[case.figure] < theirs[case.figure])
                for ours, theirs in pairs
            )
        rows[name] = row
    return rows


def _median(rounds: list[Figures], figure: str) -> float:
    return statistics.median(one[figure] for one in rounds)
