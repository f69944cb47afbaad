"""The page about deployment is correct: its settings load, its commands run where they can, and it says which were not run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from parley.config import load
from parley.config.layers import NOT_SETTINGS, PREFIX, SHORT_NAMES
from parley.server.tls import tls_context
from tests.deploy.proxies import DEPLOY, NAME, needs
from tests.docs.commands import blocks, commands, page

PAGE = page("docs/deployment.md")
HARMLESS = {"cd", "cp", "install", "python3", "/opt/parley/bin/pip"}
"""Of the shell, or tried with the steps of the image."""

TRIED = {"parley", "openssl", "caddy", "nginx", "tar", "turnserver"}
PARLEY_COMMANDS = {"serve", "doctor", "keys", "models"}


COMMANDS = [(command.variables, command.words) for command in commands(PAGE)]


def only(program: str, *beginning: str) -> tuple[dict[str, str], list[str]]:
    """The one command of the page that begins so."""
    (command,) = [one for one in COMMANDS if one[1][: 1 + len(beginning)] == [program, *beginning]]
    return command


def test_the_page_says_which_of_its_commands_were_not_run() -> None:
    last = PAGE.split("## What of this page was tried")[1]
    tried, _, untried = last.partition("Not executed:")
    assert set(re.findall(r"`([a-z]+)`", tried)) >= TRIED
    said = set(re.findall(r"`([a-z-]+)`", untried))
    used = {words[0] for _, words in COMMANDS}
    assert used - HARMLESS - TRIED <= said
    assert said <= used
    assert not said & TRIED


def test_every_file_and_setting_that_is_named_exists() -> None:
    for name in set(re.findall(r"\bdeploy/[A-Za-z.]+[a-z]", PAGE)) - {"deploy/.env"}:
        assert (DEPLOY.parent / name).exists(), name
    composed = (DEPLOY / "compose.yaml").read_text(encoding="utf-8") + (DEPLOY / "Caddyfile").read_text(
        encoding="utf-8"
    )
    for name in set(re.findall(r"\bPARLEY_[A-Z_]+[A-Z]\b", PAGE)):
        setting = name.removesuffix("_FILE") if name not in ("PARLEY_KEYS_FILE",) else name
        known = setting.removeprefix(PREFIX).lower() in SHORT_NAMES or setting in NOT_SETTINGS
        assert known or f"{name}" in composed, name
    for name in ("DOMAIN", "BIND", "MEDIA_BIND", "PUBLIC_ADDRESS", "EXTRAS"):
        assert "${" + name in composed


@pytest.mark.parametrize("text", blocks(PAGE, "toml"))
def test_its_settings_load(text: str, tmp_path: Path) -> None:
    path = tmp_path / "parley.toml"
    path.write_text(text, encoding="utf-8")
    config = load(path, {}, {"PARLEY_API_KEY": "key"})
    assert not config.warnings
    assert any(setting.source.startswith(str(path)) for setting in config.settings)


def test_the_unit_fragment_has_only_keys_of_a_service() -> None:
    (text,) = blocks(PAGE, "ini")
    assert text.startswith("[Service]\n")
    assert set(re.findall(r"^(\w+)=", text, re.MULTILINE)) == {"PrivateDevices", "DeviceAllow"}
    assert "PrivateDevices=yes" in (DEPLOY / "parley.service").read_text(encoding="utf-8")


def test_the_options_of_serve_and_doctor_exist(tmp_path: Path) -> None:
    asked = [(variables, words) for variables, words in COMMANDS if words[0] == "parley"]
    assert {words[1] for _, words in asked} <= PARLEY_COMMANDS
    for variables, words in asked:
        if words[1] in ("serve", "doctor"):
            flags = dict(zip(words[2::2], words[3::2], strict=True))
            given = {flag.removeprefix("--").replace("-", "_"): value for flag, value in flags.items()}
            assert load(None, given, {"PARLEY_API_KEY": "key", **variables}).server.host in ("127.0.0.1", "0.0.0.0")


def test_keys_are_made_as_it_says(tmp_path: Path) -> None:
    _, words = only("parley", "keys", "add")
    program = str(Path(sys.executable).with_name("parley"))
    environment = os.environ | {"PARLEY_KEYS_FILE": str(tmp_path / "keys.json")}
    made = subprocess.run([program, *words[1:]], env=environment, capture_output=True, text=True, check=True)
    assert made.stdout.startswith("sk-parley-")
    assert load(None, {"host": "0.0.0.0"}, {"PARLEY_KEYS_FILE": str(tmp_path / "keys.json")}).server.exposed


def test_its_own_certificate_is_one_that_the_server_takes(tmp_path: Path) -> None:
    _, words = only("openssl", "req")
    subprocess.run([needs("openssl", "openssl"), *words[1:]], cwd=tmp_path, capture_output=True, check=True)
    flags = {"tls_cert": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem")}
    environment = {f"PARLEY_{name.upper()}": value for name, value in flags.items()}
    assert tls_context(load(None, {}, environment).server) is not None


def test_caddy_takes_the_address_of_the_own_network(tmp_path: Path) -> None:
    variables, words = only("caddy", "run")
    environment = os.environ | variables | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    command = [needs("caddy", "caddy"), "validate", *words[2:]]
    done = subprocess.run(command, cwd=DEPLOY.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert only("caddy", "validate")[1][-2:] == words[-2:]


def test_the_backup_holds_keys_and_voices_and_no_models(tmp_path: Path) -> None:
    _, words = only("tar")
    for name in ("keys.json", "own-voices/voice_1.json", "models/whisper/model.bin", "speech-cache/a"):
        file = tmp_path / "lib/parley" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    subprocess.run([word.replace("/var/lib", str(tmp_path / "lib")) for word in words], cwd=tmp_path, check=True)
    with tarfile.open(tmp_path / "parley-backup.tgz") as archive:
        names = set(archive.getnames())
    assert {"parley/keys.json", "parley/own-voices/voice_1.json"} <= names
    assert not [name for name in names if "models" in name or "cache" in name]


def test_the_address_of_the_examples_is_that_of_the_files() -> None:
    assert f"https://{NAME}" in PAGE
    for name in ("Caddyfile", "nginx.conf"):
        assert NAME in (DEPLOY / name).read_text(encoding="utf-8")
