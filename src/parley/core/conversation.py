"""Items in order, cut to what was heard, and the prompt made of them.

Laws: the version grows with every change a prompt could show; an assistant's spoken item is its `Speech` seen
through how much of it was heard; audio of old items is let go before the words are. Knows nothing of responses or
playback.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from parley.core.errors import PeerError
from parley.core.ids import ConversationId, ItemId
from parley.core.items import (
    Content,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpListTools,
    Message,
    OutputAudio,
    OutputText,
)
from parley.core.limits import (
    KEPT_AUDIO_BYTES,
    MAX_BROUGHT_CHARACTERS,
    MAX_ITEMS,
    MAX_RETRIEVED_AUDIO_BYTES,
    SAMPLES_PER_MS,
)
from parley.core.settings import Truncation
from parley.core.speech import Speech


@dataclass(slots=True)
class Entry:
    """An item and what stands behind it.

    `heard` is the sample to which a spoken item was heard (None: all of it, as far as anybody knows); `by_client`:
    the client said so. `input_samples` is the length of a user's audio, `awaiting` how much is still to
    come: transcripts of its audio, the output of its call.
    """

    item: Item
    speech: Speech | None = None
    heard: int | None = None
    by_client: bool = False
    input_samples: int = 0
    awaiting: int = 0
    deleted: bool = False

    def view(self, played: int | None = None) -> Item:
        """The item as the conversation holds it: without audio, with the words that were heard.

        `played`: the sample to which a spoken item has been played by now (None: to its end, or as `heard` says).
        """
        item = self.item
        if isinstance(item, Message) and self.speech is not None:
            text, exact = self._heard_text(self.speech)
            if played is not None and self.heard is None:
                text, exact = self.speech.text_until(played)
            return replace(item, content=(OutputAudio(text, exact=exact, format=self.speech.format),))
        if isinstance(item, Message):
            return replace(item, content=tuple(_silent(part) for part in item.content))
        return item

    def _heard_text(self, speech: Speech) -> tuple[str, bool]:
        if self.heard is None:
            return speech.text, True
        return speech.text_until(self.heard)

    def with_audio(self) -> Item:
        """The item with as much of its audio as is kept, cut to what a client's socket surely takes."""
        item = self.item
        if isinstance(item, Message) and self.speech is not None:
            text, exact = self._heard_text(self.speech)
            audio = self.speech.audio_until(self.speech.samples if self.heard is None else self.heard)
            return replace(item, content=(OutputAudio(text, _bounded(audio), self.speech.format, exact),))
        if isinstance(item, Message):
            return replace(item, content=tuple(_bounded_part(part) for part in item.content))
        return item


def _silent(part: Content) -> Content:
    return replace(part, audio=None) if isinstance(part, InputAudio | OutputAudio) else part


def _bounded(audio: bytes | None) -> bytes | None:
    return None if audio is None else audio[: MAX_RETRIEVED_AUDIO_BYTES & ~1]


def _bounded_part(part: Content) -> Content:
    return replace(part, audio=_bounded(part.audio)) if isinstance(part, InputAudio | OutputAudio) else part


