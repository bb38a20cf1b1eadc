"""How the kernel role reads a mainline archive whose server has a bad day."""

import socket
import ssl

import mainline_web
import pytest

PATHS = ["", "v5.6/", "v5.6/CHECKSUMS", "v5.6/CHECKSUMS.gpg"]


@pytest.fixture(autouse=True)
def build(mirror):
    mirror.add("5.6")


@pytest.mark.parametrize(
    ("path", "code"),
    [*((path, 410) for path in PATHS), *(("", code) for code in (408, 425, 429, 500, 502, 503, 504))],
)
def test_a_server_that_has_enough_is_to_be_asked_again(find, server, path, code):
    server.status(path, code, times=1)
    answer = find(version="5.6")
    assert f"{server.url}{path} answers {code}" in answer["msg"]
    assert answer["temporary"] is answer["out_of_reach"] is True
    assert ("wait a few minutes" in answer["msg"]) is (code < 500)
    assert "debs" in find(version="5.6")


@pytest.mark.parametrize("code", [400, 401, 403, 404, 451])
def test_a_server_that_means_no_is_not_asked_again(find, server, code):
    server.status("", code)
    answer = find(version="5.6")
    assert str(code) in answer["msg"]
    assert answer["temporary"] is False
    assert answer["out_of_reach"] is True


@pytest.mark.parametrize("path", PATHS)
def test_redirects_in_circles_are_named(find, server, path):
    server.loop(path)
    answer = find(version="5.6")
    assert f"{server.url}{path} sends us round in circles by redirects" in answer["msg"]
    assert answer["temporary"] is False


@pytest.mark.parametrize(("fault", "says"), [("truncated", "ended after "), ("reset", "cannot be read: ")])
@pytest.mark.parametrize("path", PATHS)
def test_an_answer_that_breaks_off_is_asked_for_again(find, server, path, fault, says):
    getattr(server, fault)(path, times=1)
    answer = find(version="5.6")
    assert f"{server.url}{path} {says}" in answer["msg"]
    assert answer["temporary"] is True
    assert "debs" in find(version="5.6")


@pytest.mark.parametrize(("path", "size"), [("", 9 << 20), ("v5.6/", 2 << 20), ("v5.6/CHECKSUMS", 2 << 20)])
def test_an_answer_without_end_is_cut_off(find, server, path, size):
    server.oversized(path, size)
    answer = find(version="5.6")
    assert f"{server.url}{path} answers with more than the " in answer["msg"]
    assert answer["temporary"] is False


def test_a_server_that_says_nothing_is_given_up(find, server):
    server.silent("v5.6/")
    answer = find(version="5.6", timeout=1)
    assert f"{server.url}v5.6/ cannot be read: " in answer["msg"]
    assert "timed out" in answer["msg"]
    assert answer["temporary"] is True


def test_a_server_that_answers_drop_by_drop_is_given_up(find, server):
    server.drip("v5.6/", pause=0.3, drops=20)
    answer = find(version="5.6", timeout=1)
    assert f"{server.url}v5.6/ takes more than 4 seconds for an answer" in answer["msg"]
    assert answer["temporary"] is True


def test_a_login_page_in_place_of_the_index_is_named(find, server):
    server.page("")
    answer = find(version="5.6")
    assert f"{server.url} lists no kernel" in answer["msg"]
    assert "a proxy or a log-in page may stand between" in answer["msg"]
    assert answer["out_of_reach"] is True


def test_a_login_page_in_place_of_a_build_is_no_build(find, server):
    server.page("v5.6/")
    assert "it has no kernel for amd64" in find(version="5.6")["msg"]


def test_a_server_that_is_not_there_is_named(find, server):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    answer = find(url=url, version="5.6")
    assert answer["msg"] == f"{url} cannot be read: [Errno 111] Connection refused"
    assert answer["temporary"] is answer["out_of_reach"] is True


@pytest.mark.parametrize("url", ["ftp://example.org/", "file:///etc/", "example.org"])
def test_an_archive_is_read_over_http_alone(find, url):
    assert f"kernel_mainline_url is {url}: it must begin with https:// or http://" in find(url=url)["msg"]


@pytest.mark.parametrize(
    "url", ["http://", "http:///x", "http://a b/", "http://[/", "http://x:y/", "http://.../"]
)
def test_an_address_that_is_none_is_refused_in_a_sentence(find, url):
    answer = find(url=url)
    assert answer["failed"]
    assert "Traceback" not in answer.get("exception", "")
    assert url in answer["msg"]


@pytest.mark.parametrize(
    ("reason", "says", "temporary"),
    [
        (ssl.SSLCertVerificationError("self-signed"), "has no certificate that this computer trusts", False),
        (
            socket.gaierror(socket.EAI_NONAME, "unknown"),
            "has a name that cannot be looked up: unknown",
            False,
        ),
        (socket.gaierror(socket.EAI_AGAIN, "later"), "has a name that cannot be looked up: later", True),
        (OSError("Tunnel connection failed: 503 Busy"), "cannot be read: Tunnel connection failed", True),
    ],
)
def test_what_the_loopback_cannot_show_is_told_too(monkeypatch, reason, says, temporary):
    def refuse(*_arguments, **_options):
        raise mainline_web.urllib.error.URLError(reason)

    monkeypatch.setattr(mainline_web.urls, "open_url", refuse)
    with pytest.raises(mainline_web.WebError, match=says) as refusal:
        mainline_web.get("https://example.org/", 1, 1)
    assert refusal.value.temporary is temporary
