"""One turn that a streaming recogniser of sherpa-onnx transcribes: its audio, its pauses, and the text that has been promised.

Laws:
- The recogniser's state goes on over pauses. A pause is given silence behind its audio, as long as the model looks ahead, so that its text
  is there at once; the times of words are those of the audio without that silence.
- With greedy decoding a token is never taken back, so the text up to the last whole word is a promise, and all of it at a pause. A beam
  search promises nothing.
- A pause with nothing but silence behind the last one has its transcript; nothing is decoded again.
- Text depends on the audio and on where it was flushed, never on how it was chunked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from parley.audio.types import Samples
from parley.engines.fair_queue import Backlog
from parley.engines.ports import Partial, RecognitionSpec, Transcript, Word
from parley.engines.stt.sherpa_batch import MAX_PIECE, Batches, StreamAudio
from parley.engines.stt.sherpa_library import Decoded, StreamingModel, unspaced
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.engines.stt.turn_stream import Cut, TurnStream

STEP: Final = SAMPLE_RATE * 8 // 100
"""New audio that is worth a batch: the step of the fastest models."""

_KEPT: Final = SAMPLE_RATE
"""Audio that is kept after it was decoded, to find out whether it was speech."""


class SherpaStream(TurnStream[Cut]):
    """The `RecognizerStream` port, and what `Batches` sees of a stream. `known_language` is the only one that the model knows, or ""."""

    def __init__(
        self,
        spec: RecognitionSpec,
        on_partial: Callable[[Partial], None],
        model: StreamingModel,
        batches: Batches,
        backlog: Backlog,
        on_end: Callable[[SherpaStream], None],
        *,
        greedy: bool,
        known_language: str,
    ) -> None:
        super().__init__(spec, on_partial, backlog)
        self.state: Any = None
        self._spec = spec
        self._model = model
        self._batches = batches
        self._on_end = on_end
        self._greedy = greedy
        self._language = spec.language or known_language
        self._taken = 0
        """Up to where the recogniser has the audio."""
        self._padded: list[int] = []
        """Where silence was put in."""
        self._heard = Decoded()
        self._spoken = False
        """Whether the audio since the last pause that is not kept any more was speech."""
        self._pause: tuple[int, Transcript] = (0, Transcript(""))

    # --- the port ---

    def _fed(self, audio: Samples) -> None:
        if self._audio.end - self._taken >= STEP:
            self._batches.want(self)

    async def flush(self) -> Transcript:
        self._raise_if_over()
        end = self._audio.end
        if self._cuts:
            last = self._cuts[-1].position
            end = end if self._audio.has_speech(max(last, self._audio.start), end) else last
        elif self._heard.text == self._pause[1].text and not self._speech_since_pause(end):
            return self._pause[1]
        waiter: asyncio.Future[Transcript] = self._loop.create_future()
        self._cuts.append(Cut(end, waiter))
        self._batches.want(self)
        return await waiter

    def _leave(self) -> None:
        self.state = None
        self._batches.forget(self)
        self._on_end(self)

    # --- what the batches see ---

    def new_state(self) -> Any:
        return self._model.new_stream(self._spec.language, self._spec.keywords)

    def take_piece(self) -> StreamAudio | None:
        if self.closed or self._error is not None:
            return None
        cut = self._cuts[0].position if self._cuts else None
        end = min(self._audio.end if cut is None else cut, self._taken + MAX_PIECE)
        if end <= self._taken and cut is None:
            return None
        audio = self._audio.samples(self._taken, end)
        self._taken = end
        return StreamAudio(audio, pad=end == cut)

    def heard(self, piece: StreamAudio, heard: Decoded) -> None:
        if self._error is not None:
            return
        if heard.text != self._heard.text:
            self._audio.learn_level(self._audio.start, self._taken)
        self._heard = heard
        stable = (heard.text if piece.pad else _whole_words(heard.text)) if self._greedy else ""
        self._report(Partial(heard.text, max(stable, self._reported.stable, key=len)))
        if piece.pad:
            self._padded.append(self._taken)
            self._settle()
        elif self._taken - self._audio.start > _KEPT:
            self._spoken = self._speech_since_pause(self._taken)
            self._drop(self._taken)
        if self._cuts or self._audio.end - self._taken >= STEP:
            self._batches.want(self)

    # --- inside ---

    def _settle(self) -> None:
        """All audio up to a pause has its text."""
        self._pause = (self._taken, self._transcript())
        self._spoken = False
        self._drop(self._taken)
        while self._cuts and self._cuts[0].position == self._taken:
            self._cuts.popleft().answer(self._pause[1])

    def _speech_since_pause(self, end: int) -> bool:
        return self._spoken or self._audio.has_speech(max(self._pause[0], self._audio.start), end)

    def _transcript(self) -> Transcript:
        heard = self._heard
        return Transcript(
            heard.text,
            tuple(self._in_turn(word) for word in heard.words()),
            self._language,
            heard.confidence if self._greedy else None,
            heard.token_logprobs() if self._spec.logprobs and self._greedy else (),
            1.0 if self._language else None,
        )

    def _in_turn(self, word: Word) -> Word:
        return replace(word, start_ms=self._turn_ms(word.start_ms), end_ms=self._turn_ms(word.end_ms))

    def _turn_ms(self, time_ms: float) -> float:
        """A time of the recogniser's audio in the turn's, which has no silence put in."""
        pad_ms = self._model.pad_samples * 1_000 / SAMPLE_RATE
        for position in self._padded:
            at_ms = position * 1_000 / SAMPLE_RATE
            time_ms = time_ms if time_ms <= at_ms else max(at_ms, time_ms - pad_ms)
        return time_ms


def _whole_words(text: str) -> str:
    """The part of a growing text that ends with a whole word; in a script without spaces, with the last character but one."""
    head, _, last = text.rpartition(" ")
    return text[:-1] if unspaced(last) else head
