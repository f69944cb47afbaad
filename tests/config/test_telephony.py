"""`[telephony]`: what it gives, and what is refused with its place and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley.config import ConfigError, load

CALL = "40325ec2-5efd-4bd3-805f-53576e581d13"


def test_no_telephone_is_served_until_it_is_asked_for() -> None:
    telephony = load(None, {}, {}).telephony
    assert telephony.audiosocket is None
    assert not telephony.twilio_auth_token


def test_every_setting_comes_from_the_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "parley.toml"
    file.write_text(
        f"""
[telephony]
public_url = "https://voice.example.com"
audiosocket = "[::1]:9092"
audiosocket_uuids = ["{CALL.upper()}"]
key_name = "phone"
pipeline = "bench"
speaks_first = "caller"
keypad = "event"
keypad_pause_ms = 500
""",
        encoding="utf-8",
    )
    config = load(file, {}, {"PARLEY_TELEPHONY_TWILIO_AUTH_TOKEN": "secret-token"})
    telephony = config.telephony
    assert telephony.audiosocket == ("::1", 9092)
    assert telephony.audiosocket_uuids == (CALL,)
    assert (telephony.pipeline, telephony.speaks_first, telephony.keypad) == ("bench", "caller", "event")
    assert telephony.twilio_auth_token == "secret-token"
    assert "secret-token" not in repr(config)
    assert "secret-token" not in str(config.explain())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('audiosocket = "0.0.0.0:9092"', "audiosocket_uuids"),
        ('audiosocket = "9092"', "127.0.0.1:9092"),
        ('audiosocket = "127.0.0.1:x"', "not an address and a port"),
        ('audiosocket = "127.0.0.1:99999"', "not an address and a port"),
        ('audiosocket_uuids = ["call-1"]', "uuidgen"),
        ('public_url = "voice.example.com"', "public_url"),
        ('public_url = "https://voice.example.com/path"', "public_url"),
        ('twilio_auth_token = "two words"', "twilio_auth_token"),
        ('pipeline = "phnoe"', "no pipeline 'phnoe'"),
        ('speaks_first = "nobody"', "speaks_first"),
        ("keypad_pause_ms = 1", "keypad_pause_ms"),
        ("dtmf = true", "dtmf"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "parley.toml"
    file.write_text(f"[telephony]\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load(file, {}, {})
    assert said in str(refused.value)
    assert f"{file}:2" in str(refused.value)


def test_an_address_that_others_reach_is_taken_with_uuids_or_without_security(tmp_path: Path) -> None:
    environ = {"PARLEY_TELEPHONY_AUDIOSOCKET": "0.0.0.0:9092"}
    assert load(None, {}, environ | {"PARLEY_TELEPHONY_AUDIOSOCKET_UUIDS": CALL}).telephony.audiosocket
    assert load(None, {"insecure": True}, environ).telephony.audiosocket
