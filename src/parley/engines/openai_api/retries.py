"""Whether and when a request is sent again.

Laws: only before anything of the answer has come; at most `MAX_RETRIES`, after 0.25 and 0.5 s or what the server asks for if that is short.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, TypeVar

from parley.engines.openai_api.errors import Failure

Piece = TypeVar("Piece")

logger = logging.getLogger(__name__)

MAX_RETRIES: Final = 2
FIRST_PAUSE_S: Final = 0.25
MAX_PAUSE_S: Final = 2.0
"""A server that asks for a longer pause gets none: a user is waiting for the answer, and an error reaches them sooner."""


class Retries:
    """The retries of one request; `title` names the service in the log."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._left = MAX_RETRIES
        self._pause_s = FIRST_PAUSE_S

    def pause_after(self, failure: Failure, *, begun: bool) -> float:
        """How many seconds to wait before the next attempt. Raises the failure's error where there is to be none.

        `begun`: a part of the answer was handed on.
        """
        after = failure.retry_after_s
        if begun or not self._left or after is None or after > MAX_PAUSE_S:
            raise failure.error from None  # (the cause may repeat a key)
        wait_s = max(self._pause_s, after)
        self._left -= 1
        self._pause_s *= 2
        title = self._title[:1].lower() + self._title[1:]
        logger.info("Asking %s again in %.2f s: %s", title, wait_s, failure.error.message)
        return wait_s


async def retried(
    title: str, attempt: Callable[[], AsyncGenerator[Piece, None]], failure_of: Callable[[Exception], Failure]
) -> AsyncGenerator[Piece, None]:
    """The pieces of the first attempt that yields one; an attempt is one request, and may raise anything, which `failure_of` maps.

    Closing the generator closes the attempt. Raises the `EngineError` of the failure after which there is no further attempt.
    """
    retries = Retries(title)
    while True:
        begun = False
        try:
            async with aclosing(attempt()) as pieces:
                async for piece in pieces:
                    begun = True
                    yield piece
            return
        except Exception as error:  # noqa: BLE001 - the engine boundary: everything becomes an EngineError
            wait_s = retries.pause_after(failure_of(error), begun=begun)
        await asyncio.sleep(wait_s)
