"""What the contracts give engines: speech, noise, texts.

Speech is espeak-ng's, which every installation of Parley has: words that a recogniser may or may not make out, but with pauses, vowels
and consonants; no verdict rests on the words.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np

from parley.audio.resampling import resample
from parley.engines.ports import Samples
from parley.engines.tts import espeak_library

SENTENCES: Final = (
    "Good morning.",
    "What is the weather like in Paris today?",
    "Please set a timer for ten minutes.",
    "One two three four five six seven.",
    "The train leaves from the other platform.",
    "I would like two tickets to the sea.",
    "Nobody has ever seen the far side of it.",
    "Turn the light off in the kitchen.",
    "My grandmother keeps bees.",
    "It rained all night.",
    "Where did you put the keys?",
    "Thank you, that was very kind of you.",
    "He walked slowly home along the river.",
    "Call me back when you have time.",
    "Seven ships sailed south.",
    "No.",
)

ODD_TEXTS: Final = {
    "nothing": "",
    "white space": " \n\t ",
    "marks": "... — !?",
    "emoji": "\U0001f642\U0001f468‍\U0001f469‍\U0001f467",
    "Chinese": "你好，世界。今天天气很好",
    "Arabic": "مرحبا بالعالم، كيف حالك؟",
    "Hindi": "नमस्ते दुनिया। आप कैसे हैं?",
    "several scripts": "Hello Привет 世界 مرحبا 42",
    "numbers": "1984, 3.14159, 50 %, $3.50, 2026-11-28",
    "markup": "<speak>**Hello** &amp; [[h@l'oU]] `code`</speak>",
    "control characters": "Hello\0 there\x1b[0m you",
    "half a surrogate pair": "Hello \ud800 there",
    "one long word": "unbroken" * 40,
}


@functools.cache
def speech(text: str, rate: int) -> Samples:
    """The text spoken, float32 `[n]` at `rate` Hz."""
    pieces: list[bytes] = []

    def keep(pcm: bytes, marks: object) -> bool:
        pieces.append(pcm)
        return True

    espeak_library.load().speak(text, "en-us", 170, keep)
    audio = np.frombuffer(b"".join(pieces), dtype="<i2").astype(np.float32) / np.float32(32768)
    return resample(audio, espeak_library.SAMPLE_RATE, rate)


def noise(seconds: float, rate: int, loudness: float = 0.1) -> Samples:
    made: Samples = np.random.default_rng(3).normal(0, loudness, round(seconds * rate)).astype(np.float32)
    return np.clip(made, -1, 1)


def silence(seconds: float, rate: int) -> Samples:
    return np.zeros(round(seconds * rate), np.float32)


def odd_audio(rate: int) -> dict[str, Samples]:
    """A second or less of what is no speech, by name."""
    times = np.arange(rate) / rate
    return {
        "nothing": silence(0, rate),
        "one sample": np.ones(1, np.float32),
        "silence": silence(1, rate),
        "noise": noise(1, rate),
        "a hum": (0.3 * np.sin(2 * np.pi * 50 * times)).astype(np.float32),
        "an overdriven square wave": np.sign(np.sin(2 * np.pi * 300 * times)).astype(np.float32),
        "a constant": np.full(rate // 2, 1.0, np.float32),
        "clicks": (np.arange(rate) % (rate // 4) == 0).astype(np.float32),
    }
