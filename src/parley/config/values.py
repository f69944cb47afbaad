"""The effective configuration, as values that the rest of the program reads.

Laws: frozen; complete (every default filled in) and valid; a secret is in no `repr` and in no `Setting`.
Does not know: files, environments and flags (`loading.py`), nor how an engine is made (`engines.registry`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from parley.config.errors import UnknownModel
from parley.config.exposure import exposed
from parley.engines.ports import EngineSpec, Stage
from parley.models.store import data_folder

BargeIn = Literal["immediate", "confirmed"]
LagName = Literal["low", "normal", "careful"]
SameLanguageName = Literal["silent", "pass", "repeat"]

HOSTED_MODEL_PREFIXES = (
    "gpt-realtime",
    "gpt-4o-realtime",
    "gpt-4o-mini-realtime",
    "gpt-audio",
    "gpt-4o-audio",
    "gpt-4o-mini-audio",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-transcribe",
    "gpt-live-transcribe",
    "whisper-1",
)
"""Model names that OpenAI's clients write by themselves, with their dated variants; the default pipeline serves them."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How the server listens, who may use it, and its limits.

    `api_keys` are those of the settings, `keys_file` holds further ones (None: no place for it); without any, no key is required.
    `secret_key` encrypts client secrets ("": a key made at start), `client_secret_single_use` lets each open one session only. `beta`
    serves the beta dialect too, `text_api` the text APIs of the pipelines' language models. `tls_cert` and `tls_key` are PEM files
    (None: plain HTTP). `allowed_hosts` are names, beside this machine's own, that requests may be sent to. `public_url` is the address
    that clients use, as browsers write an origin ("": that of `host` and `port`). `allowed_mcp_servers` are the addresses (or the
    beginnings of some, or "*") of MCP servers that clients may have the server call. `trace_dir` None means that no trace is written.
    A new session is refused while the event loop runs more than `admission_lag_ms` late.
    """

    host: str
    port: int
    api_keys: tuple[str, ...] = field(repr=False)
    keys_file: Path | None
    secret_key: str = field(repr=False)
    client_secret_single_use: bool
    beta: bool
    text_api: bool
    tls_cert: Path | None
    tls_key: Path | None
    allowed_origins: tuple[str, ...]
    allowed_hosts: tuple[str, ...]
    public_url: str
    allowed_mcp_servers: tuple[str, ...]
    insecure: bool
    max_sessions: int
    session_minutes: float
    messages_per_second: int
    responses_per_minute: int
    max_message_bytes: int
    admission_lag_ms: float
    shutdown_grace_s: float
    trace_dir: Path | None

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach it, by `host` or through a proxy at `public_url`."""
        return exposed(self.host, self.public_url)


@dataclass(frozen=True, slots=True)
class ModelsConfig:
    """How models come onto this machine: whether those that a pipeline names are fetched when they are first used, and the URL of a folder
    that is asked for them first ("": none)."""

    pull: Literal["ask", "always", "never"] = "ask"
    mirror: str = ""


@dataclass(frozen=True, slots=True)
class OwnVoicesConfig:
    """The voices that users bring: how many are kept."""

    limit: int = 20


@dataclass(frozen=True, slots=True)
class SpeechCacheConfig:
    """Whether speech is kept in `folder`, in at most `max_mib`. `varying` are the names of engines whose speech is kept although it differs
    each time."""

    enabled: bool = False
    folder: Path = field(default_factory=lambda: data_folder() / "speech-cache")
    max_mib: int = 256
    varying: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResponseCacheConfig:
    """Whether answers of language models are kept in memory, for how long and how many at most."""

    enabled: bool = False
    lifetime_s: float = 600.0
    max_replies: int = 256


@dataclass(frozen=True, slots=True)
class TelephonyConfig:
    """Calls by telephone. `public_url` is how the outside reaches this server ("": as the request says), `twilio_auth_token` checks
    Twilio's signatures ("": they are not), `audiosocket` is where Asterisk connects to (None: nowhere) with one of `audiosocket_uuids`
    (empty: any).

    `key_name` is the key whose calls they are that bring none, `pipeline` ("": the default one) answers them where they name none. Keys
    that are pressed are told the model as `text` once `keypad_pause_ms` have passed without another, or are only an `event`.
    """

    public_url: str = ""
    twilio_auth_token: str = field(default="", repr=False)
    audiosocket: tuple[str, int] | None = None
    audiosocket_uuids: tuple[str, ...] = ()
    key_name: str = ""
    pipeline: str = ""
    speaks_first: Literal["agent", "caller"] = "agent"
    keypad: Literal["text", "event"] = "text"
    keypad_pause_ms: int = 2000


