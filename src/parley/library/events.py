"""What a `VoiceSession` tells: small frozen values, in the order in which things happen.

Laws: positions are samples of the session's own `sample_rate`, counted from the first sample it was given; durations end
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
class TurnFigures:
    """Where the time of a turn went, in milliseconds on the wall's clock, from the end of the turn (None: it did not happen).

    `pause_ms` is the silence in which the end was recognised, in audio. A stage's own time is the difference between its
    figure and the one before it. A figure is negative where a reply was begun in the pause, on a guess.
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
    """What your tool returned, as the text that the model is given; `failed`: it raised (`error`), or its arguments were wrong."""

    name: str
    output: str
    failed: bool = False
    error: BaseException | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the conversation: what was heard, and what was answered.

    `start_sample` to `end_sample` is the turn's audio (pre-roll included; both 0 for a typed turn). `answered` is the part
    of the answer that the listener heard, `written` all that was made of it. `chunks` counts the chunks of `chunk_ms` that
    the session took since the turn before ended, the last of them this turn's end.
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


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The user's voice has begun a turn at `start_sample` (pre-roll included)."""

    start_sample: int


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    """The words so far, all of them; later ones may correct it."""

    text: str


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The turn is over; its transcript follows as `TurnEnded`."""

    end_sample: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """What the user said is known. If it is answered, the same turn comes again, complete, as `ReplyEnded`."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class ReplyText:
    """The next words of the answer, as they are written: they may run ahead of the audio."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class ReplyAudio:
    """Audio of the answer as it goes out to the listener: int16, shape `[n]`, at `sample_rate` Hz."""

    samples: NDArray[np.int16]
    sample_rate: int


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """The answer has been heard to its end, or was interrupted."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Failed:
    """Something could not be done, and the session goes on: `code` is short and stable, `message` is for a person.

    `part` is the part of the session that failed ("stt", "policy"...; "" where it was none). `error` is what it could not do; where
    code of yours raised, `error.__cause__` is your exception, with its traceback.
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
