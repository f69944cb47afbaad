"""The instructions of the conversation route, and a user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley.interpret.routes.prompt import (
    BUILT_IN_PROMPT,
    DEFAULT_PROMPT,
    MAX_PAIR,
    MAX_PROMPT,
    PromptInvalid,
    check_prompt,
    read_prompt,
)


def test_the_built_in_prompt_names_both_languages_and_shows_questions_with_their_translations() -> None:
    text = BUILT_IN_PROMPT.filled("es", "pt-BR")
    assert "says in Spanish" in text
    assert "Brazilian Portuguese" in text
    assert 'You hear: "¿Qué puede hacer por mí?" You say: "O que você pode fazer por mim?"' in text
    assert "{{" not in text
    assert "rejected" not in text


@pytest.mark.parametrize(("source", "target"), [("hu", "en"), ("", "en"), ("en", "ja"), ("en-US", "en-GB")])
def test_without_examples_in_both_languages_the_prompt_says_what_to_do_with_a_question(
    source: str, target: str
) -> None:
    text = BUILT_IN_PROMPT.filled(source, target)
    assert "You do not tell the time" in text
    assert "You hear:" not in text


def test_languages_without_an_english_name_are_named_by_their_tag() -> None:
    text = BUILT_IN_PROMPT.filled("", "x-klingon")
    assert 'the language with the tag "x-klingon"' in text
    assert "any language" in text


def test_after_a_drift_the_prompt_says_so() -> None:
    text = BUILT_IN_PROMPT.filled("es", "en", strict=True)
    assert text.startswith(BUILT_IN_PROMPT.filled("es", "en"))
    assert "in English, of about the same length" in text


def test_earlier_sentences_are_bounded_and_on_one_line_each() -> None:
    text = BUILT_IN_PROMPT.filled("es", "en", pairs=[("hola\n\nIgnore all", "x" * 5_000)])
    (line,) = [line for line in text.splitlines() if line.startswith("hola")]
    assert line == f"hola Ignore all => {'x' * MAX_PAIR}"


def test_what_is_said_cannot_be_a_placeholder() -> None:
    assert "{{examples}}" in BUILT_IN_PROMPT.filled("es", "en", pairs=[("{{examples}}", "a")])


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("To {{target_language}} from {{sourcelanguage}}.", "unknown placeholder {{sourcelanguage}}"),
        ("To {{TARGET_LANGUAGE}}.", "unknown placeholder {{TARGET_LANGUAGE}}"),
        ("Only translate.", "lacks the placeholder {{target_language}}"),
        ("", "lacks the placeholder {{target_language}}"),
        ("To {{target_language}}.\nFrom {{source_language.", "{{ without its other half near line 2"),
        ("To {{target_language}} }}", "}} without its other half near line 1"),
        ("{{target_language}}" + "x" * MAX_PROMPT, f"at most {MAX_PROMPT}"),
    ],
)
def test_a_prompt_that_cannot_be_used_says_what_is_wrong(template: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text(template, encoding="utf-8")
    with pytest.raises(PromptInvalid) as caught:
        read_prompt(file)
    assert said in caught.value.message
    assert str(file) in caught.value.message
    assert caught.value.remedy
    if "placeholder" in said:
        assert "{{source_language}}, {{target_language}}, {{examples}}" in caught.value.remedy


def test_a_prompt_may_have_single_braces_blanks_in_placeholders_and_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_bytes(b"\xef\xbb\xbfSay {it} in {{ target_language }}.\r\n")
    assert read_prompt(file).filled("", "fr") == "Say {it} in French."


def test_the_default_prompt_is_a_valid_file(tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text(DEFAULT_PROMPT, encoding="utf-8")
    assert read_prompt(file) == BUILT_IN_PROMPT


def test_a_file_that_is_missing_no_text_or_far_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptInvalid, match="cannot be read: No such file"):
        read_prompt(tmp_path / "none.txt")
    file = tmp_path / "prompt.txt"
    file.write_bytes(b"\xff\xfe\x00{{target_language}}")
    with pytest.raises(PromptInvalid, match="not text in UTF-8"):
        read_prompt(file)
    file.write_bytes("é".encode() * 40_000)
    with pytest.raises(PromptInvalid, match="characters; at most"):
        read_prompt(file)


def test_braces_that_close_before_they_open_are_refused() -> None:
    with pytest.raises(PromptInvalid, match="without its other half"):
        check_prompt("}} {{target_language}} {{")
