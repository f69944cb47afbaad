"""`[webrtc]`: what is taken, what is refused, and that the password of the TURN server is shown to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley.config import ConfigError, load
from parley.config.values import WebRtcConfig


def loaded(tmp_path: Path, text: str, **environ: str) -> WebRtcConfig:
    path = tmp_path / "parley.toml"
    path.write_text(text)
    return load(path, {}, environ).webrtc


def test_the_defaults() -> None:
    assert load(None, {}, {}).webrtc == WebRtcConfig(enabled=True, ice_servers=(), ports=None, announced_address="")


def test_every_setting_of_the_file(tmp_path: Path) -> None:
    text = """
[webrtc]
ice_servers = ["stun:stun.example.org:3478", "turn:turn.example.org:3478?transport=tcp"]
ice_username = "parley"
ice_credential = "long"
ports = "40000-40999"
announced_address = "203.0.113.7"
"""
    servers = ("stun:stun.example.org:3478", "turn:turn.example.org:3478?transport=tcp")
    assert loaded(tmp_path, text) == WebRtcConfig(True, servers, "parley", "long", (40_000, 40_999), "203.0.113.7")


def test_every_setting_of_the_environment(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        "",
        PARLEY_WEBRTC_CALLS="false",
        PARLEY_WEBRTC_ICE_SERVERS="stun:a:1, turns:b:2?transport=tcp",
        PARLEY_WEBRTC_ICE_USERNAME="me",
        PARLEY_WEBRTC_ICE_CREDENTIAL="secret",
        PARLEY_WEBRTC_PORTS="50000-50100",
        PARLEY_WEBRTC_ANNOUNCED_ADDRESS="[2001:db8::1]",
    )
    servers = ("stun:a:1", "turns:b:2?transport=tcp")
    assert found == WebRtcConfig(False, servers, "me", "secret", (50_000, 50_100), "2001:db8::1")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('ice_servers = ["http://turn.example"]', "an ICE server is"),
        ('ice_servers = ["stun:a:1?transport=udp"]', "a STUN server takes no"),
        ('ice_servers = ["stun:a:1", "stun:b:1"]', "one STUN server and one TURN server"),
        ('ice_servers = ["turn:a:1"]', "needs ice_username and ice_credential"),
        ('ports = "40000"', "a range of UDP ports is"),
        ('ports = "50000-40000"', "a range of UDP ports is"),
        ('ports = "40000-40003"', "a range of UDP ports is"),
        ('ports = "80-70000"', "a range of UDP ports is"),
        ('announced_address = "example.com"', "it must be an IP address"),
        ('calls = "maybe"', "webrtc.calls"),
        ('port = "40000-40999"', "Did you mean 'ports'"),
    ],
)
def test_what_is_wrong_is_refused_and_named(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        loaded(tmp_path, f"[webrtc]\n{line}\n")


def test_the_password_is_shown_to_nobody(tmp_path: Path) -> None:
    path = tmp_path / "parley.toml"
    path.write_text('[webrtc]\nice_credential = "hush-hush"\n')
    config = load(path, {}, {})
    assert "hush-hush" not in repr(config)
    shown = {setting.key: setting.value for setting in config.explain()}
    assert str(shown["webrtc.ice_credential"]).startswith("set (from ")
