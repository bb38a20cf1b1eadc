"""Judge the programs of a host: the judges of judges/ in the sandbox, three at a time."""

import contextlib
import socket
import threading
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor

from testinfra.host import Host

from tests.verify import judges, remote
from tests.verify.expectation import label
from tests.verify.verdicts import SANDBOX, Verdicts

#: Programs of one lane are judged one after the other, and the lanes beside each other: files need the disk
#: and a processor, the others mostly wait. The lane of a contract that is not named is "other".
LANES = {"cat": "files", "cksum": "files", "cp": "files", "webserver": "web servers"}

#: The sandbox allows its user 64 processes in all, and before Linux 5.7 a web server may have them all, a
#: thread of the kernel for each connection that waits: the programs judged beside it need more.
BESIDE_A_WEB_SERVER = f"{SANDBOX} --property=LimitNPROC=128"

#: Runs the judge of a web server in the sandbox, and meanwhile checks from outside which addresses listen on
#: its port in the host's network namespace, and at which addresses of the host a connection succeeds.
WATCH = """\
listeners() { awk '$4 == "0A" && $2 ~ /:1F40$/ { print $2 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null; }
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
listeners | sed 's/^/before /'
cat > "$scratch/judge" <<'END-OF-JUDGE'
@judge@
END-OF-JUDGE
sh "$scratch/judge" > "$scratch/verdict" 2> "$scratch/errors" &
while kill -0 $! 2>/dev/null; do
    listeners | sed 's/^/during /'
    for address in 127.0.0.1 $(hostname -I); do
        timeout 1 bash -c ": < /dev/tcp/$address/8000" 2>/dev/null && echo "reached $address"
    done
    sleep 0.5
done
wait $!
status=$?
sed 's/^/verdict /' "$scratch/verdict"
tail -n 1 "$scratch/errors" >&2
exit $status
"""


class Judging:
    """Judges programs while the tests go on, and keeps the results.

    Args:
        host: the host.
        kernel: the release of its kernel.
        address: the address of the host's own ports as seen from here; None if they cannot be reached.

    """

    def __init__(self, host: Host, kernel: str, address: str | None) -> None:
        self._host = host
        self._kernel = kernel
        self._address = address
        self._lanes = defaultdict(lambda: ThreadPoolExecutor(max_workers=1))
        self._results: dict[str, Future] = {}

    def __enter__(self) -> "Judging":
        return self

    def __exit__(self, *_: object) -> None:
        """Begin no more."""
        for lane in self._lanes.values():
            lane.shutdown(wait=False, cancel_futures=True)

    def begin(self, sample: dict, path: str) -> None:
        """Judge a program as soon as its turn has come, unless that was asked for before.

        Args:
            sample: its entry in the catalog.
            path: of the program on the host.

        """
        if label(sample) in self._results:
            return
        lane = self._lanes[lane_of(sample)]
        self._results[label(sample)] = lane.submit(self._judge, sample | {"kernel": self._kernel}, path)

    def verdicts(self, sample: dict) -> Verdicts:
        """Wait for the results of a program.

        Raises:
            remote.CheckError: the judge printed none.

        """
        return self._results[label(sample)].result()

    def _judge(self, sample: dict, path: str) -> Verdicts:
        if sample["contract"] == "webserver":
            return judge_webserver(self._host, sample, path, self._address)
        result = remote.run(self._host, judge_command(self._host, sample, path))
        return Verdicts(self._host, sample, path, result.stdout.splitlines(), result)


def lane_of(sample):
    """Return the name of the lane in which a program is judged."""
    return LANES.get(sample["contract"], "other")


def judge_command(host, sample, path):
    """Return the command that judges a sample inside the sandbox."""
    sandbox = SANDBOX if lane_of(sample) == "web servers" else BESIDE_A_WEB_SERVER
    cases = [*judges.cases(sample), judges.WITHOUT]
    return remote.python_command(host, sandbox, judges.source(sample["contract"]), path, *cases)


def judge_webserver(host, sample, path, address):
    """Judge a web server and meanwhile check it from outside: one command on the host."""
    with Knocking(address) as knocking:
        result = remote.run(host, WATCH.replace("@judge@", judge_command(host, sample, path)))
    lines = [line.split(" ", 1) for line in result.stdout.splitlines()]
    seen = {
        word: [rest for first, rest in lines if first == word]
        for word in ("before", "during", "reached", "verdict")
    }
    verdicts = Verdicts(host, sample, path, seen.pop("verdict"), result)
    verdicts.outside = {word: sorted(set(values)) for word, values in seen.items()} | {
        "let_in": knocking.let_in
    }
    return verdicts


class Knocking:
    """Tries repeatedly to connect to the web server's port from here while the server runs on the host."""

    def __init__(self, address):
        self._address = address
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._knock, daemon=True)
        self.let_in = False

    def __enter__(self):
        """Start trying, if there is an address."""
        if self._address:
            self._thread.start()
        return self

    def __exit__(self, *_):
        """Stop trying."""
        self._over.set()
        if self._address:
            self._thread.join()

    def _knock(self):
        while not self._over.wait(0.1):
            with contextlib.suppress(OSError):
                socket.create_connection((self._address, 8000), timeout=1).close()
                self.let_in = True
