"""An independent model of what the listener has heard of each reply, in samples and in words.

Where the client plays ("remote"), it plays what it receives at once and in real time, and stops when the user's speech begins;
where the server plays ("paced"), `AudioPlayed` reports the progress. A client's own truncation overrides both.
Laws kept here: 7 (heard <= played <= sent; the words kept are the words heard) and the paced playback's part of 6.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from parley.core.words.effects import Play, StopPlayback
from parley.core.words.events import AudioPlayed, Event, ItemTruncateRequested
from parley.core.words.ids import ItemId, ResponseId
from parley.core.words.items import Message
from parley.core.words.limits import SAMPLES_PER_MS
from parley.core.words.notices import (
    InputSpeechStarted,
    ItemTruncated,
    OutputAudioDelta,
    OutputBufferCleared,
    OutputTranscriptDelta,
    ResponseDone,
)
from parley.core.words.settings import AudioFormat
from parley.testing.rules.attempts import AttemptLifecycle, ClauseRecord, End, StartedAttempt
from parley.testing.rules.base import Handlers, Rule, Step
from parley.testing.rules.entries import ResponseRecord
from parley.testing.rules.input import Arrived
from parley.testing.rules.response_lifecycle import ResponseLifecycle
from parley.testing.rules.resuming import align, continuation

NS_PER_SAMPLE = 1e9 / 24_000
TOLERANCE = SAMPLES_PER_MS
"""One millisecond: positions are sent as whole milliseconds, so two correct calculations may differ by this much."""


@dataclass(slots=True)
class Track:
    """The audio of one assistant item: when the playback of each piece began, and where it was cut."""

    item: ItemId
    response: ResponseId
    attempt: StartedAttempt
    first_char: int
    first_sample: int
    format: AudioFormat
    pieces: list[tuple[float, int]] = field(default_factory=list)
    sent: int = 0
    played: int = 0
    cut: int | None = None
    """Samples heard, once the reply was interrupted or truncated."""
    by_client: bool = False
    """The client gave the position, which overrides the calculated one."""

    def heard(self, now_ns: float, *, paced: bool) -> int:
        if paced:
            return self.played
        return int(sum(min(max((now_ns - start) / NS_PER_SAMPLE, 0.0), samples) for start, samples in self.pieces))


class HeardAudio(Rule):
    """7, the model: how much of each item has been heard so far."""

    law = "7"

    def __init__(
        self, responses: ResponseLifecycle, attempts: AttemptLifecycle, arrived: Arrived, playback: str
    ) -> None:
        self.tracks: dict[ItemId, Track] = {}
        self.now_ns = 0
        self.paced = playback == "paced"
        self._responses = responses
        self._attempts = attempts
        self._arrived = arrived
        self._free_ns = 0.0
        self._event: Event | None = None
        self._must_stop = False
        self._cleared_now: list[ResponseId] = []
        self._queue: deque[list[object]] = deque()
        self._sounding: list[Track] = []
        self._stopped: set[ResponseId] = set()
        self._last_cut: Track | None = None

    def before(self, step: Step) -> None:
        self.now_ns = step.now_ns
        self._event = step.event

    def event_handlers(self) -> Handlers:
        return {AudioPlayed: self._played}

    def effect_handlers(self) -> Handlers:
        return {
            OutputTranscriptDelta: self._words,
            OutputAudioDelta: self._delta,
            Play: self._play,
            StopPlayback: self._stop,
            OutputBufferCleared: self._cleared,
            InputSpeechStarted: self._speech,
            ResponseDone: self._done,
            ItemTruncated: self._truncated,
        }

    @property
    def silent(self) -> bool:
        """Whether nothing is heard at this moment."""
        return not self._queue if self.paced else self._free_ns <= self.now_ns

    def record_of(self, item: ItemId) -> ResponseRecord | None:
        """The response that the item belongs to."""
        known = self._responses.items.get(item)
        return None if known is None else known[0]

    def _track(self, response: ResponseId, item: ItemId) -> Track | None:
        if item not in self.tracks:
            attempt = self._attempts.of_response.get(response)
            if attempt is None:
                return None
            before = self._responses.by_id[response].sent_text
            own = self._responses.items[item][1].sent_text
            size = attempt.started.format.samples(attempt.sent_bytes)
            track = Track(item, response, attempt, len(before) - len(own), size, attempt.started.format)
            self.tracks[item] = track
            self._sounding.append(track)
        return self.tracks[item]

    def _words(self, notice: OutputTranscriptDelta) -> None:
        response = notice.at.response_id
        if response in self._attempts.of_response or self._last_cut is None or self._last_cut.cut is None:
            return
        cut = self._last_cut
        assert cut.cut is not None
        least, most = (len(words) + cut.first_char for words in self.words_heard(cut))
        rest = continuation(cut.attempt, response, cut.first_sample + cut.cut, least, most, notice.delta)
        if rest is not None:
            self._attempts.resume(rest, response)

    def _delta(self, notice: OutputAudioDelta) -> None:
        record = self._responses.by_id[notice.at.response_id]
        self.require(not (self.paced and record.heard), "an audio delta where the server plays")
        track = self._track(notice.at.response_id, notice.at.item_id) if record.heard else None
        if track is None:
            return
        align(track.attempt, notice.audio)
        samples = track.format.samples(len(notice.audio))
        track.sent += samples
        if track.by_client:
            return
        start = max(float(self.now_ns), self._free_ns)
        track.pieces.append((start, samples))
        self._free_ns = start + samples * NS_PER_SAMPLE

    def _play(self, effect: Play) -> None:
        self.require(self.paced, "Play where the client plays", "6")
        self.require(
            effect.response not in self._stopped, f"response {effect.response} keeps playing after it was stopped", "6"
        )
        record = self._responses.by_id[effect.response]
        self.require(record.done is None, f"response {effect.response} plays after its terminal", "6")
        messages = [entry for entry in record.items if isinstance(entry.item, Message)]
        self.require(bool(messages), f"response {effect.response} plays without a message", "6")
        track = self._track(effect.response, messages[-1].item.id)
        if track is not None:
            align(track.attempt, effect.audio)
            samples = effect.format.samples(len(effect.audio))
            track.sent += samples
            self._queue.append([track, samples])

    def _played(self, event: AudioPlayed) -> None:
        left = event.samples
        while left > 0 and self._queue:
            entry = self._queue[0]
            track, queued = entry
            assert isinstance(track, Track)
            assert isinstance(queued, int)
            taken = min(left, queued)
            track.played += taken
            left -= taken
            entry[1] = queued - taken
            if entry[1] == 0:
                self._queue.popleft()

    def after(self, step: Step) -> None:
        if self._must_stop:
            self.fail("the item that the client truncated keeps playing: no StopPlayback", "6")
        for response in self._cleared_now:
            queued = any(isinstance(track := entry[0], Track) and track.response == response for entry in self._queue)
            self.require(not queued, f"the playback of {response} was cleared and keeps playing: no StopPlayback", "6")
        self._cleared_now.clear()

    def _stop(self, effect: StopPlayback) -> None:
        self._must_stop = False
        self.require(self.paced, "StopPlayback where the client plays", "6")
        self._interrupt()
        self._queue.clear()

    def _cleared(self, notice: OutputBufferCleared) -> None:
        self._stopped.add(notice.response_id)
        self._cleared_now.append(notice.response_id)

    def _speech(self, notice: InputSpeechStarted) -> None:
        detection = self._arrived.settings.turn_detection
        if detection is not None and detection.interrupt_response and not self.paced:
            self._interrupt()

    def _done(self, notice: ResponseDone) -> None:
        view = notice.response
        if view.conversation_id is None:
            return
        if view.status == "cancelled" and not self.paced:
            self._interrupt()
        if view.status not in ("cancelled", "failed"):
            return
        for track in self.tracks.values():  # at most what was sent can be heard
            if track.response == view.id and track.cut is None:
                track.cut = track.sent
                self._last_cut = track if view.status == "cancelled" else self._last_cut

    def _interrupt(self) -> None:
        """Stop the playback of everything sent so far."""
        for track in self._sounding:
            self._stopped.add(track.response)
            heard = track.heard(self.now_ns, paced=self.paced)
            if not track.by_client and (heard < track.sent or self._responses.by_id[track.response].done is None):
                track.cut = heard
                self._last_cut = track
        self._sounding.clear()
        self._free_ns = float(self.now_ns)

    def _truncated(self, notice: ItemTruncated) -> None:
        track = self.tracks.get(notice.item_id)
        if track is None:
            return
        if isinstance(self._event, ItemTruncateRequested):
            self._must_stop = self.paced and any(entry[0] is track for entry in self._queue)
            self._drop(track)
            track.cut = min(notice.audio_end_ms * SAMPLES_PER_MS, track.sent)
            track.by_client = True

    def _drop(self, dropped: Track) -> None:
        """The client has stopped playing this item and continues at once with what was queued behind it."""
        free = float(self.now_ns)
        for track in self._sounding:
            kept: list[tuple[float, int]] = []
            for start, samples in track.pieces:
                if start + samples * NS_PER_SAMPLE <= self.now_ns:
                    kept.append((start, samples))
                    continue
                begun = int(max(0.0, (self.now_ns - start) / NS_PER_SAMPLE))
                if begun:
                    kept.append((start, begun))
                if track is not dropped:
                    kept.append((free, samples - begun))
                    free += (samples - begun) * NS_PER_SAMPLE
            track.pieces = kept
        if dropped in self._sounding:
            self._sounding.remove(dropped)
            self._free_ns = free

    # --- words

    def words_heard(self, track: Track) -> tuple[str, str]:
        """The shortest and the longest text of the item that may have been heard within `track.cut` samples."""
        assert track.cut is not None
        limit = track.first_sample + track.cut
        least = track.attempt.text[track.first_char : _chars(track.attempt, limit - TOLERANCE, most=False)]
        most = track.attempt.text[track.first_char : _chars(track.attempt, limit + TOLERANCE, most=True)]
        return least.rstrip(), most.rstrip()


def _chars(attempt: StartedAttempt, limit: int, *, most: bool) -> int:
    """How many characters of the attempt's text have been heard after `limit` samples of its audio."""
    total = 0
    for place, clause in enumerate(attempt.clauses):
        finished = place + 1 < len(attempt.clauses) or attempt.end is End.FINISHED or bool(attempt.calls)
        chars = _clause_chars(clause, limit - clause.start, finished=finished, most=most)
        total += chars
        if chars < len(clause.text):
            break
    return total


def _clause_chars(clause: ClauseRecord, heard: int, *, finished: bool, most: bool) -> int:
    if heard < 0 or (heard == 0 and not most):
        return 0
    if heard >= clause.samples and (finished or (most and not clause.words)):
        return len(clause.text)
    if clause.words:
        ends = [text_end for text_end, sample in clause.words.items() if sample <= heard]
        return max(ends, default=0)
    share = min(1.0, heard / clause.samples) if clause.samples else 1.0
    reached = int(len(clause.text) * share)
    if most:
        return min(len(clause.text), reached + 1)
    if not finished:
        return 0
    return max(clause.text.rfind(" ", 0, reached), 0)
