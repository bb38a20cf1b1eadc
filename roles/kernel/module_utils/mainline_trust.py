"""Trust a list of checksums: the key, its signature, and what of the list counts."""

import base64
import binascii
import os
import re
import subprocess

_ARMOUR = re.compile(
    r"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n"
    r"(?:[^\n:]+:[^\n]*\n)*\s*(.*?)-----END PGP PUBLIC KEY BLOCK-----",
    re.DOTALL,
)

#: The first byte of an OpenPGP public key: packet type 6, in the old format or the new (RFC 4880, 4.2).
_BINARY = (0x98, 0x99, 0x9A, 0x9B, 0xC6)

#: What gpgv says of a signature that proves nothing (GnuPG's doc/DETAILS), and what that means.
_WORTHLESS = {
    "BADSIG": "does not fit it: one of the two was changed or cut short on the way",
    "ERRSIG": "cannot be checked",
    "EXPSIG": "has expired",
    "EXPKEYSIG": "is by a key that has expired",
    "REVKEYSIG": "is by a key that was revoked",
    "NODATA": "is not one",
}

#: Seconds that gpgv may take; it takes milliseconds.
_PATIENCE = 60


class TrustError(Exception):
    """Something is not to be trusted; the text says what and why."""


def is_html(data):
    """Tell whether bytes begin like a page for people: a proxy or a log-in page in place of a file."""
    start = data[:1024].lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml"))


def fingerprint(text):
    """Return a fingerprint as gpgv writes it; it may have been given with spaces.

    Raises:
        TrustError: it is not a fingerprint in full. The short ids of keys can be made to order.

    """
    found = re.sub(r"\s|^0x", "", text).upper()
    if not re.fullmatch(r"[0-9A-F]{40}|[0-9A-F]{64}", found):
        raise TrustError(
            f"kernel_mainline_fingerprint is {text or 'empty'}: it must be a fingerprint in full, 40 digits"
        )
    return found


def keyring(data, where):
    """Return keys in the form that gpgv reads.

    Args:
        data: bytes of a key, ASCII armoured or binary.
        where: what it was read from, for the message.

    Raises:
        TrustError: it is no public key.

    """
    if data[:1] and data[0] in _BINARY:
        return data
    blocks = _ARMOUR.findall(data.decode("ascii", "replace"))
    try:
        # The line that begins with = is a checksum of the rest (RFC 4880, 6.1); gpgv finds damage by itself.
        keys = [base64.b64decode(re.sub(r"(?m)^=.{4}\s*$", "", block)) for block in blocks]
    except (binascii.Error, ValueError):
        keys = []
    if not keys or not all(keys):
        page = " but a page of HTML: a proxy or a log-in page may stand between" if is_html(data) else ""
        raise TrustError(f"{where} is no OpenPGP public key{page}")
    return b"".join(keys)


def judge(status, returncode, pinned):
    """Judge what gpgv said.

    Args:
        status: the lines of its ``--status-fd``.
        returncode: its exit status.
        pinned: the fingerprint of the primary key that must have signed.

    Raises:
        TrustError: half a sentence about the signature.

    """
    lines = [line.split()[1:] for line in status.splitlines() if line.startswith("[GNUPG:] ")]
    said = {line[0]: line[1:] for line in lines if line}
    if "NO_PUBKEY" in said:
        stranger = " ".join(said["NO_PUBKEY"])
        raise TrustError(f"is by the key {stranger}, which is not the one in kernel_mainline_key")
    for word, meaning in _WORTHLESS.items():
        if word in said:
            raise TrustError(meaning)
    # The last field is the fingerprint of the primary key; the first that of what signed, perhaps a subkey.
    signers = {line[-1] for line in lines if line and line[0] == "VALIDSIG"}
    if signers - {pinned}:
        raise TrustError(
            f"is by the key {', '.join(sorted(signers - {pinned}))}; kernel_mainline_fingerprint is {pinned}"
        )
    if returncode or "GOODSIG" not in said or not signers:
        raise TrustError(f"proves nothing: gpgv ended with status {returncode} and did not call it good")


def verify(gpgv, folder, key, pinned, data, signature):
    """Prove that data were signed by a key.

    Args:
        gpgv: the program.
        folder: an empty folder for it to work in.
        key: the key, as keyring returns it.
        pinned: the key's fingerprint, as fingerprint returns it.
        data: bytes that were signed.
        signature: bytes of the detached signature, binary or armoured.

    Raises:
        TrustError: half a sentence about the signature.

    """
    paths = {}
    for name, content in (("key.gpg", key), ("data", data), ("data.gpg", signature)):
        paths[name] = os.path.join(folder, name)
        with open(paths[name], "wb") as file:
            file.write(content)
    options = ["--homedir", folder, "--status-fd", "1", "--keyring", paths["key.gpg"]]
    try:
        run = subprocess.run(
            [gpgv, *options, paths["data.gpg"], paths["data"]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TrustError(f"kept gpgv busy for {_PATIENCE} seconds") from None
    judge(run.stdout.decode("utf-8", "replace"), run.returncode, pinned)


def checksums(text):
    """Return the SHA-256 sums of a CHECKSUMS file.

    Args:
        text: ``# Checksums-Sha1:``, lines of a sum and a name, ``#``, ``# Checksums-Sha256:``, lines. Only
            those of the last block count: whatever else there is, there or elsewhere, is passed over.

    Returns:
        A dict from name to sum.

    Raises:
        TrustError: a name has two sums.

    """
    found = {}
    inside = False
    for line in text.splitlines():
        if line.startswith("# Checksums-"):
            inside = line.startswith("# Checksums-Sha256:")
        match = re.fullmatch(r"([0-9a-f]{64})  ([^\s/]+)", line.rstrip()) if inside else None
        if match and found.setdefault(match.group(2), match.group(1)) != match.group(1):
            raise TrustError(f"it has two SHA-256 sums for {match.group(2)}")
    return found
