"""Drives one session: an event goes in, its effects are performed, the one timer is set again.

Laws:
- One synchronous call per event; no queue, task or thread stands before the core. Events that arise while effects are
  being performed wait until all of these are done, and then follow in order.
- One timer per session, moved earlier at once and later lazily: when it rings too soon it is set again.
- A fault in the core or in performing ends this session alone, as an internal error, and its trace is dumped.
- At the end every reference that points up is dropped (`Inbox`, the listeners): what ran for the session dies with it.

Does not know: the transport, the dialect, or what any event means.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Protocol

from parley.core.session import Session
from parley.core.words.effects import CloseReason, Effect
from parley.core.words.events import AudioArrived, Event, LinkClosed, SessionUpdateRequested, TimePassed
from parley.core.words.pipeline_events import PipelineFound
from parley.core.words.shell_notices import ShellNotice
from parley.runtime.inbox import Inbox
from parley.runtime.listeners import Listener, Listeners
from parley.runtime.noise_reduction import CleanedInput
from parley.runtime.perform import Loudspeaker, Performer, Tools
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.session_engines import Pipelines, SessionEngines
from parley.runtime.tool_servers import ToolServerClient

logger = logging.getLogger(__name__)

MAX_FOLLOWING = 10_000
"""Events that may follow from performing one event's effects; more is an endless loop."""

_CHANGING_SETTINGS = frozenset({SessionUpdateRequested, PipelineFound})
"""The events after which a session's settings may be others."""

MIN_TIMER_S = 0.001
"""The event loop's clock is coarser than the core's: a timer that rings early waits this much more."""


class Watcher(Protocol):
    """Is shown every step of a session: its trace, its metrics, what passes its input on. What it does in return comes behind the step."""

    def on_step(self, event: Event | None, now_ns: int, effects: Sequence[Effect], raised: str = "") -> None:
        """One step, before its effects are performed; `event` None is the beginning, `raised` the fault that came instead."""
        ...

    def dump(self, fault: str) -> object:
        """The session broke."""
        ...

    def close(self) -> None:
        """The session is over."""
        ...


