"""Measure the verification's two connections, ssh and paramiko, side by side on one host.

Usage: python -m bench.verify_connection HOST --ssh-config FILE [--rounds 15] [--commands 17]
"""

import argparse
import itertools
import statistics
import sys
import time

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
        help="commands a round, as a verification has (default: %(default)s)",
    )
    arguments = parser.parse_args()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in connection.CONNECTIONS}
    try:
        for number in range(arguments.rounds + 1):
            # Who goes first changes from round to round; the first round only warms up.
            for name in itertools.chain(
                connection.CONNECTIONS[number % 2 :], connection.CONNECTIONS[: number % 2]
            ):
                measured = measure(name, arguments)
                if number:
                    times[name].append(measured)
    except connection.UnreachableError as problem:
        print(problem, file=sys.stderr)
        return 1
    show(times)
    return 0


def measure(name: str, arguments: argparse.Namespace) -> tuple[float, float]:
    """Run one round over a new connection.

    Returns:
        Seconds for the connection with its first command, and for all of the round.

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
    return connected - start, end - start


def show(times: dict[str, list[tuple[float, float]]]) -> None:
    """Print the medians, the spread, and how the two compare."""
    totals = {name: statistics.median(total for _, total in rounds) for name, rounds in times.items()}
    for name, rounds in times.items():
        first = statistics.median(connected for connected, _ in rounds)
        quartiles = statistics.quantiles((total for _, total in rounds), n=4)
        print(
            f"{name:9} median {totals[name] * 1000:6.0f} ms a round"
            f" (half of them between {quartiles[0] * 1000:.0f} and {quartiles[2] * 1000:.0f}),"
            f" connection and first command {first * 1000:.0f} ms"
        )
    default, other = connection.CONNECTIONS
    wins = sum(ours[1] < theirs[1] for ours, theirs in zip(times[default], times[other], strict=True))
    print(
        f"{other} / {default} = {totals[other] / totals[default]:.2f}, "
        f"{default} was faster in {wins} of {len(times[default])} rounds"
    )


if __name__ == "__main__":
    sys.exit(main())
