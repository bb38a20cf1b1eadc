"""The bridges 11 to 15: what their judges cannot see from outside, or only on other kernels."""

import contextlib
import os
import platform
import re
import resource
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.unit.samples.programs import OURS, SAMPLES, binary, program
from tests.unit.samples.test_system_calls import Trace, only_io_uring
from tests.verify.expectation import version

ECHO, FETCH, CKSUM, ZERO_COPY = "11_echo_multishot", "12_fetch_linked", "13_cksum_fixed", "14_echo_zerocopy"
ECHOES = (ECHO, ZERO_COPY)
WAITS = "15_pingpong_waits"

#: Edits of the echo server: hardly any buffers, so that RECV often ends with -ENOBUFS; a short patience.
FEW_BUFFERS = (
    "#define BUFFERS      4096",
    "#define BUFFERS      8",
    "#define MOST_HELD    16",
    "#define MOST_HELD    2",
)
IMPATIENT = {
    ECHO: ("#define PATIENCE     10", "#define PATIENCE     1"),
    ZERO_COPY: ("#define PATIENCE     (10 * 1000)", "#define PATIENCE     1000"),
}
#: Edits of the zero-copy server: it does not wait for notifications; each SEND_ZC fails.
NOTIFICATIONS_IGNORED = ("% BUFFERS].notifications == 0)", "% BUFFERS].notifications < 1000)")
NO_ZERO_COPY = (
    "MSG_NOSIGNAL, 0);", "MSG_NOSIGNAL, 1U << 15);",
    "result == -ENOMEM ||", "result == -EINVAL ||",
)  # fmt: skip


