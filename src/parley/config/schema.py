"""The shape of a configuration: every key, its type, its range and its default, as pydantic-settings models.

Laws: an unknown key is an error; every number has a range; defaults live here and nowhere else.
Does not know: where a value came from (`layers.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from types import GenericAlias
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    create_model,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from parley.config.texts import (
    CallUuids,
    EngineName,
    EngineNames,
    Host,
    HostAddress,
    HostNames,
    Keys,
    Language,
    LanguageTag,
    McpServers,
    OptionalEngineName,
    Options,
    Origins,
    Phrases,
    PublicUrl,
    SecretKey,
    Switch,
    Terms,
    Token,
    Volume,
    WebAddress,
    joined,
)
from parley.config.webrtc_schema import WebRtcSection
from parley.engines.ports import Stage, aliases, stages

DEFAULT_INSTRUCTIONS = (
    "You are a helpful voice assistant. Everything you write is spoken aloud: answer in a few short sentences of plain "
    "words, without markdown, lists or emoji, in the language the user speaks."
)

MAX_MESSAGE_BYTES = 24 * 1024 * 1024
"""One append may carry 15 MiB of audio, 20 MiB in base64; the rest is for the JSON around it."""


class ServerSection(BaseModel):
    """`[server]`"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    host: Host = "127.0.0.1"
    # Not 8000 or 8080, where `llm = "auto"` looks for another program's server.
    port: int = Field(default=8765, ge=0, le=65535)
    api_keys: Keys = ()
    api_key_env: str = ""
    keys_file: str = ""
    # What client secrets are encrypted with; `openssl rand -hex 32` makes one.
    secret_key: SecretKey = ""
    client_secret_single_use: bool = False
    beta: bool = True
    # Off: whoever has a key with the scope `text` spends the tokens of the language model's owner.
    text_api: bool = False
    tls_cert: str = ""
    tls_key: str = ""
    allowed_origins: Origins = ()
    allowed_hosts: HostNames = ()
    public_url: PublicUrl = ""
    allowed_mcp_servers: McpServers | None = None
    insecure: bool = False
    max_sessions: int = Field(default=400, ge=1, le=100_000)
    session_minutes: float = Field(default=60, gt=0, le=24 * 60)
    # Speech is fifty frames a second; the rest is for a client that pushes a recording, or a stalled link that catches up.
    messages_per_second: int = Field(default=1000, ge=1)
    responses_per_minute: int = Field(default=300, ge=1)
    max_message_bytes: int = Field(default=MAX_MESSAGE_BYTES, ge=64 * 1024, le=256 * 1024 * 1024)
    admission_lag_ms: float = Field(default=30, gt=0, le=10_000)
    shutdown_grace_s: float = Field(default=10, ge=0, le=600)
    trace_dir: str = ""


class FillersSection(BaseModel):
    """`[pipelines.NAME.fillers]`"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    phrases: Phrases = ()
    # By language, where they differ from `phrases`.
    languages: dict[LanguageTag, Phrases] = Field(default={}, max_length=100)
    # A reply of a small local model begins within a second; after one and a half, people ask whether they were heard.
    after_ms: int = Field(default=1500, ge=200, le=60_000)
    interval_ms: int = Field(default=5000, ge=500, le=600_000)
    most: int = Field(default=2, ge=1, le=20)


class PipelineSection(BaseModel):
    """`[pipelines.NAME]`, beside the keys of the stages (see `pipeline_section`)."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    voice: str = "alloy"
    instructions: str = DEFAULT_INSTRUCTIONS
    language: Language = ""
    # Recognition and generation then overlap with the pause (300 ms sooner with the built-in engines); a lost attempt costs a request.
    speculation: Switch = "on"
    speculate_after_ms: int = Field(default=96, ge=0, le=10_000)
    barge_in: Literal["immediate", "confirmed"] = "immediate"
    context_tokens: int = Field(default=8192, ge=256, le=10_000_000)
    compaction: Switch = "off"
    # Translation sessions.
    lag: Literal["low", "normal", "careful"] = "normal"
    original_volume: float | None = Field(default=None, ge=0, le=1)
    same_language: Literal["silent", "pass", "repeat"] = "silent"
    terms: Terms = Field(default={}, max_length=200)
    # Phrases that are spoken into the speech cache at start.
    prewarm: Phrases = ()
    fillers: FillersSection = FillersSection()

    @field_validator("same_language")
    @classmethod
    def _heard_once(cls, value: str, known: ValidationInfo) -> str:
        if value == "pass" and known.data.get("original_volume") is not None:
            raise ValueError("with original_volume the speaker is heard already; use silent or repeat")
        return value


def pipeline_section(stages: Iterable[Stage[Any]]) -> type[PipelineSection]:
    """The whole section: for each stage `NAME` (`engine:model`, or a list of them where the stage has chains) and `NAME_options`.

    A stage without a default may be left empty.
    """
    fields: dict[str, Any] = {}
    for stage in stages:
        kind: Any = EngineName if stage.default else OptionalEngineName
        fields[stage.name] = (Annotated[kind, BeforeValidator(joined)] if stage.chains else kind, stage.default)
        fields[f"{stage.name}_options"] = (Options, {})
    return create_model("PipelineSection", __base__=PipelineSection, **fields)


