"""Read and edit apt's sources, as text, in both of their formats.

A text is cut into chunks: a line each in the one-line format (``.list``), a paragraph each in deb822's
(``.sources``). Joined, the chunks are the text again, so what is not edited stays as it was to the byte. What
we change can be changed back: comments that begin with one of two markers keep what stood there.

Source: sources.list(5) of apt, whose parser is apt-pkg/sourcelist.cc.
"""

import re
from collections import namedtuple

#: Before what we have switched off, and before the address of what we have given another one.
ASIDE = "# uring-lab has set aside: "
MOVED = "# uring-lab has moved this source from: "

#: Where a suite comes from: from where it did, from nowhere (it is set aside), or from an address.
KEEP, OFF = "", "off"

#: One source. lead: how many lines of its chunk stand before it. uris, suites, components: lists of words.
#: signed_by: the text of that option. enabled: whether apt uses it. aside: whether we have set it aside.
#: moved: whether a marker keeps another address.
Entry = namedtuple("Entry", "lead uris suites components signed_by enabled aside moved")

_LINE = re.compile(
    "(?P<moved>" + MOVED + r"[^\n]*\n)?(?P<aside>" + ASIDE + r")?[ \t]*deb(?:-src)?[ \t]+"
    r"(?P<uris>(?:\[(?P<options>[^\]\n]*)\][ \t]*)?(?P<uri>cdrom:\[[^\]\n]*\]\S*|[^\s\[#][^\s#]*))[ \t]+"
    r"(?P<suites>[^\s#]+)(?P<components>[^#\n]*)"
)

_NO = ("no", "false", "without", "off", "disable", "0")  # StringToBool of apt-pkg/contrib/strutl.cc
_NOT_SAID = "this stanza\n"
_STANZA_ASIDE = re.compile(r"(?P<old>(?:^" + ASIDE + r"[^\n]*\n)+)Enabled: no(?P<end>\n|\Z)", re.MULTILINE)
_STANZA_MOVED = re.compile(r"(?P<old>(?:^" + MOVED + r"[^\n]*\n)+)(?:Check-Valid-Until: no\n)?", re.MULTILINE)


def split(text, one_line):
    """Return the chunks of a file; joined they are the text.

    Args:
        text: the content of the file.
        one_line: whether it is in the one-line format; otherwise it is in deb822's.

    """
    if one_line:
        return re.findall("(?:" + MOVED + r"[^\n]*\n)?(?:[^\n]*\n|[^\n]+)", text)
    return re.findall(r"(?:(?!\r?\n)[^\n]+(?:\n|\Z))+|(?:\r?\n)+", text)


def read(chunk, one_line):
    """Return the Entry that a chunk holds, or None for comments, empty lines and what apt would refuse."""
    if one_line:
        found = _LINE.match(chunk)
        if not found:
            return None
        signed = re.search(r"signed-by=(\S+)", found.group("options") or "", re.IGNORECASE)
        return Entry(
            lead=1 if found.group("moved") else 0,
            uris=[found.group("uri")],
            suites=[found.group("suites")],
            components=found.group("components").split(),
            signed_by=signed.group(1) if signed else "",
            enabled=not found.group("aside"),
            aside=bool(found.group("aside")),
            moved=bool(found.group("moved")),
        )
    fields = _fields(chunk)
    words = {name: _words(chunk[value:end]) for name, (_start, value, end) in fields.items()}
    if not all(words.get(name) for name in ("types", "uris", "suites")):
        return None
    return Entry(
        lead=chunk[: min(start for start, _value, _end in fields.values())].count("\n"),
        uris=words["uris"],
        suites=words["suites"],
        components=words.get("components", []),
        signed_by=" ".join(words.get("signed-by", [])),
        enabled=" ".join(words.get("enabled", [])).lower() not in _NO,
        aside=bool(_STANZA_ASIDE.search(chunk)),
        moved=bool(_STANZA_MOVED.search(chunk)),
    )


def set_aside(chunk, one_line):
    """Return the chunk of an enabled entry, switched off; a marker tells what was there."""
    if one_line:
        marker, line = _cut(chunk)
        return marker + ASIDE + line
    fields = _fields(chunk)
    if "enabled" not in fields:
        start = min(start for start, _value, _end in fields.values())
        return _swap(chunk, (start, start), ASIDE + _NOT_SAID + "Enabled: no\n")
    start, _value, end = fields["enabled"]
    return _swap(chunk, (start, end), _comment(ASIDE, chunk[start:end]) + "Enabled: no")


def switch_on(chunk, one_line):
    """Return the chunk of an entry that we have set aside as it was before."""
    if one_line:
        marker, line = _cut(chunk)
        return marker + line[len(ASIDE) :]
    found = _STANZA_ASIDE.search(chunk)
    old = _uncomment(ASIDE, found.group("old"))
    return _swap(chunk, found.span(), "" if old == _NOT_SAID else old[:-1] + found.group("end"))


