"""The contract of speech-to-speech models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from parley.engines.ports import (
    SPEECH,
    ChatEnd,
    ChatMessage,
    DialogueEvent,
    DialogueRequest,
    Samples,
    SpeechModel,
    SpokenDelta,
    ToolCallDelta,
)
from parley.testing.contracts.base import Subject, assert_refused, refusal, served_or_refused
from parley.testing.contracts.material import SENTENCES, odd_audio, speech
from parley.testing.contracts.streamed import StreamedContract

UNKNOWN = "no such voice"
INSTRUCTIONS = ChatMessage("system", "Be brief.")


def joined(events: list[DialogueEvent]) -> Samples:
    return np.concatenate([np.zeros(0, np.float32), *(one.audio for one in events if isinstance(one, SpokenDelta))])


class SpeechModelContract(StreamedContract[SpeechModel, DialogueEvent]):
    """For a `SpeechModel`."""

    stage = SPEECH
    audio = True

    def request(self, engine: SpeechModel, number: int) -> DialogueRequest:
        said = speech(SENTENCES[number], engine.info.sample_rate)
        return DialogueRequest(said, (INSTRUCTIONS, ChatMessage("user", SENTENCES[number])), share=number)

    def begin(self, engine: SpeechModel, number: int, times: int = 1) -> AsyncIterator[DialogueEvent]:
        request = self.request(engine, number)
        longer = ChatMessage("user", " ".join([SENTENCES[number]] * times))
        return engine.reply(replace(request, messages=(INSTRUCTIONS, longer)))

    def check(self, engine: SpeechModel, answer: list[DialogueEvent]) -> None:
        assert all(isinstance(event, SpokenDelta | ToolCallDelta | ChatEnd) for event in answer)
        assert sum(isinstance(event, ChatEnd) for event in answer) == 1, "an answer ends once"
        assert isinstance(answer[-1], ChatEnd), "nothing comes after the end"
        pieces = [event for event in answer if isinstance(event, SpokenDelta)]
        assert len({piece.sample_rate for piece in pieces}) == 1, "one answer has one rate"
        for piece in pieces:
            assert piece.audio.dtype == np.float32, f"audio is float32, not {piece.audio.dtype}"
            assert piece.audio.ndim == 1
            assert np.isfinite(piece.audio).all(), "audio holds NaN or infinite values"
            assert np.abs(piece.audio).max(initial=0) <= 1.0, "audio goes over 1.0"
        assert np.sqrt(np.mean(joined(answer) ** 2)) > 1e-4, "an answer is heard"
        assert "".join(piece.text for piece in pieces).strip(), "an answer is shown"
        words = [word for piece in pieces for word in piece.words]
        times = [time for word in words for time in (word.start_ms, word.end_ms)]
        length_ms = 1_000 * len(joined(answer)) / pieces[0].sample_rate
        assert times == sorted(times), "words overlap, or stand in another order"
        assert all(0 <= time <= length_ms + 1 for time in times), "a word lies outside of the audio"

    def same(self, one: list[DialogueEvent], other: list[DialogueEvent]) -> bool:
        mine, theirs = joined(one), joined(other)
        return len(mine) == len(theirs) and bool(np.abs(mine - theirs).max(initial=0) < 1e-4)

    async def ask(self, engine: SpeechModel, request: DialogueRequest) -> list[DialogueEvent]:
        return [event async for event in engine.reply(request)]

    def test_an_answer_is_audio_with_its_words_and_one_end(self, subject: Subject[SpeechModel]) -> None:
        engine = subject.engine
        for number in range(4):
            self.check(engine, subject.run(self.answer(engine, number)))

    def test_the_sound_of_the_user_matters(self, subject: Subject[SpeechModel]) -> None:
        engine, request = subject.engine, self.request(subject.engine, 1)
        loud, quiet = (
            subject.run(self.ask(engine, replace(request, audio=audio)))
            for audio in (request.audio, request.audio * np.float32(0.125))
        )
        other = subject.run(self.ask(engine, replace(request, audio=speech(SENTENCES[2], engine.info.sample_rate))))
        assert not (self.same(loud, quiet) and self.same(loud, other)), "it does not hear"

    def test_an_answer_without_audio_goes_by_the_messages(self, subject: Subject[SpeechModel]) -> None:
        request = DialogueRequest(np.zeros(0, np.float32), (ChatMessage("user", "Hello."),))
        self.check(subject.engine, subject.run(self.ask(subject.engine, request)))

    @pytest.mark.parametrize("kind", odd_audio(8_000))
    def test_odd_audio_is_answered_or_refused(self, subject: Subject[SpeechModel], kind: str) -> None:
        engine = subject.engine
        audio = odd_audio(engine.info.sample_rate)[kind]
        subject.run(served_or_refused(self.ask(engine, DialogueRequest(audio, (INSTRUCTIONS,)))))
        self.check(engine, subject.run(self.answer(engine, 0)))

    def test_voices_resolve_as_declared_and_others_are_refused(self, subject: Subject[SpeechModel]) -> None:
        engine, request = subject.engine, self.request(subject.engine, 0)
        assert engine.resolve_voice(""), "there is a usual voice"
        for voice in engine.info.voices:
            assert engine.resolve_voice(voice) == voice
        for voice in engine.info.voices[:2]:
            self.check(engine, subject.run(self.ask(engine, replace(request, voice=voice))))
        assert engine.resolve_voice(UNKNOWN) is None
        assert_refused(subject.run(refusal(self.ask(engine, replace(request, voice=UNKNOWN)))), "unknown_voice")
