"""The ways in which Realtime servers differ, as data.

Laws: what a server has no setting for is not sent; the names of server events are understood in every dialect's form, so that a dialect
says only what is sent. Sources: OpenAI's Realtime API, GA and beta; vLLM's Realtime API and vLLM-Omni's additions to it (RFCs and issues
of vllm-project/vllm-omni, August to October 2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

RATE: Final = 24_000
"""Of the audio that servers send, in Hz."""

_OPENAI_VOICES: Final = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
"""Those of the Realtime API, fewer than those of the speech endpoint."""

_PCM: Final = {"type": "audio/pcm", "rate": RATE}

NEVER_ANSWERS: Final[Mapping[str, object]] = {
    "type": "server_vad",
    "create_response": False,
    "interrupt_response": False,
}
"""Turn detection of a server that cannot switch its own off: it never answers by itself."""


@dataclass(frozen=True, slots=True)
class UpstreamDialect:
    """What one family of servers takes.

    `session` and `reply` say where our settings stand in the objects of `session.update` and `response.create` (dotted paths); a
    setting that is not named cannot be made there. `constant` is sent with the session each time, `first` the first time only.
    `turns_off` are the values of turn detection that keep the server from answering by itself, in the order in which they are tried; ()
    where it has none. `items`: the server has a conversation of items that we write and cut; without, each turn is a session of its
    own, whose instructions hold what was said before. `asks`: an answer is asked for with `response.create`; else the last commit does.
    `commits` are what is sent before the audio and behind it. `ends` are the events that end an answer: one of the sets, when all of it
    has come. `rate` is that of the user's audio in Hz, `voices` are the names it is known to have.
    """

    name: str
    about: str
    session: Mapping[str, str]
    reply: Mapping[str, str] = field(default_factory=dict)
    constant: Mapping[str, object] = field(default_factory=dict)
    first: Mapping[str, object] = field(default_factory=dict)
    names_model: bool = False
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    spoken: tuple[str, ...] = ("audio",)
    assistant_part: str = "output_text"
    turns_off: tuple[object, ...] = (None, NEVER_ANSWERS)
    items: bool = True
    asks: bool = True
    commits: tuple[tuple[Mapping[str, object], ...], tuple[Mapping[str, object], ...]] = ((), ({},))
    ends: tuple[frozenset[str], ...] = (frozenset({"response.done"}),)
    rate: int = RATE
    voices: tuple[str, ...] = ()
    custom_voices: bool = False
    """Whether a voice may be named by its id, `{"id": ...}`."""

    refused: str = ""
    """Why the engine cannot use such a server."""

    def session_of(self, settings: Mapping[str, object], *, first: bool) -> dict[str, Any]:
        """The session object of these settings, of those that the server has."""
        return _placed(self.session, settings, {**self.constant, **(self.first if first else {})})

    def reply_of(self, settings: Mapping[str, object]) -> dict[str, Any]:
        """The response object of these settings, of those that the server has."""
        return _placed(self.reply, settings, {})


def _placed(paths: Mapping[str, str], settings: Mapping[str, object], constant: Mapping[str, object]) -> dict[str, Any]:
    placed: dict[str, Any] = {}
    values = {**constant, **{paths[name]: value for name, value in settings.items() if name in paths}}
    for path, value in values.items():
        table, names = placed, path.split(".")
        for name in names[:-1]:
            table = table.setdefault(name, {})
        table[names[-1]] = value
    return placed


def value_at(session: object, path: str) -> object:
    """What stands at a dotted path of a session object; None where there is nothing."""
    for name in path.split("."):
        session = session.get(name) if isinstance(session, dict) else None
    return session


_GA_SESSION: Final = {
    "instructions": "instructions",
    "modalities": "output_modalities",
    "voice": "audio.output.voice",
    "speed": "audio.output.speed",
    "turn_detection": "audio.input.turn_detection",
    "tools": "tools",
}
_GA_REPLY: Final = {"modalities": "output_modalities", "tool_choice": "tool_choice", "max_tokens": "max_output_tokens"}
_GA_CONSTANT: Final = {"type": "realtime"}
_GA_FIRST: Final = {"audio.input.format": _PCM, "audio.output.format": _PCM}

OPENAI: Final = UpstreamDialect(
    "openai",
    "OpenAI's Realtime API (GA), and servers that speak it",
    session=_GA_SESSION,
    reply=_GA_REPLY,
    constant=_GA_CONSTANT,
    first=_GA_FIRST,
    voices=_OPENAI_VOICES,
    custom_voices=True,
)
PARLEY: Final = UpstreamDialect(
    "parley",
    "Another Parley",
    session=_GA_SESSION,
    reply=_GA_REPLY,
    constant=_GA_CONSTANT,
    first=_GA_FIRST,
    turns_off=(None,),
    custom_voices=True,
)
BETA: Final = UpstreamDialect(
    "beta",
    "The form before GA: older OpenAI-compatible servers, SGLang-Omni",
    session={
        "instructions": "instructions",
        "modalities": "modalities",
        "voice": "voice",
        "speed": "speed",
        "turn_detection": "turn_detection",
        "tools": "tools",
    },
    reply={"modalities": "modalities", "tool_choice": "tool_choice", "max_tokens": "max_response_output_tokens"},
    first={"input_audio_format": "pcm16", "output_audio_format": "pcm16"},
    headers={"OpenAI-Beta": "realtime=v1"},
    spoken=("audio", "text"),
    assistant_part="text",
)
VLLM_OMNI: Final = UpstreamDialect(
    "vllm-omni",
    "Qwen3-Omni behind vLLM-Omni: a session for each turn, audio of 16 kHz, no tools",
    session={"instructions": "instructions", "modalities": "modalities", "voice": "voice"},
    names_model=True,
    spoken=("text", "audio"),
    turns_off=(),
    items=False,
    asks=False,
    commits=(({},), ({"final": True},)),
    ends=(frozenset({"response.done"}), frozenset({"transcription.done", "response.audio.done"})),
    rate=16_000,
)
MINICPM_O: Final = UpstreamDialect(
    "minicpm-o",
    "MiniCPM-o behind vLLM-Omni (duplex)",
    session={},
    refused="the model itself decides when to answer, and turn detection cannot be switched off there",
)

DIALECTS: Final[Mapping[str, UpstreamDialect]] = {
    dialect.name: dialect for dialect in (OPENAI, PARLEY, BETA, VLLM_OMNI, MINICPM_O)
}
