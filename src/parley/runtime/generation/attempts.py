"""A session's attempts at generating: each is one task that takes text from its source, has it voiced, and posts the events.

Laws:
- An attempt posts in the order in which its text was written: clauses with their audio, then the tool calls that follow them; last,
  exactly one of `GenerationFinished` and `GenerationFailed`. Once cancelled it posts nothing.
- The source goes on writing while a clause is spoken; one clause is synthesized at a time. (A second one at once would take the
  processor from the clause that is waited for, and gain nothing once audio runs ahead of the listener.)
- A reply of a pipeline with a speech model is heard from that model, piece by piece (`spoken`); the rest is as for clauses.
- Where the pipeline has a moderator, nothing is said that it has not allowed (`Screening`): the attempt ends there, for `content_filter`.
- Nothing is generated far ahead: `MAX_CLAUSES_AHEAD` of text, `pacing.MAX_AHEAD_S` of audio; and nothing at all while `hold(True)` stands.

Does not know: whether the attempt is ever heard; held and released are the core's words.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from parley.core.words.effects import CancelGeneration, StartGeneration
from parley.core.words.errors import Fault
from parley.core.words.events import (
    Event,
    FirstTokenGenerated,
    GenerationEvent,
    GenerationFailed,
    GenerationFinished,
    TextGenerated,
    ToolArgumentsGenerated,
    ToolCallStarted,
)
from parley.core.words.ids import AttemptId
from parley.core.words.work import Reply
from parley.engines.ports import MODERATION, SPEECH, EngineSet, SpeechModel, TextDelta
from parley.runtime.faults import engine_code, fault_of
from parley.runtime.generation.pacing import Pacing
from parley.runtime.generation.screening import Remembered, Screening
from parley.runtime.generation.spoken import MAX_PIECES_AHEAD, SpokenAnswer, SpokenGroup, SpokenVoice
from parley.runtime.generation.spoken_context import SpokenContext
from parley.runtime.generation.streams import closing
from parley.runtime.generation.summaries import SummaryWriter
from parley.runtime.generation.text_sources import source_name, text_of
from parley.runtime.generation.voicing import Voicing
from parley.text.clauses import Clause, ClauseCutter, Cutter

MAX_CLAUSES_AHEAD = 256
"""What the source may have written that is not spoken yet, in clauses and pieces of tool calls: some ten minutes of
speech. Beyond it the source's stream is left waiting."""

MAX_WRITING_S = 10.0
"""A slow model that has written on one clause for so long, while nothing waits to be spoken, is spoken as far as its last whole word:
at a word a second the end of a sentence may be half a minute away, and the core gives an attempt up that is silent for long."""

