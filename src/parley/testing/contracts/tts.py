"""The contract of speech synthesizers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from parley.audio.files import Recording, to_wav
from parley.engines.openai_api.voices import OPENAI_VOICES
from parley.engines.ports import (
    TTS,
    ClonesVoices,
    ConsentRecording,
    DescribesVoices,
    EngineRefused,
    Fingerprinted,
    KnowsVoices,
    NeedsConsent,
    ReadsVoices,
    Samples,
    SpeechChunk,
    SpeechRequest,
    SpeechSynthesizer,
    VoiceSample,
    VoicesByLanguage,
    VoiceTensor,
    Word,
)
from parley.testing.contracts.base import Subject, assert_refused, refusal, served_or_refused
from parley.testing.contracts.material import ODD_TEXTS, SENTENCES, silence, speech
from parley.testing.contracts.streamed import StreamedContract
from parley.testing.contracts.watching import unblocked

VOICES_TRIED = 4
UNKNOWN = "no such voice"
NO_LANGUAGE = "x-none"
NUMBERS = ("7", "1984", "$3.50", "50 %")


def joined(chunks: list[SpeechChunk]) -> Samples:
    return np.concatenate([np.zeros(0, np.float32), *(chunk.audio for chunk in chunks)])


class SynthesizerContract(StreamedContract[SpeechSynthesizer, SpeechChunk]):
    """For a `SpeechSynthesizer`."""

    stage = TTS
    audio = True

    def begin(self, engine: SpeechSynthesizer, number: int, times: int = 1) -> AsyncIterator[SpeechChunk]:
        return engine.speak(SpeechRequest(" ".join([SENTENCES[number]] * times), share=number))

    def check(self, engine: SpeechSynthesizer, answer: list[SpeechChunk]) -> None:
        for chunk in answer:
            assert isinstance(chunk, SpeechChunk)
            assert isinstance(chunk.audio, np.ndarray)
            assert chunk.audio.dtype == np.float32, f"audio is float32, not {chunk.audio.dtype}"
            assert chunk.audio.ndim == 1, f"audio has the shape [n], not {list(chunk.audio.shape)}"
            assert chunk.sample_rate == engine.info.sample_rate, "the rate is not the declared one"
            assert np.isfinite(chunk.audio).all(), "audio holds NaN or infinite values"
            assert np.abs(chunk.audio).max(initial=0) <= 1.0, "audio goes over 1.0"
        audio = joined(answer)
        assert len(audio) >= engine.info.sample_rate / 20, "a sentence lasts longer than 50 ms"
        assert np.sqrt(np.mean(audio**2)) > 1e-3, "a sentence is heard"

    def same(self, one: list[SpeechChunk], other: list[SpeechChunk]) -> bool:
        mine, theirs = joined(one), joined(other)
        return len(mine) == len(theirs) and bool(np.abs(mine - theirs).max(initial=0) < 1e-4)

    def alike(self, one: list[SpeechChunk], other: list[SpeechChunk]) -> bool:
        return abs(len(joined(one)) - len(joined(other))) <= 0.05 * len(joined(one))

    async def speak(
        self, engine: SpeechSynthesizer, text: str, voice: str = "", language: str = ""
    ) -> list[SpeechChunk]:
        return [chunk async for chunk in engine.speak(SpeechRequest(text, voice, language))]

    def test_a_sentence_is_audio_as_declared(self, subject: Subject[SpeechSynthesizer]) -> None:
        engine = subject.engine
        for number in range(4):
            self.check(engine, subject.run(self.answer(engine, number)))

    def test_words_grow_in_order_within_the_audio_and_cover_the_text(self, subject: Subject[SpeechSynthesizer]) -> None:
        """They cover it where the engine declares `timings`; where it does not, it reports none."""
        engine, text = subject.engine, " ".join(SENTENCES[1:4])
        chunks = subject.run(self.speak(engine, text))
        length_ms = 0.0
        before: tuple[Word, ...] = ()
        for chunk in chunks:
            length_ms += 1_000 * len(chunk.audio) / chunk.sample_rate
            assert [word.text for word in chunk.words[: len(before)]] == [word.text for word in before], (
                "words are added only"
            )
            assert all(word.start_ms <= length_ms + 1 for word in chunk.words), "a word is reported before it begins"
            before = chunk.words
        times = [time for word in before for time in (word.start_ms, word.end_ms)]
        assert times == sorted(times), "words overlap, or stand in another order"
        assert all(0 <= time <= length_ms + 1 for time in times), "a word lies outside of the audio"
        heard = "".join(word.text for word in before)
        assert heard == ("".join(text.split()) if engine.info.timings else "")

    def test_a_chunk_stays_as_it_was_given(self, subject: Subject[SpeechSynthesizer]) -> None:
        """Audio may wait in a queue: the engine must not use its memory again."""
        engine = subject.engine

        async def speak() -> None:
            kept: list[tuple[Samples, Samples]] = []
            async for chunk in self.begin(engine, 1, 3):
                kept.append((chunk.audio, chunk.audio.copy()))
            async for _ in self.begin(engine, 2):
                pass
            assert all(np.array_equal(audio, copy) for audio, copy in kept), "a chunk has changed since it was given"

        subject.run(speak())

    @pytest.mark.slow
    def test_each_request_keeps_its_voice_and_speed_among_others(self, subject: Subject[SpeechSynthesizer]) -> None:
        engine = subject.engine
        voices = ("", *engine.info.voices[-1:])
        requests = [SpeechRequest(SENTENCES[1], voice, speed=speed) for voice in voices for speed in (0.7, 1.5)]

        async def length(request: SpeechRequest) -> int:
            chunks = [chunk async for chunk in engine.speak(request)]
            self.check(engine, chunks)
            return len(joined(chunks))

        async def compare() -> None:
            alone = [await length(request) for request in requests]
            for one, other in zip(alone, await asyncio.gather(*map(length, requests)), strict=True):
                assert abs(one - other) <= 0.15 * one, f"{other} samples among others, {one} alone"

        subject.run(compare())

    def test_a_text_without_words_does_no_harm(self, subject: Subject[SpeechSynthesizer]) -> None:
        for text in ("", "  \n"):
            audio = joined(subject.run(self.speak(subject.engine, text)))
            assert np.abs(audio).max(initial=0) < 1e-3, "nothing to say is silence"

    @pytest.mark.parametrize("kind", ODD_TEXTS)
    def test_odd_texts_are_spoken_or_refused(self, subject: Subject[SpeechSynthesizer], kind: str) -> None:
        engine = subject.engine
        for chunk in subject.run(served_or_refused(self.speak(engine, ODD_TEXTS[kind]))) or ():
            assert chunk.audio.dtype == np.float32
            assert np.abs(chunk.audio).max(initial=0) <= 1.0
        self.check(engine, subject.run(self.answer(engine, 0)))

    def test_numbers_are_read_aloud_if_it_declares_so(self, subject: Subject[SpeechSynthesizer]) -> None:
        engine = subject.engine
        if engine.info.normalizes:
            for text in NUMBERS:
                self.check(engine, subject.run(self.speak(engine, text, language=(*engine.info.languages, "en")[0])))

    @pytest.mark.slow
    def test_a_long_text_is_streamed_without_holding_the_event_loop(self, subject: Subject[SpeechSynthesizer]) -> None:
        engine = subject.engine

        async def speak() -> list[SpeechChunk]:
            async with unblocked("a long text"):
                return [chunk async for chunk in self.begin(engine, 1, 12)]

        chunks = subject.run(speak())
        self.check(engine, chunks)
        if engine.info.streams:
            assert len(chunks) > 1, "it declares that it streams, and gives a long text in one piece"

    def test_faster_speech_is_shorter(self, subject: Subject[SpeechSynthesizer]) -> None:
        engine = subject.engine

        async def lengths() -> list[int]:
            found = []
            for speed in (0.7, 1.5):
                chunks = [chunk async for chunk in engine.speak(SpeechRequest(SENTENCES[1], speed=speed))]
                self.check(engine, chunks)
                found.append(len(joined(chunks)))
            return found

        slow, fast = subject.run(lengths())
        assert fast < 0.85 * slow, f"speed 1.5 takes {fast} samples, speed 0.7 takes {slow}"

    def test_voices_resolve_as_declared_and_speak(self, subject: Subject[SpeechSynthesizer]) -> None:
        engine = subject.engine
        assert engine.resolve_voice(""), "there is a usual voice"
        for voice in engine.info.voices:
            assert engine.resolve_voice(voice) == voice, f"the declared voice {voice!r} resolves to another one"
        step = max(1, len(engine.info.voices) // VOICES_TRIED)
        for voice in engine.info.voices[::step][:VOICES_TRIED]:
            subject.run(self._declared_voice(engine, voice))

    def test_it_knows_its_voices_before_it_is_open_if_it_says_so(self, subject: Subject[SpeechSynthesizer]) -> None:
        fresh = subject.make()
        knows: object = fresh
        if not (isinstance(knows, KnowsVoices) and knows.knows_voices):
            pytest.skip("it does not say that it knows its voices before it is open")
        for voice in ("", UNKNOWN, *OPENAI_VOICES, *fresh.info.voices[:VOICES_TRIED]):
            assert fresh.resolve_voice(voice) == subject.engine.resolve_voice(voice), (
                f"of {voice!r} it says another thing once it is open"
            )

    async def _declared_voice(self, engine: SpeechSynthesizer, voice: str) -> None:
        self.check(engine, await self.speak(engine, "mama papa, mama papa", voice=voice))

    def test_openais_voices_resolve_to_its_own(self, subject: Subject[SpeechSynthesizer]) -> None:
        for name in OPENAI_VOICES:
            own = subject.engine.resolve_voice(name)
            assert own, f"clients of OpenAI's protocol ask for the voice {name!r}"
            assert subject.engine.resolve_voice(own) == own, f"{name!r} resolves to {own!r}, which it does not know"

    def test_mixes_of_its_voices_are_voices_if_it_declares_so(self, subject: Subject[SpeechSynthesizer]) -> None:
        engine = subject.engine
        first, second = (*engine.info.voices, "", "")[:2]
        if not (engine.info.mixes and second):
            return
        mix = f"{first}(2)+{second}(1)"
        own = engine.resolve_voice(mix)
        assert own, f"it declares mixes, and does not know {mix!r}"
        assert engine.resolve_voice(own) == own, f"{mix!r} resolves to {own!r}, which it does not know"
        said = [subject.run(self.speak(engine, SENTENCES[0], voice=voice)) for voice in (mix, first, second)]
        self.check(engine, said[0])
        assert not self.same(said[0], said[1]), (
            f"{mix!r} sounds like {first!r}"
        )  # tells where the engine is deterministic
        assert not self.same(said[0], said[2]), f"{mix!r} sounds like {second!r}"
        for malformed in (f"{first}(0)+{second}", f"{first}(x)+{second}", f"{first}+{UNKNOWN}"):
            assert engine.resolve_voice(malformed) is None, f"{malformed!r} is no mix"
            error = subject.run(refusal(self.speak(engine, "Hello.", voice=malformed)))
            assert_refused(error, "unknown_voice")

    def test_voices_of_recordings_are_told_apart_and_not_listed_if_it_clones(
        self, subject: Subject[SpeechSynthesizer]
    ) -> None:
        engine = subject.engine
        if not (isinstance(engine, ClonesVoices) and engine.clones):
            return
        texts = " ".join(SENTENCES[:4]), " ".join(SENTENCES[4:8])
        consent = ConsentRecording(to_wav(Recording(speech(SENTENCES[8], 24_000), 24_000)), "en", 64 * "d")
        samples = [
            VoiceSample(speech(text, 24_000), 24_000, 64 * letter, text, consent=consent)
            for text, letter in zip(texts, "ab", strict=True)
        ]
        own = [subject.run(engine.clone_voice(sample)) for sample in (*samples, samples[0])]
        assert own[0] == own[2], "one recording has one name"
        wordless = engine.clone_voice(VoiceSample(samples[0].audio, 24_000, 64 * "a", consent=consent))
        if engine.needs_text:
            assert_refused(subject.run(refusal(wordless)), "invalid_sample")
        else:
            assert subject.run(wordless), "a recording whose words are not known is enough"
        self._own_voices(subject, own[:2])
        with pytest.raises(EngineRefused) as refused:
            subject.run(engine.clone_voice(VoiceSample(silence(0.01, 24_000), 24_000, 64 * "c", consent=consent)))
        assert_refused(refused.value, "invalid_sample")
        if isinstance(engine, NeedsConsent) and engine.needs_consent:
            with pytest.raises(EngineRefused) as refused:
                subject.run(engine.clone_voice(replace(samples[0], consent=None)))
            assert_refused(refused.value, "consent_required")

    def test_voices_of_tensors_are_told_apart_and_not_listed_if_it_reads_them(
        self, subject: Subject[SpeechSynthesizer]
    ) -> None:
        engine = subject.engine
        if not (isinstance(engine, ReadsVoices) and engine.reads_tensors):
            return
        styles = [np.full((510, 256), level, np.float32) for level in (0.1, 0.4)]
        tensors = [VoiceTensor("mine", style, 64 * sha256) for style, sha256 in zip(styles, "ab", strict=True)]
        own = [subject.run(engine.read_voice(tensor)) for tensor in tensors]
        self._own_voices(subject, own)
        assert all(engine.resolve_voice(name, engine.tensor_language("mine")) == name for name in own)

    def _own_voices(self, subject: Subject[SpeechSynthesizer], own: list[str]) -> None:
        engine = subject.engine
        assert not set(own) & set(engine.info.voices), "an own voice is nobody else's to see"
        for name in own:
            assert engine.resolve_voice(name) == name, f"it named a voice {name!r}, which it does not know"
        said = [subject.run(self.speak(engine, SENTENCES[0], voice=name)) for name in own]
        assert not self.same(said[0], said[1]), "two voices sound alike"

    def test_its_fingerprint_tells_voices_apart_if_it_has_one(self, subject: Subject[SpeechSynthesizer]) -> None:
        engine = subject.engine
        if not isinstance(engine, Fingerprinted):
            return
        names = engine.info.voices[:VOICES_TRIED]
        found = [engine.fingerprint(voice, "") for voice in names]
        assert found == [engine.fingerprint(voice, "") for voice in names], "a fingerprint has changed by itself"
        assert len(set(found)) == len(found), "two voices have one fingerprint"
        for name in OPENAI_VOICES:
            own = engine.resolve_voice(name)
            assert own, name
            assert engine.fingerprint(name, "") == engine.fingerprint(own, ""), f"{name!r} is {own!r} by another name"

    def test_an_unknown_voice_is_refused_by_name(self, subject: Subject[SpeechSynthesizer]) -> None:
        engine = subject.engine
        assert engine.resolve_voice(UNKNOWN) is None
        error = subject.run(refusal(self.speak(engine, "Hello.", voice=UNKNOWN)))
        assert_refused(error, "unknown_voice")

    def test_a_language_that_it_does_not_declare_is_refused_by_name(self, subject: Subject[SpeechSynthesizer]) -> None:
        engine = subject.engine
        if engine.info.languages:
            assert engine.resolve_voice("", NO_LANGUAGE) is None
            assert_refused(
                subject.run(refusal(self.speak(engine, "Hello.", language=NO_LANGUAGE))), "unsupported_language"
            )
        if isinstance(engine, VoicesByLanguage):
            assert engine.voice_in("", NO_LANGUAGE) is None

    def test_a_voice_is_described_by_a_language_that_it_speaks(self, subject: Subject[SpeechSynthesizer]) -> None:
        engine = subject.engine
        if not isinstance(engine, DescribesVoices):
            return
        for voice in engine.info.voices:
            language = engine.describe_voice(voice).language
            assert not language or engine.resolve_voice(voice, language), f"{voice!r} does not speak {language!r}"

    def test_a_declared_language_has_a_voice(self, subject: Subject[SpeechSynthesizer]) -> None:
        engine = subject.engine
        for language in engine.info.languages:
            assert engine.resolve_voice("", language), f"no voice speaks {language!r}"
            if isinstance(engine, VoicesByLanguage):
                own = engine.voice_in("", language)
                assert own is not None, f"voice_in() finds no voice for {language!r}"
                assert engine.resolve_voice(own, language), f"{own!r} does not speak {language!r}"
