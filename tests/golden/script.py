"""Scripts for golden timelines: a session driven line by line, with exact times.

Laws: nothing happens outside the script; each line of a script is one action of the user, the client, an engine or the clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioPlayed,
    ClauseStarted,
    ClientEvent,
    GenerationFailed,
    GenerationFinished,
    PartialTranscribed,
    PauseJudged,
    SpeechGenerated,
    SpokenWord,
    TextGenerated,
    ToolArgumentsGenerated,
    ToolCallStarted,
    Transcribed,
    TranscriptionFailed,
    VoiceScored,
)
from parley.core.words.ids import AttemptId, CallId, ItemId
from parley.core.words.settings import OwnerSettings, Settings
from parley.testing.timeline import render
from tests.machine.harness import FRAME, START_NS, Generation, Watched

MS_PER_LETTER = 50
"""How long the scripted voice takes for each character."""


class Script(Watched):
    """A scripted session. Every method advances the clock by the time it takes; `wait` only advances the clock."""

    def __init__(
        self, settings: Settings | None = None, owner: OwnerSettings | None = None, *, paced: bool = False
    ) -> None:
        super().__init__(
            settings or Settings(voice="alloy"),
            owner or OwnerSettings(),
            "paced" if paced else "remote",
            seed=b"golden",
        )

    def client(self, event: ClientEvent) -> None:
        """Send a client event."""
        self.wait(10)
        self.post(event)

    # --- the user

    def speak(self, length_ms: int) -> None:
        """The user speaks, or makes another sound."""
        self._microphone(length_ms, 0.95)

    def hush(self, length_ms: int) -> None:
        """The microphone records silence."""
        self._microphone(length_ms, 0.03)

    def _microphone(self, length_ms: int, probability: float) -> None:
        for _ in range(length_ms // 32):
            self.wait(32)
            self.say(32)
            while self.work.voice_from >= 0 and self.work.voice_from + FRAME <= self.work.scored_to:
                self.work.voice_from += FRAME
                self.post(VoiceScored(self.work.voice_from, probability))

    # --- the recogniser and the judge

    def hears(self, text: str, stable: str = "") -> None:
        """A partial transcript of the turn."""
        self.wait(10)
        self.post(PartialTranscribed(max(self.work.streams), text, stable))

    def understands(self, text: str) -> None:
        """The transcript that was requested last."""
        self.wait(40)
        if self.work.flushes:
            turn, flush = self.work.flushes.pop()
            self.post(Transcribed(turn, text, flush))
        else:
            self.post(Transcribed(min(self.work.finishing), text))

    def cannot_hear(self) -> None:
        """The recogniser fails."""
        self.wait(40)
        self.post(TranscriptionFailed(min(self.work.finishing), Fault("engine_error", "The recogniser crashed.")))

    def judges(self, finished: float) -> None:
        """The turn judge's answer."""
        self.wait(20)
        turn, judgement = self.work.judgements.pop()
        self.post(PauseJudged(turn, judgement, finished))

    # --- the model and its voice

    @property
    def generation(self) -> Generation:
        """The newest generation."""
        return self.work.generations[max(self.work.generations)]

    @property
    def attempt(self) -> AttemptId:
        return self.generation.started.attempt

    def clause(self, text: str, *, spoken_ms: int | None = None, timed: bool = True) -> None:
        """A clause and its audio, generated at twice real time; `spoken_ms` cuts it short."""
        attempt = self.attempt
        self.wait(50)
        self.post(ClauseStarted(attempt, text))
        total = len(text) * MS_PER_LETTER if spoken_ms is None else spoken_ms
        done = 0
        while done < total:
            piece = min(400, total - done)
            done += piece
            self.wait(piece // 2)
            words = tuple(word for word in _words(text) if word.end_sample <= done * 24) if timed else ()
            self.post(SpeechGenerated(attempt, self.sound(piece * self.generation.started.format.bytes_per_ms), words))

    def writes(self, *deltas: str) -> None:
        """Text of a text reply."""
        for delta in deltas:
            self.wait(30)
            self.post(TextGenerated(self.attempt, delta))

    def calls(self, index: int, call_id: str, name: str, parts: Sequence[str]) -> None:
        """A tool call with its arguments in pieces."""
        attempt = self.attempt
        self.wait(30)
        self.post(ToolCallStarted(attempt, index, CallId(call_id), name))
        for part in parts:
            self.wait(20)
            self.post(ToolArgumentsGenerated(attempt, index, part))

    def finishes(self) -> None:
        self.wait(10)
        self.post(GenerationFinished(self.attempt, "tool_calls" if self.generation.calls else "stop"))

    def runs_out(self) -> None:
        """The token limit cuts the reply."""
        self.wait(10)
        self.post(GenerationFinished(self.attempt, "length"))

    def breaks(self, code: str, message: str) -> None:
        """The model fails."""
        self.wait(10)
        self.post(GenerationFailed(self.attempt, Fault(code, message)))

    # --- the loudspeaker

    def plays(self, length_ms: int) -> None:
        """The server plays audio for this time."""
        self.wait(length_ms)
        samples = min(length_ms * 24, self.work.queued)
        self.work.queued -= samples
        self.post(AudioPlayed(samples))

    def newest_item(self) -> ItemId:
        """The id of the item that was added last."""
        return self.items[-1]

    def timeline(self) -> str:
        """The whole timeline. Raises `CheckFailed` if something is left open."""
        self.checker.finish()
        return render(self.steps, START_NS)


def _words(text: str) -> list[SpokenWord]:
    words: list[SpokenWord] = []
    for place, letter in enumerate(text):
        last = place + 1 == len(text) or text[place + 1].isspace()
        if not letter.isspace() and last:
            words.append(SpokenWord(place + 1, (place + 1) * MS_PER_LETTER * 24))
    return words
