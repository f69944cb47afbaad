"""What a session is asked to be, and what each request of it says."""

from __future__ import annotations

import pytest

from parley.core.words.items import ItemReference
from parley.interpret.ports import RouteWishes
from parley.interpret.routes.sentences import SpokenSentence
from parley.interpret.routes.translating_session import MAX_CONTEXT, ConversationOptions, TranslatingSession
from tests.interpret.realtime_double import HEARD, SAID
from tests.interpret.rules_table import RulesTable


def session(source: str = "es", voice: str = "", context: int = 0) -> TranslatingSession:
    return TranslatingSession(ConversationOptions(context=context), RouteWishes(source, "en", voice))


def instructions(asked: TranslatingSession, *, strict: bool = False) -> str:
    return asked.response([], strict=strict, metadata=("1", "1"), out_of_band=False).instructions or ""


@pytest.mark.parametrize("context", [-1, MAX_CONTEXT + 1])
def test_a_context_out_of_range_is_refused(context: int) -> None:
    with pytest.raises(ValueError, match=f"context is {context}; it is 0 to {MAX_CONTEXT}"):
        ConversationOptions(context=context)


@pytest.mark.parametrize(
    "opened",
    [
        {"audio": {"input": {"transcription": {"model": "whisper-of-the-server"}}}},
        {"input_audio_transcription": {"model": "whisper-of-the-server"}},
    ],
)
def test_the_server_transcribes_with_its_own_model_where_it_names_one(opened: dict[str, object]) -> None:
    transcription = session().opening(opened)["transcription"]
    assert transcription is not None
    assert transcription.model == "whisper-of-the-server"
    asked = session().opening({})["transcription"]
    assert asked is not None
    assert asked.model == ConversationOptions().transcription_model


def test_the_transcription_is_told_the_language_without_its_region() -> None:
    transcription = session("es-MX").opening({})["transcription"]
    assert transcription is not None
    assert transcription.language == "es"


def test_a_voice_is_asked_for_only_where_one_is_wished_for() -> None:
    assert session(voice="ash").opening({})["voice"] == "ash"
    assert "voice" not in session().opening({})


def test_another_voice_is_asked_for_in_this_session_and_in_the_next_opening() -> None:
    asked = session(voice="ash")
    assert asked.set_voice("coral") == {"kind": "realtime", "voice": "coral"}
    assert asked.opening({})["voice"] == "coral"


def test_a_request_out_of_band_names_its_sentences_in_order_and_one_in_band_names_none() -> None:
    sentences = [SpokenSentence(number, 500.0, 500.0, 1.0, "event", f"item_{number}") for number in (1, 2)]
    apart = session().response(sentences, strict=False, metadata=("1-2", "3"), out_of_band=True)
    assert not apart.in_conversation
    assert apart.input is not None
    assert [one.id for one in apart.input if isinstance(one, ItemReference)] == ["item_1", "item_2"]
    assert apart.metadata == (("sentence", "1-2"), ("attempt", "3"))
    within = session().response(sentences, strict=False, metadata=("1-2", "3"), out_of_band=False)
    assert within.in_conversation
    assert within.input is None
    assert within.metadata == apart.metadata


def test_only_a_strict_request_says_what_was_wrong() -> None:
    assert "was rejected" not in instructions(session())
    assert "was rejected" in instructions(session(), strict=True)


def test_the_last_sentences_stand_in_the_instructions_oldest_first_and_no_more_than_are_wished_for() -> None:
    asked = session(context=2)
    for number in (1, 2, 3):
        asked.translated(HEARD[number], SAID[number], "en")
    text = instructions(asked)
    assert SAID[1] not in text
    assert text.index(SAID[2]) < text.index(SAID[3])


def test_another_language_holds_at_once_and_earlier_sentences_are_forgotten() -> None:
    asked = session(context=2)
    asked.translated(HEARD[1], SAID[1], "en")
    changed = asked.set_target("de")
    assert changed == {"kind": "realtime", "instructions": instructions(asked)}
    assert "German" in instructions(asked)
    assert SAID[1] not in instructions(asked)


def test_a_translation_that_ends_after_the_change_of_the_language_is_no_example_for_the_new_one() -> None:
    table = RulesTable(options=ConversationOptions(context=2))
    table.said(1)
    table.begin_response()
    table.rules.set_target("de")
    table.settle()
    assert table.text == [SAID[1]]
    table.said(2)
    table.settle()
    assert "German" in table.server.instructions[1]
    assert SAID[1] not in table.server.instructions[1]
