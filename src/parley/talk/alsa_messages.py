"""Keeps ALSA and JACK from writing to the terminal."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import sys
from typing import Any

_hushed: list[Any] = []
"""Keeps the callback alive that ALSA holds."""


def hush_alsa() -> None:
    """ALSA writes its doubts about every device straight to the terminal, over whatever is drawn there."""
    if _hushed or sys.platform != "linux":
        return
    kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)
    callback = kind(lambda file, line, function, code, text: None)
    _hushed.append(callback)
    name = ctypes.util.find_library("asound")
    if name is not None:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(name).snd_lib_error_set_handler(callback)
    jack_callback = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(lambda text: None)
    _hushed.append(jack_callback)
    name = ctypes.util.find_library("jack")
    if name is not None:
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(name)
            library.jack_set_error_function(jack_callback)
            library.jack_set_info_function(jack_callback)
