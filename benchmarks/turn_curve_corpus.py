"""What `turn_curve.py` has a session hear: whole utterances in which the speaker pauses and goes on, up to a true end.

Laws: everything is made from `turn_dialogues.txt`, the recordings of `turns.toml` and `SEED`, and is the same each time. No prefix is
synthesized: a sentence is said whole and then opened at a word boundary, so that its intonation goes on across the pause.
"""

from __future__ import annotations

import importlib
import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.turns_corpus import CORPUS, NOISE, PEAK, RATE, RECORDED_DROP_DB, SYNTHETIC_DROP_DB, aligned, voice_end
from parley.audio import files
from parley.audio.resampling import resample
from parley.audio.types import Samples
from tests.speech import recording

DIALOGUES = Path(__file__).with_name("turn_dialogues.txt")
SEED = 20

PAUSE_MEDIAN_MS, PAUSE_SPREAD = 500.0, 0.5
SHORTEST_MS, LONGEST_MS = 200.0, 1_200.0
"""Pauses inside speech are log-normal; Campione & Véronis (2002) find a class of 200 to 1,000 ms in read and in spontaneous speech, and a
longer one in spontaneous speech. The median and the spread (of the natural logarithm) are assumptions within these classes."""

LEAD_IN_MS, TAIL_MS = 300, 640
"""After the last word there is silence until the words have come; the rest of the wait is arithmetic."""

FADE = RATE // 200


@dataclass(frozen=True, slots=True)
class Utterance:
    """`audio` (mono, 16 kHz) has silences of `pauses_ms` inside it; the voice ends at `voice_end` (samples), before a silence.

    `ends`: the turn ends there; otherwise the recorded speaker went on, and the last of `pauses_ms` is how long after.
    """

    half: str
    source: str
    text: str
    audio: Samples
    voice_end: int
    pauses_ms: tuple[float, ...]
    ends: bool


@dataclass(frozen=True, slots=True)
class _Spoken:
    source: str
    text: str
    audio: Samples
    word_ends: tuple[int, ...]
    drop_db: float
    ends: bool = True


def utterances() -> list[Utterance]:
    """Every utterance: even dialogues and the recordings of `fit` are for tuning, the others are `held_out`."""
    chance = np.random.default_rng(SEED)
    return [_opened(half, spoken, chance) for half, spoken in (*_dialogues(), *_recorded())]


def _dialogues() -> Iterator[tuple[str, _Spoken]]:
    hibari = importlib.import_module("hibari")  # carries no types
    voice = hibari.Hibari()
    lines = [line for line in DIALOGUES.read_text().splitlines() if not line.startswith("#")]
    for number, line in enumerate(lines):
        speed = (0.9, 1.0, 1.1)[number % 3]
        for text in line.split(" | "):
            audio = resample(
                np.asarray(voice(text, speed=speed, seed=SEED), np.float32), hibari.SAMPLE_RATE, RATE, "HQ"
            )
            words = tuple(text.lower().translate(str.maketrans("", "", ".,?!")).split())
            ends = aligned(audio, words) or ()  # words that the aligner does not know: no pause is put into this turn
            yield ("fit", "held_out")[number % 2], _Spoken("hibari", text, audio, ends, SYNTHETIC_DROP_DB)


def _recorded() -> Iterator[tuple[str, _Spoken]]:
    data = tomllib.loads(CORPUS.read_text())
    for half in ("fit", "held_out"):
        for entry in data[half]["recordings"]:
            path = recording(entry["name"])
            if path is None:
                continue
            file = files.read(path)
            audio = resample(file.audio, file.sample_rate, RATE, "HQ")
            for clause in entry["clauses"]:
                start, end = round(clause["from"] * RATE), round(clause["to"] * RATE)
                word_ends = tuple(round(at * RATE) - start for at in clause["word_ends"])
                text = clause["words"].replace("|", "")
                yield half, _Spoken(entry["name"], text, audio[start:end], word_ends, RECORDED_DROP_DB, clause["ends"])


def _opened(half: str, spoken: _Spoken, chance: np.random.Generator) -> Utterance:
    """The utterance with silences at some of its word boundaries, in the noise of a quiet room."""
    last = voice_end(spoken.audio, spoken.drop_db)
    inner = [at for at in spoken.word_ends[:-1] if RATE // 5 < at < last - RATE // 5]
    count = min(len(inner), 1 + (len(inner) >= 7))
    places = sorted(chance.choice(inner, count, replace=False).tolist()) if count else []
    places = [_quietest(spoken.audio, place) for place in places]
    pauses = [_pause_ms(chance) for _ in places]
    pieces: list[Samples] = [np.zeros(LEAD_IN_MS * RATE // 1000, np.float32)]
    begin = 0
    for place, pause_ms in zip(places, pauses, strict=True):
        pieces += [_faded(spoken.audio[begin:place]), np.zeros(round(pause_ms * RATE / 1000), np.float32)]
        begin = place
    pieces.append(_faded(spoken.audio[begin : last + RATE // 20]))
    voiced = sum(map(len, pieces)) - RATE // 20
    if not spoken.ends:
        pauses.append(_pause_ms(chance))
    pieces.append(np.zeros(TAIL_MS * RATE // 1000, np.float32))
    audio = np.concatenate(pieces)
    audio *= np.float32(PEAK / np.abs(audio).max())
    audio += chance.normal(0, NOISE, len(audio)).astype(np.float32)
    return Utterance(half, spoken.source, spoken.text, audio, voiced, tuple(pauses), spoken.ends)


def _pause_ms(chance: np.random.Generator) -> float:
    while True:
        drawn = float(chance.lognormal(math.log(PAUSE_MEDIAN_MS), PAUSE_SPREAD))
        if SHORTEST_MS <= drawn <= LONGEST_MS:
            return drawn


def _quietest(audio: Samples, place: int) -> int:
    """The quietest 10 ms within 40 ms: where the aligner is a frame or two off."""
    hop, reach = RATE // 100, RATE // 25
    starts = range(max(0, place - reach), place + reach, hop // 2)
    return min(starts, key=lambda at: float(np.square(audio[at : at + hop]).sum())) + hop // 2


def _faded(piece: Samples) -> Samples:
    """Without clicks at its ends."""
    piece = piece.copy()
    ramp = np.linspace(0, 1, min(FADE, len(piece) // 2), dtype=np.float32)
    piece[: len(ramp)] *= ramp
    piece[len(piece) - len(ramp) :] *= ramp[::-1]
    return piece
