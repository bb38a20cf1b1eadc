"""What the kernel role trusts of a mainline archive, and all that it refuses."""

import base64
import hashlib
import subprocess

import mainline_trust as trust
import mainline_web as web
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mainline_trust import TrustError

from tests.mirror.archive import Signer, checksums_of

PINNED = "60AA7B6F30434AE68E569963E50C6A0917C622B0"
IMAGE = "linux-image-unsigned-5.6.0-050600-generic_5.6.0-050600.202003292333_amd64.deb"


@pytest.fixture(scope="module")
def stranger():
    return Signer()


def binary(armoured):
    return subprocess.run(["gpg", "--dearmor"], input=armoured, capture_output=True, check=True).stdout


@pytest.mark.parametrize("form", [bytes, binary], ids=["armoured", "binary"])
def test_a_key_may_be_armoured_or_binary(find, mirror, tmp_path, signer, form):
    mirror.add("5.6")
    key = tmp_path / "key"
    key.write_bytes(form(signer.key))
    assert len(find(version="5.6", key=str(key))["debs"]) == 4


def test_a_signature_may_be_armoured(find, mirror, signer):
    signer.sign(mirror.add("5.6") / "CHECKSUMS", armour=True)
    assert "debs" in find(version="5.6")


def test_a_fingerprint_may_be_written_with_spaces_and_in_small_letters(find, mirror):
    mirror.add("5.6")
    text = mirror.fingerprint.lower()
    assert "debs" in find(version="5.6", fingerprint=" ".join(text[at : at + 4] for at in range(0, 40, 4)))


@pytest.mark.parametrize("short", ["", "17C622B0", "E50C6A0917C622B0", "any"])
def test_a_fingerprint_that_is_not_whole_is_refused(find, mirror, short):
    mirror.add("5.6")
    assert (
        f"kernel_mainline_fingerprint is {short or 'empty'}" in find(version="5.6", fingerprint=short)["msg"]
    )


def test_another_key_than_the_pinned_one_is_refused_though_it_signed(find, mirror, stranger, tmp_path):
    mirror.seal(mirror.add("5.6"), signer=stranger)
    key = tmp_path / "key"
    key.write_bytes(stranger.key)
    answer = find(version="5.6", key=str(key))
    assert f"is by the key {stranger.fingerprint}; kernel_mainline_fingerprint is" in answer["msg"]
    assert answer["temporary"] is False


def test_a_key_that_was_added_to_the_right_one_is_refused(find, mirror, stranger, tmp_path):
    mirror.seal(mirror.add("5.6"), signer=stranger)
    key = tmp_path / "key"
    key.write_bytes(binary(mirror.key.read_bytes()) + binary(stranger.key))
    assert f"is by the key {stranger.fingerprint};" in find(version="5.6", key=str(key))["msg"]


def test_a_signature_by_a_key_that_is_not_there_is_refused(find, mirror, stranger):
    mirror.seal(mirror.add("5.6"), signer=stranger)
    answer = find(version="5.6")
    assert (
        f"is by the key {stranger.fingerprint[-16:]}, which is not the one in kernel_mainline_key"
        in answer["msg"]
    )


def test_a_second_signature_by_a_stranger_is_refused(find, mirror, stranger):
    path = mirror.add("5.6") / "CHECKSUMS.gpg"
    right = path.read_bytes()
    stranger.sign(path.with_suffix(""))
    path.write_bytes(right + path.read_bytes())
    assert "failed" in find(version="5.6")


@pytest.mark.parametrize("name", ["CHECKSUMS", "CHECKSUMS.gpg"])
def test_one_changed_bit_is_refused(find, mirror, server, name):
    mirror.add("5.6")
    server.flipped(f"v5.6/{name}")
    answer = find(version="5.6")
    assert f"the signature of {server.url}v5.6/CHECKSUMS " in answer["msg"]
    assert answer["temporary"] is False


def test_an_empty_signature_is_refused(find, mirror):
    (mirror.add("5.6") / "CHECKSUMS.gpg").write_bytes(b"")
    assert "failed" in find(version="5.6")


