"""`parley keys`, as a person at a terminal and a program see it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from parley.cli.main import run
from parley.config import load
from parley.server.access.access import Access, Grant


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PARLEY_")]:
        monkeypatch.delenv(name)
    return tmp_path


def test_a_key_is_shown_once_and_opens_the_server(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "add", "website"]) == 0
    added = capsys.readouterr()
    key = added.out.strip()
    assert added.out == f"{key}\n"
    assert "not shown again" in added.err
    assert isinstance(Access(key_file=home / "parley" / "keys.json").grant(key, "session"), Grant)
    assert run(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert key not in listed
    assert "website" in listed
    assert "realtime,audio" in listed


def test_programs_get_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--scope", "admin", "--scope", "realtime", "--sessions", "2", "--minutes-per-day", "60"]
    assert run(["keys", "add", "website", *options, "--json"]) == 0
    added = json.loads(capsys.readouterr().out)
    key = added.pop("key")
    assert run(["keys", "list", "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out) == [added]
    assert (added["scopes"], added["sessions"], added["minutes_per_day"]) == (["realtime", "admin"], 2, 60)
    assert key not in out
    assert "sha256" not in out


def test_a_revoked_key_is_gone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["keys", "add", "website"])
    capsys.readouterr()
    assert run(["keys", "revoke", "website"]) == 0
    assert run(["keys", "list"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "parley keys add" in captured.err


def test_no_keys_are_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "a b"], "cannot name a key"),
        (["add"], "NAME"),
        (["add", "x", "--scope", "root"], "realtime"),
        (["add", "x", "--sessions", "0"], "1<=x"),
        (["revoke", "website"], "There is no key 'website'"),
        (["list", "--file", "broken.json"], "broken.json is damaged"),
        (["add", "x", "--file", "broken.json"], "broken.json is damaged"),
        (["add", "x", "--file", "/dev/null/keys.json"], "cannot be written"),
    ],
)
def test_an_impossible_request_exits_with_code_2(
    home: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "broken.json").write_text("{")
    assert run(["keys", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_the_file_is_the_one_that_the_server_reads(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "parley.toml").write_text('[server]\nhost = "0.0.0.0"\nkeys_file = "from_file.json"\n')
    assert run(["keys", "add", "one"]) == 0
    assert (home / "from_file.json").exists(), (
        "a server that cannot start without a key must not keep one from being made"
    )
    monkeypatch.setenv("PARLEY_KEYS_FILE", "from_environment.json")
    assert run(["keys", "add", "one"]) == 0
    assert run(["keys", "add", "one", "--file", "from_flag.json"]) == 0
    assert (home / "from_environment.json").exists()
    assert (home / "from_flag.json").exists()
    assert run(["config"]) == 0


def test_doctor_counts_the_keys_and_names_a_broken_file(home: Path) -> None:
    from parley.cli.checks import check_keys, check_tls

    found = check_keys(load(None, {}, os.environ))
    assert found.ok
    assert "not needed" in found.seen
    run(["keys", "add", "website"])
    assert check_keys(load(None, {}, os.environ)).seen == "1 set"
    run(["keys", "revoke", "website"])
    assert not check_keys(load(None, {}, os.environ)).ok
    (home / "parley" / "keys.json").write_text("{")
    broken = check_keys(load(None, {}, os.environ))
    assert not broken.ok
    assert "keys.json is damaged" in broken.seen
    assert check_tls(load(None, {}, os.environ)) is None
    missing = check_tls(load(None, {}, {"PARLEY_TLS_CERT": "absent.pem", "PARLEY_TLS_KEY": "absent.key"}))
    assert missing is not None
    assert "absent.pem cannot be read" in missing.seen


def test_doctor_warns_of_a_certificate_that_has_expired(tmp_path: Path) -> None:
    from parley.cli.checks import check_tls
    from tests.server.certificates import certificate

    files = certificate(tmp_path, days=0)
    found = check_tls(load(None, {}, {"PARLEY_TLS_CERT": str(files.cert), "PARLEY_TLS_KEY": str(files.key)}))
    assert found is not None
    assert not found.ok
    assert not found.required
    assert "server.crt expired on" in found.seen
