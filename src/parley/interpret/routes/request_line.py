"""The sentences of a link on their way through the server: committed, asked for one response after the other, judged, done with.

Laws:
- Pure: `now_s` is the caller's monotonic clock. `step()` does whatever is due; call it after every change, and at `deadline()`.
- One response at a time. A sentence that ends meanwhile waits.
- Each sentence is translated, or reported: as `Drifted`, or in a note.
- Out of band, a request names the items of its sentences and sees nothing else. In band, and until the first response out of band has
  ended, the conversation holds nothing but the sentences that are asked for: items are deleted once they are done with, and nothing is
  committed until the response before has begun.
- Where nothing of a response was played, one that failed is asked for once more; one that drifted is asked for once more, strictly.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from parley.audio.types import Int16
from parley.client.event_fields import Json
from parley.core.words.events import CancelRequested, ItemDeleteRequested, ResponseRequested
from parley.core.words.ids import ItemId, ResponseId
from parley.interpret.routes.client_outbox import ClientOutbox
from parley.interpret.routes.done_items import DoneItems
from parley.interpret.routes.response_output import LanguagePair, ResponseOutput
from parley.interpret.routes.sentences import RunningSource, SentenceQueue, SpokenSentence
from parley.interpret.routes.server_errors import (
    BUSY_WAIT_S,
    BUSY_WAITS,
    ErrorMeaning,
    meaning_of,
    rate_wait_s,
    words_of,
)
from parley.interpret.routes.translating_session import ConversationOptions, TranslatingSession
from parley.interpret.routes.translation_asked import TranslationAsked
from parley.interpret.updates import Drifted, RouteNote, RouteUpdate, TargetText

SILENT_S: Final = 30.0
"""A server that has not said anything of a response or a commit for so long is lost."""

FOREIGN_REMEMBERED: Final = 64
"""Responses that were not asked for here, and whose output is not played."""

NOTHING_SAID: Final = "nothing was said"


class RequestLine:
    """Call `add()` for each commit and `acknowledged()` when the server has named its item; the others for what the server says.

    `out_of_band` False: the server takes requests in its conversation only. `drifts` counts outputs that were no translation.
    """

    def __init__(
        self, options: ConversationOptions, session: TranslatingSession, outbox: ClientOutbox, *, out_of_band: bool
    ) -> None:
        self._options, self._session, self._outbox = options, session, outbox
        self._queue, self._words, self._done = SentenceQueue(), RunningSource(), DoneItems()
        self._unnamed: deque[SpokenSentence] = deque()
        self._items: set[str] = set()
        self._request: TranslationAsked | None = None
        self._foreign: deque[str] = deque(maxlen=FOREIGN_REMEMBERED)
        self.out_of_band = out_of_band
        self._proven = False
        self.drifts = 0

    @property
    def _looks(self) -> bool:
        """Whether a response looks at the conversation. Some servers take no notice of what a request says of it: before the first response
        has ended out of band, they are treated as if they did."""
        return not (self.out_of_band and self._proven)

    # --- sentences -------------------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Nothing is waited for."""
        return self._request is None and not (self._queue or self._unnamed or self._words)

    @property
    def takes_commits(self) -> bool:
        """A response that looks at the conversation must find nothing added to it before it has begun."""
        request = self._request
        if not self._looks or request is None or not request.in_progress:
            return True
        return request.output is not None and request.output.begun

    def add(self, sentence: SpokenSentence) -> list[RouteUpdate]:
        """A sentence has been committed."""
        sentence.heard = not self._session.transcribes
        self._unnamed.append(sentence)
        self._words.add(sentence)
        updates: list[RouteUpdate] = []
        for lost in self._queue.add(sentence):
            updates.append(not_translated([lost], "the server is far slower than speech"))
            self._done.sentence(lost)
        return updates

    def acknowledged(self, item_id: str) -> None:
        """The server has made an item of the oldest commit that has none. Item ids that are known already are ignored."""
        if self._unnamed and item_id and item_id not in self._items:
            self._unnamed.popleft().item_id = item_id
            self._items.add(item_id)

    def not_committed(self, event_id: str, why: str) -> list[RouteUpdate]:
        """The server has refused a commit; `event_id` "": the oldest."""
        found = [one for one in self._unnamed if not event_id or one.commit == event_id][:1]
        for sentence in found:
            self._unnamed.remove(sentence)
            self._queue.remove(sentence)
            sentence.heard = True
        return [not_translated(found, why)] if found else []

    def commits(self, event_id: str) -> bool:
        """Whether the event is a commit that has not been answered."""
        return any(one.commit == event_id for one in self._unnamed)

    def words(self, item_id: str, *, delta: str = "", whole: str | None = None, failed: bool = False) -> None:
        """What was understood of an item: more of it, all of it, or nothing."""
        sentence = self._words.of_item(item_id)
        if sentence is None:
            return
        sentence.partial += delta
        if whole is not None or failed:
            sentence.heard, sentence.source = True, None if whole is None else whole.strip()

    # --- the response in progress ----------------------------------------------------------------------------------------

    def created(self, response_id: str, metadata: Json, in_conversation: bool) -> list[RouteUpdate]:
        """A response has begun. What one says that was not asked for here is not played."""
        request = self._request
        other = "sentence" in metadata and request is not None and _name(metadata) != request.name
        if request is None or not request.in_progress or request.response_id or other:
            self._foreign.append(response_id)
            return []
        request.response_id = response_id
        return self.in_conversation() if in_conversation else []

    def in_conversation(self) -> list[RouteUpdate]:
        """The server has put an answer into its conversation, although it was asked for out of band."""
        return self._go_in_band(
            "The server keeps its answers in the conversation: they are deleted after each sentence."
        )

    def is_running(self, response_id: str, now_s: float) -> TranslationAsked | None:
        """The request whose response this is; None: another response's. A response without an id, or one whose begin was not announced, is
        taken for the one that was asked for."""
        request = self._request
        if request is None or not request.in_progress or response_id in self._foreign:
            return None
        if request.response_id and response_id != request.response_id:
            return None
        request.response_id = response_id
        request.touched_s = now_s
        return request

    def output_item(self, response_id: str, item_id: str, now_s: float) -> None:
        request = self.is_running(response_id, now_s)
        if request is not None and item_id and item_id not in request.output_items:
            request.output_items.append(item_id)

    def text(self, response_id: str, delta: str, now_s: float) -> None:
        request = self.is_running(response_id, now_s)
        if request is not None and request.output is not None:
            request.output.add_text(delta, now_s)

    def whole_text(self, response_id: str, text: str, now_s: float) -> None:
        """All of the text, of which some may not have come yet."""
        request = self.is_running(response_id, now_s)
        if request is not None and request.output is not None and text.startswith(request.output.text):
            request.output.add_text(text[len(request.output.text) :], now_s)

    def audio(self, response_id: str, audio: Int16, now_s: float) -> None:
        request = self.is_running(response_id, now_s)
        if request is not None and request.output is not None:
            request.output.add_audio(audio, now_s)

    def ended(
        self, response_id: str, status: str, error: Json, why: str, items: list[str], now_s: float
    ) -> list[RouteUpdate]:
        """A response has ended; `error` is that of one that failed, `why` the reason that the server gives, `items` its output. Next:
        `step()`."""
        request = self.is_running(response_id, now_s)
        if not self.out_of_band:
            self._done.outputs(items + (request.output_items if request is not None else []))
        if request is None:
            return []
        request.output_items = []
        request.in_progress = False
        self._proven = self._proven or status == "completed"
        if status == "completed" or request.unwanted is not None or request.wordless:
            request.ended_s = now_s
            return []
        if error and meaning_of(error) is ErrorMeaning.RATE:
            return self._wait_for_rate(request, error, now_s)
        return self._failed(
            request, words_of(error) if error else f"the response ended {status} ({why or 'no reason'})"
        )

    def asks(self, event_id: str) -> bool:
        """Whether an error with this event id is the answer to the request; "": whether it may be."""
        request = self._request
        if request is None or not request.in_progress:
            return False
        return event_id == request.event_id or (not event_id and not request.response_id)

    def refused(self, error: Json, now_s: float) -> list[RouteUpdate]:
        """The server has refused to start the response. Next: `step()`."""
        request = self._request
        assert request is not None
        request.in_progress = False
        meaning = meaning_of(error)
        if meaning is ErrorMeaning.OUT_OF_BAND and self.out_of_band:
            request.again()
            return self._go_in_band(
                "The server takes no requests outside its conversation: sentences are deleted after each translation."
            )
        if meaning is ErrorMeaning.RATE:
            return self._wait_for_rate(request, error, now_s)
        if meaning is ErrorMeaning.BUSY and request.busy < BUSY_WAITS:
            request.busy += 1
            request.again(now_s + BUSY_WAIT_S)
            return []
        if meaning is ErrorMeaning.GONE:
            return self._close(request, [not_translated(request.sentences, "the server no longer has it")])
        return self._failed(request, words_of(error))

    def _go_in_band(self, message: str) -> list[RouteUpdate]:
        if not self.out_of_band:
            return []
        self.out_of_band = False
        return [RouteNote("note", message)]

    def _wait_for_rate(self, request: TranslationAsked, error: Json, now_s: float) -> list[RouteUpdate]:
        wait_s = rate_wait_s(error, request.limited)
        if wait_s is None or (request.output is not None and request.output.released):
            request.failures += 1  # it has been asked for often enough
            return self._failed(request, words_of(error))
        first = request.limited == 0
        request.limited += 1
        request.again(now_s + wait_s)
        return [RouteNote("warning", f"The server limits the rate of requests: {words_of(error)}")] if first else []

    def _failed(self, request: TranslationAsked, why: str) -> list[RouteUpdate]:
        output = request.output
        if output is not None and output.released:
            note = RouteNote("warning", f"A translation broke off after {output.played_ms / 1000:.1f} s: {why}")
            return self._close(request, [*end_of_text(output), note])
        if request.failures == 0:
            request.failures += 1
            request.again()
            return []
        return self._close(request, [not_translated(request.sentences, why)])

    # --- what follows ----------------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When `step()` is due, or `silent()`; None: not before something happens."""
        times = [self._words.deadline(), *self._answers_due()]
        request = self._request
        if request is not None:
            times.append(request.verdict_at())
            if request.output is None:
                times += [] if self._looks and self._unnamed else [request.not_before_s]
            elif request.unwanted is None and not request.wordless:
                times.append(request.output.deadline(heard=request.heard))
        return min((time for time in times if time is not None), default=None)

    def silent(self, now_s: float) -> bool:
        """Whether the server owes an answer that is long overdue."""
        return any(now_s >= due_s for due_s in self._answers_due())

    def _answers_due(self) -> list[float]:
        due = [self._unnamed[0].ended_s + SILENT_S] if self._unnamed else []
        request = self._request
        return due if request is None or not request.in_progress else [*due, request.touched_s + SILENT_S]

    def step(self, now_s: float) -> list[RouteUpdate]:
        """Whatever is due: words to show, output to judge and to play, the next request, items to delete."""
        self._words.expire(now_s)
        updates = self._words.changed()
        if self._request is not None and self._request.output is not None:
            updates += self._judge(self._request, self._request.output, now_s)
        updates += self._next_request(now_s)
        self._delete(all_of_them=False)
        return updates

    def _judge(self, request: TranslationAsked, output: ResponseOutput, now_s: float) -> list[RouteUpdate]:
        stopped = request.unwanted is not None or request.wordless
        if not stopped:
            request.wordless = request.said_nothing and not output.released
            request.unwanted = output.drift(request.source, heard=request.heard, now_s=now_s)
            stopped = request.unwanted is not None or request.wordless
            if stopped and request.in_progress:
                response_id = ResponseId(request.response_id) if request.response_id else None
                self._outbox.send(CancelRequested(response_id))
        verdict_at = request.verdict_at()
        if verdict_at is not None and (stopped or request.heard or now_s >= verdict_at):
            return self._settle(request, output)
        return [] if stopped else output.release(heard=request.heard, now_s=now_s)

    def _settle(self, request: TranslationAsked, output: ResponseOutput) -> list[RouteUpdate]:
        """The response has ended: its verdict, and what follows from it."""
        if request.wordless:
            return self._close(request, [])
        drift, source = request.verdict(), request.source
        why = NOTHING_SAID if request.said_nothing else drift.reason if drift is not None else ""
        if not why:
            updates = output.release_all()
            if source and output.text:
                self._session.translated(source, output.text.strip(), output.pair.target)
            return self._close(request, [*updates, *end_of_text(output)])
        self.drifts += 1
        if output.played_ms:
            why += f"; {output.played_ms / 1000:.1f} s of it had been given to be played"
        again = not request.strict and not request.said_nothing
        updates = [*end_of_text(output), Drifted(source or "", output.text.strip(), why, again=again)]
        if not again:
            return self._close(request, updates)
        request.strict = True
        request.again()
        return updates

    def _close(self, request: TranslationAsked, updates: list[RouteUpdate]) -> list[RouteUpdate]:
        """The request is done with."""
        self._request = None
        for sentence in request.sentences:
            self._done.sentence(sentence)
        return updates

    def _next_request(self, now_s: float) -> list[RouteUpdate]:
        """Ask for a response where none is in progress and something waits for one."""
        for sentence in self._queue.wordless():
            self._done.sentence(sentence)
        request = self._request
        if request is not None and (request.output is not None or now_s < request.not_before_s):
            return []
        if self._looks and self._unnamed:
            return []  # it would be in the conversation, and not among the sentences of the request
        taken: tuple[SpokenSentence, ...] = ()
        note: RouteNote | None = None
        if request is None or self._looks:
            taken, note = self._queue.take(now_s, together=self._looks)
        if request is not None:
            request.sentences += taken
        elif taken:
            request = self._request = TranslationAsked(taken)
        if request is not None:
            self._ask(request, now_s)
        return [note] if note is not None else []

    def _ask(self, request: TranslationAsked, now_s: float) -> None:
        self._delete(all_of_them=self._looks)
        pair = LanguagePair(self._session.source, self._session.target)
        output = ResponseOutput(pair, request.until_ms, hold=self._options.hold, guess=self._options.guess)
        params = self._session.response(
            request.sentences, strict=request.strict, metadata=request.name, out_of_band=self.out_of_band
        )
        request.begin(self._outbox.send(ResponseRequested(params)), output, now_s)

    def _delete(self, *, all_of_them: bool) -> None:
        for item_id in self._done.due(all_of_them=all_of_them):
            self._items.discard(item_id)
            self._done.deleting(item_id, self._outbox.send(ItemDeleteRequested(ItemId(item_id))))

    def deleted(self, item_id: str) -> None:
        """The server has deleted an item."""
        self._done.deleted(item_id)

    def fails_to_delete(self, error: Json, event_id: str) -> bool:
        """Whether an error is only that of a deletion."""
        return self._done.fails(event_id, words_of(error), gone=meaning_of(error) is ErrorMeaning.GONE)

    def abandon(self, why: str) -> list[RouteUpdate]:
        """The link is over: report what was not translated."""
        request, self._request = self._request, None
        lost = [*(request.sentences if request is not None else ()), *self._queue.given_up()]
        updates = end_of_text(request.output) if request is not None and request.output is not None else []
        return [*updates, not_translated(lost, why)] if lost else updates


def not_translated(sentences: list[SpokenSentence] | tuple[SpokenSentence, ...], why: str) -> RouteNote:
    """The note for sentences that nobody hears."""
    one = len(sentences) == 1
    seconds = sum(sentence.length_ms for sentence in sentences) / 1000
    what = "A sentence was" if one else f"{len(sentences)} sentences were"
    return RouteNote("warning", f"{what} not translated ({seconds:.1f} s of speech): {why}")


def _name(metadata: Json) -> tuple[object, object]:
    """As `TranslationAsked.name`, from what the server repeats."""
    return metadata.get("sentence"), metadata.get("attempt")


def end_of_text(output: ResponseOutput) -> list[RouteUpdate]:
    """The end of a text of which something was shown."""
    return [TargetText(ends=True)] if output.released else []
