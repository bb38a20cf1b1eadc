"""Read Ubuntu's mainline kernel archive: which builds it offers, and which debs of one belong together.

Nothing here touches the net; what it reads is handed in. The archive has a directory a build, ``v5.6``,
``v5.6.19`` or ``v6.10-rc3``, and odd ones (``daily``, ``v5.12-rc1-dontuse``) that are never chosen. The debs
lie in that directory itself or, since June 2020 and whatever the version, in a folder of it for each
architecture.
"""

import re
from collections import namedtuple
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin

#: The rc of a version that is out: greater than any.
RELEASED = 1 << 30

#: How many builds are looked at, newest first, for one that can be used: each is a request to a server that
#: is easily annoyed, and ten failed builds in a row are a thing to tell rather than to walk past.
TRIES = 10

#: Since this day an image comes without its modules, which are a package of their own; 4.16.4 and 4.14.36
#: were the first. By date and not by version: 4.14.78 is divided too.
DIVIDED = 201804240000

_VERSION = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?(?:-rc([0-9]{1,3}))?")
_SERIES = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})\.x")


class MainlineError(Exception):
    """What was asked for is not to be had; the text says why, and what there is instead."""


class Version(namedtuple("Version", "major minor micro rc")):
    """A version of the kernel, in the order of their appearance: 6.10-rc3 before 6.10 before 6.10.1."""

    __slots__ = ()

    @classmethod
    def parse(cls, text):
        """Return the version that a text names (``5.6``, ``v5.6.0``, ``6.10-rc3``), or None."""
        match = _VERSION.fullmatch(text)
        if not match:
            return None
        major, minor, micro, rc = match.groups()
        return cls(int(major), int(minor), int(micro or 0), RELEASED if rc is None else int(rc))

    @property
    def is_rc(self):
        """Whether it is a release candidate."""
        return self.rc != RELEASED

    @property
    def series(self):
        """Return the series it belongs to, ``5.6``."""
        return f"{self.major}.{self.minor}"

    @property
    def text(self):
        """Return it as kernel.org writes it: ``5.6``, ``5.6.19``, ``6.10-rc3``."""
        micro = f".{self.micro}" if self.micro else ""
        return f"{self.series}{micro}" + (f"-rc{self.rc}" if self.is_rc else "")

    @property
    def directory(self):
        """Return its directory in the archive, ``v5.6.19``."""
        return f"v{self.text}"

    @property
    def abi(self):
        """Return the ABI: ``050619``, ``061000rc3``; two digits a number, three for a micro over 99."""
        return f"{self.major:02d}{self.minor:02d}{self.micro:02d}" + (f"rc{self.rc}" if self.is_rc else "")

    @property
    def base(self):
        """Return what the names of its packages share, ``5.6.19-050619``."""
        return f"{self.series}.{self.micro}-{self.abi}"


class Deb(namedtuple("Deb", "folder name kind flavour stamp architecture")):
    """A deb of a build. ``folder`` is relative to the build's directory: empty, or ``amd64/``."""

    __slots__ = ()


class Page(HTMLParser):
    """The links and the words of a page of the archive."""

    def __init__(self, url, text):
        super().__init__()
        self.url = url
        self.links = set()  # relative to the page, and below it
        self._words = []
        try:
            self.feed(text)
            self.close()
        except AssertionError as error:
            # What Python's parser makes of a malformed declaration (python/cpython issue 77057).
            raise MainlineError(f"{url} is not a page that can be read: {error}") from None

    def handle_starttag(self, tag, attrs):
        """Keep a link that leads below this page; sorting links and the way up lead elsewhere."""
        href = dict(attrs).get("href") if tag == "a" else None
        if not href:
            return
        try:
            target = urljoin(self.url, href)
        except ValueError:  # such as http://[
            return
        if target.startswith(self.url) and not set(target) & set("?#"):
            self.links.add(unquote(target[len(self.url) :]))

    def handle_data(self, data):
        """Keep the words."""
        self._words.append(data)

    @property
    def text(self):
        """Return the words, a single space between them."""
        return " ".join("".join(self._words).split())


def offered(page):
    """Return the versions that the archive's index lists.

    Args:
        page: the index.

    Returns:
        A list of versions, newest first; odd directories are left out.

    Raises:
        MainlineError: there is none, so it is another page.

    """
    versions = set()
    for link in page.links:
        version = Version.parse(link.rstrip("/"))
        if version and link.rstrip("/") == version.directory:
            versions.add(version)
    if not versions:
        raise MainlineError(
            f"{page.url} lists no kernel, so it is not the index of a mainline archive: a proxy or a log-in "
            "page may stand between, or kernel_mainline_url is wrong"
        )
    return sorted(versions, reverse=True)


