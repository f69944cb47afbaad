"""Turns for a recogniser that takes audio and returns a transcript, whole.

An engine whose library is one blocking call makes `OfflineTurns` in `open()` with its function, and returns `open_stream()` of it. It gets
partial transcripts, long turns, pauses, fairness between sessions, bounds, time limits and an orderly end. An engine that awaits its
transcripts (a remote one) makes a `SegmentedTurns` of its own.

Laws:
- The function gets at most `MAX_SEGMENT` of audio. Longer speech is cut at its quietest place; a pause behind `commit_samples` ends a
  segment, one that is asked for (`flush`) or, in a live turn, one that is heard (`PauseFinder`). The text of a segment that has ended is a
  promise (`Partial.stable`).
- Silence is not decoded: models that were trained on speech invent words for it.
- A pause with nothing but silence behind the last one has its transcript; nothing is decoded again, even where that one still is.
- A stream is decoded once at a time, pauses before partials. A partial is always of the latest audio: a busy model makes partials rarer,
  never late. So it is with the pauses of live turns: where the speaker has paused again before one is decoded, the later one is decoded
  for both.
- With `agreement`, words of the present segment that two partials or pauses in a row begin with are a promise too: every later text of
  the segment begins with them, whatever its decoding says there (see `agreement.WordAgreement`). A stream that asks for logprobs gets no
  such promise.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from parley.audio.types import Samples
from parley.engines.fair_queue import Backlog
from parley.engines.model_threads import LIMIT_S
from parley.engines.model_worker import ModelWorker
from parley.engines.ports import EngineError, Partial, RecognitionSpec, Transcript, Word
from parley.engines.stt.agreement import UNSPACED, WordAgreement
from parley.engines.stt.pauses import PauseFinder
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.engines.stt.turn_stream import Cut, TurnStream, new_backlog

MAX_SEGMENT = 28 * SAMPLE_RATE
"""Just below the 30 s that most models were trained on."""

COMMIT_SAMPLES = 10 * SAMPLE_RATE
"""A pause behind so much audio is a good place to start anew, unless the engine says otherwise."""

FIRST_PARTIAL = SAMPLE_RATE
"""Audio before the first partial."""

PARTIAL_STEP = SAMPLE_RATE * 3 // 10
"""New audio between partials at least, unless the engine says otherwise."""

LEAD_IN = SAMPLE_RATE * 3 // 10
"""Silence kept in front of the next word."""

MAX_STREAMS = 1024
"""Turns open at once; far more than any machine can decode, so reaching it means streams are not being closed."""

Transcribe = Callable[[Samples, RecognitionSpec], Transcript]
"""Called on a thread: 16 kHz float32 audio `[n]` of at most `MAX_SEGMENT`, and what the stream was opened with. Word times count from the
start of this audio."""


class SegmentedTurns(ABC):
    """The turns of one recogniser. Make it on the event loop; `model` names the engine in messages.

    `partials` False saves the work of partial transcripts; `agreement` promises the words on which partials agree. `commit_samples`: less
    for a model that takes longer the more it hears, and needs little of what came before.
    """

    partial_step = PARTIAL_STEP
    """New audio between partials at least."""

    def __init__(
        self, model: str, *, partials: bool = True, agreement: bool = False, commit_samples: int = COMMIT_SAMPLES
    ) -> None:
        self.model = model
        self.partials = partials
        self.agreement = agreement
        self.commit_samples = commit_samples
        self._backlog = new_backlog()
        self._streams: set[OfflineStream] = set()

    @abstractmethod
    async def decode(
        self, audio: Samples, start_ms: float, spec: RecognitionSpec, on_text: Callable[[str], None]
    ) -> Transcript:
        """The transcript of 16 kHz float32 audio `[n]` of at most `MAX_SEGMENT`, which begins at `start_ms` of its turn (see `in_turn`).

        `on_text` may be called with the text so far while it is being made. Cancelled when the turn is closed. Raises `EngineError`.
        """
        ...

    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> OfflineStream:
        """Start a turn (see `SpeechRecognizer.open_stream`). Raises `EngineError` (`too_many_streams`)."""
        if len(self._streams) >= MAX_STREAMS:
            raise EngineError(f"{MAX_STREAMS} transcriptions are open already.", code="too_many_streams")
        stream = self.new_stream(spec, on_partial, self._backlog, self._streams.discard)
        self._streams.add(stream)
        return stream

    def new_stream(
        self,
        spec: RecognitionSpec,
        on_partial: Callable[[Partial], None],
        backlog: Backlog,
        on_end: Callable[[OfflineStream], None],
    ) -> OfflineStream:
        """One that an engine may replace by a kind of its own (see `OfflineStream.hear`)."""
        return OfflineStream(spec, on_partial, self, backlog, on_end)

    async def close(self) -> None:
        """Close every stream; idempotent."""
        for stream in tuple(self._streams):
            stream.close()


class OfflineTurns(SegmentedTurns):
    """The turns of one loaded model whose library blocks.

    `threads` is how many calls the model can serve at once, `limit_s` how long one may take.
    """

    def __init__(
        self,
        model: str,
        transcribe: Transcribe,
        *,
        threads: int = 1,
        partials: bool = True,
        agreement: bool = False,
        commit_samples: int = COMMIT_SAMPLES,
        limit_s: float = LIMIT_S,
    ) -> None:
        super().__init__(model, partials=partials, agreement=agreement, commit_samples=commit_samples)
        self.transcribe = transcribe
        self.worker = ModelWorker(
            model, title="Speech recognition", code_prefix="recognizer", threads=threads, limit_s=limit_s
        )

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be decoded at this moment (see `Supervised`); None while something can."""
        return self.worker.fault

    async def decode(
        self, audio: Samples, start_ms: float, spec: RecognitionSpec, on_text: Callable[[str], None]
    ) -> Transcript:
        call = partial(_on_thread, self, audio, start_ms, spec)
        return await self.worker.call(call, spec.share, live=spec.live)

    async def close(self) -> None:
        """Close every stream and end the threads; idempotent."""
        await super().close()
        await self.worker.close()