@pytest.mark.parametrize("name", ["CHECKSUMS", "CHECKSUMS.gpg"])
def test_a_build_without_a_signature_is_refused(find, mirror, name):
    (mirror.add("5.6") / name).unlink()
    assert f"has no {name}: a build without a signature is not installed" in find(version="5.6")["msg"]


@pytest.mark.parametrize("name", ["CHECKSUMS", "CHECKSUMS.gpg"])
def test_a_login_page_in_place_of_the_sums_is_named(find, mirror, server, name):
    mirror.add("5.6")
    server.page(f"v5.6/{name}")
    assert (
        f"v5.6/{name} is a page of HTML: a proxy or a log-in page may stand between"
        in find(version="5.6")["msg"]
    )


def test_a_deb_that_has_no_signed_sum_is_refused(find, mirror):
    folder = mirror.add("5.6")
    mirror.seal(
        folder, "\n".join(line for line in checksums_of(folder).splitlines() if "modules" not in line)
    )
    assert (
        "linux-modules-5.6.0-050600-generic_5.6.0-050600.202003292333_amd64.deb has no SHA-256 sum"
        in find(version="5.6")["msg"]
    )


def test_a_sum_of_the_sha1_block_does_not_count(find, mirror):
    folder = mirror.add("5.6")
    mirror.seal(folder, checksums_of(folder).partition("#\n")[0])
    assert "has no SHA-256 sum" in find(version="5.6")["msg"]


def test_a_deb_with_two_signed_sums_is_refused(find, mirror):
    folder = mirror.add("5.6")
    mirror.seal(folder, checksums_of(folder) + f"{'0' * 64}  {IMAGE}\n")
    assert f"cannot be used: it has two SHA-256 sums for {IMAGE}" in find(version="5.6")["msg"]


def test_a_sum_that_is_known_to_be_another_is_refused_and_the_right_one_taken(find, mirror):
    right = hashlib.sha256((mirror.add("5.6") / IMAGE).read_bytes()).hexdigest()
    assert "debs" in find(version="5.6", known_sha256={IMAGE: right, "another.deb": "0" * 64})
    answer = find(version="5.6", known_sha256={IMAGE: "0" * 64})
    assert f"{IMAGE} has the SHA-256 sum {right}" in answer["msg"]
    assert f"but {'0' * 64} is known" in answer["msg"]


@pytest.mark.parametrize(
    ("ends_at", "trusted"), [("https://keys.example/", True), ("http://keys.example/", False)]
)
def test_a_key_comes_over_https_to_the_very_end(find, mirror, monkeypatch, signer, ends_at, trusted):
    mirror.add("5.6")
    over_http = web.get

    def get(url, *bounds):
        return (ends_at, signer.key) if url.startswith("https://") else over_http(url, *bounds)

    monkeypatch.setattr(web, "get", get)
    answer = find(version="5.6", key="https://keys.example/key")
    assert ("debs" in answer) is trusted
    assert trusted or f"leads to {ends_at}, which is not https" in answer["msg"]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("/nowhere/key.asc", "kernel_mainline_key is /nowhere/key.asc: No such file or directory"),
        ("http://example.org/key.asc", "it must be an https address or a file"),
        ("", "No such file or directory"),
    ],
)
def test_a_key_that_cannot_be_had_is_refused(find, mirror, key, says):
    mirror.add("5.6")
    assert says in find(version="5.6", key=key)["msg"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no OpenPGP public key"),
        (b"<html>not found</html>", "is no OpenPGP public key but a page of HTML"),
        (
            b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----\n",
            "is no OpenPGP public key",
        ),
        (b"\x99\x00", "the signature of"),
    ],
)
def test_what_is_no_key_is_refused(find, mirror, tmp_path, content, says):
    mirror.add("5.6")
    key = tmp_path / "key"
    key.write_bytes(content)
    assert says in find(version="5.6", key=str(key))["msg"]


def test_a_controller_without_gpgv_is_told_what_to_install(find, mirror, monkeypatch, tmp_path):
    mirror.add("5.6")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install the package gpgv" in find(version="5.6")["msg"]


