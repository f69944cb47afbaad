"""One session at an upstream Realtime server: the turns of one conversation, answered over one connection.

Laws:
- Turns are ours: the upstream's turn detection is off, audio is appended and committed, and an answer asked for.
- What the upstream remembers is what `messages` say: only what is new is sent; what was not heard is cut there, what is gone is deleted.
- Events of an answer that was given up are ignored; the next one is asked for when the upstream has ended it.
- Nothing is read ahead: what is not taken waits at the server. Audio is sent in pieces of `PIECE_S`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from parley.audio import pcm
from parley.audio.types import Samples
from parley.engines.openai_api.connection import EndpointConfig
from parley.engines.openai_api.errors import NothingMoreCame, StatusError, StreamError
from parley.engines.openai_api.realtime import RealtimeSocket, error_of
from parley.engines.ports import (
    DialogueEvent,
    DialogueRequest,
    EngineUnavailable,
    ForceTool,
    Tool,
    ToolChoice,
)
from parley.engines.speech.realtime_answer import UpstreamAnswer
from parley.engines.speech.realtime_dialects import UpstreamDialect, value_at
from parley.engines.speech.realtime_history import HeldItem, WantedItem, conversation_of, planned, told
from parley.engines.speech.text_along_audio import USUAL_MS
from parley.errors import ParleyError

logger = logging.getLogger(__name__)

PIECE_S: Final = 1.0
MAX_EVENT_BYTES: Final = 4 << 20
"""A second of audio is 64 kB, and servers send less at once; the session's settings hold our own instructions and tools."""

MIN_TURN_S: Final = 0.1
"""Servers refuse to commit less; a shorter turn is filled up with silence."""

SYNC, SET, CANCEL, OTHER = "parley_history_", "parley_settings_", "parley_cancel_", "parley_"
"""How the ids of our events begin: an error names the event that it is about."""

DRAIN_S: Final = 5.0
"""How long the end of an answer that was given up may take; then a new connection is quicker."""

STOP_S: Final = 1.0
"""How long giving an answer up may take."""


class HistoryRefused(ParleyError):
    """The upstream's conversation is not what it was thought to be."""


