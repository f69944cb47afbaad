"""What voice conversion does to a voice and to its words, how late it is and what it costs: `python -m benchmarks.voice_conversion`.

Five parts, all of them by default (`--parts`):

- `latency`: a glide of 60 ms goes through a live conversion; the delay is where the envelopes of both fit best, beside what the engine
  states (`LiveConversion.latency_ms`).
- `cost`: processor time by audio, and the longest of the calls for 20 ms of speech, but for one in twenty.
- `seams`: a voice of steady pitch through an RVC generator that renders a sine at the pitch it is given: how far the output is from one
  sine, over blocks of several lengths. Published weights are not needed for that, and cannot be had here.
- `words`: word errors of two recognisers before and after, over a recorded reading (three times, begun some ms later each time, because
  a few words are heard differently for that alone) and 20 sentences of two natural voices.
- `voice`: grades of DNSMOS before and after, level, pitch, and the similarity of speakers by an encoder (`voice_judges`): of the
  converted voice with the target and with the speaker, beside the two of them.

`words` and `voice` need weights: `parley models pull kokoro:v1.0 whisper:tiny.en moonshine:tiny-v1`, and the recorded reading, which lies
in the package `moonshine-voice`. Writes `results/voice_conversion.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console

from benchmarks.round_trip import SENTENCES, distance, speak_all, words_of
from benchmarks.voice_judges import Naturalness, SpeakerEncoder
from parley.audio.files import Recording
from parley.audio.resampling import resample
from parley.engines import registry
from parley.engines.ports import VC, ConversionSpec, EngineSpec, Samples, VoiceConverter
from parley.engines.vc.live import LiveConversion
from parley.engines.vc.profiles import VoiceProfile, learn, save
from parley.library.recordings import read_audio
from parley.library.transcription import transcribe
from tests.engines.tiny_rvc import voice_folder
from tests.speech import clip

RESULTS = Path(__file__).resolve().parent / "results" / "voice_conversion.json"
PARTS = ("latency", "cost", "seams", "words", "voice")
RECOGNIZERS = ("whisper:tiny.en", "moonshine:tiny-v1")
PIECE_MS = 20
BEGUN_LATER = (0, 77, 151)
"""Samples at 24 kHz that stand before a recording that is read several times."""

PARAGRAPH = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the epoch of "
    "belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness, it was the spring of hope, it "
    "was the winter of despair, we had everything before us, we had nothing before us, we were all going direct to Heaven, we were all "
    "going direct the other way - in short, the period was so far like the present period, that some of its noisiest authorities "
    "insisted on its being received, for good or for evil, in the superlative degree of comparison only."
)
"""Dickens, A Tale of Two Cities."""


@dataclass(frozen=True, slots=True)
class Speech:
    """What one speaker says: a recording at `rate`, and its words."""

    audio: Samples
    rate: int
    text: str
    recorded: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parts", default=",".join(PARTS), help="of " + ", ".join(PARTS))
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--no-write", action="store_true", help="leave results/voice_conversion.json as it is")
    arguments = parser.parse_args()
    result: dict[str, Any] = {}
    for part in arguments.parts.split(","):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["PARLEY_VOICES_DIR"] = folder
            result |= asyncio.run(measure([part], Path(folder)))
        if not arguments.no_write:
            earlier = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
            RESULTS.write_text(json.dumps(earlier | result, indent=2) + "\n")
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else 140).print(result)
    return 0


async def measure(parts: Sequence[str], folder: Path) -> dict[str, Any]:
    console = Console(stderr=True)
    result: dict[str, Any] = {
        "on": {"python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()}
    }
    rvc = f"rvc:{voice_folder(folder / 'tiny')}"
    if "latency" in parts:
        console.print("[dim]latency[/]")
        vocoder = [await latency(EngineSpec.parse("vocoder:low"))]
        result["latency"] = vocoder + [
            await latency(EngineSpec("rvc", rvc[4:], {"block_ms": block})) for block in (100, 200, 500)
        ]
    if "cost" in parts:
        console.print("[dim]cost[/]")
        reading = recorded().audio
        result["cost"] = [await cost(spec, reading, recorded().rate) for spec in ("vocoder:low", rvc)]
    if "seams" in parts:
        console.print("[dim]seams[/]")
        result["seams"] = [
            await seams(EngineSpec("rvc", rvc[4:], {"block_ms": block, "pitch": 7})) for block in (50, 100, 200, 500)
        ]
    if {"words", "voice"} & set(parts):
        speakers = await all_speakers(console)
        conversions = await converted(speakers, console, len(BEGUN_LATER) if "words" in parts else 1)
        if "words" in parts:
            result["words"] = words(speakers, conversions, console)
        if "voice" in parts:
            result["voice"] = voices(speakers, conversions, console)
    return result


async def opened(spec: str | EngineSpec) -> VoiceConverter:
    named = spec if isinstance(spec, EngineSpec) else EngineSpec.parse(spec)
    engine = cast(VoiceConverter, registry.create(VC, named))
    await engine.open()
    return engine


def shown(spec: str | EngineSpec) -> str:
    """The engine's name for the table, without the folder of this run."""
    name = str(spec) if isinstance(spec, str) else f"{spec.name}:{spec.model}"
    return "rvc, small graphs" if name.startswith("rvc") else name


