"""What an engine raised, as the fault that reaches the core.

Laws: this is the one place where an engine's exception is turned into an event's value; the unexpected is logged with
its traceback. A `CancelledError` is an engine's fault like any other, unless the task that asks is itself being cancelled.
"""

from __future__ import annotations

import asyncio
import logging

from parley.core.errors import Fault
from parley.engines.ports import EngineError
from parley.runtime.whole_characters import writable

logger = logging.getLogger(__name__)


def cancelled_from_outside() -> bool:
    """Whether the running task is being cancelled; if not, a `CancelledError` was raised by the code that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def fault_of(error: BaseException, who: str) -> Fault:
    """The fault for the client. `who` begins a sentence: "The speech recogniser"."""
    if isinstance(error, EngineError):
        return Fault(error.code, writable(str(error)))
    logger.error("%s failed unexpectedly", who, exc_info=error)
    return Fault("engine_error", f"{who} failed: {type(error).__name__}. The log has the details.")
