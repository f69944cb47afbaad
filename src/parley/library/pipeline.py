"""The engines of sessions, made of names, specifications, objects or functions.

Laws: making one loads nothing; `open()` loads all engines at once and reports each that cannot be loaded with reason and remedy. A
pipeline lives on one event loop: its own (`with`, `open()`) or the caller's (`async with`, `aopen()`).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, cast

from parley.config.values import BargeIn, PipelineConfig
from parley.engines import registry
from parley.engines.ports import (
    LLM,
    SPEECH,
    STT,
    TTS,
    TURN,
    VAD,
    Engine,
    EngineSpec,
    LanguageModel,
    Samples,
    SpeechRecognizer,
    SpeechSynthesizer,
    Stage,
    TurnJudge,
    VoiceActivityModel,
    replaced,
    stages,
)
from parley.library import checks
from parley.library.errors import LibraryError
from parley.library.function_recognizers import FunctionRecognizer, FunctionVad, SttFunction, VadFunction
from parley.library.function_synthesizer import FunctionSynthesizer, TtsFunction
from parley.library.loop_thread import LoopThread
from parley.library.models import FunctionModel, ReplyFunction
from parley.runtime.engines import LoadedEngines, unavailable
from parley.runtime.pipeline import LoadedPipeline

if TYPE_CHECKING:
    from parley.library.embedded_session import EmbeddedSession

T = TypeVar("T")

DEFAULT_INSTRUCTIONS = "You are a helpful voice assistant. Answer in a few short sentences of plain words, in the language the user speaks."

USUAL_VOICE = "alloy"
"""What every engine should know under OpenAI's name for it."""

MAX_SPECULATE_AFTER_MS = 10_000
MIN_CONTEXT_TOKENS, MAX_CONTEXT_TOKENS = 256, 10_000_000
"""The limit of the server's configuration."""

_FUNCTIONS: Mapping[Stage[Any], Callable[[Any], Engine]] = {
    VAD: FunctionVad,
    STT: FunctionRecognizer,
    LLM: FunctionModel,
    TTS: FunctionSynthesizer,
}
"""The parts that may be functions."""

_OWN = "own"
"""The name under which an engine that came as an object stands in the pipeline's configuration."""


