"""One session as the library runs it: the core, its driver, its events, its tools, and its output of audio.

Laws: the core is the server's and decides everything; there is no logic of turns here. Everything runs on one event loop. Engines are
always awaited: `settled()`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from parley.core.spec import SessionSpec
from parley.core.words.effects import CloseReason
from parley.core.words.events import (
    AudioArrived,
    AudioPlayed,
    CancelRequested,
    Event,
    InputEnded,
    ItemCreateRequested,
    OutputClearRequested,
    ResponseRequested,
    TimePassed,
    WorkAbandoned,
)
from parley.core.words.ids import ItemId
from parley.core.words.items import InputText, Message
from parley.core.words.notices import ErrorRaised, Notice
from parley.core.words.settings import Settings
from parley.core.words.work import AwaitedTranscript, ResponseParams
from parley.engines.ports import TTS, VAD, VC, EngineError
from parley.library.clocks import SampleClock
from parley.library.errors import LibraryError, SessionBroken
from parley.library.events import Failed, ToolEnded, Turn, VoiceEvent
from parley.library.function_tools import FUNCTIONS, FunctionTools
from parley.library.functions import name_of
from parley.library.guards import called_in_messages, guarded
from parley.library.history import ChatDict, history_of
from parley.library.options import VoiceSessionOptions
from parley.library.tools import ToolOutcome
from parley.library.turn_events import TurnEvents
from parley.runtime.driver import Driver
from parley.runtime.perform import Loudspeaker
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.trace import traced

MAX_EVENTS = 100_000
"""Events that may wait for the caller: half an hour of audio in blocks of 20 ms."""


class EmbeddedSession:
    """Make it on the event loop of its engines; call `start()` next, `shut()` at the end.

    `clock` None: the session keeps the time of the wall; else its caller moves the clock, and calls `pass_time()`.
    """

    def __init__(
        self,
        pipeline: LoadedPipeline,
        options: VoiceSessionOptions,
        clock: SampleClock | None,
        loudspeaker: Loudspeaker,
    ) -> None:
        self.events: deque[VoiceEvent] = deque()
        self.news = asyncio.Event()
        """Set with every event, and when the session breaks."""
        self.fault: LibraryError | None = None
        self.over = ""
        """Why the session accepts no more calls; "" while it does."""
        self._loop = asyncio.get_running_loop()
        self._pipeline = pipeline
        self._options = options
        self._own = options.own
        self._raised: list[BaseException] = []
        """Exceptions of the owner's code that the next call raises."""
        self._own.attach(self.emit, lambda: self.turn_events.account.begun, self._end_soon)
        pipeline = guarded(pipeline, self._own, options.chunker)
        self._clock = clock
        self._given_up: set[asyncio.Task[None]] = set()
        read_ns = time.monotonic_ns if clock is None else clock
        spec = SessionSpec(
            seed=secrets.token_bytes(16),
            settings=_voiced(options.settings, pipeline),
            owner=options.owner,
            capabilities=replace(pipeline.capabilities(), tool_server_urls=(FUNCTIONS.url,)),
            playback="paced",
            now_ns=read_ns(),
            policy=options.policy,
            rules=options.rules,
        )
        self.session, trace = traced(spec, options.trace_dir)
        options.view.conversation = self.session
        self.turn_events = TurnEvents(options.sample_rate, lambda: self.session.items, self.emit, self._first_played)
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep if clock is None else clock.sleep
        self.driver = Driver(
            self.session,
            pipeline,
            [self],
            watchers=[trace, self.turn_events],
            clock=read_ns,
            loudspeaker=loudspeaker,
            timed=clock is None,
            sleep=sleep,
            tools=lambda post: FunctionTools(options.tools, self._own, self._answered, post),
            unscored=self._unscored,
        )

    # --- start and end -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the session with its history. Raises `LibraryError` for a history that the conversation refuses."""
        self.driver.start()
        for item in self._options.history:
            self.driver.post(ItemCreateRequested(item))
        self.turn_events.account.forget_typed()
        failed = next((event for event in self.events if isinstance(event, Failed)), None)
        if failed is not None:
            self.shut("its history could not be taken")
            raise LibraryError(f"The history was refused: {failed.message}") from failed.error

    def post(self, event: Event) -> None:
        self.driver.post(event)

    def call(self, act: Callable[[EmbeddedSession], None]) -> None:
        """Run this on the session's loop: now, or soon if called from another thread."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self._loop:
            act(self)
        else:
            self._loop.call_soon_threadsafe(act, self)

    def emit(self, event: VoiceEvent) -> None:
        if isinstance(event, Failed):
            event = self._own.completed(event)
            if self._own.raises:
                self._raised.append(_raised_for(event))
        if len(self.events) >= MAX_EVENTS:
            self._break(LibraryError(f"{MAX_EVENTS} events wait to be read.", remedy="Read events as they arrive."))
            return
        self.events.append(event)
        self.news.set()

    def taken(self) -> list[VoiceEvent]:
        """The events since the last call. Raises what broke or ended the session, and exceptions of the owner's code if `raises`."""
        if self._own.ended_by is not None:
            raise self._own.ended_by
        if self.fault is not None:
            raise self.fault
        if self._raised:
            first = self._raised[0]
            self._raised.clear()  # the others are events
            raise first
        events = list(self.events)
        self.events.clear()
        return events

    @property
    def ended(self) -> bool:
        """Whether no more events can follow."""
        return bool(self.over) or self.fault is not None

    def history(self) -> list[ChatDict]:
        return history_of(self.session.items)

    def say(self, text: str) -> None:
        """A typed message of the user's, and a request for a reply."""
        self.post(ItemCreateRequested(Message(ItemId(""), "user", (InputText(text),))))
        self.post(ResponseRequested())

    def reply(self, instructions: str | None) -> None:
        """A request for a reply without a turn of the user's."""
        self.post(ResponseRequested(ResponseParams(instructions=instructions)))

    def interrupt(self) -> None:
        """Stop the reply, if there is one."""
        if self.turn_events.account.writing:
            self.post(CancelRequested())
        elif self.session.speaking:
            self.post(OutputClearRequested())

    def shut(self, why: str = "it was closed") -> None:
        """Release everything; idempotent."""
        self.over = self.over or why
        self.driver.shut()
        self.news.set()
        if self.driver.closed.is_set():
            # References upwards are dropped, so that the session is freed with its last user; its account stays readable.
            self._own.detach()
            self._options.view.conversation = None

    def _end_soon(self) -> None:
        """The owner's code has ended the session, perhaps in the middle of an event: shut it after that event."""
        self.over = self.over or f"{self._own.ended_by!r} was raised by your code"
        asyncio.get_running_loop().call_soon(self.shut)
        self.news.set()

    def on_notice(self, notice: Notice) -> None:
        """Errors are events of their own; everything else is rendered from the account of the turns."""
        if isinstance(notice, ErrorRaised):
            self.emit(Failed(notice.code, notice.message))

    def on_close(self, reason: CloseReason) -> None:
        if not self.over:
            text = f"The session ended: {reason.replace('_', ' ')}."
            self._break(SessionBroken(text, remedy="The log holds the traceback."))

    def _answered(self, name: str, outcome: ToolOutcome) -> None:
        self.emit(ToolEnded(name, outcome.output, outcome.failed, outcome.error))
        if outcome.error is not None and self._own.raises:
            self._raised.append(outcome.error)

    def _first_played(self, turn: Turn) -> None:
        tell = self._options.on_first_play
        if tell is not None:
            self._own.ask("on_first_play", f"on_first_play={name_of(tell)}", lambda: tell(turn), lambda: None)

    def _unscored(self, error: Exception) -> None:
        """A frame that could not be scored counts as silence."""
        engine = self._pipeline.engines[VAD]
        try:
            with self._own.border("vad", called_in_messages("vad", engine)):
                raise error
        except EngineError as fault:
            self._own.report("vad", fault)

    def _break(self, fault: LibraryError) -> None:
        if self.fault is None:
            self.fault = fault
        self.news.set()

    # --- the input ----------------------------------------------------------------------------------------------------

    def hear(self, chunk: bytes) -> None:
        """The next chunk of the microphone: PCM16 at 24 kHz."""
        self.turn_events.count_chunk()
        self.post(AudioArrived(chunk))

    def score(self) -> None:
        """Score all audio received so far, now."""
        with self._own.watch():
            self._pipeline.voice.score_pending()

    def end_input(self) -> None:
        """The input is over: what was said last is a turn."""
        self.post(InputEnded())
        manual = self.session.settings.turn_detection is None
        if manual and self._options.answers and self._awaits_words():
            self.post(ResponseRequested())

    def _awaits_words(self) -> bool:
        return any(isinstance(work, AwaitedTranscript) for work in self.session.outstanding())

    def pass_time(self) -> None:
        """Let timers that are due fire."""
        deadline = self.session.next_deadline()
        if deadline is not None and self._clock is not None and deadline <= self._clock():
            self.post(TimePassed())

    # --- the engines --------------------------------------------------------------------------------------------------

    def played(self, samples: int) -> None:
        """So many samples of the reply were played."""
        self.post(AudioPlayed(samples))

    def working(self) -> set[asyncio.Task[None]]:
        """The tasks that are awaited: engines and tools, but none that waits for audio to play."""
        asleep = self._clock.asleep() if self._clock is not None else set()
        return {task for task in self.driver.tasks() - self._given_up if task not in asleep}

    async def settled(self) -> None:
        """Wait until nothing more follows from past events. An engine without output for too long is abandoned."""
        await asyncio.sleep(0)
        while tasks := self.working():
            steps = self.turn_events.steps
            if not await self._moved(tasks) and steps == self.turn_events.steps:
                self._give_up(tasks & self.working())
            await asyncio.sleep(0)

    async def _moved(self, tasks: set[asyncio.Task[None]]) -> bool:
        """Wait until a task is done or waits for audio to play; False if that takes too long."""
        watching: set[asyncio.Task[Any]] = set()
        if self._clock is not None:
            self._clock.fell_asleep.clear()
            watching.add(asyncio.get_running_loop().create_task(self._clock.fell_asleep.wait()))
        try:
            done, _ = await asyncio.wait(
                tasks | watching, timeout=self._options.engine_timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in watching:
                task.cancel()
        return bool(done)

    def _give_up(self, tasks: set[asyncio.Task[None]]) -> None:
        """These had no output for too long: the core fails what it still waits for."""
        for work in self.session.outstanding():
            self.post(WorkAbandoned(work))
        self._given_up |= tasks
        for task in tasks:
            task.add_done_callback(self._given_up.discard)


def _raised_for(failed: Failed) -> BaseException:
    """The exception for a failure: the owner's own, if the owner's code raised it."""
    if failed.error is None:
        return LibraryError(failed.message)
    return failed.error.__cause__ or failed.error


def _voiced(settings: Settings, pipeline: LoadedPipeline) -> Settings:
    """The settings with the voice checked. Raises `LibraryError` for a voice that the synthesizer lacks."""
    voice = settings.voice or pipeline.config.voice
    tts, vc = pipeline.speaking().find(TTS), pipeline.engines.find(VC)
    if (
        settings.modality == "audio"
        and voice
        and tts is not None
        and tts.resolve_voice(voice, pipeline.config.language) is None
        and (vc is None or vc.resolve_voice(voice) is None)
    ):
        known = ", ".join(tts.info.voices[:12])
        raise LibraryError(f"The synthesizer has no voice {voice!r}.", remedy=f"It has {known}, and OpenAI's names.")
    return replace(settings, voice=voice)