# --- how late ---


async def latency(spec: EngineSpec) -> dict[str, Any]:
    """Of a live conversion, in ms: what it states, and where the glide came out."""
    engine = await opened(spec)
    try:
        rate = engine.info.sample_rate
        live = LiveConversion(engine)
        try:
            said = glides(rate)
            piece = rate // 100
            heard = [await live.exchange_async(said[at : at + piece]) for at in range(0, len(said), piece)]
            heard.append(await live.flush())
            stated = live.latency_ms
            raw = live.figures.raw_ms
        finally:
            live.close()
        delay = delay_ms(said, np.concatenate(heard), rate)
        return {
            "engine": shown(spec),
            "block_ms": engine.block_ms,
            "stated_ms": round(stated, 1),
            "measured_ms": round(delay, 1),
            "raw_ms": round(raw, 1),
        }
    finally:
        await engine.close()


def glides(rate: int) -> Samples:
    """Five glides of 60 ms from 150 to 250 Hz with five overtones, at uneven distances, between stretches of silence; 4 s."""
    audio = np.zeros(4 * rate, np.float32)
    length = 60 * rate // 1000
    at = np.arange(length) / rate
    phase = 2 * np.pi * (150 * at + 100 / (2 * 0.06) * at**2)
    glide = sum(np.sin(k * phase) / k for k in range(1, 7)) * np.hanning(length) * 0.3
    for start_s in (0.5, 1.13, 1.9, 2.55, 3.3):
        audio[round(start_s * rate) :][:length] += glide.astype(np.float32)
    return audio


