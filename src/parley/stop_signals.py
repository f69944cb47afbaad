"""The signals that ask a command to end, as calls on its event loop.

Laws: standard library only, imports nothing of Parley; alike on every system, as far as it has the signal.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from typing import Final

ENDINGS: Final = ("SIGINT", "SIGTERM")
HANG_UPS: Final = ("SIGTERM", "SIGHUP")
"""Those of a screen, which reads Ctrl-C as a key: a shutdown, and a terminal that is closed."""


def on_stop_signals(stop: Callable[[], None], names: tuple[str, ...] = ENDINGS) -> None:
    """Calls `stop` on the running event loop whenever one of these signals comes. Signals that this system lacks are passed over, and all
    of them outside the main thread, which alone is sent any."""
    loop = asyncio.get_running_loop()
    for name in names:
        number = getattr(signal, name, None)
        if number is None:
            continue
        with contextlib.suppress(RuntimeError, ValueError):  # not the main thread
            try:
                loop.add_signal_handler(number, stop)
            except NotImplementedError:  # the event loops of Windows
                signal.signal(number, lambda *_: _soon(loop, stop))


def _soon(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(stop)
