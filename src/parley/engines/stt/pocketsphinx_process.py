"""The server's end of one PocketSphinx child process: typed requests, one at a time.

Laws: knows no streams and no queue; a dead child is a `DecoderDied`, and `start()` makes a new one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parley.engines.ports import EngineError, EngineUnavailable, Word
from parley.engines.stt import pocketsphinx_worker as worker

START_TIMEOUT_S = 60.0
"""Loading takes half a second; a minute allows for a cold disk and a machine that starts everything at once."""

STOP_TIMEOUT_S = 2.0
"""A child ends within one slice of audio; one that does not is killed."""

_FRAME_MS = 10.0
_FILLERS = ("<", "[", "+")


class DecoderDied(EngineError):
    """The child process ended in the middle of a request."""

    def __init__(self) -> None:
        super().__init__(
            "The PocketSphinx process ended unexpectedly; it is started again.",
            code="recognizer_crashed",
            mend="If it happens again, look at the server's standard error and at the free memory.",
        )


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One decoded utterance. `words` are timed from its start; `posteriors` are theirs, 0..1."""

    text: str = ""
    words: tuple[Word, ...] = ()
    posteriors: tuple[float, ...] = ()


class DecoderProcess:
    """Call `start()`, then any of the requests, never two at once, then `stop()`."""

    def __init__(self, options: Mapping[str, object]) -> None:
        self._options = dict(options)
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Process id of the running child, 0 before `start()`."""
        return self._child.pid if self._child else 0

    async def start(self) -> None:
        """Start (again) and load the models. Raises `EngineUnavailable`."""
        await self.stop()
        mend = "Install it: pip install --force-reinstall pocketsphinx"
        command = (sys.executable, "-P", "-m", worker.__name__)
        pipe = asyncio.subprocess.PIPE
        try:
            self._child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
            async with asyncio.timeout(START_TIMEOUT_S):
                reply = await self._exchange(b"C", json.dumps(self._options).encode())
        except (OSError, TimeoutError, DecoderDied) as error:
            await self.stop()
            raise EngineUnavailable(
                f"The PocketSphinx process cannot be started: {str(error) or 'it did not answer in time'}.",
                code="worker_failed",
                mend=mend,
            ) from error
        if "error" in reply:
            await self.stop()
            raise EngineUnavailable(f"PocketSphinx cannot be loaded ({reply['error']}).", code="load_failed", mend=mend)

    async def stop(self) -> None:
        """End the child; idempotent."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        child.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()

    async def mean(self, pcm: bytes) -> str:
        """Cepstral mean of PCM16 at 16 kHz, in the decoder's own notation."""
        return str((await self._ask(b"M", pcm))["mean"])

    async def begin(self, mean: str) -> None:
        """Open an utterance normalised by `mean` ("" keeps the last one); one still open is abandoned."""
        await self._ask(b"B", mean.encode())

    async def decode(self, pcm: bytes) -> str:
        """Decode the next PCM16 of the open utterance; returns the hypothesis so far."""
        return str((await self._ask(b"D", pcm))["text"])

    async def end(self) -> Hypothesis:
        """Close the utterance; its best hypothesis."""
        reply = await self._ask(b"E", b"")
        spoken = [row for row in reply["words"] if not row[0].startswith(_FILLERS)]
        words = tuple(Word(_spelling(w), first * _FRAME_MS, (last + 1) * _FRAME_MS) for w, first, last, _ in spoken)
        posteriors = tuple(min(1.0, float(posterior)) for *_, posterior in spoken)
        return Hypothesis(str(reply["text"]), words, posteriors)

    async def _ask(self, operation: bytes, payload: bytes) -> dict[str, Any]:
        reply = await self._exchange(operation, payload)
        if "error" in reply:
            raise EngineError(f"PocketSphinx failed ({reply['error']}).", code="recognizer_failed")
        return reply

    async def _exchange(self, operation: bytes, payload: bytes) -> dict[str, Any]:
        child = self._child
        if child is None:
            raise DecoderDied
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(worker.REQUEST.pack(operation, len(payload)) + payload)
            await child.stdin.drain()
            (length,) = worker.REPLY.unpack(await child.stdout.readexactly(worker.REPLY.size))
            reply: dict[str, Any] = json.loads(await child.stdout.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise DecoderDied from error
        return reply


def _spelling(word: str) -> str:
    """`was(2)`, the dictionary's second pronunciation, is spelt `was`."""
    return word.partition("(")[0]
