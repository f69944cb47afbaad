"""The engines for input: a voice detector with occasional errors, a recogniser with delays and failures, a turn judge.

Laws: each answers from the ground truth at the positions of the audio it was given: audio that the session does not pass on is not
recognised.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from parley.core.words.effects import (
    DropTranscription,
    FinishTranscription,
    FlushTranscription,
    JudgePause,
    OpenTranscription,
    ScoreVoice,
    Transcribe,
)
from parley.core.words.errors import Fault
from parley.core.words.events import (
    Event,
    PartialTranscribed,
    PauseJudged,
    Transcribed,
    TranscriptionFailed,
    VoiceScored,
)
from parley.core.words.ids import FlushId, TurnId
from parley.core.words.limits import SAMPLES_PER_MS
from parley.core.words.settings import AudioFormat
from parley.testing.actors.world import MicrophoneSound, SimulatedWorld

FRAME = 768


@dataclass(frozen=True, slots=True)
class SpeechEngineTraits:
    """How well the engines work. Chances in 0..1, delays in milliseconds."""

    vad_delay_ms: float = 10
    vad_error: float = 0.01
    transcript_delay_ms: float = 80
    partials: float = 0.5
    failing: float = 0.0
    silent: float = 0.0
    misbehaving: float = 0.0
    judge_delay_ms: float = 40
    judge_silent: float = 0.0
    hears_endings: float = 0.0
    """The chance that a partial carries the recogniser's own judgement of the end of the turn, mostly a right one."""


class VoiceDetector:
    """Scores each 32 ms for voice, with occasional errors."""

    def __init__(self, world: SimulatedWorld, sound: MicrophoneSound, traits: SpeechEngineTraits) -> None:
        self._world = world
        self._sound = sound
        self._traits = traits
        self._next = -1
        self._end = -1

    def score(self, effect: ScoreVoice) -> None:
        if effect.start_sample != self._end:
            self._next = effect.start_sample
        self._end = effect.start_sample + effect.format.samples(len(effect.audio))
        scores: list[VoiceScored] = []
        while self._next + FRAME <= self._end:
            scores.append(VoiceScored(self._next + FRAME, self._probability(self._next)))
            self._next += FRAME
        if scores:
            self._world.at(self._traits.vad_delay_ms, lambda: self._post(scores))

    def _post(self, scores: list[VoiceScored]) -> None:
        for score in scores:
            self._world.post(score)

    def _probability(self, start: int) -> float:
        draw = self._world.rng.random()
        voice = self._sound.voice_between(start, start + FRAME) if self._sound.voiced else 0.0
        if draw < self._traits.vad_error:
            voice = 1.0 - voice
        return 0.7 + 0.29 * draw if voice > 0.5 else 0.25 * draw


@dataclass(slots=True)
class _Stream:
    turn: TurnId
    format: AudioFormat
    start: int | None = None
    samples: int = 0
    text: str = ""
    stable: str = ""
    over: bool = False
    pending: list[str] = field(default_factory=list)


class Recogniser:
    """Recognises the words within the audio it was given."""

    def __init__(self, world: SimulatedWorld, sound: MicrophoneSound, traits: SpeechEngineTraits) -> None:
        self._world = world
        self._sound = sound
        self._traits = traits
        self._streams: dict[TurnId, _Stream] = {}

    def open(self, effect: OpenTranscription) -> None:
        self._world.counts["streams"] += 1
        self._streams[effect.turn] = _Stream(effect.turn, effect.format)
        if self._world.rng.random() < self._traits.failing * 0.3:
            fault = Fault("engine_error", "The recogniser broke in the middle of the turn.")
            self._later(TranscriptionFailed(effect.turn, fault), effect.turn, ends=True)

    def feed(self, effect: Transcribe) -> None:
        stream = self._streams[effect.turn]
        if stream.over:
            return
        if stream.start is None:
            stream.start = self._locate(effect.audio, stream.format)
        stream.samples += stream.format.samples(len(effect.audio))
        if self._world.rng.random() < self._traits.partials * 0.3:
            self._partial(stream)

    def _locate(self, audio: bytes, format: AudioFormat) -> int:
        first, sent = self._sound.sent.get(format, (0, bytearray()))
        place = sent.rfind(audio[:64])
        return first + format.samples(place) if place >= 0 else -1_000_000_000

    def _words(self, stream: _Stream) -> list[str]:
        if stream.start is None:
            return []
        return self._sound.words_between(stream.start, stream.start + stream.samples)

    def _partial(self, stream: _Stream) -> None:
        words = self._words(stream)
        stable = " ".join(words[:-1])
        if stable.startswith(stream.stable):
            stream.stable = stable
        if words and self._world.rng.random() < 0.3:
            words = [*words[:-1], words[-1] + "s"]  # an unstable last word, which the next partial may change
        stream.text = " ".join(words)
        ending = self._ending(stream)
        self._later(PartialTranscribed(stream.turn, stream.text, stream.stable, ending), stream.turn)

    def _ending(self, stream: _Stream) -> float | None:
        """Whether the last 200 ms of the turn were silent, with an error now and then."""
        rng = self._world.rng
        if not self._traits.hears_endings or rng.random() >= self._traits.hears_endings or stream.start is None:
            return None
        end = stream.start + stream.samples
        silent = self._sound.voice_between(end - 200 * SAMPLES_PER_MS, end) == 0
        return rng.random() if rng.random() < 0.2 else 0.95 if silent else 0.05

    def flush(self, effect: FlushTranscription) -> None:
        self._answer(effect.turn, effect.flush)

    def finish(self, effect: FinishTranscription) -> None:
        self._answer(effect.turn, None)

    def drop(self, effect: DropTranscription) -> None:
        stream = self._streams[effect.turn]
        stream.over = True
        if self._world.rng.random() < self._traits.misbehaving:
            self._world.at(30, lambda: self._world.post(Transcribed(effect.turn, "an answer that is too late")))

    def _answer(self, turn: TurnId, flush: FlushId | None) -> None:
        stream, rng = self._streams[turn], self._world.rng
        text = " ".join(self._words(stream))
        if rng.random() < self._traits.silent:
            self._world.counts["silent recognisers"] += 1
            return
        if rng.random() < self._traits.failing:
            self._world.counts["failed transcripts"] += 1
            self._later(TranscriptionFailed(turn, Fault("engine_error", "The recogniser failed.")), turn, ends=True)
            return
        self._later(Transcribed(turn, text, flush), turn, ends=flush is None)

    def _later(self, event: Event, turn: TurnId, *, ends: bool = False) -> None:
        delay = self._traits.transcript_delay_ms * (0.5 + self._world.rng.random())
        if isinstance(event, PartialTranscribed):
            delay *= 0.3

        def send() -> None:
            stream = self._streams[turn]
            if stream.over:
                return
            stream.over = ends
            self._world.post(event)

        self._world.at(delay, send)


class Judge:
    """Judges whether a pause ends the turn, mostly correctly."""

    def __init__(self, world: SimulatedWorld, traits: SpeechEngineTraits) -> None:
        self._world = world
        self._traits = traits

    def judge(self, effect: JudgePause) -> None:
        rng = self._world.rng
        if rng.random() < self._traits.judge_silent:
            return
        finished = rng.random() if rng.random() < 0.3 else 0.9
        answer = PauseJudged(effect.turn, effect.judgement, finished)
        self._world.at(self._traits.judge_delay_ms * (0.5 + rng.random()), lambda: self._world.post(answer))
