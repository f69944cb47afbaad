"""A spoken conversation on this machine: connects the server, the microphone, the loudspeaker and the screen.

    devices -> Microphone -> ClientSession -> Connection -> server
    server -> Connection -> ClientSession -> updates -> DeviceAudio (playback), Transcript, Figures, Status, View, Recording

Laws: one event loop; decides nothing that `client/session.py` could. A lost link or device is reported, and replaced as soon as
another can be had, until the user leaves. Views are never awaited.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from parley.audio import pcm
from parley.client.connection import Connection, ServerUnavailable, dial
from parley.client.parley_rest import ParleyRest
from parley.client.playback import BacklogFull
from parley.client.session import ClientSession
from parley.client.updates import (
    ClientUpdate,
    Level,
    ResponseAudio,
    ResponseAudioEnded,
    ResponseEnded,
    SessionStarted,
    StatusMessage,
    UserTranscript,
    UserTurnStarted,
)
from parley.talk.devices import RATE, DeviceAudio, DeviceBlock, DevicesUnavailable
from parley.talk.figures import TalkFigures
from parley.talk.microphone import Cleaner, Microphone
from parley.talk.partners import Partners, partners_of
from parley.talk.ports import Chosen, MakeDevices, TalkView
from parley.talk.recording import TalkRecording
from parley.talk.server_figures import ServerFigures
from parley.talk.status import State, Status
from parley.talk.talk_key import Change, TalkKey
from parley.talk.tool_requests import ToolRequests
from parley.talk.transcript import LINES_KEPT, TalkTranscript

TICK_S = 0.05
"""How often the screen's levels and state and the talk key's deadline are brought up to date."""

RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Between attempts to reach a lost server; the last one repeats."""

SETTLED_S = 10.0
"""After a link that lasted so long, `RETRY_S` starts from the beginning."""

DEVICE_RETRY_S = 2.0
"""Between looks for a device to replace one that vanished."""

LAST_WORDS_S = 2.0
"""How long the end of a conversation waits for the server's last answers (a cut's exact words, figures)."""


