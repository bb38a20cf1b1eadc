"""The pages of the mainline archive: Apache's directory listing, below a header about the builds."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

_FRAME = """\
<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html>
 <head>
  <title>Index of {path}</title>
 </head>
 <body>
<h1>Index of {path}</h1>
{header}<pre><img src="/icons/blank.gif" alt="Icon "> <a href="?C=N;O=D">Name</a>{gap}\
<a href="?C=M;O=A">Last modified</a>      <a href="?C=S;O=A">Size</a>  <hr>\
<img src="/icons/back.gif" alt="[PARENTDIR]"> <a href="{parent}/">Parent Directory</a>
{rows}<hr></pre>
<address>Apache/2.4.29 (Ubuntu) Server at kernel.ubuntu.com Port 443</address>
</body></html>
"""

#: Width of the column of names.
_WIDTH = 90


def write(directory: Path, path: str, header: str = "") -> None:
    """Write a directory's page.

    Args:
        directory: the directory that it lists.
        path: its path on the server.
        header: HTML above the list.

    """
    rows = []
    for entry in sorted(directory.iterdir()):
        if entry.name == "index.html" or entry.name.startswith("."):
            continue
        name = escape(entry.name + ("/" if entry.is_dir() else ""))
        icon = 'folder.gif" alt="[DIR]' if entry.is_dir() else 'unknown.gif" alt="[   ]'
        gap = " " * (_WIDTH - len(name))
        rows.append(f'<img src="/icons/{icon}"> <a href="{name}">{name}</a>{gap}2020-03-30 00:05    -   \n')
    (directory / "index.html").write_text(
        _FRAME.format(
            path=escape(path),
            parent=escape(path.rpartition("/")[0]),
            header=header,
            gap=" " * (_WIDTH - 4),
            rows="".join(rows),
        )
    )


def header(directory: Path, succeeded: Mapping[str, bool], links: bool) -> str:
    """Return the header about a version's builds.

    Args:
        directory: the version's.
        succeeded: whether the build succeeded, by architecture.
        links: whether it links to the debs in an architecture's subdirectory.

    """
    lines = []
    for architecture in sorted(succeeded):
        divided = (directory / architecture).is_dir()
        lines += (_test_lines if divided else _build_lines)(
            directory, architecture, succeeded[architecture], links
        )
    return "<pre>\n" + "\n".join(lines) + "\n</pre>\n"


def _build_lines(directory: Path, architecture: str, succeeded: bool, _links: bool) -> list[str]:
    """Return the header's lines in the format until June 2020."""
    log = f'<a href="BUILD.LOG.{architecture}">BUILD.LOG.{architecture}</a>'
    names = [
        deb.name for deb in sorted(directory.glob("*.deb")) if deb.stem.endswith((f"_{architecture}", "_all"))
    ]
    return [f"Build for {architecture} {_word(succeeded)} (see {log}):", *_links_to(names)]


def _test_lines(directory: Path, architecture: str, succeeded: bool, links: bool) -> list[str]:
    """Return the header's lines in the format since then. The self-tests often fail for good kernels too."""
    names = [f"{architecture}/{deb.name}" for deb in sorted((directory / architecture).glob("*.deb"))]
    log = f'<a href="{architecture}/log">{architecture}/log</a>'
    tests = f'<a href="{architecture}/self-tests/log">{architecture}/self-tests/log</a>'
    return [
        f"Test {architecture}/build {_word(succeeded)} "
        f"(rc={int(not succeeded)}, on=amd64, time=0:11:17, log={log})",
        *_links_to(names if links else []),
        f"Test {architecture}/self-tests failed (rc=2, on=amd64, time=0:01:05, log={tests})",
    ]


def _word(succeeded: bool) -> str:
    return "succeeded" if succeeded else "failed"


def _links_to(names: list[str]) -> list[str]:
    return [f'  <a href="{name}">{name}</a>' for name in names]
