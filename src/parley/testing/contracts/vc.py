"""The contract of voice converters."""

from __future__ import annotations

import numpy as np
import pytest

from parley.engines.ports import VC, ConversionSpec, EngineError, EngineRefused, Samples, VoiceConverter
from parley.testing.contracts.base import EngineContract, Subject, assert_refused
from parley.testing.contracts.material import SENTENCES, odd_audio, silence, speech

FEED_MS = 20
UNKNOWN = "no such voice"


class ConverterContract(EngineContract[VoiceConverter, Samples]):
    """For a `VoiceConverter`."""

    stage = VC
    audio = True

    def latency(self, engine: VoiceConverter) -> int:
        return round(engine.latency_ms * engine.info.sample_rate / 1_000)

    async def convert(
        self, engine: VoiceConverter, audio: Samples, size: int = 0, spec: ConversionSpec | None = None
    ) -> Samples:
        """What a stream makes of the audio, given in pieces of `size` samples (0: of 20 ms), each checked as it comes."""
        size = size or engine.info.sample_rate * FEED_MS // 1_000
        stream = engine.open_stream(spec or ConversionSpec(share=object()))
        latency, fed, parts = self.latency(engine), 0, [np.zeros(0, np.float32)]
        try:
            for at in range(0, len(audio), size):
                parts.append(await stream.convert(audio[at : at + size]))
                fed = min(at + size, len(audio))
                given = sum(map(len, parts))
                assert given <= fed, "it gives audio before its input was said"
                assert given >= fed - latency, f"it holds back {fed - given} samples, and declares {latency}"
            parts.append(await stream.finish())
        finally:
            stream.close()
        for part in parts:
            assert part.dtype == np.float32, f"audio is float32, not {part.dtype}"
            assert part.ndim == 1
        return np.concatenate(parts)

    async def answer(self, engine: VoiceConverter, number: int) -> Samples:
        audio = speech(SENTENCES[number], engine.info.sample_rate)[: engine.info.sample_rate]
        made = await self.convert(engine, audio)
        assert len(made) == len(audio), f"{len(audio)} samples become {len(made)}: the time line is lost"
        return made

    def check(self, engine: VoiceConverter, answer: Samples) -> None:
        assert np.isfinite(answer).all(), "audio holds NaN or infinite values"
        assert np.abs(answer).max(initial=0) <= 1.0, "audio goes over 1.0"
        assert np.sqrt(np.mean(answer**2)) > 1e-3, "a voice is heard"

    def same(self, one: Samples, other: Samples) -> bool:
        return len(one) == len(other) and bool(np.abs(one - other).max(initial=0) < 1e-4)

    def test_it_declares_a_delay(self, subject: Subject[VoiceConverter]) -> None:
        assert 0 <= subject.engine.latency_ms < 5_000
        assert 0 <= subject.engine.block_ms <= 1_000

    def test_context_is_heard_and_not_repeated(self, subject: Subject[VoiceConverter]) -> None:
        """What was said before helps an engine; it has no place in the output."""
        engine, rate = subject.engine, subject.engine.info.sample_rate
        audio = speech(SENTENCES[1], rate)[: rate // 2]
        for context in (speech(SENTENCES[0], rate), silence(0.01, rate), silence(30, rate)):
            made = subject.run(self.convert(engine, audio, spec=ConversionSpec(share=object(), context=context)))
            assert len(made) == len(audio)
            assert np.isfinite(made).all()

    @pytest.mark.parametrize("size", [160, 1_777, 10_000_000])
    def test_the_output_does_not_depend_on_the_pieces(self, subject: Subject[VoiceConverter], size: int) -> None:
        engine = subject.engine
        audio = speech(SENTENCES[1], engine.info.sample_rate)[: engine.info.sample_rate]
        made = subject.run(self.convert(engine, audio, size))
        assert len(made) == len(audio)
        if engine.info.deterministic:
            assert self.same(made, subject.run(self.convert(engine, audio)))

    def test_silence_stays_where_it_was(self, subject: Subject[VoiceConverter]) -> None:
        """A converter that shifted its output would put words where the listener has not heard them."""
        engine, rate = subject.engine, subject.engine.info.sample_rate
        half = silence(0.5, rate)
        voice = speech(SENTENCES[1], rate)[:rate]
        made = subject.run(self.convert(engine, np.concatenate([half, voice, half])))
        margin = self.latency(engine) + rate // 50
        ends = np.concatenate([made[: max(0, len(half) - margin)], made[len(half) + len(voice) + margin :]])
        assert np.abs(ends).max(initial=0) < 0.02

    @pytest.mark.parametrize("kind", odd_audio(8_000))
    def test_odd_audio_keeps_its_length(self, subject: Subject[VoiceConverter], kind: str) -> None:
        engine = subject.engine
        audio = odd_audio(engine.info.sample_rate)[kind]
        made = subject.run(self.convert(engine, audio))
        assert len(made) == len(audio)
        assert np.isfinite(made).all()
        assert np.abs(made).max(initial=0) <= 1.0

    def test_closing_is_safe_at_any_time_and_ends_the_stream(self, subject: Subject[VoiceConverter]) -> None:
        engine = subject.engine

        async def close() -> None:
            stream = engine.open_stream(ConversionSpec())
            await stream.convert(silence(0.1, engine.info.sample_rate))
            stream.close()
            stream.close()
            with pytest.raises(EngineError):
                await stream.convert(silence(0.1, engine.info.sample_rate))
            engine.open_stream(ConversionSpec()).close()

        subject.run(close())

    def test_voices_resolve_as_declared_and_others_are_refused(self, subject: Subject[VoiceConverter]) -> None:
        engine, rate = subject.engine, subject.engine.info.sample_rate
        assert engine.resolve_voice(""), "there is a usual voice"
        for voice in engine.info.voices:
            assert engine.resolve_voice(voice) == voice
        for voice in engine.info.voices[:4]:
            self.check(
                engine, subject.run(self.convert(engine, speech(SENTENCES[0], rate), spec=ConversionSpec(voice)))
            )
        assert engine.resolve_voice(UNKNOWN) is None
        with pytest.raises(EngineRefused) as caught:
            engine.open_stream(ConversionSpec(UNKNOWN))
        assert_refused(caught.value, "unknown_voice")
