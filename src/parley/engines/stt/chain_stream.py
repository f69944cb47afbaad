"""One turn of a chain of recognisers: its audio, what is asked of it, and the engine that hears it now.

Laws:
- One engine hears the turn at a time. What comes of one that was left is ignored.
- An engine that comes in during the turn is given it from its beginning, a second at a time, and asked what is still to be answered at the
  positions where it was asked. From then on it gets the audio as it comes.
- Each question is answered once, or ends with the stream.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from parley.audio import pcm
from parley.audio.resampling import Resampler
from parley.audio.types import Samples
from parley.engines.fair_queue import Backlog
from parley.engines.fallback import Asking
from parley.engines.ports import (
    EngineError,
    EngineRefused,
    Partial,
    RecognitionSpec,
    RecognizerStream,
    SpeechRecognizer,
    Transcript,
)
from parley.engines.stt.promises import continued

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Question:
    """A transcript that a caller waits for, of the audio before `position` (in samples)."""

    position: int
    final: bool
    answer: asyncio.Future[Transcript]
    task: asyncio.Task[None] | None = None


@dataclass(eq=False, slots=True)
class _Hearing:
    """One engine's hearing of the turn. `promised`: what others had promised before it came in; `position`: how far it was fed."""

    name: str
    promised: str
    resampler: Resampler
    stream: RecognizerStream | None = None
    position: int = 0
    live: bool = False
    answered: bool = False
    asked: set[_Question] = field(default_factory=set)


