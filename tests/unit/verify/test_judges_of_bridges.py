"""The judges of the bridges' contracts: they accept a correct program, and each case rejects a faulty one."""

import sys
from pathlib import Path

import pytest

from tests.unit.verify.judging import (
    CRASH,
    RING,
    contract,
    judge,
    need_io_uring,
    rejections,
    shell,
    write_program,
)
from tests.verify import judges
from tests.verify.expectation import is_too_old

#: A correct cksum: that of coreutils also prints a line for a directory.
CKSUM = """\
s=0
for f; do
    if [ -d "$f" ]; then echo "$f: a directory" >&2; s=1; else cksum -- "$f" || s=1; fi
done
exit $s"""

#: Prints the checksum of what it reads with the name of the first file.
NAMED = '| cksum | sed "s|$| $1|"'

#: Faulty programs for the contract cksum, each with the cases that must reject it.
CKSUMS = {
    f'head -c -1 -- "$1" {NAMED}': [
        *(f"size {size}" for size in (1, 1023, 1024, 1025, 4096, 1 << 20, (1 << 20) + 1)),
        "known sum",
        "many files",
    ],
    'cksum -- "$@"; echo': ["size 0", "/dev/null"],
    f'head -c 67108864 -- "$1" {NAMED}': ["size 67108865", "over 2 GiB"],
    'cksum -- "$@" | sort': ["many files", "after missing files"],
    'cksum -- "$@"; true': [
        "missing file", "unreadable file", "directory", "after missing files", "full device",
    ],
    'cksum -- "$@" 2>/dev/null': ["missing file", "unreadable file", "full device"],
    'for f; do cksum -- "$f" || exit; done': ["after missing files"],
    '{ cat -- "$1"; head -c 4096 /dev/zero; } | head -c "$(stat -c %s -- "$1")" ' + NAMED: ["short file"],
    CRASH: ["io_uring denied"],
}  # fmt: skip

#: A correct fetch.
FETCH = r"""#!@python@
import os, re, signal, socket, sys

def end(status, text):
    sys.stderr.write(text + "\n")
    os._exit(status)

def stop(number, _):
    end(128 + number, "signal")

def write(data):
    while data:
        data = data[os.write(1, data) :]

def main(address, port, path, milliseconds):
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server = socket.create_connection((address, port), milliseconds / 1000)
    server.sendall(b"GET " + path.encode() + b" HTTP/1.0\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        block = server.recv(4096)
        head += block
        if not block or len(head) > 9000:
            end(1, "no answer")
    head, _, body = head.partition(b"\r\n\r\n")
    if not re.match(rb"HTTP/1\.\d \d{3} ", head):
        end(1, "no answer")
    if head[9:12] != b"200":
        end(2, "status")
    length = re.search(rb"Content-Length: (\d+)", head)
    left = int(length.group(1)) if length else 1 << 60
    while left:
        write(body)
        left -= len(body)
        body = server.recv(65536) if left else b""
        if left and not body:
            end(1, "cut off") if length else sys.exit(0)

if len(sys.argv) != 5:
    end(1, "usage")
_, address, port, path, milliseconds = sys.argv
if not re.match(r"\d+\.", address) or not re.fullmatch("/[^ \r\n]*", path):
    end(1, "usage")
if not 0 < int(port) < 65536 or int(milliseconds) <= 0:
    end(1, "usage")
try:
    main(address, int(port), path, int(milliseconds))
except socket.timeout:
    end(3, "late")
except OSError as problem:
    end(1, str(problem))
"""

#: Changes that make it faulty, each with the cases that must reject it.
FETCHES = {
    ("write(body)\n", "write(body[::-1])\n"): ["body", "16 MiB body"],
    ('if head[9:12] != b"200"', 'write(head)\n    if head[9:12] != b"200"'): [
        "body", "empty body", "not found",
    ],
    ("recv(65536) if left", "recv(65536) if left and left < 4000000"): ["16 MiB body"],
    ("if length else 1 << 60", "if length else 0"): ["without a length"],
    ("body = server.recv(65536) if left else b\"\"", "body = server.recv(65536)"): ["open connection"],
    ("main(address, int(port)", "signal.alarm(1); main(address, int(port)"): ["slow answer"],
    ("import os,", "import os; os.open('lock', os.O_CREAT | os.O_EXCL)\nimport os,"): ["many at once"],
    ("b\" HTTP/1.0\\r\\n\\r\\n\"", "b\" HTTP/1.0\\r\\n\""): ["request", "body"],
    ("GET \" + path.encode()", "GET /\""): ["request"],
    ("end(2, \"status\")", "pass"): ["not found"],
    ("end(1, str(problem))", "end(0, str(problem))"): ["connection refused", "full device"],
    ("end(1, \"cut off\")", "end(0, \"\")"): ["cut off"],
    ('if not re.match(rb"HTTP/1\\.\\d \\d{3} ", head):', "if False:"): ["no HTTP"],
    ("end(3, \"late\")", "end(1, \"late\")"): ["silent server", "stalled answer", "no connection"],
    ("milliseconds / 1000)", "None)"): ["silent server", "stalled answer", "no connection"],
    ("128 + number", "number"): ["signals"],
    ("signal.signal(number, stop)", "pass"): ["signals"],
    ("    while data:", "    os.path.isfile('/dev/stdout') and os.truncate(1, 0)\n    while data:"): [
        "appended",
    ],
    ("if not 0 < int(port) < 65536", "if not int(port)"): ["usage"],
    ("re.fullmatch(\"/[^ \\r\\n]*\", path)", "True"): ["usage"],
    ("import os,", "import sys; sys.exit(0)\nimport os,"): ["io_uring denied", "usage"],
}  # fmt: skip

