"""The child process that owns one PocketSphinx decoder. Run as `python -m parley.engines.stt.pocketsphinx_worker`.

Laws:
- A process, not a thread: PocketSphinx holds the GIL while it decodes, and would stop every session for as long.
- Knows no streams and no time: it answers one request after another, in order, each with one reply.
- Nothing of an utterance is left in the next: PocketSphinx keeps its estimate of the cepstral mean from one utterance to the next, and
  after three seconds of noise takes a question for other words. Feature extraction is set up anew for each (0.15 ms).
- Ends when its standard input ends, so it never outlives the server.

Protocol, little-endian: a request is one byte of operation, u32 length, payload; a reply is u32 length and JSON.

    C  configure, payload JSON options      -> {} or {"error": text}
    M  the cepstral mean of this PCM16      -> {"mean": text}
    B  begin an utterance with this mean ("" for the model's own); one still open is abandoned -> {}
    D  decode this PCM16                    -> {"text": the hypothesis so far}
    E  end the utterance                    -> {"text", "words": [[word, first frame, last frame, posterior]...]}
    P  whether the process answers; changes nothing -> {}

A request that fails is answered with {"error": text}.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

REQUEST = struct.Struct("<cI")
REPLY = struct.Struct("<I")

NICENESS = 5
"""Below the event loop's priority: on a full machine, sockets and playback come before transcription."""

_MEAN_SEARCH = "mean"
_MEAN_GRAMMAR = "#JSGF V1.0; grammar mean; public <mean> = yes;"


class _Decoder:
    """One decoder and whether an utterance is open on it."""

    def __init__(self, options: Mapping[str, object]) -> None:
        import pocketsphinx

        self._decoder: Any = pocketsphinx.Decoder(loglevel="FATAL", **options)
        self._decoder.add_jsgf_string(_MEAN_SEARCH, _MEAN_GRAMMAR)
        self._search: str = self._decoder.current_search()
        self._open = False
        self._own_mean: str = self._decoder.get_cmn()

    def mean(self, pcm: bytes) -> dict[str, object]:
        """Feature extraction only, under a grammar of one word: the big search's end of utterance would cost a decoding pass."""
        self._abandon()
        self._decoder.reinit_feat()
        self._decoder.activate_search(_MEAN_SEARCH)
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, no_search=True, full_utt=True)
        mean = self._decoder.get_cmn()
        self._decoder.end_utt()
        self._decoder.activate_search(self._search)
        return {"mean": mean}

    def begin(self, mean: str) -> dict[str, object]:
        self._abandon()
        self._decoder.reinit_feat()
        self._decoder.set_cmn(mean or self._own_mean)
        self._decoder.start_utt()
        self._open = True
        return {}

    def decode(self, pcm: bytes) -> dict[str, object]:
        self._decoder.process_raw(pcm)
        return {"text": self._text()}

    def end(self) -> dict[str, object]:
        self._abandon()
        text = self._text()
        words = [[s.word, s.start_frame, s.end_frame, s.prob] for s in self._decoder.seg() or ()] if text else []
        return {"text": text, "words": words}

    def _text(self) -> str:
        hypothesis = self._decoder.hyp()
        return str(hypothesis.hypstr) if hypothesis else ""

    def _abandon(self) -> None:
        if self._open:
            self._open = False
            self._decoder.end_utt()


def _configure(payload: bytes) -> tuple[_Decoder | None, dict[str, object]]:
    try:
        return _Decoder(json.loads(payload)), {}
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        return None, {"error": f"{type(error).__name__}: {error}"}


def _perform(decoder: _Decoder, operation: bytes, payload: bytes) -> dict[str, object]:
    try:
        if operation == b"M":
            return decoder.mean(payload)
        if operation == b"B":
            return decoder.begin(payload.decode())
        if operation == b"D":
            return decoder.decode(payload)
        if operation == b"E":
            return decoder.end()
        if operation == b"P":
            return {}
    except (IndexError, RuntimeError, ValueError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"error": f"unknown operation {operation!r}"}


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until the input ends."""
    decoder: _Decoder | None = None
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        operation, length = REQUEST.unpack(head)
        payload = requests.read(length)
        reply: dict[str, object]
        if operation == b"C":
            decoder, reply = _configure(payload)
        elif decoder is None:
            reply = {"error": "not configured"}
        else:
            reply = _perform(decoder, operation, payload)
        body = json.dumps(reply).encode()
        replies.write(REPLY.pack(len(body)) + body)
        replies.flush()


def main() -> None:
    # Ctrl-C, and a signal to the whole process group, are for the server, which then closes our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    # whatever the library prints must not get between the replies
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
