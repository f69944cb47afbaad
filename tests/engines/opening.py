"""An engine for as long as a test uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from parley.engines.ports import Engine

E = TypeVar("E", bound=Engine)


@asynccontextmanager
async def while_open(engine: E) -> AsyncIterator[E]:
    """Opened, and closed whatever happens. Raises what `open()` raises."""
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()
