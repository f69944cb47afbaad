"""An ordered list of engines of one stage: the next is asked when one fails before anything of its answer has come.

Laws:
- A refusal of the request itself (`EngineRefused`) is an answer: it is reported, and no other engine is asked.
- After the first piece of an answer its engine's error is reported as it is.
- An engine that failed rests: `retry_s`, twice as long after each further failure, at most `max_retry_s`. Then one request tries it while
  the others go on without it. Engines that rest are asked only where every other one has failed.
- The list opens if one of its engines does; the others are opened again later, in the background.
- `EngineInfo` promises what every engine of the list can do.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any, Final, Generic, TypeVar, cast

from parley.engines.common_info import common_info
from parley.engines.options import OptionReader
from parley.engines.ports import (
    ChainCount,
    Engine,
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineSpec,
    EngineUnavailable,
    NeedsModels,
    Stage,
)
from parley.engines.registry import create

logger = logging.getLogger(__name__)

FIRST_S: Final = 10.0
RETRY_S: Final = 5.0
MAX_RETRY_S: Final = 300.0

E = TypeVar("E", bound=Engine)
T = TypeVar("T")
Make = Callable[[Stage[Any], EngineSpec], Engine]


@dataclass(frozen=True, slots=True)
class FallbackLimits:
    """Seconds: to the first piece of an answer where another engine is ready to be asked; how long an engine rests after its first
    failure, and at most."""

    first_s: float = FIRST_S
    retry_s: float = RETRY_S
    max_retry_s: float = MAX_RETRY_S


@dataclass(slots=True)
class ChainMember(Generic[E]):
    """One engine of the list. `name` is `engine:model`, `error` its last failure, None while it works."""

    name: str
    engine: E
    is_open: bool = False
    error: EngineError | None = None
    rests_until: float = 0.0
    pause_s: float = 0.0
    tried: bool = False
    """Whether a request tries it after a rest, or it is being opened again."""
    answers: int = 0
    failures: int = 0

    def works(self) -> None:
        """An answer of it has begun."""
        self.error, self.pause_s = None, 0.0
        self.answers += 1

    def fails(self, error: EngineError, now: float, limits: FallbackLimits) -> None:
        """It rests from now on."""
        self.failures += 1
        self.error = error
        self.pause_s = min(self.pause_s * 2 or limits.retry_s, limits.max_retry_s)
        self.rests_until = now + self.pause_s

    def is_ready(self, now: float) -> bool:
        """Whether a request may ask it: it works, or has rested and no other request is trying it."""
        return self.is_open and (self.error is None or (now >= self.rests_until and not self.tried))


class Asking(Generic[E]):
    """One request's way through a list: the engines that work in their order, those that are `preferred` first, then those that rest. Get
    it from `Fallback.asking()`.

    Call `advance()`, ask `member` for the answer, within `limit_s` where it is not None, and say what came of it: `begins()`, `fails()` or
    `leave()`.
    """

    def __init__(
        self, chain: Fallback[E], able: Callable[[E], bool] | None, preferred: Callable[[E], bool] | None = None
    ) -> None:
        self._chain = chain
        self._left = [one for one in chain.members if one.is_open and (able is None or able(one.engine))]
        if preferred is not None:
            self._left.sort(key=lambda one: not preferred(one.engine))
        self._failed: list[tuple[str, EngineError]] = []
        self._retries = False
        self._member: ChainMember[E] | None = None

    @property
    def member(self) -> ChainMember[E]:
        assert self._member is not None
        return self._member

    @property
    def limit_s(self) -> float | None:
        """Seconds to the first piece of its answer; None where no other engine is ready to be asked."""
        now = self._chain.now()
        return self._chain.limits.first_s if any(one.is_ready(now) for one in self._left) else None

    @property
    def error(self) -> EngineError:
        """What is reported where no engine answered: the first one's code, as it is the one that was wanted."""
        title = self._chain.title
        if not self._failed:
            return EngineUnavailable(f"The engines for {title} are not open.", code="not_open")
        return _none_answered(title, self._failed)

    def advance(self) -> bool:
        """Go on to the next engine. Returns whether there is one."""
        self.leave()
        now = self._chain.now()
        chosen = next((one for one in self._left if one.is_ready(now)), self._left[0] if self._left else None)
        if chosen is None:
            return False
        self._left.remove(chosen)
        self._member, self._retries = chosen, chosen.error is not None
        chosen.tried = chosen.tried or self._retries
        return True

    def begins(self) -> None:
        """Its answer has begun."""
        member, title = self.member, self._chain.title
        retried = self._retries
        member.works()
        self.leave()
        if self._failed:
            logger.warning("%s: %s answers, as %s failed", title, member.name, self._failed[0][0])
        elif retried:
            logger.info("%s: %s answers again", title, member.name)

    def fails(self, error: Exception) -> EngineError:
        """It failed, and rests. Returns the error as an engine's."""
        failure = self._chain.failed(self.member, error)
        self._failed.append((self.member.name, failure))
        return failure

    def leave(self) -> None:
        """Nothing more is said about the engine asked last: another request may try it."""
        if self._member is not None:
            self._member.tried = self._member.tried and not self._retries
            self._retries = False


