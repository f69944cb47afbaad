"""A spoken conversation on this machine: server, microphone, loudspeaker and what a screen shows, held together.

    devices -> Microphone -> ClientSession -> Connection -> server
    server -> Connection -> ClientSession -> happenings -> DeviceAudio (playback), Transcript, Figures, Status, View, Recording

Laws: one event loop; decides nothing that `session.py` could. A lost link and a lost device are told, and tried again until the person
leaves. What a view does with what it is told is its own affair: it is never waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from parley.audio import pcm
from parley.client.connection import Connection, ServerUnavailable, dial
from parley.client.parley_rest import ParleyRest
from parley.client.playback import BacklogFull
from parley.client.session import ClientSession
from parley.client.updates import (
    ClientUpdate,
    Level,
    ReplySounded,
    ReplySoundEnded,
    ResponseEnded,
    SessionBegan,
    Told,
    UserBegan,
    UserHeard,
)
from parley.talk.devices import RATE, DeviceAudio, DeviceBlock, DevicesUnavailable
from parley.talk.figures import TalkFigures
from parley.talk.microphone import Cleaner, Microphone
from parley.talk.ports import Chosen, MakeDevices, TalkView
from parley.talk.recording import TalkRecording
from parley.talk.status import State, Status
from parley.talk.talk_key import Change, TalkKey
from parley.talk.transcript import TalkTranscript

TICK_S = 0.05
"""How often the screen learns of levels and state, and the talk key of its deadline."""

RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Between attempts to reach a lost server; the last goes on for ever."""

SETTLED_S = 10.0
"""A link that has held for so long was a good one: after it the attempts begin anew."""

DEVICE_RETRY_S = 2.0
"""Between looks for a device to replace one that vanished."""

FIGURES_WAIT_S = 0.15
"""After a turn's landmark: the server's own account of it is complete by then."""

LAST_WORDS_S = 2.0
"""At the end: what the server still owes (a cut's exact words, figures) is waited for so long."""


