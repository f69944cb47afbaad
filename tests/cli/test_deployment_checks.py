"""`parley doctor` says who reaches the server, and whether a browser on another machine gives it the microphone."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley.cli.deployment_checks import check_microphone, check_reach
from parley.config import Config, load

KEY = {"PARLEY_API_KEY": "key"}
PUBLIC = {"PARLEY_PUBLIC_URL": "https://voice.example.com"}


def config(environment: dict[str, str]) -> Config:
    return load(None, {}, environment)


@pytest.mark.parametrize(
    ("environment", "seen"),
    [
        ({}, "this machine only, at 127.0.0.1:8765, without a key"),
        (KEY, "this machine only, at 127.0.0.1:8765, with a key"),
        (KEY | {"PARLEY_HOST": "::"}, "other machines, at [::]:8765, with a key"),
        (PUBLIC | KEY, "other machines, at 127.0.0.1:8765, with a key"),
        (PUBLIC | {"PARLEY_INSECURE": "true"}, "other machines, at 127.0.0.1:8765, without a key"),
    ],
)
def test_it_says_who_reaches_the_server_and_whether_with_a_key(environment: dict[str, str], seen: str) -> None:
    assert next(check_reach(config(environment))).seen == seen


LAN = {"PARLEY_HOST": "192.0.2.7"}


@pytest.mark.parametrize(
    ("environment", "pages"),
    [
        ({}, {}),
        (LAN | KEY, {"page at http://192.0.2.7:8765": True}),
        (LAN | {"PARLEY_INSECURE": "true"}, {"page at http://192.0.2.7:8765": True}),
        (
            LAN | {"PARLEY_INSECURE": "true", "PARLEY_PUBLIC_URL": "http://192.0.2.7:8765"},
            {"page at http://192.0.2.7:8765": True},
        ),
        (LAN | PUBLIC | KEY, {"page at https://voice.example.com": True, "page at http://192.0.2.7:8765": True}),
    ],
)
def test_it_says_at_which_addresses_the_page_is_admitted(environment: dict[str, str], pages: dict[str, bool]) -> None:
    _, *found = check_reach(config(environment))
    assert {check.name: check.ok for check in found} == pages
    for check in found:
        assert check.ok or "PARLEY_PUBLIC_URL=http://192.0.2.7:8765" in check.remedy
        assert check.ok or "To let browsers in, make a key" in check.remedy


def test_it_says_that_browsers_elsewhere_give_no_microphone_without_https(tmp_path: Path) -> None:
    assert check_microphone(config({})) is None
    bare = check_microphone(config(KEY | {"PARLEY_HOST": "0.0.0.0"}))
    assert bare is not None
    assert (bare.ok, bare.required) == (False, False)
    assert "server.public_url" in bare.remedy
    plain = check_microphone(config(KEY | {"PARLEY_PUBLIC_URL": "http://voice.example.com"}))
    assert plain is not None
    assert not plain.ok
    tls = {"PARLEY_HOST": "0.0.0.0", "PARLEY_TLS_CERT": str(tmp_path / "c"), "PARLEY_TLS_KEY": str(tmp_path / "k")}
    for encrypted in (KEY | PUBLIC, KEY | tls):
        found = check_microphone(config(encrypted))
        assert found is not None
        assert found.ok