def move(chunk, one_line, uri, outdated):
    """Return the chunk of an entry with another address; a marker keeps the one it had first.

    Args:
        chunk: the chunk.
        one_line: its format.
        uri: the address.
        outdated: whether the Release files there are past their date and are to be taken all the same.

    """
    if one_line:
        found = _LINE.match(chunk)
        options = found.group("options") or ""
        if outdated and "check-valid-until" not in options.lower():
            options = (options.strip() + " check-valid-until=no").strip()
        place = ("[" + options + "] " if options else "") + uri
        if (options, uri) == (found.group("options") or "", found.group("uri")):
            return chunk
        marker = "" if found.group("moved") else MOVED + found.group("uris") + "\n"
        return marker + _swap(chunk, found.span("uris"), place)
    fields = _fields(chunk)
    start, value, end = fields["uris"]
    lenient = "Check-Valid-Until: no\n" if outdated and "check-valid-until" not in fields else ""
    if _words(chunk[value:end]) == [uri] and not lenient:
        return chunk
    marker = "" if _STANZA_MOVED.search(chunk) else _comment(MOVED, chunk[start:end])
    return _swap(chunk, (start, end), marker + lenient + "URIs: " + uri)


def move_back(chunk, one_line):
    """Return the chunk of an entry that was moved with the address that its marker keeps."""
    if one_line:
        marker, line = _cut(chunk)
        return _swap(line, _LINE.match(line).span("uris"), marker[len(MOVED) : -1])
    found = _STANZA_MOVED.search(chunk)
    return _swap(
        chunk, (found.start(), _fields(chunk)["uris"][2]), _uncomment(MOVED, found.group("old"))[:-1]
    )


def forget(chunk, one_line):
    """Return the chunk without the marker of a move, at the address that it has now."""
    return _cut(chunk)[1] if one_line else _STANZA_MOVED.sub("", chunk)


def change(chunk, one_line, plan, outdated=False):
    """Return the chunk of an entry with other suites, or some of its suites at another address.

    Args:
        chunk: the chunk. A stanza whose suites go to several places becomes several.
        one_line: its format.
        plan: a function that returns for a suite its new name, and an address, KEEP or OFF.
        outdated: whether the Release files at a new address are past their date.

    """
    places = {}
    for suite in read(chunk, one_line).suites:
        name, place = plan(suite)
        if place not in (KEEP, OFF) and move(chunk, one_line, place, outdated) == chunk:
            place = KEEP
        places.setdefault(place, {})[suite] = name
    pieces = []
    for place, names in sorted(places.items()):  # what is kept comes first
        piece = "".join(line for line in _lines(chunk) if not (pieces and line.startswith("#")))
        if len(places) > 1 or any(old != new for old, new in names.items()):
            piece = replace(piece, one_line, "suites", names.get)
        if place == OFF:
            piece = set_aside(piece, one_line)
        elif place != KEEP:
            piece = move(piece, one_line, place, outdated)
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else "\n".join(piece.rstrip("\n") + "\n" for piece in pieces)


def replace(chunk, one_line, field, new):
    """Return the chunk of an entry with other words in a field; a word comes to stand there once at most.

    Args:
        chunk: the chunk.
        one_line: its format.
        field: ``suites`` or ``components``.
        new: a function that returns for a word what stands in its place, or None for nothing.

    """
    if one_line:
        start, end = _LINE.match(chunk).span(field)
    else:
        _start, start, end = _fields(chunk).get(field, (0, 0, 0))
    seen = set()

    def word(found):
        text = new(found.group(2))
        if text is None or text in seen:
            return ""
        seen.add(text)
        return found.group(1) + text

    lines = []
    for line in chunk[start:end].split("\n"):
        written = line if line.startswith("#") else re.sub(r"([ \t]*)(\S+)", word, line)
        if written.strip() or not line.strip() or not lines:  # an empty line would end the stanza
            lines.append(written)
    return _swap(chunk, (start, end), "\n".join(lines))


def _fields(chunk):
    """Return for each field of a stanza, in lower case, where its line, its value and the end of that are."""
    fields, name, offset = {}, "", 0
    for line in _lines(chunk):
        end = offset + len(line.rstrip("\n"))
        if line[0] in " \t" and name:
            fields[name] = (*fields[name][:2], end)
        elif line[0] not in "# \t" and ":" in line:
            name = line.split(":")[0].strip().lower()
            fields[name] = (offset, offset + line.index(":") + 1, end)
        offset += len(line)
    return fields


def _lines(text):
    """Return the lines with their ends, where ``splitlines`` would take other characters for an end too."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _words(value):
    """Return the words of a field's value, which may have comments between its lines."""
    return [word for line in value.split("\n") if not line.startswith("#") for word in line.split()]


def _cut(chunk):
    """Return the marker of a move that stands before a one-line entry, with its line end, and the rest."""
    end = chunk.index("\n") + 1 if chunk.startswith(MOVED) else 0
    return chunk[:end], chunk[end:]


def _swap(chunk, span, text):
    return chunk[: span[0]] + text + chunk[span[1] :]


def _comment(marker, text):
    return "".join(marker + line + "\n" for line in text.split("\n"))


def _uncomment(marker, text):
    return "".join(line[len(marker) :] for line in _lines(text))