class Driver:
    """One session and everything that runs for it.

    Each of `listeners` takes every notice, in their order, except that an error goes only to the listener whose event caused it; each of
    `watchers` is shown every step. Call `start()` once, then `post()` for each event, on the event loop, and `shut()` when the link is
    gone. `clock` reads monotonic nanoseconds. Where the session holds the playback, give it a `loudspeaker`. `tools` answers what the
    session asks tool servers; by default they are MCP servers, reached over HTTP. A caller that moves the clock itself passes
    `timed=False`, posts `TimePassed` itself, and gives a `sleep` that follows that clock. `unscored` takes the fault of a voice activity
    model that could not score a frame, which then counts as silence; without it, the session ends.
    """

    def __init__(
        self,
        session: Session,
        pipeline: LoadedPipeline,
        listeners: Sequence[Listener],
        *,
        watchers: Sequence[Watcher] = (),
        clock: Callable[[], int] = time.monotonic_ns,
        loudspeaker: Loudspeaker | None = None,
        timed: bool = True,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        pipelines: Pipelines | None = None,
        tools: Callable[[Callable[[Event], None]], Tools] = ToolServerClient,
        unscored: Callable[[Exception], None] | None = None,
    ) -> None:
        self.session = session
        self.closed = asyncio.Event()
        """Set when the session is over and everything that ran for it has been let go."""
        self._listeners = Listeners(listeners)
        self._watchers = tuple(watchers)
        self._clock = clock
        self._timed = timed
        self._unscored = unscored
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox(self)
        engines = SessionEngines(
            pipeline, pipelines, self._inbox, clock=clock, sleep=sleep, voice=lambda: session.settings.voice
        )
        self._performer = Performer(self._listeners, engines, tools(self._inbox.post), loudspeaker)
        self._busy = False
        self._over = False
        self._following: deque[tuple[Event, Listener | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._cleaned: CleanedInput | None = None
        self._set_cleaning()

    def start(self) -> None:
        """Let the session begin: it greets its client."""
        self._run((None,))

    def post(self, event: Event, asker: Listener | None = None) -> None:
        """Let `event` happen now: its effects have been performed when this returns. After the end nothing happens any more.

        `asker` is the listener whose event it is: an error in it is that listener's alone, as is one in what it causes at once.
        """
        if self._busy:
            self._following.append((event, asker or self._listeners.asker))
        elif not self._over:
            self._listeners.asker = asker
            self._run((event,) if self._cleaned is None else self._cleaned.take(event))

    def post_in_slices(self, event: Event, asker: Listener | None = None) -> Iterator[None]:
        """Let a long event happen: yields after each slice of work, and must be run to its end before the client's next event is posted."""
        if self._cleaned is None:
            self.post(event, asker)
            return
        events = yield from self._cleaned.in_slices(event)
        if not self._over:
            self._listeners.asker = asker
            self._run(events)

    def join(self, *listeners: Listener) -> bool:
        """Whether these take every notice from now on, after those that introduce the session: not once it is over. Call it after
        `start()`."""
        if self._over:
            return False
        self._listeners.join(*listeners)
        for notice in self.session.introduction(self._clock()):
            for listener in listeners:
                listener.on_notice(notice)
        return True

    def leave(self, *listeners: Listener) -> None:
        """They take nothing more; nothing happens where one has left."""
        self._listeners.leave(*listeners)

    def tell(self, notice: ShellNotice) -> None:
        """A notice of the shell's own, for every listener."""
        self._listeners.tell(notice)

    def hold_output(self, held: bool) -> None:
        """Whether the client has yet to take what was sent: no more speech or text is made for it meanwhile."""
        self._performer.hold_output(held)

    def shut(self, reason: str = "") -> None:
        """The link is gone (or the server ends it): the session ends, and all that runs for it."""
        self.post(LinkClosed(reason))

    def _run(self, events: Sequence[Event | None]) -> None:
        """Let `events` happen: None is the beginning."""
        self._busy = True
        try:
            event: Event | None = None
            for event in events:
                self._happen(event)
                if self._over:
                    return
            if self._following:
                self._follow()
            # Audio alone moves no deadline forward (see `Session.handle`), and comes fifty times a second.
            if type(event) is not AudioArrived and not self._over:
                self._set_timer()
        except Exception as error:
            logger.exception("session %s broke", self.session.id)
            self._abandon("internal_error", error)
        finally:
            self._busy = False
            self._following.clear()
            self._listeners.asker = None

    def _set_cleaning(self) -> None:
        """The settings may have changed; where noise reduction is off, nothing stands in the audio's way."""
        settings = self.session.settings
        if self._cleaned is None and settings.noise_reduction is not None:
            self._cleaned = CleanedInput()
        if self._cleaned is not None:
            self._cleaned.set(settings.noise_reduction, settings.input_format)
            if not self._cleaned.active:
                self._cleaned = None

    def _happen(self, event: Event | None) -> None:
        session = self.session
        now = self._clock()
        try:
            effects = session.start() if event is None else session.handle(event, now)
        except Exception as error:
            for watcher in self._watchers:
                watcher.on_step(event, now, (), repr(error))
            raise
        for watcher in self._watchers:
            watcher.on_step(event, now, effects)
        perform = self._performer.perform
        for effect in effects:
            perform(effect)
        if type(event) in _CHANGING_SETTINGS:
            self._set_cleaning()
        if session.closed:
            self._end()

    def _follow(self) -> None:
        for _ in range(MAX_FOLLOWING):
            if not self._following:
                return
            event, self._listeners.asker = self._following.popleft()
            for one in (event,) if self._cleaned is None else self._cleaned.take(event):
                if not self._over:
                    self._happen(one)
        raise RuntimeError(f"more than {MAX_FOLLOWING} events followed from one")

    def tasks(self) -> set[asyncio.Task[None]]:
        """What the engines are asked at this moment: once these tasks are done, all has been said that follows from the events
        so far. Raises nothing; they may cause others."""
        return self._performer.tasks()

    def _set_timer(self) -> None:
        deadline = self.session.next_deadline() if self._timed else None
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_later(max(MIN_TIMER_S, (deadline - self._clock()) / 1e9), self._ring)

    def _ring(self) -> None:
        self._timer = None
        deadline = self.session.next_deadline()
        if deadline is None or self._over:
            return
        if self._clock() >= deadline:
            self.post(TimePassed())
        else:
            self._set_timer()

    def voice_failed(self, error: Exception) -> None:
        """For the inbox: the voice activity model cannot score this session."""
        if self._unscored is not None:
            self._unscored(error)
            return
        logger.error("session %s: the voice activity model failed", self.session.id, exc_info=error)
        self._abandon("voice_detection_failed", error)

    def _abandon(self, reason: CloseReason, fault: Exception) -> None:
        """End a session that cannot go on, without asking it."""
        if self._over:
            return
        for watcher in self._watchers:
            watcher.dump(repr(fault))
        listeners = Listeners(self._listeners.all)
        self._end()
        try:
            listeners.close(reason)
        except Exception:
            logger.exception("session %s: its link could not be closed", self.session.id)

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._inbox.close()
        self._performer.release()
        self._listeners.release()
        self._unscored = None
        self._cleaned = None
        watchers, self._watchers = self._watchers, ()
        for watcher in watchers:
            watcher.close()
        self.closed.set()
