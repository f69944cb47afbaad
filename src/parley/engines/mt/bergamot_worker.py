"""The child process that owns one Bergamot model. Run as `python -m parley.engines.mt.bergamot_worker`.

Laws:
- A process, not a thread: fxtranslate holds the GIL while it translates, and would stop every session for as long; and its translator
  may only be used on the thread that made it.
- A damaged file makes fxtranslate panic, or translate nonsense: a panic becomes an error of this process, and the model is tried once.
- Ends when its standard input ends, so it never outlives the server.

Protocol: each request and each reply ends with a NUL. The first request is JSON, the paths of the files (`model`, `source_vocab`,
`target_vocab`, `shortlist`, which may be ""). Each further one is a text. A reply is `=` and the translation, or `!` and what failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

NICENESS = 5
"""Below the event loop's priority: on a full machine, sockets and playback come first."""


def main() -> int:
    """Serve the requests of standard input until it ends."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICENESS)
    serve(sys.stdin.buffer, sys.stdout.buffer)
    return 0


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Load what the first request names, then translate the others, one reply each."""
    texts = _until_nul(requests)
    translate: Callable[[str], str] | None = None
    for text in texts:
        try:
            if translate is None:
                translate = _load(text)
                reply = "="
            else:
                reply = "=" + translate(text)
        except BaseException as error:  # noqa: BLE001 - a Rust panic is no Exception
            reply = f"!{type(error).__name__}: {error}"
        replies.write(reply.replace("\0", "").encode(errors="replace") + b"\0")
        replies.flush()


def _load(configuration: str) -> Callable[[str], str]:
    from fxtranslate import Translator

    paths: dict[str, str] = json.loads(configuration)
    source = Path(paths["source_vocab"]).read_bytes()
    target = source if paths["target_vocab"] == paths["source_vocab"] else Path(paths["target_vocab"]).read_bytes()
    shortlist = Path(paths["shortlist"]).read_bytes() if paths["shortlist"] else None
    translator = Translator(Path(paths["model"]).read_bytes(), source, target, shortlist)
    translator.translate("1")
    translate: Callable[[str], str] = translator.translate
    return translate


def _until_nul(stream: BinaryIO) -> Iterator[str]:
    held = b""
    while block := os.read(stream.fileno(), 65_536):
        *whole, held = (held + block).split(b"\0")
        for text in whole:
            yield text.decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