def listing(versions):
    """Return what the archive offers, for a person to read: a series each, the newest first.

    Args:
        versions: what it offers, newest first.

    Returns:
        A list of dicts: ``series``, ``released`` (``5.6 to 5.6.8, 5.6.10``) and ``candidates`` (``rc1 to
        rc7``), either of which may be empty.

    """
    rows = []
    for series in dict.fromkeys(version.series for version in versions):
        mine = [version for version in reversed(versions) if version.series == series]
        released = _runs([one for one in mine if not one.is_rc], "micro")
        candidates = _runs([one for one in mine if one.is_rc and not one.micro], "rc")
        rows.append(
            {
                "series": series,
                "released": ", ".join(" to ".join(one.text for one in run) for run in released),
                "candidates": ", ".join(" to ".join(f"rc{one.rc}" for one in run) for run in candidates),
            }
        )
    return rows


def _runs(versions, number):
    """Return the first and the last, or the only one, of each run of versions that count on without a gap."""
    runs = []
    for version in versions:
        if runs and getattr(version, number) == getattr(runs[-1][-1], number) + 1:
            runs[-1][1:] = [version]
        else:
            runs.append([version])
    return runs


def candidates(wanted, versions):
    """Return the versions that fit what was asked for.

    Args:
        wanted: ``5.6``, ``5.6.19``, ``6.10-rc3``, ``5.6.x`` (the newest of the series) or ``latest``.
        versions: what the archive offers, newest first.

    Returns:
        A list, best first: several for ``5.6.x`` and ``latest``, which are never a release candidate.

    Raises:
        MainlineError: it has no such form, or nothing fits. The message names what is near.

    """
    released = [version for version in versions if not version.is_rc]
    series = _SERIES.fullmatch(wanted)
    version = Version.parse(wanted)
    if wanted == "latest":
        fitting, near = released, versions
    elif series:
        version = Version(int(series.group(1)), int(series.group(2)), 0, RELEASED)
        fitting, near = [one for one in released if one.series == version.series], released
    elif version:
        fitting, near = [one for one in versions if one == version], versions
    else:
        raise MainlineError(
            f"{wanted} is no version of the mainline archive: it must be like 5.6, 5.6.19, 6.10-rc3, 5.6.x "
            "or latest"
        )
    if not fitting:
        name = version.text if version and not series else wanted
        raise MainlineError(f"the mainline archive has no {name}{nearby(version, near)}")
    return fitting