PIPELINE_SECTION = pipeline_section(stages())


class ModelsSection(BaseModel):
    """`[models]`"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    pull: Literal["ask", "always", "never"] = "ask"
    mirror: WebAddress = ""


class OwnVoicesSection(BaseModel):
    """`[own_voices]`: voices that users bring."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    limit: int = Field(default=20, ge=0, le=1000)


class SpeechCacheSection(BaseModel):
    """`[speech_cache]`"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    # The built-in voices are faster than the ear, and what people were told would lie on the disk unasked.
    enabled: Switch = "off"
    folder: str = ""
    max_mib: int = Field(default=256, ge=1, le=1_000_000)
    # Engines that are kept although their speech differs each time.
    varying: EngineNames = ()


class ResponseCacheSection(BaseModel):
    """`[response_cache]`"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    enabled: Switch = "off"
    lifetime_s: float = Field(default=600, gt=0, le=86_400)
    max_replies: int = Field(default=256, ge=1, le=100_000)


class TelephonySection(BaseModel):
    """`[telephony]`"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    # How the outside reaches this server, where a proxy hides it: what Twilio signs begins with it.
    public_url: HostAddress = ""
    twilio_auth_token: Token = ""
    # ADDRESS:PORT of the listener for Asterisk; "": none.
    audiosocket: str = ""
    audiosocket_uuids: CallUuids = ()
    # Whose calls they are that come without a key of their own.
    key_name: str = ""
    pipeline: str = ""
    # Who dials expects to be greeted.
    speaks_first: Literal["agent", "caller"] = "agent"
    keypad: Literal["text", "event"] = "text"
    # People look a number up while they type it.
    keypad_pause_ms: int = Field(default=2000, ge=200, le=30_000)


class InterpretSection(BaseModel):
    """`[interpret]`: what `parley interpret` does."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    mine: Language = ""
    theirs: Language = ""
    mode: Literal["both", "forward", "listen", "captions"] = "both"
    microphone: str = ""
    headphones: str = ""
    # The cables: the call's microphone, and the call's loudspeaker.
    to_call: str = ""
    from_call: str = ""
    # "": a server of its own.
    url: str = ""
    model: str = ""
    api_key_env: str = ""
    route: Literal["translation", "conversation"] = "translation"
    beta: Switch = "off"
    prompt: str = ""
    # Pipelines of the own server, instead of the default one.
    pipeline_forward: str = ""
    pipeline_reverse: str = ""
    voice_forward: str = ""
    voice_reverse: str = ""
    # The converter that the call hears you through, such as vocoder:NAME.
    voice_conversion: str = ""
    # How loud the original is under its translation; without one, it is not heard.
    original_forward: Volume | None = None
    original_reverse: Volume | None = None
    push_to_talk: Switch = "off"
    consent: Literal["shown", "spoken", "off"] = "shown"
    record: str = ""
    # In dollars. 0.034 is what OpenAI's translation sessions cost in November 2026.
    price_per_minute: float = Field(default=0, ge=0, le=1000)
    cost_cap: float | None = Field(default=None, gt=0)


class ConfigSchema(BaseSettings):
    """The whole file. Its sources are the layers of `layers.py`, so nothing is read from the process by itself."""

    model_config = SettingsConfigDict(extra="forbid", hide_input_in_errors=True)

    default_pipeline: str = "default"
    server: ServerSection = ServerSection()
    models: ModelsSection = ModelsSection()
    own_voices: OwnVoicesSection = OwnVoicesSection()
    speech_cache: SpeechCacheSection = SpeechCacheSection()
    response_cache: ResponseCacheSection = ResponseCacheSection()
    telephony: TelephonySection = TelephonySection()
    webrtc: WebRtcSection = WebRtcSection()
    interpret: InterpretSection = InterpretSection()
    pipelines: dict[str, PipelineSection] = {}


_TABLES: dict[tuple[str, ...], type[BaseModel]] = {
    (): ConfigSchema,
    ("server",): ServerSection,
    ("models",): ModelsSection,
    ("own_voices",): OwnVoicesSection,
    ("speech_cache",): SpeechCacheSection,
    ("response_cache",): ResponseCacheSection,
    ("telephony",): TelephonySection,
    ("webrtc",): WebRtcSection,
    ("interpret",): InterpretSection,
}


def known_keys(table: tuple[str, ...]) -> list[str]:
    """The keys of a table, () for the whole file."""
    match table:
        case ("pipelines", _, "fillers"):
            return list(FillersSection.model_fields)
        case _:
            section = _TABLES.get(table)
    return [*PIPELINE_SECTION.model_fields, *aliases()] if section is None else list(section.model_fields)


S = TypeVar("S", bound=ConfigSchema)


def with_stages(settings: type[S]) -> type[S]:
    """The same settings, whose pipelines have the keys of every stage."""
    fields: dict[str, Any] = {"pipelines": (GenericAlias(dict, (str, PIPELINE_SECTION)), {})}
    return create_model("ConfigSchema", __base__=settings, **fields)


BUILT_IN_PIPELINES: dict[str, dict[str, Any]] = {
    "default": {},
    "bench": {"stt": "bench", "llm": "bench", "tts": "bench", "mt": "bench", "speculation": "off"},
}
"""Pipelines that exist without a file; a table of the same name in the file changes single fields of them."""