@given(st.binary(min_size=1), st.sampled_from(["", "Version: GnuPG v2\n", "Comment: a: b\nHash: x\n"]))
def test_an_armoured_key_is_unwrapped_whatever_stands_around_it(data, headers):
    body = base64.encodebytes(data).decode()
    text = (
        "<pre>\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
        f"{headers}\n{body}=AbCd\n-----END PGP PUBLIC KEY BLOCK-----\n</pre>\n"
    )
    assert trust.keyring(text.encode(), "it") == data
    assert trust.keyring(text.replace("\n", "\r\n").encode(), "it") == data
    assert trust.keyring(text.encode() * 2, "it") == data * 2


@given(st.binary())
@example(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----")
@example(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n\xff\n-----END PGP PUBLIC KEY BLOCK-----")
def test_any_bytes_are_a_key_or_refused_in_a_sentence(data):
    try:
        assert trust.keyring(data, "it")
    except TrustError as error:
        assert str(error).startswith("it is no OpenPGP public key")


def status(word, signer=PINNED):
    """Return a line as gpgv writes it."""
    if word == "VALIDSIG":
        return f"[GNUPG:] VALIDSIG {'A' * 40} 2020-03-29 1585524799 0 4 0 1 10 00 {signer}"
    return f"[GNUPG:] {word} E50C6A0917C622B0 somebody"


GOOD = [status("GOODSIG"), status("VALIDSIG")]
BAD = ["BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NODATA", "NO_PUBKEY"]


def test_a_good_signature_is_good():
    trust.judge("\n".join(GOOD), 0, PINNED)


@pytest.mark.parametrize("word", BAD)
def test_a_word_against_it_outweighs_all_that_is_good(word):
    with pytest.raises(TrustError):
        trust.judge("\n".join([*GOOD, status(word)]), 0, PINNED)


@given(
    st.permutations(GOOD),
    st.lists(st.sampled_from(BAD).map(status) | st.just(status("VALIDSIG", "B" * 40)), max_size=2),
    st.integers(0, 2),
    st.sampled_from([0, 2]),
)
def test_only_a_wholly_good_signature_proves_anything(good, bad, kept, returncode):
    lines = [*bad, *good[:kept]]
    whole = kept == 2 and not bad and returncode == 0
    if whole:
        trust.judge("\n".join(lines), returncode, PINNED)
    else:
        with pytest.raises(TrustError):
            trust.judge("\n".join(lines), returncode, PINNED)


@given(st.text() | st.lists(st.sampled_from([*GOOD, "[GNUPG:]", "gpgv: GOODSIG VALIDSIG"])).map("\n".join))
@example("gpgv: x [GNUPG:] GOODSIG\n x [GNUPG:] VALIDSIG " + PINNED)
def test_any_words_of_gpgv_are_judged(text):
    said = text.splitlines()
    if set(GOOD) <= set(said):
        trust.judge(text, 0, PINNED)
    else:
        with pytest.raises(TrustError):
            trust.judge(text, 0, PINNED)


names = st.from_regex(r"[a-z0-9][a-z0-9.+~_-]{0,30}\.deb", fullmatch=True)
sums = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(st.dictionaries(names, sums), st.dictionaries(names, sums))
def test_only_the_last_block_counts(first, last):
    def block(title, rows):
        return "".join([f"# Checksums-{title}:\n", *(f"{value}  {name}\n" for name, value in rows.items())])

    assert trust.checksums(block("Sha1", first) + "#\n" + block("Sha256", last)) == last
    assert trust.checksums(block("Sha256", last) + "#\n" + block("Sha1", first)) == last


@given(st.text())
@example("0" * 64 + "  x.deb\n")
@example("# Checksums-Sha256:\n" + "0" * 64 + "  ../x.deb\n")
@example("# Checksums-Sha256:\n" + "0" * 40 + "  x.deb\n")
@example("# Checksums-Sha256:\n" + "0" * 64 + " *x.deb\n")
def test_other_lines_are_passed_over(text):
    assert trust.checksums(text) == {}
