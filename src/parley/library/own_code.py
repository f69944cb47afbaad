"""The border between a session and the code of its owner: functions, engines and judgements that the library calls.

Laws: an exception of the owner's code fails that turn and is reported as `Failed` with the exception in it; the session continues. A
`BaseException` that is not an `Exception` (`SystemExit`, `KeyboardInterrupt`) ends the session and is raised in the caller. A
cancellation by the library passes through.

Does not know: what the code is for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from parley.engines.ports import EngineError
from parley.library.events import Failed
from parley.runtime.faults import cancelled_from_outside
from parley.text.whole_characters import writable

T = TypeVar("T")

logger = logging.getLogger(__name__)

MAX_REMEMBERED = 64
"""Faults whose exceptions are kept until they are reported; one session never has more under way."""

MAX_DETAIL = 1_000
"""Characters of an exception's own text that an event repeats."""


def described(error: BaseException) -> str:
    """`ValueError: the text`, bounded."""
    text = str(error)[:MAX_DETAIL]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class OwnCode:
    """One session's border. Call `attach()` once, before any code is called.

    `raises`: what an owner's code raises is also raised by the session's own methods.
    """

    def __init__(self, *, raises: bool = False) -> None:
        self.raises = raises
        self.ended_by: BaseException | None = None
        """What ended the session."""
        self._faults: OrderedDict[str, tuple[str, EngineError]] = OrderedDict()
        self._reported: dict[str, tuple[str, int]] = {}
        self._tell: Callable[[Failed], None]
        self._turn: Callable[[], int]
        self._ended: Callable[[], None]

    def attach(self, tell: Callable[[Failed], None], turn: Callable[[], int], ended: Callable[[], None]) -> None:
        """`tell` receives failures, `turn` counts the turns begun, `ended` is called when the session must end."""
        self._tell, self._turn, self._ended = tell, turn, ended

    def detach(self) -> None:
        """The session is over; later failures are dropped."""
        self.attach(_untold, int, _unended)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """The owner's code runs inside and handles its own exceptions, except those that end the session."""
        try:
            yield
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as error:
            self.ended_by = self.ended_by or error
            self._ended()
            raise

    @contextmanager
    def border(self, part: str, name: str) -> Iterator[None]:
        """The owner's code runs inside: `part` of the session, named `name`. Raises `EngineError` from its exceptions."""
        with self.watch():
            try:
                yield
            except EngineError as error:
                self._remember(part, error)
                raise
            except asyncio.CancelledError as error:
                if cancelled_from_outside():
                    raise
                raise self._fault(part, name, error) from error
            except Exception as error:
                raise self._fault(part, name, error) from error

    def _fault(self, part: str, name: str, error: BaseException) -> EngineError:
        fault = EngineError(f"{name} raised {described(error)}", code="function_failed")
        if not self.raises:  # else the caller has it
            logger.error("%s", fault.message, exc_info=error)
        self._remember(part, fault)
        return fault

    def _remember(self, part: str, error: EngineError) -> None:
        self._faults[writable(str(error))] = part, error
        while len(self._faults) > MAX_REMEMBERED:
            self._faults.popitem(last=False)

    def completed(self, failed: Failed) -> Failed:
        """The event with the part that failed and its exception, if it reports a fault that passed the border."""
        part, error = self._faults.get(failed.message, (failed.part, failed.error))
        return replace(failed, part=part, error=error)

    def report(self, part: str, error: EngineError) -> None:
        """Report a fault that does not fail the turn; the same one once in a turn."""
        reported = str(error), self._turn()
        if self._reported.get(part) != reported:
            self._reported[part] = reported
            self._tell(Failed(error.code, writable(str(error)), part, error))

    def ask(self, part: str, name: str, question: Callable[[], T], otherwise: Callable[[], T]) -> T:
        """The answer of a judgement of the owner's, or `otherwise()` if it fails."""
        try:
            with self.border(part, name):
                return question()
        except EngineError as error:
            self.report(part, error)
            return otherwise()


def _untold(failed: Failed) -> None:
    """In place of a session's events, after its end."""


def _unended() -> None:
    """In place of a session's end, after it."""