class Pipeline:
    """A chain of engines: voice activity, turn judge, recogniser, language model, synthesizer.

    Each is a name (`"whisper:small.en"`; `parley engines` lists them), an `EngineSpec` (a name with options), or an object that meets
    the port of its stage (`parley.engines.ports`). All but `turn` may be functions, plain or asynchronous or generators: `llm` from chat
    messages to strings, `vad` from a frame (float32 `[512]` at 16 kHz) to the probability of a voice, `stt` from audio (float32 `[n]` at
    16 kHz) to words, `tts` from text to audio (int16 or float32 `[n]` at 24 kHz, or `(samples, rate)`). `turn`, `llm` and `tts` may be
    None: pauses are then judged by their length alone, nothing is answered, answers are text. `llm` and `tts` may be lists of names: the
    next is asked when one fails before its answer begins.

    Further stages (`mt`, `vc` or `voice_conversion`, `speech`, and those of installed packages) are named in the same way and left out
    unless given. With `speech`, a model that hears and speaks answers in place of `llm` and `tts`, whose defaults are then left out.

    `voice` "" is the engine's default; `language` is a BCP-47 tag, "" lets the engines detect it. `speculation` starts replies in a
    pause of `speculate_after_ms`, before the turn is known to be over. `barge_in` "confirmed" continues a reply over "mm-hm" and coughs.
    `context_tokens` is the size of the model's input; with `compaction` the model sums up older messages before they exceed it, else they
    are left out.

    Next: `with pipeline:` (or nothing: the first use opens it), then `VoiceSession(pipeline, ...)`. Close it when you are done.
    Raises `LibraryError` for impossible values, and `EngineUnavailable` from `open()` if an engine cannot be loaded.
    """

    def __init__(
        self,
        *,
        vad: str | EngineSpec | VoiceActivityModel | VadFunction = "silero",
        turn: str | EngineSpec | TurnJudge | None = "rules",
        stt: str | EngineSpec | SpeechRecognizer | SttFunction = "pocketsphinx",
        llm: str | Sequence[str] | EngineSpec | LanguageModel | ReplyFunction | None = "auto",
        tts: str | Sequence[str] | EngineSpec | SpeechSynthesizer | TtsFunction | None = "auto",
        voice: str = "",
        instructions: str = DEFAULT_INSTRUCTIONS,
        language: str = "",
        speculation: bool = False,
        speculate_after_ms: int = 96,
        barge_in: BargeIn = "immediate",
        context_tokens: int = 8192,
        compaction: bool = False,
        **others: str | EngineSpec | Engine | None,
    ) -> None:
        for name, value in (("voice", voice), ("instructions", instructions), ("language", language)):
            checks.text(name, value)
        checks.flag("speculation", speculation)
        checks.flag("compaction", compaction)
        checks.choice("barge_in", barge_in, ("immediate", "confirmed"))
        checks.whole("speculate_after_ms", speculate_after_ms, 0, MAX_SPECULATE_AFTER_MS, "ms")
        checks.whole("context_tokens", context_tokens, MIN_CONTEXT_TOKENS, MAX_CONTEXT_TOKENS, "tokens")
        self.parts: Mapping[str, object] = MappingProxyType(
            {"vad": vad, "turn": turn, "stt": stt, "llm": llm, "tts": tts, **checks.named_parts(others)}
        )
        """Each part as it was given, by the name of its stage; `engines` holds what they became."""
        self._objects: dict[Stage[Any], Engine] = {}
        self.config = PipelineConfig(
            name="library",
            engines=MappingProxyType(self._specs()),
            voice=voice,
            instructions=instructions,
            language=language,
            speculation=speculation,
            speculate_after_ms=speculate_after_ms,
            barge_in=barge_in,
            context_tokens=context_tokens,
            compaction=compaction,
        )
        """The same as a server's configuration; frozen."""
        checks.compaction(compaction, writes=LLM in self.config.engines, speaks=SPEECH in self.config.engines)
        self._engines: LoadedEngines | None = None
        self._loaded: LoadedPipeline | None = None
        self._opened: list[LoadedEngines] = []
        self._sessions: weakref.WeakSet[EmbeddedSession] = weakref.WeakSet()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: LoopThread | None = None
        self._finalizer: weakref.finalize[..., Pipeline] | None = None

    def _specs(self) -> dict[Stage[Any], EngineSpec]:
        known = {stage.name: stage for stage in stages()}
        for name in self.parts:
            if name not in known:
                raise LibraryError(f"There is no stage {name!r}.", remedy=f"The stages are {', '.join(known)}.")
        for stage in (VAD, STT):
            if self.parts[stage.name] is None:
                raise LibraryError(
                    f"A pipeline needs an engine for {stage}.", remedy="Give a name, a function or an object."
                )
        left_out = replaced(name for name, part in self.parts.items() if part is not None)
        given = {
            known[name]: part
            for name, part in self.parts.items()
            if part is not None and not (name in left_out and part == known[name].default)
        }
        return {stage: self._spec(stage, part) for stage, part in given.items()}

    def _spec(self, stage: Stage[Any], given: object) -> EngineSpec:
        if isinstance(given, str):
            return stage.spec(given)
        if stage.chains and isinstance(given, Sequence) and all(isinstance(one, str) for one in given):
            return stage.spec(", ".join(given)) if len(given) > 1 else stage.spec(*given)
        if isinstance(given, EngineSpec):
            return given
        engine = self._engine(stage, given)
        self._objects[stage] = engine
        return EngineSpec(_OWN, engine.info.name)

    def _engine(self, stage: Stage[Any], given: Any) -> Engine:
        """What an object or a function is as an engine. Raises `LibraryError` for anything else."""
        checks.no_class(stage.name, given)
        if isinstance(given, stage.port):
            return cast(Engine, given)
        function = _FUNCTIONS.get(stage)
        if not isinstance(given, Engine) and function is not None and callable(given):
            return function(given)
        missing = [name for name in _methods(stage.port) if not hasattr(given, name)]
        raise LibraryError(
            f"{stage}={given!r} is no engine: it lacks {', '.join(missing)}.",
            remedy=f"Give a name, an EngineSpec, {'a function, ' if function else ''}"
            f"or an object that has what parley.engines.ports.{stage.port.__name__} asks for.",
        )

    def _create(self, stage: Stage[Any], spec: EngineSpec) -> Engine:
        return self._objects[stage] if stage in self._objects else registry.create(stage, spec)

    @property
    def engines(self) -> Mapping[str, Engine]:
        """The open engines by the name of their stage; empty while the pipeline is not open."""
        return {} if self._loaded is None else {stage.name: engine for stage, engine in self._loaded.engines.items()}

    @property
    def speaks(self) -> bool:
        """Whether it has a synthesizer or a speech model; without one, answers are text."""
        return TTS in self.config.engines or SPEECH in self.config.engines

    @property
    def judges(self) -> bool:
        """Whether it has a judge of pauses."""
        return TURN in self.config.engines

    @property
    def answers(self) -> bool:
        """Whether it has a language model or a speech model."""
        return LLM in self.config.engines or SPEECH in self.config.engines

    # --- open and close -----------------------------------------------------------------------------------------------

    def open(self) -> Self:
        """Load and warm every engine, on a loop of the pipeline's own; idempotent. Raises `EngineUnavailable`."""
        self._closed = False
        if self._thread is None:
            if self._loop is not None:
                raise LibraryError(
                    "This pipeline is open on an event loop; synchronous calls would block it.",
                    remedy="Use session.live() there, or open the pipeline with `with` instead of `async with`.",
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
        """Release everything, the sessions too; idempotent. Open the pipeline before you use it again."""
        thread, self._thread = self._thread, None
        if thread is None and self._loop is not None and not self._loop.is_closed():
            raise LibraryError(
                "This pipeline is open on an event loop.", remedy="Close it there: `await pipeline.aclose()`."
            )
        self._closed = True
        if thread is None:
            return
        if self._finalizer is not None:
            self._finalizer.detach()
        try:
            thread.run(self.aclose(), closing=True)
        finally:
            thread.stop()

    async def aopen(self) -> Self:
        """Load and warm every engine, on the running loop; idempotent. Raises `EngineUnavailable`."""
        self._closed = False
        if self._loaded is not None:
            return self
        engines = await LoadedEngines.open_all([self.config], create=self._create)
        failed = engines.failures.get(self.config.name, ())
        if failed:
            await engines.close()
            raise unavailable(failed)
        loaded = engines.pipeline(self.config.name)
        tts = loaded.engines.find(TTS)
        if not self.config.voice and tts is not None:
            loaded = replace(loaded, config=replace(self.config, voice=_usual_voice(tts, self.config.language)))
        self._engines, self._loaded, self._loop = engines, loaded, asyncio.get_running_loop()
        self._opened.append(engines)
        return self

    async def aclose(self) -> None:
        """Release everything, the sessions too; idempotent. Open the pipeline before you use it again."""
        self._closed = True
        for embedded in list(self._sessions):
            embedded.shut("its pipeline was closed")
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

    @classmethod
    def around(cls, loaded: LoadedPipeline) -> Self:
        """A pipeline of engines that the caller has opened on the running loop, keeps, and closes: what a server gives to the library.

        Closing it (`aclose()`) ends its sessions and leaves the engines open.
        """
        pipeline = cls(vad=_opened_elsewhere, turn=None, stt=_opened_elsewhere, llm=None, tts=None)
        pipeline.config = loaded.config
        pipeline._objects = dict(loaded.engines)
        pipeline._loaded, pipeline._loop = loaded, asyncio.get_running_loop()
        return pipeline

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise LibraryError(
                "The pipeline is closed.",
                remedy="Open it again, with pipeline.open() or `with pipeline:`, and make a new session.",
            )

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` where the engines live, and wait for it."""
        try:
            self._refuse_if_closed()
            self.open()
        except BaseException:
            work.close()
            raise
        assert self._thread is not None
        try:
            return self._thread.run(work)
        finally:
            self._close_if_stopped()

    async def _arun(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` where the engines live: on the running loop, unless the pipeline was opened on its own."""
        thread = self._thread
        if thread is None or thread.is_current:
            return await work
        answer = thread.submit(work)
        try:
            return await asyncio.wrap_future(answer)
        except asyncio.CancelledError:
            thread.withdraw(answer)
            raise
        finally:
            self._close_if_stopped()

    def _close_if_stopped(self) -> None:
        """The caller's code has raised an exception that ends a program: stop."""
        if self._thread is not None and self._thread.stopped_by is not None:
            self.close()

    async def _here(self) -> LoadedPipeline:
        """The open engines, for work on the running loop."""
        self._refuse_if_closed()
        await self.aopen()
        assert self._loaded is not None
        if self._loop is not asyncio.get_running_loop():
            raise LibraryError(
                "This pipeline is open on another event loop.",
                remedy="Open it where you use it: `async with pipeline:` for session.live(), `with pipeline:` for step() and run().",
            )
        return self._loaded

    def _adopt(self, embedded: EmbeddedSession) -> None:
        """This session ends with the pipeline."""
        self._sessions.add(embedded)


def _opened_elsewhere(audio: Samples) -> NoReturn:
    """Stands for an engine that is open already (`Pipeline.around`)."""
    raise AssertionError("a pipeline around open engines uses those")


def _methods(port: type) -> list[str]:
    """The methods and attributes of a port."""
    names = {name for base in port.__mro__ for name in (*vars(base), *getattr(base, "__annotations__", {}))}
    return sorted(name for name in names if not name.startswith("_"))


def _forgotten(thread: LoopThread, opened: list[LoadedEngines]) -> None:
    """Close a pipeline that was not closed, when it is collected or the program ends."""
    if thread.is_current:
        # The collector may run on any thread; the pipeline's own cannot wait for its own end.
        threading.Thread(target=_forgotten, args=(thread, opened), name="parley closes a pipeline", daemon=True).start()
        return
    # At the end of the program nothing can be handed to a thread any more; the operating system takes back the rest.
    with contextlib.suppress(RuntimeError):
        for engines in opened:
            thread.run(engines.close(), closing=True)
    thread.stop()


def _usual_voice(tts: SpeechSynthesizer, language: str) -> str:
    return USUAL_VOICE if tts.resolve_voice(USUAL_VOICE, language) is not None else next(iter(tts.info.voices), "")
