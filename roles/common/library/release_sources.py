#!/usr/bin/python3
"""Ansible module: read apt's sources, and bring them from one release to another."""

DOCUMENTATION = r"""
module: release_sources
short_description: Read apt's sources, and bring them from one release to another
description:
  - Reads C(/etc/apt/sources.list) and C(/etc/apt/sources.list.d), in both of apt's formats, and tells the
    distribution's own sources from those of others.
  - What it changes it marks by comments that begin with C(# uring-lab), by which it can be changed back.
    Nothing else in a file is changed, and a file in which nothing is to be changed is not written.
options:
  state:
    description:
      - C(read) changes nothing.
      - C(disabled) switches off the enabled sources that are not the distribution's own.
      - C(restored) switches on those that were switched off so, but for those that name one of I(codenames).
      - C(archived) takes own sources from I(archive_host).
      - C(returned) takes them from where they were before.
      - C(renamed) has own sources name the release I(to_codename), at the addresses before C(archived).
    type: str
    choices: [read, disabled, restored, archived, returned, renamed]
    default: read
  distribution:
    description: The distribution.
    type: str
    choices: [debian, ubuntu]
    required: true
  codename:
    description: The codename of the present release.
    type: str
    required: true
  to_codename:
    description:
      - The codename of the release it goes to. The distribution's sources for either are its own.
    type: str
    default: ""
  archive_host:
    description: The host that keeps ended releases. Empty for the distribution's.
    type: str
    default: ""
  only:
    description:
      - The suites that C(archived) moves; without it, all.
      - The suites of the release I(to_codename) that C(renamed) takes from I(archive_host); without it, none.
    type: list
    elements: str
  drop:
    description:
      - The suites that C(archived) sets aside in place of moving them.
      - Suites of the release I(to_codename) that it has not got; C(renamed) sets them aside.
    type: list
    elements: str
    default: []
  codenames:
    description: Words that C(restored) takes for a release's name, besides I(codename) and I(to_codename).
    type: list
    elements: str
    default: []
  into:
    description:
      - A directory that gets the own sources as C(renamed) or C(archived) would leave them, and no others, as
        C(sources.list) and C(sources.list.d); C(/etc/apt) stays as it is.
    type: path
  root:
    description: The root of the file system.
    type: path
    default: /
"""

RETURN = r"""
own:
  description: >-
    The enabled sources of the distribution for the two releases, as they were found. Of each C(file),
    C(line), C(format) (one-line or deb822), C(uri), C(suites), C(components), C(text), and C(origin), which
    is empty where apt has not fetched it.
third_party:
  description: The other enabled sources, the distribution's for other releases among them.
set_aside:
  description: The sources that we had switched off.
archived:
  description: Whether an own source was found that comes from where ended releases are kept.
affected:
  description: The sources that were changed, as they were found.
still_disabled:
  description: Those of I(set_aside) that C(restored) leaves off, since they name a release.
archive_host:
  description: The host that keeps ended releases.
files:
  description: The paths that were written, or would be in check mode.
"""

import os
import re
import tempfile
from collections import namedtuple

from ansible.module_utils import apt_releases, apt_sources
from ansible.module_utils.basic import AnsibleModule

#: The names of the files that apt reads (apt-pkg/contrib/fileutl.cc).
NAME = re.compile(r"[\w:-][\w.:-]*\.(list|sources)$", re.ASCII)

#: What an address may hold that is nobody's business.
PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")

#: A chunk of a file. line: where it begins. entry: an Entry or None. kind: own, third_party or set_aside;
#: empty for what is no source, or one that somebody else has switched off.
Source = namedtuple("Source", "path line chunk one_line entry kind")


def read_files(directory):
    """Return a dict from the paths in a directory such as /etc/apt that apt reads to their texts."""
    parts = os.path.join(directory, "sources.list.d")
    names = sorted(os.listdir(parts)) if os.path.isdir(parts) else []
    paths = [os.path.join(directory, "sources.list")]
    paths += [os.path.join(parts, name) for name in names if NAME.match(name)]
    texts = {}
    for path in paths:
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
                texts[path] = file.read()
    return texts


