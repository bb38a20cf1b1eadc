"""nginx without its service: a measurement must not make anything listen on this computer."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.errors import BenchError
from lab import paths

#: Debian 12 and later keep the program in the first package, Ubuntu 22.04 in the second.
PACKAGES = ("nginx", "nginx-core")

CONFIGURATION = """\
daemon off;
worker_processes {workers};
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 2048; }}
http {{
    types {{ text/html html; }}
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {more}
    server {{
        listen 127.0.0.1:{port}{listen};
        root {public};
    }}
}}
"""


def find() -> Path:
    """Return nginx: the installed one, or one unpacked from its package into our cache.

    It is unpacked, not installed, because the package enables a service on port 80.

    Raises:
        BenchError: it cannot be found, downloaded or run.

    """
    installed = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    program = Path(installed) if installed else paths.cache() / "bench" / "nginx" / "usr/sbin/nginx"
    if not program.exists():
        _unpack(program.parents[2])
    version(program)
    return program


def version(program: Path) -> str:
    """Return its version, such as nginx/1.22.1."""
    answer = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise BenchError(
            f"{program} does not run ({answer.stderr.strip()}): install what it misses, or nginx"
        )
    return answer.stderr.rpartition(" ")[2].strip()


def _unpack(directory: Path) -> None:
    """Download the packages by apt, which verifies them, and unpack them below `directory`."""
    with tempfile.TemporaryDirectory(prefix="uring-lab-nginx-") as download:
        answer = subprocess.run(
            ["apt-get", "download", "--quiet=2", *PACKAGES], cwd=download, capture_output=True, text=True
        )
        if answer.returncode:
            raise BenchError(
                "nginx is not installed here and apt-get could not get it "
                f"({answer.stderr.strip()[-200:]}): apt-get update, or install nginx"
            )
        directory.mkdir(parents=True, exist_ok=True)
        for package in Path(download).glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, directory], check=True)


def configure(directory: Path, public: Path, port: int, workers: int, cached: bool) -> Path:
    """Write a configuration and return its file.

    directory: only for this instance, and writable for nginx
    workers: number of processes; several share the port by SO_REUSEPORT, like our rings
    cached: keep files open (open_file_cache) and check for changes once a minute
    """
    file = directory / "nginx.conf"
    file.write_text(
        CONFIGURATION.format(
            directory=directory,
            public=public,
            port=port,
            workers=workers,
            listen=" reuseport" if workers > 1 else "",
            more="open_file_cache max=1000; open_file_cache_valid 60s;" if cached else "",
        )
    )
    return file
