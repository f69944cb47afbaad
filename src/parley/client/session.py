"""The client's side of one session: server events in; messages to send and updates to show out.

Laws:
- SANS-IO: no socket, clock, thread or asyncio; `now_s` is the caller's monotonic clock.
- Unknown events are ignored; a missing field counts as empty.
- The call that receives an interruption returns `UserTurnStarted(over_reply=True)`: the caller stops the loudspeaker and calls
  `silenced()` at once, which reports to the server exactly what was heard.
- Event names are the dialect's; session objects are those of the GA dialect.
Does not know: devices, how anything is drawn, figures.
"""

from __future__ import annotations

from base64 import b64decode
from collections import deque
from collections.abc import Sequence

import msgspec

from parley.client.event_fields import Json, number_of, object_of, text_of
from parley.client.input_clock import InputClock
from parley.client.playback import PlayedSpan
from parley.client.session_items import ITEMS_KEPT, SessionItems
from parley.client.session_setup import SessionOptions, SessionSetup
from parley.client.tool_consent import consent_updates
from parley.client.updates import (
    TYPED,
    ClientUpdate,
    FunctionCalled,
    Level,
    ResponseAudio,
    ResponseAudioEnded,
    ResponseCut,
    ResponseEnded,
    ResponseStarted,
    ResponseText,
    ServerToolCalled,
    SessionConfigured,
    SessionStarted,
    StatusMessage,
    ToolListing,
    UserTranscript,
    UserTurnEnded,
    UserTurnLost,
    UserTurnStarted,
)
from parley.core.words import notices as n
from parley.core.words import unstable_transcript as live
from parley.core.words.events import (
    AudioArrived,
    CancelRequested,
    ClearRequested,
    ClientEvent,
    CommitRequested,
    ItemCreateRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    ResponseRequested,
)
from parley.core.words.ids import ClientEventId, ItemId, ResponseId
from parley.core.words.items import InputText, McpApprovalResponse, Message
from parley.wire.dialect import Dialect
from parley.wire.dialects import GA

MIN_COMMIT_MS = 100
"""Servers refuse to commit less."""

BYTES_PER_MS = 48
"""PCM16 at 24 kHz."""

HARMLESS = frozenset({"response_cancel_not_active", "input_audio_buffer_commit_empty"})
"""Errors of requests that the server had made obsolete before they arrived."""


