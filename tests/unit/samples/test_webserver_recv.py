"""What sets the web server on RECV, SEND and READ apart from the one on readv and writev.

What the two have in common is tested together, in test_webserver.py.
"""

from tests.unit.samples.programs import SAMPLES


def test_sockets_and_files_are_read_and_written_without_vectors():
    source = (SAMPLES / "08_webserver_recv" / "main.c").read_text()
    for request in ("recv", "send", "read"):
        assert f"io_uring_prep_{request}(" in source
    assert "iovec" not in source
