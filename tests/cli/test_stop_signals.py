"""What asks a command to end, on event loops with signal handlers (POSIX) and without (Windows)."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import parley
from parley.stop_signals import ENDINGS, on_stop_signals


class LoopOfWindows(asyncio.SelectorEventLoop):
    """An event loop that takes no signal handlers, as those of Windows."""

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        raise NotImplementedError


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, LoopOfWindows])
@pytest.mark.parametrize("name", ENDINGS)
def test_a_signal_stops_a_command_in_order(name: str, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def command() -> str:
        stop = asyncio.Event()
        on_stop_signals(stop.set)
        os.kill(os.getpid(), getattr(signal, name))
        async with asyncio.timeout(10):
            await stop.wait()
        return "ended in order"

    before = {each: signal.getsignal(getattr(signal, each)) for each in ENDINGS}
    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            assert runner.run(command()) == "ended in order"
    finally:
        for each, handler in before.items():
            signal.signal(getattr(signal, each), handler)


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, LoopOfWindows])
def test_what_a_system_or_a_thread_does_not_have_is_passed_over(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def command() -> None:
        on_stop_signals(ended.set, ("SIGNAL_OF_ANOTHER_SYSTEM", "SIGTERM"))
        ended.set()

    ended = threading.Event()
    before = signal.getsignal(signal.SIGTERM)

    def serve() -> None:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(command())

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert ended.is_set()
    assert signal.getsignal(signal.SIGTERM) is before


def test_nothing_else_asks_an_event_loop_for_signals() -> None:
    source = Path(parley.__file__).parent
    users = [str(path.relative_to(source)) for path in source.rglob("*.py") if "add_signal_handler" in path.read_text()]
    assert users == ["stop_signals.py"]
