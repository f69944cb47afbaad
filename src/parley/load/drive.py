"""Drive many sessions at once against one server and measure: join them spread out, watch for a while, let the last
turns end.

Laws: tasks exist only while sessions join; afterwards everything happens in socket callbacks and the one wheel. What
is measured begins when everybody has joined and ends before anybody leaves, so that the processor time per
session-second is that of the stated number.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from parley.errors import ParleyError
from parley.load.conversation import REPLY_PATIENCE_S, LoadConversation, Script, Tally
from parley.load.link import MAX_UNSENT_BYTES, LoadLink
from parley.load.pacing import Lateness, Wheel
from parley.load.process_usage import ProcessUsage, read_usage
from parley.load.recording import text_frame

JOIN_PATIENCE_S = 15.0
"""From dialling to the session's being ready; a server busy loading a model for the first session may take seconds."""

SAMPLE_S = 1.0


class NoSessionOpened(ParleyError):
    """The server accepted no session; the message holds the first reason."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to drive. `silence_ms` None: the server's own default turn detection; a number: asked for with
    `session.update`.

    `spread_s`: the time over which the sessions join, so that their turns do not all end at once.
    """

    url: str
    sessions: int
    script: Script
    duration_s: float
    spread_s: float
    silence_ms: int | None = None
    api_key: str | None = None
    pid: int | None = None


@dataclass(slots=True)
class LoadRecord:
    """The raw measurements of a run; `report.figures` evaluates them."""

    tally: Tally
    joined: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    window_s: float = 0.0
    session_s: float = 0.0
    lateness: Lateness = field(default_factory=Lateness)
    client_cpu_s: float = 0.0
    server_before: ProcessUsage | None = None
    server_start: ProcessUsage | None = None
    server_end: ProcessUsage | None = None
    server_peak_rss_bytes: int = 0
    ideal_ms: float = 0.0
    silence_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """The progress of a run, reported once a second."""

    joined: int
    live: int
    sessions: int
    elapsed_s: float
    measuring: bool
    turns: int
    missed: int
    early: int
    late: int
    worst_send_ms: float


class Member:
    """One session: its script, its socket and its place on the wheel."""

    __slots__ = ("_asks", "conversation", "link", "ready")

    def __init__(self, script: Script, tally: Tally, asks_update: bool) -> None:
        self.conversation = LoadConversation(script, tally)
        self.link: LoadLink | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asks = asks_update

    def chunk_due(self, planned_s: float) -> None:
        if self.link is not None:
            self.link.send(self.conversation.frame_due(planned_s))

    def on_message(self, message: bytes, now_s: float) -> None:
        conversation = self.conversation
        conversation.receive(message, now_s)
        if not self.ready.done() and (conversation.updated if self._asks else conversation.created):
            self.ready.set_result(None)


