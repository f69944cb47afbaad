"""One turn being transcribed by PocketSphinx: its audio, its pauses, and the text that has been promised.

Laws:
- Every pause (`flush`) commits its text. Decoding starts anew behind it, so a long turn costs no more per second than a short
  one, and what was committed is a promise (`Partial.stable`). Measured on read speech, cutting at pauses loses no words.
- A live turn that nobody flushes, because its client ends it, is cut at the pauses that are heard in it (`PauseFinder`).
- Without a pause, the turn is cut at the quietest place of the last five seconds before `MAX_SEGMENT`.
- Text depends on the audio and on where it was flushed, never on how it was chunked or on who else speaks.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from parley.audio.types import Samples
from parley.engines.fair_queue import Backlog
from parley.engines.ports import Partial, RecognitionSpec, TokenLogprob, Transcript, Word
from parley.engines.stt.pauses import PauseFinder
from parley.engines.stt.pocketsphinx_pool import SLICE, DecoderPool
from parley.engines.stt.pocketsphinx_process import Hypothesis
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.engines.stt.turn_stream import Cut, TurnStream

MAX_SEGMENT = 10 * SAMPLE_RATE
"""Longest audio decoded at once: ten seconds take about a second, which is what another session's turn may have to wait. Measured on read
speech, cutting at ten loses no more words than at twenty."""

LEAD_IN = SAMPLE_RATE * 3 // 10
"""Silence kept in front of the next word."""


class PocketsphinxStream(TurnStream[Cut]):
    """The `RecognizerStream` port, and the pool's `PendingSegment`."""

    def __init__(
        self,
        spec: RecognitionSpec,
        on_partial: Callable[[Partial], None],
        pool: DecoderPool,
        backlog: Backlog,
        on_end: Callable[[PocketsphinxStream], None],
    ) -> None:
        super().__init__(spec, on_partial, backlog)
        self.busy = False
        self.muted = False
        self.decoded = 0
        self.lost = 0
        self.abandoned = 0
        self.last_fed_s = 0.0
        self._logprobs = spec.logprobs
        self._on_end = on_end
        self._pool = pool
        self._last_cut = 0
        self._pauses = PauseFinder()
        self._text = ""
        self._words: list[Word] = []
        self._posteriors: list[float] = []

    # --- the port ---

    def _fed(self, audio: Samples) -> None:
        self.last_fed_s = self._loop.time()
        for position in self._pauses.feed(audio) if self.live else ():
            self._cut(position)
        while self._audio.end - self._last_cut > MAX_SEGMENT:
            middle = self._last_cut + MAX_SEGMENT // 2
            self._cut(self._audio.quietest(middle, self._last_cut + MAX_SEGMENT))
        if not self._cuts and self.available() - self.decoded >= SLICE:
            self._pool.want_partials(self)

    async def flush(self) -> Transcript:
        self._raise_if_over()
        if not self._cuts and not self._audio.has_speech(self._audio.start, self._audio.end):
            return self._transcript()
        waiter: asyncio.Future[Transcript] = self._loop.create_future()
        self._pauses.cut()
        self._cut(self._audio.end, waiter)
        return await waiter

    def _leave(self) -> None:
        self._pool.forget(self)
        self._on_end(self)

    # --- what the pool sees: bytes of the present segment ---

    def available(self) -> int:
        return 2 * self._audio.held

    def audio(self, start: int, end: int) -> bytes:
        origin = self._audio.start
        return self._audio.pcm16(origin + start // 2, origin + end // 2)

    def next_cut(self) -> int | None:
        return 2 * (self._cuts[0].position - self._audio.start) if self._cuts else None

    def cuts(self) -> int:
        return len(self._cuts)

    def report(self, text: str) -> None:
        self._report(Partial(_join(self._text, text), self._text))

    def worth_decoding(self, size: int) -> bool:
        return self._audio.has_speech(self._audio.start, self._audio.start + size // 2)

    def commit(self, size: int, hypothesis: Hypothesis | None) -> None:
        if not self._cuts:
            return  # it failed while it was being decoded
        cut = self._cuts.popleft()
        position = self._audio.start + size // 2
        if hypothesis is None:
            self._drop(position - LEAD_IN)
        else:
            self._keep(hypothesis, position)
            self._drop(position)
            self._report(Partial(self._text, self._text))
        self.decoded = self.lost = self.abandoned = 0
        self.muted = False
        cut.answer(self._transcript())
        if self._cuts:
            self._pool.want_pause(self)
        elif self.available() >= SLICE:
            self._pool.want_partials(self)

    # --- inside ---

    def _cut(self, position: int, waiter: asyncio.Future[Transcript] | None = None) -> None:
        self._last_cut = position
        self._cuts.append(Cut(position, waiter))
        self._pool.want_pause(self)

    def _keep(self, hypothesis: Hypothesis, position: int) -> None:
        start = self._audio.start
        self._audio.learn_level(start, position)
        offset_ms = 1000 * start / SAMPLE_RATE
        self._text = _join(self._text, hypothesis.text)
        self._words += [Word(w.text, w.start_ms + offset_ms, w.end_ms + offset_ms) for w in hypothesis.words]
        self._posteriors += hypothesis.posteriors

    def _transcript(self) -> Transcript:
        logprobs: tuple[TokenLogprob, ...] = ()
        if self._logprobs:
            pairs = zip(self._words, self._posteriors, strict=True)
            logprobs = tuple(TokenLogprob(word.text, math.log(max(p, 1e-9))) for word, p in pairs)
        confidence = sum(self._posteriors) / len(self._posteriors) if self._posteriors else None
        return Transcript(self._text, tuple(self._words), "en", confidence, logprobs, language_confidence=1.0)


def _join(before: str, after: str) -> str:
    return f"{before} {after}".strip()
