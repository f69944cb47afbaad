"""The owner's phrases, by language."""

from __future__ import annotations

import pytest

from parley.core.words.filler_phrases import FillerPhrases, Fillers

ENGLISH = FillerPhrases("en-GB", ("One moment.",))
ANY = FillerPhrases("", ("Mm.",))
EMPTY = FillerPhrases("fr", ())


@pytest.mark.parametrize(
    ("language", "found"), [("en", ENGLISH), ("en-US", ENGLISH), ("", ANY), ("de", None), ("fr", None)]
)
def test_phrases_are_found_by_their_primary_language(language: str, found: FillerPhrases | None) -> None:
    assert Fillers((ENGLISH, ANY, EMPTY)).in_language(language) == found
