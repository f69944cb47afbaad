"""Voice conversion: the same speech in another voice, while it streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from parley.engines.ports.engine import Engine, Samples


@dataclass(frozen=True, slots=True)
class ConversionSpec:
    """What a stream converts to. `voice` is one of `info.voices`, "" for the engine's usual one. `share` is an opaque key: streams of
    different keys take turns (see `RecognitionSpec`).

    `context` is what the same speaker said just before, float32 `[n]` at `info.sample_rate`, None where nothing is known. It is not
    converted and no output stands for it; an engine may know the speaker's voice from it. No more than its last 3 s are of use.
    """

    voice: str = ""
    share: object = field(default=None, repr=False, compare=False)
    context: Samples | None = field(default=None, repr=False, compare=False)


class ConversionStream(Protocol):
    """One utterance being converted. Its time line is that of its input: output sample n says what input sample n said.

    After inputs of N samples in all, `convert()` has returned at least N - L samples in all, where L is `VoiceConverter.latency_ms` in
    samples, and never more than N; after `finish()` it is exactly N. So word times and heard positions of the input hold for the output.
    Call one method at a time.
    """

    async def convert(self, audio: Samples) -> Samples:
        """Take the next audio, float32 `[n]` at `info.sample_rate`; return what is ready, float32 `[m]` at the same rate, m may be 0.

        Must not block the event loop. Raises `EngineError` where the engine fails; the stream is over then.
        """
        ...

    async def finish(self) -> Samples:
        """Return what was held back. Call nothing but `close()` after it."""
        ...

    def close(self) -> None:
        """Abandon the stream at once; safe at any time, also during `convert()`, and idempotent."""
        ...


@runtime_checkable
class VoiceConverter(Engine, Protocol):
    """Converts speech to other voices at `info.sample_rate` Hz, in and out."""

    @property
    def latency_ms(self) -> float:
        """The most audio that a stream holds back, in milliseconds: the delay it adds to a live voice, computing time aside."""
        ...

    @property
    def block_ms(self) -> float:
        """The audio that is computed at once, in milliseconds. A live voice is delayed by `latency_ms` and as much again as one block, in
        which the block is computed. Valid after `open()`, like `latency_ms`."""
        ...

    def open_stream(self, spec: ConversionSpec) -> ConversionStream:
        """Begin an utterance. Raises `EngineRefused` (`unknown_voice`) for a voice that `resolve_voice()` does not know."""
        ...

    def resolve_voice(self, voice: str) -> str | None:
        """The engine's own name of `voice` ("" is its usual one), or None where it is unknown."""
        ...
