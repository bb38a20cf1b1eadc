"""make bench-samples: which contenders it runs, nginx and upstream's samples, and its charts."""

import os
import re
import shutil
import subprocess

import pytest

from bench import chart, nginx, programs
from bench.errors import BenchError
from bench.rounds import Case, Result
from bench.samples import chosen

CASE = Case(
    "server, 611 B, keep-alive", "32 connections", "nginx", "rate", dict.fromkeys(["nginx", "a", "b"])
)


@pytest.mark.parametrize(
    ("pattern", "contenders"),
    [
        ("", ["nginx", "a", "b"]),
        ("^server, 611 B", ["nginx", "a", "b"]),
        (": b$", ["nginx", "b"]),
        ("611 B.*32.*: nginx", ["nginx"]),
    ],
)
def test_the_reference_is_always_chosen_too(pattern, contenders):
    assert list(chosen(CASE, re.compile(pattern)).contenders) == contenders


def test_a_case_without_anything_chosen_is_not_run():
    assert chosen(CASE, re.compile("16 KiB")) is None


def test_the_chart_has_a_gap_for_a_failed_contender_and_no_bar_for_the_reference(tmp_path):
    result = Result(CASE, {"nginx": [{"rate": 2}], "a": [{"rate": 3}]}, {"b": "it's broken"})
    script = chart.script([result], tmp_path / "it's.svg")
    assert '"32\\nconnections" 1.5 NaN' in script
    assert re.findall(r"using (\d)\S* linecolor rgb '[^']+' title '(\w+)'", script) == [
        ("2", "a"),
        ("3", "b"),
    ]
    assert "/it''s.svg'" in script


def test_if_upstream_cannot_be_cloned_the_error_has_gits_reason(tmp_path):
    with pytest.raises(BenchError, match=r"nowhere.* does not exist; .*UPSTREAM=FOLDER"):
        programs.clone(tmp_path / "clone", str(tmp_path / "nowhere"))
    subprocess.run(["git", "init", "--quiet", tmp_path / "empty"], check=True)
    with pytest.raises(BenchError, match=r"[0-9a-f]{40}"):
        programs.clone(tmp_path / "other", str(tmp_path / "empty"))


def test_nginx_is_downloaded_and_unpacked_if_it_is_not_installed(tmp_path, monkeypatch):
    program = tmp_path / "tree" / "usr" / "sbin" / "nginx"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho nginx version: nginx/9.9 >&2\n")
    program.chmod(0o755)
    (tmp_path / "tree" / "DEBIAN").mkdir()
    (tmp_path / "tree" / "DEBIAN" / "control").write_text(
        "Package: nginx\nVersion: 9.9\nArchitecture: all\nMaintainer: us\nDescription: none\n"
    )
    subprocess.run(["dpkg-deb", "--build", tmp_path / "tree", tmp_path / "nginx.deb"], check=True)
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(f"#!/bin/sh\ncp {tmp_path}/nginx.deb .\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(apt.parent), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    found = nginx.find()
    assert found.is_relative_to(tmp_path / "cache")
    assert nginx.version(found) == "nginx/9.9"


def test_nginx_listens_only_on_loopback_and_its_workers_share_the_port(tmp_path):
    one = nginx.configure(tmp_path, tmp_path, 8001, workers=1, cached=False).read_text()
    assert re.findall(r"listen (.*);", one) == ["127.0.0.1:8001"]
    assert "open_file_cache" not in one
    many = nginx.configure(tmp_path, tmp_path, 8002, workers=4, cached=True).read_text()
    assert re.findall(r"listen (.*);", many) == ["127.0.0.1:8002 reuseport"]
    assert "worker_processes 4;" in many
    assert "open_file_cache max=1000;" in many
