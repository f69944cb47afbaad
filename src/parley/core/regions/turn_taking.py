"""The user's voice: Quiet, Speaking(turn) or Pausing(turn, since), changed only by voice scores.

Laws: everything here is counted in samples; a turn exists only while the user speaks or pauses. Speech begins
after `ONSET_FRAMES` voiced frames in a row, and a frame stays voiced down to `OFF_THRESHOLD_DROP` below the
threshold (hysteresis). Knows nothing of replies.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import assert_never

from parley.core.words.errors import Fault
from parley.core.words.ids import FlushId, ItemId, JudgementId, TurnId
from parley.core.words.limits import CONSIDER_EVERY_MS, OFF_THRESHOLD_DROP, ONSET_FRAMES, SAMPLES_PER_MS
from parley.text.joining import after_words

FRAME = 768
"""Samples of one voice score: 32 ms at 24 kHz."""


@dataclass(slots=True)
class UserTurn:
    """One stretch of the user's speech.

    `start_sample` includes the pre-roll; `fed_to` is how far the recogniser has been given it. `provisional`: the
    client does not know of it yet, because it lies over a reply and has not been granted the floor, or is the client's own to end.
    `content_index` is its audio's place in the item; `private`: the item is in a response's own input, whose words the client is not sent.
    """

    id: TurnId
    item_id: ItemId
    start_sample: int
    onset_sample: int
    fed_to: int
    provisional: bool = False
    text: str = ""
    stable: str = ""
    sent: str = ""
    shown: str = ""
    """Its unstable words that the client has been sent last."""
    fault: Fault | None = None
    content_index: int = 0
    private: bool = False
    considered_to: int = 0
    """How much of its stable words the policy has been asked about."""
    decided_to: int = 0
    """Up to where in its words work has been decided."""
    decided: str = ""
    """Those words."""
    language: str = ""
    """What the recogniser believes is spoken, as of its last hypothesis."""
    language_confidence: float | None = None
    waiting_since: int | None = None
    """The sample at which the first stable word without work became stable; None: there is none."""
    asked_at: int = 0
    """The sample at which the policy was last asked about waiting words."""
    passed_to: int = 0
    """Up to which sample its audio has been passed on, or was decided not to be."""

    def consider_stable(self) -> bool:
        """Whether there are stable words that the policy has not considered; marks them as considered."""
        new = len(self.stable) > self.considered_to
        self.considered_to = max(self.considered_to, len(self.stable))
        return new

    def undecided_from(self, text: str) -> int:
        """Where in `text` the words begin for which no work has been decided; by their number, where `text` does not begin with the
        stable words (see `engines.ports.Partial`)."""
        if text.startswith(self.decided):
            return self.decided_to
        return after_words(text, len(self.decided.split()))

    def decide(self, text: str, end: int, sample: int) -> str:
        """Work has been decided for its words up to index `end` of `text`, of which the audio up to `sample` was heard. Returns these
        words."""
        begin = self.undecided_from(text)
        end = max(begin, end)
        self.decided_to, self.decided = end, text[:end]
        self.waiting_since = sample if self.stable[end:].strip() else None
        return text[begin:end]

    def passes(self, to: int) -> tuple[int, int]:
        """The span of its audio (samples) up to `to` that has not been passed on; marks it as passed on."""
        begin = max(self.passed_to, self.start_sample)
        self.passed_to = max(begin, to)
        return begin, self.passed_to

    def wait(self, sample: int) -> None:
        """There are stable words without work, as of `sample`."""
        if self.waiting_since is None and self.stable[self.decided_to :].strip():
            self.waiting_since = self.asked_at = sample

    def due(self, sample: int) -> bool:
        """Whether the policy is to be asked about the waiting words at `sample`; marks it as asked."""
        if self.waiting_since is None or sample - self.asked_at < CONSIDER_EVERY_MS * SAMPLES_PER_MS:
            return False
        self.asked_at = sample
        return True

    def claim(self) -> None:
        """Give it the floor."""
        self.provisional = False

    def hear(
        self, text: str, stable: str | None = None, language: str = "", language_confidence: float | None = None
    ) -> None:
        """Record its words so far; `stable` is the part that is never taken back."""
        self.text = text
        if language:
            self.language, self.language_confidence = language, language_confidence
        if stable is not None and stable.startswith(self.stable):
            self.stable = stable

    def tell_stable(self) -> str:
        """The stable words that the client has not been sent; marks them as sent."""
        new = self.stable[len(self.sent) :]
        self.sent += new
        if new:
            self.shown = ""
        return new

    def show(self, unstable: str) -> bool:
        """These are its words behind the sent ones now; whether the client is to be told. Sent words end the unstable ones."""
        changed, self.shown = unstable != self.shown, unstable
        return changed

    def feed(self, end: int) -> None:
        """Record that the recogniser has its audio up to `end`."""
        self.fed_to = end

    def fail(self, fault: Fault) -> None:
        """Record that it gets no transcript."""
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Quiet:
    """The user does not speak; `voiced` consecutive voiced frames have been scored, the first beginning at `onset`."""

    voiced: int = 0
    onset: int = 0


@dataclass(frozen=True, slots=True)
class Speaking:
    turn: UserTurn


@dataclass(frozen=True, slots=True)
class Pausing:
    """The voice stopped at `since`; what is known of the pause so far.

    `flush`: a transcript was asked for in this pause, `text`, `logprobs` and `language` are its answer; `judgement` likewise and
    `finished`; `end_of_turn` is the recogniser's own judgement. None of it can be stale: speech ends the pause and this value with it.
    """

    turn: UserTurn
    since: int
    flush: FlushId | None = None
    text: str | None = None
    logprobs: str = ""
    language: str = ""
    judgement: JudgementId | None = None
    judged_text: str = ""
    finished: float | None = None
    end_of_turn: float | None = None

    @property
    def verdict(self) -> float | None:
        """The probability that the turn is over: the higher one of the judge's and the recogniser's, None where neither has judged.

        The higher one, because each may know what the other cannot: the recogniser hears an ending that has no words yet, the judge knows
        a whole sentence.
        """
        known = [one for one in (self.finished, self.end_of_turn) if one is not None]
        return max(known, default=None)


Position = Quiet | Speaking | Pausing


@dataclass(frozen=True, slots=True)
class Began:
    """Speech has begun at this sample (before any pre-roll)."""

    onset: int


@dataclass(frozen=True, slots=True)
class Paused:
    turn: UserTurn
    since: int


@dataclass(frozen=True, slots=True)
class Resumed:
    turn: UserTurn


Change = Began | Paused | Resumed | None

_QUIET = Quiet()

_REMEMBERED = 2_000 // 32 + ONSET_FRAMES
"""Frames of silence whose scores are kept for a pre-roll that looks at them: as many as its audio."""


@dataclass(slots=True)
class TurnTaking:
    """The region: its position, and how far the voice has been scored."""

    position: Position = field(default_factory=Quiet)
    scored_to: int = 0
    manual: UserTurn | None = None
    """The turn that the client will end itself, where it detects turns."""
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    @property
    def before(self) -> tuple[float, ...]:
        """The scores of the frames before a voice that has just begun, the latest first."""
        return tuple(islice(self._recent, ONSET_FRAMES, None))

    def heard(self, end_sample: int, probability: float, threshold: float) -> Change:
        """Take one score; returns what changed. The caller sets the resulting position."""
        self.scored_to = end_sample
        match self.position:
            case Quiet(voiced=voiced, onset=onset):
                self._recent.appendleft(probability)
                if probability < threshold:
                    if voiced:
                        self.position = _QUIET
                    return None
                onset = onset if voiced else end_sample - FRAME
                if voiced + 1 < ONSET_FRAMES:
                    self.position = Quiet(voiced + 1, onset)
                    return None
                return Began(onset)
            case Speaking(turn=turn):
                quiet = probability < threshold - OFF_THRESHOLD_DROP
                return Paused(turn, end_sample - FRAME) if quiet else None
            case Pausing(turn=turn):
                return Resumed(turn) if probability >= threshold else None
            case _:
                assert_never(self.position)

    def speak(self, turn: UserTurn) -> None:
        self._recent.clear()
        self.position = Speaking(turn)

    def pause(self, turn: UserTurn, since: int) -> None:
        self.position = Pausing(turn, since)

    def rest(self) -> None:
        self.position = _QUIET

    # --- what becomes known of a pause ---------------------------------------------------------------------------------------

    def flush(self, pausing: Pausing, flush: FlushId) -> Pausing:
        """Record that the transcript so far was requested."""
        return self._know(replace(pausing, flush=flush))

    def judge(self, pausing: Pausing, judgement: JudgementId, text: str) -> Pausing:
        """Record that the turn judge was asked with this text."""
        return self._know(replace(pausing, judgement=judgement, judged_text=text))

    def judged(self, pausing: Pausing, finished: float) -> Pausing:
        return self._know(replace(pausing, finished=finished))

    def ending(self, turn: UserTurn, probability: float) -> None:
        """Record the recogniser's judgement of the pause; one that comes while the user speaks is about an earlier moment."""
        if isinstance(self.position, Pausing) and self.position.turn is turn:
            self._know(replace(self.position, end_of_turn=probability))

    def transcribed(self, pausing: Pausing, text: str, logprobs: str, language: str) -> Pausing:
        """Record the transcript of the words before the pause."""
        pausing.turn.hear(text)
        return self._know(replace(pausing, text=text, logprobs=logprobs, language=language))

    def _know(self, pausing: Pausing) -> Pausing:
        self.position = pausing
        return pausing

    # --- turns ---------------------------------------------------------------------------------------------------------------

    @property
    def turn(self) -> UserTurn | None:
        """The turn that is being spoken."""
        return None if isinstance(self.position, Quiet) else self.position.turn

    def open(self) -> list[UserTurn]:
        """Every turn that is not committed: the client's own, and the one that is being spoken."""
        return [turn for turn in (self.manual, self.turn) if turn is not None]

    def begin_manual(self, turn: UserTurn) -> None:
        self.manual = turn

    def end_manual(self) -> None:
        self.manual = None
