"""The written form of a mix of voices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.text.voice_mix import FORM, MAX_VOICES, parse, written


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("af_bella", {"af_bella": 1.0}),
        ("af_bella(7)", {"af_bella": 1.0}),
        (FORM, {"af_bella": 2 / 3, "af_sky": 1 / 3}),
        ("a+b", {"a": 0.5, "b": 0.5}),
        ("a(0.5) + b(1.5)", {"a": 0.25, "b": 0.75}),
        ("a(1)+b(2)+a(1)", {"a": 0.5, "b": 0.5}),
        ("my-voice.2(3)+é", {"my-voice.2": 0.75, "é": 0.25}),
    ],
)
def test_shares_add_up_to_one(text: str, shares: dict[str, float]) -> None:
    assert parse(text) == pytest.approx(shares)
    assert parse(written(parse(text))) == pytest.approx(shares, abs=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "", "+", "a+", "+a", "a++b", "a(", "a()", "a(x)", "a(-1)", "a(0)", "a(101)", "a(1)(2)", "(2)", "a b", "a(1e3)", "a(nan)",
        "+".join("abcdefghijkl"[: MAX_VOICES + 1]), "a" * 65,
    ],
)  # fmt: skip
def test_what_is_no_mix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(text)


@given(st.text(max_size=200))
def test_any_text_is_a_mix_or_refused(text: str) -> None:
    try:
        shares = parse(text)
    except ValueError:
        return
    assert sum(shares.values()) == pytest.approx(1)
    assert all(share > 0 for share in shares.values())
