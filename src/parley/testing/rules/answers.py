"""The answer to every client event: its notice or its error, with its event_id, in the same step.

Laws kept here: 13, and that an error in answer to a client always names the client's event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never, get_args

from parley.core.words.effects import FindPipeline
from parley.core.words.events import (
    AudioArrived,
    CancelRequested,
    ClearRequested,
    ClientErred,
    ClientEvent,
    CommitRequested,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemRetrieveRequested,
    ItemTruncateRequested,
    OutputClearRequested,
    ResponseRequested,
    SessionCloseRequested,
    SessionUpdateRequested,
)
from parley.core.words.notices import (
    ErrorRaised,
    InputCleared,
    InputCommitted,
    ItemAdded,
    ItemDeleted,
    ItemDone,
    ItemRetrieved,
    ItemTruncated,
    Notice,
    OutputBufferCleared,
    ResponseCreated,
    ResponseDone,
    SessionUpdated,
)
from parley.core.words.pipeline_events import PipelineFound, PipelineNotFound
from parley.testing.rules.base import Rule, Step
from parley.testing.rules.conversation import ConversationOrder
from parley.testing.rules.response_lifecycle import ResponseLifecycle

_CLIENT_EVENTS: frozenset[type] = frozenset(get_args(ClientEvent))


class Answers(Rule):
    """13: every client event gets its answer or its error, with its event_id, and not both."""

    law = "13"

    def __init__(
        self, responses: ResponseLifecycle, conversation: ConversationOrder, playback: str, closed: Callable[[], bool]
    ) -> None:
        self._responses = responses
        self._conversation = conversation
        self._playback = playback
        self._closed = closed
        self._was_closed = False
        self._was_playing_main = False
        self._existing: frozenset[str] = frozenset()
        self._was_open: frozenset[str] = frozenset()

    def before(self, step: Step) -> None:
        if type(step.event) not in _CLIENT_EVENTS:
            return
        self._was_closed = self._closed()
        self._existing = frozenset(self._conversation.items)
        self._was_open = frozenset(record.id for record in self._responses.open)

    def after(self, step: Step) -> None:
        event = step.event
        if not isinstance(event, ClientEvent):
            for notice in step.notices:
                if isinstance(notice, ErrorRaised) and not isinstance(event, PipelineFound | PipelineNotFound):
                    what = f"an error that answers no client event names {notice.client_event_id}"
                    self.require(notice.client_event_id is None, what)
            return
        if self._was_closed:
            return
        notices = step.notices
        errors = [notice for notice in notices if isinstance(notice, ErrorRaised) and _answers(notice, event)]
        for error in errors:
            same = error.client_event_id == event.event_id
            self.require(
                same, f"the error names event {error.client_event_id}, the client's was {event.event_id}: {error}"
            )
        self.require(len(errors) <= 1, f"{len(errors)} errors for one event: {errors}")
        if any(isinstance(effect, FindPipeline) for effect in step.effects):
            return  # the answer follows when the pipeline is found, see `pipelines.py`
        answered = self._answered(event, notices)
        if answered is None:
            return
        self.require(answered or len(errors) == 1, f"{event} got neither its answer nor an error")
        self.require(not (answered and errors), f"{event} got its answer and an error: {errors}")

    def _answered(self, event: ClientEvent, notices: list[Notice]) -> bool | None:
        """Whether the answer is among the notices; None where the event needs none."""
        match event:
            case SessionUpdateRequested():
                return self._count(notices, SessionUpdated) == 1
            case AudioArrived() | SessionCloseRequested():
                return None  # a close is answered once all that is pending has been finished
            case ClientErred():
                return self._erred(event, notices)
            case CommitRequested():
                return self._count(notices, InputCommitted) == 1
            case ClearRequested():
                return self._count(notices, InputCleared) == 1
            case OutputClearRequested():
                return None if self._playback == "paced" else self._count(notices, OutputBufferCleared) == 1
            case ItemCreateRequested() | ItemRetrieveRequested() | ItemDeleteRequested() | ItemTruncateRequested():
                return self._item_answered(event, notices)
            case ResponseRequested():
                return self._created(event, notices)
            case CancelRequested():
                return self._cancelled(event, notices)
            case _:
                assert_never(event)

    def _count(self, notices: list[Notice], kind: type) -> int:
        return sum(isinstance(notice, kind) for notice in notices)

    def _erred(self, event: ClientErred, notices: list[Notice]) -> bool | None:
        errors = [notice for notice in notices if isinstance(notice, ErrorRaised)]
        expected = ErrorRaised(event.code, event.message, None, event.kind, event.event_id, event.path)
        self.require(errors == [expected], f"{event} was answered with {errors}")
        return None

    def _item_answered(
        self,
        event: ItemCreateRequested | ItemRetrieveRequested | ItemDeleteRequested | ItemTruncateRequested,
        notices: list[Notice],
    ) -> bool:
        match event:
            case ItemCreateRequested():
                added = [notice for notice in notices if isinstance(notice, ItemAdded)]
                done = [notice for notice in notices if isinstance(notice, ItemDone)]
                if not added:
                    return False
                created = added[0].item.id
                self.require(
                    any(notice.item.id == created for notice in done), f"{created} created, its done is missing"
                )
                self.require(event.item.id in ("", created), f"{event.item.id} was created as {created}")
                return True
            case ItemRetrieveRequested():
                found = [notice.item.id for notice in notices if isinstance(notice, ItemRetrieved)]
                self.require(found in ([], [event.item_id]), f"asked for {event.item_id}, got {found}")
                self.require(bool(found) == (event.item_id in self._existing), f"{event.item_id}: retrieved {found}")
                return bool(found)
            case ItemDeleteRequested():
                gone = [notice.item_id for notice in notices if isinstance(notice, ItemDeleted)]
                self.require(gone in ([], [event.item_id]), f"asked to delete {event.item_id}, deleted {gone}")
                return bool(gone)
            case ItemTruncateRequested():
                expected = ItemTruncated(event.item_id, event.content_index, event.audio_end_ms)
                cuts = [notice for notice in notices if isinstance(notice, ItemTruncated)]
                cut = [notice for notice in cuts if notice.item_id == event.item_id]
                self.require(cut in ([], [expected]), f"asked for {expected}, got {cuts}")
                # Where the server plays, all output stops with the item; other queued items are truncated to what was heard.
                silenced = bool(cut) and self._count(notices, OutputBufferCleared) > 0
                self.require(silenced or len(cuts) == len(cut), f"asked for {expected} alone, got {cuts}")
                return bool(cut)
            case _:
                assert_never(event)

    def _created(self, event: ResponseRequested, notices: list[Notice]) -> bool:
        views = [notice.response for notice in notices if isinstance(notice, ResponseCreated)]
        if not views:
            return False
        self.require(len(views) == 1, f"one response.create, {len(views)} responses")
        view, params = views[0], event.params
        self.require(
            (view.conversation_id is not None) == params.in_conversation, f"{view} answers {params}", "order 4.8"
        )
        self.require(
            view.metadata == params.metadata, f"metadata {params.metadata} came back as {view.metadata}", "order 4.8"
        )
        return True

    def _cancelled(self, event: CancelRequested, notices: list[Notice]) -> bool:
        ended = [notice.response for notice in notices if isinstance(notice, ResponseDone)]
        for view in ended:
            self.require(
                view.status == "cancelled" and view.reason == "client_cancelled",
                f"cancelled as {view.status}/{view.reason}",
            )
            self.require(
                event.response_id in (None, view.id), f"asked to cancel {event.response_id}, cancelled {view.id}"
            )
        if event.response_id is not None and event.response_id in self._was_open:
            self.require(bool(ended), f"response {event.response_id} was running and was not cancelled")
        return bool(ended)


def _answers(error: ErrorRaised, event: ClientEvent) -> bool:
    """Whether the error is about this client event, not about an engine or a turn that ended in the same step."""
    own = error.kind == "invalid_request_error" or isinstance(event, ClientErred)
    return own or error.client_event_id is not None or isinstance(event, ResponseRequested)
