"""The tunnel of the page about other machines, through a real SSH server on this one, where it is installed."""

from __future__ import annotations

import getpass
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets import Origin
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.deploy.proxies import free_port, needs
from tests.docs.commands import commands, page
from tests.web.server import Server

pytestmark = pytest.mark.slow
LIMIT_S = 20.0


def eventually(answers: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + LIMIT_S
    while not answers():
        assert time.monotonic() < limit, what
        time.sleep(0.1)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """`ssh` with the flags that log this user in at an SSH server of the test's own."""
    sshd, ssh = needs("sshd", "openssh-server"), needs("ssh", "openssh-client")
    folder, port = tmp_path_factory.mktemp("ssh"), free_port()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    Path("/run/sshd").mkdir(exist_ok=True) if getpass.getuser() == "root" else None
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "user.pub",
        "StrictModes": "no",
        "PidFile": "none",
    }
    (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    process = subprocess.Popen([sshd, "-D", "-f", folder / "config"], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: listens(port), "sshd listens")
        flags = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={folder}/known", "BatchMode=yes", "LogLevel=ERROR"]
        yield [ssh, "-F", "none", "-p", str(port), "-i", str(folder / "user"), *(f"-o{flag}" for flag in flags)]
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server("--pipeline", "bench", cwd=tmp_path_factory.mktemp("server"), environment={})
    yield running
    running.end()


@pytest.fixture
def tunnel(ssh_server: list[str], server: Server) -> Iterator[int]:
    """The page's command, with this server's port at its end; the near port, which is another one."""
    near = free_port()
    (words,) = [command.words for command in commands(page("docs/remote.md")) if command.words[0] == "ssh"]
    flags = [word.replace("8765:127.0.0.1:8765", f"{near}:127.0.0.1:{server.port}") for word in words[1:-1]]
    assert flags == ["-N", "-L", f"{near}:127.0.0.1:{server.port}"]
    process = subprocess.Popen([*ssh_server, *flags, f"{getpass.getuser()}@127.0.0.1"])
    try:
        eventually(lambda: listens(near), "the tunnel listens")
        yield near
    finally:
        process.terminate()
        process.wait()


def test_the_page_and_a_session_come_through_the_tunnel_without_a_key(tunnel: int) -> None:
    with urllib.request.urlopen(f"http://localhost:{tunnel}/", timeout=LIMIT_S) as answer:
        assert b"<title>" in answer.read()
    address = f"ws://localhost:{tunnel}/v1/realtime?model=bench"
    with connect(address, origin=Origin(f"http://localhost:{tunnel}"), proxy=None, open_timeout=LIMIT_S) as session:
        assert json.loads(session.recv(timeout=LIMIT_S))["type"] == "session.created"


def test_a_page_of_another_site_does_not_get_in_through_the_tunnel(tunnel: int) -> None:
    address = f"ws://localhost:{tunnel}/v1/realtime?model=bench"
    with pytest.raises(InvalidStatus) as refused:
        connect(address, origin=Origin("https://evil.example"), proxy=None, open_timeout=LIMIT_S)
    assert refused.value.response.status_code == 403