class UpstreamSession:
    """`open()` it, ask with `answer()`, one at a time; `stop()` after an answer that was not read to its end, `close()` at the end.

    Raises what `errors.failure_of` maps, and `HistoryRefused`.
    """

    def __init__(
        self,
        endpoint: EndpointConfig,
        dialect: UpstreamDialect,
        query: str,
        model: str,
        *,
        timeout_s: float,
        idle_timeout_s: float,
    ) -> None:
        self._dialect = dialect
        self._model = model
        self._timeout_s = timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._socket = RealtimeSocket(
            endpoint, query, dialect.headers, max_event_bytes=MAX_EVENT_BYTES, pings=False
        )  # (pings are not answered while nothing is read)
        self._held: list[HeldItem] = []
        self._settings: dict[str, object] | None = None
        """Those in force; None: nothing was set so far."""
        self._answer: UpstreamAnswer | None = None
        """The answer under way, also when it was given up."""
        self._sending = False
        self._numbers = 0
        self._turn = ""
        """The words of the turn that was committed last."""
        self._pace = USUAL_MS
        self.voice = ""
        """The voice that it was asked for; it cannot be changed once something was said."""
        self._named: object = ""
        """The voice as the server is told of it."""
        self.usual_voice = ""
        self.expires_at: float | None = None
        """Unix time, where the server says it."""

    # --- its life ---

    async def open(self, voice: str = "", voice_id: str = "") -> None:
        """Connect, and see to it that the server never answers by itself. `voice_id`: the server's id of the voice, where it goes by that.

        Raises `EngineUnavailable` where it cannot be kept from answering.
        """
        self.voice = voice
        self._named = {"id": voice_id} if voice_id else voice
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._socket.open()
                created = await self._event("session.created")
                expires = value_at(created, "session.expires_at")
                self.expires_at = float(expires) if isinstance(expires, int | float) and expires else None
                await self._switch_off()
        except BaseException:
            await self._socket.close()
            raise

    async def close(self) -> None:
        await self._socket.close()

    @property
    def usable(self) -> bool:
        """Whether another turn can be asked for."""
        return self._socket.is_open and not self._sending and self._dialect.items

    async def stop(self) -> None:
        """Give the answer up that is under way."""
        answer = self._answer
        if answer is not None and not answer.ended and self.usable:
            answer.give_up()
            async with asyncio.timeout(STOP_S):
                await self._send("response.cancel", {}, CANCEL)

    async def _switch_off(self) -> None:
        """Settings that never change; turn detection that does not answer by itself."""
        refusal: Exception | None = None
        for value in self._dialect.turns_off:
            try:
                updated = await self._update({"turn_detection": value, **self._voiced()})
            except (StatusError, StreamError) as error:
                if "turn_detection" not in str(error.body):
                    raise
                refusal, self._settings = error, None
                continue
            session = updated.get("session")
            usual = value_at(session, self._dialect.session["voice"])
            self.usual_voice = usual if isinstance(usual, str) else ""
            found = value_at(session, self._dialect.session["turn_detection"])
            if isinstance(found, dict) and found.get("create_response") is not False:
                refusal = StreamError(f"it keeps {found.get('type')!r}")
                continue
            return
        if self._dialect.turns_off:
            said = getattr(refusal, "body", "")
            raise EngineUnavailable(
                f"This server answers turns by itself, and its turn detection cannot be switched off ({said!r:.200}).",
                code="turn_detection_refused",
                remedy="Use another server, or the dialect that it speaks (option dialect).",
            )

    def _voiced(self) -> dict[str, object]:
        return {"voice": self._named} if self.voice else {}

    async def _update(self, settings: Mapping[str, object]) -> dict[str, Any]:
        await self._set(settings)
        return await self._event("session.updated")

    async def _set(self, settings: Mapping[str, object]) -> None:
        """Send those settings that are not in force: servers refuse to hear some of them again once they have spoken."""
        known = self._settings or {}
        new = {name: value for name, value in settings.items() if name not in known or known[name] != value}
        if not new:
            return
        named = {"model": self._model} if self._dialect.names_model else {}
        session = self._dialect.session_of(new, first=self._settings is None)
        self._settings = {**known, **new}
        await self._send("session.update", {**named, "session": session}, SET)

    async def _event(self, kind: str) -> dict[str, Any]:
        """The next event of that type. Raises what the server reports before it."""
        while (event := await self._socket.received()).get("type") != kind:
            if event.get("type") == "error":
                raise error_of(_error(event))
        return event

    async def _send(self, kind: str, fields: Mapping[str, object], purpose: str = OTHER) -> None:
        self._numbers += 1
        await self._socket.send({"type": kind, "event_id": f"{purpose}{self._numbers}", **fields})

    # --- one turn ---

    async def answer(self, request: DialogueRequest) -> AsyncGenerator[DialogueEvent, None]:
        """The answer to a turn, up to its `ChatEnd`."""
        await self._drain()
        self._sending = True  # (whoever gives up now leaves a connection that is of no use)
        await self._prepare(request)
        await self._hear(request.audio)
        answer = self._answer = UpstreamAnswer(
            self._held, self._dialect, self._pace, text_only=request.text_only, turn=self._turn
        )
        if self._dialect.asks:
            asked = self._dialect.reply_of(_reply_settings(self._dialect, request))
            await self._send("response.create", {"response": asked})
        self._sending = False
        loop = asyncio.get_running_loop()
        begun, first_by_s = False, loop.time() + self._timeout_s
        while not answer.ended:
            left_s = self._idle_timeout_s if begun else max(0.0, first_by_s - loop.time())
            for event in await self._next(answer, left_s, begun=begun):
                begun = True
                yield event
        self._pace = answer.pace()

    async def _next(self, answer: UpstreamAnswer, timeout_s: float, *, begun: bool) -> Sequence[DialogueEvent]:
        """What the next event of the server brings of the answer. Raises for an error that concerns it."""
        try:
            async with asyncio.timeout(timeout_s):
                event = await self._socket.received()
        except TimeoutError:
            raise NothingMoreCame(timeout_s) if begun else TimeoutError() from None
        if event.get("type") != "error":
            return answer.received(event)
        error = _error(event)
        about = str(error.get("event_id") or "")
        if about.startswith(SYNC):
            raise HistoryRefused(str(error.get("message", "")))
        if about.startswith(CANCEL) or error.get("code") == "response_cancel_not_active":
            return ()
        raise error_of(error)

    async def _drain(self) -> None:
        """Read on to the end of an answer that was given up, before the next is asked for. Raises `ConnectionError` where it has none."""
        answer = self._answer
        try:
            async with asyncio.timeout(DRAIN_S):
                while answer is not None and not answer.ended:
                    await self._next(answer, DRAIN_S, begun=True)
        except Exception as error:
            raise ConnectionError("the answer before did not end") from error

    async def _prepare(self, request: DialogueRequest) -> None:
        """Send what the server does not know yet: settings and items."""
        instructions, items = conversation_of(request.messages)
        if not self._dialect.items:
            instructions, items = told(instructions, items), ()
        settings: dict[str, object] = {
            "instructions": instructions,
            "modalities": _modalities(self._dialect, text_only=False),
            "tools": list(map(_tool, request.tools)),
            **self._voiced(),
        }
        if request.speed != 1.0 or "speed" in (self._settings or ()):
            settings["speed"] = request.speed
        await self._set(settings)
        if self._dialect.items:
            await self._follow(items)
        self._turn = request.transcript

    async def _follow(self, wanted: Sequence[WantedItem]) -> None:
        """Make the server's conversation the wanted one."""
        plan = planned(self._held, wanted)
        for held in plan.deleted:
            await self._send("conversation.item.delete", {"item_id": held.id}, SYNC)
        for held, item, at_ms in plan.cuts:
            cut = {"item_id": held.id, "content_index": 0, "audio_end_ms": at_ms}
            await self._send("conversation.item.truncate", cut, SYNC)
            held.cut(item, at_ms)
        self._held[:] = plan.kept
        for item in plan.created:
            item_id = f"item_p{self._numbers}"
            wire = item.wire(item_id, self._dialect.assistant_part)
            await self._send("conversation.item.create", {"item": wire}, SYNC)
            self._held.append(HeldItem(item_id, item))

    async def _hear(self, audio: Samples) -> None:
        """Send the turn's audio and commit it."""
        if not len(audio):
            return
        rate = self._dialect.rate
        before, behind = self._dialect.commits
        for commit in before:
            await self._send("input_audio_buffer.commit", commit)
        audio = np.nan_to_num(audio, nan=0.0, posinf=1.0, neginf=-1.0)
        short = round(MIN_TURN_S * rate) - len(audio)
        if short > 0:
            audio = np.concatenate([audio, np.zeros(short, np.float32)])
        piece = round(PIECE_S * rate)
        for at in range(0, len(audio), piece):
            data = base64.b64encode(pcm.to_bytes(audio[at : at + piece])).decode()
            await self._send("input_audio_buffer.append", {"audio": data})
            await asyncio.sleep(0)
        for commit in behind:
            await self._send("input_audio_buffer.commit", commit)


def _error(event: Mapping[str, Any]) -> dict[str, Any]:
    reported = event.get("error")
    return reported if isinstance(reported, dict) else {}


def _modalities(dialect: UpstreamDialect, *, text_only: bool) -> list[str]:
    return ["text"] if text_only else list(dialect.spoken)


def _reply_settings(dialect: UpstreamDialect, request: DialogueRequest) -> dict[str, object]:
    settings: dict[str, object] = {"modalities": _modalities(dialect, text_only=request.text_only)}
    if request.tools:
        settings["tool_choice"] = _choice(request.tool_choice)
    if request.max_tokens is not None:
        settings["max_tokens"] = request.max_tokens
    return settings


def _choice(choice: ToolChoice) -> object:
    return {"type": "function", "name": choice.name} if isinstance(choice, ForceTool) else choice


def _tool(tool: Tool) -> dict[str, object]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": json.loads(tool.parameters),
    }
