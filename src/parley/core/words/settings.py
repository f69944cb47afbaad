"""The settings of a session: frozen values, merged whole, never edited.

Laws: a `Settings` is replaced, never changed, and its `version` grows with each replacement; range checks of single
fields belong to the wire's schema, checks that need the session's state to the session.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal, TypedDict

from parley.core.words.filler_phrases import Fillers
from parley.core.words.interpreting import Interpreting
from parley.core.words.limits import FOLLOW_UP_WAIT_NS


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
    """How to transcribe the user's speech. `languages` are those that may be spoken (ISO 639-1)."""

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

    def without_credentials(self) -> FunctionTool:
        """As it may be shown: it has none."""
        return self


@dataclass(frozen=True, slots=True)
class ToolFilter:
    """Some of an MCP server's tools: those of these names (None: of any), and only those that change nothing where
    `read_only` is True, only those that may where it is False."""

    names: tuple[str, ...] | None = None
    read_only: bool | None = None

    def passes(self, name: str, read_only: bool) -> bool:
        named = self.names is None or name in self.names
        return named and (self.read_only is None or self.read_only is read_only)


@dataclass(frozen=True, slots=True)
class Approval:
    """Which of an MCP server's tools the user must approve, call by call: those in `always`, and of the others those
    not in `never`; where only `always` is given, the others run unasked. None is a filter that was not given."""

    always: ToolFilter | None = None
    never: ToolFilter | None = None

    def needed(self, name: str, read_only: bool) -> bool:
        if self.always is not None and self.always.passes(name, read_only):
            return True
        if self.never is not None:
            return not self.never.passes(name, read_only)
        return self.always is None


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Credentials for an MCP server: a bearer token and further HTTP headers. Never shown, logged or traced."""

    authorization: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return "Credentials(***)"


@dataclass(frozen=True, slots=True)
class McpServer:
    """A Model Context Protocol server whose tools we call ourselves.

    `url` "" stands, in a response's own tools, for the session's server of that label. `allowed` None: all its tools;
    `approval` None: the user approves every call.
    """

    label: str
    url: str = ""
    description: str = ""
    credentials: Credentials = Credentials()
    allowed: ToolFilter | None = None
    approval: Approval | None = None

    def allows(self, name: str, read_only: bool) -> bool:
        return self.allowed is None or self.allowed.passes(name, read_only)

    def without_credentials(self) -> McpServer:
        """As it may be shown."""
        return replace(self, credentials=Credentials())

    def asks(self, name: str, read_only: bool) -> bool:
        """Whether this tool is called only when the user has approved it."""
        return self.approval is None or self.approval.needed(name, read_only)


ToolSource = FunctionTool | McpServer


@dataclass(frozen=True, slots=True)
class ForceFunction:
    """`tool_choice` naming one function."""

    name: str


@dataclass(frozen=True, slots=True)
class ForceMcp:
    """`tool_choice` naming an MCP server, and one of its tools ("": any of them)."""

    label: str
    name: str = ""


ModelToolChoice = Literal["auto", "none", "required"] | ForceFunction
"""The choices of tools that a model understands."""

ToolChoice = ModelToolChoice | ForceMcp


@dataclass(frozen=True, slots=True)
class Truncation:
    """What happens when the conversation outgrows the model. `retention_ratio` 1.0 is `auto`; `post_instructions`
    in tokens."""

    mode: Literal["auto", "disabled", "retention_ratio"] = "auto"
    retention_ratio: float = 1.0
    post_instructions: int | None = None


Modality = Literal["audio", "text"]
SessionKind = Literal["realtime", "transcription", "translation"]


Included = Literal["logprobs", "turn_metrics", "clauses", "unstable_words"]
"""What a client may ask for beside the usual events: the log probabilities of transcripts, where the time of each turn went, a record
of each translated clause, and the words that the recogniser may still change."""

LOGPROBS: Included = "logprobs"
TURN_METRICS: Included = "turn_metrics"
CLAUSES: Included = "clauses"
UNSTABLE_WORDS: Included = "unstable_words"


@dataclass(frozen=True, slots=True)
class Settings:
    """The client's view of its session. `max_output_tokens` None is "inf", `temperature` None is the model's own; `tracing` and
    `prompt` are kept JSON text, echoed. `target_language` (BCP 47) is what a translation session speaks."""

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
    tools: tuple[ToolSource, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    truncation: Truncation = Truncation()
    reasoning_effort: str = ""
    temperature: float | None = None
    tracing: str | None = None
    include: tuple[Included, ...] = ()
    target_language: str = ""
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
    tools: tuple[ToolSource, ...]
    tool_choice: ToolChoice
    parallel_tool_calls: bool | None
    max_output_tokens: int | None
    truncation: Truncation
    reasoning_effort: str
    temperature: float | None
    tracing: str | None
    include: tuple[Included, ...]
    target_language: str


def merged(settings: Settings, patch: SettingsPatch) -> Settings:
    """The settings with the patch applied and the next version number."""
    new = replace(settings, **patch, version=settings.version + 1)
    reduction, before = new.noise_reduction, settings.noise_reduction
    if reduction is not None and reduction.strength is None:
        kept = before.strength if before is not None else 1.0
        new = replace(new, noise_reduction=replace(reduction, strength=kept))
    return new


def rebased(settings: Settings, old: Settings, new: Settings) -> Settings:
    """The settings of a session that changes to another pipeline: what is still the default of its `old` pipeline becomes
    the default of the `new` one."""
    transcription = settings.transcription
    if transcription == old.transcription:
        transcription = new.transcription
    elif transcription is not None:
        transcription = replace(transcription, model="")  # the recogniser that it named belongs to the old pipeline
    return replace(
        settings,
        instructions=new.instructions if settings.instructions == old.instructions else settings.instructions,
        voice=new.voice if settings.voice == old.voice else settings.voice,
        transcription=transcription,
    )


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the session's pipeline can do.

    `images` and `audio`: whether its language model sees and hears; `conversational`: whether its synthesizer uses the conversation as it
    was heard. `voices` are the accepted names (empty: any), `mixable` those of
    them that may be mixed (`parley.text.voice_mix`), `voice_ids` ids that are accepted and not listed, `unspoken` voices that are known and
    cannot be had here, each with the reason; `models` the names this pipeline answers to, a trailing `*` matching any ending
    (empty: any); `recognizer` is its speech recogniser's name ("": it is called as the client calls it), `recognizers` the names that
    stand for it, as in `models`, `prompts` and `keywords` whether it uses them, and `languages` what it understands (primary tags;
    empty: any); `tool_server_urls` the MCP servers that may be named, each by its URL or the beginning of one, "*" for any; `targets`
    the languages into which its translator translates (primary tags; empty: it has no translator).
    """

    voices: tuple[str, ...] = ()
    mixable: tuple[str, ...] = ()
    voice_ids: tuple[str, ...] = ()
    unspoken: tuple[tuple[str, str], ...] = ()
    models: tuple[str, ...] = ()
    images: bool = False
    audio: bool = False
    conversational: bool = False
    logprobs: bool = False
    noise_reduction: bool = False
    reasoning: bool = True
    tool_server_urls: tuple[str, ...] = ()
    recognizer: str = ""
    recognizers: tuple[str, ...] = ()
    prompts: bool = True
    keywords: bool = True
    languages: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PinnedSettings:
    """Settings that the session's owner has fixed; None leaves a field to the client.

    A client may repeat a fixed value, name some of the fixed `tools` only, and set `max_output_tokens` lower. With `model`, the
    session stays with its pipeline; with `instructions`, no item of the system may add to them.
    """

    kind: SessionKind | None = None
    model: str | None = None
    instructions: str | None = None
    tools: tuple[ToolSource, ...] | None = None
    max_output_tokens: int | None = None

    def applied(self, settings: Settings) -> Settings:
        """`settings` with the fixed values in place of its own. The model is not among them: a pipeline answers to several names."""
        return replace(
            settings,
            instructions=settings.instructions if self.instructions is None else self.instructions,
            tools=settings.tools if self.tools is None else self.tools,
            max_output_tokens=settings.max_output_tokens if self.max_output_tokens is None else self.max_output_tokens,
        )

    def follow(self, settings: Settings, patch: SettingsPatch) -> PinnedSettings:
        """The same fields, those in `patch` fixed at their values in `settings`: the owner has changed them."""
        names = ("model", "instructions", "tools", "max_output_tokens")
        moved = {name: getattr(settings, name) for name in names if name in patch and getattr(self, name) is not None}
        return replace(self, **moved)


