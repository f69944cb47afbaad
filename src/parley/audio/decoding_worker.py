"""The child process that decodes one file of a stranger. Run as `python -m parley.audio.decoding_worker MAX_SECONDS MAX_RATE NAME`.

Laws:
- A process: the file of an attacker costs its own process memory, time or life, and nothing of the server's. Where the system has them,
  limits hold it: it opens nothing, writes no file, and has so much memory and so much processor time.
- The file is its standard input, read to the end before anything is decoded. It decodes no faster than its output is read.
- Ends when its output is closed, so it never outlives its reader.

Protocol, little-endian: messages of one byte of kind, u32 length, payload.

    R  the rate in Hz, as text; first
    A  mono float32 samples at that rate, about half a second
    E  JSON {"message", "remedy", "too_long"}: why it is not read to its end; last
    .  the end of the audio; last
"""

from __future__ import annotations

import importlib
import io
import json
import os
import pkgutil
import signal
import struct
import sys
from typing import BinaryIO, Final

from parley.audio.av_decoding import decoded
from parley.audio.file_errors import AudioFileError, AudioTooLong

HEAD: Final = struct.Struct("<cI")

PIECE_MS: Final = 500

MEMORY_BYTES: Final = 512 << 20
"""Of addresses, the libraries' 150 MB and the file included. An index that a few bytes of a container ask for may take several GB."""

PROCESSOR_S: Final = 900
"""Hours of the slowest codec on a slow machine take a few minutes."""

NICENESS: Final = 5
"""Below the event loop's priority: on a full machine, sockets and playback come first."""


def serve(data: bytes, out: BinaryIO, max_seconds: float, max_rate: int, name: str) -> None:
    """Decode `data` and write the messages. `name` stands for the file in what is said of it."""
    held = bytearray()
    size = 0
    try:
        file = io.BytesIO(data)
        for rate, samples in decoded(file, name, max_seconds=max_seconds, max_rate=max_rate, stranger=True):
            if not size:
                _send(out, b"R", str(rate).encode())
                size = max(4, 4 * (rate * PIECE_MS // 1000))
            for at in range(0, len(samples), size):
                held += samples[at : at + size]
                while len(held) >= size:
                    _send(out, b"A", bytes(held[:size]))
                    del held[:size]
        if held:
            _send(out, b"A", bytes(held))
        _send(out, b".", b"")
    except AudioFileError as error:
        said = {"message": error.message, "remedy": error.remedy, "too_long": isinstance(error, AudioTooLong)}
        _send(out, b"E", json.dumps(said).encode())


def _send(out: BinaryIO, kind: bytes, payload: bytes) -> None:
    out.write(HEAD.pack(kind, len(payload)) + payload)
    out.flush()


def _load() -> None:
    """Load every module that opening and decoding a file needs: PyAV loads some when it meets a track of their kind."""
    import av

    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith((".__main__", ".datasets")):
            importlib.import_module(module.name)


def limit() -> None:
    """Give up what decoding does not need. The libraries are loaded first: afterwards no file can be opened."""
    _load()
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, PROCESSOR_S),
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    )
    for kind, most in wanted:
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(kind, (least, least))
        except (ValueError, OSError):  # macOS has no limit of addresses
            continue


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then closes our output
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    # whatever the libraries print must not get between the messages
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    data = sys.stdin.buffer.read()
    limit()
    try:
        serve(data, out, float(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    except BrokenPipeError:
        os._exit(1)  # nobody reads any more; the interpreter would try to flush


if __name__ == "__main__":
    main()
