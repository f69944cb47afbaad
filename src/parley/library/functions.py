"""Calls functions of any kind: plain, asynchronous, generators, and objects that can be called.

Laws: plain functions and plain generators run in threads, one step of one generator at a time; asynchronous ones run on the event loop;
closing an iterator here closes the function's. Whatever a function raises in a thread is raised here, `StopIteration` and `SystemExit` too.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from parley.engines.ports import EngineInfo

T = TypeVar("T")

logger = logging.getLogger(__name__)

END = object()
"""What a plain iterator's next step gives when there is none."""


def _innermost(function: Callable[..., Any]) -> Any:
    """The function that has the code: beneath `functools.partial`, and the `__call__` of an object."""
    found: Any = function
    while isinstance(found, partial):
        found = found.func
    return found if inspect.isroutine(found) or isinstance(found, type) else getattr(found, "__call__", found)  # noqa: B004


def name_of(function: object) -> str:
    """What a function is called in messages: `reply()`."""
    plain = function.func if isinstance(function, partial) else function
    return f"{getattr(plain, '__name__', type(plain).__name__)}()"


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a call gives something to be awaited, or an asynchronous generator."""
    code = _innermost(function)
    return inspect.iscoroutinefunction(code) or inspect.isasyncgenfunction(code)


def is_generator(function: Callable[..., Any]) -> bool:
    """Whether a call gives a generator, plain or asynchronous."""
    code = _innermost(function)
    return inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code)


def asked_for(function: Callable[..., Any], offered: Iterable[str]) -> frozenset[str]:
    """Those of the offered names that are parameters of the function; all where it takes `**anything`."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return frozenset()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return frozenset(offered)
    named = {parameter.name for parameter in parameters if parameter.kind is not parameter.POSITIONAL_ONLY}
    return frozenset(named.intersection(offered))


async def in_thread(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """The function's result, from a thread of its own. A cancelled call does not wait for it, nor does the program's end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def answer(outcome: tuple[Any, BaseException | None]) -> None:
        if not done.done():
            done.set_result(outcome)

    def call() -> None:
        # What it raises is handed on as a value: a future that is given a StopIteration is never done.
        try:
            outcome: tuple[Any, BaseException | None] = context.run(function, *arguments, **named), None
        except BaseException as error:  # noqa: BLE001 - raised again where the result is awaited
            outcome = None, error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(answer, outcome)

    threading.Thread(target=call, name=f"parley {name_of(function)}", daemon=True).start()
    result, error = await done
    if error is not None:
        raise error
    value: T = result
    return value


async def called(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What a function of any kind returns; a generator is returned as it is."""
    if is_async(function) or is_generator(function):
        answer = function(*arguments, **named)
    else:
        answer = await in_thread(function, *arguments, **named)
    return await answer if inspect.isawaitable(answer) else answer


async def pieces_of(answer: Any, whole: tuple[type, ...]) -> AsyncGenerator[Any, None]:
    """The pieces of what a function has returned: a value of the types `whole` is one piece, an iterable gives its own."""
    if isinstance(answer, whole):
        yield answer
    elif hasattr(answer, "__aiter__"):
        try:
            async for piece in answer:
                yield piece
        finally:
            if hasattr(answer, "aclose"):
                await answer.aclose()
    elif hasattr(answer, "__iter__"):
        pieces = _ThreadedPieces(answer)
        try:
            while (piece := await in_thread(pieces.next)) is not END:
                yield piece
        finally:
            # Not awaited: a cancelled reply must not wait, and a thread may still be making a piece.
            threading.Thread(target=pieces.close, name="parley closes a generator", daemon=True).start()
    else:
        yield answer


class _ThreadedPieces:
    """A plain iterator that threads step through, one at a time; it is closed after the step under way."""

    def __init__(self, pieces: Iterable[Any]) -> None:
        self._iterator: Iterator[Any] = iter(pieces)
        self._one_at_a_time = threading.Lock()

    def next(self) -> Any:
        with self._one_at_a_time:
            return next(self._iterator, END)

    def close(self) -> None:
        with self._one_at_a_time:
            close = getattr(self._iterator, "close", None)
            if close is None:
                return
            try:
                close()
            except Exception:
                logger.exception("closing %r failed", self._iterator)


class FunctionEngine:
    """A function in an engine's place: it has nothing to load."""

    stage: str
    sample_rate = 0

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = name_of(function)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            self.stage, self.name.removesuffix("()"), "a function of your own", sample_rate=self.sample_rate
        )

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None
