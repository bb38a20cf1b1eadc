#!/usr/bin/python3
"""Ansible module: find a kernel in Ubuntu's mainline archive and the checksums to trust its debs by."""

DOCUMENTATION = r"""
module: kernel_mainline
short_description: Find a kernel in Ubuntu's mainline archive and the checksums to trust its debs by
description:
  - Reads the archive's index and the page of the build, chooses the debs that belong together, and
    takes their SHA-256 sums from a list whose signature it has checked. Downloads no deb.
  - Runs on the controller. Asks for one thing at a time; the archive turns away who asks for four.
options:
  url:
    description:
      - The archive. It may be http; the signature vouches for what is installed.
    type: str
    required: true
  version:
    description:
      - V(5.6), V(5.6.19), V(6.10-rc3), V(5.6.x) for the newest of the series, or V(latest).
      - Empty lists what there is.
    type: str
    default: ""
  flavour:
    description: The flavour, such as V(generic) or V(lowlatency).
    type: str
    default: generic
  architecture:
    description: The architecture, as dpkg names it.
    type: str
    default: amd64
  headers:
    description: Whether to take the headers too, where they are there.
    type: bool
    default: true
  key:
    description: The key of the archive, an https address or a file, ASCII armoured or binary.
    type: str
    default: ""
  fingerprint:
    description: The key's fingerprint in full.
    type: str
    default: ""
  known_sha256:
    description:
      - Sums that are known from elsewhere, by name of the deb. A deb that has another one now is refused.
    type: dict
    default: {}
  timeout:
    description: For how many seconds the server may be silent. An answer may take four times as long.
    type: int
    default: 30
"""

RETURN = r"""
version:
  description: The version found, such as C(5.6.19).
directory:
  description: Its directory in the archive, such as C(v5.6.19).
url:
  description: The address where its debs are.
stamp:
  description: The time stamp of the build.
release:
  description: What C(uname -r) will print, such as C(5.6.19-050619-generic).
debs:
  description: For each deb C(name), C(url), C(sha256) and C(part), which is image, modules or headers.
passed_over:
  description: A sentence for each newer build that could not be used.
builds:
  description: The versions that the archive offers, newest first, where none was asked for.
listing:
  description: The same for a person to read, a series each with its C(series), C(released) and C(candidates).
temporary:
  description: Of a failure, whether it makes sense to ask again.
out_of_reach:
  description: Of a failure, whether it was the archive that did not answer, or not in a way that makes sense.
"""

import os
import tempfile
from urllib.parse import urljoin

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.mainline import MainlineError, Page, listing, offered, resolve
from ansible.module_utils.mainline_trust import TrustError, checksums, fingerprint, is_html, keyring, verify
from ansible.module_utils.mainline_web import WebError, get

#: How many bytes an answer may have. The index has about 1 MiB, everything else less than 100 KiB.
INDEX, FILE = 8 << 20, 1 << 20


def page_reader(timeout):
    """Return a function that reads a page of the archive.

    It raises MainlineError for one that is not there: a build that was removed while it is still listed.
    """

    def read(url):
        try:
            return read_page(url, FILE, timeout)
        except WebError as error:
            if error.status == 404:
                raise MainlineError("it is listed, but its page is not there (404)") from None
            raise

    return read


def read_index(url, timeout):
    """Read the archive's index. It may be plain http: what is installed is vouched for by a signature."""
    if not url.startswith(("https://", "http://")):
        raise MainlineError(f"kernel_mainline_url is {url}: it must begin with https:// or http://")
    return read_page(url if url.endswith("/") else url + "/", INDEX, timeout)


def read_page(url, limit, timeout):
    """Read a page of the archive. The address that answered counts: redirects are followed."""
    final, body = get(url, limit, timeout)
    return Page(final if final.endswith("/") else final + "/", body.decode("utf-8", "replace"))


def read_key(where, timeout):
    """Read the key from an https address or a file. Raises TrustError or WebError."""
    if where.startswith("https://"):
        final, data = get(where, FILE, timeout)
        if not final.startswith("https://"):
            raise TrustError(f"{where} leads to {final}, which is not https")
        return keyring(data, where)
    if "://" in where:
        raise TrustError(f"kernel_mainline_key is {where}: it must be an https address or a file")
    try:
        with open(os.path.expanduser(where), "rb") as file:
            return keyring(file.read(FILE), where)
    except OSError as error:
        raise TrustError(f"kernel_mainline_key is {where}: {error.strerror}") from None


