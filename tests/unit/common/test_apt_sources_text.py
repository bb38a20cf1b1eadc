"""The reading and editing of apt's sources as text, in both formats."""

import apt_sources
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.common.apt_tree import TEXTS

LINE = "deb [arch=amd64 signed-by=/k.gpg] http://a.example/debian bookworm main non-free # ours\n"
STANZA = """\
# The base.
Types: deb deb-src
URIs: http://a.example/debian
 http://b.example/debian
Suites: bookworm
# and the point releases
 bookworm-updates
Components: main non-free
Signed-By: /k.gpg
"""


@given(TEXTS)
def test_the_chunks_of_a_file_are_the_file(sample):
    text, one_line = sample
    assert "".join(apt_sources.split(text, one_line)) == text


@given(TEXTS)
@example(("Types: deb\nURIs: http://a/\nSuites: a\nEnabled:\n yes", False))
@example((" of: nothing\nTypes: deb\nURIs: http://a/\nSuites: a\n", False))
def test_switching_on_is_the_reverse_of_setting_aside(sample):
    text, one_line = sample
    for chunk in apt_sources.split(text, one_line):
        entry = apt_sources.read(chunk, one_line)
        if entry and entry.enabled:
            aside = apt_sources.set_aside(chunk, one_line)
            read = apt_sources.read(aside, one_line)
            assert read.aside and not read.enabled
            assert apt_sources.split(aside, one_line) == [aside]
            assert apt_sources.switch_on(aside, one_line) == chunk


@given(TEXTS, st.booleans())
def test_moving_back_is_the_reverse_of_moving(sample, outdated):
    text, one_line = sample
    for chunk in apt_sources.split(text, one_line):
        entry = apt_sources.read(chunk, one_line)
        if entry and not entry.moved:
            moved = apt_sources.move(chunk, one_line, "http://archive.example/debian", outdated)
            assert apt_sources.split(moved, one_line) == [moved]
            read = apt_sources.read(moved, one_line)
            assert read.moved and read.uris == ["http://archive.example/debian"]
            assert read[2:-1] == entry[2:-1]
            assert apt_sources.move(moved, one_line, "http://archive.example/debian", outdated) == moved
            assert apt_sources.move_back(moved, one_line) == chunk
            assert apt_sources.read(apt_sources.forget(moved, one_line), one_line).uris == read.uris


def test_a_line_is_read():
    entry = apt_sources.read(LINE, True)
    assert entry == apt_sources.Entry(
        0, ["http://a.example/debian"], ["bookworm"], ["main", "non-free"], "/k.gpg", True, False, False
    )


def test_a_stanza_is_read_with_comments_between_the_lines_of_a_field():
    entry = apt_sources.read(STANZA, False)
    assert entry == apt_sources.Entry(
        1,
        ["http://a.example/debian", "http://b.example/debian"],
        ["bookworm", "bookworm-updates"],
        ["main", "non-free"],
        "/k.gpg",
        True,
        False,
        False,
    )


@pytest.mark.parametrize("text", ["", "\n", "# deb http://a.example/debian bookworm main\n", "nonsense\n"])
@pytest.mark.parametrize("one_line", [True, False])
def test_what_is_no_source_is_read_as_none(text, one_line):
    assert all(apt_sources.read(chunk, one_line) is None for chunk in apt_sources.split(text, one_line))


def test_lines_may_end_as_those_of_windows_do():
    text = STANZA.replace("\n", "\r\n")
    entries = [apt_sources.read(chunk, False) for chunk in apt_sources.split(text + "\r\n" + text, False)]
    assert entries == [apt_sources.read(STANZA, False), None, apt_sources.read(STANZA, False)]


def test_a_source_that_somebody_else_has_switched_off_is_not_one_that_we_set_aside():
    entry = apt_sources.read(STANZA + "Enabled: no\n", False)
    assert not entry.enabled and not entry.aside


def test_the_suites_of_a_stanza_are_renamed_where_they_stand():
    changed = apt_sources.change(
        STANZA, False, lambda suite: (suite.replace("bookworm", "trixie"), apt_sources.KEEP)
    )
    assert changed == STANZA.replace("bookworm", "trixie")


@pytest.mark.parametrize("text, one_line", [(LINE, True), (STANZA, False)])
def test_a_source_that_is_moved_twice_remembers_where_it_was_first(text, one_line):
    once = apt_sources.move(text, one_line, "http://first.example/debian", True)
    moved = apt_sources.move(once, one_line, "http://second.example/debian", True)
    assert moved == once.replace("first", "second")
    assert apt_sources.read(moved, one_line).uris == ["http://second.example/debian"]
    assert apt_sources.move_back(moved, one_line) == text


@pytest.mark.parametrize(
    "text, one_line",
    [
        ("deb [ check-valid-until=no ] http://a.example/debian bookworm main\n", True),
        (STANZA.replace(" http://b.example/debian\n", "check-valid-until: no\n"), False),
    ],
)
def test_a_source_that_is_there_already_is_not_marked_as_moved(text, one_line):
    assert apt_sources.move(text, one_line, "http://a.example/debian", True) == text


def test_a_stanza_that_is_there_already_is_not_split():
    text = STANZA.replace(" http://b.example/debian\n", "")
    assert (
        apt_sources.change(text, False, lambda s: (s, "http://a.example/debian" if s == "bookworm" else ""))
        == text
    )


def test_a_stanza_is_split_where_its_suites_go_to_several_places():
    places = {"bookworm": "http://archive.example/debian", "bookworm-updates": apt_sources.OFF}
    changed = apt_sources.change(
        STANZA.replace("updates", "updates sid"), False, lambda s: (s, places.get(s, apt_sources.KEEP)), True
    )
    assert (
        changed
        == """\
# The base.
Types: deb deb-src
URIs: http://a.example/debian
 http://b.example/debian
Suites:
# and the point releases
 sid
Components: main non-free
Signed-By: /k.gpg

Types: deb deb-src
# uring-lab has moved this source from: URIs: http://a.example/debian
# uring-lab has moved this source from:  http://b.example/debian
Check-Valid-Until: no
URIs: http://archive.example/debian
Suites: bookworm
Components: main non-free
Signed-By: /k.gpg

# uring-lab has set aside: this stanza
Enabled: no
Types: deb deb-src
URIs: http://a.example/debian
 http://b.example/debian
Suites:
 bookworm-updates
Components: main non-free
Signed-By: /k.gpg
"""
    )


def test_a_word_comes_to_stand_in_a_field_once():
    changed = apt_sources.change(STANZA, False, lambda suite: ("trixie", apt_sources.KEEP))
    assert apt_sources.read(changed, False).suites == ["trixie"]
