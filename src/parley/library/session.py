"""A conversation in your own program: fed frame by frame, run over frames, or live.

Laws: the core is the server's. `step()`, `flush()` and `run()` keep the time of the samples: engines are waited
for between chunks, so that a recording pushed at any speed and cut in any way gives the same turns. `live()` runs in
real time. A session is one or the other. Calls of one session run one after another; a session that has ended refuses them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import numpy as np

from parley.audio.files import Recording
from parley.core.words.limits import SAMPLES_PER_MS
from parley.core.words.settings import Transcription
from parley.library import checks
from parley.library.clocks import SampleClock
from parley.library.embedded_session import EmbeddedSession
from parley.library.errors import LibraryError, SessionClosed
from parley.library.events import Turn, VoiceEvent
from parley.library.frame_reader import Frame, FrameReader
from parley.library.function_synthesizer import Chunker
from parley.library.history import ChatDict, history_of, items_of
from parley.library.live_call import LiveCall
from parley.library.options import (
    BargeInChoice,
    DetectionChoice,
    EndpointingChoice,
    Judgements,
    PolicyChoice,
    PreRollChoice,
    options_for,
)
from parley.library.pipeline import Pipeline
from parley.library.playout import PlayoutBuffer, Sink, check_sink
from parley.library.sources import Source, frames_of
from parley.library.stepping import Stepper
from parley.library.tools import by_name

T = TypeVar("T")

_CALLING: ContextVar[object] = ContextVar("parley_session", default=None)
"""The session that is taking a step, by its token: code that it calls, in whatever thread, would wait for itself."""

CHUNK_MS = 32
"""One frame of voice activity: nothing is decided more often."""

MAX_CHUNK_MS = 1_000
"""With a longer chunk, replies would come too late."""


class VoiceSession:
    """One conversation with one speaker. Mono audio in at `sample_rate` Hz, replies out at `output_rate` Hz.

    Feed it: `step(frame)` and `flush()` return the events so far; `run(frames)` does both over an iterator; `astep()`, `aflush()`,
    `asay()`, `areply()` and `ainterrupt()` are those of a running event loop; `async for event in live(source, sink)` talks in real time.
    Events are in `parley.library.events`; `history` and `turns` are the conversation at any time.

    `instructions`, `voice`, `speed` (0.25 to 1.5) and `modality` ("audio", or "text" where the pipeline has no
    synthesizer) are the pipeline's unless you say otherwise. `history` are chat messages to continue from. `tools` are
    your functions, described by their type hints and docstrings.

    What may be your own: `policy` (a `Policy`, or a function from the transcript to whether it is answered), `endpointing` (an
    `Endpointing`, a function from `PauseSeen` to the milliseconds that end the turn or to whether it is finished, or just
    milliseconds), `pre_roll` (a `PreRoll`, or milliseconds), `barge_in` (a `FloorRule`, a function from the words and the milliseconds
    of voice to whether the reply stops, or "immediate", "confirmed", "never"), `turn_detection` ("auto": by meaning where the pipeline
    has a turn judge, else by silence; "silence"; "manual": only `flush()` ends a turn; or settings of your own), `chunker` (a function
    from the text that waits to be spoken to how many characters of it are a clause, 0 for none yet), and `chunk_ms`, in which the
    session takes its input and gives its audio. A function for `endpointing` or `barge_in` that has a parameter `audio` is given the
    turn's last 8 seconds (float32 `[n]` at 16 kHz), one that has a parameter `playing` whether the listener hears a reply.

    `transcription` is what the recogniser is told of the speech (`prompt`, `keywords`, `language`, or `languages`), where it uses that;
    with `logprobs` turns have their `tokens`, where it scores them.

    `on_first_play` is called with the turn when the first audio of its reply goes out. An engine without output for
    `engine_timeout_s` is abandoned. Every failure, of your own code too, is reported as `Failed`; with `raises=True` it is also raised
    by the call in which it happened. `SystemExit`, `KeyboardInterrupt` and their like end the session and reach you. In the folder
    `trace_dir` the session is recorded for `parley replay`: it holds the voice, and what your own policy and rules answered.

    Raises `LibraryError` for impossible values, `FrameRefused` for frames of another kind, `SessionClosed` after its end,
    `SessionBroken` for a fault of the session's own.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        sample_rate: int,
        output_rate: int = 24_000,
        instructions: str | None = None,
        voice: str | None = None,
        speed: float = 1.0,
        modality: Literal["audio", "text"] | None = None,
        turn_detection: DetectionChoice = "auto",
        chunk_ms: int = CHUNK_MS,
        tools: Iterable[Callable[..., Any]] = (),
        history: Iterable[Mapping[str, Any]] = (),
        policy: PolicyChoice = None,
        endpointing: EndpointingChoice = None,
        pre_roll: PreRollChoice = None,
        barge_in: BargeInChoice = None,
        chunker: Chunker | None = None,
        on_first_play: Callable[[Turn], object] | None = None,
        raises: bool = False,
        engine_timeout_s: float = 120.0,
        trace_dir: str | os.PathLike[str] | None = None,
        transcription: Transcription | None = None,
        logprobs: bool = False,
    ) -> None:
        checks.no_class("pipeline", pipeline)
        if not isinstance(pipeline, Pipeline):
            raise checks.refused("pipeline", pipeline, "Give a parley.Pipeline.")
        self._pipeline = pipeline
        self._chunk_samples = checks.whole("chunk_ms", chunk_ms, 1, MAX_CHUNK_MS, "ms") * SAMPLES_PER_MS
        self._reader = FrameReader(sample_rate, self._chunk_samples)
        self._output_rate = FrameReader(output_rate, 1, "output_rate").sample_rate
        judgements = Judgements(turn_detection, policy, endpointing, pre_roll, barge_in, chunker, on_first_play)
        self._options = options_for(
            pipeline,
            instructions=instructions,
            voice=voice,
            speed=speed,
            modality=modality,
            judgements=judgements,
            tools=by_name(tools),
            history=items_of(history),
            sample_rate=self._reader.sample_rate,
            engine_timeout_s=engine_timeout_s,
            raises=raises,
            trace_dir=trace_dir,
            transcription=transcription,
            logprobs=logprobs,
        )
        self.parts: Mapping[str, object] = MappingProxyType(judgements.parts())
        """Its judgements, each as it was given or the built-in one; the engines are in `pipeline.parts`."""
        self._embedded: EmbeddedSession | None = None
        self._stepper: Stepper | None = None
        self._waiting: deque[bytes] = deque()
        """Chunks of a frame that was interrupted: the next call takes them."""
        self._one_at_a_time = asyncio.Lock()
        self._token = object()
        self._live = False
        self._closed = ""

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline of the session."""
        return self._pipeline

    @property
    def sample_rate(self) -> int:
        """The rate of the input in Hz: the unit of all positions."""
        return self._reader.sample_rate

    @property
    def samples_taken(self) -> int:
        """Input samples so far."""
        return self._reader.taken

    @property
    def history(self) -> list[ChatDict]:
        """The conversation as chat messages (JSON values), the assistant's as far as they have been heard by now. Give it to another
        session."""
        if self._embedded is None:
            return history_of(self._options.history)
        return self._embedded.history()

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns so far whose words are known (the last 1,000 of them), their answers as far as they have been heard by now."""
        return () if self._embedded is None else self._embedded.turn_events.turns()

    @property
    def closed(self) -> bool:
        """Whether the session has ended."""
        return bool(self._why_closed())

    def _why_closed(self) -> str:
        return self._closed or (self._embedded.over if self._embedded is not None else "")

    def _refuse_if_closed(self) -> None:
        if why := self._why_closed():
            raise SessionClosed(
                f"The session is closed: {why}.", remedy="Make another VoiceSession; history= continues this one."
            )

    # --- in the time of the samples -----------------------------------------------------------------------------------

    def step(self, frame: Frame) -> list[VoiceEvent]:
        """Take a frame of any length; returns what happened, answers included. Waits for the engines.

        What plays while the frame is taken is in it as `ReplyAudio`: give the session silence, and you hear the reply. A step that is
        interrupted (Ctrl-C) loses nothing: the next one takes what is left of the frame.
        """
        return self._now(self._step(frame))

    def flush(self) -> list[VoiceEvent]:
        """The input is over: the residue goes into the last turn, that turn ends, its answer plays to the end. The session can continue."""
        return self._now(self._flush())

    def say(self, text: str) -> list[VoiceEvent]:
        """A typed message of the user's; its answer plays with the frames that follow, or at `flush()`.

        In a live session the events come from its iterator, and this returns none; there it may be called from any thread.
        """
        checks.text("text", text)
        return self._acted(lambda embedded: embedded.say(text))

    def reply(self, instructions: str | None = None) -> list[VoiceEvent]:
        """Have the model speak without a turn of the user's: a greeting, a reminder. `instructions` stand in for the
        session's in this one reply."""
        if instructions is not None:
            checks.text("instructions", instructions)
        return self._acted(lambda embedded: embedded.reply(instructions))

    def interrupt(self) -> list[VoiceEvent]:
        """Stop the current reply, if there is one; what was heard of it stays in the conversation."""
        return self._acted(lambda embedded: embedded.interrupt())

    def run(self, frames: Iterable[Frame] | Frame) -> Generator[VoiceEvent, None, None]:
        """Step through all frames (or take one array, one recording), then flush; yields the events as they come."""
        for frame in [frames] if isinstance(frames, Recording | np.ndarray | bytes) else frames:
            yield from self.step(frame)
        yield from self.flush()

    def close(self) -> None:
        """End the session and release what it holds; idempotent. Closing the pipeline does so too."""
        self._closed = self._closed or "it was closed"
        embedded, self._stepper = self._embedded, None
        if embedded is None or embedded.over:
            return
        if self._live:
            embedded.call(EmbeddedSession.shut)
        else:
            self._pipeline._run(_shut(embedded))

    # --- the same on a running event loop -----------------------------------------------------------------------------

    async def astep(self, frame: Frame) -> list[VoiceEvent]:
        """`step()`, without blocking the running event loop. The pipeline is opened here, unless it is open already."""
        return await self._later(self._step(frame))

    async def aflush(self) -> list[VoiceEvent]:
        """`flush()`, without blocking the running event loop."""
        return await self._later(self._flush())

    async def asay(self, text: str) -> list[VoiceEvent]:
        """`say()`, without blocking the running event loop."""
        checks.text("text", text)
        return await self._acted_later(lambda embedded: embedded.say(text))

    async def areply(self, instructions: str | None = None) -> list[VoiceEvent]:
        """`reply()`, without blocking the running event loop."""
        if instructions is not None:
            checks.text("instructions", instructions)
        return await self._acted_later(lambda embedded: embedded.reply(instructions))

    async def ainterrupt(self) -> list[VoiceEvent]:
        """`interrupt()`, without blocking the running event loop."""
        return await self._acted_later(lambda embedded: embedded.interrupt())

    async def aclose(self) -> None:
        """`close()`, without blocking the running event loop."""
        self._closed = self._closed or "it was closed"
        embedded, self._stepper = self._embedded, None
        if embedded is not None and not embedded.over:
            await self._pipeline._arun(_shut(embedded))

    # --- how ----------------------------------------------------------------------------------------------------------

    def _now(self, work: Coroutine[Any, Any, T]) -> T:
        self._refuse(work)
        return self._pipeline._run(work)

    async def _later(self, work: Coroutine[Any, Any, T]) -> T:
        self._refuse(work)
        return await self._pipeline._arun(work)

    def _refuse(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            self._refuse_if_closed()
            if _CALLING.get() is self._token:
                raise LibraryError(
                    "This call comes from code that the session itself calls, and would wait for its own end.",
                    remedy="Make it where you call step(), or talk live().",
                )
        except LibraryError:
            work.close()
            raise

    @contextlib.asynccontextmanager
    async def _step_of_its_own(self) -> AsyncIterator[Stepper]:
        """One call at a time; code that it runs knows that it belongs to this session."""
        async with self._one_at_a_time:
            before = _CALLING.set(self._token)
            try:
                yield await self._stepping()
            finally:
                _CALLING.reset(before)

    async def _step(self, frame: Frame) -> list[VoiceEvent]:
        async with self._step_of_its_own() as stepper:
            self._waiting.extend(self._reader.push(frame))
            await self._take(stepper)
            return stepper.embedded.taken()

    async def _flush(self) -> list[VoiceEvent]:
        async with self._step_of_its_own() as stepper:
            self._waiting.extend(self._reader.finish())
            await self._take(stepper)
            await stepper.play_out()
            return stepper.embedded.taken()

    async def _take(self, stepper: Stepper) -> None:
        while self._waiting and not stepper.embedded.ended:
            await stepper.take(self._waiting.popleft())

    def _acted(self, act: Callable[[EmbeddedSession], None]) -> list[VoiceEvent]:
        return self._act_live(act) if self._live else self._now(self._act(act))

    async def _acted_later(self, act: Callable[[EmbeddedSession], None]) -> list[VoiceEvent]:
        return self._act_live(act) if self._live else await self._later(self._act(act))

    async def _act(self, act: Callable[[EmbeddedSession], None]) -> list[VoiceEvent]:
        async with self._step_of_its_own() as stepper:
            act(stepper.embedded)
            await stepper.embedded.settled()
            return stepper.embedded.taken()

    def _act_live(self, act: Callable[[EmbeddedSession], None]) -> list[VoiceEvent]:
        self._refuse_if_closed()
        if self._embedded is None:
            raise LibraryError("The live session has not begun.", remedy="Call this while you iterate over live().")
        self._embedded.call(act)
        return []

    async def _stepping(self) -> Stepper:
        if self._live:
            raise LibraryError("This session is live.", remedy="Make another session for step() and run().")
        loaded = await self._pipeline._here()
        self._refuse_if_closed()
        if self._stepper is None:
            clock, playout = SampleClock(), PlayoutBuffer(self._output_rate)
            embedded = EmbeddedSession(loaded, self._options, clock, playout)
            embedded.start()
            self._pipeline._adopt(embedded)
            self._embedded = embedded
            # A session dropped without close() is shut when it is collected; at the end of the program that is unnecessary.
            weakref.finalize(self, _forgotten, embedded).atexit = False
            self._stepper = Stepper(embedded, clock, playout, self._chunk_samples)
        return self._stepper

    # --- in real time ------------------------------------------------------------------------------------------------

    async def live(self, source: Source, sink: Sink | None = None) -> AsyncGenerator[VoiceEvent, None]:
        """Talk in real time: frames from `source`, as they are spoken, replies into `sink`; yields the events.

        `source` is an asynchronous iterator of frames; or a list, another iterable, an array or a recording, heard in real time; or a
        queue (`asyncio.Queue`, `queue.Queue`), which ends with None. The session ends when the source has ended and its last turn was
        answered and heard. `sink` takes int16 samples `[n]` at `output_rate`, 20 ms at a time and in real time: a function (which may
        be asynchronous, and may return how many it took), a queue or a list. If it has a method `stop`, that is called when a reply is
        interrupted. Raises `SinkRefused` when it does not take them all, and whatever `source` raises. Call `close()`, or close the
        iterator (`aclose()`, or leave `async with contextlib.aclosing(...)`), to hang up.
        """
        self._refuse_if_closed()
        if self._live or self._stepper is not None:
            raise LibraryError("This session is in use already.", remedy="Make another session for live().")
        check_sink(sink)
        frames = frames_of(source, self.sample_rate)
        self._live = True
        loaded = await self._pipeline._here()
        call = LiveCall(loaded, self._options, self._reader, self._output_rate, sink)
        self._embedded = call.embedded
        self._pipeline._adopt(call.embedded)
        async with contextlib.aclosing(call.events(frames)) as events:
            async for event in events:
                yield event


def _forgotten(embedded: EmbeddedSession) -> None:
    if not embedded.over:
        with contextlib.suppress(RuntimeError):  # its loop has ended
            embedded.call(EmbeddedSession.shut)


async def _shut(embedded: EmbeddedSession) -> None:
    embedded.shut()
