"""A second reckoning of the input audio: what has arrived, by sample position, and which of it was scored, spoken and committed.

Laws kept here: 10 (positions only grow, each sample is committed or cleared once, and what is handed to the models is what arrived),
and the pairing of speech_started, speech_stopped and committed (protocol 4.2).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from parley.core.words.effects import ScoreVoice
from parley.core.words.events import AudioArrived
from parley.core.words.ids import ItemId
from parley.core.words.limits import MIN_COMMIT_MS, SAMPLES_PER_MS
from parley.core.words.notices import (
    ErrorRaised,
    IdleTimeoutTriggered,
    InputCleared,
    InputCommitted,
    InputSpeechStarted,
    InputSpeechStopped,
    SessionCreated,
    SessionUpdated,
)
from parley.core.words.settings import AudioFormat, Settings
from parley.testing.rules.base import Hearing, Rule, Step


@dataclass(slots=True)
class Stretch:
    """Audio that arrived in one format, from `start` (24 kHz samples) on."""

    start: int
    format: AudioFormat
    audio: bytearray = field(default_factory=bytearray)

    @property
    def end(self) -> int:
        return self.start + self.format.samples(len(self.audio))

    def between(self, start: int, end: int) -> bytes:
        return bytes(self.audio[self.format.size(start - self.start) : self.format.size(end - self.start)])


class Arrived(Rule):
    """10, first half: what the voice detector is given is what arrived, in order, and no position ever goes back."""

    law = "10"

    def __init__(self) -> None:
        self.settings = Settings()
        self.stretches: list[Stretch] = []
        self._scored = 0
        self._refused = False
        self._pending: AudioArrived | None = None

    @property
    def samples(self) -> int:
        """How many 24 kHz samples have arrived."""
        return self.stretches[-1].end if self.stretches else 0

    def sees(self) -> Hearing:
        return {AudioArrived: self._arrived}

    def hears(self) -> Hearing:
        return {
            SessionCreated: self._settled,
            SessionUpdated: self._settled,
            ErrorRaised: self._error,
            ScoreVoice: self._score,
        }

    def _settled(self, told: SessionCreated | SessionUpdated) -> None:
        self.settings = told.settings

    def _arrived(self, event: AudioArrived) -> None:
        self._pending = event
        stretch = self.stretches[-1] if self.stretches else None
        if stretch is None or stretch.format is not self.settings.input_format:
            stretch = Stretch(self.samples, self.settings.input_format)
            self.stretches.append(stretch)
        stretch.audio += event.audio

    def _error(self, told: ErrorRaised) -> None:
        if self._pending is not None and self._pending.audio:
            del self.stretches[-1].audio[-len(self._pending.audio) :]

    def after(self, step: Step) -> None:
        self._pending = None

    def stretch_at(self, sample: int) -> Stretch | None:
        place = bisect_right(self.stretches, sample, key=lambda stretch: stretch.start)
        return self.stretches[place - 1] if place else None

    def _score(self, effect: ScoreVoice) -> None:
        samples = effect.format.samples(len(effect.audio))
        end = effect.start_sample + samples
        self.require(
            samples > 0 and effect.format.size(samples) == len(effect.audio), f"scored {len(effect.audio)} bytes"
        )
        self.require(
            effect.start_sample >= self._scored, f"scored from {effect.start_sample}, was at {self._scored} before"
        )
        stretch = self.stretch_at(effect.start_sample)
        self.require(
            end <= self.samples and stretch is not None, f"scored up to {end}, only {self.samples} have arrived"
        )
        assert stretch is not None
        if stretch.format is effect.format:
            same = stretch.between(effect.start_sample, end) == effect.audio
            self.require(same, f"what is scored from {effect.start_sample} is not what arrived there")
        self._scored = end


@dataclass(slots=True)
class TurnSpan:
    """A turn of the user as the client was told it."""

    item: ItemId
    start_ms: int
    end_ms: int | None = None


class SpeechSpans(Rule):
    """10, second half, and 4.2: spans never overlap or run ahead of the audio; started, stopped and committed name one item."""

    law = "10"

    def __init__(self, arrived: Arrived) -> None:
        self.open: TurnSpan | None = None
        self.spans: dict[ItemId, TurnSpan] = {}
        self._arrived = arrived
        self._mark_ms = 0.0
        self._stopped: TurnSpan | None = None
        self._let_go = False
        self._manual_mark: int | None = 0
        """Where the uncommitted audio begins, while that is certain: no voice detection since the last mark."""

    def before(self, step: Step) -> None:
        if self._arrived.settings.turn_detection is not None:
            self._manual_mark = None

    def hears(self) -> Hearing:
        return {
            InputSpeechStarted: self._on_started,
            InputSpeechStopped: self._on_stopped,
            InputCommitted: self._on_committed,
            InputCleared: self._on_cleared,
            IdleTimeoutTriggered: self._on_idle,
            SessionUpdated: self._on_updated,
        }

    def after(self, step: Step) -> None:
        if self._stopped is not None and self._let_go:
            self._stopped = None
        self._let_go = False
        if self._stopped is not None:
            self.fail(f"speech of {self._stopped.item} stopped and was not committed", "order 4.2")

    def _arrived_ms(self) -> float:
        return self._arrived.samples / SAMPLES_PER_MS

    def _on_started(self, told: InputSpeechStarted) -> None:
        self.require(self.open is None, f"speech of {told.item_id} started inside that of {self.open}", "order 4.2")
        self.require(told.item_id not in self.spans, f"speech of {told.item_id} started twice", "order 4.2")
        self.require(
            self._arrived.settings.turn_detection is not None, "speech started with no turn detection", "order 4.4"
        )
        self.require(
            told.audio_start_ms >= int(self._mark_ms),
            f"speech starts at {told.audio_start_ms} ms, marked is {self._mark_ms}",
        )
        self.require(
            told.audio_start_ms <= self._arrived_ms(), f"speech starts at {told.audio_start_ms} ms, ahead of the audio"
        )
        self.open = TurnSpan(told.item_id, told.audio_start_ms)
        self.spans[told.item_id] = self.open

    def _on_stopped(self, told: InputSpeechStopped) -> None:
        if self.open is None or self.open.item != told.item_id:
            self.fail(f"speech of {told.item_id} stopped, open is {self.open}", "order 4.2")
        self.require(told.audio_end_ms >= self.open.start_ms, f"{self.open} ends at {told.audio_end_ms} ms")
        self.require(
            told.audio_end_ms <= self._arrived_ms() + 1, f"speech ends at {told.audio_end_ms} ms, ahead of the audio"
        )
        self.open.end_ms = told.audio_end_ms
        self._stopped, self.open = self.open, None

    def _on_idle(self, told: IdleTimeoutTriggered) -> None:
        self.require(self.open is None, "an idle timeout while the user speaks", "order 4.11")
        self.require(
            told.audio_start_ms >= int(self._mark_ms),
            f"idle audio from {told.audio_start_ms}, marked is {self._mark_ms}",
        )
        within = told.audio_start_ms <= told.audio_end_ms <= self._arrived_ms() + 1
        self.require(within, f"idle span {told}, arrived {self._arrived_ms()} ms")
        self._stopped = TurnSpan(told.item_id, told.audio_start_ms, told.audio_end_ms)
        self.spans[told.item_id] = self._stopped

    def _on_committed(self, told: InputCommitted) -> None:
        if self._stopped is not None:
            self.require(
                told.item_id == self._stopped.item, f"{self._stopped} was committed as {told.item_id}", "order 4.2"
            )
            assert self._stopped.end_ms is not None
            self._mark_ms = self._stopped.end_ms - 1
            self._stopped = None
            return
        if self.open is not None:
            self.require(told.item_id == self.open.item, f"{self.open} was committed as {told.item_id}", "order 4.2")
            self.open = None
        samples = self._arrived.samples
        if self._manual_mark is not None:
            pending = (samples - self._manual_mark) / SAMPLES_PER_MS
            self.require(pending >= MIN_COMMIT_MS, f"committed {pending} ms, less than {MIN_COMMIT_MS}")
            self.spans[told.item_id] = TurnSpan(
                told.item_id, round(self._manual_mark / SAMPLES_PER_MS), round(self._arrived_ms())
            )
        self._mark_ms = int(self._arrived_ms())
        self._manual_mark = samples

    def _on_cleared(self, told: InputCleared) -> None:
        self._let_go = True
        self.require(self.open is None, f"the buffer was cleared and the speech of {self.open} goes on", "order 4.2")
        self._mark_ms = int(self._arrived_ms())
        self._manual_mark = self._arrived.samples

    def _on_updated(self, told: SessionUpdated) -> None:
        self._let_go = True
        if told.settings.turn_detection is None:
            self.require(
                self.open is None, f"turn detection was turned off, the speech of {self.open} goes on", "order 4.4"
            )
