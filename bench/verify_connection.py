"""Measure the verification's two connections, ssh and paramiko, side by side on one host.

Usage: python -m bench.verify_connection HOST --ssh-config FILE [--rounds 15] [--commands 17]
"""

import argparse
import functools
import statistics
import sys
import time

from bench.rounds import Case, Figures, Result, measure, summary
from tests.verify import connection


def main() -> int:
    """Measure, print a table, and return an exit status."""
    parser = argparse.ArgumentParser(
        description="Measure ssh against paramiko as connections of the verification."
    )
    parser.add_argument("host", help="the host, as the ssh configuration names it")
    parser.add_argument("--ssh-config", metavar="FILE", help="default: the user's own")
    parser.add_argument(
        "--rounds", type=int, default=15, help="how often each is measured (default: %(default)s)"
    )
    parser.add_argument(
        "--commands",
        type=int,
        default=17,
        help="commands per round, as in a verification (default: %(default)s)",
    )
    arguments = parser.parse_args()
    turns = {name: functools.partial(turn, name, arguments) for name in connection.CONNECTIONS}
    case = Case("verification", arguments.host, connection.CONNECTIONS[-1], "time", turns)
    try:
        result = measure(case, arguments.rounds, lambda detail: None)
    except connection.UnreachableError as problem:
        print(problem, file=sys.stderr)
        return 1
    show(result)
    return 0


def turn(name: str, arguments: argparse.Namespace) -> Figures:
    """Run one round over a new connection.

    Returns:
        `connected`: seconds for the connection and its first command; `time`: for the whole round.

    """
    with connection.control_directory() as directory:
        start = time.perf_counter()
        host = connection.open_host(arguments.host, name, arguments.ssh_config, directory)
        connection.reach(host)
        connected = time.perf_counter()
        for _ in range(arguments.commands - 1):
            host.run("cat /etc/os-release")
        end = time.perf_counter()
        connection.close_host(host)
    return {"connected": connected - start, "time": end - start}


def show(result: Result) -> None:
    """Print the medians, the spread, and how the two compare."""
    rows = summary(result)
    for name, rounds in result.rounds.items():
        first = rows[name]["connected"]
        quartiles = statistics.quantiles((one["time"] for one in rounds), n=4)
        print(
            f"{name:9} median {rows[name]['time'] * 1000:6.0f} ms per round"
            f" (half of them between {quartiles[0] * 1000:.0f} and {quartiles[2] * 1000:.0f}),"
            f" connection and first command {first * 1000:.0f} ms"
        )
    default, other = connection.CONNECTIONS
    print(
        f"{other} / {default} = {1 / rows[default]['ratio']:.2f}, "
        f"{default} was faster in {rows[default]['won']} of {len(result.rounds[default])} rounds"
    )


if __name__ == "__main__":
    sys.exit(main())
