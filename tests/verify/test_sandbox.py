"""Step 4, first half: the sandbox in which the samples run keeps its word.

The samples are teaching programs with known holes (the web server hands out any file of the host), so what
holds them is verified from the inside.
"""

import pytest

from tests.verify.remote import ask, name

SANDBOX = "/opt/uring-lab/sandbox"

#: Where a program must not be able to leave anything.
PROTECTED = "/ /etc /usr/local/bin /var/cache /var/lib/uring-lab /opt/uring-lab/samples /home /root"

INSIDE = f"""\
echo user $(id -un) $(id -u)
sed -n 's/^NoNewPrivs:/privileges/p; s/^CapEff:/capabilities/p' /proc/self/status
sed -n 's/^ *\\([a-z0-9]*\\):.*/interface \\1/p' /proc/net/dev
sed 1d /proc/net/route | sed 's/^/route /'
for folder in {PROTECTED}; do
    if touch "$folder/written-by-a-sample" 2>/dev/null; then
        echo "written $folder"
        rm "$folder/written-by-a-sample"
    fi
done
touch /tmp/in-the-sandbox && echo "scratch"
cat "$1" /etc/shadow 2>/dev/null && echo "secret read"
exit 7
"""


#: Runs the script above; its argument is a file in the host's own /tmp that anyone there may read.
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
    return ask(host, inside=FROM_OUTSIDE, through=f"printf 'from outside' | {SANDBOX} cat")


@pytest.fixture(scope="module")
def facts(host, seen):
    """Read what the script saw from inside: a list of values by the first word of its lines."""
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
    """As root, a fault in a sample would be a fault in the host."""
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


def test_a_sample_sees_no_network_but_its_own_loopback(host, facts):
    """The sample web server listens on every address there is; inside there is one, and it leads nowhere."""
    interfaces = sorted(values[0] for values in facts.get("interface", []))
    # A kernel with tunnel modules built in puts unusable stubs of theirs into every new network namespace.
    stubs = {"tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0", "ip6_vti0", "ip_vti0"}
    assert set(interfaces) - stubs == {"lo"}, (
        f"{name(host)}: expected the loopback alone, found {', '.join(interfaces)}"
    )
    assert "route" not in facts, (
        f"{name(host)}: expected no route out of the sandbox, found {facts.get('route')}"
    )


def test_a_sample_cannot_write_outside_its_scratch_folder(host, facts):
    """A sample that goes wrong can then spoil nothing that a later run would trip over."""
    written = [values[0] for values in facts.get("written", [])]
    assert not written, (
        f"{name(host)}: expected these to be closed to samples, found them writable: {', '.join(written)}"
    )
    assert "scratch" in facts, (
        f"{name(host)}: expected a scratch folder /tmp inside the sandbox, found it closed"
    )


def test_a_sample_cannot_read_other_peoples_files(host, facts):
    """The host's /tmp and its secrets are not a sample's business."""
    assert "secret" not in facts and "private" not in facts, (
        f"{name(host)}: expected the host's /tmp and /etc/shadow to be out of reach, found one of them read"
    )


def test_the_sandbox_passes_input_output_and_exit_status_through(host, seen):
    """Otherwise a failing sample would look like a working one."""
    assert seen["inside"].status == 7, f"{name(host)}: expected exit status 7, found {seen['inside'].status}"
    assert seen["through"].out == "from outside", (
        f"{name(host)}: expected the input back, found {seen['through'].out!r}"
    )
