"""A complete provisioning of a container: every step except the kernel's, at native speed.

The tests depend on each other, in a user's order.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
import yaml

from tests.e2e.support import ROOT, make, playbook

pytestmark = pytest.mark.container

CATALOG = yaml.safe_load((ROOT / "samples/catalog.yml").read_text())["samples"]
OURS = [sample for sample in CATALOG if sample["source"] == "ours"]


def test_check_says_what_would_be_done_and_changes_nothing(container):
    before = container.looks()
    run = make("provision", f"INVENTORY={container.inventory}", "CHECK=1")
    assert run.status == 0, run.output
    assert "would build and install liburing" in run.output
    assert f"would build and install {len(OURS)} programs" in run.output
    assert container.looks() == before


def test_provisioning_installs_and_verifies_the_lab(container):
    run = make("provision", f"INVENTORY={container.inventory}")
    assert run.status == 0, run.output
    status = {name: step["status"] for name, step in run.steps().items()}
    # The image may be up to date already.
    assert status.pop("release_upgrade") in ("ok", "changed")
    assert status == {
        "preflight": "ok",
        "kernel": "ok",
        "liburing": "changed",
        "samples": "changed",
    }
    checks = run.checks()
    assert not checks["failed"]
    assert len(checks["passed"]) > 30
    assert (run.directory / "report.html").stat().st_size > 10_000


def test_the_kernel_step_says_that_it_cannot_apply_in_a_container(container):
    code, output = playbook(container, "kernel", "-e", "@profiles/archive.yml")
    assert code == 0, output
    assert "this step cannot apply" in output


def test_the_build_leaves_only_the_two_debs_and_the_compiler(container):
    packages = container.run("dpkg-query --show --showformat='${Package}\\n'").split()
    assert {"liburing-dev", "liburing2", "build-essential"} <= set(packages)
    assert not {"liburing-build-deps", "devscripts", "equivs", "debhelper"} & set(packages)
    assert container.run("sudo ls -A /var/lib/uring-lab/build").split() == []


def test_a_second_provisioning_changes_nothing(container):
    before = container.looks()
    run = make("provision", f"INVENTORY={container.inventory}")
    assert run.status == 0, run.output
    assert {step["changed"] for step in run.steps().values()} == {0}
    assert container.looks() == before


def test_check_of_a_finished_host_finds_nothing_to_do(container):
    run = make("provision", f"INVENTORY={container.inventory}", "CHECK=1")
    assert run.status == 0, run.output
    assert {step["changed"] for step in run.steps().values()} == {0}


def test_a_changed_program_is_detected_and_built_again(container):
    program = "/opt/uring-lab/samples/ours/03_cat_liburing"
    original = container.run(f"sha256sum {program}")
    container.run(f"echo x | sudo tee --append {program}")
    failed = make("verify", f"INVENTORY={container.inventory}")
    assert failed.status != 0
    assert "03_cat_liburing" in failed.output
    code, output = playbook(container, "samples", "-e", "@profiles/archive.yml")
    assert code == 0, output
    assert container.run(f"sha256sum {program}") == original


def test_both_connections_find_the_same(container):
    """Except for files of over 2 GiB, tried or left out according to the host's pace at that moment."""
    found = []
    for connection in ("ssh", "paramiko"):
        run = make("verify", f"INVENTORY={container.inventory}", f"CONNECTION={connection}")
        assert run.status == 0, run.output
        found.append(
            {
                kind: sorted(name for name in names if "over 2 GiB" not in name)
                for kind, names in run.checks().items()
            }
        )
    assert found[0] == found[1]
    assert len(found[0]["passed"]) > 300


# The container as a user's own host: user@address:port, with the user's ssh configuration.


@pytest.fixture
def own_ssh(container, tmp_path):
    """Replace ~/.ssh, whose path cannot be changed, by an `ssh` wrapper with another configuration."""
    port = re.search(r"Port (\d+)", container.ssh_config.read_text())[1]
    known = tmp_path / "known_hosts"
    known.write_text((container.directory / "known_hosts").read_text())
    config = tmp_path / "config"
    config.write_text(
        f"IdentityFile {container.directory}/id_ed25519\nIdentitiesOnly yes\n"
        f"UserKnownHostsFile {known}\nGlobalKnownHostsFile /dev/null\n"
    )
    wrapper = tmp_path / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {config} "$@"\n')
    wrapper.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}, f"127.0.0.1:{port}", known


def test_a_host_given_by_user_and_address_is_provisioned_without_root_login(container, own_ssh):
    environment, address, _known = own_ssh
    assert container.run("id -u").strip() != "0"
    run = make("provision", f"HOST=lab@{address}", environment=environment)
    assert run.status == 0, run.output
    assert {step["changed"] for step in run.steps().values()} == {0}