def trusted_sums(url, key, pinned, gpgv, timeout):
    """Return the SHA-256 sums of the debs of a folder, by name, as the archive's key has signed them.

    Raises TrustError or WebError.
    """
    files = {}
    for name in ("CHECKSUMS", "CHECKSUMS.gpg"):
        try:
            _final, files[name] = get(urljoin(url, name), FILE, timeout)
        except WebError as error:
            if error.status == 404:
                raise TrustError(
                    f"{url} has no {name}: a build without a signature is not installed"
                ) from None
            raise
        if is_html(files[name]):
            raise TrustError(f"{url}{name} is a page of HTML: a proxy or a log-in page may stand between")
    with tempfile.TemporaryDirectory(prefix="uring-lab-") as folder:
        try:
            verify(gpgv, folder, key, pinned, files["CHECKSUMS"], files["CHECKSUMS.gpg"])
        except TrustError as error:
            raise TrustError(f"the signature of {url}CHECKSUMS {error}") from None
    try:
        return checksums(files["CHECKSUMS"].decode("utf-8", "replace"))
    except TrustError as error:
        raise TrustError(f"{url}CHECKSUMS cannot be used: {error}") from None


def with_sums(build, sums_of, known):
    """Return the debs of a build with the sums to trust them by.

    Args:
        build: what resolve returns.
        sums_of: a function from the address of a folder to its trusted sums.
        known: sums that are known from elsewhere, by name.

    Raises:
        TrustError: a deb has no sum, or another one than is known.

    """
    sums, debs = {}, []
    for part, deb in build["debs"]:
        folder = build["url"] + deb.folder
        if folder not in sums:
            sums[folder] = sums_of(folder)
        sha256 = sums[folder].get(deb.name)
        if not sha256:
            raise TrustError(f"{deb.name} has no SHA-256 sum in {folder}CHECKSUMS, so nobody vouches for it")
        if known.get(deb.name, sha256) != sha256:
            raise TrustError(
                f"{deb.name} has the SHA-256 sum {sha256} in {folder}CHECKSUMS, but {known[deb.name]} is "
                "known: it was built anew under its old name, or somebody has the archive's key"
            )
        debs.append({"name": deb.name, "url": folder + deb.name, "sha256": sha256, "part": part})
    return debs


def find(module, url, versions):
    """Return what the module answers where a version was asked for."""
    params = module.params
    timeout = params["timeout"]
    gpgv = module.get_bin_path("gpgv")
    if not gpgv:
        raise TrustError(
            "there is no gpgv on the controller to check the archive's signature by: install the package gpgv"
        )
    pinned = fingerprint(params["fingerprint"])
    wanted = (params["version"], params["flavour"], params["architecture"], params["headers"])
    build = resolve(page_reader(timeout), url, versions, *wanted)
    key = read_key(params["key"], timeout)
    debs = with_sums(
        build, lambda folder: trusted_sums(folder, key, pinned, gpgv, timeout), params["known_sha256"]
    )
    version = build["version"]
    return {
        "version": version.text,
        "directory": version.directory,
        "url": build["url"] + build["debs"][0][1].folder,
        "stamp": build["stamp"],
        "release": f"{version.base}-{params['flavour']}",
        "debs": debs,
        "passed_over": build["passed_over"],
        "builds": [],
    }


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "version": {"type": "str", "default": ""},
            "flavour": {"type": "str", "default": "generic"},
            "architecture": {"type": "str", "default": "amd64"},
            "headers": {"type": "bool", "default": True},
            "key": {"type": "str", "default": "", "no_log": False},
            "fingerprint": {"type": "str", "default": ""},
            "known_sha256": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    try:
        index = read_index(module.params["url"], module.params["timeout"])
        versions = offered(index)
    except WebError as error:
        module.fail_json(msg=str(error), temporary=error.temporary, out_of_reach=True)
    except MainlineError as error:
        module.fail_json(msg=str(error), temporary=False, out_of_reach=True)
    if not module.params["version"]:
        module.exit_json(
            changed=False,
            url=index.url,
            builds=[version.text for version in versions],
            listing=listing(versions),
        )
    try:
        answer = find(module, index.url, versions)
    except WebError as error:
        module.fail_json(msg=str(error), temporary=error.temporary, out_of_reach=True)
    except (MainlineError, TrustError) as error:
        module.fail_json(msg=str(error), temporary=False, out_of_reach=False)
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