def delay_ms(said: Samples, heard: Samples, rate: int) -> float:
    """How much later `heard` is, where the envelopes (2 ms) of both fit best."""
    size = max(1, rate // 2000)

    def envelope(audio: Samples, length: int) -> Any:
        padded = np.pad(np.abs(audio.astype(np.float64)), (0, max(0, length - len(audio))))[:length]
        smooth = np.convolve(padded, np.ones(4 * size) / (4 * size), "same")[::size]
        return smooth - smooth.mean()

    length = max(len(said), len(heard))
    one, other = envelope(said, length), envelope(heard, length)
    fit = np.correlate(other, one, "full")[len(one) - 1 :]
    return float(np.argmax(fit)) * size * 1000 / rate


# --- what it costs ---


async def cost(spec: str, audio: Samples, rate: int) -> dict[str, Any]:
    """Processor time by audio, and the wall time of calls with 20 ms each."""
    engine = await opened(spec)
    try:
        speech = resample(audio, rate, engine.info.sample_rate)
        size = engine.info.sample_rate * PIECE_MS // 1000
        stream = engine.open_stream(ConversionSpec(share=object()))
        calls, began = [], time.process_time()
        for at in range(0, len(speech), size):
            asked = time.perf_counter()
            await stream.convert(speech[at : at + size])
            calls.append(time.perf_counter() - asked)
        await stream.finish()
        spent = time.process_time() - began
        stream.close()
        return {
            "engine": shown(spec),
            "rtf": round(spent * engine.info.sample_rate / len(speech), 4),
            "call_p95_ms": round(1000 * float(np.percentile(calls, 95)), 2),
        }
    finally:
        await engine.close()


# --- seams ---


async def seams(spec: EngineSpec) -> dict[str, Any]:
    """How far the output for a steady tone of 200 Hz is from one sine: what is left beside it, in dB, and the largest step of the
    waveform beyond the sine's own."""
    engine = await opened(spec)
    try:
        rate = engine.info.sample_rate
        tone = (0.3 * np.sin(2 * np.pi * 200 * np.arange(4 * rate) / rate)).astype(np.float32)
        stream = engine.open_stream(ConversionSpec())
        made = np.concatenate([await stream.convert(tone), await stream.finish()])
        stream.close()
        middle = made[rate : 3 * rate].astype(np.float64)
        hz, rest = nearest_sine(middle, rate)
        amplitude = math.sqrt(2) * float(np.sqrt(np.mean(middle**2)))
        largest = 2 * math.pi * hz / rate * amplitude
        return {
            "block_ms": engine.block_ms,
            "sine_hz": round(hz, 2),
            "rest_db": round(10 * math.log10(float(np.mean(rest**2)) / float(np.mean(middle**2))), 1),
            "largest_step": round(float(np.abs(np.diff(middle)).max()) / largest, 3),
        }
    finally:
        await engine.close()


def nearest_sine(audio: Any, rate: int) -> tuple[float, Any]:
    """The frequency of the sine that fits best, and what it leaves."""
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    at = np.arange(len(audio)) / rate
    best = float(np.argmax(spectrum)) * rate / len(audio)
    for width in (0.5, 0.05, 0.005):
        rests = []
        for hz in np.linspace(best - width, best + width, 41):
            basis = np.stack([np.sin(2 * np.pi * hz * at), np.cos(2 * np.pi * hz * at)], axis=1)
            fitted = basis @ np.linalg.lstsq(basis, audio, rcond=None)[0]
            rests.append((float(np.sum((audio - fitted) ** 2)), hz, audio - fitted))
        _, best, rest = min(rests, key=lambda one: one[0])
    return float(best), rest


# --- words and voices ---


def recorded() -> Speech:
    read = read_audio(clip("two_cities"))
    return Speech(read.audio, read.sample_rate, PARAGRAPH, True)


async def all_speakers(console: Console) -> dict[str, Speech]:
    """The reader of the recording, and two voices of Kokoro with 20 sentences each."""
    speakers = {"reader (recorded)": recorded()}
    for voice in ("af_heart", "am_michael"):
        console.print(f"[dim]Kokoro speaks as {voice}[/]")
        spoken, _ = await speak_all("kokoro", voice=voice)
        rate = spoken[0][1]
        pause = np.zeros(rate, np.float32)
        audio = np.concatenate([part for sentence, _ in spoken for part in (pause, sentence)] + [pause])
        speakers[voice] = Speech(audio, rate, " ".join(SENTENCES), False)
    return speakers


Conversions = Mapping[tuple[str, str], Sequence[Speech]]
"""By speaker and target; a recording several times."""


async def converted(speakers: Mapping[str, Speech], console: Console, most: int) -> Conversions:
    """Each speaker in each other's voice, and in the two that are built in; a recording `most` times at the most."""
    names = {speaker: f"target-{number}" for number, speaker in enumerate(speakers)}
    for speaker, speech in speakers.items():
        save(learn(names[speaker], speech.audio, speech.rate))
    made = {}
    for speaker, speech in speakers.items():
        for target, profile in ({"low": "low", "high": "high"} | names).items():
            if target != speaker:
                console.print(f"[dim]{speaker} as {target}[/]")
                made[speaker, target] = [await in_voice(one, profile) for one in begun(speech)[:most]]
    return made


def begun(speech: Speech) -> list[Speech]:
    """The speech, and a recording a little later too."""
    later = BEGUN_LATER if speech.recorded else BEGUN_LATER[:1]
    audio = resample(speech.audio, speech.rate, 24_000)
    return [replace(speech, audio=np.pad(audio, (samples, 0)), rate=24_000) for samples in later]


async def in_voice(speech: Speech, profile: str) -> Speech:
    engine = await opened(f"vocoder:{profile}")
    rate = engine.info.sample_rate
    audio = resample(speech.audio, speech.rate, rate)
    stream = engine.open_stream(ConversionSpec(share=object()))
    size = rate * PIECE_MS // 1000
    parts = [await stream.convert(audio[at : at + size]) for at in range(0, len(audio), size)]
    parts.append(await stream.finish())
    stream.close()
    await engine.close()
    return replace(speech, audio=np.concatenate(parts), rate=rate)


def words(speakers: Mapping[str, Speech], conversions: Conversions, console: Console) -> list[dict[str, Any]]:
    """Word error rates before and after."""
    rows = []
    for recognizer in RECOGNIZERS:
        before = {speaker: errors(begun(speech), recognizer) for speaker, speech in speakers.items()}
        for (speaker, target), speeches in conversions.items():
            row = {
                "recognizer": recognizer,
                "speaker": speaker,
                "target": target,
                "words": len(words_of(speakers[speaker].text)) * len(speeches),
                "before": round(before[speaker], 4),
                "after": round(errors(speeches, recognizer), 4),
            }
            console.print(row, style="dim")
            rows.append(row)
    return rows


def errors(speeches: Sequence[Speech], recognizer: str) -> float:
    """The word error rate over all of them."""
    wrong = said = 0
    for speech in speeches:
        heard = " ".join(segment.text for segment in transcribe(as_recording(speech), stt=recognizer))
        said += len(words_of(speech.text))
        wrong += distance(words_of(speech.text), words_of(heard))
    return wrong / said


def as_recording(speech: Speech) -> Recording:
    return Recording(speech.audio, speech.rate)


def voices(speakers: Mapping[str, Speech], conversions: Conversions, console: Console) -> list[dict[str, Any]]:
    """Grades, levels, pitches and similarities."""
    judge, encoder = Naturalness(), SpeakerEncoder()
    before = {name: (judge.grades(one.audio, one.rate), profile_of(one)) for name, one in speakers.items()}
    embedded = {name: encoder.embed(one.audio, one.rate) for name, one in speakers.items()}
    rows = []
    for (speaker, target), (speech, *_) in conversions.items():
        console.print(f"[dim]judging {speaker} as {target}[/]")
        grades, profile = judge.grades(speech.audio, speech.rate), profile_of(speech)
        vector = encoder.embed(speech.audio, speech.rate)
        row: dict[str, Any] = {
            "speaker": speaker,
            "target": target,
            "ovrl": [before[speaker][0]["ovrl"], grades["ovrl"]],
            "sig": [before[speaker][0]["sig"], grades["sig"]],
            "level_db": round(level_db(speech.audio) - level_db(speakers[speaker].audio), 2),
            "pitch_hz": [round(before[speaker][1].median_hz, 1), round(profile.median_hz, 1)],
            "with_speaker": round(float(vector @ embedded[speaker]), 3),
        }
        if target in embedded:
            row["target_hz"] = round(before[target][1].median_hz, 1)
            row["with_target"] = round(float(vector @ embedded[target]), 3)
            row["unconverted"] = round(float(embedded[speaker] @ embedded[target]), 3)
        rows.append(row)
    return rows


def profile_of(speech: Speech) -> VoiceProfile:
    return learn("measured", speech.audio, speech.rate)


def level_db(audio: Samples) -> float:
    """RMS of the stretches of 20 ms that are louder than the loudest one less 40 dB."""
    blocks = audio[: len(audio) // 480 * 480].reshape(-1, 480).astype(np.float64)
    power = (blocks**2).mean(1)
    return 10 * math.log10(float(power[power > power.max() * 1e-4].mean()))


if __name__ == "__main__":
    sys.exit(main())