@contextlib.contextmanager
def echoing(*edit, name=ECHO, **options):
    """Run an echo server within a context; yield its process and port. It must exit with 0 on SIGTERM."""
    process = subprocess.Popen([program(name, *edit), "0"], stdout=subprocess.PIPE, text=True, **options)
    try:
        yield process, int(re.fullmatch(r"echo on 127\.0\.0\.1:(\d+)\n", process.stdout.readline())[1])
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def echoed(port, data):
    """Send data and receive meanwhile; return what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:

        def send():
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        received = b"".join(iter(lambda: client.recv(1 << 16), b""))
        sender.join()
    return received


def descriptors(process):
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def deaf_client(port):
    """Connect a client that sends until the server takes no more, and does not read."""
    client = socket.create_connection(("127.0.0.1", port))
    client.setblocking(False)
    last = time.monotonic()
    while time.monotonic() < last + 0.3:
        try:
            client.send(bytes(1 << 20))
            last = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    return client


@pytest.mark.parametrize(
    ("name", "edit"),
    [(ECHO, ()), (ECHO, FEW_BUFFERS), (ZERO_COPY, ()), (ZERO_COPY, NO_ZERO_COPY)],
    ids=["enough buffers", "hardly any", "zero copy", "without memory for zero copy"],
)
def test_the_echo_is_right_whatever_the_kernel_lacks(name, edit):
    datas = [binary(200_000 + number) for number in range(12)]
    answers = [b""] * len(datas)

    def exchange(number):
        answers[number] = echoed(port, datas[number])

    with echoing(*edit, name=name) as (_, port):
        clients = [threading.Thread(target=exchange, args=(number,)) for number in range(len(datas))]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert answers == datas


@pytest.mark.parametrize(("edit", "right"), [((), True), (NOTIFICATIONS_IGNORED, False)])
def test_a_buffer_is_reused_only_after_its_notification(edit, right):
    """A client that begins to read late gets what is in the buffers by then: the second server proves it."""
    data = binary(16 << 20)
    with (
        echoing(*edit, name=ZERO_COPY) as (_, port),
        socket.create_connection(("127.0.0.1", port), timeout=20) as client,
    ):
        client.setblocking(False)
        sent, last = 0, time.monotonic()
        while time.monotonic() < last + 0.5:
            try:
                sent += client.send(data[sent:])
                last = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        client.settimeout(20)
        client.shutdown(socket.SHUT_WR)
        assert (b"".join(iter(lambda: client.recv(1 << 20), b"")) == data[:sent]) is right


@pytest.mark.parametrize("name", ECHOES)
def test_a_client_that_does_not_read_is_disconnected_and_a_silent_one_is_not(name):
    with (
        echoing(*IMPATIENT[name], name=name) as (process, port),
        socket.create_connection(("127.0.0.1", port), 10) as silent,
    ):
        silent.sendall(b"1")
        assert silent.recv(1) == b"1"
        before = descriptors(process)
        with deaf_client(port):
            end = time.monotonic() + 10
            time.sleep(0.5)
            while descriptors(process) > before and time.monotonic() < end:
                time.sleep(0.1)
            assert descriptors(process) == before
        silent.sendall(b"2")
        assert silent.recv(1) == b"2"


def test_clients_that_do_not_read_cannot_take_all_buffers():
    """Each may hold two, and those that arrive until its RECV is cancelled: some 80, as they come by 32."""
    if version(platform.release()) < (6, 8):
        pytest.skip(
            f"Linux {platform.release()} lets one RECV take any number of buffers before the next's turn"
        )
    edit = (
        "#define BUFFERS      4096", "#define BUFFERS      1024",
        "#define MOST_HELD    16", "#define MOST_HELD    2",
        "#define PATIENCE     10", "#define PATIENCE     60",
    )  # fmt: skip
    with echoing(*edit) as (_, port), contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(deaf_client(port))
        assert echoed(port, binary(100_000)) == binary(100_000)


@pytest.mark.parametrize("name", ECHOES)
def test_without_descriptors_clients_wait_until_there_are_some(name):
    def allow_few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))

    with echoing(name=name, preexec_fn=allow_few) as (_, port):
        clients = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(10)]
        for client in clients:
            client.sendall(b"hello")
        for client in clients:  # each gets the descriptor of one before it
            assert client.recv(5) == b"hello"
            client.close()


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        (ECHO, (".flags = IORING_SETUP_SINGLE_ISSUER", ".flags = 1U << 31"), "Linux 6.1 is needed"),
        (CKSUM, ("&answer.probe, IORING_OP_LINKAT", "&answer.probe, 255"), "Linux 5.15 is needed"),
        (ZERO_COPY, ("&answer.probe, IORING_OP_SEND_ZC", "&answer.probe, 255"), "Linux 6.0 is needed"),
    ],
)
def test_on_an_older_kernel_it_says_in_one_line_what_it_needs(name, edit, message, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x")
    argument = "0" if name in ECHOES else file
    done = subprocess.run([program(name, *edit), argument], capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f"{message}\n")
    assert done.stderr.count("\n") == 1


def test_the_message_names_the_kernel_in_the_catalog():
    needing = {sample["name"]: sample["needs_linux"] for sample in OURS if "needs_linux" in sample}
    assert needing.keys() == {ECHO, CKSUM, ZERO_COPY}
    for name, linux in needing.items():
        assert f"Linux {linux} is needed" in (SAMPLES / name / "main.c").read_text()


@pytest.mark.parametrize("name", [ECHO, FETCH, CKSUM, ZERO_COPY, WAITS])
def test_a_bridge_has_at_most_250_lines(name):
    assert len((SAMPLES / name / "main.c").read_text().splitlines()) <= 250


def test_more_files_than_descriptors_are_summed_up(tmp_path):
    """Direct descriptors take none of the process; the ring and standard streams need four."""
    files = [tmp_path / str(number) for number in range(40)]
    for number, file in enumerate(files):
        file.write_bytes(binary(300_000 + number))
    done = subprocess.run(
        [program(CKSUM), *files],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8)),
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == subprocess.run(["cksum", *files], capture_output=True, check=True).stdout


def test_too_little_locked_memory_is_explained(tmp_path):
    """In a user namespace even root is subject to the limit."""
    if not shutil.which("unshare"):
        pytest.skip("no unshare: install util-linux")
    executable = program(CKSUM)
    for directory in (executable.parent, executable.parent.parent, executable.parents[2]):
        directory.chmod(0o755)
    script = 'ulimit -l 64; exec "$0" /dev/null'
    done = subprocess.run(
        ["unshare", "--user", "sh", "-c", script, executable], capture_output=True, text=True
    )
    if "unshare" in done.stderr:
        pytest.skip(f"no user namespace here: {done.stderr.strip()}")
    assert done.returncode == 1
    assert "locked memory is needed: ulimit -l" in done.stderr


def test_the_checksum_reads_only_by_io_uring(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(binary(1_000_001))
    found = Trace(tmp_path, program(CKSUM), source, stdout=subprocess.DEVNULL).counts(source)
    assert only_io_uring(found), found


@pytest.mark.parametrize("name", ECHOES)
def test_the_echo_server_accepts_receives_and_sends_only_by_io_uring(name, tmp_path):
    trace = Trace(tmp_path, program(name), "0", stdout=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r":(\d+)", trace.process.stdout.readline())[1])
        assert echoed(port, binary(1_000_001)) == binary(1_000_001)
    finally:
        trace.process.terminate()
    found = trace.counts("socket")
    assert only_io_uring(found), found


def test_the_fetch_sends_receives_and_writes_only_by_io_uring(tmp_path):
    output = tmp_path / "output"
    with socket.create_server(("127.0.0.1", 0)) as server, output.open("wb") as file:
        arguments = ["127.0.0.1", str(server.getsockname()[1]), "/"]
        trace = Trace(tmp_path, program(FETCH), *arguments, stdout=file)
        client, _ = server.accept()
        with client:
            client.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + binary(1_000_001))
            client.shutdown(socket.SHUT_WR)
            found = trace.counts("socket", output)
    assert output.read_bytes() == binary(1_000_001)
    assert only_io_uring(found), found


def test_a_fetch_without_standard_output_is_refused():
    """Otherwise the body would go into one of its own descriptors."""
    command = [program(FETCH), "127.0.0.1", "1", "/"]
    done = subprocess.run(
        command, preexec_fn=lambda: os.close(1), stdout=None, stderr=subprocess.PIPE, text=True, timeout=10
    )
    assert (done.returncode, done.stderr) == (1, "program: standard output: Bad file descriptor\n")


def ways(*edit, count=400):
    """Run the program that compares ways to wait; return the rest of each way's line, by the way."""
    done = subprocess.run([program(WAITS, *edit), str(count)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines()[1:])


def test_ways_to_wait_that_the_kernel_lacks_are_left_out_with_the_reason():
    found = ways("features = params.features;", "features = 0;")
    assert {way: text.strip() for way, text in found.items() if "left out" in text} == {
        "time-out": "left out: Linux 5.11 is needed",
        "min-wait": "left out: Linux 6.12 is needed",
        "registered": "left out: Linux 6.13 is needed",
        "SQPOLL": "left out: Linux 5.11 is needed",
    }
    assert found["one"].split()[0] == found["all"].split()[0] == "400"  # also without CQE_SKIP_SUCCESS
    assert found["all"].split()[1] == "100"


def test_a_way_to_wait_that_the_kernel_refuses_is_left_out():
    found = ways("REGISTER_MEM_REGION     34", "REGISTER_MEM_REGION 999")
    assert "Linux 6.1" in found["registered"]
    assert ways("SETUP_DEFER_TASKRUN     (1U << 13)", "SETUP_DEFER_TASKRUN (1U << 31)")["one"].startswith(
        "400 "
    )


def test_a_way_to_wait_gets_only_so_much_time():
    found = ways("#define PATIENCE  (3 * 1000000000LL)", "#define PATIENCE 0LL", count=1000000)
    assert {text.split()[0] for text in found.values() if "left out" not in text} == {"4"}
