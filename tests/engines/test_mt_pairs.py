"""Which of an engine's pairs serves what a request asks for."""

from __future__ import annotations

import pytest

from parley.engines.mt.language_codes import short_tag, tags_of_tokens
from parley.engines.mt.pairs import find_pair, languages, refused, tag

PAIRS = (("en", "es"), ("es", "en"), ("es", "en-US"), ("es", "pt"), ("es", "pt-BR"), ("pt", "es"))


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("es", "en", ("es", "en")),
        ("es-MX", "en-GB", ("es", "en")),
        ("es", "en-US", ("es", "en-US")),
        ("ES", "pt_br", ("es", "pt-BR")),
        ("en", "pt", None),
        ("en", "en", None),
        ("en", "", None),
        ("", "es", ("en", "es")),
        ("", "pt", ("es", "pt")),
        ("", "pt-BR", ("es", "pt-BR")),
        ("", "fr", None),
    ],
)
def test_a_pair_is_found_by_its_tags_then_by_its_languages(
    source: str, target: str, expected: tuple[str, str] | None
) -> None:
    assert find_pair(PAIRS, source, target) == expected


def test_an_unknown_source_among_several_without_english_is_denied() -> None:
    assert find_pair((("de", "fr"), ("es", "fr")), "", "fr") is None


def test_a_region_is_used_where_nothing_else_is_there() -> None:
    assert find_pair((("es", "pt-BR"),), "es-AR", "pt-PT") == ("es", "pt-BR")


@pytest.mark.parametrize(
    ("written", "expected"), [("PT_br", "pt-BR"), ("zh-hant", "zh-Hant"), (" en ", "en"), ("X-None", "x-none")]
)
def test_tags_are_written_in_one_way(written: str, expected: str) -> None:
    assert tag(written) == expected


def test_a_refusal_lists_what_is_translated() -> None:
    error = refused("apertium", "", "fr", PAIRS)
    assert (error.code, "unknown language" in error.message, "es to pt-BR" in error.remedy) == (
        "unsupported_language",
        True,
        True,
    )
    assert languages(PAIRS) == ("en", "es", "pt")


def test_three_letter_codes_and_the_tokens_of_models_are_tags() -> None:
    assert [short_tag(code) for code in ("eng", "spa", "ast", "hbs", "pes")] == ["en", "es", "ast", "sh", "fa"]
    assert tags_of_tokens(["▁the", "eng_Latn", "zho_Hant", "zho_Hans", "__de__", "<s>"]) == {
        "en": "eng_Latn", "zh-Hant": "zho_Hant", "zh": "zho_Hans", "de": "__de__",
    }  # fmt: skip