@dataclass(frozen=True, slots=True)
class OwnerSettings:
    """How the server's owner wants sessions to behave; the client cannot change it.

    `speculate_after_ms` is the pause after which a reply may be started speculatively; `context_tokens` what the
    model's input holds; with `compaction` the model sums up the older items before they exceed it; `responses_per_minute` the session's
    rate limit (None: none). `language` (BCP 47) is what is spoken where the client names none and none is heard; "" is unknown.
    `follow_up_wait_ns` is how long a client's own `response.create` is awaited once a tool has answered. `interpreting` is for translation
    sessions. `fillers` are said while a reply is awaited. `tool_server_urls` are the MCP servers that the owner may name itself, where it
    asks through a connection of its own (see `rights`).
    """

    language: str = ""
    speculation: bool = False
    speculate_after_ms: int = 96
    barge_in: Literal["immediate", "confirmed"] = "immediate"
    resume_false_stops: bool = True
    context_tokens: int = 32_000
    compaction: bool = False
    responses_per_minute: int | None = 600
    session_ms: int = 60 * 60 * 1000
    pinned: PinnedSettings = PinnedSettings()
    follow_up_wait_ns: int = FOLLOW_UP_WAIT_NS
    interpreting: Interpreting = Interpreting()  # noqa: RUF009 - frozen
    fillers: Fillers = Fillers()  # noqa: RUF009 - frozen
    tool_server_urls: tuple[str, ...] = ()
