"""The contract of speech recognisers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from parley.engines.ports import (
    STT,
    EngineError,
    Partial,
    RecognitionSpec,
    RecognizerStream,
    Samples,
    SpeechRecognizer,
    Transcript,
)
from parley.testing.contracts.base import EngineContract, Subject, assert_refused, refusal
from parley.testing.contracts.material import SENTENCES, noise, odd_audio, silence, speech
from parley.testing.contracts.watching import assert_given_back, settled_holdings, unblocked

FEED = 320
NO_LANGUAGE = "x-none"
SPOKEN = 4
"""Different utterances: short ones, for recognisers that take as long as the speech."""


@dataclass
class PartialLog:
    """Keeps the partials of one stream."""

    partials: list[Partial] = field(default_factory=list)

    def __call__(self, partial: Partial) -> None:
        self.partials.append(partial)

    def check(self, final: Transcript) -> None:
        """Assert the law of `Partial.stable`: it only grows, and every later final begins with it."""
        promised = ""
        for partial in self.partials:
            assert isinstance(partial.text, str)
            assert partial.stable.startswith(promised), f"{partial.stable!r} takes {promised!r} back"
            assert partial.text.startswith(partial.stable), "the stable part is the beginning of the text"
            assert partial.end_of_turn is None or 0 <= partial.end_of_turn <= 1
            promised = partial.stable
        assert final.text.startswith(promised), f"the final {final.text!r} takes {promised!r} back"


def feed(stream: RecognizerStream, audio: Samples, size: int = FEED) -> None:
    for start in range(0, len(audio), size):
        stream.feed(audio[start : start + size])


class RecognizerContract(EngineContract[SpeechRecognizer, Transcript]):
    """For a `SpeechRecognizer`."""

    stage = STT
    audio = True
    inputs = SPOKEN

    def utterance(self, engine: SpeechRecognizer, number: int) -> Samples:
        return speech(SENTENCES[(0, 8, 9, 14)[number % SPOKEN]], engine.info.sample_rate)

    def spec(self, engine: SpeechRecognizer, *, logprobs: bool = False, share: object = None) -> RecognitionSpec:
        known = engine.info.languages
        return RecognitionSpec("en" if not known or "en" in known else known[0], logprobs=logprobs, share=share)

    async def transcribe(
        self,
        engine: SpeechRecognizer,
        audio: Samples,
        listener: Callable[[Partial], None] | None = None,
        size: int = FEED,
    ) -> Transcript:
        stream = engine.open_stream(self.spec(engine, share=object()), listener or PartialLog())
        try:
            feed(stream, audio, size)
            return await stream.finish()
        finally:
            stream.close()

    async def answer(self, engine: SpeechRecognizer, number: int) -> Transcript:
        listener = PartialLog()
        final = await self.transcribe(engine, self.utterance(engine, number), listener)
        listener.check(final)
        return final

    def check(self, engine: SpeechRecognizer, answer: Transcript) -> None:
        assert isinstance(answer, Transcript)
        assert isinstance(answer.text, str)
        assert answer.text == answer.text.strip()
        for probability in (answer.confidence, answer.language_confidence):
            assert probability is None or 0 <= probability <= 1
        if engine.info.languages and answer.language:
            assert answer.language.partition("-")[0] in engine.info.languages, (
                "it hears a language that it does not declare"
            )
            asked = self.spec(engine).language
            assert answer.language.partition("-")[0] == asked.partition("-")[0], f"it was asked for {asked!r}"
        times = [time for word in answer.words for time in (word.start_ms, word.end_ms)]
        assert times == sorted(times), "words overlap, or stand in another order"
        assert all(time >= 0 for time in times)

    def same(self, one: Transcript, other: Transcript) -> bool:
        return one.text == other.text

    # --- what is heard ---

    def test_speech_has_a_text_and_words_within_its_time(self, subject: Subject[SpeechRecognizer]) -> None:
        engine = subject.engine
        for number in range(SPOKEN):
            final = subject.run(self.answer(engine, number))
            self.check(engine, final)
            assert final.text, "speech has words"
            assert final.words or not engine.info.timings, "it declares times of words, and gives none"
            length_ms = 1_000 * len(self.utterance(engine, number)) / engine.info.sample_rate
            assert all(word.end_ms <= length_ms + 1_000 for word in final.words), "a word lies behind the audio"

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [160, 1_777, 10_000_000])
    def test_the_final_does_not_depend_on_the_pieces_that_are_fed(
        self, subject: Subject[SpeechRecognizer], size: int
    ) -> None:
        engine, audio = subject.engine, self.utterance(subject.engine, 1)
        final = subject.run(self.transcribe(engine, audio, size=size))
        self.check(engine, final)
        if engine.info.deterministic:
            assert final.text == subject.run(self.transcribe(engine, audio)).text

    def test_a_turn_without_sound_has_no_words(self, subject: Subject[SpeechRecognizer]) -> None:
        for seconds in (0, 1):
            listener = PartialLog()
            final = subject.run(
                self.transcribe(subject.engine, silence(seconds, subject.engine.info.sample_rate), listener)
            )
            assert final.text == "", "silence was transcribed"
            listener.check(final)

    @pytest.mark.parametrize("kind", odd_audio(8_000))
    def test_what_is_no_speech_does_no_harm(self, subject: Subject[SpeechRecognizer], kind: str) -> None:
        engine, listener = subject.engine, PartialLog()
        final = subject.run(self.transcribe(engine, odd_audio(engine.info.sample_rate)[kind], listener))
        self.check(engine, final)
        listener.check(final)

    @pytest.mark.slow
    def test_a_turn_without_pauses_is_transcribed_to_its_end_without_holding_the_event_loop(
        self, subject: Subject[SpeechRecognizer]
    ) -> None:
        engine, listener = subject.engine, PartialLog()
        rate = engine.info.sample_rate
        audio = np.tile(speech(SENTENCES[2].rstrip("."), rate)[: round(1.4 * rate)], 25)

        async def transcribe() -> Transcript:
            async with unblocked("35 s of speech"):
                return await self.transcribe(engine, audio, listener, rate // 10)

        final = subject.run(transcribe())
        self.check(engine, final)
        listener.check(final)
        assert final.text

    @pytest.mark.slow
    def test_promises_are_kept_over_pauses(self, subject: Subject[SpeechRecognizer]) -> None:
        engine, listener = subject.engine, PartialLog()
        rate = engine.info.sample_rate

        async def turn() -> None:
            stream = engine.open_stream(self.spec(engine), listener)
            feed(stream, self.utterance(engine, 0))
            first = await stream.flush()
            listener.check(first)
            feed(stream, silence(1, rate))
            feed(stream, self.utterance(engine, 1))
            second = await stream.flush()
            listener.check(second)
            feed(stream, silence(0.5, rate))
            final = await stream.finish()
            stream.close()
            listener.check(final)
            assert first.text, "speech has words"
            assert second.text != first.text, "what came after the first pause is missing"
            assert len(second.text) >= len(first.text), "the text of a pause lacks what came before it"
            if engine.info.deterministic:
                assert final.text == second.text, "nothing but silence came after the last pause"

        subject.run(turn())

    def test_partials_come_before_the_final_and_never_after_it(self, subject: Subject[SpeechRecognizer]) -> None:
        engine = subject.engine

        async def turns() -> None:
            for end in ("finish", "close"):
                listener = PartialLog()
                stream = engine.open_stream(self.spec(engine), listener)
                feed(stream, np.tile(self.utterance(engine, 1), 2))
                if end == "finish":
                    listener.check(await stream.finish())
                stream.close()
                count = len(listener.partials)
                await self.answer(engine, 0)
                assert len(listener.partials) == count, f"a partial came after {end}()"

        subject.run(turns())

    def test_logprobs_come_as_declared(self, subject: Subject[SpeechRecognizer]) -> None:
        engine = subject.engine

        async def score() -> Transcript:
            stream = engine.open_stream(self.spec(engine, logprobs=True), PartialLog())
            feed(stream, self.utterance(engine, 0))
            return await stream.finish()

        final = subject.run(score())
        assert bool(final.logprobs) == (engine.info.logprobs and bool(final.text))
        assert all(one.logprob <= 0 for one in final.logprobs)
        if final.logprobs:
            assert "".join(one.token for one in final.logprobs).replace(" ", "") == final.text.replace(" ", "")

    def test_temperatures_that_it_declares_are_taken(self, subject: Subject[SpeechRecognizer]) -> None:
        engine = subject.engine

        async def hear(temperature: float | None) -> Transcript:
            stream = engine.open_stream(replace(self.spec(engine), temperature=temperature), PartialLog())
            feed(stream, self.utterance(engine, 0))
            return await stream.finish()

        for temperature in (0.0, 1.0) if engine.info.temperature else (0.0,):
            self.check(engine, subject.run(hear(temperature)))
        if engine.info.deterministic:
            assert subject.run(hear(0.0)).text == subject.run(hear(None)).text

    # --- the end of a stream ---

    def test_closing_ends_a_flush_and_a_finish_that_wait(self, subject: Subject[SpeechRecognizer]) -> None:
        engine = subject.engine

        async def close() -> None:
            for wait in ("flush", "finish"):
                stream = engine.open_stream(self.spec(engine), PartialLog())
                feed(stream, np.tile(self.utterance(engine, 1), 3))
                pending = asyncio.create_task(getattr(stream, wait)())
                await asyncio.sleep(0)
                stream.close()
                stream.close()
                with contextlib.suppress(EngineError):
                    self.check(engine, await pending)  # it was ready already
            self.check(engine, await self.answer(engine, 0))

        subject.run(close())

    @pytest.mark.slow
    def test_a_turn_may_be_closed_at_any_moment(self, subject: Subject[SpeechRecognizer]) -> None:
        engine, audio = subject.engine, self.utterance(subject.engine, 1)

        async def close() -> None:
            bound = await settled_holdings()
            for fed in (0, 1, FEED, len(audio) // 2, len(audio)) * 4:
                stream = engine.open_stream(self.spec(engine), PartialLog())
                feed(stream, audio[:fed])
                stream.close()
                stream.close()
            await assert_given_back(bound, "20 turns that were closed")
            self.check(engine, await self.answer(engine, 0))

        subject.run(close())

    def test_a_cancelled_flush_leaves_the_turn_usable(self, subject: Subject[SpeechRecognizer]) -> None:
        engine = subject.engine

        async def cancel() -> None:
            stream = engine.open_stream(self.spec(engine), PartialLog())
            feed(stream, self.utterance(engine, 0))
            pending = asyncio.create_task(stream.flush())
            await asyncio.sleep(0)
            pending.cancel()
            await asyncio.wait([pending])
            final = await stream.finish()
            self.check(engine, final)
            assert final.text

        subject.run(cancel())

    def test_a_listener_that_raises_harms_no_other(self, subject: Subject[SpeechRecognizer]) -> None:
        engine = subject.engine

        def broken(partial: Partial) -> None:
            raise ZeroDivisionError

        async def raises() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: None)
            try:
                await self.transcribe(engine, np.tile(self.utterance(engine, 1), 2), broken)
                self.check(engine, await self.answer(engine, 0))
            finally:
                asyncio.get_running_loop().set_exception_handler(None)

        subject.run(raises())

    def test_audio_without_end_is_bounded_or_refused(self, subject: Subject[SpeechRecognizer]) -> None:
        """Twenty minutes at once, which nobody can work through in time: an `EngineError` with its remedy, or no memory kept."""
        engine = subject.engine

        async def flood() -> EngineError | None:
            stream = engine.open_stream(self.spec(engine), PartialLog())
            block = noise(60, engine.info.sample_rate)
            try:
                for _ in range(20):
                    stream.feed(block.copy())
            except EngineError as error:
                return error
            finally:
                stream.close()
            return None

        error = subject.run(flood())
        if error is not None:
            assert error.remedy, f"{error.message!r} has no remedy"
        self.check(engine, subject.run(self.answer(engine, 0)))

    def test_a_language_that_it_does_not_declare_is_refused_by_name(self, subject: Subject[SpeechRecognizer]) -> None:
        engine = subject.engine

        async def ask(spec: RecognitionSpec) -> None:
            stream = engine.open_stream(spec, PartialLog())
            try:
                await stream.finish()
            finally:
                stream.close()

        if engine.info.languages:
            for spec in (RecognitionSpec(NO_LANGUAGE), RecognitionSpec(languages=(NO_LANGUAGE,))):
                assert_refused(subject.run(refusal(ask(spec))), "unsupported_language")
