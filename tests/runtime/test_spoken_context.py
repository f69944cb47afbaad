"""The conversation as a synthesizer gets it: lasting ids, cut clauses, and whole sessions in which each reply knows what was heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from parley.audio.g711 import encode_alaw, encode_mulaw
from parley.audio.types import Codes, Int16
from parley.core.words.effects import StartGeneration
from parley.core.words.events import ClauseStarted
from parley.core.words.ids import AttemptId
from parley.core.words.settings import AudioFormat
from parley.core.words.work import HeardTurn, Utterance
from parley.engines.ports import TTS, EngineInfo, EngineSet, SpeechRequest
from parley.runtime.generation.attempts import Generations
from parley.runtime.generation.spoken_context import TRAILING_S, SpokenContext
from parley.testing.fakes import FakeSynthesizer
from tests.runtime.rig import settled

SECOND = 48_000
"""Bytes of PCM."""


def sound(number: int, seconds: float = 1.0) -> bytes:
    return np.random.default_rng(number).integers(-8000, 8000, round(24_000 * seconds)).astype("<i2").tobytes()


def user(id: str, audio: bytes, text: str = "hello") -> HeardTurn:
    return HeardTurn(id, "user", text, audio, AudioFormat.PCM16)


def clause(id: str, audio: bytes, text: str = "Hi.") -> HeardTurn:
    return HeardTurn(id, "assistant", text, audio, AudioFormat.PCM16)


def test_a_turn_is_converted_once_and_keeps_its_id_and_its_sound() -> None:
    context = SpokenContext()
    (first,) = context.turns([user("item_1/0", sound(1))])
    again, reply = context.turns([user("item_1/0", sound(1)), clause("1/1", sound(2))])
    assert again.audio is first.audio
    assert not again.audio.flags.writeable
    assert (again.id, again.sample_rate, len(again.audio)) == ("item_1/0", 24_000, 24_000)
    assert reply.audio == pytest.approx(np.frombuffer(sound(2), "<i2") / 32768, abs=1e-4)


def test_the_silence_that_ended_a_turn_does_not_make_it_another() -> None:
    context = SpokenContext()
    (guessed,) = context.turns([user("item_1/0", sound(1), "what time")])
    (turn,) = context.turns([user("item_2/0", sound(1) + bytes(SECOND // 2), "What time is it?")])
    assert (turn.id, turn.text) == ("item_1/0", "What time is it?")
    assert turn.audio is guessed.audio


def test_a_turn_that_went_on_after_a_pause_is_another() -> None:
    context = SpokenContext()
    context.turns([user("item_1/0", sound(1))])
    longer = sound(1) + sound(2, TRAILING_S + 0.1)
    (turn,) = context.turns([user("item_2/0", longer)])
    assert turn.id == "item_2/0"
    assert len(turn.audio) == len(longer) // 2


def test_a_clause_that_was_cut_is_the_beginning_of_itself() -> None:
    context = SpokenContext()
    (whole,) = context.turns([clause("1/1", sound(2), "Hi there.")])
    (cut,) = context.turns([clause("1/1", sound(2)[: SECOND // 2], "Hi")])
    assert (cut.id, cut.text, len(cut.audio)) == ("1/1", "Hi", 12_000)
    assert np.shares_memory(cut.audio, whole.audio)


def test_what_is_no_longer_in_the_context_is_forgotten() -> None:
    context = SpokenContext()
    context.turns([user("item_1/0", sound(1)), clause("1/1", sound(2))])
    context.turns([clause("1/1", sound(2))])
    assert set(context._turns) == {"1/1"}


@pytest.mark.parametrize(
    ("form", "encode"), [(AudioFormat.PCMU, encode_mulaw), (AudioFormat.PCMA, encode_alaw)], ids=["pcmu", "pcma"]
)
def test_telephone_sound_is_given_at_its_rate(form: AudioFormat, encode: Callable[[Int16], Codes]) -> None:
    tone = (8000 * np.sin(np.arange(4_000) / 5)).astype(np.int16)
    (turn,) = SpokenContext().turns([HeardTurn("a", "user", "", encode(tone).tobytes(), form)])
    assert turn.sample_rate == 8_000
    assert np.max(np.abs(turn.audio - tone / 32768)) < 0.02


class Conversational(FakeSynthesizer):
    @property
    def info(self) -> EngineInfo:
        return replace(super().info, conversational=True)


async def spoken(synthesizer: FakeSynthesizer, text: str, heard: tuple[HeardTurn, ...]) -> list[SpeechRequest]:
    events: list[object] = []
    generations = Generations(EngineSet({TTS: synthesizer}), events.append)
    attempt = AttemptId(7)
    generations.start(
        StartGeneration(attempt, Utterance(text), "audio", "alloy", 1.0, AudioFormat.PCM16, "en", heard=heard)
    )
    await settled(lambda: not generations.tasks())
    names = [event.id for event in events if isinstance(event, ClauseStarted)]
    assert names == [request.id for request in synthesizer.requests]
    return synthesizer.requests


async def test_each_clause_is_given_what_was_heard_and_the_clauses_before_it() -> None:
    first, second = await spoken(
        Conversational(), "Good morning to you all. The news are short today.", (user("item_1/0", sound(1)),)
    )
    assert [turn.id for turn in first.context] == ["item_1/0"]
    assert [turn.id for turn in second.context] == ["item_1/0", first.id]
    said = second.context[-1]
    assert (said.speaker, said.text.strip(), said.sample_rate) == ("assistant", first.text, 24_000)
    assert len(said.audio) == 5 * 2_400, "five words of a tenth of a second"


async def test_a_synthesizer_that_does_not_ask_for_it_is_given_no_conversation() -> None:
    first, _ = await spoken(FakeSynthesizer(), "Good morning to you all. The news are short today.", ())
    assert (first.id, first.context) == ("", ())