class OfflineStream(TurnStream[Cut]):
    """The `RecognizerStream` port. Get it from `open_stream()` of its turns."""

    def __init__(
        self,
        spec: RecognitionSpec,
        on_partial: Callable[[Partial], None],
        turns: SegmentedTurns,
        backlog: Backlog,
        on_end: Callable[[OfflineStream], None],
    ) -> None:
        super().__init__(spec, on_partial, backlog)
        self._spec = spec
        self._turns = turns
        self._partials = turns.partials and spec.live
        self._on_end = on_end
        self._next_partial = FIRST_PARTIAL
        self._segments: list[Transcript] = []
        """Of the audio before the present segment."""
        self._agreement = WordAgreement(self._spec.agreement)
        """Of the present segment."""
        self._pauses = PauseFinder()
        self._pause: tuple[int, Transcript] = (0, Transcript(""))
        """The last pause that has its text, and the text."""
        self._decoding: asyncio.Task[None] | None = None
        self._begun: Cut | None = None
        """The pause that is being decoded."""

    def _fed(self, audio: Samples) -> None:
        for position in self._pauses.feed(audio) if self.live else ():
            begins = self._cuts[-1].position if self._cuts else self._audio.start
            if position - begins >= self._turns.commit_samples:
                self._cuts.append(Cut(position))
        self._wake()

    async def flush(self) -> Transcript:
        self._raise_if_over()
        end = self._audio.end
        last = self._cuts[-1].position if self._cuts else self._pause[0]
        if not self._audio.has_speech(max(last, self._audio.start), end):
            if not self._cuts:
                return self._pause[1]
            end = last
        waiter: asyncio.Future[Transcript] = self._loop.create_future()
        cut = Cut(end, waiter)
        while self.live and self._cuts and self._cuts[-1] is not self._begun:
            cut.stand_for(self._cuts.pop())
        self._cuts.append(cut)
        self._wake()
        return await waiter

    def _leave(self) -> None:
        decoding, self._decoding = self._decoding, None
        if decoding is not None:
            decoding.cancel()
        self._on_end(self)

    def _wake(self) -> None:
        if self._decoding is None and self._next() is not None:
            self._decoding = self._loop.create_task(self._decode_all(), name=self._turns.model)

    def _next(self) -> tuple[int, Cut | None, bool] | None:
        """Up to where the present segment is to be decoded next, for which pause, and whether it ends there."""
        start, cut = self._audio.start, self._cuts[0] if self._cuts else None
        end = self._audio.end if cut is None else cut.position
        if end - start > MAX_SEGMENT:
            return self._audio.quietest(start + MAX_SEGMENT // 2, start + MAX_SEGMENT), None, True
        if cut is not None:
            return end, cut, end - start >= self._turns.commit_samples
        return (end, None, False) if self._partials and end >= self._next_partial else None

    async def _decode_all(self) -> None:
        try:
            while (work := self._next()) is not None:
                await self._decode(*work)
        except EngineError as error:
            self._decoding = None
            self.fail(error)
        finally:
            self._decoding = None

    async def _decode(self, end: int, cut: Cut | None, ends_segment: bool) -> None:
        if cut is not None and cut.position == self._pause[0]:
            self._settle(cut, self._pause[1])
            return
        began = self._loop.time()
        settled = cut is not None or ends_segment
        self._begun = cut
        piece = self._agreement.kept(await self._transcribed(self._audio.start, end, settled))
        self._begun = None
        took = self._loop.time() - began
        # Half of the time at most goes into partials.
        self._next_partial = max(end + self._turns.partial_step, self._audio.end + int(took * SAMPLE_RATE))
        text = joined([*self._segments, piece])
        if ends_segment:
            self._segments.append(piece)
            self._agreement = WordAgreement(self._spec.agreement)
            self._drop(end if piece.text else end - LEAD_IN)
        elif self._partials and self._turns.agreement and not self._spec.logprobs:
            self._agreement.heard(piece)
        self._report(
            Partial(
                text.text,
                self._promised(),
                language=text.language,
                language_confidence=text.language_confidence,
            )
        )
        if cut is not None:
            self._settle(cut, text)

    def _settle(self, cut: Cut, text: Transcript) -> None:
        """The first of the pauses that wait has its text."""
        self._pause = (cut.position, text)
        self._cuts.popleft()
        cut.answer(text)

    async def _transcribed(self, start: int, end: int, settled: bool) -> Transcript:
        if not self._audio.has_speech(start, end):
            return Transcript("")
        heard = await self.hear(self._audio.samples(start, end), 1_000 * start / SAMPLE_RATE, settled)
        if heard.text:
            self._audio.learn_level(start, end)
        return heard

    async def hear(self, audio: Samples, start_ms: float, settled: bool) -> Transcript:
        """The transcript of the present segment so far, which begins at `start_ms` of the turn; `settled`: of a pause or of the segment's
        end. A recogniser that keeps what it has heard of a segment replaces this; each segment ends with one that is settled.
        """
        return await self._turns.decode(audio, start_ms, self._spec, self._heard_so_far)

    def _heard_so_far(self, text: str) -> None:
        """A decoding has come so far: a partial, which promises nothing new."""
        if text.strip():
            whole = joined([*self._segments, self._agreement.kept(Transcript(text.strip()))])
            self._report(Partial(whole.text, self._promised()))

    def _promised(self) -> str:
        return joined([*self._segments, self._agreement.promise]).text


def _on_thread(turns: OfflineTurns, audio: Samples, start_ms: float, spec: RecognitionSpec) -> Transcript:
    heard = turns.transcribe(audio, spec)
    if not isinstance(heard, Transcript):
        raise EngineError(
            f"{turns.model} gave {heard!r:.200}.", "Its function returns a Transcript.", code="invalid_transcript"
        )
    return in_turn(heard, start_ms)


def in_turn(heard: Transcript, start_ms: float) -> Transcript:
    """The transcript of audio that begins at `start_ms` of its turn, with its words where they lie in the turn."""
    words = tuple(Word(word.text, word.start_ms + start_ms, word.end_ms + start_ms) for word in heard.words)
    return replace(heard, text=heard.text.strip(), words=words)


def joined(pieces: Sequence[Transcript]) -> Transcript:
    """One transcript of consecutive audio; the language is that of the last piece with a text."""
    spoken = [piece for piece in pieces if piece.text]
    if not spoken:
        return Transcript("")
    sure = [piece.confidence for piece in spoken if piece.confidence is not None]
    last = spoken[-1]
    return Transcript(
        ("" if last.language in UNSPACED else " ").join(piece.text for piece in spoken),
        tuple(word for piece in spoken for word in piece.words),
        last.language,
        sum(sure) / len(sure) if sure else None,
        tuple(one for piece in spoken for one in piece.logprobs),
        last.language_confidence,
    )
