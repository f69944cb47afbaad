"""The end of PortAudio's streams, which may never come.

Laws:
- A stream whose sound server ends may wait for itself for ever: PulseAudio's library frees the sound that the stream's thread still holds
  while it keeps the lock which that thread needs. Such a stream is left after `CLOSING_S`, with the thread that closes it.
- After that PortAudio is never terminated in this process, not at its exit either: it would wait for the same stream.
Does not know: devices, what the streams carry.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Sequence
from typing import Any, Final

CLOSING_S: Final = 2.0
"""A stream that ends does so in hundredths of a second."""

_left: list[Any] = []
"""Streams whose threads may still call back: they must not be freed."""


def end_streams(sd: Any, streams: Sequence[Any]) -> None:
    """Abort and close streams of the library `sd`; those that do not end are left. Blocks, for `CLOSING_S` at the most."""
    if not streams:
        return
    thread = threading.Thread(target=_end, args=(streams,), name="closing sound", daemon=True)
    thread.start()
    thread.join(CLOSING_S)
    if thread.is_alive():
        _left.extend(streams)
        atexit.unregister(sd._exit_handler)


def _end(streams: Sequence[Any]) -> None:
    for stream in streams:
        stream.abort(ignore_errors=True)
        stream.close(ignore_errors=True)


def list_devices_again(sd: Any) -> None:
    """Let PortAudio look for devices, which it does only when it starts. Ends every open stream. Without effect once a stream was left."""
    if not _left:
        sd._terminate()
        sd._initialize()
