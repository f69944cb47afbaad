"""The events of a `VoiceSession`: small frozen values, in the order in which they happened.

Laws: positions are samples of the session's own `sample_rate`, counted from the first one; durations end
in `_ms`; audio is int16, shape `[n]`, with its rate beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word that was heard, and where it lies in the input (samples)."""

    text: str
    start_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True)
class HeardToken:
    """A token of the recogniser's, and the logarithm of its probability."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class TurnFigures:
    """Where the time of a turn went, in milliseconds of real time since the end of the turn (None: it did not happen).

    `pause_ms` is the silence in which the end was recognised, in audio. A stage's own time is the difference between its
    figure and the one before it. A figure is negative where a speculative reply began in the pause.
    """

    pause_ms: float | None = None
    transcript_ms: float | None = None
    first_text_ms: float | None = None
    first_audio_ms: float | None = None
    reply_ms: float | None = None


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The model calls one of your tools; `arguments` are JSON values by name."""

    name: str
    arguments: dict[str, object]


@dataclass(frozen=True, slots=True)
class ToolEnded:
    """A call of your tool is over. `output` is the text shown to the model; `failed`: the function raised (`error`), its arguments were
    wrong, or it took too long."""

    name: str
    output: str
    failed: bool = False
    error: BaseException | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the conversation: what was heard, and what was answered.

    `start_sample` to `end_sample` is the turn's audio (pre-roll included; both 0 for a typed turn). `answered` is the part
    of the answer that the listener heard, `written` all that was made of it. `chunks` counts the chunks of `chunk_ms` that
    the session took since the turn before ended, the last of them this turn's end. `confidence` (0..1) and `tokens` are there where the
    recogniser gives them, the latter where they were asked for.
    """

    number: int
    heard: str = ""
    start_sample: int = 0
    end_sample: int = 0
    words: tuple[HeardWord, ...] = ()
    language: str = ""
    chunks: int = 0
    answered: str = ""
    written: str = ""
    interrupted: bool = False
    calls: tuple[ToolCalled, ...] = ()
    figures: TurnFigures = TurnFigures()
    confidence: float | None = None
    tokens: tuple[HeardToken, ...] = ()


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The user's voice has begun a turn at `start_sample` (pre-roll included)."""

    start_sample: int


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    """All words of the turn so far; a later one may correct it."""

    text: str


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The turn is over; its transcript follows as `TurnEnded`."""

    end_sample: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The transcript of a turn is final. If the turn is answered, the same turn comes again, complete, as `ReplyEnded`."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class ReplyText:
    """The next words of the reply, as the model writes them: they may be ahead of the audio."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class ReplyAudio:
    """Audio of the reply as it is played: int16, shape `[n]`, at `sample_rate` Hz."""

    samples: NDArray[np.int16]
    sample_rate: int


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """The reply has been played to its end, or was interrupted."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Failed:
    """Something failed, and the session continues. `code` is short and stable, `message` is for people.

    `part` is the part of the session that failed ("stt", "policy"...), or "". `error` is what failed; if your
    own code raised, `error.__cause__` is your exception, with its traceback.
    """

    code: str
    message: str
    part: str = ""
    error: Exception | None = field(default=None, compare=False, repr=False)


VoiceEvent = (
    SpeechStarted
    | PartialTranscript
    | SpeechStopped
    | TurnEnded
    | ReplyText
    | ReplyAudio
    | ToolCalled
    | ToolEnded
    | ReplyEnded
    | Failed
)
