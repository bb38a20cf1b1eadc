"""A tree of files that the module release_sources and the real apt read, and what sources may look like."""

import contextlib
import functools
import importlib.util
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import apt_releases
import apt_sources
from ansible.module_utils import basic
from hypothesis import strategies as st

ROLE = Path(__file__).parents[3] / "roles" / "common"


@functools.cache
def load():
    """Import the module as Ansible packs it, the role's own module_utils beside Ansible's."""
    for name, code in (("apt_sources", apt_sources), ("apt_releases", apt_releases)):
        sys.modules[f"ansible.module_utils.{name}"] = code
        setattr(sys.modules["ansible.module_utils"], name, code)
    spec = importlib.util.spec_from_file_location("release_sources", ROLE / "library/release_sources.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BASE = """\
deb http://ftp.de.debian.org/debian bookworm main non-free
deb http://ftp.de.debian.org/debian bookworm-updates main  # the point releases
deb [arch=amd64] http://security.debian.org/debian-security bookworm-security main
"""
STANZAS = """\
# Ours.
Types: deb deb-src
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
 bookworm-backports
Components: main

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
"""
OTHERS = """\
deb [signed-by=/d.gpg] https://download.docker.com/linux/debian bookworm stable
#deb http://off.example/debian bookworm main
  deb https://packages.example/apt stable main # of theirs
deb cdrom:[Debian GNU/Linux 12.5.0 _Bookworm_ - Official amd64 NETINST]/ bookworm main
"""
OTHER_STANZAS = """\
# Theirs.
Enabled: yes
Types: deb
URIs: https://packages.example/other
Suites: stable
Components: main

Types: deb
URIs: https://apt.example/pub
Suites: bookworm-pgdg
Components: main

Types: deb
URIs: https://user-has-switched.example/off
Suites: stable
Components: main
Enabled: no
"""


class Host:
    """A tree with apt's files."""

    def __init__(self, root):
        self.root = root
        self.defaults = {"distribution": "debian", "codename": "bookworm", "root": str(root)}
        for directory in ("etc/apt/sources.list.d", "etc/apt/preferences.d", "etc/apt/apt.conf.d"):
            (root / directory).mkdir(parents=True)
        for directory in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg"):
            (root / directory).mkdir(parents=True)
        (root / "var/lib/dpkg/status").touch()

    def write(self, name, text):
        """Write a file of /etc/apt."""
        (self.root / "etc/apt" / name).write_text(text)

    def read(self, name="sources.list"):
        """Return a file of /etc/apt."""
        return (self.root / "etc/apt" / name).read_text()

    def both(self):
        """Write own sources and others in both formats."""
        self.write("sources.list", BASE)
        self.write("sources.list.d/own.sources", STANZAS)
        self.write("sources.list.d/others.list", OTHERS)
        self.write("sources.list.d/others.sources", OTHER_STANZAS)

    def texts(self):
        """Return all of them by name."""
        return {
            path.name: path.read_text() for path in (self.root / "etc/apt").rglob("*.*") if path.is_file()
        }

    def fetched(self, uri, suite, origin, component="main"):
        """Leave the lists of a source as a run of apt-get update leaves them."""
        name = re.sub(r"^\w+://", "", f"{uri}/dists/{suite}").replace("/", "_")
        lists = self.root / "var/lib/apt/lists"
        (lists / f"{name}_Release").write_text(
            f"Origin: {origin}\nSuite: {suite}\nDate: Sat, 01 Jan 2022 00:00:00 UTC\n"
            f"Architectures: amd64 arm64\nComponents: {component}\nSHA256:\n"
        )
        for architecture in ("amd64", "arm64"):
            (lists / f"{name}_{component}_binary-{architecture}_Packages").touch()

    def run(self, state="read", check=False, **parameters):
        """Run the module and return its answer."""
        said = io.StringIO()
        arguments = {**self.defaults, "state": state, **parameters, "_ansible_check_mode": check}
        with (
            mock.patch.object(
                basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
            ),
            # From core 2.19 on the module must be told how its arguments are serialized.
            mock.patch.object(basic, "_ANSIBLE_PROFILE", "legacy", create=True),
            contextlib.redirect_stdout(said),
            contextlib.suppress(SystemExit),
        ):
            load().main()
        return json.loads(said.getvalue())

    def used(self, directory=None, warned=False):
        """Return what the real apt would fetch, without a warning or `warned`: sorted `URI suite`."""
        options = ["-o", f"Dir={self.root}"]
        if directory:
            options += ["-o", f"Dir::Etc::sourcelist={directory}/sources.list"]
            options += ["-o", f"Dir::Etc::sourceparts={directory}/sources.list.d"]
        run = subprocess.run(
            ["apt-get", *options, "--print-uris", "update"], check=True, capture_output=True, text=True
        )
        assert warned or not re.search("^W:", run.stderr, re.MULTILINE), run.stderr
        return sorted(
            " ".join(found) for found in re.findall(r"^'(\S+)/dists/(\S+)/InRelease'", run.stdout, re.M)
        )


def _value(words, gaps):
    """Return words with gaps between them, the first at the field's name."""
    return "".join(gap + word for gap, word in zip(gaps, words, strict=False))


GAPS = st.lists(st.sampled_from([" ", "\t", "\n ", "\n# why\n  "]), min_size=4, max_size=4)
URIS = st.sampled_from(
    [
        "http://deb.debian.org/debian",
        "https://mirror.example/pub/debian/",
        "http://archive.debian.org/debian",
        "http://deb.debian.org/debian-debug",
        "https://packages.example/apt",
    ]
)
SUITES = st.sampled_from(
    [
        "bookworm",
        "bookworm-updates",
        "bookworm-security",
        "bookworm/updates",
        "stable",
        "trixie",
        "sid",
        "stable-backports",
    ]
)
COMPONENTS = st.sampled_from(["main", "non-free", "main non-free-firmware"])
COMMENTS = st.sampled_from(["", "# a comment\n", "#deb http://off.example/debian bookworm main\n"])

ONE_LINE = st.builds(
    "{}{} {}{}{} {} {}{}\n".format,
    st.sampled_from(["", "", " "]),
    st.sampled_from(["deb", "deb-src"]),
    st.sampled_from(["", "", "[arch=amd64] ", "[ check-valid-until=no ] "]),
    URIS,
    st.sampled_from(["", "", " \t"]),
    SUITES,
    COMPONENTS,
    st.sampled_from(["", "", " # why"]),
)
STANZA = st.builds(
    lambda comment, fields: comment + "".join(name + ":" + value + "\n" for name, value in fields),
    COMMENTS,
    st.tuples(
        st.just(("Types", " deb")),
        st.builds(lambda *a: ("URIs", _value(*a)), st.lists(URIS, min_size=1, max_size=2), GAPS),
        st.builds(lambda *a: ("suites", _value(*a)), st.lists(SUITES, min_size=1, max_size=4), GAPS),
        st.builds(lambda *a: ("Components", _value(*a)), st.lists(COMPONENTS, min_size=1, max_size=2), GAPS),
        st.sampled_from([("X-Note", ""), ("Enabled", " yes"), ("Enabled", "\n no"), ("Enabled", "  1")]),
        st.sampled_from([("X-More", " Grüße"), ("Check-Valid-Until", " no")]),
    ).flatmap(st.permutations),
)
JUNK = st.sampled_from(["nonsense\n", "Types: deb\n", "deb\n", "deb http://a.example\n", " more\n", " \n"])


def _texts(entry):
    ends = st.sampled_from(["", "\n", "\n\n"])
    pieces = st.lists(st.builds("{}{}{}".format, COMMENTS, entry, ends), max_size=4)
    return st.builds(lambda pieces, end: "".join(pieces).rstrip("\n") + end, pieces, ends)


#: Texts in apt's formats such as apt reads, each with whether it is the one-line format.
SOUND = st.tuples(_texts(ONE_LINE), st.just(True)) | st.tuples(
    _texts(STANZA.map("{}\n".format)), st.just(False)
)

#: The same, and others.
TEXTS = SOUND | st.tuples(_texts(ONE_LINE | STANZA | JUNK), st.booleans())


def edit(text, one_line, state, codename, to_codename="", **parameters):
    """Return a text after a state of the module, of which apt has fetched nothing."""
    module = load()
    release = apt_releases.Release("debian", codename, to_codename, "archive.debian.org")
    path = "x.list" if one_line else "x.sources"
    sources = module.survey({path: text}, release, {})
    return module.edited([path], sources, getattr(module.Editor(release, **parameters), state))[path]
