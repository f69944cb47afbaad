"""A conversation session that translates: audio and server events in; messages to send and updates out.

Laws:
- SANS-IO: no socket, clock, thread or asyncio; `now_s` is the caller's monotonic clock. Call `tick()` at `deadline()`.
- Audio goes on while a response is made. Speech cancels nothing.
- Unknown events are ignored; a missing field counts as empty.
- The order of requests and what becomes of each sentence is `request_line`'s, what goes into the buffer `speech_input`'s.
Does not know: devices, how a connection is made.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Final

import msgspec
import numpy as np

from parley.audio.types import Int16
from parley.client.event_fields import Json, number_of, object_of, text_of
from parley.core.words import notices as n
from parley.core.words.events import AudioArrived, ClearRequested, CommitRequested, SessionUpdateRequested
from parley.core.words.settings import SettingsPatch
from parley.interpret.ports import RouteWishes
from parley.interpret.routes.client_outbox import ClientOutbox
from parley.interpret.routes.request_line import SILENT_S, RequestLine
from parley.interpret.routes.sentences import SpokenSentence
from parley.interpret.routes.server_errors import ErrorMeaning, meaning_of, words_of
from parley.interpret.routes.speech_input import MAX_SENTENCE_MS, SpeechInput
from parley.interpret.routes.translating_session import ConversationOptions, TranslatingSession
from parley.interpret.updates import RouteLinkEnded, RouteNote, RouteUpdate
from parley.wire.dialect import Dialect

FINISH_S: Final = 30.0
"""How long what was said is still translated after `finish()`."""


class ConversationRules:
    """Call `received()` for each message of the server, the others for what happens here; send what `outgoing()` returns after every call.

    Nothing is sent before the server has opened the session; it is `ready` once the server has taken over what was asked of it. `refusal`
    is why it cannot be used: the server's words, and whether another attempt may succeed. `expires_at` is the server's figure, in Unix
    seconds.
    """

    def __init__(
        self, options: ConversationOptions, wishes: RouteWishes, dialect: Dialect, *, out_of_band: bool
    ) -> None:
        self._dialect = dialect
        self._outbox = ClientOutbox(dialect)
        self._session = TranslatingSession(options, wishes)
        self._input = SpeechInput()
        self._line = RequestLine(options, self._session, self._outbox, out_of_band=out_of_band)
        self._sentences = 0
        self._owes_commit = False
        self._finish_by: float | None = None
        self.ready = self.ended = self._opened = False
        self.expires_at: float | None = None
        self.refusal: tuple[str, bool] | None = None

    @property
    def drifts(self) -> int:
        """How many outputs were no translation."""
        return self._line.drifts

    # --- what happens here -----------------------------------------------------------------------------------------------

    def outgoing(self) -> list[str]:
        """The messages to send now, in order; empty afterwards."""
        return self._outbox.take()

    def audio(self, audio: Int16, now_s: float) -> list[RouteUpdate]:
        """More of the microphone, int16 `[n]` at 24 kHz."""
        if self._closed:
            return []
        self._append(self._input.push(audio))
        return self._commit(now_s) if self._input.too_long and self._line.takes_commits else []

    def speech_began(self, now_s: float) -> list[RouteUpdate]:
        if not self._closed:
            self._append(self._input.began())
        return []

    def speech_ended(self, now_s: float) -> list[RouteUpdate]:
        """A pause: what was said is to be translated."""
        if self._closed or not self._input.speaking:
            return []
        self._input.ended()
        self._owes_commit = True
        return self._step(now_s)

    def finish(self, now_s: float) -> list[RouteUpdate]:
        """No more audio comes. What was said is still translated, for `FINISH_S`; then `RouteLinkEnded` comes."""
        if self._closed:
            return []
        self._owes_commit = self._owes_commit or self._input.speaking
        self._input.ended()
        self._finish_by = now_s + FINISH_S
        return self._step(now_s)

    def set_target(self, language: str) -> None:
        """Translate into this language from the next request on."""
        self._update(self._session.set_target(language))

    def set_voice(self, voice: str) -> None:
        self._update(self._session.set_voice(voice))

    def lost(self, why: str) -> list[RouteUpdate]:
        """The connection is over."""
        return [] if self.ended else self._end(why)

    def deadline(self) -> float | None:
        """When `tick()` is due; None: not before something happens."""
        times = [time for time in (self._finish_by, self._line.deadline()) if time is not None]
        return min(times) if times and not self.ended else None

    def tick(self, now_s: float) -> list[RouteUpdate]:
        """Time has passed."""
        if self.ended:
            return []
        if self._line.silent(now_s):
            return self._end(f"the server has not answered for {SILENT_S:.0f} s")
        updates = self._step(now_s)
        overdue = self._finish_by is not None and now_s >= self._finish_by
        if overdue and not any(isinstance(update, RouteLinkEnded) for update in updates):
            updates += self._end(f"the server has not translated all of it within {FINISH_S:.0f} s")
        return updates

    @property
    def _closed(self) -> bool:
        return self.ended or self._finish_by is not None

    def _append(self, data: bytes) -> None:
        if data:
            self._outbox.send(AudioArrived(data))

    def _update(self, patch: SettingsPatch) -> None:
        if not self.ended:
            self._outbox.send(SessionUpdateRequested(patch))

    def _commit(self, now_s: float) -> list[RouteUpdate]:
        """Make a sentence of what is in the server's buffer."""
        self._owes_commit = False
        stray, piece = self._input.stray, self._input.commit()
        if piece is None:
            if stray:
                self._outbox.send(ClearRequested())
            return []
        self._sentences += 1
        event_id = self._outbox.send(CommitRequested())
        sentence = SpokenSentence(self._sentences, piece.length_ms, piece.end_ms, now_s, event_id)
        updates = self._line.add(sentence)
        if piece.cut:
            message = f"Speech without a pause for {MAX_SENTENCE_MS / 1000:.0f} s: it is translated up to here."
            updates.append(RouteNote("note", message))
        return updates

    def _step(self, now_s: float) -> list[RouteUpdate]:
        """Whatever is due: output, a commit, the next request, the end."""
        if self.ended:
            return []
        updates = self._line.step(now_s)
        if self._owes_commit and not self._input.speaking and self._line.takes_commits:
            updates += self._commit(now_s)
            updates += self._line.step(now_s)
        if self._finish_by is not None and self._line.idle and not self._owes_commit:
            updates += self._end("everything has been translated", flushed=True)
        return updates

    def _end(self, why: str, *, flushed: bool = False, again: bool = True) -> list[RouteUpdate]:
        self.ended = True
        return [*self._line.abandon(why), RouteLinkEnded(why, flushed=flushed, again=again)]

    # --- what comes in ---------------------------------------------------------------------------------------------------

    def received(self, data: str | bytes, now_s: float) -> list[RouteUpdate]:
        """One message of the server. Call `outgoing()` afterwards."""
        if self.ended:
            return []
        try:
            event = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [RouteNote("warning", "The server sent a message that is not JSON.")]
        if not isinstance(event, dict):
            return [RouteNote("warning", "The server sent a message that is not an event.")]
        kind = self._dialect.server_events.get(text_of(event, "type"))
        if kind is None:
            return []
        updates = self._event(kind, event, now_s)
        return updates + self._step(now_s)

    def _event(self, kind: type[n.Notice], event: Json, now_s: float) -> list[RouteUpdate]:
        match kind:
            case n.SessionCreated | n.SessionUpdated:
                self._session_event(object_of(event, "session"), created=kind is n.SessionCreated)
                return []
            case n.ErrorRaised:
                return self._error(object_of(event, "error"), now_s)
            case n.ResponseCreated:
                response = object_of(event, "response")
                in_conversation = bool(text_of(response, "conversation_id"))
                return self._line.created(text_of(response, "id"), object_of(response, "metadata"), in_conversation)
            case n.ResponseDone:
                return self._response_done(object_of(event, "response"), now_s)
            case n.ItemAdded:
                return self._item_added(object_of(event, "item"))
            case _:
                self._words_event(kind, event)
                return self._output_event(kind, event, now_s)

    def _session_event(self, session: Json, *, created: bool) -> None:
        self.expires_at = number_of(session, "expires_at") or self.expires_at
        if not self._opened:
            self._opened = True
            self._outbox.send(SessionUpdateRequested(self._session.opening(session)))
        elif not created:
            self._session.opened(session)
            self.ready = True

    def _item_added(self, item: Json) -> list[RouteUpdate]:
        """A user's item names a commit where the server does not acknowledge it; an assistant's shows that answers are kept."""
        if text_of(item, "role") == "user":
            self._line.acknowledged(text_of(item, "id"))
        elif text_of(item, "role") == "assistant":
            return self._line.in_conversation()
        return []

    def _words_event(self, kind: type[n.Notice], event: Json) -> None:
        item_id = text_of(event, "item_id")
        match kind:
            case n.InputCommitted:
                self._line.acknowledged(item_id)
            case n.ItemDeleted:
                self._line.deleted(item_id)
            case n.TranscriptionDelta:
                self._line.words(item_id, delta=text_of(event, "delta"))
            case n.TranscriptionCompleted:
                self._line.words(item_id, whole=text_of(event, "transcript"))
            case n.TranscriptionFailedNotice:
                self._line.words(item_id, failed=True)
            case _:
                return

    def _output_event(self, kind: type[n.Notice], event: Json, now_s: float) -> list[RouteUpdate]:
        response_id = text_of(event, "response_id")
        match kind:
            case n.OutputItemAdded:
                self._line.output_item(response_id, text_of(object_of(event, "item"), "id"), now_s)
            case n.OutputTranscriptDelta | n.OutputTextDelta:
                self._line.text(response_id, text_of(event, "delta"), now_s)
            case n.OutputTranscriptDone | n.OutputTextDone:
                whole = text_of(event, "transcript") or text_of(event, "text")
                self._line.whole_text(response_id, whole, now_s)
            case n.OutputAudioDelta:
                audio = _pcm(text_of(event, "delta"))
                if audio is None:
                    return [RouteNote("warning", "The server sent audio that is not base64.")]
                self._line.audio(response_id, audio, now_s)
            case _:
                pass
        return []

    def _response_done(self, response: Json, now_s: float) -> list[RouteUpdate]:
        details = object_of(response, "status_details")
        error = object_of(details, "error")
        output = response.get("output")
        items = [text_of(item, "id") for item in output if isinstance(item, dict)] if isinstance(output, list) else []
        if error and meaning_of(error) is ErrorMeaning.FINAL:
            return self._end(words_of(error), again=False)
        return self._line.ended(
            text_of(response, "id"),
            text_of(response, "status"),
            error,
            text_of(details, "reason"),
            [item_id for item_id in items if item_id],
            now_s,
        )

    def _error(self, error: Json, now_s: float) -> list[RouteUpdate]:
        event_id, meaning, words = text_of(error, "event_id"), meaning_of(error), words_of(error)
        if not self.ready:
            self.refusal = words, meaning in (ErrorMeaning.RATE, ErrorMeaning.EXPIRED)
            return []
        if meaning in (ErrorMeaning.FINAL, ErrorMeaning.EXPIRED):
            return self._end(words, again=meaning is ErrorMeaning.EXPIRED)
        if self._line.fails_to_delete(error, event_id) or text_of(error, "code") == "response_cancel_not_active":
            return []
        if self._line.commits(event_id) or (not event_id and meaning is ErrorMeaning.EMPTY):
            return self._line.not_committed(event_id, words)
        if self._line.asks(event_id):
            return self._line.refused(error, now_s)
        if meaning is ErrorMeaning.VOICE:
            return [RouteNote("note", "The server keeps its voice until the next session begins.")]
        return [RouteNote("warning", f"The server reports: {words}")]


def _pcm(text: str) -> Int16 | None:
    """Base64 of PCM16; None where it is not that."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:  # `binascii.Error`, or what is not ASCII
        return None
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16, copy=False)
