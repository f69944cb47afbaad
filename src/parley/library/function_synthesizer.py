"""Functions as the synthesizer, and as what cuts a reply into clauses.

Laws: audio is int16 or float32 in [-1, 1], shape `[n]`, at 24 kHz unless its rate stands beside it; clauses join to
exactly what was written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parley.audio import pcm
from parley.audio.files import Recording
from parley.audio.types import Samples
from parley.core.words.limits import SAMPLE_RATE
from parley.engines.ports import EngineError, SpeechChunk, SpeechRequest
from parley.library.frame_reader import FULL_SCALE_MISTAKEN
from parley.library.functions import FunctionEngine, asked_for, called, pieces_of
from parley.library.own_code import OwnCode
from parley.text.clauses import Clause
from parley.text.speakable import speakable

MAX_CLAUSE_CHARACTERS = 4_000
"""An own chunker that never cuts: four minutes of speech, which no synthesizer takes at once."""

Sound = NDArray[np.int16] | NDArray[np.float32] | bytes | Recording | tuple[NDArray[Any], int]
"""int16 or float32 `[n]`, or PCM16 bytes, at 24 kHz; a `Recording`, or `(samples, rate)`, at any rate."""

TtsFunction = Callable[..., Sound | Iterable[Sound] | AsyncIterator[Sound] | Awaitable[Sound]]
"""From the text of a clause to its sound, whole or piece by piece. A function that has parameters `voice`, `language` or `speed` is
given them by name."""

Chunker = Callable[[str], int]
"""From the text that waits to be spoken to how many of its characters are a clause now; 0: none yet. At the end of the reply the rest is
one."""


class FunctionSynthesizer(FunctionEngine):
    """A function that meets the `SpeechSynthesizer` port."""

    stage = "tts"
    sample_rate = SAMPLE_RATE

    def __init__(self, function: TtsFunction) -> None:
        super().__init__(function)
        self._asks = asked_for(function, ("voice", "language", "speed"))

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        return voice

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        named = {name: getattr(request, name) for name in self._asks}
        whole = (np.ndarray, bytes, Recording, tuple)
        async with aclosing(pieces_of(await called(self.function, request.text, **named), whole)) as pieces:
            async for piece in pieces:
                yield self._chunk(piece)

    def _chunk(self, piece: Any) -> SpeechChunk:
        rate = SAMPLE_RATE
        if isinstance(piece, Recording):
            piece = piece.audio, piece.sample_rate
        if isinstance(piece, tuple) and len(piece) == 2:
            piece, rate = piece[0], int(piece[1])
        if isinstance(piece, bytes):
            piece = pcm.as_int16(piece)
        if not isinstance(piece, np.ndarray) or piece.ndim != 1 or rate <= 0:
            raise self._refused(f"gave {_shape(piece)} at {rate} Hz")
        if piece.dtype == np.int16:
            return SpeechChunk(pcm.to_float(piece), rate)
        if not np.issubdtype(piece.dtype, np.floating):
            raise self._refused(f"gave {_shape(piece)}")
        audio: Samples = piece.astype(np.float32, copy=False)
        if len(audio) and not np.abs(audio).max() <= FULL_SCALE_MISTAKEN:
            raise self._refused("gave float samples beyond [-1, 1]")
        return SpeechChunk(audio, rate)

    def _refused(self, what: str) -> EngineError:
        return EngineError(
            f"{self.name} {what}.",
            code="invalid_sound",
            remedy=f"Give int16 or float32 samples in [-1, 1], of shape [n], at {SAMPLE_RATE} Hz, or (samples, rate).",
        )


def _shape(piece: object) -> str:
    return (
        f"{piece.dtype} samples of shape {list(piece.shape)}" if isinstance(piece, np.ndarray) else type(piece).__name__
    )


class OwnCutter:
    """A `Cutter` that asks a function of the owner's."""

    def __init__(self, own: OwnCode, name: str, function: Chunker) -> None:
        self._own = own
        self._name = name
        self._function = function
        self._text = ""
        self._line_start = True

    def push(self, delta: str) -> list[Clause]:
        self._text += delta
        done: list[Clause] = []
        while self._text and (count := self._asked()):
            done.append(self._cut(count))
        return done

    def hurry(self) -> list[Clause]:
        return []

    def finish(self) -> list[Clause]:
        return [self._cut(len(self._text))] if self._text else []

    def _asked(self) -> int:
        with self._own.border("chunker", self._name):
            count: Any = self._function(self._text)
            if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 0 <= count <= len(self._text):
                raise EngineError(
                    f"{self._name} gave {count!r} for a text of {len(self._text)} characters.",
                    code="invalid_clause",
                    remedy="Give how many of them are a clause, 0 for none yet.",
                )
        return int(count) if count or len(self._text) < MAX_CLAUSE_CHARACTERS else MAX_CLAUSE_CHARACTERS

    def _cut(self, count: int) -> Clause:
        text, self._text = self._text[:count], self._text[count:]
        clause = Clause(text, speakable(text, line_start=self._line_start))
        self._line_start = text.endswith("\n")
        return clause
