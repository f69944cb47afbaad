"""A conversation in your own program: fed frame by frame, run over frames, or live.

Laws: one core underneath, the server's. `step()`, `flush()` and `run()` keep the time of the samples: engines are waited
for between chunks, so that a recording pushed at any speed and cut in any way gives the same turns. `live()` keeps the
wall's time. A session is one or the other.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Mapping
from typing import Any, Literal

from parley.core.limits import SAMPLES_PER_MS
from parley.core.policy import Policy
from parley.core.rules import Endpointing, FloorRule, PauseSeen, PreRoll
from parley.core.settings import TurnDetection
from parley.library.clocks import SampleClock
from parley.library.conduct import plan_for
from parley.library.errors import LibraryError
from parley.library.events import VoiceEvent
from parley.library.history import ChatDict, history_of, items_of
from parley.library.intake import Frame, Intake
from parley.library.live_call import LiveCall
from parley.library.loudspeakers import Outlet, Sink
from parley.library.machine import Machine
from parley.library.pipeline import Pipeline
from parley.library.stepping import Stepper
from parley.library.tools import by_name

CHUNK_MS = 32
"""One frame of voice activity: nothing is decided more often."""

MAX_CHUNK_MS = 1_000
"""A longer chunk would answer later than anybody waits."""


class VoiceSession:
    """One conversation with one speaker. Mono audio in at `sample_rate` Hz, replies out at `output_rate` Hz.

    Feed it: `step(frame)` and `flush()` return the events so far; `run(frames)` does both over an iterator; `async for event in
    live(source, sink)` talks in real time. Events are in `parley.library.events`; `history` is the conversation at any time.

    `instructions`, `voice`, `speed` (0.25 to 1.5) and `modality` ("audio", or "text" where the pipeline has no
    synthesizer) are the pipeline's unless you say otherwise. `history` are chat messages to go on from. `tools` are
    functions of yours, described by their type hints and docstrings.

    What may be your own: `policy` (a `Policy`, or a function from the transcript to whether it is answered), `endpointing` (an
    `Endpointing`, a function from `PauseSeen` to the milliseconds that end the turn, or just these), `pre_roll` (a `PreRoll`, or
    milliseconds), `barge_in` (a `FloorRule`, a function from the words and the milliseconds of voice to whether the reply stops, or
    "immediate", "confirmed", "never"), `turn_detection` ("auto": by meaning where the pipeline has a turn judge, else by silence;
    "silence"; "manual": only `flush()` ends a turn; or settings of your own), and `chunk_ms`, in which the session takes its
    input and gives its audio.

    An engine that says nothing for `engine_timeout_s` is given up, told as `Failed`. Raises `FrameRefused` for frames of another kind,
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
        turn_detection: TurnDetection | Literal["auto", "silence", "manual"] = "auto",
        chunk_ms: int = CHUNK_MS,
        tools: Iterable[Callable[..., Any]] = (),
        history: Iterable[Mapping[str, Any]] = (),
        policy: Policy | Callable[[str], bool] | None = None,
        endpointing: Endpointing | Callable[[PauseSeen], int] | int | None = None,
        pre_roll: PreRoll | int | None = None,
        barge_in: FloorRule | Callable[[str, int], bool] | Literal["immediate", "confirmed", "never"] | None = None,
        engine_timeout_s: float = 120.0,
    ) -> None:
        if not 1 <= chunk_ms <= MAX_CHUNK_MS:
            raise LibraryError(
                f"chunk_ms={chunk_ms} is not possible.", mend=f"Choose 1 to {MAX_CHUNK_MS} ms; {CHUNK_MS} is usual."
            )
        self._pipeline = pipeline
        self._chunk_samples = chunk_ms * SAMPLES_PER_MS
        self._intake = Intake(sample_rate, self._chunk_samples)
        self._output_rate = Intake(output_rate, 1).sample_rate
        self._plan = plan_for(
            pipeline,
            instructions=instructions,
            voice=voice,
            speed=speed,
            modality=modality,
            turn_detection=turn_detection,
            tools=by_name(tools),
            history=items_of(history),
            policy=policy,
            endpointing=endpointing,
            pre_roll=pre_roll,
            barge_in=barge_in,
            sample_rate=sample_rate,
            engine_timeout_s=engine_timeout_s,
        )
        self._machine: Machine | None = None
        self._stepper: Stepper | None = None
        self._live = False

    @property
    def sample_rate(self) -> int:
        """Of the input, in Hz: the unit of all positions."""
        return self._intake.sample_rate

    @property
    def samples_taken(self) -> int:
        """Input samples so far."""
        return self._intake.taken

    @property
    def history(self) -> list[ChatDict]:
        """The conversation as chat messages (JSON values), the assistant's as far as they were heard. Give it to another session."""
        if self._machine is None:
            return history_of(self._plan.history)
        return self._machine.history()

    # --- in the time of the samples -----------------------------------------------------------------------------------

    def step(self, frame: Frame) -> list[VoiceEvent]:
        """Take a frame of any length; returns what happened, answers included. Waits for the engines.

        What plays while the frame is taken is in it as `ReplyAudio`: give the session silence, and you hear the reply.
        """
        return self._pipeline._run(self._step(frame))

    def flush(self) -> list[VoiceEvent]:
        """The input is over: the residue goes into the last turn, that turn ends, its answer plays to the end. You may go on."""
        return self._pipeline._run(self._flush())

    def say(self, text: str) -> list[VoiceEvent]:
        """A typed message of the user's; its answer plays with the frames that follow, or at `flush()`.

        In a live session the events come from its iterator, and this returns none.
        """
        if self._live:
            if self._machine is None:
                raise LibraryError("The live session has not begun.", mend="Call say() while you iterate over live().")
            self._machine.say(text)
            return []
        return self._pipeline._run(self._say(text))

    def run(self, frames: Iterable[Frame]) -> Generator[VoiceEvent, None, None]:
        """Step through all frames, then flush; yields the events as they come."""
        for frame in frames:
            yield from self.step(frame)
        yield from self.flush()

    async def _step(self, frame: Frame) -> list[VoiceEvent]:
        stepper = await self._stepping()
        for chunk in self._intake.push(frame):
            await stepper.take(chunk)
        return stepper.machine.taken()

    async def _flush(self) -> list[VoiceEvent]:
        stepper = await self._stepping()
        for chunk in self._intake.finish():
            await stepper.take(chunk)
        await stepper.play_out()
        return stepper.machine.taken()

    async def _say(self, text: str) -> list[VoiceEvent]:
        stepper = await self._stepping()
        stepper.machine.say(text)
        await stepper.machine.settled()
        return stepper.machine.taken()

    async def _stepping(self) -> Stepper:
        if self._live:
            raise LibraryError("This session is live.", mend="Make another session for step() and run().")
        loaded = await self._pipeline._here()
        if self._stepper is None:
            clock, outlet = SampleClock(), Outlet(self._output_rate)
            machine = Machine(loaded, self._plan, clock, outlet)
            machine.start()
            self._machine = machine
            self._stepper = Stepper(machine, clock, outlet, self._chunk_samples)
        return self._stepper

    def close(self) -> None:
        """Let go of what the session holds in the engines; idempotent. Closing the pipeline does so too."""
        if self._stepper is not None:
            machine, self._stepper = self._stepper.machine, None
            self._pipeline._run(_shut(machine))

    # --- in the time of the wall --------------------------------------------------------------------------------------

    async def live(self, source: AsyncIterator[Frame], sink: Sink | None = None) -> AsyncGenerator[VoiceEvent, None]:
        """Talk in real time: frames from `source`, as they are spoken, replies into `sink`; yields the events.

        Ends when the source has ended and its last turn was answered and heard. `sink` takes int16 samples `[n]` at `output_rate`, 20 ms
        at a time and in real time: a function (which may be asynchronous, and may return how many it took) or a queue. If it has a
        method `stop`, that is called when a reply is interrupted. Raises `SinkRefused` when it does not take them all, and
        whatever `source` raises. Close the iterator (`aclose()`, or leave `async with contextlib.aclosing(...)`) to hang up.
        """
        if self._live or self._stepper is not None:
            raise LibraryError("This session is in use already.", mend="Make another session for live().")
        self._live = True
        loaded = await self._pipeline._here()
        call = LiveCall(loaded, self._plan, self._intake, self._output_rate, sink)
        self._machine = call.machine
        async with contextlib.aclosing(call.events(source)) as events:
            async for event in events:
                yield event


async def _shut(machine: Machine) -> None:
    machine.shut()
