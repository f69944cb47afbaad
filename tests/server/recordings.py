"""What the tests of endpoints that take recordings share: a recording of two turns, as a file, in a form, over a bare socket."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np

from tests.library.rig import silence, voice

TALK = np.concatenate([silence(300), voice(900), silence(900), voice(900), silence(900)])
SECONDS = len(TALK) / 24_000


def wav(audio: Any = TALK, rate: int = 24_000) -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(audio, "<i2").tobytes())
    return data.getvalue()


def form(audio: bytes) -> bytes:
    """A whole form with the boundary x."""
    return (
        b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + audio + b"\r\n--x--\r\n"
    )


def head(path: str, length: int) -> bytes:
    """Of an HTTP request with such a form."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()
