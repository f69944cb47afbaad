"""A speculative attempt may start in a pause; a dropped one has no visible effect."""

from __future__ import annotations

import pytest

from parley.core.words.effects import FinishTranscription, FlushTranscription, StartGeneration
from parley.core.words.errors import Fault
from parley.core.words.events import (
    ClauseStarted,
    GenerationFailed,
    GenerationFinished,
    ItemCreateRequested,
    ItemDeleteRequested,
    ResponseRequested,
    SessionUpdateRequested,
    SpeechGenerated,
    ToolArgumentsGenerated,
    ToolCallStarted,
    Transcribed,
)
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import InputText, Message
from parley.core.words.notices import OutputAudioDelta, OutputItemAdded, ResponseCreated, TranscriptionCompleted
from parley.core.words.settings import OwnerSettings, SemanticVad, Settings, Transcription, Truncation
from tests.core.scene import SPECULATING, Scene, cancelled, kinds


def test_a_speculative_attempt_is_silent_until_the_turn_ends_and_is_then_sent_at_once() -> None:
    scene = Scene(owner=SPECULATING)
    scene.pauses("hello there")
    caused = scene.answers(("Hi!", 300), finish=False)
    assert caused == []
    ended = scene.hears(320, 0.0)
    assert "ResponseCreated" in kinds(ended)
    assert kinds(ended).index("InputCommitted") < kinds(ended).index("ResponseCreated")
    assert "OutputAudioDelta" in kinds(ended)
    assert not any(isinstance(effect, FinishTranscription | StartGeneration) for effect in ended)


def test_a_transcript_known_in_the_pause_is_sent_with_its_logprobs() -> None:
    scene = Scene(Settings(transcription=Transcription("whisper-1")), owner=SPECULATING)
    scene.hears(640, 0.9)
    scene.hears(256, 0.0)
    rows = '[{"token":"hello","logprob":-0.1,"bytes":[]}]'
    scene.happens(Transcribed(scene.turn(), "hello", flush=scene.flush(), logprobs=rows))
    scene.hears(320, 0.0)
    assert [(notice.transcript, notice.logprobs) for notice in scene.notices(TranscriptionCompleted)] == [
        ("hello", rows)
    ]


def test_speech_after_the_pause_drops_the_speculative_attempt_silently() -> None:
    scene = Scene(owner=SPECULATING)
    scene.pauses("hello there")
    attempt = scene.attempt()
    scene.answers(("Hi!", 300), finish=False)
    caused = scene.hears(32, 0.9)
    assert cancelled(caused) == [attempt]
    scene.happens(ClauseStarted(attempt, "late"))
    assert not scene.notices(ResponseCreated)
    assert not scene.notices(OutputItemAdded)
    assert not scene.notices(OutputAudioDelta)


def test_a_speculative_tool_call_is_neither_sent_nor_made_before_the_turn_ends() -> None:
    scene = Scene(owner=SPECULATING)
    scene.pauses("hello there")
    attempt = scene.attempt()
    assert (
        scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "pay"), ToolArgumentsGenerated(attempt, 0, "{}")) == []
    )
    assert scene.happens(GenerationFinished(attempt, "tool_calls")) == []
    assert "FunctionArgumentsDone" in kinds(scene.hears(320, 0.0))


@pytest.mark.parametrize("change", ["settings", "conversation"])
def test_a_speculative_attempt_with_an_outdated_basis_is_made_again(change: str) -> None:
    scene = Scene(owner=SPECULATING)
    scene.pauses("hello there")
    attempt = scene.attempt()
    if change == "settings":
        caused = scene.happens(SessionUpdateRequested({"instructions": "be brief"}))
    else:
        caused = scene.happens(ItemCreateRequested(Message(ItemId(""), "system", (InputText("be brief"),))))
    caused += scene.hears(320, 0.0)
    assert cancelled(caused) == [attempt]
    assert scene.attempt() != attempt
    assert len(scene.notices(ResponseCreated)) == 1


def test_a_failed_speculative_attempt_is_made_again_after_the_turn() -> None:
    scene = Scene(owner=SPECULATING)
    scene.pauses("hello there")
    attempt = scene.attempt()
    scene.happens(GenerationFailed(attempt, Fault("timeout", "late")))
    scene.hears(320, 0.0)
    assert scene.attempt() != attempt


def test_a_speculative_attempt_over_its_limit_is_dropped() -> None:
    scene = Scene(owner=SPECULATING)
    scene.pauses("hello there")
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "la"))
    caused = [effect for _ in range(6) for effect in scene.happens(SpeechGenerated(attempt, bytes(1024 * 1024)))]
    assert cancelled(caused) == [attempt]


def test_a_speculative_attempt_that_fails_at_its_limit_is_dropped() -> None:
    scene = Scene(owner=SPECULATING)
    scene.pauses("hello there")
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, "la"), SpeechGenerated(attempt, bytes(4 * 1024 * 1024 - 256)))
    scene.happens(GenerationFailed(attempt, Fault("timeout", "late")))
    scene.hears(320, 0.0)
    assert scene.attempt() != attempt


def test_without_speculation_no_transcript_is_requested_in_a_pause() -> None:
    scene = Scene()
    scene.hears(640, 0.9)
    caused = scene.hears(448, 0.0)
    assert not any(isinstance(effect, FlushTranscription | StartGeneration) for effect in caused)


def test_listening_noises_start_no_speculation() -> None:
    scene = Scene(owner=SPECULATING)
    scene.pauses("mm-hm")
    assert not any(isinstance(effect, StartGeneration) for effect in scene.effects)


def test_a_judged_turn_speculates_too() -> None:
    scene = Scene(Settings(turn_detection=SemanticVad("low")), SPECULATING)
    scene.hears(640, 0.9)
    scene.hears(128, 0.0)
    scene.happens(Transcribed(scene.turn(), "what is that", flush=scene.flush()))
    assert any(isinstance(effect, StartGeneration) for effect in scene.effects)


def test_items_left_out_by_a_released_attempt_stay_left_out() -> None:
    truncation = Truncation("retention_ratio", 0.5)
    scene = Scene(Settings(modality="text", truncation=truncation), OwnerSettings(speculation=True, context_tokens=400))
    for index in range(20):
        scene.happens(ItemCreateRequested(Message(ItemId(f"i{index}"), "user", (InputText("x" * 80),))))
    scene.pauses("hello there")
    first = scene.last(StartGeneration).prompt.items[0].id
    scene.hears(320, 0.0)
    scene.happens(GenerationFinished(scene.attempt()))
    assert len(scene.notices(ResponseCreated)) == 1
    scene.happens(ItemDeleteRequested(ItemId("i19")), ResponseRequested())
    assert scene.last(StartGeneration).prompt.items[0].id == first
