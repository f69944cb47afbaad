"""One driven session's script: speak, fall silent, wait for the reply, let it end (or talk over it), speak again.

Laws: no I/O and no clock; time comes in as seconds of any one monotonic clock. A frame costs a few comparisons, a
message one search for its type and one in a table: two hundred of these share a core with the server they measure. A filler ("one
moment") is heard and answers no turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import msgspec

from parley.core.words.notices import (
    ErrorRaised,
    InputSpeechStarted,
    OutputAudioDelta,
    ResponseCreated,
    ResponseDone,
    SessionCreated,
    SessionUpdated,
)
from parley.load.recording import SpeechTrack
from parley.load.server_events import (
    ErrorObject,
    EventMembers,
    ResponseObject,
    audio_bytes,
    kind_of,
    members_of,
    response_of,
)

LATE_BEYOND_IDEAL_S = 0.100
"""A reply later than this beyond the ideal counts as late: about where a pause in conversation becomes noticeable."""

REPLY_PATIENCE_S = 5.0
"""How long beyond the ideal a reply may take before the turn counts as missed; the next turn then begins."""

REPLY_LIMIT_S = 60.0
"""A reply that has not ended this long after its first audio is abandoned, so that a lost `response.done` cannot hold
a session for ever."""

ERRORS_KEPT = 20
"""Error messages kept for the report; further ones are only counted."""

BYTES_PER_S = 48_000
"""PCM16 at 24 kHz, which the session is asked, or assumed, to send."""


@dataclass(frozen=True, slots=True)
class Script:
    """What every session does. `barge_after_s` None: replies are heard out, then `gap_s` passes before the next
    turn."""

    track: SpeechTrack
    stage_s: float
    """Time the server's stages need by themselves after the silence wait."""
    ideal_s: float | None = None
    """End of speech to first audio at best; None: the session's silence wait + `stage_s`."""
    gap_s: float = 0.5
    barge_after_s: float | None = None


@dataclass(slots=True)
class Tally:
    """What all sessions together have seen; times in seconds. Turns count while `measuring` (read when their speech
    ends)."""

    measuring: bool = False
    delays: list[float] = field(default_factory=list)
    beyond: list[float] = field(default_factory=list)
    turns: int = 0
    missed: int = 0
    early: int = 0
    late: int = 0
    stray: int = 0
    """Unexpected replies: a turn answered twice, or after its time had run out."""
    failed: int = 0
    """Responses that ended `failed`."""
    unfinished: int = 0
    """Replies whose `response.done` never came."""
    fillers: int = 0
    """Whose audio answers no turn."""
    barge_ins: int = 0
    unstopped: int = 0
    leaked: int = 0
    """Audio deltas of a reply after its cancelled `response.done`."""
    to_speech_started: list[float] = field(default_factory=list)
    to_cancelled: list[float] = field(default_factory=list)
    to_silence: list[float] = field(default_factory=list)
    error_count: int = 0
    errors: list[str] = field(default_factory=list)
    silence_ms: set[int] = field(default_factory=set)
    """The silence waits the sessions reported."""

    def note_error(self, message: str) -> None:
        self.error_count += 1
        if len(self.errors) < ERRORS_KEPT and message not in self.errors:
            self.errors.append(message)


@dataclass(slots=True)
class _Turn:
    """A user's turn from its first frame to its reply; `end_s` is None while its speech goes on."""

    end_s: float | None = None
    early: bool = False
    counted: bool = False


@dataclass(slots=True)
class _BargeIn:
    """Voice over a reply: `onset_s` is None until the voiced chunk has left."""

    onset_s: float | None = None
    detected: bool = False
    stopped: bool = False
    counted: bool = False


