"""What goes wrong with a Moshi server, each with its name and its remedy.

Laws: pure; no key is part of a message, not even where the server repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from parley.engines.openai_api.connection import EndpointConfig
from parley.engines.openai_api.errors import Endpoint, failure_of, quoted
from parley.engines.openai_api.service import Service
from parley.engines.ports import EngineError, EngineRefused, EngineUnavailable
from parley.engines.speech.moshi_protocol import PATH

SERVICE: Final = Service(
    stage="speech",
    title="The Moshi server",
    api="Moshi protocol",
    answer="answer",
    input="turn",
    first="its answer",
    idle_option="timeout_s",
    example_url="http://localhost:8998",
    engine="moshi",
    flags=False,
)

_BUSY_STATUS: Final = frozenset({429, 503})


class MoshiLinkLost(EngineError):
    """A connection ended or fell silent in the middle of a conversation; another one may do."""


@dataclass(frozen=True, slots=True)
class MoshiFaults:
    """Makes the errors of one server. `where` is its address for messages, without what may be secret in it; `server` names it."""

    endpoint: EndpointConfig
    where: str = field(init=False)
    server: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", self._shared.shown_url)
        object.__setattr__(self, "server", f"Moshi server at {self.where}")

    @property
    def _shared(self) -> Endpoint:
        """The server, for errors that it shares with other endpoints."""
        return self.endpoint.endpoint(SERVICE, "")

    def unreachable(self, error: OSError) -> EngineError:
        """The network's fault: the name, the port, TLS, or time."""
        if isinstance(error, TimeoutError):
            within = f"The {self.server} did not take the connection within {self.endpoint.connect_timeout_s:g} s."
            remedy = "Is it running and reachable? The option connect_timeout_s sets how long it may take."
            return EngineUnavailable(within, remedy, code="connection_failed")
        failure = failure_of(error, self._shared).error
        if isinstance(error, ConnectionResetError):
            # (what a server without TLS does to a client with it, and the other way round)
            remedy = f"Does {SERVICE.base_url_flag} begin with the right one of http:// and https://? {failure.remedy}"
            return EngineUnavailable(failure.message, remedy, code=failure.code)
        return failure

    def refused_status(self, status: int) -> EngineError:
        """An HTTP status instead of a WebSocket."""
        if status in _BUSY_STATUS:
            return self.busy(f"it answered HTTP {status}")
        if status in (401, 403):
            remedy = "Set speech_options.api_key or api_key_env, or correct it."
            return EngineUnavailable(f"{self.where} wants a key (HTTP {status}).", remedy, code="invalid_api_key")
        remedy = f"Correct speech_options.base_url: the engine adds {PATH}."
        none = f"There is no Moshi server at {self.where} (HTTP {status})."
        return EngineUnavailable(none, remedy, code="invalid_base_url")

    def no_websocket(self, why: str) -> EngineError:
        what = f"What answers at {self.where} does not speak WebSocket ({why})."
        return EngineUnavailable(what, "Correct speech_options.base_url.", code="invalid_base_url")

    def busy(self, why: str) -> EngineError:
        """Others have the server: most serve one conversation at a time."""
        remedy = "Most of these servers hold one conversation at a time. Wait, start another one, or set handshake_timeout_s higher."
        return EngineError(f"The {self.server} is busy: {why}.", remedy, code="server_busy")

    def no_handshake(self, why: str) -> EngineError:
        remedy = "Is the voice one of its files, and the engine's model (moshi, personaplex) that of the server? Look into its log."
        return EngineUnavailable(
            f"The {self.server} did not begin the conversation: {why}.", remedy, code="no_handshake"
        )

    def lost(self, why: str) -> MoshiLinkLost:
        remedy = "Kyutai's server in Rust ends a conversation after six minutes. Otherwise look into that server's log."
        return MoshiLinkLost(f"The connection to the {self.server} was lost: {why}.", remedy, code="connection_lost")

    def stalled(self, seconds: float) -> MoshiLinkLost:
        remedy = "Is it overloaded? The option timeout_s sets how long it may pause."
        return MoshiLinkLost(
            f"The {self.server} sent nothing for {seconds:g} s while it was given audio.", remedy, code="timeout"
        )

    def reported(self, said: str) -> EngineError:
        """An error that the server sends."""
        words = quoted(" ".join(said.split()), self._shared).rstrip(".")
        reports = f"The {self.server} reports an error{': ' if words else ''}{words}."
        return EngineError(reports, "Look into that server's log.", code="server_error")

    def invalid(self, what: str) -> EngineError:
        """What it sends is not the protocol, or not Opus."""
        remedy = "Is it a Moshi or PersonaPlex server, and is a proxy in between?"
        return EngineError(f"What the {self.server} sends cannot be used: {what}.", remedy, code="invalid_answer")

    def no_answer(self, seconds: float) -> EngineError:
        remedy = "It takes its turns itself, and took none. The option answer_within_s sets how long it may think."
        nothing = f"The model at {self.where} said nothing within {seconds:g} s of its time."
        return EngineError(nothing, remedy, code="no_answer")

    def closed(self) -> EngineError:
        return EngineError(f"The engine of the {self.server} is closed.", code="engine_closed")


def tools_unsupported() -> EngineRefused:
    return EngineRefused(
        "A Moshi model cannot call tools, and this reply requires one.",
        'Set tool_choice to "auto" or "none", or use a pipeline with a language model.',
        code="tools_unsupported",
    )


def text_unsupported() -> EngineRefused:
    return EngineRefused(
        "A Moshi server hears and cannot read: a typed message cannot be answered.",
        "Speak instead, or use a PersonaPlex server (moshi:personaplex), which takes text as a prompt.",
        code="text_unsupported",
    )


def prompt_too_long() -> EngineRefused:
    return EngineRefused(
        "The instructions are longer than a PersonaPlex server takes: they travel in the address, 8,000 bytes in all.",
        "Shorten the instructions, or set speech_options.history_chars lower.",
        code="prompt_too_long",
    )
