"""What `echo.py` plays and says, what is done to the microphone, and when the core would begin a turn in what is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from parley.audio import files, pcm
from parley.audio.processing import AudioProcessor
from parley.audio.resampling import resample
from parley.audio.types import Int16, Samples
from parley.core.regions.turn_taking import Began, Paused, Pausing, Quiet, Resumed, Speaking, TurnTaking, UserTurn
from parley.core.words.ids import ItemId, TurnId
from parley.engines.ports import SpeechRequest
from parley.engines.tts.espeak import EspeakSynthesizer
from parley.engines.vad.silero import SileroVad
from tests.speech import clip

RATE = 48_000
CHUNK = RATE // 100
THRESHOLD = 0.5
SILENCE_MS = 500
"""How long the voice must rest before another onset counts as another turn: the default of `server_vad`."""

AGENT_DB = -20.0
USER_DB = -26.0
"""Levels of the two voices where they speak, under full scale: a loudspeaker driven well, a user at arm's length."""

BETWEEN_S = 2.5
"""Between two replies, and before the first."""

SCORED_AT_ONCE = 32
"""Signals in one call of the voice activity model."""

PASSAGES = (
    ("alloy", "It is eighteen degrees in Paris, with a light wind from the west. Tomorrow will be warmer, but take an umbrella."),
    ("echo", "I have found three trains this afternoon. The first leaves at ten past two and arrives at a quarter to five."),
    ("nova", "Your table is booked for four people at half past seven. Shall I tell them that one of you does not eat fish?"),
    ("onyx", "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen. It happens in the green parts of a plant."),
    ("shimmer", "Sure. First crush the garlic, then warm the oil slowly, and add the tomatoes only when the kitchen begins to smell good."),
    ("sage", "The meeting with Anna has been moved to Thursday at nine. I have told the others, and sent them the new agenda."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to treat the microphone; `make` None leaves it alone."""

    name: str
    make: Callable[[], AudioProcessor] | None


def cancellation() -> AudioProcessor:
    """Echo cancellation alone, without the gate behind it."""
    return AudioProcessor(RATE, echo=True, noise="off", gain=False, gated=False)


SETUPS = (
    Setup("none", None),
    Setup("cancellation", cancellation),
    Setup("as talk does", lambda: AudioProcessor(RATE, echo=True, noise="near_field", gain=True)),
)


@dataclass(frozen=True, slots=True)
class Track:
    """What is played, what the user says over it (both int16 `[n]` at 48 kHz), and where each begins and ends, in samples."""

    far: Int16
    near: Int16
    replies: tuple[tuple[int, int], ...]
    interruptions: tuple[int, ...]

    @property
    def agent_s(self) -> float:
        return sum(end - start for start, end in self.replies) / RATE


def at_level(audio: Samples, decibels: float) -> Samples:
    """The recording with its voice (not its pauses) at this level under full scale."""
    loud = audio[np.abs(audio) > 0.02 * np.abs(audio).max()]
    result: Samples = audio * np.float32(10 ** (decibels / 20) / np.sqrt(np.mean(loud**2)))
    return result


def recording(name: str, seconds: float | None = None) -> Samples:
    """A recording at 48 kHz, cut to `seconds`, from its first sound on."""
    found = files.read(clip(name))
    audio = resample(found.audio, found.sample_rate, RATE)
    begins = int(np.argmax(np.abs(audio) > 0.03 * np.abs(audio).max()))
    return audio[begins : None if seconds is None else begins + int(seconds * RATE)]


async def spoken(synthesizer: EspeakSynthesizer, voice: str, text: str) -> Samples:
    """The text in this voice, at 48 kHz."""
    pieces = [chunk async for chunk in synthesizer.speak(SpeechRequest(text=text, voice=voice))]
    return resample(np.concatenate([piece.audio for piece in pieces]), pieces[0].sample_rate, RATE)


async def agent_voices(passages: int) -> list[Samples]:
    """Replies to be spoken: synthesized, and a recorded voice for one that is no synthesizer."""
    synthesizer = EspeakSynthesizer()
    await synthesizer.open()
    voices: list[Samples] = []
    for voice, text in PASSAGES[:passages]:
        voices.append(await spoken(synthesizer, voice, text))
    await synthesizer.close()
    story = recording("two_cities")
    voices += [story[at * RATE : (at + 11) * RATE] for at in (0, 11, 22, 33)]
    return [at_level(voice, AGENT_DB) for voice in voices]


def track(replies: list[Samples], interruptions: list[Samples]) -> Track:
    """The replies one after another, each interrupted (where there are interruptions) at a time of its own."""
    silence = np.zeros(int(BETWEEN_S * RATE), np.float32)
    parts, bounds, at = [silence], [], len(silence)
    for reply in replies:
        bounds.append((at, at + len(reply)))
        parts += [reply, silence]
        at += len(reply) + len(silence)
    far = np.concatenate(parts)
    near, begins = np.zeros(len(far), np.float32), []
    chance = np.random.default_rng(7)
    for index, (start, end) in enumerate(bounds) if interruptions else ():
        said = interruptions[index % len(interruptions)]
        begin = int(chance.integers(start + RATE, max(start + RATE + 1, end - RATE - len(said) // 2)))
        near[begin : begin + len(said)] += said[: len(near) - begin]
        begins.append(begin)
    return Track(pcm.to_int16(far), pcm.to_int16(near), tuple(bounds), tuple(begins))


def treated(setup: Setup, far: Int16, heard: Int16) -> tuple[Int16, float]:
    """The microphone's signal after `setup`, and the processor time it took, in ms for each second."""
    if setup.make is None:
        return heard, 0.0
    processor = setup.make()
    since = time.process_time()
    parts = []
    for at in range(0, len(far), CHUNK):
        processor.render(far[at : at + CHUNK])
        parts.append(processor.capture(heard[at : at + CHUNK]))
    parts.append(processor.flush())
    return np.concatenate(parts), (time.process_time() - since) * 1e3 / (len(far) / RATE)


def turns_of(silero: SileroVad, signals: list[Int16]) -> list[list[tuple[int, int]]]:
    """For each signal the turns that the core would begin: the sample (48 kHz) of the onset, and the one at which it knew."""
    found: list[list[tuple[int, int]]] = []
    size = silero.frame_samples
    for first in range(0, len(signals), SCORED_AT_ONCE):
        audios = [resample(pcm.to_float(signal), RATE, 16_000) for signal in signals[first : first + SCORED_AT_ONCE]]
        padded = np.zeros((len(audios), -(-max(map(len, audios)) // size) * size), np.float32)
        for row, audio in zip(padded, audios, strict=True):
            row[: len(audio)] = audio
        slots = [silero.allocate() for _ in audios]
        scores = [silero.score(slots, padded[:, at : at + size]) for at in range(0, padded.shape[1], size)]
        for slot in slots:
            silero.release(slot)
        found += [
            list(_begun(row[: len(audio) // size], size))
            for row, audio in zip(np.stack(scores, axis=1), audios, strict=True)
        ]
    return found


def _begun(scores: Samples, size: int) -> Iterator[tuple[int, int]]:
    taking = TurnTaking()
    for number, probability in enumerate(scores, 1):
        end = number * size
        # The core counts in 24 kHz samples.
        match taking.heard(end * 3 // 2, float(probability), THRESHOLD):
            case Began(onset=onset):
                turn = UserTurn(TurnId(0), ItemId(""), onset, onset, onset, False)
                taking.position = Speaking(turn)
                yield onset * 2, end * 3
            case Paused(since=since):
                taking.position = Pausing(turn, since)
            case Resumed():
                taking.position = Speaking(turn)
        if isinstance(taking.position, Pausing) and taking.scored_to - taking.position.since >= SILENCE_MS * 24:
            taking.position = Quiet()
