"""The server's end of one PocketSphinx child process: typed requests, one at a time.

Laws:
- A request that the child does not answer, because it ended or because `limit_s` is over, raises `DecoderLost`. The child is dead
  then: one that hung has been killed, since its late output could not be distinguished from an answer to the next request.
- A child that computes, on a machine that leaves it little to compute with, is given more time: to end it would only add work.
- Knows no streams, no queue, and not when to start again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley.engines.ports import EngineError, EngineUnavailable, Word
from parley.engines.stt import pocketsphinx_worker as worker

START_TIMEOUT_S = 60.0
"""Loading takes half a second; a minute allows for a cold disk and a machine that starts everything at once."""

RESTART_TIMEOUT_S = 10.0
"""The files were read a moment ago."""

REQUEST_TIMEOUT_S = 5.0
"""The longest request takes a quarter of a second of processor time on a slow machine. A child that has not used any in twenty times as
long has hung; a turn still has most of its 30 s then."""

MAX_EXTENSIONS = 5
"""Times that a child which does use some is given `REQUEST_TIMEOUT_S` again: its turn is given up then anyway."""

STOP_TIMEOUT_S = 2.0
"""A child ends within one slice of audio; one that does not is killed."""

_FRAME_MS = 10.0
_FILLERS = ("<", "[", "+")


class DecoderLost(EngineError):
    """The child process ended, or was ended because it did not answer."""

    def __init__(self, how: str = "ended unexpectedly") -> None:
        super().__init__(
            f"A PocketSphinx process {how}; it is started again.",
            code="recognizer_crashed",
            remedy="Repeat what was said. If it happens again, look at the server's standard error and at the free memory.",
        )


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One decoded utterance. `words` are timed from its start; `posteriors` are theirs, 0..1."""

    text: str = ""
    words: tuple[Word, ...] = ()
    posteriors: tuple[float, ...] = ()


class DecoderProcess:
    """Call `start()`, then any of the requests, never two at once, then `stop()`. After a `DecoderLost`, `start()` again.

    `on_exit` is called on the event loop whenever the child has ended without being asked to.
    """

    def __init__(self, options: Mapping[str, object], limit_s: float = REQUEST_TIMEOUT_S) -> None:
        self._options = dict(options)
        self._limit_s = limit_s
        self._child: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self.on_exit: Callable[[], None] = lambda: None

    @property
    def pid(self) -> int:
        """Process id of the child, 0 where there is none."""
        return self._child.pid if self._child else 0

    @property
    def alive(self) -> bool:
        """Whether there is a child and it runs."""
        return self._child is not None and self._child.returncode is None

    async def start(self, limit_s: float = START_TIMEOUT_S) -> None:
        """Start (again) and load the models. Raises `EngineUnavailable`; its code is `load_failed` if trying again does not help."""
        await self._kill()
        remedy = "Install it: pip install --force-reinstall pocketsphinx"
        command = (sys.executable, "-P", "-m", worker.__name__)
        pipe = asyncio.subprocess.PIPE
        try:
            child = self._child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
            reply = await self._exchange(b"C", json.dumps(self._options).encode(), limit_s)
        except (OSError, ValueError, DecoderLost) as error:
            await self._kill()
            raise EngineUnavailable(
                f"A PocketSphinx process cannot be started: {error}", code="worker_failed", remedy=remedy
            ) from error
        except BaseException:
            await self._kill()
            raise
        if "error" in reply:
            await self._kill()
            raise EngineUnavailable(
                f"PocketSphinx cannot be loaded ({reply['error']}).", code="load_failed", remedy=remedy
            )
        self._watch = asyncio.get_running_loop().create_task(self._wait_for_exit(child))

    async def _wait_for_exit(self, child: asyncio.subprocess.Process) -> None:
        await child.wait()
        self.on_exit()

    async def stop(self) -> None:
        """End the child, which may finish its request first; idempotent."""
        child = self._child
        if child is not None:
            assert child.stdin is not None
            child.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await child.wait()
        await self._kill()

    async def _kill(self) -> None:
        """End the child now, whatever it does; idempotent."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        child, self._child = self._child, None
        if child is not None:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
            await child.wait()

    async def ping(self) -> None:
        """Ask for an answer and nothing else: an utterance that is open stays as it is."""
        await self._ask(b"P", b"")

    async def mean(self, pcm: bytes) -> str:
        """Cepstral mean of PCM16 at 16 kHz, in the decoder's own notation."""
        return str((await self._ask(b"M", pcm))["mean"])

    async def begin(self, mean: str) -> None:
        """Open an utterance normalised by `mean` ("" for the model's own); one still open is abandoned."""
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

    async def _exchange(self, operation: bytes, payload: bytes, limit_s: float | None = None) -> dict[str, Any]:
        child = self._child
        if child is None:
            raise DecoderLost
        assert child.stdin is not None
        assert child.stdout is not None
        limit_s = limit_s or self._limit_s
        answer = asyncio.get_running_loop().create_task(
            _answer(child.stdin, child.stdout, worker.REQUEST.pack(operation, len(payload)) + payload)
        )
        try:
            for _ in range(1 + MAX_EXTENSIONS):
                used = _processor_ticks(child.pid)
                done, _ = await asyncio.wait([answer], timeout=limit_s)
                if done or _processor_ticks(child.pid) == used:
                    break
            if not answer.done():
                answer.cancel()
                await self._kill()
                raise DecoderLost(f"did not answer within {limit_s:g} s and was ended")
            return answer.result()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            await self._kill()
            raise DecoderLost from error
        finally:
            answer.cancel()


async def _answer(requests: asyncio.StreamWriter, replies: asyncio.StreamReader, request: bytes) -> dict[str, Any]:
    requests.write(request)
    await requests.drain()
    (length,) = worker.REPLY.unpack(await replies.readexactly(worker.REPLY.size))
    reply: dict[str, Any] = json.loads(await replies.readexactly(length))
    return reply


def _processor_ticks(pid: int) -> int:
    """Processor time that a process has used, user's and system's (proc(5)); 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def _spelling(word: str) -> str:
    """`was(2)`, the dictionary's second pronunciation, is spelt `was`."""
    return word.partition("(")[0]
