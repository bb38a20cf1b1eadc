"""The web server in LuaJIT: its coroutines, its memory, and how it starts and ends.

Its other features are tested in test_webserver.py together with the servers in C.
"""

import os
import signal
import subprocess
import time

import pytest

from tests.unit.samples.programs import binary, program
from tests.unit.samples.servers import INDEX, LARGE, serving

NAME = "10_webserver_luajit"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("webserver_luajit")
    (directory / "public").mkdir()
    (directory / "public" / "index.html").write_bytes(INDEX)
    (directory / "public" / "large.png").write_bytes(binary(LARGE))
    return directory


def test_an_error_in_a_coroutine_ends_only_its_connection(directory):
    edit = (
        "local function serve(c)\n",
        "local function serve(c)\n    if math.random() < 0.5 then error('x') end\n",
    )
    with serving(directory, executable=program(NAME, *edit)) as server:
        answers = []
        for _ in range(60):
            with server.connect() as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                try:
                    answers.append(
                        b"".join(iter(lambda client=client: client.recv(4096), b"")).endswith(INDEX)
                    )
                except ConnectionResetError:
                    answers.append(False)
        assert set(answers) == {True, False}
        assert server.descriptors(server.idle_descriptors) == server.idle_descriptors


def test_the_garbage_collector_frees_no_memory_that_the_kernel_writes_to(directory):
    edit = ("    local caller = current\n", "    collectgarbage()\n    local caller = current\n")
    with serving(directory, executable=program(NAME, *edit)) as server:
        assert server.get("/large.png")[2] == binary(LARGE)
        for _ in range(50):
            assert server.get("/")[2] == INDEX


def test_the_answer_ends_early_if_the_file_shrinks(directory):
    file = directory / "public" / "shrinking.png"
    file.write_bytes(binary(LARGE))
    with serving(directory, executable=program(NAME)) as server, server.connect() as client:
        client.sendall(b"GET /shrinking.png HTTP/1.0\r\n\r\n")
        received = client.recv(1000)
        time.sleep(0.2)  # until the socket's buffer is full, with most of the file still unread
        os.truncate(file, 1000)
        while piece := client.recv(1 << 16):
            received += piece
        assert 1000 < len(received) < LARGE
        assert server.get("/")[2] == INDEX


def test_a_client_that_sends_no_request_or_does_not_read_is_disconnected(directory):
    impatient = program(NAME, "local PATIENCE = 10", "local PATIENCE = 0")
    with (
        serving(directory, executable=impatient) as server,
        server.connect() as silent,
        server.connect() as deaf,
        server.connect() as endless,
    ):
        silent.sendall(b"GET / HTTP/1.0\r\n")
        deaf.sendall(b"GET /large.png HTTP/1.0\r\n\r\n")
        endless.sendall(b"GET / HTTP/1.0\r\n\r\n")  # and it does not close after the answer
        assert silent.recv(1) == b""
        time.sleep(2)
        assert server.descriptors(server.idle_descriptors) == server.idle_descriptors


def test_interrupt_ends_it_with_status_0(directory):
    with serving(directory, executable=program(NAME)) as server, server.connect():
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 0


def test_a_failed_start_is_explained(directory, tmp_path):
    with serving(directory, executable=program(NAME)) as server:
        for arguments, where, message in [
            ([], tmp_path, "program: public: No such file or directory\n"),
            ([str(server.port)], directory, f"program: 127.0.0.1:{server.port}: Address already in use\n"),
            (["65536"], directory, "program: usage: "),
            (["http"], directory, "program: usage: "),
            (["1.5"], directory, "program: usage: "),
            (["80", "80"], directory, "program: usage: "),
        ]:
            command = [program(NAME), *arguments]
            done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=10)
            assert (done.returncode, done.stdout, done.stderr[: len(message)]) == (1, "", message)


def test_other_processors_are_refused(directory):
    elsewhere = program(NAME, 'ffi.arch ~= "x64"', 'ffi.arch == "x64"')
    done = subprocess.run([elsewhere, "0"], cwd=directory, capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("program: only for x86-64: ")


def test_memory_does_not_grow(directory):
    with serving(directory, executable=program(NAME)) as server:

        def memory_after(requests):
            for _ in range(requests):
                assert server.get("/")[0] == 200
            return server.memory()

        before = memory_after(300)
        assert memory_after(1000) - before < 512 * 1024