def refused(container, *arguments, environment=None, says):
    """Run a provisioning that must be refused with a clear message and change nothing."""
    before = container.looks()
    run = make("provision", *arguments, environment=environment)
    assert run.status != 0
    assert re.search(says, run.output), run.output
    assert "Traceback" not in run.output
    assert container.looks() == before
    return run


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["PROFILE=nosuch"], r"PROFILE=nosuch.*archive"),
        (["KERNAL=keep"], r"no variable KERNAL.*KERNEL"),
        (["KERNEL=apd:bookworm"], r"KERNEL=apd:bookworm.*debs:FOLDER"),
        (["SAMPLES=theirs"], r"SAMPLES=theirs.*upstream"),
        (["UPGRADE=warty"], r"UPGRADE=warty.*keep"),
        (["KERNEL=debs:/nonexistent"], r"/nonexistent"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_bad_input_is_refused_with_a_clear_message(container, arguments, says):
    refused(container, f"INVENTORY={container.inventory}", *arguments, says=says)


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("lab@nosuch.invalid", r"nosuch\.invalid: does not resolve"),
        ("lab@127.0.0.1:9", r"127\.0\.0\.1: refuses the connection"),
    ],
)
def test_a_host_that_cannot_be_reached_is_named_with_the_reason(container, host, says):
    run = refused(container, f"HOST={host}", says=says)
    assert run.status == 2  # make's own; ours was 69


def test_another_host_key_is_refused(container, own_ssh, tmp_path):
    environment, address, known = own_ssh
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    known.write_text(known.read_text().split(" ")[0] + f" {other}\n")
    refused(
        container, f"HOST=lab@{address}", environment=environment, says="has another host key than before"
    )


def test_a_host_that_accepts_none_of_our_keys_is_refused(container, own_ssh):
    environment, address, _known = own_ssh
    refused(container, f"HOST=root@{address}", environment=environment, says="accepts no key of yours")


def test_a_user_without_sudo_is_refused(container, own_ssh):
    environment, address, _known = own_ssh
    container.run(
        "sudo useradd --create-home other; sudo cp -r ~/.ssh /home/other; sudo chown -R other: /home/other"
    )
    says = "other may not use sudo there without a password"
    refused(container, f"HOST=other@{address}", environment=environment, says=says)


def test_another_distribution_is_refused(container):
    container.run(
        "sudo sh -c 'cp /etc/os-release /root/kept; sed -i s/^ID=.*/ID=fedora/ /usr/lib/os-release'"
    )
    try:
        refused(
            container, f"INVENTORY={container.inventory}", says="the steps are made of apt, dpkg and GRUB"
        )
    finally:
        container.run("sudo cp /root/kept /usr/lib/os-release; sudo rm /root/kept")


def test_a_full_disk_is_reported_before_anything_is_changed(container):
    before = container.looks()
    code, output = playbook(
        container, "provision", "-e", "@profiles/archive.yml", "-e", "preflight_free_mib=9999999"
    )
    assert code != 0
    assert "and 9999999 are needed" in output
    assert container.looks() == before


@pytest.mark.parametrize(
    ("spoil", "says"), [("damaged", "is damaged"), ("arm64", "is for arm64, the host is amd64")]
)
def test_a_bad_kernel_deb_is_refused_before_it_reaches_the_host(container, tmp_path, spoil, says):
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "boot").mkdir()
    (tree / "boot/vmlinuz-9.9.9-bad").write_bytes(os.urandom(100_000))
    architecture = "arm64" if spoil == "arm64" else "amd64"
    (tree / "DEBIAN/control").write_text(
        f"Package: linux-image-9.9.9-bad\nVersion: 1\nArchitecture: {architecture}\n"
        "Maintainer: nobody <nobody@example.org>\nDescription: made by a test\n"
    )
    directory = tmp_path / "debs"
    directory.mkdir()
    deb = directory / "linux-image-9.9.9-bad.deb"
    subprocess.run(["dpkg-deb", "--build", "-Zxz", tree, deb], check=True, stdout=subprocess.DEVNULL)
    if spoil == "damaged":
        deb.write_bytes(deb.read_bytes()[:-500])
    refused(container, f"INVENTORY={container.inventory}", f"KERNEL=debs:{directory}", says=says)


def test_a_second_provisioning_of_the_same_host_at_the_same_time_is_refused(container):
    command = ["make", "provision", f"INVENTORY={container.inventory}"]
    first = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        for line in first.stdout:
            if "release_upgrade" in line:
                break
        run = make("provision", f"INVENTORY={container.inventory}")
        assert run.status != 0
        assert "provision" in run.output and str(container.name) in run.output
        assert "Traceback" not in run.output
        first.stdout.read()
        assert first.wait(timeout=300) == 0
    finally:
        if first.poll() is None:
            os.killpg(first.pid, signal.SIGKILL)


