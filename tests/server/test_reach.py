"""Where other machines reach the server, and whether browsers there are admitted."""

from __future__ import annotations

from typing import Any

import pytest

from parley.server.app import access_of, origins_of
from parley.server.reach import Place, own_url, places
from tests.server.harness import configured


def reached(**fields: Any) -> list[Place]:
    server = configured(**fields).server
    return places(server, origins_of(server, access_of(server)), 8765)


def test_a_server_for_this_machine_alone_is_reached_by_no_other() -> None:
    assert reached() == []
    assert reached(host="::1") == []


@pytest.mark.parametrize(
    ("fields", "urls"),
    [
        ({"host": "192.0.2.7"}, ["http://192.0.2.7:8765"]),
        ({"host": "2001:db8::7"}, ["http://[2001:db8::7]:8765"]),
        ({"public_url": "https://voice.example.com"}, ["https://voice.example.com"]),
        (
            {"public_url": "https://voice.example.com", "host": "192.0.2.7"},
            ["https://voice.example.com", "http://192.0.2.7:8765"],
        ),
    ],
)
def test_the_addresses_are_the_public_one_and_those_that_the_server_listens_on(
    fields: dict[str, Any], urls: list[str]
) -> None:
    found = reached(**fields, api_keys=("k",))
    assert [place.url for place in found] == urls
    assert all(place.admitted for place in found)
    assert [place.microphone for place in found] == [url.startswith("https") for url in urls]


def test_all_addresses_are_those_of_this_machine_on_its_networks() -> None:
    for place in reached(host="0.0.0.0", api_keys=("k",)):
        assert place.admitted
        assert not place.url.startswith(("http://0.", "http://127.", "http://169.254."))


def test_a_page_is_taken_at_an_ip_address_and_refused_where_the_name_is_not_allowed() -> None:
    (place,) = reached(host="192.0.2.7", insecure=True)
    assert place.admitted, "no foreign page can have an IP address"
    for place in reached(host="0.0.0.0", api_keys=("k",), allowed_hosts=("voice.example.com",)):
        assert "server.allowed_hosts" in place.refusal


def test_the_own_address_is_one_that_a_browser_on_this_machine_opens() -> None:
    assert own_url(configured(host="0.0.0.0").server, 80) == "http://127.0.0.1:80"
    assert own_url(configured(host="::1").server, 80) == "http://[::1]:80"