class Talk:
    """One conversation. `run()` until `stop()`; a screen reads the public fields and calls the methods under "keys".

    `make_cleaner` is called in a thread, before the devices are opened.
    """

    def __init__(
        self,
        chosen: Chosen,
        view: TalkView,
        make_cleaner: Callable[[], Cleaner | None],
        make_devices: MakeDevices = DeviceAudio,
    ) -> None:
        self.chosen = chosen
        self.figures = TalkFigures()
        self.transcript = TalkTranscript(view.line_changed)
        self.state: State = "connecting"
        self.began = SessionStarted("", "", "")
        self.hands_free = chosen.options.hands_free
        self.microphone = Microphone(RATE, None)
        self.devices = make_devices(self._on_block, self._on_first_played)
        self.partners = Partners()
        self.is_parley = False
        self.requests = ToolRequests(chosen.asks, self._decide, self._notify)
        self._view = view
        self._make_cleaner = make_cleaner
        self._rest = ParleyRest(chosen.server)
        self._server_figures = ServerFigures(self._rest, self.figures, view.figures_changed)
        self._pipelines: list[dict[str, Any]] = []
        self._session = ClientSession(chosen.options)
        self._connection: Connection | None = None
        self._recording: TalkRecording | None = None
        self._status = Status()
        self._key = TalkKey()
        self._unsaid: deque[str] = deque(maxlen=LINES_KEPT)
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- running --------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Talk until `stop()`. Raises `ServerUnavailable`, `DevicesUnavailable`, `ProcessingUnavailable` or `OSError` (the recording)
        before anything has begun."""
        self._loop = asyncio.get_running_loop()
        cleaner = await asyncio.to_thread(self._make_cleaner)
        self.microphone = Microphone(RATE, cleaner)
        if self.chosen.record is not None:
            self._recording = TalkRecording(self.chosen.record, time.monotonic(), RATE)
        try:
            await self.devices.open(*self.chosen.devices)
            self._notify("note", self._devices_in_use())
            async with asyncio.TaskGroup() as tasks:
                others = [tasks.create_task(work) for work in (self._tick(), self._replace_lost_devices())]
                try:
                    await self._run_sessions()
                finally:
                    for task in others:
                        task.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            await self.devices.close()
            if self._recording is not None:
                self._recording.finish(self.transcript.lines.values(), self.figures.turns)

    def stop(self) -> None:
        """Leave the conversation."""
        self._stopping.set()

    async def _run_sessions(self) -> None:
        """One session after another, until `stop()`. Only a failure to open the first one is an error."""
        attempt = 0
        while not self._stopping.is_set():
            began_s = time.monotonic()
            try:
                await self._run_session()
            except ServerUnavailable as error:
                if not self.began.session_id or not error.again:
                    raise
            if time.monotonic() - began_s >= SETTLED_S:
                attempt = 0
            await self._pause(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1

    async def _run_session(self) -> None:
        """One session from start to end. Raises `ServerUnavailable`."""
        self._session = ClientSession(self.chosen.options, is_parley=await self._ask_server())
        self._session.hands_free = self._session.talking = self.hands_free
        async with dial(self.chosen.server) as connection:
            self._connection = connection
            listening = asyncio.create_task(self._listen(connection))
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait((listening, stopping), return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                listening.result()
            elif self._stopping.is_set():
                await self._wind_down()
            listening.cancel()
            stopping.cancel()
            self._connection = None
            self._status.lost()
        if not self._stopping.is_set():
            self._silence(by_user=False)
            lost = f"The connection is lost: {connection.why_ended}. A new conversation begins once it is restored."
            self._notify("warning", lost)
            await self._pause(RETRY_S[0])

    async def _ask_server(self) -> bool:
        self.is_parley = await self._rest.ask()
        self._pipelines = await self._rest.pipelines()
        return self.is_parley

    async def _pause(self, seconds: float) -> None:
        await _within(seconds, self._stopping.wait())

    async def _listen(self, connection: Connection) -> None:
        async for message in connection:
            now_s = time.monotonic()
            if self._recording is not None:
                self._recording.event("received", message, now_s)
            self._apply(self._session.received(message, now_s), now_s)
            self._send()

    async def _wind_down(self) -> None:
        """Stop the reply, so that the transcript shows what was heard, and fetch the last figures."""
        self._session.interrupt()
        self._silence(by_user=False)
        self._send()
        if self._connection is not None:
            await self._connection.flush()
        await _within(LAST_WORDS_S, self._server_figures.fetch(self._session.session_id))

    # --- what is sent and what comes ---------------------------------------------------------------------------------------

    def _send(self) -> None:
        messages = self._session.outgoing()
        if self._recording is not None:
            for message in messages:
                self._recording.event("sent", message, time.monotonic())
        if self._connection is not None:
            self._connection.send(messages)

    def _apply(self, updates: list[ClientUpdate], now_s: float) -> None:
        for update in updates:
            self._status.on_update(update)
            self.figures.on_update(update, now_s)
            self.transcript.on_update(update, now_s)
            self.requests.on_update(update)
            match update:
                case SessionStarted():
                    self.began = update
                    self.partners = partners_of(update, self._pipelines)
                    if self._unsaid:
                        self.say("\n".join(self._unsaid))
                        self._unsaid.clear()
                case UserTurnStarted(over_reply=True):
                    self._silence()
                case ResponseAudio(item_id=item_id, content_index=index, audio=audio):
                    self._play(item_id, index, audio)
                case ResponseAudioEnded(item_id=item_id):
                    self.devices.end(item_id)
                case ResponseEnded() | UserTranscript(final=True):
                    self._server_figures.want()
                case _:
                    pass
        self._show()

    def _play(self, item_id: str, content_index: int, audio: bytes) -> None:
        if self.chosen.output is None:
            # The server sends audio although text was asked for. Without a loudspeaker, nothing would empty the playback.
            return
        try:
            self.devices.push(item_id, content_index, pcm.as_int16(audio))
        except BacklogFull as error:
            self._notify("error", f"The reply was stopped: {error}")
            self.interrupt()

    def _silence(self, *, by_user: bool = True) -> None:
        """Silence the loudspeaker and report what was heard; `by_user`: the user interrupted."""
        now_s = time.monotonic()
        heard = self.devices.interrupt()
        if not heard:
            return
        if self._recording is not None:
            for cut in heard:
                self._recording.note("silenced", {"item_id": cut.item_id, "heard_ms": cut.heard_ms}, now_s)
        self._apply(self._session.silenced(heard, by_user=by_user), now_s)
        self._send()

    def _notify(self, level: Level, message: str) -> None:
        now_s = time.monotonic()
        if self._recording is not None:
            self._recording.note(level, message, now_s)
        self.transcript.on_update(StatusMessage(level, message), now_s)

    def notify_from_thread(self, level: Level, message: str) -> None:
        """Show a message, from any thread. Ignored before `run()` and after it."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._notify, level, message)

    # --- the devices -----------------------------------------------------------------------------------------------------

    def _on_block(self, block: DeviceBlock) -> None:
        if block.kind == "played":
            self.microphone.played(block.audio)
            if self._recording is not None:
                self._recording.tracks.assistant(block.audio, block.at_s)
            return
        audio = self.microphone.recorded(block.audio)
        if self._session.talking and self._connection is not None and len(audio):
            if self._recording is not None:
                self._recording.tracks.user(audio, block.at_s)
            self._session.appended(pcm.to_bytes(audio), block.at_s)
            self._send()

    def _on_first_played(self, item_id: str, at_s: float) -> None:
        self.figures.played(item_id, at_s)
        if self._recording is not None:
            self._recording.note("first sample played", {"item_id": item_id}, at_s)
        self._server_figures.want()
        self._show()

    async def _replace_lost_devices(self) -> None:
        """Open the devices again whenever one vanishes or the user asks for it."""
        while True:
            await self.devices.lost.wait()
            self._silence(by_user=False)
            self._notify("warning", "A sound device has vanished; looking for another.")
            while True:
                try:
                    await self.devices.open(*self.chosen.devices, refresh=True)
                    break
                except DevicesUnavailable:
                    pass
                try:
                    # The chosen device may be missing while the default one is present.
                    await self.devices.open(*self.chosen.default_devices, refresh=True)
                    break
                except DevicesUnavailable:
                    await asyncio.sleep(DEVICE_RETRY_S)
            self._notify("note", self._devices_in_use())

    def _devices_in_use(self) -> str:
        """The devices by name, and how to talk where one is missing."""
        microphone, loudspeaker = self.devices.names
        text = f"microphone: {microphone}; loudspeaker: {loudspeaker}"
        if self.chosen.typed:
            text += ". Type your messages; Enter sends them"
        return text if self.chosen.output is not None else f"{text}. Replies come as text"

    # --- keys ------------------------------------------------------------------------------------------------------------

    def press_key(self) -> None:
        """The talk key, pressed or repeated. Hands-free, or without a microphone, it silences the reply."""
        if self.hands_free or self.chosen.typed:
            self.interrupt()
            return
        now_s = time.monotonic()
        self._turn_key(self._key.pressed(now_s), now_s)

    def interrupt(self) -> None:
        """Silence the reply."""
        self._session.interrupt()
        self._silence()
        self._send()
        self._show()

    def say(self, text: str) -> None:
        """A typed message; it waits for a session where there is none."""
        if self._connection is None or not self._session.session_id:
            self._unsaid.append(text)
            return
        now_s = time.monotonic()
        self._apply(self._session.say(text), now_s)
        self._send()

    def _decide(self, request_id: str, approve: bool, reason: str) -> None:
        self._session.decide(request_id, approve, reason)
        self._send()

    def toggle_mute(self) -> None:
        self.microphone.muted = not self.microphone.muted
        self._show()

    def toggle_hands_free(self) -> None:
        """Let the server end turns, or the talk key. Without a microphone, nothing changes."""
        if self.chosen.typed:
            return
        self.hands_free = not self.hands_free
        self._key.reset()
        self._session.set_hands_free(self.hands_free)
        self._send()
        self._show()

    def reopen_devices(self) -> None:
        """Look for devices again: one may have been plugged in."""
        self.devices.lost.set()

    def _turn_key(self, change: Change, now_s: float) -> None:
        if change == "down":
            self._apply(self._session.press(now_s), now_s)
        elif change == "up":
            self._apply(self._session.release(now_s), now_s)
        self._send()

    # --- what is shown ---------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            self.devices.check()
            if (change := self._key.passed(now_s)) is not None:
                self._turn_key(change, now_s)
            self._server_figures.tick(self._session.session_id, now_s)
            self._show()
            self._view.ticked()

    def _show(self) -> None:
        if self._stopping.is_set():
            return
        state = self._status.state(
            audible=self.devices.audible,
            muted=self.microphone.muted,
            hands_free=self.hands_free,
            deaf=self.devices.lost.is_set(),
            typed=self.chosen.typed,
        )
        if state != self.state:
            self.state = state
            self._view.state_changed(state)


async def _within(seconds: float, work: Awaitable[object]) -> None:
    """Wait for `work`, at most `seconds`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work
