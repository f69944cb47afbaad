"""Speech recognition: audio to text, one stream for each turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from parley.engines.ports.engine import Engine, Samples, Word


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class RecognitionSpec:
    """What a recogniser receives when a stream opens. `language` is a BCP-47 tag or "" (let the engine find out).

    `languages` are the tags among which it is to find out, () for all; an engine that knows none of them refuses.

    `share` is an opaque key: streams of one key share one part of the engine's time, and take turns with those of
    other keys. `live` False: the audio is complete already; live streams go first. `agreement`: where an engine makes words stable because
    hypotheses in a row begin with them, so many hypotheses (2 or more).

    `prompt` and `keywords` change nothing in an engine whose `info` does not declare them. `temperature` (0 to 1): pauses and finals are
    sampled from the engine's distribution at this temperature, 0 chooses the most likely words; None leaves it to the engine's own
    configuration. Whoever opens a stream asks for one above 0 only where `info.temperature` declares it.
    """

    language: str = ""
    prompt: str = ""
    keywords: tuple[str, ...] = ()
    logprobs: bool = False
    languages: tuple[str, ...] = ()
    share: object = field(default=None, repr=False, compare=False)
    live: bool = True
    agreement: int = 2
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Partial:
    """A hypothesis while audio still comes.

    `text` is the best hypothesis so far; `stable` is the leading part of the transcript that the engine promises never
    to take back: it only ever grows, and every later final begins with it ("" where the engine can promise nothing). The one exception:
    where what heard the turn fails during it, and the audio is heard again (by another engine of a chain, or on another connection), the
    final is what is heard then; `stable` still only grows.

    `end_of_turn` is the probability in 0..1 that the speaker has finished with the audio so far, from a recogniser that judges it, else
    None. In a pause it counts as the turn judge's answer does: the higher one of the two decides how long the pause must last.

    `language` and `language_confidence` are as in `Transcript`, as far as they are known during the turn.
    """

    text: str
    stable: str = ""
    end_of_turn: float | None = None
    language: str = ""
    language_confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said. `confidence` in 0..1 or None where the engine gives none.

    `language` is the BCP 47 tag of what was said, "" where the engine does not know. `language_confidence` is its probability in 0..1: 1.0
    where the stream was given the language or the engine knows only one, None where the engine gives none. A session believes a language
    that is confident, or that comes with a long turn.
    """

    text: str
    words: tuple[Word, ...] = ()
    language: str = ""
    confidence: float | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    language_confidence: float | None = None


class RecognizerStream(Protocol):
    """One turn being transcribed. Every method is called on the event loop and none may block it."""

    def feed(self, audio: Samples) -> None:
        """Hand over the next audio at `info.sample_rate`; returns at once (the engine queues, bounded, and works elsewhere).

        Raises `EngineError` as soon as it is known that this stream will have no transcript.
        """
        ...

    async def flush(self) -> Transcript:
        """The best transcript of all audio fed so far, as good as a final; the stream goes on and may be fed further. Where it is asked
        again before it has answered, both may get the later transcript."""
        ...

    async def finish(self) -> Transcript:
        """The final transcript of all audio fed; the stream is over. Call nothing after it."""
        ...

    def close(self) -> None:
        """Abandon the stream at once; safe at any time, also during `flush` or `finish`, and idempotent."""
        ...


@runtime_checkable
class SpeechRecognizer(Engine, Protocol):
    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> RecognizerStream:
        """Start a turn. `on_partial` is called on the event loop, in order, until the stream ends.

        Raises `EngineRefused` (`unsupported_language`) for a language that the engine does not know, `EngineError` where it fails.
        """
        ...
