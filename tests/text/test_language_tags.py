"""The language of a tag, however it is written."""

from __future__ import annotations

import pytest

from parley.text.language_tags import primary_tag


@pytest.mark.parametrize(
    ("tag", "language"),
    [("en", "en"), ("en-US", "en"), ("EN_us", "en"), ("zh-Hant-TW", "zh"), ("", ""), (" pt-BR ", "pt")],
)
def test_a_language_is_the_same_in_every_region_and_spelling(tag: str, language: str) -> None:
    assert primary_tag(tag) == language
