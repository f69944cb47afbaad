"""What a session is told to be: frozen values, merged whole, never edited.

Laws: a `Settings` is replaced, never changed, and its `version` grows with each replacement; range checks of single
fields belong to the wire's schema, checks that need the session's state to the session.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal, TypedDict


class AudioFormat(Enum):
    """An encoding of mono audio on the wire. Positions are always 24 kHz samples; one byte of G.711 is three of them."""

    PCM16 = "audio/pcm"
    PCMU = "audio/pcmu"
    PCMA = "audio/pcma"

    @property
    def rate(self) -> int:
        """Samples per second on the wire."""
        return 24_000 if self is AudioFormat.PCM16 else 8_000

    @property
    def bytes_per_ms(self) -> int:
        return 48 if self is AudioFormat.PCM16 else 8

    @property
    def frame_bytes(self) -> int:
        """Bytes that may not be split: one sample."""
        return 2 if self is AudioFormat.PCM16 else 1

    def samples(self, size: int) -> int:
        """24 kHz samples in `size` bytes."""
        return size // 2 if self is AudioFormat.PCM16 else size * 3

    def size(self, samples: int) -> int:
        """Bytes that `samples` (24 kHz) take, rounded down to whole samples of the format."""
        return samples * 2 if self is AudioFormat.PCM16 else samples // 3


@dataclass(frozen=True, slots=True)
class ServerVad:
    """End of turn by silence. `threshold` 0..1; durations in milliseconds; `idle_timeout_ms` None is off."""

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    idle_timeout_ms: int | None = None
    create_response: bool = True
    interrupt_response: bool = True


Eagerness = Literal["low", "medium", "high", "auto"]


@dataclass(frozen=True, slots=True)
class SemanticVad:
    """End of turn by a judge, bounded by the eagerness's longest wait (8, 4, 2 s; auto is medium)."""

    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = ServerVad | SemanticVad


@dataclass(frozen=True, slots=True)
class Transcription:
    """What the client wants to be told of the user's words. `languages` are ISO-639-1 guesses."""

    model: str = ""
    language: str = ""
    prompt: str = ""
    keywords: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoiseReduction:
    """`strength` 0..1; None in a patch keeps what it was (1.0 at first)."""

    type: Literal["near_field", "far_field"]
    strength: float | None = 1.0


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function the client can run; `parameters` is a JSON Schema as JSON text ("" when none was given)."""

    name: str
    description: str = ""
    parameters: str = ""


@dataclass(frozen=True, slots=True)
class ForceFunction:
    """`tool_choice` naming one function."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | ForceFunction


@dataclass(frozen=True, slots=True)
class Truncation:
    """What happens when the conversation outgrows the model. `retention_ratio` 1.0 is `auto`; `post_instructions`
    in tokens."""

    mode: Literal["auto", "disabled", "retention_ratio"] = "auto"
    retention_ratio: float = 1.0
    post_instructions: int | None = None


Modality = Literal["audio", "text"]
SessionKind = Literal["realtime", "transcription"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The client's view of its session. `max_output_tokens` None is "inf"; `tracing` and `prompt` are kept JSON
    text, echoed."""

    kind: SessionKind = "realtime"
    model: str = ""
    instructions: str = ""
    modality: Modality = "audio"
    voice: str = ""
    speed: float = 1.0
    input_format: AudioFormat = AudioFormat.PCM16
    output_format: AudioFormat = AudioFormat.PCM16
    turn_detection: TurnDetection | None = ServerVad()
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    truncation: Truncation = Truncation()
    reasoning_effort: str = ""
    tracing: str | None = None
    include: tuple[str, ...] = ()
    version: int = 0


class SettingsPatch(TypedDict, total=False):
    """The fields of `Settings` that a `session.update` carries; absent means unchanged."""

    kind: SessionKind
    model: str
    instructions: str
    modality: Modality
    voice: str
    speed: float
    input_format: AudioFormat
    output_format: AudioFormat
    turn_detection: TurnDetection | None
    transcription: Transcription | None
    noise_reduction: NoiseReduction | None
    tools: tuple[FunctionTool, ...]
    tool_choice: ToolChoice
    parallel_tool_calls: bool | None
    max_output_tokens: int | None
    truncation: Truncation
    reasoning_effort: str
    tracing: str | None
    include: tuple[str, ...]


def merged(settings: Settings, patch: SettingsPatch) -> Settings:
    """The settings with the patch applied and the next version number."""
    new = replace(settings, **patch, version=settings.version + 1)
    reduction, before = new.noise_reduction, settings.noise_reduction
    if reduction is not None and reduction.strength is None:
        kept = before.strength if before is not None else 1.0
        new = replace(new, noise_reduction=replace(reduction, strength=kept))
    return new


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the session's pipeline can do; known at construction.

    `voices` are the accepted names (empty: any); `models` the names this pipeline answers to, a trailing `*`
    matching any ending (empty: any).
    """

    voices: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    images: bool = False
    logprobs: bool = False
    noise_reduction: bool = False
    reasoning: bool = True


@dataclass(frozen=True, slots=True)
class Conduct:
    """How the server's owner wants sessions to behave; the client cannot change it.

    `speculate_after_ms` is the pause after which a reply may be started on a guess; `context_tokens` what the
    model's input holds; `responses_per_minute` the session's rate limit (None: none).
    """

    speculation: bool = False
    speculate_after_ms: int = 200
    barge_in: Literal["immediate", "confirmed"] = "immediate"
    resume_false_stops: bool = True
    context_tokens: int = 32_000
    responses_per_minute: int | None = 600
    session_ms: int = 60 * 60 * 1000
