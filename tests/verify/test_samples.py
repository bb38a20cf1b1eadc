"""Step 4, second half: every sample is installed, built from the pinned source, and works correctly.

A script inside the sandbox (judges/) runs all cases of a sample at once; the tests read its results.
"""

import pytest

from tests.verify import judges, remote
from tests.verify.expectation import digest_of_ours, is_same_commit, is_too_old, label
from tests.verify.judging import Judging
from tests.verify.remote import name
from tests.verify.verdicts import PROVISION, SANDBOX

SAMPLES = "/opt/uring-lab/samples"

REPAIR = f"run no more samples before {SANDBOX} is repaired ({PROVISION})"


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
def judged(request, host, seen, address):
    """Begin to judge the programs that the chosen tests ask about."""
    written = seen["manifest"].json()
    paths = {label(item): item["path"] for item in written.get("samples", ())}
    kernel = seen["kernel"].out.strip()
    with Judging(host, kernel, address) as judging:
        for item in request.session.items:
            given = item.callspec.params if hasattr(item, "callspec") else {}
            if "verdicts" in item.fixturenames and given["host"] == name(host):
                sample = given["sample"]
                if label(sample) in paths and not is_too_old(kernel, sample):
                    judging.begin(sample, paths[label(sample)])
        yield judging


@pytest.fixture
def verdicts(host, seen, sample, entry, judged, fail_once, record_property):
    """Return the results of the sample's cases; the JUnit report says on which kernel (see record.py)."""
    kernel = seen["kernel"].out.strip()
    if is_too_old(kernel, sample):
        pytest.skip(f"{name(host)}: {label(sample)} needs Linux {sample['needs_linux']}, this is {kernel}")
    record_property("kernel", kernel)
    record_property("sample", label(sample))
    try:
        return judged.verdicts(sample)
    except remote.CheckError as problem:
        fail_once(f"{problem} (while judging {label(sample)})")


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
