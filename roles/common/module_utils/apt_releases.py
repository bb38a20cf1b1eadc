"""Tell which of apt's sources are the distribution's own, and where those of a release are to be had."""

import os
import re
from collections import namedtuple
from urllib.parse import urlsplit

#: distribution: debian or ubuntu. codename: the present release's. to_codename: the coming release's, or
#: empty. archive_host: who keeps the releases that have ended.
Release = namedtuple("Release", "distribution codename to_codename archive_host")

#: Who keeps ended releases for the distributions themselves.
ARCHIVES = {"debian": "archive.debian.org", "ubuntu": "old-releases.ubuntu.com"}

_ORIGIN = {"debian": re.compile("Debian( Backports)?$"), "ubuntu": re.compile(r"Ubuntu(ESM\w*)?$")}
_DOMAIN = {"debian": ".debian.org", "ubuntu": ".ubuntu.com"}
_DIRECTORY = {
    "debian": re.compile(r"/debian(-security)?(\.list)?/?$"),
    "ubuntu": re.compile(r"/ubuntu(-ports)?(\.list)?/?$"),
}
_KEYRING = {"debian": "/debian-archive-", "ubuntu": "/ubuntu-archive-"}
_COMPONENTS = {
    "debian": {"main", "contrib", "non-free", "non-free-firmware"},
    "ubuntu": {"main", "restricted", "universe", "multiverse"},
}
#: Names that go over to another release when one comes out.
_ROLES = {"debian": ["stable", "oldstable", "oldoldstable"], "ubuntu": []}

#: The releases of Debian whose security suite is CODENAME/updates; later it is CODENAME-security.
_SLASH_UPDATES = ("wheezy", "jessie", "stretch", "buster")

#: Debugging symbols are not archived; extended support goes on where it is.
_SYMBOLS = re.compile(r"^\w+://(ddebs\.ubuntu\.com(/|$)|[^/]+/debian-debug(/|$))")
_EXTENDED = "esm.ubuntu.com"


def host(uri):
    """Return the host that a URI names, or an empty string."""
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:  # a bracket that is not of an IPv6 address
        return ""


def is_archive(uri, release):
    """Return whether a URI is that of the distribution's host for ended releases."""
    return host(uri) == ARCHIVES[release.distribution]


def is_own(entry, release, origins):
    """Return whether an entry is the distribution's own, for the present release or the one to come.

    Where apt has fetched a source, the origin named by its Release file decides. Otherwise its host does, the
    keyring that vouches for it, or last the shape that mirrors have.

    Args:
        entry: an Entry of apt_sources.
        release: a Release.
        origins: a dict from (URI without a slash at its end, suite) to the origin of what apt has fetched.

    """
    if entry.uris[0].startswith("cdrom:") or not any(pocket(suite, release) for suite in entry.suites):
        return False
    name = release.distribution
    pairs = [(uri.rstrip("/"), suite) for uri in entry.uris for suite in entry.suites]
    known = [origins[pair] for pair in pairs if origins.get(pair)]
    if known:
        return all(_ORIGIN[name].match(origin) for origin in known)
    where = host(entry.uris[0])
    if ("." + where).endswith(_DOMAIN[name]) or where == release.archive_host:
        return True
    if entry.signed_by:
        return _KEYRING[name] in entry.signed_by
    return (
        bool(_DIRECTORY[name].search(entry.uris[0]))
        and "launchpad" not in where
        and set(entry.components or ["none"]) <= _COMPONENTS[name]
        and any(pocket(suite, release._replace(distribution="")) for suite in entry.suites)
    )


def names(entry, words):
    """Return whether one of the words, such as codenames, is in an entry's suites or its URIs' paths."""
    texts = entry.suites + [uri.split("://")[-1].partition("/")[2] for uri in entry.uris]
    return any(word in words for text in texts for word in re.split(r"[^A-Za-z0-9.]+", text))


def pocket(suite, release):
    """Return what joins the pocket to the release's name in a suite, and the pocket; None for others."""
    heads = [release.codename, release.to_codename, *_ROLES.get(release.distribution, [])]
    found = re.match("(?:" + "|".join(re.escape(head) for head in heads if head) + ")(?:([-/])(.+))?$", suite)
    return found.groups("") if found else None


def rename(suite, release):
    """Return the name that a suite of the present release has in the one to come; others stay as they are.

    Names such as ``stable`` become codenames: they will mean another release one day.
    """
    parts = pocket(suite, release._replace(to_codename=""))
    if not parts:
        return suite
    name = "security" if parts == ("/", "updates") else parts[1]
    if release.distribution == "debian" and release.to_codename in _SLASH_UPDATES and name == "security":
        return release.to_codename + "/updates"
    return release.to_codename + ("-" + name if name else "")


def component(word, entry, release):
    """Return what a component becomes in the release to come: Debian 12 took firmware out of non-free."""
    firmware = "non-free-firmware"
    gains = word == "non-free" and firmware not in entry.components and release.distribution == "debian"
    return word + " " + firmware if gains and release.to_codename == "bookworm" else word


def archive(uri, suite, release):
    """Return the address of a suite at the archive host; empty where it stays, None where it has none.

    Args:
        uri: where it is now; the scheme is kept.
        suite: its name. Debian's security suites are in a directory of their own.
        release: a Release.

    """
    if host(uri) == _EXTENDED:
        return ""
    return None if _SYMBOLS.match(uri) else _address(uri, suite, release.archive_host, release)


def alive(uri, suite, release):
    """Return the address that a suite has at the distribution as long as its release lives, scheme kept."""
    if release.distribution == "debian":
        return _address(uri, suite, "deb.debian.org", release)
    if os.uname()[4] in ("x86_64", "i686", "i386"):
        return _address(uri, suite, "archive.ubuntu.com", release)
    return _address(uri, suite, "ports.ubuntu.com", release) + "-ports"


def _address(uri, suite, where, release):
    scheme = uri.split(":")[0]
    if scheme not in ("http", "https", "tor+http", "tor+https"):
        scheme = "http"  # a list of mirrors, say
    security = release.distribution == "debian" and re.search(r"-security$|/updates$", suite)
    return "%s://%s/%s%s" % (scheme, where, release.distribution, "-security" if security else "")
