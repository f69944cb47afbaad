"""The prompts: the conversation as it stands, with the transcripts that are known and the words that were heard.

Laws kept here: 9 (a released attempt's basis equals the basis at commit), 7 for prompts (no word beyond what was heard), that
nothing is generated before the transcripts it depends on, and that a prompt holds the question whatever the context's size.
"""

from __future__ import annotations

from parley.core.words.effects import StartGeneration
from parley.core.words.events import ResponseRequested
from parley.core.words.ids import ItemId, ResponseId
from parley.core.words.items import FunctionCall, FunctionCallOutput, InputAudio, InputText, Item, McpCall, Message
from parley.core.words.limits import TRANSCRIPT_WAIT_NS
from parley.core.words.notices import InputCommitted, ResponseCreated, ResponseDone
from parley.core.words.settings import OwnerSettings
from parley.testing.rules.attempts import AttemptLifecycle, StartedAttempt
from parley.testing.rules.base import Handlers, Rule, Step
from parley.testing.rules.conversation import ConversationOrder
from parley.testing.rules.heard_text import OnlyHeardIsKept
from parley.testing.rules.input import Arrived
from parley.testing.rules.transcripts import Stream, Streams


def user_text(item: Item) -> str:
    """The text of a user's message, as a prompt shows it."""
    if not isinstance(item, Message):
        return ""
    texts = [
        part.transcript or "" if isinstance(part, InputAudio) else part.text
        for part in item.content
        if isinstance(part, InputAudio | InputText)
    ]
    return " ".join(texts)