class ClientSession:
    """Call `received()` for each message of the server and `appended()` for microphone audio; send what `outgoing()` returns
    after every call. `is_parley`: the server keeps exactly the words that were heard, and is asked for them; and for those of the user
    that may still change, which a turn that a key ends has from the first word on.
    """

    def __init__(self, options: SessionOptions, *, is_parley: bool = False, dialect: Dialect = GA) -> None:
        self._dialect = dialect
        self._setup = SessionSetup(options)
        self._is_parley = is_parley
        self._outgoing: deque[str] = deque()
        self._items = SessionItems()
        self._response = ""
        self._fillers: deque[str] = deque(maxlen=ITEMS_KEPT)
        """Responses that are in no conversation, and nor are their items."""
        self._user_item = ""
        self._key_item = ""
        """Of the turn that a key has begun, as soon as the server has told it."""
        self._clock = InputClock()
        self._turn_bytes = 0
        self._event_count = 0
        self.hands_free = options.hands_free
        self.talking = options.hands_free
        self.session_id = ""
        self._configuring = False

    # --- what goes out ---------------------------------------------------------------------------------------------------

    def outgoing(self) -> list[str]:
        """The messages to send now, in order; empty afterwards."""
        messages = list(self._outgoing)
        self._outgoing.clear()
        return messages

    def appended(self, audio: bytes, now_s: float) -> None:
        """Microphone audio (PCM16, 24 kHz) whose last sample was recorded at `now_s`. Ignored while the user does not talk."""
        if not self.talking or not self.session_id or not audio:
            return
        self._clock.recorded(len(audio) / BYTES_PER_MS, now_s)
        self._turn_bytes += len(audio)
        self._send(AudioArrived(audio, self._next_id()))

    def press(self, now_s: float) -> list[ClientUpdate]:
        """The talk key goes down: the user has the floor. Next: `silenced()` where `over_reply` says so."""
        if self.hands_free or self.talking or not self.session_id:
            return []
        self.talking = True
        self._turn_bytes = 0
        self._key_item = ""
        self._send(ClearRequested(self._next_id()))
        self._cancel()
        return [UserTurnStarted("", over_reply=True)]

    def release(self, now_s: float) -> list[ClientUpdate]:
        """The talk key goes up: the turn is over and a reply is wanted."""
        if self.hands_free or not self.talking:
            return []
        self.talking = False
        if self._turn_bytes < MIN_COMMIT_MS * BYTES_PER_MS:
            self._send(ClearRequested(self._next_id()))
            return [UserTurnLost(self._key_item, f"the key was held for less than {MIN_COMMIT_MS} ms")]
        self._send(CommitRequested(self._next_id()))
        self._send(ResponseRequested(event_id=self._next_id()))
        return [UserTurnEnded(self._key_item, now_s, now_s)]

    def say(self, text: str) -> list[ClientUpdate]:
        """A typed message, and a reply to it. Next: `silenced()`, for what is still being played."""
        item_id = f"{TYPED}{self._event_count}"
        self._cancel()
        item = Message(ItemId(item_id), "user", (InputText(text),))
        self._send(ItemCreateRequested(item, event_id=self._next_id()))
        self._send(ResponseRequested(event_id=self._next_id()))
        return [UserTurnStarted(item_id, over_reply=True), UserTranscript(item_id, text, final=True)]

    def decide(self, request_id: str, approve: bool, reason: str = "") -> None:
        """Answer a `ConsentAsked`; `reason` is for the model."""
        answer = McpApprovalResponse(ItemId(f"answer_{self._event_count}"), ItemId(request_id), approve, reason)
        self._send(ItemCreateRequested(answer, event_id=self._next_id()))

    def interrupt(self) -> None:
        """Cancel the reply. Next: `silenced()`."""
        self._cancel()

    def silenced(self, heard: Sequence[PlayedSpan], *, by_user: bool = True) -> list[ClientUpdate]:
        """The loudspeaker has stopped: report what was heard, to the server and as updates. `by_user`: see `ResponseCut`."""
        updates: list[ClientUpdate] = []
        for cut in heard:
            item = self._items.find(cut.item_id)
            if item is None:
                continue
            item_id = ItemId(cut.item_id)
            self._send(ItemTruncateRequested(item_id, cut.content_index, cut.heard_ms, self._next_id()))
            item.heard_ms = cut.heard_ms
            words, rest = item.cut()
            settling = self._is_parley and item.response_id not in self._fillers
            updates.append(
                ResponseCut(cut.item_id, words, rest, cut.heard_ms, exact=False, by_user=by_user, settling=settling)
            )
            if settling:
                self._send(ItemRetrieveRequested(item_id, self._next_id()))
        return updates

    def set_hands_free(self, hands_free: bool) -> None:
        """Have the server end turns, or the user's key."""
        if hands_free == self.hands_free:
            return
        self.hands_free = self.talking = hands_free
        self._send(ClearRequested(self._next_id()))
        self._update(self._setup.detection(hands_free=hands_free))

    def _cancel(self) -> None:
        if self._response:
            self._send(CancelRequested(ResponseId(self._response), self._next_id()))

    def _update(self, session: Json) -> None:
        """Ask for a change of the session. Written without the dialect's types, because turn detection is sent back with
        members that only that server knows."""
        event = {"type": "session.update", "event_id": self._next_id(), "session": {"type": "realtime", **session}}
        self._outgoing.append(msgspec.json.encode(event).decode())

    def _next_id(self) -> ClientEventId:
        self._event_count += 1
        return ClientEventId(f"event_{self._event_count}")

    def _send(self, event: ClientEvent) -> None:
        frame = self._dialect.write(event)
        assert frame is not None, f"the {self._dialect.name} dialect has no form of {event}"
        self._outgoing.append(frame)

    # --- what comes in ---------------------------------------------------------------------------------------------------

    def received(self, data: str | bytes, now_s: float) -> list[ClientUpdate]:
        """One message of the server. Call `outgoing()` afterwards."""
        try:
            event = msgspec.json.decode(data)
        except msgspec.DecodeError:
            return [StatusMessage("warning", "The server sent a message that is not JSON.")]
        if not isinstance(event, dict):
            return [StatusMessage("warning", "The server sent a message that is not an event.")]
        kind = self._dialect.server_events.get(text_of(event, "type"))
        match kind:
            case n.SessionCreated | n.SessionUpdated:
                return self._session(object_of(event, "session"), kind is n.SessionCreated)
            case n.ErrorRaised:
                return self._error(object_of(event, "error"))
            case n.ItemRetrieved:
                return self._retrieved(object_of(event, "item"))
            case n.ItemDone:
                return consent_updates(object_of(event, "item"))
            case n.McpListProgress:
                return [
                    ToolListing(text_of(event, "item_id"), over=text_of(event, "type") != "mcp_list_tools.in_progress")
                ]
            case n.ResponseCreated | n.ResponseDone if _out_of_band(object_of(event, "response")):
                self._fillers.append(text_of(object_of(event, "response"), "id"))
                return []  # it is played, and the reply is still to come
            case n.ResponseCreated:
                self._response = text_of(object_of(event, "response"), "id")
                return [ResponseStarted(self._response)]
            case n.ResponseDone:
                return self._done(object_of(event, "response"))
            case None:
                return []
            case _:
                return self._user_event(kind, event, now_s) + self._reply_event(kind, event)

    def _session(self, session: Json, created: bool) -> list[ClientUpdate]:
        self._setup.read(session)
        if not created:
            return self._configured()
        self.session_id = text_of(session, "id") or "?"
        self._clock = InputClock()
        if changes := self._setup.changes(session, hands_free=self.hands_free, unstable_words=self._is_parley):
            self._update(changes)
        self._configuring = bool(changes)
        setup = self._setup
        return [
            SessionStarted(
                self.session_id,
                text_of(session, "model"),
                setup.voice(session),
                setup.transcription(session),
                self._configuring,
            )
        ]

    def _configured(self) -> list[ClientUpdate]:
        configuring, self._configuring = self._configuring, False
        return [SessionConfigured()] if configuring else []

    def _error(self, error: Json) -> list[ClientUpdate]:
        code, message = text_of(error, "code"), text_of(error, "message")
        if code in HARMLESS:
            return []
        level: Level = "error" if text_of(error, "type") == "server_error" else "warning"
        said = StatusMessage(level, message or code or "The server reported an error without a message.")
        return [said, *self._configured()]

    def _turn_started(self, item_id: str) -> list[ClientUpdate]:
        self._user_item = item_id
        return [UserTurnStarted(item_id, over_reply=self._setup.interrupts)]

    def _turn_ended(self, item_id: str, audio_end_ms: float, now_s: float) -> list[ClientUpdate]:
        turn_end_s = min(now_s, self._clock.time_of(audio_end_ms) or now_s)
        voice_end_s = min(turn_end_s, self._clock.time_of(audio_end_ms - self._setup.silence_ms) or turn_end_s)
        return [UserTurnEnded(item_id, voice_end_s, turn_end_s)]

    def time_of_input(self, audio_ms: float) -> float | None:
        """When the sample at this position of the input audio was recorded; None: too long ago, or not yet."""
        return self._clock.time_of(audio_ms)

    def _user_event(self, kind: type[n.Notice], event: Json, now_s: float) -> list[ClientUpdate]:
        item_id = text_of(event, "item_id")
        match kind:
            case n.InputSpeechStarted:
                return self._turn_started(item_id)
            case n.InputSpeechStopped:
                return self._turn_ended(item_id, number_of(event, "audio_end_ms"), now_s)
            case n.InputCommitted:
                self._user_item = item_id
                return []
            case n.TranscriptionDelta:
                item = self._items.of(item_id)
                item.text += text_of(event, "delta")
                return [UserTranscript(item_id, item.text, final=False)]
            case live.UnstableTranscript:
                return self._unstable(item_id, text_of(event, "text"))
            case n.TranscriptionCompleted:
                item = self._items.of(item_id)
                item.text, item.final = text_of(event, "transcript"), True
                if not item.text.strip():
                    return [UserTurnLost(item_id, "nothing was understood")]
                return [UserTranscript(item_id, item.text, final=True)]
            case n.TranscriptionFailedNotice:
                return [
                    UserTurnLost(item_id, text_of(object_of(event, "error"), "message") or "the transcription failed")
                ]
            case _:
                return []

    def _unstable(self, item_id: str, words: str) -> list[ClientUpdate]:
        """Words that may still change stand behind those that came as deltas."""
        if item_id not in self._items and not words:
            return []  # they were cleared
        if self.talking and not self.hands_free:
            self._key_item = item_id
        item = self._items.of(item_id)
        return [] if item.final else [UserTranscript(item_id, item.text + words, final=False)]

    def _retrieved(self, retrieved: Json) -> list[ClientUpdate]:
        item = self._items.find(text_of(retrieved, "id"))
        if item is None or item.heard_ms is None:
            return []
        parts = retrieved.get("content")
        words = " ".join(text_of(part, "transcript") for part in parts if isinstance(part, dict)) if parts else ""
        if not item.text.startswith(words):
            # The server has other words: what was estimated stays.
            words, rest = item.cut()
            return [ResponseCut(text_of(retrieved, "id"), words, rest, item.heard_ms, exact=False, by_user=False)]
        return [ResponseCut(text_of(retrieved, "id"), words, item.text[len(words) :], item.heard_ms, exact=True)]

    def _reply_event(self, kind: type[n.Notice], event: Json) -> list[ClientUpdate]:
        response_id, item_id = text_of(event, "response_id"), text_of(event, "item_id")
        match kind:
            case n.OutputTranscriptDelta | n.OutputTextDelta:
                return self._text(response_id, item_id, text_of(event, "delta"))
            case n.OutputTranscriptDone | n.OutputTextDone:
                item = self._items.of(item_id, response_id)
                item.text, item.final = text_of(event, "transcript") or text_of(event, "text") or item.text, True
                return [ResponseText(response_id, item_id, item.text, final=True)]
            case n.OutputAudioDelta:
                return self._audio(response_id, item_id, event)
            case n.OutputAudioDone:
                return [ResponseAudioEnded(item_id)]
            case n.OutputItemAdded if object_of(event, "item").get("type") == "mcp_call":
                return [ServerToolCalled(response_id)]
            case n.FunctionArgumentsDone:
                return [FunctionCalled(text_of(event, "name"), text_of(event, "arguments"))]
            case _:
                return []

    def _text(self, response_id: str, item_id: str, delta: str) -> list[ClientUpdate]:
        item = self._items.of(item_id, response_id)
        item.text += delta
        return [ResponseText(response_id, item_id, item.text, final=False)]

    def _audio(self, response_id: str, item_id: str, event: Json) -> list[ClientUpdate]:
        try:
            audio = b64decode(text_of(event, "delta"), validate=True)
        except ValueError:
            return [StatusMessage("warning", "The server sent audio that is not base64.")]
        item = self._items.of(item_id, response_id)
        audio = audio[: len(audio) // 2 * 2]
        item.received_ms += len(audio) / BYTES_PER_MS
        return [ResponseAudio(response_id, item_id, int(number_of(event, "content_index")), audio)]

    def _done(self, response: Json) -> list[ClientUpdate]:
        response_id, status = text_of(response, "id"), text_of(response, "status")
        if response_id == self._response:
            self._response = ""
        details = object_of(response, "status_details")
        reason = text_of(object_of(details, "error"), "message") or text_of(details, "reason")
        updates: list[ClientUpdate] = [ResponseEnded(response_id, status, reason)]
        if status == "failed":
            updates.append(StatusMessage("error", f"The reply failed: {reason or 'the server gave no reason'}"))
        return updates


def _out_of_band(response: Json) -> bool:
    """Whether it says itself that it is in no conversation. (Some servers leave the member out.)"""
    return response.get("conversation_id", "") is None