class ChainStream:
    """The `RecognizerStream` port. Get it from `open_stream()` of its chain."""

    def __init__(
        self,
        asking: Asking[SpeechRecognizer],
        spec: RecognitionSpec,
        on_partial: Callable[[Partial], None],
        rate: int,
        kept: Backlog,
    ) -> None:
        self._asking = asking
        self._spec = spec
        self._on_partial = on_partial
        self._rate = rate
        self._audio = bytearray()
        self._kept = kept
        self._keeps = True
        self._length = 0
        self._promised = ""
        self._questions: list[_Question] = []
        self._error: EngineError | None = None
        self._hearing: _Hearing | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self._next()
        self._raise_if_over()

    def feed(self, audio: Samples) -> None:
        if self._is_closed():
            return
        self._raise_if_over()
        self._keep(audio)
        self._length += audio.size
        if self._hearing is not None and self._hearing.live:
            self._give(self._hearing, audio)
        self._raise_if_over()

    async def flush(self) -> Transcript:
        return await self._ask(final=False)

    async def finish(self) -> Transcript:
        try:
            return await self._ask(final=True)
        finally:
            self.close()

    def close(self) -> None:
        if not self._is_closed():
            self._leave_engine()
            self._end(EngineRefused("This transcription was closed before its text was ready.", code=_CLOSED))
            self._on_partial = _ignore

    # --- engines ---

    def _next(self) -> None:
        """Have the next engine hear the turn; where there is none, the turn is over."""
        while self._asking.advance():
            member = self._asking.member
            rate = member.engine.info.sample_rate
            hearing = _Hearing(member.name, self._promised, Resampler(self._rate, rate))
            try:
                hearing.stream = member.engine.open_stream(self._spec, partial(self._hear, hearing))
            except EngineRefused as error:
                self._end(error)
                return
            except Exception as error:  # noqa: BLE001 - the engine boundary
                self._asking.fails(error)
                continue
            self._hearing = hearing
            hearing.live = not self._length and not self._questions
            if not hearing.live:
                self._catching_up = asyncio.get_running_loop().create_task(self._catch_up(hearing))
            return
        self._end(self._asking.error)

    def _fails(self, hearing: _Hearing, error: Exception) -> None:
        """The engine that hears the turn failed, or refuses it."""
        if hearing is not self._hearing:
            return
        self._leave_engine()
        if isinstance(error, EngineRefused):
            self._end(error)
            return
        failure = self._asking.fails(error)
        if self._keeps:
            self._next()
        else:
            self._end(failure)

    def _leave_engine(self) -> None:
        hearing, self._hearing = self._hearing, None
        if self._catching_up is not None:
            # (it may be this task that found out)
            if self._catching_up is not asyncio.current_task():
                self._catching_up.cancel()
            self._catching_up = None
        if hearing is None:
            return
        for question in self._questions:
            _cancel(question)
        stream, hearing.stream = hearing.stream, None
        try:
            if stream is not None:
                stream.close()
        except Exception:
            logger.exception("speech recognition: a stream of %s could not be closed", hearing.name)

    # --- audio ---

    def _keep(self, audio: Samples) -> None:
        if not self._keeps:
            return
        if self._kept.takes(self, audio.size):
            self._kept.add(self, audio.size)
            self._audio += pcm.to_bytes(audio)
        elif self._hearing is not None and self._hearing.live:
            self._let_go()
        else:
            self._leave_engine()
            self._end(
                EngineError(
                    "More audio waits for speech recognition than is kept; this turn was given up.",
                    "Send audio more slowly, or in shorter turns.",
                    code="transcription_backlog",
                )
            )

    def _let_go(self) -> None:
        """Keep no audio of this turn any more: no other engine can hear it."""
        self._keeps = False
        self._kept.remove(self, len(self._audio) // 2)
        self._audio.clear()

    def _give(self, hearing: _Hearing, audio: Samples, *, last: bool = False) -> None:
        """Feed one engine audio at the chain's rate; `last` also what the resampler holds back."""
        hearing.position += audio.size
        try:
            for piece in (hearing.resampler.push(audio), *((hearing.resampler.finish(),) if last else ())):
                if piece.size and hearing.stream is not None:
                    hearing.stream.feed(piece)
        except Exception as error:  # noqa: BLE001 - the engine boundary
            self._fails(hearing, error)

    async def _catch_up(self, hearing: _Hearing) -> None:
        while hearing is self._hearing:
            question = next((one for one in self._questions if one not in hearing.asked), None)
            stop = self._length if question is None else question.position
            if hearing.position < stop:
                start, stop = hearing.position, min(stop, hearing.position + self._rate)
                self._give(hearing, pcm.to_float(bytes(self._audio[2 * start : 2 * stop])))
            elif question is not None:
                self._put(hearing, question)
            else:
                hearing.live, self._catching_up = True, None
                return
            await asyncio.sleep(0)  # others have their turn, and a question is put before the audio behind it

    # --- questions ---

    async def _ask(self, *, final: bool) -> Transcript:
        self._raise_if_over()
        question = _Question(self._length, final, asyncio.get_running_loop().create_future())
        self._questions.append(question)
        if self._hearing is not None and self._hearing.live:
            self._put(self._hearing, question)
        try:
            return await question.answer
        finally:
            if question in self._questions:
                self._questions.remove(question)
            _cancel(question)

    def _put(self, hearing: _Hearing, question: _Question) -> None:
        hearing.asked.add(question)
        question.task = asyncio.get_running_loop().create_task(self._answer(hearing, question, self._asking.limit_s))

    async def _answer(self, hearing: _Hearing, question: _Question, limit_s: float | None) -> None:
        try:
            heard = await self._heard(hearing, question, limit_s)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._fails(hearing, RuntimeError("its code raised CancelledError"))
        except Exception as error:  # noqa: BLE001 - the engine boundary
            self._fails(hearing, error)
        else:
            if heard is None or hearing is not self._hearing:
                return
            text = continued(hearing.promised, heard.text)
            if text is None:
                # A turn that fails would lose the later text too: the client is told the whole final.
                text = heard.text
                logger.warning("speech recognition: %s hears other words than were promised", hearing.name)
            if not hearing.answered:
                hearing.answered = True
                self._asking.begins()
            if not question.answer.done():
                # The scores are those of other letters.
                scores = heard.logprobs if text == heard.text else ()
                question.answer.set_result(replace(heard, text=text, logprobs=scores))

    async def _heard(self, hearing: _Hearing, question: _Question, limit_s: float | None) -> Transcript | None:
        """One engine's answer; None where it has failed already."""
        if question.final:
            self._give(hearing, _NOTHING, last=True)
        stream = hearing.stream
        if stream is None:
            return None
        try:
            async with asyncio.timeout(limit_s) as scope:
                return await (stream.finish() if question.final else stream.flush())
        except TimeoutError:
            if not scope.expired():
                raise
            raise EngineError(f"{hearing.name} did not answer within {limit_s:g} s.", code="timeout") from None

    def _hear(self, hearing: _Hearing, heard: Partial) -> None:
        """A partial is passed on once it begins with what was promised; nothing promised is taken back."""
        if hearing is not self._hearing:
            return
        text = continued(hearing.promised, heard.text)
        if text is None:
            return
        self._promised = continued(hearing.promised, heard.stable) or hearing.promised
        self._on_partial(replace(heard, text=text, stable=self._promised))

    # --- the end ---

    def _end(self, error: EngineError) -> None:
        self._error = error
        self._asking.leave()
        for question in self._questions:
            _cancel(question)
            if not question.answer.done():
                question.answer.set_exception(error)
        self._questions.clear()
        self._let_go()

    def _is_closed(self) -> bool:
        return self._error is not None and self._error.code == _CLOSED

    def _raise_if_over(self) -> None:
        if self._error is not None:
            raise self._error.with_traceback(None)


_CLOSED = "transcription_closed"
_NOTHING = pcm.to_float(b"")


def _cancel(question: _Question) -> None:
    """End the engine's part of it."""
    task, question.task = question.task, None
    if task is not None and not task.done() and task is not asyncio.current_task():
        task.cancel()


def _ignore(partial: Partial) -> None:
    """The listener of a stream that has ended."""
