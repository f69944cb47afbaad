"""One request to speak, between its consumer on the event loop and the thread that makes its frames.

Laws: the thread calls `deliver()`, `end()` and `fail()`, the event loop the rest. What was made and not yet taken is counted, so that the
thread can leave out a request whose consumer is behind. Nothing is delivered after `leave()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Final

import numpy as np

from parley.engines.ports import EngineError, Samples, SpeechRequest
from parley.engines.tts.csm.model import FRAME_SAMPLES, FRAMES_PER_S
from parley.engines.tts.csm.voices import CsmVoice

MAX_AHEAD_S: Final = 2.0
"""Speech made and not taken: what an interruption wastes at most."""

MAX_AHEAD_FRAMES: Final = round(MAX_AHEAD_S * FRAMES_PER_S)


class CsmSpeech:
    """What is to be said, in pieces, and what has been made of it. Make it on the event loop, then iterate over `audio()`.

    `taken` is called on the event loop whenever the consumer took something or left.
    """

    def __init__(
        self, request: SpeechRequest, pieces: tuple[str, ...], voice: CsmVoice, taken: Callable[[], None]
    ) -> None:
        self.request = request
        self.pieces = pieces
        self.voice = voice
        self.since_s = time.monotonic()
        self.left = False
        """Whether nothing more of it is wanted."""
        self.made = 0
        """Frames delivered."""
        self._taken = taken
        self._loop = asyncio.get_running_loop()
        self._frames: deque[Samples] = deque()
        self._consumed = 0
        self._news = asyncio.Event()
        self._ended = False
        self._error: EngineError | None = None

    @property
    def ahead(self) -> bool:
        """Whether so much waits for the consumer that nothing more is to be made."""
        return self.made - self._consumed >= MAX_AHEAD_FRAMES

    @property
    def due_s(self) -> float:
        """When a listener who hears it from its beginning on has heard all that was made, on the monotonic clock."""
        return self.since_s + self.made / FRAMES_PER_S

    def deliver(self, audio: Samples) -> None:
        """Hand one frame to the consumer."""
        if self.left:
            return
        self.made += 1
        self._frames.append(np.clip(audio, -1.0, 1.0).astype(np.float32))  # a copy: the model may use its memory again
        self._tell()

    def end(self) -> None:
        """All has been said."""
        self._ended = True
        self._tell()

    def fail(self, error: EngineError) -> None:
        """The request fails, after what was delivered."""
        self._error = self._error or error
        self.end()

    def _tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._news.set)

    def leave(self) -> None:
        """The consumer wants no more; idempotent."""
        if not self.left:
            self.left = True
            self._frames.clear()
            self._taken()

    async def audio(self) -> AsyncGenerator[Samples, None]:
        """What has been made since the last piece, float32 `[n]`, until all has been said. Raises the error that it failed with."""
        while True:
            waiting = len(self._frames)
            if waiting:
                audio = np.concatenate([self._frames.popleft() for _ in range(waiting)])
                self._consumed += len(audio) // FRAME_SAMPLES
                self._taken()
                yield audio
            elif self._ended:
                if self._error is not None:
                    raise self._error
                return
            else:
                self._news.clear()
                if not (self._frames or self._ended):
                    await self._news.wait()