class Prompts(Rule):
    """9 and 7: every prompt is the conversation as it stands; a released attempt was made from what was then committed."""

    law = "9"

    def __init__(
        self,
        attempts: AttemptLifecycle,
        conversation: ConversationOrder,
        streams: Streams,
        arrived: Arrived,
        heard_text: OnlyHeardIsKept,
        owner: OwnerSettings,
    ) -> None:
        self._attempts = attempts
        self._conversation = conversation
        self._streams = streams
        self._arrived = arrived
        self._heard_text = heard_text
        self._owner = owner
        self._own_input: set[ResponseId] = set()
        self._previous_had_its_own_input = False
        self._started: list[StartGeneration] = []
        self._asked: ResponseRequested | None = None
        self._committed_ns: dict[ItemId, int] = {}
        self._committed_now: ItemId | None = None
        self._now_ns = 0

    def before(self, step: Step) -> None:
        self._now_ns = step.now_ns
        self._committed_now = None
        self._asked = step.event if isinstance(step.event, ResponseRequested) else None

    def effect_handlers(self) -> Handlers:
        return {
            StartGeneration: self._start,
            ResponseCreated: self._created,
            ResponseDone: self._done,
            InputCommitted: self._committed,
        }

    def _committed(self, notice: InputCommitted) -> None:
        self._committed_ns[notice.item_id] = self._now_ns
        self._committed_now = notice.item_id

    def _created(self, notice: ResponseCreated) -> None:
        view = notice.response
        if self._asked is not None:
            own = self._asked.params.input is not None
        else:  # a reply that follows tool results has the input of the reply before it
            own = view.conversation_id is None or self._previous_had_its_own_input
        if own:
            self._own_input.add(view.id)
        if view.conversation_id is not None:
            self._previous_had_its_own_input = False

    def _done(self, notice: ResponseDone) -> None:
        view = notice.response
        calls = any(isinstance(item, McpCall) for item in view.output)
        if calls and view.conversation_id is not None and view.status == "completed":
            self._previous_had_its_own_input = view.id in self._own_input

    def _start(self, effect: StartGeneration) -> None:
        self._started.append(effect)

    def after(self, step: Step) -> None:
        for effect in self._started:
            self._check(self._attempts.by_id[effect.attempt])
        self._started.clear()
        for attempt, changes in self._attempts.released:
            self._check_release(attempt, changes)

    # --- every prompt

    def _check(self, attempt: StartedAttempt) -> None:
        if attempt.filler:
            return
        items = attempt.started.prompt.items
        for item in items:
            if isinstance(item, Message) and item.role == "assistant":
                self._heard_text.check(item, "is shown to the model")
            if isinstance(item, Message) and any(isinstance(part, InputAudio) for part in item.content):
                self._check_words(item, held=attempt.response is None)
        if attempt.response is None or attempt.response not in self._own_input:
            self._check_order(attempt)
            self._check_question(attempt)
            self._check_calls(attempt)

    def _check_words(self, item: Message, *, held: bool) -> None:
        stream = self._streams.by_item.get(item.id)
        for part in item.content:
            blank = not (isinstance(part, InputAudio) and part.audio is not None)
            self.require(blank, f"the prompt contains audio: {item.id}")
        if stream is None or held:
            return
        self.require(self._known(item.id, stream), f"a reply is generated before the transcript of {item.id}")
        if stream.texts:
            self.require(
                user_text(item) in stream.texts,
                f"{item.id} is shown as {user_text(item)!r}, the recogniser gave {stream.texts}",
            )

    def _known(self, item: ItemId, stream: Stream) -> bool:
        waited = self._now_ns - self._committed_ns.get(item, self._now_ns)
        return stream.settled or waited >= TRANSCRIPT_WAIT_NS

    def _check_order(self, attempt: StartedAttempt) -> None:
        """The prompt's items are the conversation's, in its order, and none with text is missing while all fit."""
        shown = [item.id for item in attempt.started.prompt.items]
        order = self._conversation.order
        if shown and shown[-1] not in self._conversation.items and self._may_come_last(attempt):
            shown = shown[:-1]
        for item in order:
            stream = self._streams.by_item.get(item)
            known = stream is None or self._known(item, stream)
            self.require(known, f"a reply is generated before the transcript of {item}")
        at = 0
        for item in shown:
            self.require(
                item in order[at:],
                f"the prompt holds {item} out of place; the conversation is {order}, the prompt {shown}",
            )
            at = order.index(item) + 1
        fits = self._owner.context_tokens > sum(self._size(item) + 50 for item in order)
        cut = self._arrived.settings.truncation.mode == "retention_ratio"
        if not fits or cut or attempt.started.prompt.summary:
            return
        for item in order:
            if item in shown or not self._words(item).strip():
                continue
            own = self._attempts.of_response.get(attempt.response) if attempt.response is not None else None
            if own is None or self._conversation.items[item].done:
                self.fail(f"item {item} ({self._words(item)!r}) is missing in the prompt {shown}")

    def _check_question(self, attempt: StartedAttempt) -> None:
        """The user's last message and what follows it are shown (a speculative prompt ends with words that are no item yet)."""
        if attempt.response is None:
            return
        shown = {item.id for item in attempt.started.prompt.items}
        held = self._conversation.items
        question: list[ItemId] = []
        for item in self._conversation.order:
            if self._is_question(item):
                question = [item]
            elif question and held[item].done and (self._is_call(item) or self._words(item).strip()):
                question.append(item)
        missing = [item for item in question if item not in shown]
        self.require(not missing, f"{missing} of the question {question} are missing in the prompt {shown}", "question")

    def _is_question(self, item: ItemId) -> bool:
        held = self._conversation.items[item].item
        return isinstance(held, Message) and held.role == "user" and bool(self._words(item).strip())

    def _is_call(self, item: ItemId) -> bool:
        return isinstance(self._conversation.items[item].item, FunctionCall | FunctionCallOutput | McpCall)

    def _check_calls(self, attempt: StartedAttempt) -> None:
        """An output is shown with its call while the conversation holds that call."""
        shown = attempt.started.prompt.items
        called = {item.call_id for item in shown if isinstance(item, FunctionCall)}
        held = (held.item for held in self._conversation.items.values())
        known = {item.call_id for item in held if isinstance(item, FunctionCall)}
        for item in shown:
            if isinstance(item, FunctionCallOutput):
                alone = item.call_id in known - called
                self.require(not alone, f"the output {item.id} is shown without its call {item.call_id}", "question")

    def _words(self, item: ItemId) -> str:
        held = self._conversation.items[item]
        stream = self._streams.by_item.get(item)
        if held.spoken and stream is not None:
            return stream.resolved or ""
        return user_text(held.item)

    def _size(self, item: ItemId) -> int:
        """Characters that the item may take in a prompt."""
        match self._conversation.items[item].item:
            case FunctionCall(arguments=text) | FunctionCallOutput(output=text):
                return len(text)
            case McpCall(arguments=text, output=output):
                return len(text) + len(output or "")
            case _:
                return len(self._words(item))

    def _may_come_last(self, attempt: StartedAttempt) -> bool:
        """A speculative prompt ends with words of the user that are no item yet; any prompt may end with a hint of the server's."""
        last = attempt.started.prompt.items[-1]
        speculative = attempt.response is None or any(attempt is released for released, _ in self._attempts.released)
        return isinstance(last, Message) and (last.role == "system" or (speculative and last.role == "user"))

    # --- a released attempt

    def _check_release(self, attempt: StartedAttempt, changes: int) -> None:
        version = self._arrived.settings.version
        self.require(
            attempt.settings_version == version, f"attempt {attempt.id}, made under other settings, was released"
        )
        own = 1
        self.require(
            changes - attempt.changes <= own,
            f"attempt {attempt.id} was released though the conversation had changed {changes - attempt.changes} times",
        )
        last = attempt.started.prompt.items[-1] if attempt.started.prompt.items else None
        stream = self._streams.by_item.get(self._committed_now) if self._committed_now is not None else None
        if last is None or stream is None or not isinstance(last, Message):
            self.fail(f"attempt {attempt.id} was released without a turn of the user in its prompt")
        self.require(bool(stream.texts), f"attempt {attempt.id} was released before the transcript of {stream.item}")
        same = user_text(last) == stream.texts[-1]
        self.require(same, f"attempt {attempt.id} answered {user_text(last)!r}, committed was {stream.texts[-1]!r}")