@dataclass(frozen=True, slots=True)
class WebRtcConfig:
    """Whether WebRTC calls are taken, and how their media reaches the server.

    `ice_servers` are URLs, at most one of a STUN and one of a TURN server, which takes `ice_username` and `ice_credential`. `ports` are the
    first and the last UDP port that a call may have (None: any). `announced_address` stands in answers in place of this machine's own ("":
    its own).
    """

    enabled: bool = True
    ice_servers: tuple[str, ...] = ()
    ice_username: str = ""
    ice_credential: str = field(default="", repr=False)
    ports: tuple[int, int] | None = None
    announced_address: str = ""


@dataclass(frozen=True, slots=True)
class InterpretConfig:
    """What `parley interpret` does; "" is the default device, none, or not set.

    `mine` and `theirs` are the languages of the two people. `to_call` and `from_call` are the cables that the call has as its microphone
    and its loudspeaker. `url` "" means a server of its own, with the pipelines `pipeline_forward` and `pipeline_reverse` ("": the default
    one). `voice_forward` and `voice_reverse` speak the translations of the user and of the other party; `voice_conversion` is the converter
    of the user's. `original_forward` and `original_reverse` are how loud the original is under its translation (None: not heard).
    `price_per_minute` and `cost_cap` are in dollars.
    """

    mine: str = ""
    theirs: str = ""
    mode: Literal["both", "forward", "listen", "captions"] = "both"
    microphone: str = ""
    headphones: str = ""
    to_call: str = ""
    from_call: str = ""
    url: str = ""
    model: str = ""
    api_key_env: str = ""
    route: Literal["translation", "conversation"] = "translation"
    beta: bool = False
    prompt: Path | None = None
    pipeline_forward: str = ""
    pipeline_reverse: str = ""
    voice_forward: str = ""
    voice_reverse: str = ""
    voice_conversion: str = ""
    original_forward: float | None = None
    original_reverse: float | None = None
    push_to_talk: bool = False
    consent: Literal["shown", "spoken", "off"] = "shown"
    record: Path | None = None
    price_per_minute: float = 0.0
    cost_cap: float | None = None


@dataclass(frozen=True, slots=True)
class FillersConfig:
    """What is said while a reply is awaited in silence for `after_ms`, again after each `interval_ms`, at most `most` times. `languages`
    are pairs of a BCP-47 tag and its phrases; `phrases` are said where the session's language has none of its own."""

    phrases: tuple[str, ...] = ()
    languages: tuple[tuple[str, tuple[str, ...]], ...] = ()
    after_ms: int = 1_500
    interval_ms: int = 5_000
    most: int = 2


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """One named set of engines with its defaults. A stage without an engine is not in `engines`; `language` "" lets the engines
    find out."""

    name: str
    engines: Mapping[Stage[Any], EngineSpec]
    voice: str
    instructions: str
    language: str
    speculation: bool
    speculate_after_ms: int
    barge_in: BargeIn
    context_tokens: int
    compaction: bool
    lag: LagName = "normal"
    original_volume: float | None = None
    same_language: SameLanguageName = "silent"
    terms: tuple[tuple[str, str], ...] = ()
    prewarm: tuple[str, ...] = ()
    """Phrases that are spoken into the speech cache at start."""
    fillers: FillersConfig = FillersConfig()


@dataclass(frozen=True, slots=True)
class Setting:
    """One effective setting: `source` is `default`, `FILE:LINE`, `env NAME` or `flag --NAME`; secrets are masked in `value`."""

    key: str
    value: object
    source: str


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. `pipelines` holds what is served (the file's, the chosen one, and `bench`).

    `warnings` are sentences for the person who starts the server. Next: `server.app.serve(config)`.
    """

    server: ServerConfig
    pipelines: Mapping[str, PipelineConfig]
    default_pipeline: str
    path: Path | None
    settings: tuple[Setting, ...]
    warnings: tuple[str, ...] = ()
    models: ModelsConfig = ModelsConfig()
    own_voices: OwnVoicesConfig = OwnVoicesConfig()
    interpret: InterpretConfig = InterpretConfig()
    speech_cache: SpeechCacheConfig = field(default_factory=SpeechCacheConfig)
    response_cache: ResponseCacheConfig = ResponseCacheConfig()
    telephony: TelephonyConfig = TelephonyConfig()
    webrtc: WebRtcConfig = WebRtcConfig()

    def pipeline_for(self, model: str) -> PipelineConfig:
        """The pipeline that serves `model`: one of that name, or the default for "" and for OpenAI's own model names.

        Raises `UnknownModel`.
        """
        if model in self.pipelines:
            return self.pipelines[model]
        if not model or model.startswith(HOSTED_MODEL_PREFIXES):
            return self.pipelines[self.default_pipeline]
        raise UnknownModel(model, self.pipelines)

    def explain(self) -> list[Setting]:
        """Every effective setting and where its value comes from, in the order of the documentation."""
        return list(self.settings)
