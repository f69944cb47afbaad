"""The labelled stops of `turns.py`: speech up to a place where a speaker falls silent, and whether the turn ends there.

Laws: everything is made from `turns.toml`, the recordings and the synthesizers at hand, and is the same each time. A stop is
speech that was cut at the end of a word, in the noise of a quiet room; what comes after it is the benchmark's silence.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from parley.audio import files
from parley.audio.resampling import resample
from parley.audio.types import Samples
from parley.engines.ports import SpeechRequest
from parley.engines.tts.espeak import EspeakSynthesizer
from tests.speech import recording

RATE = 16_000
CORPUS = Path(__file__).with_name("turns.toml")

PEAK = 0.3
NOISE = 0.001
"""A quiet room, 60 dB under full scale: digital silence is what no microphone gives."""

LEAD_IN_MS = 300

SYNTHETIC_DROP_DB, RECORDED_DROP_DB = 40.0, 25.0
"""Speech has ended where its level stays this far under its loudest 10 ms; a recorded room still rings."""

Split = Literal["fit", "held_out"]
SPLITS: tuple[Split, ...] = ("fit", "held_out")


@dataclass(frozen=True, slots=True)
class Stop:
    """`audio` (mono, 16 kHz) ends with the words of `text`; the voice itself ends at `voice_end` (samples). `ends`: the turn ends here."""

    split: Split
    source: str
    text: str
    audio: Samples
    voice_end: int
    ends: bool


@dataclass(frozen=True, slots=True)
class _Spoken:
    """Words and where each ends, in samples of `audio` (16 kHz)."""

    audio: Samples
    words: tuple[str, ...]
    word_ends: tuple[int, ...]


def stops(split: Split) -> list[Stop]:
    """All stops of a split. Sources that this machine lacks (flite, a recording) are left out."""
    data = tomllib.loads(CORPUS.read_text())[split]
    found = list(_synthetic(split, data)) + list(_recorded(split, data))
    chance = np.random.default_rng(0)
    return [_in_a_room(stop, chance) for stop in found]


def _synthetic(split: Split, data: dict[str, Any]) -> Iterator[Stop]:
    """Each sentence in two of the voices."""
    voices = data["voices"]
    for number, marked in enumerate(data["sentences"]):
        for voice in (voices[number % len(voices)], voices[(number + 2) % len(voices)]):
            spoken = _say(voice, marked.replace("|", ""))
            if spoken is not None:
                yield from _cut(split, voice.rpartition(" ")[0] if "espeak" in voice else voice, marked, spoken, True)


def _cut(split: Split, source: str, marked: str, spoken: _Spoken, ends: bool) -> Iterator[Stop]:
    drop_db = RECORDED_DROP_DB if source.startswith("recording") else SYNTHETIC_DROP_DB
    count = 0
    parts = marked.split("|")
    for part in parts[:-1]:
        count += len(part.split())
        yield _stop(split, source, spoken, count, drop_db, False)
    yield _stop(split, source, spoken, len(spoken.words), drop_db, ends)


def _stop(split: Split, source: str, spoken: _Spoken, count: int, drop_db: float, ends: bool) -> Stop:
    whole = count == len(spoken.words)
    audio = spoken.audio[: None if whole else spoken.word_ends[count - 1]].copy()
    fade = RATE // 200
    audio[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    last = voice_end(audio, drop_db)
    return Stop(split, source, " ".join(spoken.words[:count]), audio[: last + RATE // 10], last, ends)


def voice_end(audio: Samples, drop_db: float) -> int:
    """Samples up to the last 10 ms whose level is less than `drop_db` under the loudest."""
    hop = RATE // 100
    levels = np.sqrt(np.mean(np.square(audio[: len(audio) // hop * hop].reshape(-1, hop)), axis=1))
    loud = np.flatnonzero(levels > levels.max() * 10 ** (-drop_db / 20))
    return int(loud[-1] + 1) * hop


def _in_a_room(stop: Stop, chance: np.random.Generator) -> Stop:
    lead_in = LEAD_IN_MS * RATE // 1000
    audio = np.concatenate([np.zeros(lead_in, np.float32), stop.audio * np.float32(PEAK / np.abs(stop.audio).max())])
    audio += chance.normal(0, NOISE, len(audio)).astype(np.float32)
    return Stop(stop.split, stop.source, stop.text, audio, stop.voice_end + lead_in, stop.ends)


# --- recordings ---------------------------------------------------------------------------------------------------------


def _recorded(split: Split, data: dict[str, Any]) -> Iterator[Stop]:
    for entry in data["recordings"]:
        path = recording(entry["name"])
        if path is None:
            continue
        found = files.read(path)
        audio = resample(found.audio, found.sample_rate, RATE, "HQ")
        for clause in entry["clauses"]:
            start, end = round(clause["from"] * RATE), round(clause["to"] * RATE)
            ends = tuple(round(at * RATE) - start for at in clause["word_ends"])
            words = tuple(clause["words"].replace("|", "").split())
            spoken = _Spoken(audio[start:end], words, ends)
            yield from _cut(split, f"recording {entry['name']}", clause["words"], spoken, clause["ends"])


# --- synthesizers -------------------------------------------------------------------------------------------------------


def _say(voice: str, text: str) -> _Spoken | None:
    engine, _, rest = voice.partition(" ")
    if engine == "flite":
        return _flite(rest, text)
    name, _, wpm = rest.rpartition(" ")
    return asyncio.run(_espeak(name, int(wpm), text))


async def _espeak(voice: str, wpm: int, text: str) -> _Spoken:
    synthesizer = EspeakSynthesizer(rate_wpm=wpm)
    await synthesizer.open()
    chunks = [chunk async for chunk in synthesizer.speak(SpeechRequest(text=text, voice=voice))]
    await synthesizer.close()
    audio = resample(np.concatenate([chunk.audio for chunk in chunks]), chunks[0].sample_rate, RATE, "HQ")
    words = tuple(word.text.strip() for word in chunks[-1].words)
    ends = tuple(round(word.end_ms * RATE / 1000) for word in chunks[-1].words)
    return _Spoken(audio, words, ends)


@cache
def _has_flite() -> bool:
    return shutil.which("flite") is not None


def _flite(voice: str, text: str) -> _Spoken | None:
    """Flite tells no word times: PocketSphinx aligns the known words."""
    if not _has_flite():
        return None
    with tempfile.NamedTemporaryFile(suffix=".wav") as made:
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", made.name], check=True)
        found = files.read(Path(made.name))
    audio = resample(found.audio, found.sample_rate, RATE, "HQ")
    words = tuple(text.lower().split())
    ends = aligned(audio, words)
    return None if ends is None else _Spoken(audio, words, ends)


@cache
def _aligner() -> Any:
    import pocketsphinx

    return pocketsphinx.Decoder(loglevel="FATAL", samprate=RATE)


def aligned(audio: Samples, words: tuple[str, ...]) -> tuple[int, ...] | None:
    """Where each word ends, in samples; None where the words do not fit the sound."""
    decoder = _aligner()
    try:
        decoder.set_align_text(" ".join(words))
    except RuntimeError:  # a word that its dictionary lacks
        return None
    decoder.start_utt()
    decoder.process_raw((audio * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    found = [segment for segment in decoder.seg() or () if not segment.word.startswith("<")]
    if len(found) != len(words):
        return None
    return tuple((segment.end_frame + 1) * RATE // 100 for segment in found)