def read_origins(module, root):
    """Return the origin of each source that apt has fetched: a dict from (URI, suite)."""
    told = "$(REPO_URI) $(RELEASE) $(ORIGIN)"
    status, out, err = module.run_command(["apt-get", "-o", "Dir=" + root, "indextargets", "--format", told])
    if status:
        module.fail_json(
            msg="apt cannot read its sources: {0}. Mend the file that it names".format(" ".join(err.split()))
        )
    rows = [line.split(" ", 2) for line in out.splitlines()]
    return {(row[0].rstrip("/"), row[1]): row[2] for row in rows if len(row) == 3}


def survey(texts, release, origins):
    """Return the chunks of all files, each as a Source."""
    sources = []
    for path, text in texts.items():
        one_line, line = path.endswith(".list"), 1
        for chunk in apt_sources.split(text, one_line):
            entry = apt_sources.read(chunk, one_line)
            kind = ""
            if entry and entry.enabled:
                kind = "own" if apt_releases.is_own(entry, release, origins) else "third_party"
            elif entry and entry.aside:
                kind = "set_aside"
            sources.append(Source(path, line, chunk, one_line, entry, kind))
            line += chunk.count("\n")
    return sources


def shown(source, origins):
    """Return what is told of a source."""
    entry = source.entry
    pairs = [(uri.rstrip("/"), suite) for uri in entry.uris for suite in entry.suites]
    return {
        "file": source.path,
        "line": source.line + entry.lead,
        "format": "one-line" if source.one_line else "deb822",
        "uri": PASSWORD.sub("***@", " ".join(entry.uris)),
        "suites": entry.suites,
        "components": entry.components,
        "origin": next((origins[pair] for pair in pairs if origins.get(pair)), ""),
        "text": PASSWORD.sub("***@", source.chunk.strip("\n")).encode("utf-8", "replace").decode("utf-8"),
    }


class Editor:
    """What each state makes of a source: a method each, which returns the chunk."""

    def __init__(self, release, only=None, drop=(), codenames=()):
        self.release = release
        self.only = only
        self.drop = drop
        self.codenames = {release.codename, release.to_codename, *codenames} - {""}
        self.outdated = release.distribution == "debian"  # Ubuntu's Release files have no such date

    def read(self, source):
        """Leave all as it is."""
        return source.chunk

    def disabled(self, source):
        """Switch off what is not the distribution's own."""
        if source.kind != "third_party":
            return source.chunk
        return apt_sources.set_aside(source.chunk, source.one_line)

    def restored(self, source):
        """Switch on what we have switched off."""
        if source.kind != "set_aside" or self.stays_off(source):
            return source.chunk
        return apt_sources.switch_on(source.chunk, source.one_line)

    def stays_off(self, source):
        """Return whether a source that we have switched off names a release."""
        return apt_releases.names(source.entry, self.codenames)

    def archived(self, source):
        """Take own suites from the archive host."""
        if source.kind != "own":
            return source.chunk

        def plan(suite):
            if suite in self.drop:
                return suite, apt_sources.OFF
            asked = suite in self.only if self.only is not None else apt_releases.pocket(suite, self.release)
            return suite, self.archive(source, suite) if asked else apt_sources.KEEP

        return apt_sources.change(source.chunk, source.one_line, plan, self.outdated)

    def returned(self, source):
        """Take own suites from where they were, unless somebody has given them another address since."""
        if not source.entry.moved:
            return source.chunk
        there = apt_releases.host(source.entry.uris[0]) == self.release.archive_host
        return (apt_sources.move_back if there else apt_sources.forget)(source.chunk, source.one_line)

    def renamed(self, source):
        """Name the release to come, at the address of a living one."""
        if source.kind != "own":
            return source.chunk
        chunk, one_line, entry = self.returned(source), source.one_line, source.entry
        if not entry.moved and apt_releases.is_archive(entry.uris[0], self.release):
            address = apt_releases.alive(entry.uris[0], entry.suites[0], self.release)
            chunk = apt_sources.forget(apt_sources.move(chunk, one_line, address, False), one_line)

        def plan(suite):
            new = apt_releases.rename(suite, self.release)
            if new in self.drop:
                return suite, apt_sources.OFF
            return new, self.archive(source, new) if new in (self.only or []) else apt_sources.KEEP

        def component(word):
            return apt_releases.component(word, entry, self.release)

        chunk = apt_sources.replace(chunk, one_line, "components", component)
        return apt_sources.change(chunk, one_line, plan, self.outdated)

    def is_archived(self, source):
        """Return whether an own source comes from where ended releases are kept."""
        uri = source.entry.uris[0]
        there = source.entry.moved and apt_releases.host(uri) == self.release.archive_host
        return there or apt_releases.is_archive(uri, self.release)

    def archive(self, source, suite):
        """Return where a suite is to be had that has ended."""
        address = apt_releases.archive(source.entry.uris[0], suite, self.release)
        return apt_sources.OFF if address is None else address or apt_sources.KEEP


