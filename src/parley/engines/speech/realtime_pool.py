"""The sessions at an upstream server: one for each conversation, kept between its turns.

Laws: at most `most` are open; a session that idles is closed after `idle_s`, when another one needs its place, and when its conversation
is over (a share whose end cannot be seen keeps none); one that is older than `age_s`, or soon expires, is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from parley.engines.speech.realtime_session import UpstreamSession

EXPIRES_SOON_S: Final = 60.0
"""No turn is asked of a session that ends within this time: the answer must fit in."""


@dataclass(slots=True)
class _Kept:
    """A session that idles, until its time is over or its conversation."""

    session: UpstreamSession
    timer: asyncio.TimerHandle
    end: weakref.finalize[..., object]


class UpstreamPool:
    """`take()` a session, and either `keep()` or `drop()` it. `close()` ends all."""

    def __init__(self, make: Callable[[], UpstreamSession], *, most: int, idle_s: float, age_s: float) -> None:
        self._make = make
        self._most = most
        self._idle_s = idle_s
        self._age_s = age_s
        self._kept: dict[int, _Kept] = {}
        """By the identity of the conversation's share, the longest idle first."""
        self._made_at: dict[UpstreamSession, float] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def take(self, share: object, voice: str, voice_id: str = "") -> UpstreamSession:
        """The conversation's session, or a new one with this voice, by its id where it has one."""
        session = self._taken(id(share)) if share is not None else None
        if session is not None and self._serves(session, voice):
            return session
        if session is not None:
            self._end_later(session)
        while len(self._made_at) >= self._most and self._kept:
            await self.drop(self._out(next(iter(self._kept))))
        session = self._make()
        self._made_at[session] = time.monotonic()
        try:
            await session.open(voice, voice_id)
        except BaseException:
            self._made_at.pop(session, None)
            raise
        return session

    def keep(self, share: object, session: UpstreamSession) -> None:
        """The next turn of this conversation may have it."""
        key = id(share)
        watched = hasattr(type(share), "__weakref__")
        if not watched or not session.usable or session not in self._made_at or key in self._kept:
            self._end_later(session)
            return
        loop = asyncio.get_running_loop()
        end = weakref.finalize(share, _tell, loop, self._over, key)
        end.atexit = False
        self._kept[key] = _Kept(session, loop.call_later(self._idle_s, self._over, key), end)

    async def drop(self, session: UpstreamSession) -> None:
        """Close it."""
        self._made_at.pop(session, None)
        await session.close()

    async def close(self) -> None:
        """Close every session; those that are in use fail."""
        for key in tuple(self._kept):
            self._out(key)
        for session in tuple(self._made_at):
            await self.drop(session)
        if self._ending:
            await asyncio.wait(tuple(self._ending))

    def _serves(self, session: UpstreamSession, voice: str) -> bool:
        old = time.monotonic() - self._made_at[session] > self._age_s
        expires = session.expires_at is not None and session.expires_at - time.time() < EXPIRES_SOON_S
        return session.usable and session.voice == voice and not old and not expires

    def _taken(self, key: int) -> UpstreamSession | None:
        return self._out(key) if key in self._kept else None

    def _out(self, key: int) -> UpstreamSession:
        kept = self._kept.pop(key)
        kept.timer.cancel()
        kept.end.detach()
        return kept.session

    def _over(self, key: int) -> None:
        """Nobody asks for it any more."""
        if key in self._kept:
            self._end_later(self._out(key))

    def _end_later(self, session: UpstreamSession) -> None:
        self._made_at.pop(session, None)
        task = asyncio.get_running_loop().create_task(session.close())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _tell(loop: asyncio.AbstractEventLoop, over: Callable[[int], None], key: int) -> None:
    """The conversation's share is gone; the collector may run on any thread, and after the loop."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(over, key)