class Conversation:
    """The default conversation of a session."""

    def __init__(self, id: ConversationId) -> None:
        self.id = id
        self.version = 0
        self.spoken = False
        """Whether the assistant has answered with audio; its voice is settled then."""
        self._entries: dict[ItemId, Entry] = {}
        self._order: list[ItemId] = []
        self._first_kept: ItemId | None = None
        """Where the last context truncation began the prompt; everything before it stays left out."""

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._entries

    def entry(self, item_id: ItemId) -> Entry | None:
        return self._entries.get(item_id)

    def entries(self) -> list[Entry]:
        return [self._entries[item_id] for item_id in self._order]

    def place(self, previous: str | None) -> int:
        """The position that `previous_item_id` names. Raises `PeerError` for an item that is not here."""
        if previous is None:
            return len(self._order)
        if previous == "root":
            return 0
        if previous not in self._entries:
            raise PeerError(
                f"The previous item with id '{previous}' does not exist; leave previous_item_id out to append.",
                code="item_create_invalid_previous_item_id",
                param="previous_item_id",
            )
        return self._order.index(ItemId(previous)) + 1

    def room(self, item: Item | None = None) -> None:
        """Raises `PeerError` when the conversation is full, or too full for `item`."""
        if len(self._order) >= MAX_ITEMS:
            raise PeerError(
                f"The conversation holds {MAX_ITEMS} items, the most it can; delete some with conversation.item.delete.",
                code="conversation_full",
            )
        if item is None or not (brought := _characters(item)):
            return
        if brought + sum(_characters(entry.item) for entry in self._entries.values()) > MAX_BROUGHT_CHARACTERS:
            raise PeerError(
                f"The words and images of a conversation take at most {MAX_BROUGHT_CHARACTERS >> 20} MiB; "
                "delete some items with conversation.item.delete.",
                code="conversation_full",
                param="item",
            )

    def insert(self, entry: Entry, place: int | None = None) -> ItemId | None:
        """Put the entry at `place` (None: at the end); returns the id of the item before it."""
        index = len(self._order) if place is None else place
        self._order.insert(index, entry.item.id)
        self._entries[entry.item.id] = entry
        self.version += 1
        self._let_go_of_old_audio()
        return self._order[index - 1] if index else None

    def previous(self, item_id: ItemId) -> ItemId | None:
        if item_id not in self._entries:
            return None
        index = self._order.index(item_id)
        return self._order[index - 1] if index else None

    def last(self) -> ItemId | None:
        return self._order[-1] if self._order else None

    def delete(self, item_id: ItemId) -> Entry | None:
        entry = self._entries.pop(item_id, None)
        if entry is not None:
            entry.deleted = True
            if item_id == self._first_kept:
                index = self._order.index(item_id) + 1
                self._first_kept = self._order[index] if index < len(self._order) else None
            self._order.remove(item_id)
            self.version += 1
        return entry

    def transcribed(self, entry: Entry, index: int, transcript: str) -> None:
        """The user's words of one audio part are known."""
        entry.awaiting -= 1
        if isinstance(entry.item, Message):
            content = tuple(
                replace(part, transcript=transcript) if at == index and isinstance(part, InputAudio) else part
                for at, part in enumerate(entry.item.content)
            )
            entry.item = replace(entry.item, content=content)
        self.version += 1

    def changed(self) -> None:
        """An item's words grew."""
        self.version += 1

    def cut(self, entry: Entry, heard: int, *, by_client: bool = False) -> None:
        """Of this spoken item no more than `heard` samples were heard. The client's word goes over any reckoning."""
        if entry.by_client and not by_client:
            return
        entry.heard = heard
        entry.by_client = entry.by_client or by_client
        self.version += 1

    def _let_go_of_old_audio(self) -> None:
        budget = KEPT_AUDIO_BYTES
        for item_id in reversed(self._order):
            entry = self._entries[item_id]
            size = _audio_bytes(entry)
            if size and size > budget and item_id != self._order[-1]:
                _discard(entry)
            budget = max(0, budget - size)

    # --- the prompt ------------------------------------------------------------------------------------------------------

    def prompt_items(
        self,
        truncation: Truncation,
        context_tokens: int,
        fixed_tokens: int,
        extra: tuple[Item, ...] = (),
        *,
        settle: bool = True,
    ) -> tuple[Item, ...]:
        """The items a model is to see, oldest dropped until they fit; `extra` come last and are never dropped.

        `fixed_tokens` are the instructions' and tools'. Raises `PeerError` (`context_length_exceeded`) when
        truncation is disabled.
        """
        start = self._order.index(self._first_kept) if self._first_kept in self._entries and self._first_kept else 0
        items = [view for item_id in self._order[start:] if not is_empty(view := self._entries[item_id].view())]
        limit = context_tokens - fixed_tokens
        if truncation.post_instructions is not None:
            limit = min(limit, truncation.post_instructions)
        extra_tokens = sum(map(tokens_of, extra))
        sizes = [tokens_of(item) for item in items]
        if sum(sizes) + extra_tokens <= limit:
            return (*items, *extra)
        if truncation.mode == "disabled":
            raise PeerError(
                f"The conversation has about {sum(sizes) + extra_tokens + fixed_tokens} tokens, the model takes {context_tokens}; "
                "delete items or set session.truncation to 'auto'.",
                code="context_length_exceeded",
                param="session.truncation",
            )
        goal = int(limit * truncation.retention_ratio)
        dropped, total = 0, sum(sizes) + extra_tokens
        while dropped < len(items) and total > goal:
            total -= sizes[dropped]
            dropped += 1
        while dropped < len(items) and isinstance(items[dropped], FunctionCallOutput):
            dropped += 1  # an output without its call means nothing to a model
        if settle:
            self._first_kept = items[dropped].id if dropped < len(items) else None
        return (*items[dropped:], *extra)

    def settle(self, shown: tuple[Item, ...]) -> None:
        """A prompt made without settling was used: what it left out stays left out."""
        first = next((item.id for item in shown if item.id in self._entries), None)
        if first is None:
            return
        start = self._order.index(self._first_kept) if self._first_kept in self._entries and self._first_kept else 0
        left_out = self._order[start : self._order.index(first)]
        if any(not is_empty(self._entries[item_id].view()) for item_id in left_out):
            self._first_kept = first


