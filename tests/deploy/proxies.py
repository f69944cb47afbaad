"""nginx and Caddy, started with the files of deploy/ in front of a server. Only addresses, ports and certificates are changed in them."""

from __future__ import annotations

import os
import queue
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.server.certificates import certificate

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
NAME = "voice.example.com"
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Proxy:
    """A running proxy: `url` has the public name and no path; `root` is what vouches for its certificate."""

    url: str
    root: Path

    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.root))


def needs(program: str, package: str) -> str:
    """The program's path; skips the test where it is not installed."""
    found = shutil.which(program, path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed (Debian: apt-get install {package})")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """`text` with each of `changes` made; each must be there."""
    for old, new in changes.items():
        assert old in text, f"the file has no {old!r}"
        text = text.replace(old, new)
    return text


def nginx_site(folder: Path, upstream: int, port: int, plain: int) -> tuple[str, Path]:
    """deploy/nginx.conf for this machine, in a whole configuration; and its certificate."""
    made = certificate(folder, hosts=(NAME,))
    site = replaced(
        (DEPLOY / "nginx.conf").read_text(encoding="utf-8"),
        {
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "listen [::]:80;": "",
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "listen [::]:443 ssl;": "",
            "/etc/letsencrypt/live/voice.example.com/fullchain.pem": str(made.cert),
            "/etc/letsencrypt/live/voice.example.com/privkey.pem": str(made.key),
            "127.0.0.1:8765": f"127.0.0.1:{upstream}",
        },
    )
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    whole = (
        f"{user}daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log stderr notice;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{site}}}\n"
    )
    return whole, made.cert


@contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[Proxy]:
    program, port = needs("nginx", "nginx-light"), free_port()
    text, cert = nginx_site(folder, upstream, port, free_port())
    file = folder / "nginx.conf"
    file.write_text(text, encoding="utf-8")
    with running([program, "-c", str(file), "-p", str(folder)], "start worker process", {}):
        yield Proxy(f"https://{NAME}:{port}", cert)


@contextmanager
def caddy(folder: Path, upstream: int, name: str) -> Iterator[Proxy]:
    """With the file `name`. Where it would ask for a certificate of a public authority, it makes one of its own."""
    program, port = needs("caddy", "caddy"), free_port()
    options = f"{{\n\tadmin off\n\tlocal_certs\n\tskip_install_trust\n\thttp_port {free_port()}\n}}\n"
    text = (DEPLOY / name).read_text(encoding="utf-8")
    own = "{\n\tskip_install_trust\n}\n"
    text = text.replace(own, options) if own in text else options + text
    file = folder / "Caddyfile"
    file.write_text(text, encoding="utf-8")
    environment = {
        "PARLEY_SITE": f"https://{NAME}:{port}",
        "PARLEY_UPSTREAM": f"127.0.0.1:{upstream}",
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "HOME": str(folder),
    }
    command = [program, "run", "--config", str(file), "--adapter", "caddyfile"]
    with running(command, "certificate obtained successfully", environment):
        made = Proxy(f"https://{NAME}:{port}", folder / "caddy/pki/authorities/local/root.crt")
        # It says so a moment before it uses the certificate.
        until = time.monotonic() + PATIENCE_S
        while not shakes_hands(made, port):
            assert time.monotonic() < until, "Caddy does not use its certificate"
        yield made


def shakes_hands(proxy: Proxy, port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain:
            proxy.trusted().wrap_socket(plain, server_hostname=NAME).close()
    except OSError:
        return False
    return True


@contextmanager
def running(command: list[str], ready: str, environment: Mapping[str, str]) -> Iterator[None]:
    """The process, from the line on its stderr that has `ready` in it."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | dict(environment)
    )
    said: list[str] = []
    seen: queue.Queue[bool] = queue.Queue()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if ready in line:
                seen.put(True)
        seen.put(False)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        try:
            there = seen.get(timeout=PATIENCE_S)
        except queue.Empty:
            there = False
        assert there, f"{command[0]} did not start:\n{''.join(said)}"
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            process.wait()
            reader.join(PATIENCE_S)
            assert process.stderr is not None
            process.stderr.close()