CLOSING_S = 1.0
"""How long the end of an attempt waits for its source to close; everything is posted by then, except a synthesizer's fault."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """The source broke off."""

    fault: Fault


_Piece = Clause | SpokenGroup | ToolCallStarted | ToolArgumentsGenerated | GenerationFinished | _Failed
_Pieces = asyncio.Queue[_Piece]


class SessionShare:
    """The key by which an engine recognises the requests of one session; what it keeps for it can end with it."""

    __slots__ = ("__weakref__",)


async def _nothing() -> None:
    """A clause is complete when it has been said."""


@dataclass(frozen=True, slots=True)
class _Delivery:
    """How an attempt's pieces come, `write` in a task of its own, and how they are said: `say` what is said, `end` before what is not.
    At most `ahead` wait."""

    write: Callable[[_Pieces], Coroutine[Any, Any, None]]
    say: Callable[[Any], Awaitable[None]]
    end: Callable[[], Awaitable[None]]
    ahead: int


class _Attempt:
    """One attempt. `run()` is its task; after `cancel()` it posts nothing."""

    __slots__ = (
        "_alive",
        "_clock",
        "_context",
        "_cutter",
        "_effect",
        "_engines",
        "_judged",
        "_pacing",
        "_post",
        "_screening",
        "_share",
        "_taken",
        "_who",
        "task",
    )

    def __init__(
        self,
        effect: StartGeneration,
        engines: EngineSet,
        share: object,
        post: Callable[[Event], None],
        cutter: Callable[[str], Cutter],
        clock: Callable[[], int],
        pacing: Pacing,
        taken: asyncio.Event,
        judged: Remembered,
        context: SpokenContext,
    ) -> None:
        self._judged = judged
        self._context = context
        self._effect = effect
        self._engines = engines
        self._share = share
        self._post = post
        self._cutter = cutter
        self._clock = clock
        self._pacing = pacing
        self._taken = taken
        self._alive = True
        self._screening: Screening | None = None
        self.task: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        self._alive = False
        if self.task is not None:
            self.task.cancel()

    def _say(self, event: GenerationEvent | FirstTokenGenerated) -> None:
        if self._alive:
            self._post(event)

    def _began(self) -> None:
        self._say(FirstTokenGenerated(self._effect.attempt))

    async def run(self) -> None:
        self._who = source_name(self._effect, self._engines)
        try:
            with engine_code():
                await self._generate()
        except Exception as error:  # noqa: BLE001 - the engine boundary
            self._say(GenerationFailed(self._effect.attempt, fault_of(error, self._who)))
        finally:
            if self._screening is not None:
                self._screening.close()

    async def _generate(self) -> None:
        moderator = self._engines.find(MODERATION)
        if moderator is not None:
            self._screening = Screening(self._effect, moderator, self._share, self._judged)
            self._effect = self._screening.effect
        model = self._engines.find(SPEECH) if isinstance(self._effect.work, Reply) else None
        if self._effect.modality == "audio" and model is not None:
            await self._answer(model)
        elif self._effect.modality == "audio":
            voicing = Voicing(self._effect, self._engines, self._share, self._pacing, self._say, self._context)
            self._who = voicing.who
            await self._deliver(self._clauses(voicing.speak))
        elif moderator is not None:
            await self._deliver(self._clauses(self._write_clause))
        else:
            await self._write()

    async def _answer(self, model: SpeechModel) -> None:
        """What the speech model says, as it says it."""
        voice = SpokenVoice(self._effect, self._engines, model, self._share, self._pacing, self._say)
        answer = SpokenAnswer(self._effect, model, self._share, self._began, self._cutter(self._effect.language))
        self._who = voice.who
        try:
            await self._deliver(
                _Delivery(lambda queue: self._hear(answer, queue), voice.speak, voice.finish, MAX_PIECES_AHEAD)
            )
        finally:
            voice.close()

    async def _hear(self, answer: SpokenAnswer, queue: _Pieces) -> None:
        try:
            with engine_code():
                await answer.read(queue, self._screening)
        except Exception as error:  # noqa: BLE001 - the engine boundary
            await queue.put(_Failed(fault_of(error, source_name(self._effect, self._engines))))

    def _clauses(self, say: Callable[[Any], Awaitable[None]]) -> _Delivery:
        return _Delivery(self._cut_into, say, _nothing, MAX_CLAUSES_AHEAD)

    async def _write_clause(self, clause: Clause) -> None:
        self._say(TextGenerated(self._effect.attempt, clause.text))

    async def _write(self) -> None:
        """Text that nobody judges: everything as it comes."""
        async with closing(text_of(self._effect, self._engines, self._share, self._began)) as pieces:
            async for piece in pieces:
                await self._taken.wait()
                self._say(TextGenerated(self._effect.attempt, piece.text) if isinstance(piece, TextDelta) else piece)

    # --- the source, the moderator and the voice side by side ---

    async def _deliver(self, way: _Delivery) -> None:
        """Everything in the order of its writing."""
        pieces: _Pieces = asyncio.Queue(way.ahead)
        writer = asyncio.get_running_loop().create_task(way.write(pieces))
        try:
            while True:
                piece = await pieces.get()
                await asyncio.sleep(0)  # a queue full of pieces is not one step of the loop
                await self._taken.wait()
                if not isinstance(piece, _Failed) and not await self._allowed(piece):
                    self._say(GenerationFinished(self._effect.attempt, "content_filter"))
                    return
                if not isinstance(piece, Clause | SpokenGroup):
                    await way.end()
                match piece:
                    case Clause() | SpokenGroup():
                        await way.say(piece)
                    case _Failed(fault):
                        self._say(GenerationFailed(self._effect.attempt, fault))
                        return
                    case GenerationFinished():
                        self._say(piece)
                        return
                    case _:
                        self._say(piece)
        finally:
            writer.cancel()
            await asyncio.wait([writer], timeout=CLOSING_S)

    async def _allowed(self, piece: _Piece) -> bool:
        screening = self._screening
        if screening is None:
            return True
        judged = isinstance(piece, Clause) or (isinstance(piece, SpokenGroup) and piece.clause)
        return await screening.may_answer() and (not judged or await screening.may_say())

    async def _put(self, queue: _Pieces, clause: Clause) -> None:
        if self._screening is not None:
            self._screening.clause_written(clause.text)
        await queue.put(clause)

    async def _end_text(self, cutter: Cutter, queue: _Pieces) -> None:
        """Queue the rest of the text before what is no text."""
        for clause in cutter.finish():
            await self._put(queue, clause)
        if self._screening is not None:
            self._screening.text_ended()

    async def _cut_into(self, queue: _Pieces) -> None:
        """Queue what the source writes, its text cut into clauses; a failure comes after all that was written before it."""
        cutter = self._cutter(self._effect.language)
        try:
            with engine_code():
                await self._cut(cutter, queue)
        except Exception as error:  # noqa: BLE001 - the engine boundary
            await self._end_text(cutter, queue)
            await queue.put(_Failed(fault_of(error, source_name(self._effect, self._engines))))

    async def _cut(self, cutter: Cutter, queue: _Pieces) -> None:
        begun_ns = self._clock()
        async with closing(text_of(self._effect, self._engines, self._share, self._began)) as pieces:
            async for piece in pieces:
                if isinstance(piece, TextDelta):
                    clauses = cutter.push(piece.text)
                    if clauses:
                        begun_ns = self._clock()
                    elif queue.empty() and self._clock() - begun_ns > MAX_WRITING_S * 1e9:
                        clauses, begun_ns = cutter.hurry(), self._clock()
                    for clause in clauses:
                        await self._put(queue, clause)
                    continue
                await self._end_text(cutter, queue)
                await queue.put(piece)


class Generations:
    """What one session generates with: any number of attempts at once, each cancelled by its id, and `summaries`. Their events go to
    `post`.

    `clock` (monotonic ns) and `sleep` measure how far the audio runs ahead of the listener. `cutter` creates what cuts a text of that
    language into clauses.
    """

    __slots__ = (
        "_attempts",
        "_clock",
        "_context",
        "_cutter",
        "_engines",
        "_judged",
        "_post",
        "_share",
        "_sleep",
        "_taken",
        "summaries",
    )

    def __init__(
        self,
        engines: EngineSet,
        post: Callable[[Event], None],
        *,
        cutter: Callable[[str], Cutter] = ClauseCutter,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._engines = engines
        self._post = post
        self._cutter = cutter
        self._clock = clock
        self._sleep = sleep
        self._share = SessionShare()
        self._attempts: dict[AttemptId, _Attempt] = {}
        self._judged = Remembered()
        self._context = SpokenContext()
        self.summaries = SummaryWriter(engines, self._judged, post)
        self._taken = asyncio.Event()
        self._taken.set()

    def hold(self, held: bool) -> None:
        """Whether the client does not take what was sent: then the attempts wait, instead of generating more."""
        if held:
            self._taken.clear()
        else:
            self._taken.set()

    def start(self, effect: StartGeneration) -> None:
        """Begin; the answers are the events of `GenerationEvent`."""
        pacing = Pacing(effect.format, self._clock, self._sleep, self._taken)
        attempt = _Attempt(
            effect,
            self._engines,
            self._share,
            self._post,
            self._cutter,
            self._clock,
            pacing,
            self._taken,
            self._judged,
            self._context,
        )
        self._attempts[effect.attempt] = attempt
        attempt.task = asyncio.get_running_loop().create_task(attempt.run())
        attempt.task.add_done_callback(lambda _: self._forget(effect.attempt))

    def _forget(self, attempt_id: AttemptId) -> None:
        attempt = self._attempts.pop(attempt_id, None)
        if attempt is not None:
            # A cancelled task keeps its traceback, whose frames keep the attempt.
            attempt.task = None

    def cancel(self, effect: CancelGeneration) -> None:
        """Nothing of this attempt is posted from here on."""
        attempt = self._attempts.get(effect.attempt)
        if attempt is not None:
            attempt.cancel()

    def tasks(self) -> set[asyncio.Task[None]]:
        """The attempts and summaries that are under way."""
        tasks = (attempt.task for attempt in self._attempts.values())
        return {task for task in tasks if task is not None and not task.done()} | self.summaries.tasks()

    def release(self) -> None:
        for attempt in self._attempts.values():
            attempt.cancel()
        self.summaries.release()