def _characters(item: Item) -> int:
    """What an item keeps for as long as it is there; audio is let go."""
    match item:
        case Message(content=content):
            return sum(len(part.image_url) if isinstance(part, InputImage) else len(text_of(part)) for part in content)
        case FunctionCall(arguments=text) | FunctionCallOutput(output=text):
            return len(text)
        case _:
            return 0


def _audio_bytes(entry: Entry) -> int:
    if entry.speech is not None:
        return 0 if entry.speech.discarded else entry.speech.format.size(entry.speech.samples)
    if isinstance(entry.item, Message):
        parts = (part for part in entry.item.content if isinstance(part, InputAudio | OutputAudio))
        return sum(len(part.audio) for part in parts if part.audio)
    return 0


def _discard(entry: Entry) -> None:
    if entry.speech is not None:
        entry.speech.discard_audio()
    elif isinstance(entry.item, Message):
        entry.item = replace(entry.item, content=tuple(map(_silent, entry.item.content)))


def is_empty(item: Item) -> bool:
    """True for what says nothing to a model: an answer of which nothing was heard, a cough, a list of tools."""
    if isinstance(item, McpListTools):
        return True  # the model is told of tools as tools
    if not isinstance(item, Message):
        return False
    return not any(isinstance(part, InputImage) or text_of(part).strip() for part in item.content)


def text_of(part: Content) -> str:
    match part:
        case InputText(text=text) | OutputText(text=text):
            return text
        case InputAudio(transcript=transcript):
            return transcript or ""
        case OutputAudio(transcript=transcript):
            return transcript
        case InputImage():
            return ""


_CHARACTERS_PER_TOKEN = 4
_IMAGE_TOKENS = 800
_MESSAGE_TOKENS = 4


def text_tokens(characters: int) -> int:
    """Tokens of a text, reckoned: four characters each, the rule of thumb for English text."""
    return -(-characters // _CHARACTERS_PER_TOKEN)


def tokens_of(item: Item) -> int:
    """Tokens an item takes in a prompt, reckoned from its characters."""
    match item:
        case FunctionCall(name=name, arguments=arguments):
            return _MESSAGE_TOKENS + text_tokens(len(name) + len(arguments))
        case FunctionCallOutput(output=output):
            return _MESSAGE_TOKENS + text_tokens(len(output))
        case McpCall(name=name, arguments=arguments, output=output, error=error):
            said = output or (error.message if error is not None else "")
            return 2 * _MESSAGE_TOKENS + text_tokens(len(name) + len(arguments) + len(said))
        case McpApprovalRequest(name=name, arguments=arguments):
            return _MESSAGE_TOKENS + text_tokens(len(name) + len(arguments))
        case McpApprovalResponse(reason=reason):
            return _MESSAGE_TOKENS + text_tokens(len(reason))
        case McpListTools():
            return 0
        case Message(content=content):
            images = sum(isinstance(part, InputImage) for part in content)
            return _MESSAGE_TOKENS + images * _IMAGE_TOKENS + sum(text_tokens(len(text_of(part))) for part in content)


def audio_ms(entry: Entry) -> int:
    """Milliseconds of the user's audio in an item."""
    return entry.input_samples // SAMPLES_PER_MS
