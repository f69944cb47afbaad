"""The lifecycle of each response, as the client sees it: created, items and parts added, deltas, done.

Laws kept here: 2 (exactly one terminal), 3 (nothing after the terminal; every *added* has its *done*), and the order of protocol 4.1
to 4.9. This is a model as well as a rule: the rules about audio, text and generations read its records.
"""

from __future__ import annotations

from parley.core.words.ids import ItemId, ResponseId
from parley.core.words.items import (
    FunctionCall,
    Item,
    McpApprovalRequest,
    McpCall,
    Message,
    OutputAudio,
    OutputText,
)
from parley.core.words.notices import (
    ContentPartAdded,
    ContentPartDone,
    ItemAdded,
    ItemDeleted,
    ItemDone,
    ItemTruncated,
    OutputAudioDelta,
    OutputAudioDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    OutputTranscriptDelta,
    OutputTranscriptDone,
    PartAt,
    ResponseCreated,
    ResponseDone,
    ResponseView,
)
from parley.core.words.settings import Modality
from parley.testing.rules.base import Handlers, Rule
from parley.testing.rules.entries import ItemEntry, PartEntry, ResponseRecord


class ResponseLifecycle(Rule):
    """2 and 3, and the order of the response events: created, item added, part added, deltas, their dones inside out, done."""

    law = "3"

    def __init__(self) -> None:
        self.by_id: dict[ResponseId, ResponseRecord] = {}
        self.items: dict[ItemId, tuple[ResponseRecord, ItemEntry]] = {}
        self._awaiting_added: ItemEntry | None = None
        self._closed = False

    @property
    def open(self) -> list[ResponseRecord]:
        return [record for record in self.by_id.values() if record.done is None]

    @property
    def main(self) -> ResponseRecord | None:
        """The open response of the default conversation."""
        return next((record for record in self.by_id.values() if record.done is None and record.in_conversation), None)

    def makes(self, item: ItemId) -> bool:
        """Whether this item of the conversation belongs to a response (a client may reuse the id of one that it has deleted)."""
        known = self.items.get(item)
        return known is not None and not known[1].deleted

    def effect_handlers(self) -> Handlers:
        return {
            ResponseCreated: self._created,
            OutputItemAdded: self._item_added,
            ItemAdded: self._conversation_added,
            ContentPartAdded: self._part_added,
            OutputTextDelta: self._text,
            OutputTranscriptDelta: self._transcript,
            OutputAudioDelta: self._audio,
            OutputAudioDone: self._audio_done,
            OutputTranscriptDone: self._transcript_done,
            OutputTextDone: self._text_done,
            ContentPartDone: self._part_done,
            ItemDone: self._conversation_done,
            ItemDeleted: self._deleted,
            ItemTruncated: self._truncated,
            OutputItemDone: self._item_done,
            ResponseDone: self._done,
        }

    def finish(self, quiet: bool) -> None:
        for record in self.open:
            self.require(not quiet, f"response {record.id} was created and never done", "2")

    # --- the response itself

    def _created(self, notice: ResponseCreated) -> None:
        view = notice.response
        self.require(view.id not in self.by_id, f"response {view.id} created twice", "2")
        self.require(view.status == "in_progress", f"response {view.id} created with status {view.status}", "order 4.1")
        fresh = view.output == () and view.usage is None and view.reason is None and view.error is None
        self.require(fresh, f"response {view.id} created with output, usage or an end already in it", "order 4.1")
        self.by_id[view.id] = ResponseRecord(view)

    def alive(self, response: ResponseId, what: str) -> ResponseRecord:
        record = self.by_id.get(response)
        if record is None:
            self.fail(f"{what} of response {response}, which was never created", "order 4.1")
        if record.done is not None:
            self.fail(f"{what} of response {response} after its terminal")
        if self._awaiting_added is not None:
            self.fail(
                f"{what} between output_item.added and conversation.item.added of {self._awaiting_added.item.id}",
                "order 4.1",
            )
        return record

    def _done(self, notice: ResponseDone) -> None:
        view = notice.response
        known = self.by_id.get(view.id)
        if known is not None and known.done is not None:
            self.fail(f"a second terminal of response {view.id}", "2")
        record = self.alive(view.id, "response.done")
        for entry in record.items:
            self.require(entry.done is not None, f"response {view.id} is done, its item {entry.item.id} is not")
            running = isinstance(entry.item, McpCall) and view.status != "completed"
            if record.in_conversation and not entry.deleted and not running:
                self.require(
                    entry.done_in_conversation is not None,
                    f"item {entry.item.id} was added to the conversation, never done",
                )
        self.require(view.status != "in_progress", f"response {view.id} done with status in_progress", "2")
        output = tuple(entry.done for entry in record.items if entry.done is not None)
        self.require(
            [item.id for item in view.output] == [item.id for item in output],
            f"response {view.id} done with other items than it sent: {view.output} instead of {output}",
            "order 4.1",
        )
        self._check_view(record.created, view)
        record.done = view

    def _check_view(self, created: ResponseView, view: ResponseView) -> None:
        same = (created.conversation_id, created.modality, created.metadata, created.voice, created.output_format)
        now = (view.conversation_id, view.modality, view.metadata, view.voice, view.output_format)
        self.require(same == now, f"response {view.id} changed between created and done: {same} -> {now}", "order 4.1")
        reasons: dict[str, tuple[str | None, ...]] = {
            "completed": (None,),
            "failed": (None,),
            "cancelled": ("turn_detected", "client_cancelled"),
            "incomplete": ("max_output_tokens", "content_filter"),
        }
        self.require(
            view.reason in reasons[view.status],
            f"response {view.id}: {view.status} because of {view.reason}",
            "order 4.6",
        )
        self.require(
            (view.error is not None) == (view.status == "failed"), f"{view.status} with error {view.error}", "order 4.9"
        )
        if view.status in ("completed", "incomplete"):
            self.require(view.usage is not None, f"response {view.id} ended {view.status} without usage", "order 4.1")
        if view.usage is not None:
            usage = view.usage
            counts = (
                usage.input_text,
                usage.input_audio,
                usage.input_image,
                usage.input_cached,
                usage.output_text,
                usage.output_audio,
            )
            self.require(min(counts) >= 0, f"negative usage: {view.usage}", "order 4.1")
        if view.status == "completed":
            whole = all(item.status == "completed" for item in view.output)
            self.require(whole, f"response {view.id} completed with an unfinished item", "order 4.6")

    # --- its items

    def _item_added(self, notice: OutputItemAdded) -> None:
        record = self.alive(notice.response_id, "output_item.added")
        item = notice.item
        self.require(
            notice.output_index == len(record.items),
            f"output_index {notice.output_index}, expected {len(record.items)}",
            "order 4.1",
        )
        self.require(item.id not in self.items, f"item {item.id} added twice to responses", "order 4.1")
        self.require(item.status == "in_progress", f"item {item.id} added with status {item.status}", "order 4.1")
        match item:
            case Message():
                self.require(
                    item.role == "assistant" and item.content == (), f"message added with content: {item}", "order 4.1"
                )
            case FunctionCall():
                self.require(
                    item.arguments == "" and item.name != "" and item.call_id != "",
                    f"bad call added: {item}",
                    "order 4.5",
                )
            case McpCall() | McpApprovalRequest():
                self.require(item.arguments == "" and item.name != "", f"bad call added: {item}", "order 4.12")
            case _:
                self.fail(f"a response cannot hold {item}", "order 4.5")
        entry = ItemEntry(item, notice.output_index)
        record.items.append(entry)
        self.items[item.id] = (record, entry)
        if record.in_conversation:
            self._awaiting_added = entry

    def _conversation_added(self, notice: ItemAdded) -> None:
        known = self.items.get(notice.item.id)
        if known is None or known[1].deleted:
            self.require(
                self._awaiting_added is None, f"{notice.item.id} added while another item waits for it", "order 4.1"
            )
            return
        record, entry = known
        self.require(record.in_conversation, f"out-of-band item {notice.item.id} entered the conversation", "order 4.8")
        self.require(
            entry is self._awaiting_added, f"item {notice.item.id} added to the conversation out of turn", "order 4.1"
        )
        self.require(
            notice.item == entry.item,
            f"item differs in output_item.added and conversation.item.added: {notice.item}",
            "order 4.1",
        )
        entry.added_to_conversation = True
        self._awaiting_added = None

    def _deleted(self, notice: ItemDeleted) -> None:
        if notice.item_id in self.items:
            self.items[notice.item_id][1].deleted = True

    def _truncated(self, notice: ItemTruncated) -> None:
        if notice.item_id in self.items:
            self.items[notice.item_id][1].truncated = True

    def _check_closed(self, entry: ItemEntry, item: Item) -> None:
        self.require(item.id == entry.item.id, f"item {item.id} closed as {entry.item.id}", "order 4.1")
        self.require(item.status != "in_progress", f"item {item.id} done with status in_progress", "order 4.1")
        self.require(all(part.done for part in entry.parts), f"item {item.id} is done, a part of it is not")
        match item:
            case FunctionCall():
                if item.status == "completed":
                    self.require(entry.arguments_done, f"call {item.id} completed without arguments.done", "order 4.5")
                    self.require(
                        item.arguments == entry.arguments,
                        f"call {item.id}: other arguments than were sent",
                        "order 4.5",
                    )
            case Message():
                text = "".join(
                    part.transcript if isinstance(part, OutputAudio) else part.text for part in _output(item)
                )
                if item.status == "completed" and not entry.truncated:
                    self.require(
                        text == entry.sent_text,
                        f"item {item.id} holds {text!r}, {entry.sent_text!r} was sent",
                        "order 4.1",
                    )
                else:
                    self.require(
                        entry.sent_text.startswith(text),
                        f"item {item.id} holds {text!r}, which was never sent",
                        "order 4.6",
                    )
            case McpCall():
                same = entry.arguments_done and item.arguments == entry.arguments
                self.require(same, f"call {item.id}: other arguments than were sent", "order 4.12")
            case McpApprovalRequest():
                pass
            case _:
                self.fail(f"a response cannot hold {item}", "order 4.5")

    def _conversation_done(self, notice: ItemDone) -> None:
        known = self.items.get(notice.item.id)
        if known is None or known[1].deleted:
            return
        record, entry = known
        outlives = isinstance(
            entry.item, McpCall
        )  # an interrupted call is done when its outcome arrives, which may be later
        self.require(
            record.done is None or outlives, f"conversation.item.done of {notice.item.id} after its response's terminal"
        )
        self.require(
            entry.added_to_conversation, f"conversation.item.done of {notice.item.id}, never added", "order 4.1"
        )
        self.require(entry.done_in_conversation is None, f"conversation.item.done of {notice.item.id} twice")
        self._check_closed(entry, notice.item)
        if entry.done is not None and not outlives:
            self.require(entry.done == notice.item, f"item {notice.item.id} differs in its two dones", "order 4.1")
        entry.done_in_conversation = notice.item

    def _item_done(self, notice: OutputItemDone) -> None:
        record = self.alive(notice.response_id, "output_item.done")
        entry = self.entry(record, notice.output_index, notice.item.id, "output_item.done")
        self.require(entry.done is None, f"output_item.done of {notice.item.id} twice")
        self._check_closed(entry, notice.item)
        if entry.done_in_conversation is not None:
            same = entry.done_in_conversation == notice.item
            self.require(
                same, f"item differs in its two dones: {entry.done_in_conversation} / {notice.item}", "order 4.1"
            )
        entry.done = notice.item

    def entry(self, record: ResponseRecord, index: int, item: ItemId, what: str) -> ItemEntry:
        if not 0 <= index < len(record.items) or record.items[index].item.id != item:
            self.fail(f"{what} at output_index {index} names item {item}, which is not there", "order 4.1")
        return record.items[index]

    # --- their parts

    def _part_added(self, notice: ContentPartAdded) -> None:
        record = self.alive(notice.at.response_id, "content_part.added")
        entry = self.entry(record, notice.at.output_index, notice.at.item_id, "content_part.added")
        self.require(isinstance(entry.item, Message), f"a call has no parts: {notice}", "order 4.5")
        self.require(entry.done is None, f"content_part.added to the finished item {notice.at.item_id}")
        self.require(
            notice.at.content_index == len(entry.parts), f"content_index {notice.at.content_index}", "order 4.1"
        )
        self.require(
            notice.modality == record.created.modality,
            f"{notice.modality} part in a {record.created.modality} reply",
            "order 4.1",
        )
        entry.parts.append(PartEntry(notice.modality))

    def _part(self, at: PartAt, what: str, modality: Modality) -> PartEntry:
        record = self.alive(at.response_id, what)
        entry = self.entry(record, at.output_index, at.item_id, what)
        if not 0 <= at.content_index < len(entry.parts):
            self.fail(f"{what} before its content_part.added: {at}", "order 4.1")
        part = entry.parts[at.content_index]
        self.require(not part.done, f"{what} after content_part.done: {at}")
        self.require(part.modality == modality, f"{what} in a part of {part.modality}", "order 4.1")
        return part

    def _text(self, notice: OutputTextDelta) -> None:
        part = self._part(notice.at, "output_text.delta", "text")
        self.require(not part.text_done, f"output_text.delta after its done: {notice.at}")
        self.require(notice.delta != "", "an empty text delta", "order 4.1")
        part.sent_text += notice.delta

    def _transcript(self, notice: OutputTranscriptDelta) -> None:
        part = self._part(notice.at, "output_audio_transcript.delta", "audio")
        self.require(not part.text_done, f"output_audio_transcript.delta after its done: {notice.at}")
        self.require(notice.delta != "", "an empty transcript delta", "order 4.1")
        part.sent_text += notice.delta

    def _audio(self, notice: OutputAudioDelta) -> None:
        part = self._part(notice.at, "output_audio.delta", "audio")
        self.require(not part.audio_done, f"output_audio.delta after its done: {notice.at}")
        self.require(notice.audio != b"", "an empty audio delta", "order 4.1")
        part.audio_bytes += len(notice.audio)

    def _audio_done(self, notice: OutputAudioDone) -> None:
        part = self._part(notice.at, "output_audio.done", "audio")
        self.require(not part.audio_done, f"output_audio.done twice: {notice.at}")
        part.audio_done = True

    def _transcript_done(self, notice: OutputTranscriptDone) -> None:
        self._close_text(self._part(notice.at, "output_audio_transcript.done", "audio"), notice.transcript)

    def _text_done(self, notice: OutputTextDone) -> None:
        self._close_text(self._part(notice.at, "output_text.done", "text"), notice.text)

    def _close_text(self, part: PartEntry, text: str) -> None:
        self.require(not part.text_done, "a part's text done twice")
        self.require(
            text == part.sent_text, f"the deltas join to {part.sent_text!r}, the done says {text!r}", "order 4.1"
        )
        part.text_done = True

    def _part_done(self, notice: ContentPartDone) -> None:
        part = self._part(notice.at, "content_part.done", notice.modality)
        self.require(part.text_done, f"content_part.done before its text's done: {notice.at}", "order 4.1")
        audio = part.modality == "audio"
        self.require(
            part.audio_done or not audio, f"content_part.done before output_audio.done: {notice.at}", "order 4.1"
        )
        self.require(
            notice.text == part.sent_text,
            f"the deltas join to {part.sent_text!r}, the part says {notice.text!r}",
            "order 4.1",
        )
        part.done = True


def _output(item: Message) -> list[OutputText | OutputAudio]:
    return [part for part in item.content if isinstance(part, OutputText | OutputAudio)]
