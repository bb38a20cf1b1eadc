"""A chart of the results, drawn by gnuplot: the ratios to the reference, by case."""

import subprocess
from pathlib import Path

from bench.errors import BenchError
from bench.rounds import Result, summary

#: Pixels of one panel, and number of panels side by side.
WIDTH, HEIGHT, COLUMNS = 720, 360, 2

#: A contender has the same colour in all panels. Paul Tol's muted scheme, for the colour-blind too.
COLOURS = [
    *("#332288", "#88ccee", "#44aa99", "#117733", "#999933"),
    *("#ddcc77", "#cc6677", "#882255", "#aa4499", "#888888"),
]


def draw(results: list[Result], file: Path) -> None:
    """Draw an SVG with a panel for each title. Raises BenchError when gnuplot fails."""
    answer = subprocess.run(["gnuplot"], input=script(results, file), capture_output=True, text=True)
    if answer.returncode:
        raise BenchError(f"gnuplot: {answer.stderr.strip()[-300:]}")


def script(results: list[Result], file: Path) -> str:
    """Return the gnuplot script."""
    titles = list(dict.fromkeys(result.case.title for result in results))
    columns = min(COLUMNS, len(titles))
    lines = -(-len(titles) // columns)
    size = f"{columns * WIDTH},{lines * HEIGHT}"
    parts = [
        f"set terminal svg size {size} background rgb 'white' font ',11' noenhanced",
        f"set output {_quoted(str(file))}",
        f"set multiplot layout {lines},{columns}",
        "set style data histograms",
        "set style histogram clustered gap 1.5",
        "set style fill solid 0.9 noborder",
        "set key outside right top reverse Left samplen 1 spacing 1.1",
        "set yrange [0:*]",
        "set grid ytics linecolor rgb '#dddddd'",
        "set xtics nomirror",
        "set ytics nomirror",
        "set border 3",
        "set bmargin 5",
    ]
    names = dict.fromkeys(name for result in results for name in result.case.contenders)
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    for number, title in enumerate(titles):
        panel = [result for result in results if result.case.title == title]
        parts += _panel(f"$panel{number}", panel, colours)
    return "\n".join([*parts, "unset multiplot", ""])


def _panel(block: str, results: list[Result], colours: dict[str, str]) -> list[str]:
    """Return one panel: a cluster per case, a bar per contender, a line for the reference."""
    case = results[0].case
    names = list(dict.fromkeys(name for result in results for name in result.case.contenders))
    others = [name for name in names if name != case.reference]
    if not others:
        return []
    rows = []
    for result in results:
        ratios = summary(result)
        values = [str((ratios.get(name) or {}).get("ratio") or "NaN") for name in others]
        label = result.case.label.replace(", ", "\\n").replace(" connection", "\\nconnection")
        rows.append(" ".join([_quoted(label, '"'), *values]))
    unit = "requests per second: more is better" if case.figure == "rate" else "time: less is better"
    bars = [
        f"{block} using {column}{':xtic(1)' if column == 2 else ''}"
        f" linecolor rgb '{colours[name]}' title {_quoted(name)}"
        for column, name in enumerate(others, 2)
    ]
    return [
        f"{block} << END",
        *rows,
        "END",
        f"set title {_quoted(f'{case.title}, compared with {case.reference}')}",
        f"set ylabel {_quoted(unit)}",
        f"plot {', '.join(bars)}, 1 with lines linecolor rgb 'black' title {_quoted(case.reference)}",
    ]


def _quoted(text: str, mark: str = "'") -> str:
    r"""Quote for gnuplot; within double quotes gnuplot interprets backslashes, such as \n."""
    return mark + text.replace("'", "''") + mark if mark == "'" else mark + text + mark
