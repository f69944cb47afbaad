"""Which engines a session talks through, and how: made of names, specifications, objects or functions.

Laws: making one loads nothing; `open()` loads all engines at once and says of each that cannot be loaded why and what mends it. A
pipeline lives on one event loop: its own (`with`, `open()`) or the caller's (`async with`, `aopen()`).
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Coroutine
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from parley.config.values import BargeIn, PipelineConfig
from parley.engines import registry
from parley.engines.ports import (
    STAGES,
    Engine,
    EngineSpec,
    EngineUnavailable,
    LanguageModel,
    SpeechRecognizer,
    SpeechSynthesizer,
    Stage,
    TurnJudge,
    VoiceActivityModel,
)
from parley.library.errors import LibraryError
from parley.library.loop_thread import LoopThread
from parley.library.models import Absent, FunctionModel, ReplyFunction
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import Pipeline as LoadedPipeline

T = TypeVar("T")

DEFAULT_INSTRUCTIONS = "You are a helpful voice assistant. Answer in a few short sentences of plain words, in the language the user speaks."

USUAL_VOICE = "alloy"
"""What every engine should know under OpenAI's name for it."""

_OWN = "own"
"""The name under which an engine that came as an object stands in the pipeline's configuration."""


class Pipeline:
    """A chain of engines: voice activity, turn judge, recogniser, language model, synthesizer.

    Each is a name (`"whisper:small.en"`; `parley engines` lists them), an `EngineSpec` (a name with options), or an object that meets
    the port of its stage (`parley.engines.ports`); `llm` may also be a plain function from chat messages to a string or an
    iterator of strings. `turn`, `llm` and `tts` may be None: pauses are then judged by their length alone, nothing is answered,
    answers are text.

    `voice` "" is the engine's usual one; `language` is a BCP-47 tag, "" lets the engines find out. `speculation` starts replies in a
    pause of `speculate_after_ms`, on a guess. `barge_in` "confirmed" lets a reply go on over "mm-hm" and coughs.
    `context_tokens` is what the model's input holds.

    Next: `with pipeline:` (or nothing: the first use opens it), then `VoiceSession(pipeline, ...)`. Close it when you are done.
    Raises `EngineUnavailable` when it is opened and an engine cannot be.
    """

    def __init__(
        self,
        *,
        vad: str | EngineSpec | VoiceActivityModel = "silero",
        turn: str | EngineSpec | TurnJudge | None = "rules",
        stt: str | EngineSpec | SpeechRecognizer = "pocketsphinx",
        llm: str | EngineSpec | LanguageModel | ReplyFunction | None = "auto",
        tts: str | EngineSpec | SpeechSynthesizer | None = "espeak",
        voice: str = "",
        instructions: str = DEFAULT_INSTRUCTIONS,
        language: str = "",
        speculation: bool = False,
        speculate_after_ms: int = 200,
        barge_in: BargeIn = "immediate",
        context_tokens: int = 8192,
    ) -> None:
        self._objects: dict[Stage, Engine] = {}
        self._absent = frozenset(
            stage for stage, given in (("turn", turn), ("llm", llm), ("tts", tts)) if given is None
        )
        self.config = PipelineConfig(
            name="library",
            vad=self._spec("vad", vad),
            turn=self._spec("turn", turn),
            stt=self._spec("stt", stt),
            llm=self._spec("llm", llm),
            tts=self._spec("tts", tts),
            voice=voice,
            instructions=instructions,
            language=language,
            speculation=speculation,
            speculate_after_ms=speculate_after_ms,
            barge_in=barge_in,
            context_tokens=context_tokens,
        )
        """How a server would be told the same; frozen."""
        self._engines: LoadedEngines | None = None
        self._loaded: LoadedPipeline | None = None
        self._opened: list[LoadedEngines] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: LoopThread | None = None
        self._finalizer: weakref.finalize[..., Pipeline] | None = None

    def _spec(self, stage: Stage, given: object) -> EngineSpec:
        if isinstance(given, str):
            return EngineSpec.parse(given)
        if isinstance(given, EngineSpec):
            return given
        if given is None:
            given = Absent(stage)
        elif not isinstance(given, Engine):
            if stage != "llm" or not callable(given):
                raise LibraryError(
                    f"{stage}={given!r} is no engine.",
                    mend="Give a name, an EngineSpec, or an object with the methods of parley.engines.ports.",
                )
            given = FunctionModel(given)
        self._objects[stage] = given
        return EngineSpec(_OWN, given.info.name)

    def _create(self, stage: Stage, spec: EngineSpec) -> Engine:
        return self._objects[stage] if stage in self._objects else registry.create(stage, spec)

    @property
    def speaks(self) -> bool:
        """Whether it has a synthesizer; without one, answers are text."""
        return "tts" not in self._absent

    @property
    def judges(self) -> bool:
        """Whether it has a judge of pauses."""
        return "turn" not in self._absent

    @property
    def answers(self) -> bool:
        """Whether it has a language model."""
        return "llm" not in self._absent

    # --- open and close -----------------------------------------------------------------------------------------------

    def open(self) -> Self:
        """Load and warm every engine, on a loop of the pipeline's own; idempotent. Raises `EngineUnavailable`."""
        if self._thread is None:
            if self._loop is not None:
                raise LibraryError(
                    "This pipeline is open on an event loop; synchronous calls would block it.",
                    mend="Use session.live() there, or open the pipeline with `with` instead of `async with`.",
                )
            self._thread = LoopThread()
            self._finalizer = weakref.finalize(self, _forgotten, self._thread, self._opened)
        try:
            self._thread.run(self.aopen())
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Let go of everything; idempotent."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._finalizer is not None:
            self._finalizer.detach()
        try:
            thread.run(self.aclose())
        finally:
            thread.stop()

    async def aopen(self) -> Self:
        """Load and warm every engine, on the running loop; idempotent. Raises `EngineUnavailable`."""
        if self._loaded is not None:
            return self
        stages = [stage for stage in STAGES if stage not in self._absent]
        engines = await LoadedEngines.open_all([self.config], create=self._create)
        failed = engines.failures.get(self.config.name, ())
        if failed:
            await engines.close()
            raise EngineUnavailable(
                " ".join(
                    f"The {report.stage} engine {report.name} cannot be used: {report.message}" for report in failed
                ),
                code="engine_unavailable",
                mend=" ".join(report.mend for report in failed if report.mend),
            )
        loaded = engines.pipeline(self.config.name)
        if "turn" not in stages:
            loaded = replace(loaded, turn=None)
        if not self.config.voice and self.speaks:
            loaded = replace(loaded, config=replace(self.config, voice=_usual_voice(loaded.tts, self.config.language)))
        self._engines, self._loaded, self._loop = engines, loaded, asyncio.get_running_loop()
        self._opened.append(engines)
        return self

    async def aclose(self) -> None:
        """Let go of everything; idempotent."""
        engines, self._engines, self._loaded, self._loop = self._engines, None, None, None
        if engines is not None:
            self._opened.remove(engines)
            await engines.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await self.aopen()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- for the rest of the library ----------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` where the engines live."""
        try:
            self.open()
        except BaseException:
            work.close()
            raise
        assert self._thread is not None
        return self._thread.run(work)

    async def _here(self) -> LoadedPipeline:
        """The open engines, for work on the running loop."""
        await self.aopen()
        assert self._loaded is not None
        if self._loop is not asyncio.get_running_loop():
            raise LibraryError(
                "This pipeline is open on another event loop.",
                mend="Open it where you use it: `async with pipeline:` for session.live(), `with pipeline:` for step() and run().",
            )
        return self._loaded


def _forgotten(thread: LoopThread, opened: list[LoadedEngines]) -> None:
    """Nobody closed the pipeline: it is closed when it is collected, or when the program ends."""
    # At the end of the program nothing can be handed to a thread any more; the operating system takes back the rest.
    with contextlib.suppress(RuntimeError):
        for engines in opened:
            thread.run(engines.close())
    thread.stop()


def _usual_voice(tts: SpeechSynthesizer, language: str) -> str:
    return USUAL_VOICE if tts.resolve_voice(USUAL_VOICE, language) is not None else next(iter(tts.info.voices), "")
