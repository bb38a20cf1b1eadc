"""Step 4, first half: the sandbox confines the samples.

The samples are teaching programs with known holes (the article's web server serves any file of the host), so
the sandbox is tested: from inside, by programs that try to break out or to use too many resources, and from
outside, by systemd's properties and by what the programs leave behind.
"""

import pytest

from tests.verify.remote import ask, name

SANDBOX = "/opt/uring-lab/sandbox"

#: Directories that a program must not be able to write to.
PROTECTED = "/ /etc /usr/local/bin /var/cache /var/lib/uring-lab /opt/uring-lab/samples /home /root"

INSIDE = f"""\
echo user $(id -un) $(id -u)
sed -n 's/^NoNewPrivs:/privileges/p; s/^CapEff:/capabilities/p' /proc/self/status
sed -n 's/^ *\\([a-z0-9]*\\):.*/interface \\1/p' /proc/net/dev
sed 1d /proc/net/route | sed 's/^/route /'
for directory in {PROTECTED}; do
    if touch "$directory/written-by-a-sample" 2>/dev/null; then
        echo "written $directory"
        rm "$directory/written-by-a-sample"
    fi
done
touch /tmp/in-the-sandbox && echo "scratch"
cat "$1" /etc/shadow 2>/dev/null && echo "secret read"
unshare --user true 2>/dev/null && echo "namespace made"
cp /bin/sh /tmp/sh && chmod u+s /tmp/sh 2>/dev/null && echo "set-user-id made"
exit 7
"""

#: The properties that systemd must show for a program in the sandbox.
PROPERTIES = {
    "User": "uring-lab",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "PrivateNetwork": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "RestrictNamespaces": "yes",
    "MemoryMax": str(512 << 20),
    "TasksMax": "64",
    "LimitMEMLOCK": str(16 << 20),  # older systems give 64 KiB, too little for 09_webserver_ring
    "RuntimeMaxUSec": "5min",
}

#: Shows these properties of a program that waits for input in the sandbox.
SHOW = f"""\
sleep 30 | {SANDBOX} --unit=uring-lab-verify-shown cat &
for _ in $(seq 100); do
    [ "$(systemctl show --property=SubState --value uring-lab-verify-shown)" = running ] && break
    sleep 0.1
done
systemctl show {" ".join(f"--property={key}" for key in PROPERTIES)} uring-lab-verify-shown
systemctl stop uring-lab-verify-shown
kill $!
"""

#: Uses more memory than allowed; the limit is lower than usual because of small hosts.
TAKE_MEMORY = f"""\
{SANDBOX} --unit=uring-lab-verify-memory --property=MemoryMax=64M \
    python3 -IS -c 'taken = b"x" * (256 << 20); print("took", len(taken))'
"""

#: Maps more memory than a single process may have, without using it.
MAP_MEMORY = f"{SANDBOX} --unit=uring-lab-verify-map python3 -IS -c 'import mmap; mmap.mmap(-1, 2 << 30)'"

#: The control group controllers of the host.
CONTROLLERS = "cat /sys/fs/cgroup/cgroup.controllers || awk '$4 == 1 { print $1 }' /proc/cgroups"

#: Makes as many processes as it can, at most 500, and prints how many.
TAKE_PROCESSES = f"""\
{SANDBOX} --unit=uring-lab-verify-processes python3 -IS -c '
import os, time
made = 0
try:
    while made < 500:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        made += 1
except OSError:
    pass
print(made)
'
"""

#: Runs longer than the second that it is allowed here.
TAKE_TIME = f"{SANDBOX} --unit=uring-lab-verify-time --property=RuntimeMaxSec=1 sleep 100; echo ended $?"

#: Leaves files and a process behind, and lists what remains of this program and the earlier ones.
LEAVE = f"""\
{SANDBOX} --unit=uring-lab-verify-left \
    sh -c 'touch /tmp/left-by-a-sample /var/tmp/left-by-a-sample; sleep 100 &'
for _ in 1 2 3 4 5 6 7 8 9 10; do # systemd forgets a unit some moments after it has ended
    test -n "$(systemctl list-units --all --no-legend 'uring-lab-verify-*')" || break
    sleep 0.5
done
find /tmp /var/tmp -name left-by-a-sample
find /proc -maxdepth 1 -name '[0-9]*' -user uring-lab
systemctl list-units --all --no-legend 'uring-lab-verify-*'
"""

#: Runs INSIDE; its argument is a file in the host's /tmp that everybody may read.
FROM_OUTSIDE = f"""\
outside=$(mktemp)
trap 'rm -f "$outside"' EXIT
chmod 644 "$outside"
echo private >"$outside"
{SANDBOX} sh -s "$outside" <<'END-OF-SCRIPT'
{INSIDE}
END-OF-SCRIPT
"""


@pytest.fixture(scope="module")
def seen(host):
    return ask(
        host,
        inside=FROM_OUTSIDE,
        through=f"printf 'from outside' | {SANDBOX} cat",
        shown=SHOW,
        memory=TAKE_MEMORY,
        mapped=MAP_MEMORY,
        controllers=CONTROLLERS,
        processes=TAKE_PROCESSES,
        time=TAKE_TIME,
        left=LEAVE,
    )


@pytest.fixture(scope="module")
def facts(host, seen):
    """Return the output of INSIDE: the lines' values by their first word."""
    found = {}
    for line in seen["inside"].lines:
        word, *values = line.split()
        found.setdefault(word, []).append(values)
    if "user" not in found:
        pytest.fail(
            f"{name(host)}: expected {SANDBOX} to run a script, found exit status {seen['inside'].status}: "
            f"{seen['inside'].err.strip()}: run the provisioning again",
            pytrace=False,
        )
    return found


