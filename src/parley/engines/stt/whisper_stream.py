"""One turn being transcribed by Whisper: its audio, its pauses, and the tokens that have been promised.

Laws:
- Promised tokens (two hypotheses in a row agreed on them, partials or pauses) are forced on every later decoding, so finals begin with
  them.
- The window is at most `MAX_SEGMENT`. A pause behind `COMMIT_SAMPLES` ends it for good; when none comes, the quietest place does.
- At most one partial is wanted at a time, always of the latest audio: a busy model makes partials rarer, never late. So it is with the
  pauses of live turns: where the speaker has paused again before one is decoded, the later one is decoded for both.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from parley.audio.types import Samples
from parley.engines.fair_queue import Backlog
from parley.engines.ports import Partial, RecognitionSpec, TokenLogprob, Transcript, Word
from parley.engines.stt.agreement import UNSPACED, agreed
from parley.engines.stt.turn_audio import SAMPLE_RATE
from parley.engines.stt.turn_stream import Cut, TurnStream
from parley.engines.stt.whisper_model import Decoding, Task, WhisperModel
from parley.engines.stt.whisper_queue import DecodingQueue

MAX_SEGMENT = 28 * SAMPLE_RATE
"""Just below the model's window of 30 s."""

COMMIT_SAMPLES = 10 * SAMPLE_RATE
"""A pause behind so much audio is a good place to start anew: the context carries over as a prompt."""

FIRST_PARTIAL = SAMPLE_RATE
"""A second of audio before the first partial: on less, Whisper mostly invents."""

PARTIAL_STEP = SAMPLE_RATE // 2
"""New audio between partials at least."""

LEAD_IN = SAMPLE_RATE * 3 // 10
"""Silence kept in front of the next word."""


@dataclass(slots=True)
class _Cut(Cut):
    """`final` ends the window there for good."""

    final: bool = False


