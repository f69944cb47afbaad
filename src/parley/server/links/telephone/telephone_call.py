"""A session on the telephone: the audio of the call, the keys that are pressed, and who speaks first.

Laws: a call is the session's only client on its link, and is shown no events; who wants them attaches to it, by its id or by that of the
telephone system. Errors of the session are logged.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final, Literal

from parley.config import TelephonyConfig
from parley.core.words.errors import PeerError
from parley.core.words.settings import SettingsPatch
from parley.server.access.access import Grant
from parley.server.calls import Calls
from parley.server.links.media_call import CallLink, MediaCall, media_wishes
from parley.server.links.media_format import MediaFormat
from parley.server.links.pacing import PacedOutput
from parley.server.links.telephone.keypad import Keypad
from parley.server.realtime_session import RealtimeSession, SessionRequest
from parley.server.refusals import Refusal
from parley.server.sessions import SessionFactory
from parley.wire.dialects import GA
from parley.wire.settings_schema import language as read_language

log = logging.getLogger("parley.server")

WISHES: Final = ("pipeline", "voice", "language", "instructions", "first")
"""What a call may bring: the names of its parameters."""


@dataclass(frozen=True, slots=True)
class CallWishes:
    """How a call is to begin; "" is as the server is configured."""

    pipeline: str = ""
    voice: str = ""
    language: str = ""
    instructions: str = ""
    first: Literal["", "agent", "caller"] = ""

    @classmethod
    def read(cls, parameters: dict[str, str]) -> CallWishes | Refusal:
        """The wishes among these parameters; others are left alone."""
        given = {name: parameters[name] for name in WISHES if parameters.get(name)}
        first = given.get("first", "")
        if first not in ("", "agent", "caller"):
            return Refusal(400, "invalid_value", "'first' must be 'agent' or 'caller'.", param="first")
        try:
            language = read_language(given["language"], "language") if "language" in given else ""
        except PeerError as error:
            return Refusal(400, error.code, error.message, param="language")
        return cls(
            pipeline=given.get("pipeline", ""),
            voice=given.get("voice", ""),
            language=language,
            instructions=given.get("instructions", ""),
            first="agent" if first == "agent" else "caller" if first == "caller" else "",
        )

    def patch(self, form: MediaFormat) -> SettingsPatch:
        """The session's first settings, of a call whose audio is written in `form`."""
        patch = media_wishes(form, self.voice, self.language)
        if self.instructions:
            patch["instructions"] = self.instructions
        return patch


@dataclass(frozen=True, slots=True)
class Caller:
    """Who brings a call: the address of the telephone system, for the log, and its id of the call."""

    address: str
    call_id: str


class TelephoneCall(MediaCall):
    """`press` for each key. `begin` it as a `MediaCall`, then `greet`."""

    def __init__(self, calls: Calls, session: RealtimeSession, output: PacedOutput, form: MediaFormat, keypad: Keypad):
        super().__init__(calls, session, output, form)
        self._keypad = keypad

    def greet(self) -> None:
        """Let the agent speak first."""
        self.session.received(b'{"type":"response.create"}')

    def press(self, key: str) -> None:
        self._keypad.press(key)

    def end(self, how: str) -> None:
        self._keypad.close()
        super().end(how)


class CallFactory:
    """Opens the sessions of calls, as the server is configured."""

    def __init__(self, config: TelephonyConfig, sessions: SessionFactory, calls: Calls) -> None:
        self.config = config
        self._sessions = sessions
        self._calls = calls

    def begin(
        self,
        link: CallLink,
        output: PacedOutput,
        form: MediaFormat,
        wishes: CallWishes,
        *,
        grant: Grant,
        caller: Caller,
    ) -> TelephoneCall | Refusal:
        """The call that begins on `link` now, with `output` as the loudspeaker of its session."""
        model = wishes.pipeline or ("" if grant.secret is not None else self.config.pipeline)
        request = SessionRequest(grant, GA, model, client=caller.address, wishes=wishes.patch(form), shown=())
        session = self._sessions.open(request, output)
        if isinstance(session, Refusal):
            return session
        keypad = Keypad(session, self.config.keypad, self.config.keypad_pause_ms)
        call = TelephoneCall(self._calls, session, output, form, keypad)
        call.begin(link, caller.call_id)
        log.info("%s is the call %s", call.id, caller.call_id or caller.address)
        if (wishes.first or self.config.speaks_first) == "agent":
            call.greet()
        return call