class LoadConversation:
    """Call `begin` once the session exists; then `frame_due` every chunk and `receive` with every message.

    `finish` lets the turn under way end and starts no other; `resting` says that it has.
    """

    __slots__ = (
        "_barge",
        "_cancelled",
        "_done",
        "_filler_until_s",
        "_fillers",
        "_finishing",
        "_first_audio_s",
        "_fresh",
        "_give_up_s",
        "_position",
        "_reply_bytes",
        "_script",
        "_speak_s",
        "_tally",
        "_turn",
        "created",
        "silence_ms",
        "updated",
    )

    def __init__(self, script: Script, tally: Tally) -> None:
        self._script = script
        self._tally = tally
        self._turn: _Turn | None = None
        self._barge: _BargeIn | None = None
        self._position = -1  # the next frame of the recording; -1: silent
        self._speak_s = inf
        self._give_up_s = inf
        self._fresh = False  # a response was created and none of its audio has come
        self._done = True  # the reply being heard has had its response.done
        self._cancelled = False
        self._first_audio_s = 0.0
        self._reply_bytes = 0
        self._fillers: set[str | None] = set()  # those that have begun
        self._filler_until_s = -inf  # when what has come of them has been played
        self._finishing = False
        self.created = False
        self.updated = False
        self.silence_ms: int | None = None

    @property
    def resting(self) -> bool:
        return self._turn is None and self._barge is None and self._position < 0

    @property
    def ideal_s(self) -> float:
        """End of speech to first audio, were everything but the silence wait and the stages free."""
        if self._script.ideal_s is not None:
            return self._script.ideal_s
        return (self.silence_ms or 0) / 1000 + self._script.stage_s

    def begin(self, now_s: float) -> None:
        """The session is ready: speak after the usual gap."""
        self._speak_s = now_s + self._script.gap_s

    def finish(self) -> None:
        self._finishing = True
        if self._position < 0:
            self._speak_s = inf

    # -- the microphone ------------------------------------------------------------------------------------------------

    def frame_due(self, planned_s: float) -> bytes:
        """The chunk that leaves at `planned_s`, the time a microphone would have finished recording it."""
        track = self._script.track
        at = self._position
        if at < 0:
            if planned_s >= self._give_up_s:
                self._give_up(planned_s)
            if planned_s < self._speak_s:
                return track.silence
            at = self._start_speaking()
        if at == track.onset_frame and self._barge is not None:
            self._barge.onset_s = planned_s - track.onset_lead_s
        if at == track.end_frame:
            self._speech_ended(planned_s - track.end_lead_s)
        self._position = at + 1 if at + 1 < len(track.frames) else -1
        return track.frames[at]

    def _start_speaking(self) -> int:
        self._speak_s = inf
        self._give_up_s = inf
        self._turn = _Turn()
        over_reply = self._script.barge_after_s is not None and self._first_audio_s > 0
        self._barge = _BargeIn(counted=self._tally.measuring) if over_reply else None
        # Over a reply the user is heard at once: the recording's quiet start would let the reply end by itself.
        self._position = self._script.track.onset_frame if over_reply else 0
        return self._position

    def _speech_ended(self, end_s: float) -> None:
        turn, tally = self._turn, self._tally
        if turn is None:
            return
        turn.end_s = end_s
        turn.counted = tally.measuring
        tally.turns += turn.counted
        tally.early += turn.counted and turn.early
        self._give_up_s = end_s + self.ideal_s + REPLY_PATIENCE_S
        self._settle_barge_in()

    def _settle_barge_in(self) -> None:
        barge, self._barge = self._barge, None
        if barge is not None and barge.counted:
            self._tally.barge_ins += 1
            self._tally.unstopped += not barge.stopped

    def _give_up(self, now_s: float) -> None:
        turn, self._turn = self._turn, None
        if turn is None:
            self._tally.unfinished += 1
        elif not turn.early:
            self._tally.missed += turn.counted
        self._next_turn(now_s)

    def _next_turn(self, at_s: float) -> None:
        self._give_up_s = inf
        self._first_audio_s = 0.0
        self._done = True
        self._speak_s = inf if self._finishing else at_s + self._script.gap_s

    # -- server events --------------------------------------------------------------------------------------------------

    def receive(self, message: bytes, now_s: float) -> None:
        """Take one text message; unknown events cost one search and are ignored."""
        kind = kind_of(message)
        if kind is OutputAudioDelta:
            self._audio(message, now_s)
        elif kind is ResponseCreated:
            self._response_created(message)
        elif kind is ResponseDone:
            self._response_done(message, now_s)
        elif kind is InputSpeechStarted:
            self._speech_started(now_s)
        elif kind is SessionCreated or kind is SessionUpdated:
            self._session_told(kind is SessionUpdated, message)
        elif kind is ErrorRaised:
            error = self._parse(message).error or ErrorObject()
            self._tally.note_error(
                f"{error.code}: {error.message}" if error.code else error.message or message.decode()
            )

    def _parse(self, message: bytes) -> EventMembers:
        try:
            return members_of(message)
        except msgspec.DecodeError as error:
            self._tally.note_error(f"the server sent an event that is not as the GA protocol has it: {error}")
            return EventMembers()

    def _session_told(self, updated: bool, message: bytes) -> None:
        session = self._parse(message).session
        if session is not None:
            detection = session.audio.input.turn_detection if session.audio and session.audio.input else None
            detection = detection or session.turn_detection
            if detection is not None and detection.silence_duration_ms is not None:
                self.silence_ms = detection.silence_duration_ms
                self._tally.silence_ms.add(detection.silence_duration_ms)
        self.created = True
        self.updated = self.updated or updated

    def _response_created(self, message: bytes) -> None:
        response = self._parse(message).response or ResponseObject()
        if response.filler:
            self._fillers.add(response.id)
            self._tally.fillers += self._tally.measuring
        else:
            self._fresh, self._cancelled = True, False

    def _audio(self, message: bytes, now_s: float) -> None:
        if self._fillers and response_of(message) in self._fillers:
            self._filler_until_s = max(self._filler_until_s, now_s) + audio_bytes(message) / BYTES_PER_S
            return
        if self._cancelled:
            self._tally.leaked += 1
            return
        if self._fresh:
            self._fresh = False
            self._first_audio(now_s)
        self._reply_bytes += audio_bytes(message)

    def _first_audio(self, now_s: float) -> None:
        turn, tally = self._turn, self._tally
        if turn is None:
            tally.stray += tally.measuring
            return
        if turn.end_s is None:  # the user still speaks
            turn.early = True
            return
        self._turn = None
        if turn.counted and not turn.early:
            delay = now_s - turn.end_s
            tally.delays.append(delay)
            tally.beyond.append(delay - self.ideal_s)
            tally.early += delay < (self.silence_ms or 0) / 1000
            tally.late += delay > self.ideal_s + LATE_BEYOND_IDEAL_S
        self._first_audio_s = now_s
        self._reply_bytes = 0
        self._done = False
        self._give_up_s = now_s + REPLY_LIMIT_S
        if self._script.barge_after_s is not None and not self._finishing:
            self._speak_s = now_s + self._script.barge_after_s

    def _response_done(self, message: bytes, now_s: float) -> None:
        response = self._parse(message).response or ResponseObject()
        if response.filler:
            self._fillers.discard(response.id)
            return
        self._fresh = False
        if response.status == "failed":
            self._tally.failed += 1
        if response.status == "cancelled":
            self._cancelled = True
            barge = self._barge
            if barge is not None and barge.onset_s is not None:
                self._tally.to_cancelled.extend([now_s - barge.onset_s] * barge.counted)
                self._silenced(barge, now_s - barge.onset_s)
        if self._turn is None and not self._done:
            self._done = True
            if self._speak_s == inf:
                begun_s = max(self._first_audio_s, self._filler_until_s)  # the reply is heard behind a filler
                self._next_turn(max(now_s, begun_s + self._reply_bytes / BYTES_PER_S))

    def _speech_started(self, now_s: float) -> None:
        barge = self._barge
        if barge is not None and barge.onset_s is not None and not barge.detected:
            barge.detected = True
            self._tally.to_speech_started.extend([now_s - barge.onset_s] * barge.counted)
            self._silenced(barge, now_s - barge.onset_s)

    def _silenced(self, barge: _BargeIn, after_s: float) -> None:
        """A client stops playing at whichever comes first: `speech_started`, or the cancelled `response.done`."""
        if not barge.stopped:
            barge.stopped = True
            self._tally.to_silence.extend([after_s] * barge.counted)