class WhisperStream(TurnStream[_Cut]):
    """The `RecognizerStream` port, and what the engine's queue works on.

    A stream that asks for logprobs promises nothing while audio still comes: forced tokens have no probability.
    """

    def __init__(
        self,
        spec: RecognitionSpec,
        on_partial: Callable[[Partial], None],
        model: WhisperModel,
        queue: DecodingQueue,
        beam_size: int,
        partials: bool,
        backlog: Backlog,
        on_end: Callable[[WhisperStream], None],
    ) -> None:
        super().__init__(spec, on_partial, backlog)
        self.busy = False
        self._spec = spec
        self._model = model
        self._queue = queue
        self._beam_size = beam_size
        self._partials = partials and spec.live
        self._on_end = on_end
        self._context = " ".join((spec.prompt, ", ".join(spec.keywords))).strip()
        self._language = spec.language
        self._language_confidence = 1.0
        """Of `_language`, where a promise has fixed it."""
        self._last_end = 0
        self._begun: _Cut | None = None
        """The pause that is being decoded."""
        self._next_partial = FIRST_PARTIAL
        self._partial_end = 0
        """Up to where the last partial was decoded."""
        self._text = ""
        self._kept: tuple[int, ...] = ()
        self._before: deque[tuple[int, ...]] = deque(maxlen=max(2, spec.agreement) - 1)
        """The last hypotheses, with which the next one must agree."""
        self._heard_language = ""
        self._heard_confidence: float | None = None
        self._confidences: list[float] = []
        self._logprobs: tuple[TokenLogprob, ...] = ()
        self._words: tuple[Word, ...] = ()
        self._pause: tuple[int, Transcript] = (0, Transcript(""))

    # --- the port ---

    def _fed(self, audio: Samples) -> None:
        while self._audio.end - self._last_end > MAX_SEGMENT:
            place = self._audio.quietest(self._last_end + MAX_SEGMENT // 2, self._last_end + MAX_SEGMENT)
            self._cut(_Cut(place, final=True))
        if self._partials and self._audio.end >= self._next_partial:
            self._queue.want_partial(self)

    async def flush(self) -> Transcript:
        self._raise_if_over()
        end = self._audio.end
        position, transcript = self._pause
        last = self._cuts[-1].position if self._cuts else position
        spoken = self._audio.has_speech(max(last, self._audio.start), end)
        if not self._cuts and not spoken:
            return transcript
        waiter: asyncio.Future[Transcript] = self._loop.create_future()
        if not spoken:
            self._cuts[-1].earlier += (waiter,)
            return await waiter
        self._cut(_Cut(end, waiter, final=end - self._last_end >= COMMIT_SAMPLES))
        return await waiter

    def _leave(self) -> None:
        self._queue.forget(self)
        self._on_end(self)

    # --- what the queue sees ---

    def pause_task(self) -> Task | None:
        """The next pause that waits for its text."""
        if self.closed or not self._cuts:
            return None
        self._begun = self._cuts[0]
        task = self._task(self._cuts[0].position, self._beam_size, self._spec.logprobs)
        return replace(task, temperature=self._spec.temperature or 0.0, timed=True)

    def partial_task(self) -> Task | None:
        """The latest audio, if it is worth a partial."""
        if self.closed or self._cuts or self._audio.end < self._next_partial or self._error is not None:
            return None
        self._partial_end = min(self._audio.end, self._audio.start + MAX_SEGMENT)
        return self._task(self._partial_end, 1, False, quick=True)

    def paused(self, decoding: Decoding) -> None:
        """The result of `pause_task()`."""
        if not self._cuts:
            return  # it failed or was closed while it was being decoded
        self._begun = None
        cut = self._cuts.popleft()
        if decoding.tokens:
            self._audio.learn_level(self._audio.start, cut.position)
        text = self._text + self._model.text(decoding.tokens)
        confidences = [*self._confidences, *([decoding.confidence] if decoding.confidence is not None else [])]
        logprobs = self._logprobs + decoding.logprobs
        confidence = sum(confidences) / len(confidences) if confidences else None
        language_confidence = min(self._language_confidence, decoding.language_confidence)
        start_ms = 1_000 * self._audio.start / SAMPLE_RATE
        words = (
            *self._words,
            *(Word(word.text, start_ms + word.start_ms, start_ms + word.end_ms) for word in decoding.words),
        )
        transcript = Transcript(text.strip(), words, decoding.language, confidence, logprobs, language_confidence)
        self._pause = (cut.position, transcript)
        if cut.final:
            self._text, self._confidences, self._logprobs, self._words = text, confidences, logprobs, words
            self._kept = ()
            self._before.clear()
            self._drop(cut.position if decoding.tokens else cut.position - LEAD_IN)
            self._report_text(text, text)
        else:
            self._compare(decoding)
            self._report_text(text, self._text + self._model.text(self._kept))
        cut.answer(transcript)
        if self._cuts:
            self._queue.want_pause(self)

    def partially_decoded(self, decoding: Decoding, took_s: float) -> None:
        """The result of `partial_task()`, and how long it took: half of the time at most goes into partials."""
        self._next_partial = max(self._partial_end + PARTIAL_STEP, self._audio.end + int(took_s * SAMPLE_RATE))
        if self.closed or self._cuts or self._error is not None:
            return
        self._heard_language, self._heard_confidence = decoding.language, decoding.language_confidence
        self._compare(decoding)
        self._report_text(self._text + self._model.text(decoding.tokens), self._text + self._model.text(self._kept))

    # --- inside ---

    def _compare(self, decoding: Decoding) -> None:
        """Promise the tokens on which this hypothesis agrees with those before it."""
        if decoding.tokens and not self._spec.logprobs and self._partials:
            spaced = decoding.language not in UNSPACED
            count = min(
                (agreed(one, decoding.tokens, len(self._kept), self._model.text, spaced) for one in self._before),
                default=len(self._kept),
            )
            if len(self._before) < max(2, self._spec.agreement) - 1:
                count = len(self._kept)
            if count > len(self._kept):
                # a promise fixes the language as well: what follows must fit what was said
                self._kept, self._language = decoding.tokens[:count], decoding.language
                self._language_confidence = min(self._language_confidence, decoding.language_confidence)
        self._before.append(decoding.tokens)

    def _task(self, end: int, beam_size: int, logprobs: bool, *, quick: bool = False) -> Task:
        audio = self._audio.samples(self._audio.start, end)
        prompt = f"{self._context} {self._text}".strip()
        return Task(audio, self._language, prompt, self._kept, beam_size, logprobs, self._spec.languages, quick)

    def _cut(self, cut: _Cut) -> None:
        if cut.final:
            self._last_end = cut.position
        while self.live and cut.waiter is not None and self._cuts:
            last = self._cuts[-1]
            if last.final or last is self._begun:
                break
            cut.stand_for(self._cuts.pop())
        self._cuts.append(cut)
        self._queue.want_pause(self)

    def _report_text(self, text: str, stable: str) -> None:
        self._report(
            Partial(
                text.strip(), stable.strip(), language=self._heard_language, language_confidence=self._heard_confidence
            )
        )
