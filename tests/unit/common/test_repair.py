"""What repair.sh does to a host: its dpkg and apt-get are made up and write down how they are called."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "roles/common/files/repair.sh"

#: Keeps the state of one package in a file; a package is repaired by the step that a test names.
PROGRAM = """\
#!/bin/sh
call="${0##*/} $*"
printf "%s\\n" "$call" >>"$HOST/calls"
case $call in
    "dpkg --audit") cat "$HOST/audit"; test ! -s "$HOST/audit" ;;
    "apt-get check") cat "$HOST/check" >&2; test ! -s "$HOST/check" ;;
    *Status-Eflag*) cat "$HOST/flags" ;;
    "dpkg-query "*) cat "$HOST/state" ;;
    "apt-get "*download*) touch jq_1.7_amd64.deb ;;
    *) test ! -e "$HOST/fails" || { echo "E: no network" >&2; exit 100; }
       test ! -e "$HOST/repairs" || echo "jq 1.7 install ok installed" >"$HOST/state" ;;
esac
"""
AUDIT = "The following packages are only half configured:\n jq\n"
UNMET = "E: Unmet dependencies. Try 'apt --fix-broken install' with no packages.\n"
INTERRUPTED = "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.\n"


class Host:
    """A directory with the state of the packages, and the programs that act on it."""

    def __init__(self, root):
        self.root = root
        (root / "bin").mkdir()
        for name in ("dpkg", "dpkg-query", "apt-get"):
            (root / "bin" / name).write_text(PROGRAM)
            (root / "bin" / name).chmod(0o755)
        self.write(audit="", check="", flags="ok jq\n", state="jq 1.7 install ok half-configured\n", calls="")

    def write(self, **files):
        """Write files by their names."""
        for name, text in files.items():
            (self.root / name).write_text(text)

    def repair(self, *arguments):
        """Run the script."""
        (self.root / "calls").write_text("")
        path = f"{self.root}/bin:/usr/bin:/bin"
        return subprocess.run(
            ["sh", SCRIPT, *arguments],
            env={"PATH": path, "HOST": str(self.root), "TMPDIR": str(self.root)},
            cwd=self.root,
            check=False,
            capture_output=True,
            text=True,
        )

    def changes(self):
        """Return the calls that may change a package."""
        calls = (self.root / "calls").read_text().splitlines()
        looks = ("dpkg --audit", "apt-get check", "dpkg-query ")
        return [call for call in calls if not call.startswith(looks)]


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def test_nothing_is_done_on_a_sound_host(host):
    done = host.repair("complete")
    assert (done.returncode, done.stdout) == (0, "")
    assert host.changes() == []


def test_another_error_of_apt_is_no_reason_for_a_repair(host):
    host.write(check="E: Could not get lock /var/lib/dpkg/lock-frontend.\n")
    assert host.repair("complete").stdout == ""
    assert host.changes() == []


@pytest.mark.parametrize("found", [{"audit": AUDIT}, {"check": UNMET}, {"check": INTERRUPTED}])
def test_a_check_only_says_what_is_unfinished(host, found):
    host.write(**found)
    done = host.repair("check")
    assert (done.returncode, done.stdout) == (0, next(iter(found.values())))
    assert host.changes() == []


@pytest.mark.parametrize("found", [{"audit": AUDIT}, {"check": UNMET}, {"check": INTERRUPTED}])
def test_what_is_unfinished_is_configured_and_then_completed(host, found):
    host.write(**found, repairs="")
    done = host.repair("complete", "-o", "APT::Status-Fd=3")
    configure, complete = host.changes()
    assert configure == "dpkg --configure --pending --force-confdef --force-confold"
    assert complete.startswith("apt-get --yes ")
    assert complete.endswith("-o APT::Status-Fd=3 install --fix-broken")
    assert "--force-confdef" in complete
    assert "--force-confold" in complete
    assert done.stdout.endswith("\nstate of packages changed\n")


def test_what_cannot_be_changed_is_no_change(host):
    host.write(audit=AUDIT)
    assert "changed" not in host.repair("complete").stdout


def test_a_torn_package_is_unpacked_anew_before_it_is_configured(host):
    host.write(audit=AUDIT, flags="ok bash\nreinstreq jq\n", repairs="")
    assert host.repair("complete").returncode == 0
    download, unpack, configure, _complete = host.changes()
    assert download == "apt-get --quiet=2 download jq"
    assert unpack == "dpkg --unpack ./jq_1.7_amd64.deb"
    assert configure.startswith("dpkg --configure")
    assert [path.name for path in host.root.glob("tmp*")] == []


def test_a_repair_that_fails_says_why(host):
    host.write(audit=AUDIT, fails="")
    done = host.repair("complete")
    assert done.returncode == 100
    assert "E: no network" in done.stderr
