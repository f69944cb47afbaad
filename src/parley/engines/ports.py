"""What an engine is: small Protocols, and the immutable values that cross them.

Laws:
- An engine receives a snapshot (prompt, voice, language) and never sees a session, a socket or the core.
- One engine object is one loaded model, shared by all sessions; whatever belongs to one session is a stream.
- `open()` loads and warms; it is the only place where a heavy library is imported. Nothing else is called before it.
- Audio inside an engine is a mono float32 array in [-1, 1]; the array's sample rate is named beside it.
- Every expected fault is raised as `EngineError` (see errors below) and caught once, in `runtime/`.

Errors:

    EngineError                 something an engine could not do; `code` is stable, `remedy` says what to do about it
      EngineUnavailable         the engine cannot be opened (package, weights, endpoint, key)
      EngineRefused             this one request cannot be served (bad voice, image to a blind model, context too long)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from parley.errors import ParleyError

Samples = NDArray[np.float32]
"""Mono audio, shape `[n]`, float32 in [-1, 1]."""

Stage = Literal["vad", "turn", "stt", "llm", "tts"]
STAGES: tuple[Stage, ...] = ("vad", "turn", "stt", "llm", "tts")


class EngineError(ParleyError):
    """Something an engine could not do.

    `code` is a short stable identifier (`invalid_api_key`, `timeout`, `model_not_found`...), `message` one sentence
    for a person, `remedy` the command or setting that puts it right (may be empty).
    """

    def __init__(self, message: str, remedy: str = "", *, code: str = "engine_error") -> None:
        super().__init__(message, remedy)
        self.code = code


class EngineUnavailable(EngineError):
    """The engine cannot be opened: a missing package, missing weights, a refused download, an unreachable endpoint."""


class EngineRefused(EngineError):
    """This one request cannot be served; the engine itself is well."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine declares about itself.

    `sample_rate` is in Hz (what it wants, for vad/stt; what it yields, for tts; 0 where audio plays no part).
    `languages` are BCP-47 primary tags, empty when it does not matter. `voices` are the engine's own voice names.
    `batch` is how many sessions one call may serve.
    """

    stage: Stage
    name: str
    summary: str
    needs: tuple[str, ...] = ()
    sample_rate: int = 0
    languages: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()
    streams: bool = True
    batch: int = 1
    licence: str = ""
    images: bool = False
    logprobs: bool = False


@runtime_checkable
class Engine(Protocol):
    """What every engine has: a description that is valid before `open()`, a loader, and an end."""

    @property
    def info(self) -> EngineInfo: ...

    async def open(self) -> None:
        """Load the model and warm it up. Raises `EngineUnavailable` with a remedy. Must not block the event loop."""
        ...

    async def close(self) -> None:
        """Let go of the model; idempotent."""
        ...


@runtime_checkable
class Supervised(Protocol):
    """An engine whose model can fail while it is open, and that knows it: a child process, a library that can hang."""

    @property
    def fault(self) -> EngineError | None:
        """Why the engine cannot work at this moment; None while it can. `/health` tells it."""
        ...


# --- voice activity ----------------------------------------------------------------------------------------------------


@runtime_checkable
class VoiceActivityModel(Engine, Protocol):
    """A frame-by-frame voice activity model whose streams are scored together.

    Call `allocate()` for each stream, `score()` with one frame for each of any number of distinct slots,
    `release()` at the end. Not thread-safe: one owner calls it.
    """

    frame_samples: int
    """Samples in one frame at `info.sample_rate` (Silero: 512 at 16 kHz)."""

    def allocate(self) -> int:
        """A fresh stream's slot, its state cleared."""
        ...

    def release(self, slot: int) -> None: ...

    def reset(self, slot: int) -> None:
        """Forget what this stream has heard so far."""
        ...

    def score(self, slots: Sequence[int], frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Voice probability of one frame of each slot: frames `[B, frame_samples]` float32 -> `[B]` float32 in 0..1."""
        ...


# --- end of turn -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PauseContext:
    """What a turn judge may look at: the transcript so far and the turn's last seconds of audio (16 kHz), up to the pause.

    `language` is a BCP-47 tag, "" where it is unknown. `confidence` is the recogniser's in `text` (0..1), None where it gives none.
    """

    text: str
    audio: Samples
    language: str = ""
    confidence: float | None = None


@runtime_checkable
class TurnJudge(Engine, Protocol):
    """Judges, in a pause, whether the speaker has finished."""

    async def judge(self, pause: PauseContext) -> float:
        """Probability in 0..1 that the turn is over."""
        ...


# --- speech recognition ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word:
    """One word and where it lies, in milliseconds from the start of its audio."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class RecognitionSpec:
    """What a recogniser is told when a stream opens. `language` is a BCP-47 tag or "" (let the engine find out).

    `languages` are the tags among which it is to find out, () for all; an engine that knows none of them refuses.

    `share` is an opaque key: streams of one key share one part of the engine's time, and take turns with those of
    other keys. `live` False: the audio is complete already and nobody is speaking; live streams go first.
    """

    language: str = ""
    prompt: str = ""
    keywords: tuple[str, ...] = ()
    logprobs: bool = False
    languages: tuple[str, ...] = ()
    share: object = field(default=None, repr=False, compare=False)
    live: bool = True


@dataclass(frozen=True, slots=True)
class Partial:
    """A hypothesis while audio still comes.

    `text` is the best guess so far; `stable` is the leading part of the transcript that the engine promises never
    to take back: it only ever grows, and every later final begins with it ("" where the engine can promise
    nothing).
    """

    text: str
    stable: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said. `confidence` in 0..1 or None where the engine gives none."""

    text: str
    words: tuple[Word, ...] = ()
    language: str = ""
    confidence: float | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


class RecognizerStream(Protocol):
    """One turn being transcribed. Every method is called on the event loop and none may block it."""

    def feed(self, audio: Samples) -> None:
        """Hand over the next audio at `info.sample_rate`; returns at once (the engine queues, bounded, and works elsewhere).

        Raises `EngineError` as soon as it is known that this stream will have no transcript.
        """
        ...

    async def flush(self) -> Transcript:
        """The best transcript of all audio fed so far, as good as a final; the stream goes on and may be fed further."""
        ...

    async def finish(self) -> Transcript:
        """The final transcript of all audio fed; the stream is over. Call nothing after it."""
        ...

    def close(self) -> None:
        """Abandon the stream at once; safe at any time, also during `flush` or `finish`, and idempotent."""
        ...


@runtime_checkable
class SpeechRecognizer(Engine, Protocol):
    def open_stream(self, spec: RecognitionSpec, on_partial: Callable[[Partial], None]) -> RecognizerStream:
        """Start a turn. `on_partial` is called on the event loop, in order, until the stream ends."""
        ...


# --- language models ---------------------------------------------------------------------------------------------------

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image as a `data:` or `https:` URL.

    `at` is where in its message it stands: how many characters of the text come before it; None: all of them.
    """

    url: str
    detail: Literal["auto", "low", "high"] = "auto"
    at: int | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model made earlier; `arguments` is JSON text."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of the prompt. `tool_calls` only on assistant messages, `call_id` only on tool messages."""

    role: Role
    text: str = ""
    images: tuple[ImagePart, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `parameters` is a JSON Schema as JSON text."""

    name: str
    description: str
    parameters: str = '{"type":"object","properties":{}}'


@dataclass(frozen=True, slots=True)
class ForceTool:
    """`tool_choice` that demands this one function."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | ForceTool


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A whole prompt. `max_tokens` None means the model's own limit, `temperature` None its own."""

    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    reasoning_effort: str = ""
    temperature: float | None = None
    json_schema: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call. `call_id` and `name` come with the first piece of each `index`; later ones carry
    `arguments` only."""

    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Measured by the model's server, in tokens."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ChatEnd:
    """The last thing a stream yields: why it ended, and its usage where the server tells (None otherwise)."""

    reason: Literal["stop", "length", "tool_calls", "content_filter"]
    usage: TokenUsage | None = None


ChatEvent = TextDelta | ToolCallDelta | ChatEnd


@runtime_checkable
class LanguageModel(Engine, Protocol):
    def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Stream one reply; ends with exactly one `ChatEnd`. Closing the iterator (`aclose`) closes the upstream request.

        Raises `EngineError` (`invalid_api_key`, `model_not_found`, `connection_failed`, `timeout`,
        `rate_limit_exceeded`, `context_length_exceeded`, `server_error`).
        """
        ...


# --- speech synthesis --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One clause to be spoken. `voice` is one of `info.voices` or an alias the engine knows; `speed` 0.25..4, 1.0
    is natural. `share` is an opaque key: requests of different keys take turns (see `RecognitionSpec`)."""

    text: str
    voice: str = ""
    language: str = ""
    speed: float = 1.0
    share: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """Audio at `sample_rate` Hz, and the words that begin in this request so far, timed from the start of the request."""

    audio: Samples
    sample_rate: int
    words: tuple[Word, ...] = ()


@runtime_checkable
class SpeechSynthesizer(Engine, Protocol):
    def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """Stream the clause's audio. Closing the iterator stops the synthesis."""
        ...

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        """The engine's own name of `voice` (its own names and OpenAI's: alloy, ash, ballad, cedar...), or None if unknown."""
        ...


EngineFactory = Callable[[str, Mapping[str, object]], Engine]
"""What an entry point of the group `parley.engines` names (`stage.name`): (model, options) -> engine.

`model` is what follows the colon in `engine:model` ("" when absent); unknown options raise `ValueError` naming the
option."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """`name:model` with the options of its configuration table."""

    name: str
    model: str = ""
    options: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, options: Mapping[str, object] | None = None) -> EngineSpec:
        name, _, model = text.partition(":")
        return cls(name.strip(), model.strip(), dict(options or {}))