def _none_answered(title: str, failed: Sequence[tuple[str, EngineError]]) -> EngineError:
    if len(failed) == 1:
        return failed[0][1]
    said = " ".join(f"{name}: {error.message}" for name, error in failed)
    first = failed[0][1]
    return EngineError(f"None of the engines for {title} answered. {said}", first.remedy, code=first.code)


def read_members(
    stage: Stage[E], named: str, options: Mapping[str, object], make: Make = create
) -> tuple[list[ChainMember[E]], FallbackLimits]:
    """The members of `engine:model, engine:model`, and the limits.

    Options `first_s`, `retry_s`, `max_retry_s` (see `FallbackLimits`), and a table for each engine, by its name or `engine:model`.
    Raises `ValueError` for a wrong option, `EngineUnavailable` for a wrong engine.
    """
    reader = OptionReader(f"{stage} chain", options)
    limits = FallbackLimits(
        reader.number("first_s", FIRST_S, 0.01, 3600),
        reader.number("retry_s", RETRY_S, 0, 3600),
        reader.number("max_retry_s", MAX_RETRY_S, 0, 86_400),
    )
    members: list[ChainMember[E]] = []
    tables: dict[str, Mapping[str, object]] = {}
    for text in filter(None, (part.strip() for part in named.split(","))):
        spec = EngineSpec.parse(text)
        for key in (spec.name, text):
            if key not in tables:
                tables[key] = reader.table(key)
        own = {**tables[spec.name], **tables[text]}
        if text in (member.name for member in members):
            raise ValueError(f"{stage} chain: {text!r} is named twice.")
        engine = make(stage, EngineSpec(spec.name, spec.model, own))
        if not isinstance(engine, stage.port):
            raise EngineUnavailable(
                f"The engine {text!r} does not implement {stage.port.__name__}.", code="invalid_engine"
            )
        members.append(ChainMember(text, cast(E, engine)))
    reader.close()
    return members, limits