class Fleet:
    """All sessions of one run. Call `run` once."""

    def __init__(self, plan: LoadPlan, on_progress: Callable[[LoadProgress], None]) -> None:
        self._plan = plan
        self._on_progress = on_progress
        self._wheel = Wheel(plan.script.track.chunk_ms)
        self._members: dict[Member, None] = {}
        self._record = LoadRecord(tally=Tally())
        self._closing = False
        self._began_s = 0.0

    async def run(self) -> LoadRecord:
        """Drive the plan to its end; raises NobodyJoined, NoSuchProcess."""
        plan, record = self._plan, self._record
        self._began_s = time.monotonic()
        if plan.pid is not None:
            record.server_before = read_usage(plan.pid)
        self._wheel.start()
        try:
            await self._join_all()
            if not self._members:
                reason = next(iter(record.refused or record.dropped), "the run was over before anybody joined")
                raise NoSessionOpened(f"No session could be opened at {plan.url}: {reason}.")
            first = next(iter(self._members)).conversation
            record.ideal_ms, record.silence_ms = first.ideal_s * 1000, first.silence_ms
            await self._measure()
            await self._let_end()
        finally:
            self._closing = True
            self._wheel.stop()
            links = [member.link for member in self._members if member.link is not None]
            for link in links:
                link.close()
            await asyncio.gather(*(link.ended for link in links))
        return record

    # -- joining -------------------------------------------------------------------------------------------------------

    async def _join_all(self) -> None:
        count, step_s = self._plan.sessions, self._plan.spread_s / self._plan.sessions
        joins = [asyncio.create_task(self._join(at * step_s)) for at in range(count)]
        try:
            while joins:
                done, _ = await asyncio.wait(joins, timeout=SAMPLE_S)
                for task in done:
                    task.result()
                joins = [task for task in joins if not task.done()]
                self._tell_progress()
        finally:
            for task in joins:
                task.cancel()

    async def _join(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        plan = self._plan
        member = Member(plan.script, self._record.tally, plan.silence_ms is not None)
        member.conversation.silence_ms = plan.silence_ms
        try:
            async with asyncio.timeout(JOIN_PATIENCE_S):
                member.link = await LoadLink.dial(plan.url, plan.api_key, member.on_message)
                if plan.silence_ms is not None:
                    member.link.send(_turn_detection_update(plan.silence_ms))
                await asyncio.wait((member.ready, member.link.ended), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            self._refuse(member, f"the session was not ready within {JOIN_PATIENCE_S:.0f} s")
            return
        except OSError as error:
            self._refuse(member, str(error))
            return
        if member.link.ended.done():
            self._refuse(member, member.link.ended.result())
        elif member.conversation.silence_ms is None and plan.script.ideal_s is None:
            self._refuse(member, "the server does not say its silence wait; name it with --silence-ms or --ideal-ms")
        else:
            self._record.joined += 1
            self._members[member] = None
            self._wheel.add(member)
            member.conversation.begin(time.monotonic())
            member.link.ended.add_done_callback(lambda ended: self._ended(member, ended.result()))

    def _refuse(self, member: Member, reason: str) -> None:
        errors = self._record.tally.errors
        self._record.refused[f"{reason} (it said: {errors[-1]})" if errors else reason] += 1
        if member.link is not None:
            member.link.close()

    def _ended(self, member: Member, reason: str) -> None:
        self._wheel.remove(member)
        self._members.pop(member, None)
        if not self._closing:
            self._record.dropped[reason] += 1

    # -- measuring -----------------------------------------------------------------------------------------------------

    async def _measure(self) -> None:
        plan, record = self._plan, self._record
        gc.collect()
        gc.freeze()
        self._wheel.lateness = record.lateness
        record.tally.measuring = True
        start_s = last_s = time.monotonic()
        client_start_s = time.process_time()
        if plan.pid is not None:
            record.server_start = read_usage(plan.pid)
        while last_s < start_s + plan.duration_s and self._members:
            await asyncio.sleep(min(SAMPLE_S, start_s + plan.duration_s - last_s))
            now_s = time.monotonic()
            record.session_s += len(self._members) * (now_s - last_s)
            last_s = now_s
            self._watch_server()
            self._tell_progress()
        record.tally.measuring = False
        record.window_s = last_s - start_s
        record.client_cpu_s = time.process_time() - client_start_s
        if plan.pid is not None:
            record.server_end = read_usage(plan.pid)
        gc.unfreeze()

    async def _let_end(self) -> None:
        """Wait for the replies to the turns under way."""
        track = self._plan.script.track
        longest_s = len(track.frames) * track.chunk_ms / 1000 + self._record.ideal_ms / 1000 + REPLY_PATIENCE_S
        until_s = time.monotonic() + longest_s
        for member in self._members:
            member.conversation.finish()
        while time.monotonic() < until_s and any(not member.conversation.resting for member in self._members):
            await asyncio.sleep(0.1)
            self._tell_progress()

    def _watch_server(self) -> None:
        if self._plan.pid is not None:
            self._record.server_peak_rss_bytes = max(
                self._record.server_peak_rss_bytes, read_usage(self._plan.pid).rss_bytes
            )
        for member in list(self._members):
            if member.link is not None and member.link.unsent_bytes > MAX_UNSENT_BYTES:
                member.link.abandon(f"the server stopped reading ({MAX_UNSENT_BYTES >> 20} MiB unsent)")

    def _tell_progress(self) -> None:
        tally = self._record.tally
        self._on_progress(
            LoadProgress(
                joined=self._record.joined,
                live=len(self._members),
                sessions=self._plan.sessions,
                elapsed_s=time.monotonic() - self._began_s,
                measuring=tally.measuring,
                turns=tally.turns,
                missed=tally.missed,
                early=tally.early,
                late=tally.late,
                worst_send_ms=self._wheel.lateness.max_ms,
            )
        )


def _turn_detection_update(silence_ms: int) -> bytes:
    return text_frame(
        b'{"type":"session.update","session":{"type":"realtime","audio":{"input":'
        b'{"turn_detection":{"type":"server_vad","silence_duration_ms":%d}}}}}' % silence_ms
    )