def edited(paths, sources, act):
    """Return a dict from path to text with ``act(source)`` in place of each source's chunk."""
    texts = dict.fromkeys(paths, "")
    for source in sources:
        texts[source.path] += act(source) if source.kind else source.chunk
    return texts


def private(sources, act, directory):
    """Return the same for the own sources alone, which stay switched on, in another directory."""
    texts = {os.path.join(directory, "sources.list"): ""}
    for source in sources:
        if source.kind != "own":
            continue
        base = os.path.basename(source.path)
        path = os.path.join(directory, base if base == "sources.list" else "sources.list.d/" + base)
        for chunk in apt_sources.split(act(source), source.one_line):
            entry = apt_sources.read(chunk, source.one_line)
            if entry and entry.enabled:
                end = "\n" if source.one_line else "\n\n"
                texts[path] = texts.get(path, "") + chunk.rstrip("\n") + end
    return texts


def write(module, old, new):
    """Write the files whose texts differ, each at once, and remove those that ``new`` has not got."""
    for path in sorted(set(old) - set(new)):
        os.remove(path)
    for path, text in sorted(new.items()):
        if text != old.get(path):
            place = os.path.realpath(path)  # a link stays one
            os.makedirs(os.path.dirname(place), exist_ok=True)
            # Beside it: apt passes over hidden files, and root need have no directory of Ansible's.
            handle, temporary = tempfile.mkstemp(prefix=".uring-lab-", dir=os.path.dirname(place))
            with open(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                file.write(text)
            module.atomic_move(temporary, place)


def main():
    """Run the module."""
    states = ["read", "disabled", "restored", "archived", "returned", "renamed"]
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": states, "default": "read"},
            "distribution": {"type": "str", "choices": ["debian", "ubuntu"], "required": True},
            "codename": {"type": "str", "required": True},
            "to_codename": {"type": "str", "default": ""},
            "archive_host": {"type": "str", "default": ""},
            "only": {"type": "list", "elements": "str"},
            "drop": {"type": "list", "elements": "str", "default": []},
            "codenames": {"type": "list", "elements": "str", "default": []},
            "into": {"type": "path"},
            "root": {"type": "path", "default": "/"},
        },
        required_if=[("state", "renamed", ["to_codename"])],
        supports_check_mode=True,
    )
    asked = module.params
    release = apt_releases.Release(
        asked["distribution"],
        asked["codename"],
        asked["to_codename"],
        asked["archive_host"] or apt_releases.ARCHIVES[asked["distribution"]],
    )
    texts = read_files(os.path.join(asked["root"], "etc/apt"))
    origins = read_origins(module, asked["root"])
    sources = survey(texts, release, origins)
    editor = Editor(release, asked["only"], asked["drop"], asked["codenames"])
    act = getattr(editor, asked["state"])
    if asked["into"]:
        old, new = read_files(asked["into"]), private(sources, act, asked["into"])
    else:
        old, new = texts, edited(texts, sources, act)
    changed = sorted(path for path in set(old) | set(new) if old.get(path) != new.get(path))
    if not module.check_mode:
        write(module, old, new)

    def told(wanted):
        return [shown(source, origins) for source in sources if source.kind and wanted(source)]

    module.exit_json(
        changed=bool(changed),
        archive_host=release.archive_host,
        files=changed,
        diff=[
            {
                "before_header": path,
                "after_header": path,
                "before": old.get(path, ""),
                "after": new.get(path, ""),
            }
            for path in changed
        ],
        own=told(lambda source: source.kind == "own"),
        third_party=told(lambda source: source.kind == "third_party"),
        set_aside=told(lambda source: source.kind == "set_aside"),
        affected=told(lambda source: act(source) != source.chunk),
        still_disabled=told(lambda source: source.kind == "set_aside" and editor.stays_off(source)),
        archived=any(editor.is_archived(source) for source in sources if source.kind == "own"),
    )


if __name__ == "__main__":
    main()