class Fallback(Generic[E]):
    """The list of engines of one stage. `clock` gives seconds."""

    def __init__(
        self,
        stage: Stage[E],
        members: Sequence[ChainMember[E]],
        limits: FallbackLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.members = tuple(members)
        self.title = stage.title
        self._stage = stage
        self.limits = limits
        self._clock = clock
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def info(self) -> EngineInfo:
        """What every engine of the list can do."""
        if not self.members:
            summary = (
                "Several engines in order, such as a, b: the next is asked when one fails before its answer begins."
            )
            return EngineInfo(stage=self._stage.name, name="chain", summary=summary)
        infos = [member.engine.info for member in self.members]
        names = " or ".join(dict.fromkeys(info.name for info in infos))
        summary = ", then ".join(member.name for member in self.members) + "."
        return replace(reduce(common_info, infos), name=names, summary=summary)

    @property
    def notice(self) -> str:
        """Which engine is asked first, and which cannot be used at the moment."""
        works = [member.name for member in self.members if member.is_open]
        if not works:
            return ""
        then = f"; if it fails, {', then '.join(works[1:])} is asked" if works[1:] else ""
        broken = [f" {one.name} cannot be used now: {one.error}" for one in self.members if one.error]
        return f"{self.title.capitalize()}: {works[0]}{then}." + "".join(broken)

    @property
    def fault(self) -> EngineError | None:
        """Why none of the engines can answer; None while one can."""
        now = self.now()
        if not self.members or any(member.is_ready(now) for member in self.members):
            return None
        return next((member.error for member in self.members if member.error), None)

    def counts(self) -> Mapping[str, ChainCount]:
        """How often each engine answered and failed, by `engine:model`."""
        return {member.name: ChainCount(member.answers, member.failures) for member in self.members}

    def missing_models(self) -> tuple[str, ...]:
        """Those that the engines of the list need and lack."""
        engines: list[Engine] = [member.engine for member in self.members]
        needing = [engine for engine in engines if isinstance(engine, NeedsModels)]
        return tuple(dict.fromkeys(name for engine in needing for name in engine.missing_models()))

    async def open(self) -> None:
        """Open all engines together. Raises `EngineUnavailable` where none opens: the first one's reason."""
        if not self.members:
            raise EngineUnavailable(
                f"The chain names no engine for {self.title}.",
                f'Name some: {self._stage} = ["openai:MODEL", "ollama:MODEL"]',
                code="unknown_engine",
            )
        try:
            await asyncio.gather(*(self._open(member) for member in self.members))
        except BaseException:
            await self.close()
            raise
        if not any(member.is_open for member in self.members):
            await self.close()
            error = _none_answered(self.title, [(one.name, one.error) for one in self.members if one.error])
            raise EngineUnavailable.of(error)

    async def close(self) -> None:
        """Close all engines; idempotent."""
        tasks = list(self._opening)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for member in self.members:
            member.is_open = False
        closed = await asyncio.gather(*(member.engine.close() for member in self.members), return_exceptions=True)
        for error in filter(None, closed):
            raise error

    async def stream(
        self,
        ask: Callable[[E], AsyncIterator[T]],
        able: Callable[[E], bool] | None = None,
        preferred: Callable[[E], bool] | None = None,
        *,
        limited: bool = True,
    ) -> AsyncGenerator[T, None]:
        """The answer of the first engine that begins one, of those that are `able`, and first of those that are `preferred`; not `limited`:
        however long it takes to begin. Closing it closes that engine's stream."""
        asking, cause = self.asking(able, preferred), None
        while asking.advance():
            member, begun = asking.member, False
            try:
                limit_s = asking.limit_s if limited else None
                async with aclosing(_begun_within(ask(member.engine), limit_s, member.name)) as pieces:
                    async for piece in pieces:
                        if not begun:
                            begun = True
                            asking.begins()
                        yield piece
                if not begun:
                    asking.begins()
                return
            except EngineRefused:
                raise
            except Exception as error:
                failure = asking.fails(error)
                if begun:
                    raise
                cause = failure
            finally:
                asking.leave()
        raise asking.error from cause

    def asking(
        self, able: Callable[[E], bool] | None = None, preferred: Callable[[E], bool] | None = None
    ) -> Asking[E]:
        """The way of a new request through the engines that are `able`."""
        self._reopen(self.now())
        return Asking(self, able, preferred)

    # --- members ---

    def failed(self, member: ChainMember[E], error: Exception) -> EngineError:
        """It rests from now on. Returns the error as an engine's; the unexpected is logged."""
        failure = error if isinstance(error, EngineError) else None
        if failure is None:
            logger.error("%s: %s failed unexpectedly", self.title, member.name, exc_info=error)
            failure = EngineError(f"{member.name} failed: {type(error).__name__}. The log has the details.")
        member.fails(failure, self.now(), self.limits)
        logger.warning("%s: %s failed and rests for %g s: %s", self.title, member.name, member.pause_s, failure)
        return failure

    async def _open(self, member: ChainMember[E]) -> None:
        try:
            await member.engine.open()
        except Exception as error:  # noqa: BLE001 - the engine boundary
            self.failed(member, error)
            try:
                await member.engine.close()
            except Exception:
                logger.exception("%s: %s could not be closed after it failed to open", self.title, member.name)
        else:
            member.is_open, member.error, member.pause_s = True, None, 0.0

    def _reopen(self, now: float) -> None:
        """Open again, beside the requests, what could not be opened and has rested."""
        for member in self.members:
            if not member.is_open and member.error is not None and now >= member.rests_until and not member.tried:
                member.tried = True
                task = asyncio.ensure_future(self._open(member))
                self._opening.add(task)
                task.add_done_callback(partial(self._opened, member))

    def _opened(self, member: ChainMember[E], task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        member.tried = False
        if member.is_open:
            logger.info("%s: %s can be used now", self.title, member.name)

    def now(self) -> float:
        """Seconds, as the rests of engines are counted."""
        return self._clock()


async def _begun_within(pieces: AsyncIterator[T], limit_s: float | None, name: str) -> AsyncGenerator[T, None]:
    """The pieces; `EngineError` (`timeout`) where the first takes longer than that. Closes the engine's stream."""
    try:
        try:
            async with asyncio.timeout(limit_s) as scope:
                first = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            if not scope.expired():
                raise
            raise EngineError(f"{name} did not answer within {limit_s:g} s.", code="timeout") from None
        yield first
        async for piece in pieces:
            yield piece
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()
