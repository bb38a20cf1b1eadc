"""Step 4, second half: every sample is installed, built from the pinned source, and works correctly.

A script inside the sandbox (judges/) runs all cases of a sample at once; the tests read its results.
"""

import contextlib
import socket
import threading

import pytest

from tests.verify import judges, remote
from tests.verify.expectation import digest_of_ours, is_same_commit, is_too_old, label
from tests.verify.remote import name
from tests.verify.verdicts import PROVISION, SANDBOX, Verdicts

SAMPLES = "/opt/uring-lab/samples"

REPAIR = f"run no more samples before {SANDBOX} is repaired ({PROVISION})"

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


@pytest.fixture(scope="module")
def seen(host):
    return remote.ask(
        host,
        manifest="cat /var/lib/uring-lab/samples.json",
        sums=f"find {SAMPLES} -maxdepth 2 -type f -exec sha256sum {{}} +",
        kernel="uname -r",
    )


@pytest.fixture
def manifest(host, seen, fail_once):
    """Return the samples step's manifest."""
    written = seen["manifest"].json()
    if not written:
        fail_once(f"{name(host)}: expected /var/lib/uring-lab/samples.json, found none: {PROVISION}")
    return written


@pytest.fixture
def entry(host, manifest, sample, expected):
    """Return the sample's entry in the host's manifest."""
    found = [item for item in manifest["samples"] if label(item) == label(sample)]
    if label(sample) in map(label, manifest["left_out"]):
        needs = " and ".join(
            ", ".join(sample[field]) for field in ("architectures", "packages") if field in sample
        )
        pytest.skip(f"{name(host)}: {label(sample)} was left out: it needs {needs}")
    if not found and "samples_source" not in expected:
        pytest.skip(f"{name(host)} was not asked for the samples of source {sample['source']}")
    if not found:
        pytest.fail(
            f"{name(host)}: expected {label(sample)} in samples.json, found none: {PROVISION}", pytrace=False
        )
    return found[0]


@pytest.fixture(scope="module")
def judged():
    """Cache the results, or the reason why there are none, by the sample's label."""
    return {}


@pytest.fixture
def verdicts(host, seen, address, sample, entry, judged, fail_once, record_property):
    """Return the results of the sample's cases; the JUnit report says on which kernel (see record.py)."""
    kernel = seen["kernel"].out.strip()
    if is_too_old(kernel, sample):
        pytest.skip(f"{name(host)}: {label(sample)} needs Linux {sample['needs_linux']}, this is {kernel}")
    record_property("kernel", kernel)
    record_property("sample", label(sample))
    if label(sample) not in judged:
        judge = judge_webserver if sample["contract"] == "webserver" else judge_inside
        try:
            judged[label(sample)] = judge(host, sample | {"kernel": kernel}, entry["path"], address)
        except remote.CheckError as problem:
            judged[label(sample)] = f"{problem} (while judging {label(sample)})"
    if isinstance(judged[label(sample)], str):
        fail_once(judged[label(sample)])
    return judged[label(sample)]


def judge_command(host, sample, path):
    """Return the command that judges a sample inside the sandbox."""
    cases = [*judges.cases(sample), judges.WITHOUT]
    return remote.python_command(host, SANDBOX, judges.source(sample["contract"]), path, *cases)


def judge_inside(host, sample, path, _):
    """Judge a program that no other computer is tried on: one command on the host."""
    result = remote.run(host, judge_command(host, sample, path))
    return Verdicts(host, sample, path, result.stdout.splitlines(), result)


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


@pytest.mark.samples()
def test_the_installed_program_is_the_one_that_was_built(host, seen, sample, entry):
    """The program tested below must be the built one, not a later replacement under the same name."""
    sums = {path: digest for digest, path in (line.split(None, 1) for line in seen["sums"].lines)}
    assert sums.get(entry["path"]) == entry["sha256"], (
        f"{name(host)}: expected {entry['path']} with SHA-256 {entry['sha256']}, found "
        f"{sums.get(entry['path'], 'no such file')}: {PROVISION}"
    )


def test_our_samples_are_built_from_this_checkout(host, manifest, expected):
    """If a sample was changed here but not rebuilt there, the expectations would not match it."""
    if "ours" not in manifest["sources"] and expected.get("samples_source", "upstream") == "upstream":
        pytest.skip(f"{name(host)} was not asked for our samples")
    digest, here = manifest["sources"].get("ours", {}).get("digest"), digest_of_ours()
    assert digest == here, (
        f"{name(host)}: expected our samples built from sources with digest {here}, found "
        f"{digest}: {PROVISION}"
    )


def test_the_articles_samples_are_built_from_the_pinned_commit(host, manifest, expected):
    """Earlier commits print wrong data on newer kernels; the catalog describes this commit."""
    if "upstream" not in manifest["sources"] and expected.get("samples_source", "ours") == "ours":
        pytest.skip(f"{name(host)} was not asked for the article's samples")
    commit = manifest["sources"].get("upstream", {}).get("commit", "none")
    pinned = expected.get("samples_git_commit", commit)
    assert is_same_commit(pinned, commit), (
        f"{name(host)}: expected the article's samples at commit {pinned}, found {commit}: {PROVISION}"
    )


@pytest.mark.samples()
def test_the_sample_keeps_its_contract(sample, case, verdicts):
    """The judge says why each case matters."""
    verdicts.check(case, judges.cases(sample)[case])


@pytest.mark.samples(contract="webserver")
def test_the_web_server_cannot_be_reached_from_outside_its_sandbox(host, sample, verdicts):
    """It would serve any file of the host to anyone, so not even the host itself may reach it."""
    outside = verdicts.outside
    new = sorted(set(outside["during"]) - set(outside["before"]))
    assert not new, (
        f"{name(host)}: expected no listener on port 8000 outside the sandbox while "
        f"{label(sample)} ran, found {', '.join(new)}: {REPAIR}"
    )
    if not outside["before"]:  # another server on this port would accept connections
        assert not outside["reached"], (
            f"{name(host)}: expected {label(sample)} to be unreachable from the host itself, found "
            f"it answering on {', '.join(outside['reached'])}: {REPAIR}"
        )


@pytest.mark.samples(contract="webserver")
def test_the_web_server_cannot_be_reached_from_another_computer(host, address, sample, verdicts):
    """The same, tested from this computer: it tried to connect all the time that the server ran."""
    if address is None:
        pytest.skip(
            f"{name(host)} is reached through a forwarded port or a jump: its own ports cannot be reached"
        )
    if verdicts.outside["before"]:
        pytest.skip(f"{name(host)} has a server of its own on port 8000: a connection there proves nothing")
    assert not verdicts.outside["let_in"], (
        f"{name(host)}: expected {address}:8000 to be closed while {label(sample)} ran, found it open: "
        f"{REPAIR}"
    )


@pytest.mark.samples(io_uring=True)
def test_the_sample_does_its_work_by_io_uring(sample, verdicts):
    """It must fail if io_uring's system calls are denied: that proves that it uses them."""
    assert not verdicts.good(judges.WITHOUT), (
        f"{label(sample)}: expected it to fail where io_uring is denied, found "
        f"{verdicts.found(judges.WITHOUT)}: it is not an io_uring program"
    )


@pytest.mark.samples(io_uring=False)
def test_the_sample_does_its_work_without_io_uring(sample, verdicts):
    """It is for comparison, and proves that the filter above denies only io_uring."""
    verdicts.check(judges.WITHOUT, "it to work where io_uring is denied")
