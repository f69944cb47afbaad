"""Writes a simulated session in both dialects and checks that they agree.

Laws: every notice and every client event can be written; a dialect reads a client event that it wrote back as the same event; where both
dialects have an event for a notice, it carries the same ids, texts, positions and terminals. The beta dialect leaves out what it has no
event for and nothing else. Of audio, which is most of the traffic and is written alike whatever it holds, only the first piece of the
session and of each part is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec

from parley.core.words.effects import Effect, Tell
from parley.core.words.events import AudioArrived, ClientEvent, Event, SessionUpdateRequested
from parley.core.words.items import McpApprovalRequest, McpApprovalResponse, McpCall, McpListTools
from parley.core.words.notices import (
    ConversationCreated,
    IdleTimeoutTriggered,
    ItemDone,
    McpArgumentsDelta,
    McpArgumentsDone,
    McpCallProgress,
    McpListProgress,
    Notice,
    OutputAudioDelta,
    PartAt,
    TranslationNotice,
)
from parley.core.words.shell_notices import KeypadPressed
from parley.testing.rules.base import CheckFailed
from parley.wire.dialect import Encoder
from parley.wire.dialects import BETA, DIALECTS, GA

_MCP_ITEMS = (McpListTools, McpCall, McpApprovalRequest, McpApprovalResponse)
_ONLY_GA = (
    ItemDone,
    IdleTimeoutTriggered,
    KeypadPressed,
    McpArgumentsDelta,
    McpArgumentsDone,
    McpCallProgress,
    McpListProgress,
)

_SHARED = frozenset(
    (
        "id",
        "item_id",
        "response_id",
        "call_id",
        "conversation_id",
        "previous_item_id",
        "output_index",
        "content_index",
        "audio_start_ms",
        "audio_end_ms",
        "status",
        "reason",
        "code",
        "role",
        "delta",
        "transcript",
        "text",
        "arguments",
        "output",
        "voice",
        "instructions",
        "total_tokens",
        "remaining",
    )
)
"""Members with one name in both dialects; a session's sections and the response's audio are named differently."""

_read = msgspec.json.decode


class BothDialects:
    """Gets every step of a session, as the checker does. Raises `CheckFailed`."""

    def __init__(self) -> None:
        self._ga: Encoder = GA.encoder(event_seed=b"ga", wall_s=lambda: 0.0)
        self._beta: Encoder = BETA.encoder(event_seed=b"beta", wall_s=lambda: 0.0)
        self._audio_checked = False
        self._last_part: PartAt | None = None

    def on_step(self, event: Event | None, effects: Iterable[Effect]) -> None:
        """Check one step: the event (None: the start) and its effects."""
        if isinstance(event, ClientEvent) and not (isinstance(event, AudioArrived) and self._audio_checked):
            self._audio_checked = self._audio_checked or isinstance(event, AudioArrived)
            self._check_event(event)
        for effect in effects:
            if isinstance(effect, Tell):
                notice = effect.notice
                if isinstance(notice, OutputAudioDelta):
                    if notice.at == self._last_part:
                        continue
                    self._last_part = notice.at
                self._check_notice(notice)

    def _check_event(self, event: ClientEvent) -> None:
        if isinstance(event, SessionUpdateRequested):  # on the wire, every update names its kind of session
            event = replace(event, patch={"kind": "realtime", **event.patch})
        for dialect in DIALECTS.values():
            frame = dialect.write(event)
            if frame is None:
                continue
            if (back := dialect.decode(frame)) != event:
                raise CheckFailed("dialects", f"the {dialect.name} dialect reads {event} back as {back}")

    def _check_notice(self, notice: Notice) -> None:
        if isinstance(notice, TranslationNotice):
            return  # of translation sessions, which have a dialect of their own
        ga, beta = self._ga.encode(notice), self._beta.encode(notice)
        only_beta = isinstance(notice, ConversationCreated)
        only_ga = isinstance(notice, _ONLY_GA) or isinstance(getattr(notice, "item", None), _MCP_ITEMS)
        if (ga is None) != only_beta or (beta is None) != only_ga:
            raise CheckFailed("dialects", f"{notice} is written as {ga} and as {beta}")
        if ga is None or beta is None:
            return
        if isinstance(notice, OutputAudioDelta):
            first, second = (frame.partition('"response_id"')[2] for frame in (ga, beta))
            same = first == second and bool(first)
        else:
            same = sorted(_shared_members(_read(ga), "")) == sorted(_shared_members(_read(beta), ""))
        if not same:
            raise CheckFailed("dialects", f"the dialects differ in one notice:\n  {ga}\n  {beta}")


def _shared_members(value: object, name: str) -> Iterator[tuple[str, str]]:
    """The members that both dialects have, with their values, at any depth. Only the GA has items of MCP servers."""
    if isinstance(value, list):
        for element in value:
            yield from _shared_members(element, name)
    elif not isinstance(value, dict):
        if name in _SHARED:
            yield name, repr(value)
    elif not str(value.get("type", "")).startswith("mcp"):
        for inner, member in value.items():
            yield from _shared_members(member, inner)