#: A correct echo server.
ECHO = r"""#!@python@
import os, resource, signal, socket, sys, threading
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))  # 200 threads take more than the sandbox gives

def serve(client):
    try:
        while True:
            data = client.recv(4096)
            if not data:
                break
            client.sendall(data)
    except OSError:
        pass
    client.close()

for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: os._exit(0))
threading.stack_size(256 * 1024)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen(300)
print("on port", listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    threading.Thread(target=serve, args=(client,), daemon=True).start()
"""

LOOP = "    try:\n        while True:"

#: Changes that make it faulty, each with the cases that must reject it.
ECHOES = {
    ('("127.0.0.1", int', '("0.0.0.0", int'): ["loopback only"],
    ("    client.close()", "    kept.append(client)\nkept = []"): ["no data", "reset"],
    ("if not data:", "if not data or data[:5] == b'after':"): ["starts"],
    ("data = client.recv(4096)", "data = client.recv(4096, socket.MSG_WAITALL)"): ["dialogue"],
    (LOOP, f"{LOOP[:-12]}for _ in range(300):"): ["32 MiB", "slow reader"],
    (LOOP, f"{LOOP[:-12]}for _ in range(100):"): ["many large clients"],
    ("client.sendall(data)", "held.append(data); client.sendall(held.pop(0))\nheld = [b'x']"): [
        "many clients",
    ],
    ("threading.Thread(target=serve, args=(client,), daemon=True).start()", "serve(client)"): [
        "idle clients", "deaf clients",
    ],
    ("client.recv(4096)", "b''.join(iter(lambda: client.recv(65536), b''))"): ["deaf clients", "dialogue"],
    ("client.sendall(data)", "client.send(data, socket.MSG_DONTWAIT)"): ["slow reader"],
    ("except OSError:\n        pass", "except OSError:\n        os._exit(3)"): ["reset"],
    ("    client.close()", "    client.close()\n    os.dup(0)"): ["growth", "reset"],
    ("    client.close()", "    client.close()\n    kept.append(bytearray(9999))\nkept = []"): ["growth"],
    ("os._exit(0))", "os._exit(1))"): ["signals"],
    ("os._exit(0))", "None)"): ["signals"],
    ("SO_REUSEADDR", "SO_REUSEPORT"): ["port in use"],
    ("import os,", "import sys; sys.exit(0)\nimport os,"): ["starts", "io_uring denied"],
}  # fmt: skip

#: Prints a table like that of a correct program.
PINGPONG = r"""#!@python@
import os, sys, time
count = int(sys.argv[1]) if len(sys.argv) == 2 and sys.argv[1].isdigit() else 0
if not 0 < count <= 1000000:
    sys.exit("usage")
end, ours = os.pipe()
if os.fork() == 0:
    os.close(ours)
    os.read(end, 1)
    os._exit(0)
time.sleep(9 if count == 1000000 else 0)
print("way  round trips  calls  sleeps  us each")
for way in ("one", "all", "time-out", "min-wait", "registered", "SQPOLL"):
    calls = count if way == "one" else -(-count // 4)
    sleeps = 0 if way == "SQPOLL" else calls
    print(way, count, calls, sleeps, 1.5)
"""

