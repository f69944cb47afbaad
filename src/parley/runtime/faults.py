"""What an engine raised, as the fault that reaches the core.

Laws: this is the one place where an engine's exception is turned into an event's value; the unexpected is logged with
its traceback.
"""

from __future__ import annotations

import logging

from parley.core.errors import Fault
from parley.engines.ports import EngineError
from parley.runtime.whole_characters import writable

logger = logging.getLogger(__name__)


def fault_of(error: Exception, who: str) -> Fault:
    """The fault for the client. `who` begins a sentence: "The speech recogniser"."""
    if isinstance(error, EngineError):
        return Fault(error.code, writable(str(error)))
    logger.error("%s failed unexpectedly", who, exc_info=error)
    return Fault("engine_error", f"{who} failed: {type(error).__name__}. The log has the details.")
