"""A turn is answered once: an automatic reply answers a turn or a tool result that no reply has answered yet.

Laws kept here: a client's own request answers every turn that is unanswered at that moment; an automatic reply answers those with a
known transcript; a reply that is resumed after a false interruption answers only the turn that interrupted it.
"""

from __future__ import annotations

from parley.core.words.effects import ReleaseGeneration, Tell
from parley.core.words.events import CommitRequested, ResponseRequested
from parley.core.words.ids import ItemId, ResponseId
from parley.core.words.items import McpApprovalResponse
from parley.core.words.notices import (
    IdleTimeoutTriggered,
    InputCommitted,
    ItemAdded,
    McpCallProgress,
    ResponseCreated,
    ResponseDone,
)
from parley.testing.rules.base import Handlers, Rule, Step
from parley.testing.rules.input import Arrived
from parley.testing.rules.transcripts import Streams


class OneReply(Rule):
    """No turn is answered twice, and no automatic reply is made without an unanswered turn or tool result."""

    law = "one reply"

    def __init__(self, arrived: Arrived, streams: Streams) -> None:
        self._arrived = arrived
        self._streams = streams
        self._unanswered: dict[ItemId, None] = {}
        """In the order of their commits."""
        self._tools = False
        """A tool has answered, or the client has refused its call, and no reply followed yet."""
        self._idle: ItemId | None = None
        self._asked = False
        self._by_client = False
        self._resumed: set[ResponseId] = set()
        """Responses that were created and completed in one step without a released attempt: their audio existed before."""

    def before(self, step: Step) -> None:
        self._asked = isinstance(step.event, ResponseRequested)
        self._by_client = isinstance(step.event, CommitRequested)
        notices = [effect.notice for effect in step.effects if isinstance(effect, Tell)]
        released = any(isinstance(effect, ReleaseGeneration) for effect in step.effects)
        done = {
            one.response.id for one in notices if isinstance(one, ResponseDone) and one.response.status == "completed"
        }
        created = {one.response.id for one in notices if isinstance(one, ResponseCreated)}
        self._resumed = set() if released else created & done

    def effect_handlers(self) -> Handlers:
        return {
            IdleTimeoutTriggered: self._on_idle,
            InputCommitted: self._on_committed,
            ItemAdded: self._on_added,
            McpCallProgress: self._on_call,
            ResponseCreated: self._on_created,
        }

    def _on_idle(self, notice: IdleTimeoutTriggered) -> None:
        self._idle = notice.item_id

    def _on_committed(self, notice: InputCommitted) -> None:
        detection = self._arrived.settings.turn_detection
        automatic = detection is not None and detection.create_response and not self._by_client
        if automatic or notice.item_id == self._idle:
            self._unanswered[notice.item_id] = None

    def _on_added(self, notice: ItemAdded) -> None:
        self._tools = self._tools or isinstance(notice.item, McpApprovalResponse)

    def _on_call(self, notice: McpCallProgress) -> None:
        self._tools = self._tools or notice.state != "in_progress"

    def _on_created(self, notice: ResponseCreated) -> None:
        if notice.response.conversation_id is None:
            return
        if self._asked:
            self._unanswered.clear()
        else:
            calling = bool(self._unanswered) or self._tools
            self.require(calling, f"response {notice.response.id} answers no turn, or one that already has a reply")
            if notice.response.id in self._resumed:
                if self._unanswered:
                    self._unanswered.popitem()
                return
            self._unanswered = {item: None for item in self._unanswered if not self._known(item)}
        self._tools = False

    def _known(self, item: ItemId) -> bool:
        stream = self._streams.by_item.get(item)
        return stream is None or stream.settled
