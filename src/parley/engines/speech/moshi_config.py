"""The options of the engine `moshi`.

Laws: pure but for the variable that `api_key_env` names; what is wrong in an option is said with its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from parley.engines.openai_api.connection import EndpointConfig
from parley.engines.openai_api.keys import check_url, read_key
from parley.engines.options import OptionReader
from parley.engines.speech.moshi_answer import AnswerLimits
from parley.engines.speech.moshi_errors import SERVICE
from parley.engines.speech.moshi_protocol import Query

PERSONAPLEX_VOICES: Final = (
    *(f"NAT{sex}{number}" for sex in "FM" for number in range(4)),
    *(f"VAR{sex}{number}" for sex in "FM" for number in range(5)),
)
"""Those that come with its weights."""

Flavour = Literal["moshi", "personaplex"]


@dataclass(frozen=True, slots=True)
class MoshiConfig:
    """How the engine asks. `voices` maps the names that sessions use to those of the server."""

    endpoint: EndpointConfig
    flavour: Flavour = "moshi"
    voices: Mapping[str, str] = field(default_factory=dict)
    voice: str = "moshi"
    languages: tuple[str, ...] = ("en",)
    prompt: str = ""
    history_chars: int = 0
    sampling: Query = ()
    limits: AnswerLimits = field(default_factory=AnswerLimits)
    max_sessions: int = 1
    keep_s: float = 60.0
    handshake_s: float = 30.0
    timeout_s: float = 10.0
    ca_file: str = ""


def read_config(model: str, options: Mapping[str, object]) -> MoshiConfig:
    """Read the options of docs/configuration.md, "Moshi and PersonaPlex". Raises `ValueError` for what is wrong in them."""
    if model not in ("", "moshi", "personaplex"):
        raise ValueError(f"speech moshi: the model must be moshi or personaplex, not {model!r}.")
    flavour: Flavour = "personaplex" if model == "personaplex" else "moshi"
    reader = OptionReader("speech moshi", options)
    key, key_setting = read_key(reader, "speech")
    voices, voice = _read_voices(reader, flavour)
    config = MoshiConfig(
        endpoint=EndpointConfig(
            base_url=_read_url(reader),
            api_key=key,
            key_setting=key_setting,
            needs_key=bool(key_setting),
            connect_timeout_s=reader.number("connect_timeout_s", 5, 0.01, 600),
            headers=reader.table("headers"),
        ),
        flavour=flavour,
        voices=voices,
        voice=voice,
        languages=reader.names("languages") or ("en",),
        prompt=reader.text("prompt") if flavour == "personaplex" else "",
        history_chars=int(reader.number("history_chars", 0, 0, 4000)) if flavour == "personaplex" else 0,
        sampling=_read_sampling(reader) if flavour == "moshi" else (),
        limits=AnswerLimits(
            within_s=reader.number("answer_within_s", 10, 0.1, 120),
            pause_s=reader.number("pause_ms", 800, 100, 10_000) / 1000,
            longest_s=reader.number("max_answer_s", 60, 1, 600),
            silence_rms=10 ** (reader.number("silence_db", -45, -90, -10) / 20),
        ),
        max_sessions=int(reader.number("max_sessions", 1, 1, 1000)),
        keep_s=reader.number("keep_s", 60, 0, 3600),
        handshake_s=reader.number("handshake_timeout_s", 30, 0.01, 600),
        timeout_s=reader.number("timeout_s", 10, 0.01, 600),
        ca_file=reader.text("ca_file"),
    )
    reader.close()
    return config


def _read_url(reader: OptionReader) -> str:
    url = check_url(reader.text("base_url") or SERVICE.example_url, "speech_options.base_url", SERVICE.example_url)
    if urlsplit(url).scheme not in ("http", "https", "ws", "wss"):
        raise ValueError(
            f"speech_options.base_url must begin with http://, https://, ws:// or wss://, such as {SERVICE.example_url}."
        )
    return url


def _read_sampling(reader: OptionReader) -> Query:
    """The parameters of Kyutai's server in Rust, those that are set."""
    bounds = {
        "text_temperature": (0, 5),
        "text_topk": (1, 10_000),
        "audio_temperature": (0, 5),
        "audio_topk": (1, 10_000),
        "seed": (0, 2**32 - 1),
    }
    found = {name: reader.optional_number(name, low, high) for name, (low, high) in bounds.items()}
    seed = found.pop("seed")
    return tuple(
        (name, f"{value:.10g}")
        for name, value in {**found, "text_seed": seed, "audio_seed": seed}.items()
        if value is not None
    )


def _read_voices(reader: OptionReader, flavour: Flavour) -> tuple[Mapping[str, str], str]:
    """The voices by name, and the usual one."""
    named = reader.table("voices")
    if not all(isinstance(file, str) and file for file in named.values()):
        raise ValueError('speech moshi: voices must map names to the server\'s voices, such as { alloy = "NATF2" }.')
    if flavour == "moshi":
        if named:
            raise ValueError(
                "speech moshi: a Moshi server has one voice, that of its weights; voices is an option of moshi:personaplex."
            )
        return {"moshi": ""}, "moshi"
    voices = {**{voice: voice for voice in PERSONAPLEX_VOICES}, **{name: str(file) for name, file in named.items()}}
    usual = reader.text("voice", "NATF2")
    if usual not in voices:
        raise ValueError(
            f"speech moshi: voice {usual!r} is none of {', '.join(voices)}; the option voices names others."
        )
    return voices, usual
