"""The voice converter `vocoder`: what becomes of pitch, formants, noise, loudness and time, and what it remembers of a speaker."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path

import numpy as np
import pytest

from parley.engines.ports import VC, ConversionSpec, EngineError, EngineSpec, EngineUnavailable, Samples
from parley.engines.registry import create
from parley.engines.vc import profiles
from parley.engines.vc.envelope import BANDS
from parley.engines.vc.phase_vocoder import HOP, LATENCY, Move, PhaseVocoder
from parley.engines.vc.profiles import VoiceProfile, formant_of
from parley.engines.vc.source_voice import SourceVoice
from parley.engines.vc.vocoder import VocoderConverter
from parley.testing.contracts.material import SENTENCES, noise, silence, speech

RATE = 24_000
FORMANTS = (500.0, 1_500.0, 2_500.0)


@pytest.fixture(autouse=True)
def voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARLEY_VOICES_DIR", str(tmp_path / "voices"))
    return tmp_path / "voices"


@pytest.fixture
def damaged(voices: Path) -> None:
    """A profile `ada` that cannot be read."""
    voices.mkdir()
    (voices / "ada.json").write_text("{")


def voice(median_hz: float, semitones: float = 5.0, **others: float | tuple[float, ...]) -> VoiceProfile:
    """A profile whose 10th and 90th percentile lie so many semitones apart."""
    half = 2 ** (semitones / 24)
    fields: dict[str, object] = {"formant": formant_of(median_hz), **others}
    return VoiceProfile("x", median_hz, median_hz / half, median_hz * half, **fields)  # type: ignore[arg-type]


def vowel(pitch_hz: float | np.ndarray[tuple[int], np.dtype[np.float64]], seconds: float = 1.5) -> Samples:
    """A buzz of that pitch, constant or for each sample, through three formants."""
    pitch = np.broadcast_to(pitch_hz, (round(seconds * RATE),))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    made = np.zeros(len(pitch))
    for k in range(1, int(10_000 / float(pitch.max()))):
        at = k * pitch
        level = 0.01 + sum(1 / (1 + ((at - formant) / 90) ** 2) for formant in FORMANTS)
        made += level * np.cos(k * phase)
    return np.asarray(0.3 * made / np.abs(made).max(), np.float32)


def converted(
    audio: Samples, target: VoiceProfile, source: VoiceProfile | None = None, size: int = 480, **how: float
) -> Samples:
    vocoder = PhaseVocoder(Move(target, **how), SourceVoice(source))
    parts = [vocoder.push(audio[at : at + size]) for at in range(0, len(audio), size)]
    made = np.concatenate([*parts, vocoder.finish()])
    assert len(made) == len(audio)
    return made


def spectrum(audio: Samples) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Magnitudes of the middle second, a bin for each Hz."""
    middle = audio[len(audio) // 2 - RATE // 2 :][:RATE]
    return np.asarray(np.abs(np.fft.rfft(middle * np.hanning(RATE))))


def pitch_of(audio: Samples) -> tuple[float, float, float]:
    """The 10th, 50th and 90th percentile in Hz, by the pitch tracker that looks ahead."""
    from swift_f0.core import SwiftF0

    found = SwiftF0(threads=1, spin=False).detect(audio, RATE, 50, 600)
    pitch = found.pitch_hz[found.confidence > 0.6]
    assert len(pitch) > 15
    low, middle, high = np.percentile(pitch, (10, 50, 90))
    return float(low), float(middle), float(high)


def loudness(audio: Samples) -> float:
    return float(10 * np.log10(np.mean(audio.astype(np.float64) ** 2)))


def peaks(audio: Samples, ratio: float = 1.0) -> list[float]:
    """Where the formants are: the centres of gravity of the power around where they should be."""
    levels = spectrum(audio) ** 2
    found = []
    for formant in FORMANTS:
        near = np.arange(round(formant * ratio * 0.72), round(formant * ratio * 1.35))
        found.append(float((near * levels[near]).sum() / levels[near].sum()))
    return found


class TestPitch:
    @pytest.mark.parametrize(("source", "target"), [(120, 180), (200, 110), (100, 210), (150, 150)])
    def test_a_vowel_comes_out_at_the_targets_median(self, source: float, target: float) -> None:
        made = spectrum(converted(vowel(source), voice(target), voice(source)))
        wanted = np.array([k * target for k in range(1, int(4_000 / target))])
        for at in wanted:
            around = made[round(at * 0.98) : round(at * 1.02) + 1]
            assert around.max() > 5 * np.median(made[round(at - target / 2) : round(at + target / 2)])
        near = np.zeros(4_000, bool)
        for at in wanted:
            near[max(0, round(at) - 8) : round(at) + 9] = True
        power = made[: round(wanted[-1] + target / 2)] ** 2
        assert power[near[: len(power)]].sum() / power.sum() > 0.98, "what lies between the harmonics is heard"

    def test_an_unknown_speaker_comes_out_near_the_target_at_once(self) -> None:
        made = converted(vowel(120), voice(180))
        first, last = pitch_of(made[: RATE // 2])[1], pitch_of(made[RATE:])[1]
        assert first == pytest.approx(180 * 2 ** (1 / 12), rel=0.05)
        assert last == pytest.approx(180, rel=0.05)

    def test_the_pitch_moves_as_far_as_the_targets_does(self) -> None:
        times = np.arange(3 * RATE) / RATE
        moving = vowel(120 * 2 ** (2 / 12 * np.sin(2 * np.pi * 1.5 * times)), 3)
        spans = {}
        for semitones in (3.8, 5.7):
            low, _, high = pitch_of(converted(moving, voice(180, semitones), voice(120, 3.8)))
            spans[semitones] = 12 * np.log2(high / low)
        low, _, high = pitch_of(moving)
        assert spans[3.8] == pytest.approx(12 * np.log2(high / low), rel=0.12)
        assert spans[5.7] == pytest.approx(1.5 * spans[3.8], rel=0.12)

    def test_the_range_can_be_left_as_it_is(self) -> None:
        times = np.arange(3 * RATE) / RATE
        moving = vowel(120 * 2 ** (2 / 12 * np.sin(2 * np.pi * 1.5 * times)), 3)
        low, _, high = pitch_of(converted(moving, voice(180, 5.7), voice(120, 3.8), range=0))
        before, _, after = pitch_of(moving)
        assert np.log2(high / low) == pytest.approx(np.log2(after / before), rel=0.1)

    def test_semitones_are_added(self) -> None:
        made = converted(vowel(120), voice(180), voice(120), pitch=2)
        assert pitch_of(made)[1] == pytest.approx(180 * 2 ** (2 / 12), rel=0.02)

    @pytest.mark.parametrize("name", ["low", "high"])
    def test_speech_comes_out_at_the_medians_of_the_built_in_voices(self, name: str) -> None:
        audio = np.concatenate([speech(text, RATE) for text in SENTENCES[1:6]])
        target = profiles.load(name)
        assert pitch_of(converted(audio, target))[1] == pytest.approx(target.median_hz, rel=0.06)


class TestFormants:
    @pytest.mark.parametrize(("source", "target"), [(120, 180), (200, 110)])
    def test_they_stay_where_they_are_while_the_pitch_moves(self, source: float, target: float) -> None:
        before, after = (
            peaks(each) for each in (vowel(source), converted(vowel(source), voice(target), voice(source), formant=0))
        )
        assert after == pytest.approx(before, rel=0.06)

    def test_they_move_by_the_ratio_while_the_pitch_stays(self) -> None:
        made = converted(vowel(120), voice(120), voice(120), formant=2)
        ratio = 2 ** (2 / 12)
        before, after = peaks(vowel(120)), peaks(made, ratio)
        assert np.array(after) / before == pytest.approx([ratio] * 3, rel=0.06)
        assert pitch_of(made)[1] == pytest.approx(120, rel=0.02)

    def test_the_mean_envelope_moves_to_the_targets(self) -> None:
        audio = np.concatenate([speech(text, RATE) for text in SENTENCES[:9]])
        source = profiles.learn("source", audio, RATE)
        tilt = np.linspace(5, -5, len(BANDS))
        target = voice(source.median_hz, envelope=tuple((np.array(source.envelope) + tilt).tolist()), formant=1.0)
        moved = profiles.learn("moved", converted(audio, target, source, formant=0, range=0), RATE)
        kept = profiles.learn("kept", converted(audio, target, source, formant=0, range=0, envelope=0), RATE)
        difference = np.array(moved.envelope) - source.envelope
        assert np.abs(difference - tilt)[3:-3].mean() < 1.5
        assert np.abs(np.array(kept.envelope) - source.envelope).mean() < 0.5


class TestWhatIsKept:
    def test_a_voice_that_moves_nowhere_comes_out_as_it_went_in(self) -> None:
        audio = np.concatenate([speech(text, RATE) for text in SENTENCES[1:4]])
        same = voice(110)
        assert np.abs(converted(audio, same, same) - audio).max() < 1e-6

    def test_a_learned_voice_to_itself_is_nearly_transparent(self) -> None:
        """The speaker is not known: what is estimated of him differs a little from his profile."""
        audio = np.concatenate([speech(text, RATE) for text in SENTENCES[:9]])
        own = profiles.learn("own", audio, RATE)
        made = converted(audio, own)
        frames = [each[: len(each) // 480 * 480].reshape(-1, 480) * np.hanning(480) for each in (audio, made)]
        before, after = (np.log10(np.abs(np.fft.rfft(each))[:, 5:150] + 1e-3) * 20 for each in frames)
        loud = frames[0].std(axis=1) > 0.01
        assert np.sqrt(((before - after)[loud] ** 2).mean(axis=1)).mean() < 6.0

    def test_noise_keeps_its_spectrum(self) -> None:
        audio = noise(2, RATE)
        made = converted(audio, voice(200), voice(110))
        before, after = (
            10 * np.log10((spectrum(each)[:11_500].reshape(-1, 500) ** 2).mean(1)) for each in (audio, made)
        )
        assert np.abs(before - after).max() < 1.0

    @pytest.mark.parametrize("name", ["low", "high"])
    def test_speech_stays_as_loud(self, name: str) -> None:
        for text in SENTENCES[1:4]:
            audio = speech(text, RATE)
            assert loudness(converted(audio, profiles.load(name))) == pytest.approx(loudness(audio), abs=1.0)

    def test_loud_speech_is_not_cut_off_and_silence_stays_silent(self) -> None:
        audio = speech(SENTENCES[1], RATE)
        loud = audio / np.abs(audio).max()
        assert np.abs(converted(loud, profiles.load("high"))).max() <= 1.0
        assert not converted(silence(1, RATE), profiles.load("high")).any()

    def test_there_is_no_click_at_either_end(self) -> None:
        audio = vowel(120)
        made = converted(audio, voice(190), voice(120))
        steps = np.abs(np.diff(made, prepend=0, append=0))
        inner = steps[RATE // 4 : -RATE // 4].max()
        assert max(steps[:480].max(), steps[-480:].max()) <= 1.3 * max(inner, float(np.abs(audio[[0, -1]]).max()))


class TestTime:
    def test_an_impulse_stays_where_it_was(self) -> None:
        audio = silence(1, RATE)
        audio[10_000] = 0.9
        assert np.abs(converted(audio, voice(200))).argmax() == 10_000

    @pytest.mark.parametrize("target", [80, 130, 250])
    def test_syllables_stay_where_they_were(self, target: float) -> None:
        """Bursts of a vowel: their middles by energy, within 5 ms."""
        burst = np.hanning(RATE // 5).astype(np.float32) * vowel(130, 0.2)
        audio = np.concatenate([part for _ in range(4) for part in (silence(0.2, RATE), burst)] + [silence(0.2, RATE)])
        made = converted(audio, voice(target), voice(130))
        for start in range(round(0.15 * RATE), round(1.6 * RATE), round(0.4 * RATE)):
            times = np.arange(start, start + round(0.3 * RATE))
            before, after = (
                float((times * each[times] ** 2).sum() / (each[times] ** 2).sum()) for each in (audio, made)
            )
            assert abs(before - after) < 0.005 * RATE

    def test_it_follows_a_live_voice_within_sixty_milliseconds(self) -> None:
        engine = VocoderConverter()
        assert engine.latency_ms + engine.block_ms <= 60
        audio = speech(SENTENCES[1], RATE)
        vocoder, given = PhaseVocoder(Move(profiles.load("high")), SourceVoice()), 0
        for at in range(0, len(audio), 7):
            given += len(vocoder.push(audio[at : at + 7]))
            fed = min(at + 7, len(audio))
            assert fed - LATENCY <= given <= max(0, fed - LATENCY + HOP)

    @pytest.mark.parametrize("size", [1, 37, 4_800, 10_000_000])
    def test_the_pieces_do_not_matter(self, size: int) -> None:
        audio = speech(SENTENCES[1], RATE)[: RATE // 2 if size == 1 else None]
        target = profiles.load("high")
        assert np.abs(converted(audio, target, size=size) - converted(audio, target)).max() < 1e-6


class TestEngine:
    async def test_a_long_piece_leaves_the_event_loop_alone(self) -> None:
        engine = VocoderConverter("high")
        await engine.open()
        audio = np.concatenate([speech(text, RATE) for text in SENTENCES[1:8]])
        stream = engine.open_stream(ConversionSpec(share=object(), context=audio))
        working = asyncio.create_task(stream.convert(audio))
        turns = 0
        while not working.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert turns > 50, "the loop turned only between slices"
        assert len(await working) + len(await stream.finish()) == len(audio)
        await engine.close()

    async def test_what_was_said_before_is_known_within_a_share_only(self) -> None:
        engine = VocoderConverter("high")
        await engine.open()
        first, second = vowel(95), vowel(120)

        async def convert(audio: Samples, share: object, context: Samples | None = None) -> Samples:
            stream = engine.open_stream(ConversionSpec(share=share, context=context))
            return np.concatenate([await stream.convert(audio), await stream.finish()])

        fresh = await convert(second, Share())
        share = Share()
        await convert(first, share)
        followed = await convert(second, share)
        assert np.array_equal(await convert(second, Share()), fresh)
        assert np.array_equal(await convert(second, None), fresh)
        assert np.array_equal(await convert(second, 5), fresh)
        told = await convert(second, Share(), first)
        # A speaker of 95 Hz who says something at 120 Hz says it high; one who was never heard before is taken to be of about 120 Hz.
        assert pitch_of(followed[: RATE // 2])[1] > 1.1 * pitch_of(fresh[: RATE // 2])[1]
        assert pitch_of(told[: RATE // 2])[1] == pytest.approx(pitch_of(followed[: RATE // 2])[1], rel=0.05)
        await engine.close()

    async def test_nothing_is_kept_of_a_share_that_is_gone(self) -> None:
        engine = VocoderConverter()
        await engine.open()
        share = Share()
        stream = engine.open_stream(ConversionSpec(share=share))
        await stream.convert(vowel(120, 0.3))
        await stream.finish()
        assert len(engine._speakers._known) == 1
        del share, stream
        gc.collect()
        assert len(engine._speakers._known) == 0
        await engine.close()

    async def test_profiles_are_voices(self) -> None:
        profiles.save(VoiceProfile("ada", 200, 170, 240, 1.08))
        engine = create(VC, EngineSpec.parse("vocoder:ada", {"source": "low", "pitch": 1, "envelope": "0.5"}))
        assert isinstance(engine, VocoderConverter)
        assert engine.info.voices == ("low", "high", "ada")
        await engine.open()
        assert engine.resolve_voice("") == "ada"
        stream = engine.open_stream(ConversionSpec())
        made = np.concatenate([await stream.convert(vowel(105)), await stream.finish()])
        assert pitch_of(made)[1] == pytest.approx(200 * 2 ** (1 / 12), rel=0.02)
        await engine.close()
        with pytest.raises(EngineError) as caught:
            engine.open_stream(ConversionSpec())
        assert caught.value.code == "engine_closed"

    @pytest.mark.parametrize("options", [{"source": "eve"}, {}])
    async def test_an_unknown_profile_is_named_when_the_engine_opens(self, options: dict[str, object]) -> None:
        engine = create(VC, EngineSpec.parse("vocoder" if options else "vocoder:eve", options))
        with pytest.raises(EngineUnavailable) as caught:
            await engine.open()
        assert "parley voice profile eve clip.wav" in caught.value.remedy

    async def test_a_damaged_profile_stops_only_who_names_it(self, damaged: None) -> None:
        engine = VocoderConverter()
        await engine.open()
        assert engine.info.voices == ("low", "high")
        await engine.close()
        with pytest.raises(EngineUnavailable) as caught:
            await VocoderConverter("ada").open()
        assert caught.value.code == "damaged_voice_profile"

    @pytest.mark.parametrize("options", [{"range": 2}, {"envelope": -0.1}, {"formant": "up"}, {"sorce": "low"}])
    def test_a_wrong_option_is_named(self, options: dict[str, object]) -> None:
        with pytest.raises(EngineUnavailable, match=next(iter(options))):
            create(VC, EngineSpec.parse("vocoder", options))


class Share:
    """A session, as far as an engine sees it."""


def test_it_costs_a_fraction_of_a_core() -> None:
    audio = np.concatenate([speech(text, RATE) for text in SENTENCES[1:4]])
    converted(audio[:RATE], profiles.load("high"))
    start = time.process_time()
    converted(audio, profiles.load("high"))
    assert (time.process_time() - start) / (len(audio) / RATE) < 0.4  # 0.08 where nothing else runs
