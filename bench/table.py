"""The results as text: a table per case for the terminal, and tables of ratios in Markdown."""

from bench.rounds import Result, summary

#: Heading, figure, factor from its unit to the column's, decimal places.
COLUMNS = {
    "rate": [
        ("requests/s", "rate", 1, 0),
        ("p99 ms", "p99", 1e3, 2),
        ("CPU µs/request", "cpu", 1e6, 1),
        ("wrk's CPU µs", "wrk_cpu", 1e6, 1),
        ("MiB", "memory", 2**-20, 1),
    ],
    "time": [("ms", "time", 1e3, 1), ("CPU ms", "cpu", 1e3, 1)],
}


def terminal(result: Result) -> str:
    """Format one case as a table."""
    case = result.case
    columns = COLUMNS[case.figure]
    width = max(map(len, case.contenders))
    lines = [
        case.name,
        " " * (width + 2)
        + "".join(f"{heading:>16}" for heading, *_ in columns)
        + f"{'/ ' + case.reference:>26}   won",
    ]
    rows = summary(result)
    for name in case.contenders:
        if name in result.failed:
            lines.append(f"  {name:{width}}  left out: {'; '.join(result.failed[name].splitlines())}")
            continue
        if name not in rows:
            continue
        row = rows[name]
        line = f"  {name:{width}}"
        for _, figure, factor, places in columns:
            line += f"{row[figure] * factor:16,.{places}f}"
        if row["ratio"] is not None:
            line += f"{row['ratio']:26.2f}"
            if name != case.reference:
                line += f"   {row['won']:.0f} of {len(result.rounds[name])}"
        lines.append(line)
    return "\n".join(lines)


def markdown(results: list[Result]) -> str:
    """Format the ratios of all cases, a table per title: a row per contender, a column per case."""
    parts = []
    for title in dict.fromkeys(result.case.title for result in results):
        shown = [result for result in results if result.case.title == title]
        summaries = [summary(result) for result in shown]
        parts.append(f"| {title} | " + " | ".join(result.case.label for result in shown) + " |")
        parts.append("| --- |" + " --- |" * len(shown))
        for name in dict.fromkeys(name for result in shown for name in result.case.contenders):
            cells = [
                _cell(name, result, rows.get(name)) for result, rows in zip(shown, summaries, strict=True)
            ]
            parts.append(f"| {name} | " + " | ".join(cells) + " |")
        parts.append("")
    return "\n".join(parts)


def _cell(name: str, result: Result, row: dict[str, float | None] | None) -> str:
    """Format ratio, rounds won, and the ratios of p99 and CPU; for the reference its own figure."""
    if row is None or row["ratio"] is None:
        return "failed" if name in result.failed else ""
    if name == result.case.reference:
        _, figure, factor, places = COLUMNS[result.case.figure][0]
        unit = {"rate": "/s", "time": " ms"}[result.case.figure]
        return f"{row[figure] * factor:,.{places}f}{unit}"
    cell = f"{row['ratio']:.2f} ({row['won']:.0f}/{len(result.rounds[name])})"
    if row["p99_ratio"] is not None:
        cell += f", p99 {row['p99_ratio']:.2f}"
    return f"{cell}, CPU {row['cpu_ratio']:.2f}"