class Talk:
    """One conversation. `run()` until `stop()`; a screen reads the public fields and calls the methods named after keys.

    `make_cleaner` is called in a thread, before anything is heard.
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
        self.began = SessionBegan("", "", "")
        self.hands_free = chosen.options.hands_free
        self.microphone = Microphone(RATE, None)
        self.devices = make_devices(self._sounded, self._first_played)
        self.is_parley = False
        self._view = view
        self._make_cleaner = make_cleaner
        self._rest = ParleyRest(chosen.server)
        self._session = ClientSession(chosen.options)
        self._connection: Connection | None = None
        self._recording: TalkRecording | None = None
        self._status = Status()
        self._key = TalkKey()
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._figures_due: float | None = None
        self._asking: asyncio.Task[None] | None = None

    # --- the whole of it -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Talk until `stop()`. Raises `ServerUnavailable`, `DevicesUnavailable`, `ProcessingUnavailable` or `OSError` (the recording)
        before anything has begun."""
        self._loop = asyncio.get_running_loop()
        cleaner = await asyncio.to_thread(self._make_cleaner)
        self.microphone = Microphone(RATE, cleaner)
        if self.chosen.record is not None:
            self._recording = TalkRecording(self.chosen.record, time.monotonic(), RATE)
        try:
            await self.devices.open(*self._wanted())
            self._tell("note", self._sound())
            async with asyncio.TaskGroup() as tasks:
                others = [tasks.create_task(work) for work in (self._tick(), self._mind_devices())]
                try:
                    await self._converse()
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

    async def _converse(self) -> None:
        """One session after another, until `stop()`. Only the first that cannot be had is an error."""
        attempt = 0
        while not self._stopping.is_set():
            began_s = time.monotonic()
            try:
                await self._one_session()
            except ServerUnavailable as error:
                if not self.began.session_id or not error.again:
                    raise
            if time.monotonic() - began_s >= SETTLED_S:
                attempt = 0
            await self._pause(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1

    async def _one_session(self) -> None:
        """A session from its beginning to its end. Raises `ServerUnavailable`."""
        self._session = ClientSession(self.chosen.options, exact_cuts=await self._ask_server())
        self._session.hands_free = self._session.talking = self.hands_free
        async with dial(self.chosen.server) as connection:
            self._connection = connection
            listening = asyncio.create_task(self._listen(connection))
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait((listening, stopping), return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                listening.result()
            elif self._stopping.is_set():
                await self._say_goodbye()
            listening.cancel()
            stopping.cancel()
            self._connection = None
            self._status.lost()
        if not self._stopping.is_set():
            self._silence(by_user=False)
            self._tell(
                "warning",
                f"The link is lost: {connection.why_ended}. A new conversation begins as soon as there is one.",
            )
            await self._pause(RETRY_S[0])

    async def _ask_server(self) -> bool:
        self.is_parley = await self._rest.ask()
        return self.is_parley

    async def _pause(self, seconds: float) -> None:
        await _within(seconds, self._stopping.wait())

    async def _listen(self, connection: Connection) -> None:
        async for message in connection:
            now_s = time.monotonic()
            if self._recording is not None:
                self._recording.event("received", message, now_s)
            self._happened(self._session.received(message, now_s), now_s)
            self._send()

    async def _say_goodbye(self) -> None:
        """Stop the reply, so that the transcript says what was heard, and collect the last figures."""
        self._session.interrupt()
        self._silence(by_user=False)
        self._send()
        if self._connection is not None:
            await self._connection.flush()
        await _within(LAST_WORDS_S, self._fetch_figures())

    # --- what is sent and what comes ---------------------------------------------------------------------------------------

    def _send(self) -> None:
        messages = self._session.outgoing()
        if self._recording is not None:
            for message in messages:
                self._recording.event("sent", message, time.monotonic())
        if self._connection is not None:
            self._connection.send(messages)

    def _happened(self, updates: list[ClientUpdate], now_s: float) -> None:
        for update in updates:
            self._status.on_update(update)
            self.figures.on_update(update, now_s)
            self.transcript.on_update(update, now_s)
            match update:
                case SessionBegan():
                    self.began = update
                case UserBegan(over_reply=True):
                    self._silence()
                case ReplySounded(item_id=item_id, content_index=index, audio=audio):
                    self._play(item_id, index, audio)
                case ReplySoundEnded(item_id=item_id):
                    self.devices.end(item_id)
                case ResponseEnded() | UserHeard(final=True):
                    self._want_figures()
                case _:
                    pass
        self._show()

    def _play(self, item_id: str, content_index: int, audio: bytes) -> None:
        if self.chosen.output is None:
            # A server that sends audio though text was asked for; nothing would ever take it from the playback.
            return
        try:
            self.devices.push(item_id, content_index, pcm.as_int16(audio))
        except BacklogFull as error:
            self._tell("error", f"The reply is stopped: {error}")
            self.interrupt()

    def _silence(self, *, by_user: bool = True) -> None:
        """Silence the loudspeaker and say what was heard; `by_user`: somebody wanted to speak, or silence."""
        now_s = time.monotonic()
        heard = self.devices.interrupt()
        if not heard:
            return
        if self._recording is not None:
            for cut in heard:
                self._recording.note("silenced", {"item_id": cut.item_id, "heard_ms": cut.heard_ms}, now_s)
        self._happened(self._session.silenced(heard, by_user=by_user), now_s)
        self._send()

    def _tell(self, level: Level, message: str) -> None:
        now_s = time.monotonic()
        if self._recording is not None:
            self._recording.note(level, message, now_s)
        self.transcript.on_update(Told(level, message), now_s)

    def note_from_elsewhere(self, level: Level, message: str) -> None:
        """The same from any thread; nothing happens before the conversation has begun or once it is over."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._tell, level, message)

    # --- the devices -----------------------------------------------------------------------------------------------------

    def _sounded(self, sound: DeviceBlock) -> None:
        if sound.kind == "played":
            self.microphone.played(sound.audio)
            if self._recording is not None:
                self._recording.tracks.assistant(sound.audio, sound.at_s)
            return
        audio = self.microphone.recorded(sound.audio)
        if self._session.talking and self._connection is not None and len(audio):
            if self._recording is not None:
                self._recording.tracks.user(audio, sound.at_s)
            self._session.appended(pcm.to_bytes(audio), sound.at_s)
            self._send()

    def _first_played(self, item_id: str, at_s: float) -> None:
        self.figures.played(item_id, at_s)
        if self._recording is not None:
            self._recording.note("first sample played", {"item_id": item_id}, at_s)
        self._want_figures()
        self._show()

    async def _mind_devices(self) -> None:
        """Open the devices anew whenever one vanishes, or the person asks for it."""
        while True:
            await self.devices.lost.wait()
            self._silence(by_user=False)
            self._tell("warning", "A sound device is gone; looking for another.")
            while True:
                try:
                    await self.devices.open(*self._wanted(), refresh=True)
                    break
                except DevicesUnavailable:
                    pass
                try:
                    # The chosen one may be away while the machine's own is there.
                    await self.devices.open(*self._any_device(), refresh=True)
                    break
                except DevicesUnavailable:
                    await asyncio.sleep(DEVICE_RETRY_S)
            self._tell("note", self._sound())

    def _wanted(self) -> tuple[str | None, str | None]:
        return self.chosen.input, self.chosen.output

    def _any_device(self) -> tuple[str | None, str | None]:
        return (None if self.chosen.input is None else ""), (None if self.chosen.output is None else "")

    def _sound(self) -> str:
        """The devices, and what to do where one is left out."""
        microphone, loudspeaker = self.devices.names
        said = f"microphone: {microphone}; loudspeaker: {loudspeaker}"
        if self.chosen.typed:
            said += ". Type your messages; Enter sends them"
        return said if self.chosen.output is not None else f"{said}. Replies come as text"

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
        """A typed message."""
        now_s = time.monotonic()
        self._happened(self._session.say(text), now_s)
        self._send()

    def toggle_mute(self) -> None:
        self.microphone.muted = not self.microphone.muted
        self._show()

    def toggle_hands_free(self) -> None:
        """Turns ended by the server, or by the talk key; without a microphone neither."""
        if self.chosen.typed:
            return
        self.hands_free = not self.hands_free
        self._key.reset()
        self._session.set_hands_free(self.hands_free)
        self._send()
        self._show()

    def reopen_devices(self) -> None:
        """Look for devices anew: one may have been plugged in."""
        self.devices.lost.set()

    def _turn_key(self, change: Change, now_s: float) -> None:
        if change == "down":
            self._happened(self._session.press(now_s), now_s)
        elif change == "up":
            self._happened(self._session.release(now_s), now_s)
        self._send()

    # --- what is shown ---------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            self.devices.check()
            if (change := self._key.passed(now_s)) is not None:
                self._turn_key(change, now_s)
            if self._figures_due is not None and now_s >= self._figures_due and self._asking is None:
                self._figures_due = None
                self._asking = asyncio.create_task(self._fetch_figures())
                self._asking.add_done_callback(self._asked)
            self._show()
            self._view.ticked()

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking = None

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

    def _want_figures(self) -> None:
        self._figures_due = time.monotonic() + FIGURES_WAIT_S

    async def _fetch_figures(self) -> None:
        told = await self._rest.turns(self._session.session_id)
        if told is not None:
            self.figures.server_turns(told)
        self._view.figures_changed()


async def _within(seconds: float, work: Awaitable[object]) -> None:
    """Wait for the work, but no longer."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        return