def nearby(version, versions, count=5):
    """Return half a sentence that names the versions around one, or an empty string.

    Args:
        version: the one that cannot be had, or None.
        versions: what the archive offers, newest first. Those of the same series are named if there are any,
            release candidates only where the version is one itself or there is nothing else.
        count: how many to name.

    """
    others = [one for one in versions if version and one != version]
    others = [one for one in others if one.series == version.series] or others
    others = [one for one in others if not one.is_rc or version.is_rc] or others
    newer = sum(one > version for one in others)
    start = max(0, min(newer - count // 2, len(others) - count))
    names = ", ".join(one.text for one in others[start : start + count])
    return f"; near it are {names} (not looked at)" if names else ""


def debs_of(page, version, folder=""):
    """Return the debs of a version that a page links to.

    Args:
        page: the page of the version's directory, or of an architecture's folder in it.
        version: the version.
        folder: where the page lies, relative to the version's directory: empty, or ``amd64/``.

    Returns:
        A set of Deb. Names that are not just as the archive makes them are passed over.

    """
    base = re.escape(version.base)
    pattern = re.compile(
        rf"(?P<folder>[a-z0-9]+/)?"
        rf"(?P<name>linux-(?P<kind>image-unsigned|image|modules|headers)-{base}(?:-(?P<flavour>[a-z][a-z0-9-]*))?"
        rf"_{base}\.(?P<stamp>[0-9]{{8,14}})_(?P<architecture>[a-z0-9]+)\.deb)"
    )
    debs = set()
    for link in page.links:
        match = pattern.fullmatch(link)
        if match:
            debs.add(
                Deb(
                    folder + (match["folder"] or ""),
                    match["name"],
                    match["kind"],
                    match["flavour"] or "",
                    match["stamp"],
                    match["architecture"],
                )
            )
    return debs


def build_failed(page, architecture):
    """Tell whether a version's page says that its build for an architecture failed.

    That the self-tests failed is no matter: the kernel was built.
    Source: the pages' "Build for amd64 succeeded (see BUILD.LOG.amd64)" until 2020 and "Test amd64/build
    succeeded (rc=0, on=amd64, time=0:11:17, log=amd64/log)" since.

    """
    words = rf"(Build for {architecture}|Test {architecture}/build) (failed|missing)\b"
    return re.search(words, page.text) is not None


def assemble(debs, flavour, architecture, headers):
    """Choose the debs of the newest complete build.

    A directory can hold two builds, of two time stamps; debs of both would not fit together.

    Args:
        debs: the debs of one version.
        flavour: such as ``generic``.
        architecture: as dpkg names it.
        headers: whether the headers are wanted. They are two debs, one of which (``_all``) lies in the folder
            of amd64 alone; where one is missing both are left out.

    Returns:
        A dict with ``stamp`` and ``debs``, pairs of a part (``image``, ``modules``, ``headers``) and a Deb;
        or None where no build is complete.

    """
    for stamp, folder in sorted({(int(deb.stamp), deb.folder) for deb in debs}, reverse=True):
        same = {deb for deb in debs if int(deb.stamp) == stamp}
        mine = {
            deb.kind: deb
            for deb in same
            if (deb.folder, deb.flavour, deb.architecture) == (folder, flavour, architecture)
        }
        image = mine.get("image-unsigned") or mine.get("image")
        if not image or ("modules" not in mine and (image.kind == "image-unsigned" or stamp >= DIVIDED)):
            continue
        chosen = [("image", image)]
        if "modules" in mine:
            chosen.append(("modules", mine["modules"]))
        common = [deb for deb in same if (deb.kind, deb.flavour, deb.architecture) == ("headers", "", "all")]
        if headers and "headers" in mine and common:
            beside = min(common, key=lambda deb: (deb.folder != folder, deb.folder))
            chosen += [("headers", beside), ("headers", mine["headers"])]
        return {"stamp": image.stamp, "debs": chosen}
    return None


def missing(debs, failed, flavour, architecture):
    """Say in half a sentence why none of a version's builds can be used."""
    here = [deb for deb in debs if deb.architecture == architecture]
    if failed:
        return f"its build for {architecture} failed"
    if not here:
        others = sorted({deb.architecture for deb in debs} - {"all"})
        return f"it has no kernel for {architecture}" + (f", only for {', '.join(others)}" if others else "")
    images = [deb for deb in here if deb.kind.startswith("image")]
    if not any(deb.flavour == flavour for deb in images):
        flavours = sorted({deb.flavour for deb in images})
        there = f", only of {', '.join(flavours)}" if flavours else ""
        return f"it has no image of the flavour {flavour} for {architecture}{there}"
    return f"it has an image but no linux-modules of the flavour {flavour} for {architecture}"


def look(read, url, version, flavour, architecture, headers):
    """Read a version's directory and choose a build there.

    Args:
        read: a function from an address to a Page.
        url: the archive's address, ending in a slash.
        version: the version.
        flavour: such as ``generic``.
        architecture: as dpkg names it.
        headers: whether the headers are wanted.

    Returns:
        What assemble returns with ``url``, the address of the directory, added.

    Raises:
        MainlineError: half a sentence that says why none can be used.

    """
    page = read(urljoin(url, version.directory + "/"))
    failed = build_failed(page, architecture)
    debs = debs_of(page, version)
    folder = architecture + "/"
    if not failed and not any(deb.architecture == architecture for deb in debs) and folder in page.links:
        debs |= debs_of(read(page.url + folder), version, folder)
    build = None if failed else assemble(debs, flavour, architecture, headers)
    if not build:
        raise MainlineError(missing(debs, failed, flavour, architecture))
    return dict(build, url=page.url)


def resolve(read, url, versions, wanted, flavour, architecture, headers):
    """Find the build that is asked for.

    Args:
        read: a function from an address to a Page, which raises MainlineError where there is none.
        url: the archive's address, ending in a slash.
        versions: what it offers, newest first.
        wanted: as candidates takes it.
        flavour: such as ``generic``.
        architecture: as dpkg names it.
        headers: whether the headers are wanted.

    Returns:
        A dict: ``version`` (a Version), ``stamp``, ``debs``, ``url`` of the version's directory, and
        ``passed_over``, a sentence for each newer build that could not be used.

    Raises:
        MainlineError: there is none.

    """
    fitting = candidates(wanted, versions)
    passed_over = []
    for version in fitting[:TRIES]:
        try:
            build = look(read, url, version, flavour, architecture, headers)
        except MainlineError as error:
            passed_over.append(f"{version.text}: {error}")
        else:
            return dict(build, version=version, passed_over=passed_over)
    if len(fitting) == 1 and wanted != "latest":
        near = nearby(fitting[0], versions)
        raise MainlineError(f"the mainline archive's {passed_over[0]}{near}")
    raise MainlineError(
        f"none of the newest {len(passed_over)} builds that fit {wanted} can be used. "
        + "; ".join(passed_over)
    )
