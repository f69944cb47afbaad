"""What the parts of the interpreter see of each other: routes and links below, the interpreter and its directions for a screen above.

Laws: Protocols and values only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from parley.audio.types import Int16
from parley.interpret.updates import DirectionName, NoteLevel, RouteUpdate

WIRE_RATE = 24_000

STALE_S: Final = 3.0
"""Speech that has waited for so long is not translated, and a translation that has is not played: it would be about something long past."""

DirectionState = Literal[
    "starting", "listening", "translating", "speaking", "muted", "reconnecting", "no device", "raw voice", "stopped"
]
"""What a direction does. translating: words are heard and no translation is played yet. raw voice: the panic key is on."""


class RouteLink(Protocol):
    """One open session that translates one speaker. Iterate over it for updates; `RouteLinkEnded` is the last one.

    `send()` never waits. `speech_began()` and `speech_ended()` say what this machine's own voice activity detection found, between the
    pieces of audio. `finish()`: no more audio comes; what was sent is still answered, then the link ends.
    """

    expires_in_s: float | None
    """When the server ends the session, counted from its opening; None: never, or unknown."""

    def send(self, audio: Int16) -> None: ...

    def speech_began(self) -> None: ...

    def speech_ended(self) -> None: ...

    def set_target(self, language: str) -> None: ...

    def set_voice(self, voice: str) -> None: ...

    def finish(self) -> None: ...

    def __aiter__(self) -> AsyncIterator[RouteUpdate]: ...


@dataclass(slots=True)
class RouteWishes:
    """What a new link is to do. Kept by the direction, changed by the user; "" leaves the server's own."""

    source: str
    target: str
    voice: str = ""


class TranslationRoute(Protocol):
    """A way to have speech translated: opens links. `open()` raises `ServerUnavailable`."""

    name: str
    """For the screen: the server and the kind of session."""
    voices_change: bool
    """Whether the voice can be chosen."""

    def open(self, wishes: RouteWishes) -> AbstractAsyncContextManager[RouteLink]: ...


# --- for a screen ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CaptionLine:
    """A line of a running text: `text` is settled, `unstable` may still change. `at_s` is when it began, `until_s` when it was last added
    to (`time.monotonic()`); `marks` are numbers, names and the like that the translation lacks, or why it is not one."""

    text: str
    unstable: str
    at_s: float
    until_s: float
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PauseStages:
    """From the end of speech, in milliseconds: the last words understood, the first translated words, their first audio here, and at the
    loudspeaker. None: not known of this pause."""

    words_ms: float | None
    text_ms: float | None
    audio_ms: float | None
    played_ms: float | None


@dataclass(frozen=True, slots=True)
class DirectionFigures:
    """The figures of one direction so far. Times in milliseconds, None where nothing was measured yet.

    `last` is the last pause by stages, `pause_p50_ms` and `pause_p95_ms` from the end of speech to the translation at the loudspeaker.
    `span_p50_ms` and `span_p90_ms` is the ear-voice span: how far behind the speaker the translation is that is played.
    `queue_ms` is translated audio that waits to be played. `dropped_s` is audio that was too old to be sent or played.
    `clauses` is how many clauses were translated; None where they are not counted.
    """

    last: PauseStages | None = None
    pause_p50_ms: float | None = None
    pause_p95_ms: float | None = None
    span_p50_ms: float | None = None
    span_p90_ms: float | None = None
    queue_ms: float = 0.0
    dropped_s: float = 0.0
    reconnects: int = 0
    drifts: int = 0
    conversion_rtf: float | None = None
    conversion_ms: float | None = None
    clocks_ppm: float = 0.0
    clauses: int | None = None


class DirectionShown(Protocol):
    """One direction, as a screen reads it."""

    name: DirectionName
    wishes: RouteWishes

    @property
    def voice(self) -> str:
        """The voice that was chosen, of the converter where there is one; "": the usual one."""
        ...

    @property
    def muted(self) -> bool: ...

    @property
    def state(self) -> DirectionState: ...

    @property
    def source(self) -> Sequence[CaptionLine]: ...

    @property
    def target(self) -> Sequence[CaptionLine]: ...

    @property
    def figures(self) -> DirectionFigures: ...

    @property
    def devices(self) -> tuple[str, str]: ...

    @property
    def levels_dbfs(self) -> tuple[float, float]: ...


@dataclass(frozen=True, slots=True)
class CallNote:
    """A line for the user. `direction` None: it concerns both."""

    number: int
    level: NoteLevel
    message: str
    at_s: float
    direction: DirectionName | None = None


@dataclass(frozen=True, slots=True)
class CostShown:
    """What the paid server costs so far, and the cap; None: it costs nothing, or no cap."""

    spent: float | None = None
    cap: float | None = None
    currency: str = "USD"


class InterpreterShown(Protocol):
    """The interpreter, as a screen reads and steers it. All of it on the event loop."""

    recording: Path | None
    push_to_talk: bool
    talking: bool
    """Whether the key is held, or pressed once; always with push-to-talk off."""
    panic: bool
    """The user's raw voice goes to the call, without translation."""

    @property
    def directions(self) -> dict[DirectionName, DirectionShown]: ...

    @property
    def notes(self) -> Sequence[CallNote]: ...

    @property
    def cost(self) -> CostShown: ...

    async def run(self) -> None: ...

    def stop(self) -> None: ...

    def toggle_mute(self, name: DirectionName) -> None: ...

    def set_languages(self, mine: str, theirs: str) -> None: ...

    def set_voice(self, name: DirectionName, voice: str) -> None: ...

    def toggle_push_to_talk(self) -> None: ...

    def press_key(self) -> None: ...

    def toggle_panic(self) -> None: ...


class InterpreterView(Protocol):
    """What shows the interpreter. Called on the event loop; must return at once."""

    def changed(self, name: DirectionName) -> None: ...

    def noted(self, note: CallNote) -> None: ...

    def ticked(self) -> None: ...