#: Changes that make it faulty, each with the cases that must reject it.
PINGPONGS = {
    ("way  round trips", "ways  round trips"): ["complete"],
    ('"time-out", ', ""): ["complete", "none left out"],
    ('("one", "all",', '("all", "one",'): ["complete"],
    ("    sleeps = 0", "    if way == 'all': print('all  left out: no'); continue\n    sleeps = 0"): [
        "none left out",
    ],
    ("end, ours", "sys.stderr.write('?')\nend, ours"): ["complete"],
    ("calls, sleeps, 1.5)", "calls, sleeps, 1.5)\nsys.exit(3)"): [
        "complete", "count", "calls", "sleeps", "time", "no process left",
    ],
    ("end, ours", "count = max(count, 400)\nend, ours"): ["count"],
    ("end, ours", "count = 10\nend, ours"): ["count"],
    ("-(-count // 4)", "count"): ["calls"],
    ("-(-count // 4)", "count // 5"): ["calls"],
    ('calls = count if way == "one" else', 'calls = 2 * count if way == "one" else'): ["calls"],
    ("0 if way == \"SQPOLL\" else calls", "0"): ["sleeps"],
    ("0 if way == \"SQPOLL\" else calls", "calls"): ["sleeps"],
    ("sleeps, 1.5)", "sleeps, 0.0)"): ["time"],
    ("sleeps, 1.5)", "sleeps, 99999.5)"): ["time"],
    ("    os.read(end, 1)", "    time.sleep(9)"): ["no process left"],
    ("if not 0 < count", "if 0 > count"): ["usage"],
    ("<= 1000000:", "<= 1000001:"): ["usage"],
    ("sleeps, 1.5)", "sleeps, 1.5)\ntry: sys.stdout.flush()\nexcept OSError: os._exit(0)"): ["full device"],
    ("import os,", "import sys; sys.exit(0)\nimport os,"): ["complete", "io_uring denied", "usage"],
}  # fmt: skip

CORRECT = {"fetch": FETCH, "echo": ECHO, "pingpong": PINGPONG}


def script(directory: Path, name: str, old: str = "", new: str = "") -> Path:
    """Write the correct program of a contract, with `old` replaced by `new`; return its path."""
    assert CORRECT[name].count(old) == 1 or not old
    return write_program(
        directory, CORRECT[name].replace(old, new).replace("@python@", f"{sys.executable} -IS")
    )


def test_a_correct_cksum_passes(tmp_path):
    verdicts = judge("cksum", shell(tmp_path, CKSUM))
    assert rejections(verdicts) == {}
    assert verdicts.keys() == {*contract("cksum"), judges.WITHOUT}


@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_program_passes(tmp_path, name):
    verdicts = judge(name, script(tmp_path, name))
    assert rejections(verdicts) == {}
    assert verdicts.keys() == {*contract(name), judges.WITHOUT}


@pytest.mark.parametrize("fault", CKSUMS)
def test_a_faulty_cksum_is_rejected(tmp_path, fault):
    if fault == CRASH:
        need_io_uring()
    assert rejections(judge("cksum", shell(tmp_path, fault), *CKSUMS[fault])).keys() == set(CKSUMS[fault])


@pytest.mark.parametrize("fault", FETCHES)
def test_a_faulty_fetch_is_rejected(tmp_path, fault):
    verdicts = judge("fetch", script(tmp_path, "fetch", *fault), *FETCHES[fault])
    assert rejections(verdicts).keys() == set(FETCHES[fault])


@pytest.mark.parametrize("fault", ECHOES)
def test_a_faulty_echo_server_is_rejected(tmp_path, fault):
    verdicts = judge("echo", script(tmp_path, "echo", *fault), *ECHOES[fault])
    assert rejections(verdicts).keys() == set(ECHOES[fault])


@pytest.mark.parametrize("fault", PINGPONGS)
def test_a_faulty_table_of_ways_to_wait_is_rejected(tmp_path, fault):
    verdicts = judge("pingpong", script(tmp_path, "pingpong", *fault), *PINGPONGS[fault])
    assert rejections(verdicts).keys() == set(PINGPONGS[fault])


@pytest.mark.parametrize(
    ("name", "faults"),
    [("cksum", CKSUMS), ("fetch", FETCHES), ("echo", ECHOES), ("pingpong", PINGPONGS)],
)
def test_each_case_rejects_some_faulty_program(name, faults):
    assert {case for cases in faults.values() for case in cases} >= contract(name)


def test_a_program_that_uses_io_uring_fails_where_it_is_denied(tmp_path):
    """The program is correct except that it crashes without io_uring."""
    need_io_uring()
    (tmp_path / "ring.py").write_text(RING.read_text())
    check = CRASH.replace("{directory}", str(tmp_path)).replace("$$", "$PPID")
    fault = ("import os,", f"import os; os.system({check!r})\nimport os,")
    for name in CORRECT:
        verdicts = judge(name, script(tmp_path, name, *fault), "io_uring denied", judges.WITHOUT)
        assert rejections(verdicts).keys() == {"io_uring denied", judges.WITHOUT}


@pytest.mark.parametrize(
    ("release", "sample", "old"),
    [
        ("5.6.4-050604-generic", {"needs_linux": "6.1"}, True),
        ("6.0.19", {"needs_linux": "6.1"}, True),
        ("6.1", {"needs_linux": "6.1"}, False),
        ("6.1.0-56-cloud-amd64", {"needs_linux": "6.1"}, False),
        ("5.15.0-100-generic", {"needs_linux": "5.15"}, False),
        ("5.4.0", {}, False),
    ],
)
def test_a_program_is_not_judged_on_a_kernel_without_its_operations(release, sample, old):
    assert is_too_old(release, sample) is old
