"""Turns a session's effects into actions.

Laws: every match is closed; nothing here blocks, waits or decides. What an action answers comes back as events through the driver.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, assert_never

from parley.core.words.effects import (
    AbandonCall,
    AbandonListing,
    AbandonSummary,
    CallTool,
    CancelGeneration,
    CloseLink,
    DropTranscription,
    Effect,
    FindPipeline,
    FinishTranscription,
    FlushTranscription,
    JudgePause,
    ListTools,
    OpenTranscription,
    Play,
    ReleaseGeneration,
    ReleaseServer,
    ScoreVoice,
    StartGeneration,
    StopPlayback,
    Summarize,
    Tell,
    Transcribe,
    UsePipeline,
)
from parley.runtime.generation.attempts import Generations
from parley.runtime.listeners import Listeners
from parley.runtime.listening import Listening


class Loudspeaker(Protocol):
    """Where the server holds the playback: the queue of audio on its way to the listener.

    It posts `AudioPlayed` to the driver as audio goes out.
    """

    def play(self, effect: Play) -> None: ...

    def stop(self) -> None: ...


class Tools(Protocol):
    """Answers what the session asks tool servers: each `list_tools` with `ToolsListed` or `ToolListingFailed`, each `call` with
    `ToolAnswered` or `ToolFailed`, unless it is abandoned."""

    def list_tools(self, effect: ListTools) -> None: ...

    def call(self, effect: CallTool) -> None: ...

    def abandon_listing(self, effect: AbandonListing) -> None: ...

    def abandon_call(self, effect: AbandonCall) -> None: ...

    def let_go(self, effect: ReleaseServer) -> None: ...

    def tasks(self) -> set[asyncio.Task[None]]:
        """The questions that are open."""
        ...

    def release(self) -> None: ...


class Engines(Protocol):
    """What a session's pipeline lends it."""

    def find(self, effect: FindPipeline) -> None:
        """Look for another pipeline and post the answer."""
        ...

    def use(self) -> tuple[Listening, Generations]:
        """New streams of the pipeline that was found last, at first of the one that the session began with."""
        ...


class Performer:
    """Performs a session's effects: on its client's link, its engines, its tools, and the loudspeaker where the server holds one."""

    __slots__ = ("_engines", "_generations", "_held", "_listeners", "_listening", "_loudspeaker", "_tools")

    def __init__(
        self,
        listeners: Listeners,
        engines: Engines,
        tools: Tools,
        loudspeaker: Loudspeaker | None,
    ) -> None:
        self._listeners = listeners
        self._engines = engines
        self._listening, self._generations = engines.use()
        self._held = False
        self._tools = tools
        self._loudspeaker = loudspeaker

    def perform(self, effect: Effect) -> None:
        """Do it, or start doing it, now."""
        match effect:
            case Tell():
                self._listeners.tell(effect.notice)
            case ScoreVoice():
                self._listening.voice.hear(effect.start_sample, effect.audio, effect.format)
            case Transcribe():
                self._listening.transcribe(effect)
            case OpenTranscription():
                self._listening.open(effect)
            case FlushTranscription():
                self._listening.flush(effect)
            case FinishTranscription():
                self._listening.finish(effect)
            case DropTranscription():
                self._listening.drop(effect)
            case JudgePause():
                self._listening.judge(effect)
            case StartGeneration():
                self._generations.start(effect)
            case ReleaseGeneration():
                pass  # its output is on its way already; only accounts of the turn need to know
            case CancelGeneration():
                self._generations.cancel(effect)
            case Summarize():
                self._generations.summaries.start(effect)
            case AbandonSummary():
                self._generations.summaries.abandon(effect)
            case ListTools() | CallTool() | AbandonListing() | AbandonCall() | ReleaseServer():
                self._use_tools(effect)
            case FindPipeline():
                self._engines.find(effect)
            case UsePipeline():
                self._listening.release()
                self._generations.release()
                self._listening, self._generations = self._engines.use()
                self._generations.hold(self._held)
            case Play():
                self._speaker().play(effect)
            case StopPlayback():
                if self._loudspeaker is not None:
                    self._loudspeaker.stop()
            case CloseLink():
                self._listeners.close(effect.reason)
            case _:
                assert_never(effect)

    def _use_tools(self, effect: ListTools | CallTool | AbandonListing | AbandonCall | ReleaseServer) -> None:
        match effect:
            case ListTools():
                self._tools.list_tools(effect)
            case CallTool():
                self._tools.call(effect)
            case AbandonListing():
                self._tools.abandon_listing(effect)
            case AbandonCall():
                self._tools.abandon_call(effect)
            case ReleaseServer():
                self._tools.let_go(effect)
            case _:
                assert_never(effect)

    def _speaker(self) -> Loudspeaker:
        if self._loudspeaker is None:
            raise RuntimeError("this session holds the playback, but its driver was given no loudspeaker")
        return self._loudspeaker

    def hold_output(self, held: bool) -> None:
        """Whether the client has yet to take what was sent."""
        self._held = held
        self._generations.hold(held)

    def tasks(self) -> set[asyncio.Task[None]]:
        """The questions to engines that are open."""
        return self._listening.tasks() | self._generations.tasks() | self._tools.tasks()

    def release(self) -> None:
        """Let go of everything that runs for this session."""
        self._listening.release()
        self._generations.release()
        self._tools.release()
        self._loudspeaker = None
