"""What an engine raised, as the fault that reaches the core.

Laws: this is the one place where an engine's exception is turned into an event's value; the unexpected is logged with
its traceback. A `CancelledError` is an engine's fault like any other, unless the task that asks is itself being cancelled: an engine's
code runs inside `engine_code()`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from parley.core.words.errors import Fault
from parley.engines.ports import Engine, EngineError
from parley.errors import ParleyError
from parley.text.whole_characters import writable

logger = logging.getLogger(__name__)


def cancelled_from_outside() -> bool:
    """Whether the running task is being cancelled; if not, a `CancelledError` was raised by the code that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class StrayCancellation(ParleyError):
    """An engine's code raised `CancelledError`, and nothing had cancelled the task."""


@contextmanager
def engine_code() -> Iterator[None]:
    """An engine's code is awaited inside. A `CancelledError` of its own is raised as `StrayCancellation`, an ordinary exception."""
    try:
        yield
    except asyncio.CancelledError as error:
        if cancelled_from_outside():
            raise
        raise StrayCancellation("the code that was awaited raised CancelledError") from error


def named(title: str, engine: Engine | None) -> str:
    """An engine as the subject of a sentence: "The speech recogniser 'whisper'"; `title` alone where there is none."""
    return title if engine is None else f"{title} {engine.info.name!r}"


def fault_of(error: Exception, who: str) -> Fault:
    """The fault for the client. `who` begins a sentence (see `named`)."""
    if isinstance(error, EngineError):
        return Fault(error.code, writable(str(error)))
    logger.error("%s failed unexpectedly", who, exc_info=error)
    return Fault("engine_error", f"{who} failed: {type(error).__name__}. The log has the details.")
