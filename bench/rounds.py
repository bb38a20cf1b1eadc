"""The arithmetic of a side-by-side measurement: whose turn it is, medians, ratios, rounds won."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.errors import BenchError

#: What one turn of a contender gave, by the figure's name; the units are the case's business.
Figures = dict[str, float]


@dataclass(frozen=True)
class Case:
    """Contenders that do the same work.

    title, label: what is done; cases of the same title stand side by side in the chart
    reference: the contender that the others are compared with
    figure: the one that is compared: `rate` (requests per second: more is better) or `time` (seconds)
    contenders: what runs one turn of each; it raises BenchError when that went wrong
    """

    title: str
    label: str
    reference: str
    figure: str
    contenders: dict[str, Callable[[], Figures]]

    @property
    def name(self) -> str:
        """Return the case's whole name."""
        return f"{self.title}, {self.label}"


@dataclass
class Result:
    """What was measured in a case: for each contender a list with one entry a round; why others have none."""

    case: Case
    rounds: dict[str, list[Figures]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def order(names: Sequence[str], number: int) -> list[str]:
    """Say in which order the contenders have their turns in a round.

    Two rounds go forth and back, the next two begin with the next contender: nobody always follows the same.
    """
    start = number // 2 % len(names)
    turned = [*names[start:], *names[:start]]
    return turned[::-1] if number % 2 else turned


def measure(case: Case, count: int, progress: Callable[[str], None]) -> Result:
    """Run a round to warm up, and `count` more that are kept.

    A contender that fails is left out from then on, with its reason: half of its rounds compare with nothing.
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
    """Summarize a result, contender by contender.

    Returns:
        Of each figure the median; `ratio`: that of the compared figure, divided by the reference's; likewise
        `cpu_ratio` and, for servers, `p99_ratio`; `won`: in how many rounds it did better than the reference.
        These are None where the reference failed. A contender without a round is missing.

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