def test_an_interrupted_run_says_so_and_releases_its_lock(container):
    command = ["make", "provision", f"INVENTORY={container.inventory}"]
    run = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    for line in run.stdout:
        if "release_upgrade" in line:
            break
    time.sleep(1)
    os.killpg(run.pid, signal.SIGINT)
    output = run.stdout.read()
    assert run.wait(timeout=60) != 0
    assert "interrupted" in output
    assert "Traceback" not in output
    again = make("provision", f"INVENTORY={container.inventory}")
    assert again.status == 0, again.output


MAKE_REPOSITORIES = r"""
set -eu
exec 3<&0 </dev/null  # standard input has the samples, and apt would read it
sudo apt-get update >&2
sudo apt-get install --yes --no-install-recommends git dpkg-dev >&2
sudo git config --system safe.directory '*'
git config --global user.name test && git config --global user.email test@example.org
rm -rf /tmp/git && mkdir -p /tmp/git/apt /tmp/git/lists/partial && cd /tmp/git
. /etc/os-release
uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $VERSION_CODENAME")
echo "deb-src $uri $VERSION_CODENAME main" > sources
cat > conf <<'CONF'
Dir::Etc::sourcelist "/tmp/git/sources";
Dir::Etc::sourceparts "-";
Dir::State::lists "/tmp/git/lists";
Dir::Cache "/tmp/git/apt";
CONF
APT_CONFIG=/tmp/git/conf apt-get update >&2
APT_CONFIG=/tmp/git/conf apt-get source --only-source liburing >&2
mv liburing-*/ liburing && rm -rf liburing/.pc
git init --quiet liburing && git -C liburing add --all --force && git -C liburing commit --quiet --message all
git -C liburing tag liburing-test
mkdir samples && tar -xzf - -C samples <&3
git init --quiet samples && git -C samples add --all && git -C samples commit --quiet --message all
chmod -R a+rX /tmp/git
git -C liburing rev-parse HEAD
git -C samples rev-parse HEAD
"""


@pytest.fixture
def repositories(container, tmp_path):
    """Make git repositories on the host that imitate the upstream ones, and return their commits.

    liburing's has the archive's source package; the article's has our programs in its layout.
    """
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "samples", tree, ignore=shutil.ignore_patterns("program"))
    shutil.move(tree / "05_webserver_liburing/public", tree / "public")
    with (tree / "05_webserver_liburing/main.c").open("a") as main:
        main.write('#include "http.c"\n')  # upstream's server is a single file
    packed = subprocess.run(["tar", "-cz", "-C", tree, "."], check=True, capture_output=True)
    ssh = ["ssh", "-F", container.ssh_config, container.name, MAKE_REPOSITORIES]
    made = subprocess.run(ssh, input=packed.stdout, check=True, stdout=subprocess.PIPE)
    return made.stdout.decode().split()


def test_sources_from_git_are_built_at_their_commits_and_built_once(container, repositories, tmp_path):
    liburing, samples = repositories
    variables = {
        "liburing_source": "git",
        "liburing_git_url": "file:///tmp/git/liburing",
        "liburing_git_ref": "liburing-test",
        "samples_source": "all",
        "samples_git_url": "file:///tmp/git/samples",
        "samples_git_commit": samples,
    }
    for changed in (True, False):
        for name in ("liburing", "samples"):
            code, output = playbook(container, name, "-e", json.dumps(variables))
            assert code == 0, output
            assert bool(re.search(r"changed=[1-9]", output)) == changed, output
    assert json.loads(container.run("cat /var/lib/uring-lab/liburing.json"))["commit"] == liburing
    manifest = json.loads(container.run("cat /var/lib/uring-lab/samples.json"))
    assert manifest["sources"]["upstream"]["commit"] == samples
    assert len(manifest["samples"]) == len(CATALOG)
    expect = tmp_path / "expect.json"
    expect.write_text(json.dumps({container.name: variables}))
    checks = container.pytest("tests/verify/test_liburing.py", f"--lab-expect={expect}")
    assert checks.returncode == 0, checks.stdout


def test_rollback_removes_everything(container):
    run = make("rollback", f"INVENTORY={container.inventory}")
    assert run.status == 0, run.output
    assert container.run("ls -d /opt/uring-lab /var/lib/uring-lab 2>/dev/null || true") == ""
    assert "liburing" not in container.run(
        "dpkg-query --show --showformat='${Package} ${db:Status-Abbrev}\\n'"
    )
    assert "uring" not in container.run("getent passwd")
