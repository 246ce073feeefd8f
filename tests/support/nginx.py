"""A real nginx on loopback, with deploy/nginx.conf, in front of gateways."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from tests.support.cli import missing
from tests.support.redis_server import free_port
from tests.support.server import DEADLINE, ROOT, eventually

CONF = ROOT / "deploy" / "nginx.conf"
ADDRESSES = ("gateway1:8000", "gateway2:8000")
LISTEN = "listen 8080;"
MAIN = """
{user}
daemon off;
worker_processes 2;
pid {folder}/pid;
error_log {folder}/log;
events {{}}
http {{
    access_log off;
    {temporary}
    include {folder}/site.conf;
}}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Nginx:
    """An nginx on *port* in front of gateways on these *ports*, with its files in *folder*.

    It uses deploy/nginx.conf with other addresses.
    """

    def __init__(self, folder: Path, *ports: int):
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        site = CONF.read_text()
        replaced = {LISTEN: f"listen 127.0.0.1:{self.port};"}
        replaced |= {old: f"127.0.0.1:{port}" for old, port in zip(ADDRESSES, ports, strict=True)}
        for old, new in replaced.items():
            assert site.count(old) == 1, old
            site = site.replace(old, new)
        (folder / "site.conf").write_text(site)
        user = "user root;" if os.geteuid() == 0 else ""  # other users cannot read the folder
        temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
        main = MAIN.format(user=user, folder=folder, temporary=temporary)
        (folder / "nginx.conf").write_text(main)
        self._process: subprocess.Popen[bytes] | None = None

    def check(self) -> str:
        """Return nginx's complaints about the file, an empty text if there are none."""
        done = subprocess.run([*self._command(), "-t", "-q"], capture_output=True, text=True)
        return done.stdout + done.stderr + self.log()

    def start(self) -> Nginx:
        assert not self.check()
        self._process = subprocess.Popen(self._command())
        assert eventually(self._listens), self.log()
        return self

    def stop(self) -> None:
        """Stop it."""
        if self._process:
            self._process.terminate()
            self._process.wait(DEADLINE)
            self._process = None

    def log(self) -> str:
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""

    def _command(self) -> list[str]:
        # On Debian it is only in root's PATH.
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if not program:
            missing("nginx to test with: apt-get install nginx-light")
        return [str(program), "-e", "stderr", "-c", str(self.folder / "nginx.conf")]

    def _listens(self) -> bool:
        with socket.socket() as trial:
            return trial.connect_ex(("127.0.0.1", self.port)) == 0
