"""The QR code on the terminal holds the address, module by module."""

from __future__ import annotations

import pytest
import segno

from parley.server.address_code import BORDER, address_code


@pytest.mark.parametrize(
    "url", ["http://192.0.2.7:8765", "https://voice.example.com", "https://" + "long." * 20 + "example.com"]
)
def test_two_rows_of_modules_are_one_line(url: str) -> None:
    lines = address_code(url).plain.split("\n")
    rows = [[mark in marks for mark in line] for line in lines for marks in ("▀█", "▄█")]
    code = segno.make(url, error="l", micro=False, boost_error=False)
    expected = [[bool(module) for module in row] for row in code.matrix_iter(border=BORDER)]
    assert rows[: len(expected)] == expected
    assert len(rows) - len(expected) in (0, 1)
    assert not any(any(row) for row in rows[len(expected) :])


def test_it_is_dark_on_light_whatever_the_colours_of_the_terminal_are() -> None:
    text = address_code("http://192.0.2.7:8765")
    styled = sum(span.end - span.start for span in text.spans)
    assert styled == len(text.plain.replace("\n", ""))