def test_a_sample_runs_as_a_user_without_rights(host, facts):
    """As root, a fault in a sample would endanger the host."""
    user, number = facts["user"][0]
    assert user == "uring-lab" and number != "0", (
        f"{name(host)}: expected samples to run as the user uring-lab, found {user} ({number})"
    )
    assert int(facts["capabilities"][0][0], 16) == 0, (
        f"{name(host)}: expected no capability inside the sandbox, found {facts['capabilities'][0][0]}"
    )


def test_a_sample_cannot_gain_rights(host, facts):
    """With this bit neither sudo nor any other set-user-id program works inside."""
    assert facts["privileges"] == [["1"]], (
        f"{name(host)}: expected NoNewPrivs 1 inside the sandbox, found {facts['privileges']}"
    )


def test_a_sample_cannot_make_a_namespace_or_a_set_user_id_file(host, facts):
    """Most privilege escalations use user namespaces; a set-user-id file would survive the sandbox."""
    made = [word for word in ("namespace", "set-user-id") if word in facts]
    assert not made, (
        f"{name(host)}: expected no namespace and no set-user-id file to be made inside the sandbox, found "
        f"{', '.join(made)}"
    )


def test_a_sample_sees_no_network_but_its_own_loopback(host, facts):
    """The article's web server listens on every address; inside there is only a private loopback."""
    interfaces = sorted(values[0] for values in facts.get("interface", []))
    # A kernel with built-in tunnel drivers adds unusable interfaces of theirs to every network namespace.
    stubs = {"tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0", "ip6_vti0", "ip_vti0"}
    assert set(interfaces) - stubs == {"lo"}, (
        f"{name(host)}: expected only the loopback, found {', '.join(interfaces)}"
    )
    assert "route" not in facts, (
        f"{name(host)}: expected no route out of the sandbox, found {facts.get('route')}"
    )


def test_a_sample_cannot_write_outside_its_scratch_directory(host, facts):
    """A faulty sample cannot damage the host or a later run."""
    written = [values[0] for values in facts.get("written", [])]
    assert not written, (
        f"{name(host)}: expected samples not to be able to write, found that they can: {', '.join(written)}"
    )
    assert "scratch" in facts, (
        f"{name(host)}: expected a scratch directory /tmp inside the sandbox, found it not writable"
    )


def test_a_sample_cannot_read_other_peoples_files(host, facts):
    """A sample needs neither the host's /tmp nor its secrets."""
    assert "secret" not in facts and "private" not in facts, (
        f"{name(host)}: expected the host's /tmp and /etc/shadow to be unreadable, found one of them read"
    )


def test_the_sandbox_passes_input_output_and_exit_status_through(host, seen):
    """Otherwise a failing sample would look like a working one."""
    assert seen["inside"].status == 7, f"{name(host)}: expected exit status 7, found {seen['inside'].status}"
    assert seen["through"].out == "from outside", (
        f"{name(host)}: expected the input back, found {seen['through'].out!r}"
    )


def test_systemd_shows_the_sandbox_around_a_sample(host, facts, seen):
    """The same from outside: systemd enforces these, whatever the program does."""
    shown = dict(line.split("=", 1) for line in seen["shown"].out.splitlines())
    wrong = {key: shown.get(key) for key, value in PROPERTIES.items() if shown.get(key) != value}
    assert not wrong, (
        f"{name(host)}: expected {', '.join(f'{key}={PROPERTIES[key]}' for key in wrong)}, found {wrong}"
    )


def test_a_process_of_a_sample_cannot_map_unlimited_memory(host, facts, seen):
    """A single process cannot map 2 GiB, not even in a container without control groups."""
    answer = seen["mapped"]
    assert answer.status != 0 and "memory" in answer.err, (
        f"{name(host)}: expected a program to be refused 2 GiB of memory, found exit status {answer.status}: "
        f"{answer.err.strip()}"
    )


def test_a_sample_that_uses_too_much_memory_is_killed(host, facts, seen):
    """Otherwise the kernel would kill other processes of the host."""
    if "memory" not in seen["controllers"].out.split():
        pytest.skip(f"{name(host)} is a container without control groups: only single processes are limited")
    answer = seen["memory"]
    assert answer.status != 0 and "took" not in answer.out, (
        f"{name(host)}: expected the end of a program that takes 256 MiB where 64 are allowed, found exit "
        f"status {answer.status}: {answer.out.strip() or answer.err.strip()}"
    )


def test_a_sample_cannot_fill_the_host_with_processes(host, facts, seen):
    """After a fork bomb no process could be started to end it."""
    made = int(seen["processes"].out or 0)
    assert 0 < made < 64, f"{name(host)}: expected fewer than 64 processes to be made, found {made}"


def test_a_sample_that_runs_too_long_is_killed(host, facts, seen):
    """A server, or a program that hangs, would run forever."""
    ended = seen["time"].lines
    assert ended and ended != ["ended 0"], (
        f"{name(host)}: expected a program to be ended after the second that it was given, found {ended}"
    )


def test_a_sample_leaves_nothing_behind(host, facts, seen):
    """No files, processes or failed units, so that the next run starts from the same state."""
    assert not seen["left"].lines, (
        f"{name(host)}: expected nothing of the programs to be left, found {'; '.join(seen['left'].lines)}"
    )
