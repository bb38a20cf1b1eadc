"""`make kernels`: what it lists of an archive, and of a host."""

import sys
from pathlib import Path

import grub
import mainline
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mainline import Version

from cli import __main__, commands
from cli.options import Options
from cli.run import ROOT

sys.path.insert(0, str(ROOT / "roles/kernel/filter_plugins"))

from kernel_listing import kernel_listing

RUNNING, OURS = "6.1.0-49-amd64", "5.6.0-050600-generic"


def entry(release):
    return f"gnulinux-advanced-1>gnulinux-{release}-advanced-1"


@pytest.fixture
def kernels(server, monkeypatch, tmp_path):
    """Run the command for the archive of this computer, where there is no lab host."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(
        commands,
        "read_options",
        lambda _environment, _profiles: Options(
            profile_path=ROOT / "profiles" / "archive.yml", overrides={"kernel_mainline_url": server.url}
        ),
    )
    for variable in ("HOST", "HOSTS", "INVENTORY", "NAME"):
        monkeypatch.delenv(variable, raising=False)
    return lambda: __main__.main(["kernels"])


def test_series_are_listed_newest_first_and_candidates_apart(kernels, mirror, server, capfd):
    for version in ("5.6", "5.6.1", "5.6.2", "5.6.4", "6.9.1", "5.7-rc1", "5.7-rc2"):
        mirror.add(version, failed=True)
    mirror.add_odd("daily")
    assert kernels() == 0
    told = capfd.readouterr()
    assert told.out.splitlines() == [
        f"{server.url} lists, the newest series first:",
        "  6.9     6.9.1",
        "  5.6     5.6 to 5.6.2, 5.6.4",
        "And release candidates:",
        "  5.7     rc1 to rc2",
        "Some of them failed to build, or have no kernel for every architecture; what KERNEL names is "
        "looked at.",
    ]
    assert told.err == ""
    assert server.requests == [""]
    assert not Path(commands.run.os.environ["XDG_STATE_HOME"]).exists(), (
        "a lab host was made or looked for on disk"
    )


def test_the_archive_listed_is_the_one_that_an_inventory_names_for_all_hosts(
    kernels, mirror, server, monkeypatch, tmp_path, capfd
):
    profile = ROOT / "profiles/archive.yml"
    monkeypatch.setattr(commands, "read_options", lambda *_: Options(profile_path=profile))
    (tmp_path / "hosts").write_text("127.0.0.1 ansible_port=9\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/all.yml").write_text(f"kernel_mainline_url: {server.url}\n")
    monkeypatch.setenv("INVENTORY", str(tmp_path / "hosts"))
    mirror.add("5.6")
    assert kernels() == 69
    told = capfd.readouterr()
    assert told.out.splitlines()[0] == f"{server.url} lists, the newest series first:"
    assert told.err.startswith("kernels: 127.0.0.1: refuses the connection")


def test_an_archive_out_of_reach_is_one_line_and_status_69(kernels, server, capfd):
    server.status("", 403)
    assert kernels() == 69
    told = capfd.readouterr()
    assert told.out == ""
    assert told.err == f"kernels: {server.url} answers 403\n"


def test_what_makes_no_sense_is_refused_before_the_archive_is_asked(kernels, server, monkeypatch):
    monkeypatch.setenv("HOST", "a,b")
    assert kernels() == 2
    assert server.requests == []


versions = st.builds(
    Version, st.integers(4, 6), st.integers(0, 2), st.integers(0, 8), st.just(mainline.RELEASED)
) | st.builds(Version, st.integers(4, 6), st.integers(0, 2), st.just(0), st.integers(1, 8))


@given(st.sets(versions).map(lambda some: sorted(some, reverse=True)))
def test_a_listing_names_every_build_and_no_other(some):
    def spread(text, prefix):
        for run in filter(None, text.split(", ")):
            first, _, last = run.partition(" to ")
            ends = [int(end.removeprefix(prefix).removeprefix(".") or "0") for end in (first, last or first)]
            yield from range(ends[0], ends[1] + 1)

    rows = mainline.listing(some)
    named = []
    for row in rows:
        major, minor = map(int, row["series"].split("."))
        released = spread(row["released"], row["series"])
        named += [Version(major, minor, micro, mainline.RELEASED) for micro in released]
        named += [Version(major, minor, 0, rc) for rc in spread(row["candidates"], "rc")]
    assert sorted(named, reverse=True) == some
    assert [row["series"] for row in rows] == list(dict.fromkeys(version.series for version in some))


def host_report(**state):
    """Return what is said of a host in that state."""
    known = {
        "container": "",
        "running": RUNNING,
        "default": "",
        "next_entry": "",
        "manifest": {},
        "entries": {},
    }
    return [" ".join(line.split()) for line in kernel_listing(known | state)]


@pytest.mark.parametrize(
    ("state", "lines"),
    [
        (
            {"default": RUNNING, "manifest": {"release": OURS, "promoted": False}, "next_entry": entry(OURS)},
            [f"{RUNNING} runs, the default", f"{OURS} the next boot only, ours, not proved"],
        ),
        (
            {"running": OURS, "default": OURS, "manifest": {"release": OURS, "promoted": True}},
            [RUNNING, f"{OURS} runs, the default, ours"],
        ),
        (
            {"running": "6.2.0-mine"},
            [RUNNING, OURS, "6.2.0-mine runs, without an entry in grub.cfg"],
        ),
        ({"container": "lxc"}, [f"a container (lxc), which runs its host's kernel: {RUNNING}"]),
    ],
    ids=["trial", "proved", "unknown", "container"],
)
def test_of_a_host_it_is_told_what_runs_what_boots_and_what_is_ours(state, lines):
    assert host_report(entries={RUNNING: entry(RUNNING), OURS: entry(OURS)}, **state) == lines


HEAD = """
if [ "${{next_entry}}" ] ; then
   set default="${{next_entry}}"
   set next_entry=
else
   set default="{default}"
fi
menuentry 'Debian' $menuentry_id_option 'gnulinux-simple-1' {{
	linux	/boot/vmlinuz-6.12.9-amd64 ro
}}
submenu 'Advanced' $menuentry_id_option 'gnulinux-advanced-1' {{
	menuentry 'a' $menuentry_id_option 'gnulinux-6.12.9-amd64-advanced-1' {{
		linux	/boot/vmlinuz-6.12.9-amd64 ro
	}}
	menuentry 'b' $menuentry_id_option 'gnulinux-6.1.0-49-amd64-advanced-1' {{
		linux	/boot/vmlinuz-6.1.0-49-amd64 ro
	}}
}}
"""


@pytest.mark.parametrize(
    ("default", "saved", "release"),
    [
        ("0", entry(RUNNING), "6.12.9-amd64"),
        ("${saved_entry}", entry(RUNNING), RUNNING),
        ("${saved_entry}", "", "6.12.9-amd64"),
        ("${saved_entry}", "gnulinux-simple-1", "6.12.9-amd64"),
        ("${saved_entry}", entry("4.19.0-1-amd64"), ""),
        (entry(RUNNING), "", RUNNING),
        ("1>2", "", ""),
    ],
)
def test_the_default_is_what_grub_would_boot(default, saved, release):
    assert grub.default(HEAD.format(default=default), saved) == release


def test_without_a_grub_there_is_no_default():
    assert grub.default("", "") == ""
