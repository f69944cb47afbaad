"""One answer of an upstream Realtime server: its events, in any dialect's form, as those of the port.

Laws: events of another response are ignored; once given up, an answer yields nothing and only keeps the account of what the server has.
Sources: OpenAI's Realtime API, GA and beta; vLLM's Realtime API.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np

from parley.audio import pcm
from parley.engines.openai_api.errors import StreamError
from parley.engines.openai_api.realtime import error_of
from parley.engines.ports import ChatEnd, DialogueEvent, SpokenDelta, TokenUsage, ToolCallDelta
from parley.engines.speech.realtime_dialects import RATE, UpstreamDialect, value_at
from parley.engines.speech.realtime_history import HeldItem, WantedItem
from parley.engines.speech.text_along_audio import TextAlongAudio

_AUDIO: Final = frozenset({"response.output_audio.delta", "response.audio.delta"})
_TRANSCRIPT: Final = frozenset(
    {"response.output_audio_transcript.delta", "response.audio_transcript.delta", "transcription.delta"}
)
_TEXT: Final = frozenset({"response.output_text.delta", "response.text.delta"})
_NO_AUDIO: Final = np.zeros(0, np.float32)

Reason = Literal["stop", "length", "tool_calls", "content_filter"]


class UpstreamAnswer:
    """Give it the server's events with `received()` until `ended`. It writes the items that the server makes into `held`, the committed
    turn among them, whose words are `turn`. Raises what the server reports of a response that failed."""

    def __init__(
        self, held: list[HeldItem], dialect: UpstreamDialect, pace: float, *, text_only: bool, turn: str
    ) -> None:
        self._held = held
        self._dialect = dialect
        self._text_only = text_only
        self._turn = turn
        self._text = TextAlongAudio(pace)
        self._response = ""
        self._items: dict[str, HeldItem] = {}
        self._calls: dict[str, int] = {}
        self._seen: set[str] = set()
        self._given_up = False
        self._unspoken: list[dict[str, Any]] = []
        """Text beside the transcript: some servers send both, some only this."""
        self.ended = False

    def give_up(self) -> None:
        """Nobody wants it any more."""
        self._given_up = True

    def pace(self) -> float:
        """How long a character took, in ms."""
        return self._text.pace()

    def received(self, event: dict[str, Any]) -> Sequence[DialogueEvent]:
        """What an event brings."""
        kind = str(event.get("type", ""))
        if kind == "input_audio_buffer.committed":
            self._held.append(HeldItem(str(event.get("item_id")), WantedItem("message", self._turn, "user")))
            return ()
        if kind == "response.created":
            self._response = self._response or str(value_at(event, "response.id") or "")
            return ()
        about = event.get("response_id") or value_at(event, "response.id")
        if about and self._response and about != self._response:
            return ()
        brought = self._brought(kind, event)
        self._seen.add(kind)
        if any(end <= self._seen for end in self._dialect.ends):
            self.ended = True
            if not self._text.written:
                for text in self._unspoken:
                    self._write(text)
            if not self._given_up:
                brought = (*brought, *self._rest(), self._end(event))
        return () if self._given_up else brought

    def _brought(self, kind: str, event: dict[str, Any]) -> Sequence[DialogueEvent]:
        match kind:
            case "response.output_item.added":
                return self._begin(event)
            case "response.output_item.done":
                return self._complete(event)
            case "response.function_call_arguments.delta":
                return self._argue(str(event.get("item_id")), str(event.get("delta", "")))
            case _ if kind in _AUDIO:
                return self._sound(event)
            case _ if kind in _TRANSCRIPT or (kind in _TEXT and self._text_only):
                return self._write(event)
            case _ if kind in _TEXT:
                self._unspoken.append(event)
                return ()
            case _:
                return ()

    def _begin(self, event: dict[str, Any]) -> Sequence[DialogueEvent]:
        item = event.get("item")
        item = item if isinstance(item, dict) else {}
        item_id = str(item.get("id"))
        if item.get("type") == "function_call":
            call_id, name = str(item.get("call_id")), str(item.get("name"))
            self._add(item_id, WantedItem("call", "", "", call_id, name))
            self._calls[item_id] = len(self._calls)
            return (*self._rest(), ToolCallDelta(self._calls[item_id], call_id, name))
        if item.get("type") == "message":
            self._add(item_id, WantedItem("message", "", "assistant"))
        return ()

    def _add(self, item_id: str, item: WantedItem) -> None:
        held = self._items[item_id] = HeldItem(item_id, item)
        self._held.append(held)

    def _complete(self, event: dict[str, Any]) -> Sequence[DialogueEvent]:
        """A call whose arguments did not come in deltas, or not all."""
        item_id = str(value_at(event, "item.id"))
        if item_id not in self._calls:
            return ()
        whole, so_far = str(value_at(event, "item.arguments") or ""), self._items[item_id].item.text
        return self._argue(item_id, whole.removeprefix(so_far)) if whole.startswith(so_far) and whole != so_far else ()

    def _argue(self, item_id: str, arguments: str) -> Sequence[DialogueEvent]:
        if item_id not in self._calls:
            return ()
        self._items[item_id].say(arguments)
        return (ToolCallDelta(self._calls[item_id], arguments=arguments),)

    def _sound(self, event: dict[str, Any]) -> Sequence[DialogueEvent]:
        data = base64.b64decode(str(event.get("delta", "")), validate=True)
        audio = pcm.to_float(data[: len(data) // 2 * 2])
        length_ms = 1_000 * len(audio) / RATE
        if (held := self._items.get(str(event.get("item_id")))) is not None:
            held.audio_ms += length_ms
        return (SpokenDelta(audio, RATE, self._text.with_audio(length_ms)),)

    def _write(self, event: dict[str, Any]) -> Sequence[DialogueEvent]:
        text = str(event.get("delta", ""))
        if (held := self._items.get(str(event.get("item_id")))) is not None:
            held.say(text)
        if self._text_only:
            return (SpokenDelta(_NO_AUDIO, RATE, text),)
        self._text.write(text)
        return ()

    def _rest(self) -> Sequence[DialogueEvent]:
        """The words that are left when the audio is over."""
        rest = self._text.rest()
        return (SpokenDelta(_NO_AUDIO, RATE, rest),) if rest else ()

    def _end(self, event: dict[str, Any]) -> ChatEnd:
        """Raises for a response that failed, or that the server has ended by itself."""
        response = event.get("response")
        response = response if isinstance(response, dict) else event
        reason: Reason = "tool_calls" if self._calls else "stop"
        match response.get("status"):
            case "failed":
                reported = value_at(response, "status_details.error")
                raise error_of(reported if isinstance(reported, dict) else {})
            case "cancelled":
                why = value_at(response, "status_details.reason") or "no reason given"
                raise StreamError({"message": f"it cancelled the response ({why})"})
            case "incomplete":
                filtered = value_at(response, "status_details.reason") == "content_filter"
                reason = "content_filter" if filtered else "length"
        return ChatEnd(reason, _usage(response.get("usage")))


def _usage(usage: object) -> TokenUsage | None:
    counts = [
        _count(usage, *names) for names in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"))
    ]
    if counts == [None, None]:
        return None
    cached = value_at(usage, "input_token_details.cached_tokens")
    return TokenUsage(counts[0] or 0, counts[1] or 0, cached if isinstance(cached, int) else 0)


def _count(usage: object, *names: str) -> int | None:
    found = (value_at(usage, name) for name in names)
    return next((count for count in found if isinstance(count, int)), None)
