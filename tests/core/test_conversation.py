"""The items of a conversation, their order and limits, and what invalidates a prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from parley.core.regions import conversation as module
from parley.core.regions.context import PromptBudget, Shown
from parley.core.regions.conversation import Conversation
from parley.core.regions.entry import Entry
from parley.core.regions.speech import Speech
from parley.core.words.errors import PeerError
from parley.core.words.events import SpokenWord
from parley.core.words.ids import CallId, ConversationId, ItemId
from parley.core.words.items import (
    Content,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    McpCall,
    McpListTools,
    Message,
    OutputAudio,
    OutputText,
)
from parley.core.words.settings import AudioFormat, Truncation

WIDE = PromptBudget(0, 100_000, Truncation())
ULAW = AudioFormat.PCMU


def user(name: str, *content: Content) -> Entry:
    return Entry(Message(ItemId(name), "user", content or (InputText(name),)))


def holding(*entries: Entry) -> Conversation:
    conversation = Conversation(ConversationId("c"))
    for entry in entries:
        conversation.insert(entry)
    return conversation


def order(conversation: Conversation) -> list[str]:
    return [entry.item.id for entry in conversation.entries()]


def reply(name: str = "reply", *, timed: bool = True, size: int = 800) -> Entry:
    """ "One two." in `size` bytes of G.711, each of them three positions."""
    speech = Speech(ULAW)
    speech.begin("One two.")
    speech.add(bytes(size), (SpokenWord(3, 1000), SpokenWord(8, 2400)) if timed else ())
    speech.end()
    return Entry(Message(ItemId(name), "assistant", (), "incomplete"), speech)


def part(item: Item) -> OutputAudio:
    assert isinstance(item, Message)
    (only,) = item.content
    assert isinstance(only, OutputAudio)
    return only


def having(entry: Entry, *content: Content) -> Message:
    """The entry's message with this content."""
    assert isinstance(entry.item, Message)
    return replace(entry.item, content=content)


# --- order -------------------------------------------------------------------------------------------------------------------


def test_items_keep_their_places_and_know_their_predecessors() -> None:
    conversation = Conversation(ConversationId("c"))
    assert (len(conversation), conversation.place(None), conversation.place("root")) == (0, 0, 0)
    assert conversation.insert(user("b")) is None
    assert conversation.insert(user("d")) == "b"
    assert conversation.insert(user("a"), conversation.place("root")) is None
    assert conversation.insert(user("c"), conversation.place("b")) == "b"
    assert conversation.insert(user("e"), conversation.place(None)) == "d"
    assert order(conversation) == ["a", "b", "c", "d", "e"]
    assert [conversation.previous(ItemId(name)) for name in "abcdex"] == [None, "a", "b", "c", "d", None]
    assert len(conversation) == 5
    assert "c" in conversation
    assert "x" not in conversation
    assert conversation.entry(ItemId("x")) is None


def test_an_item_cannot_be_placed_after_a_missing_one() -> None:
    with pytest.raises(PeerError) as refused:
        holding(user("a")).place("x")
    assert (refused.value.code, refused.value.field) == ("item_create_invalid_previous_item_id", "previous_item_id")
    assert "'x'" in refused.value.message


def test_a_deleted_item_is_gone_and_remembered_as_deleted() -> None:
    conversation = holding(entry := user("a"), user("b"))
    assert conversation.delete(ItemId("a")) is entry
    assert entry.deleted
    assert (order(conversation), conversation.version) == (["b"], 3)
    assert conversation.delete(ItemId("a")) is None
    assert (order(conversation), conversation.version) == (["b"], 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda conversation, entry: conversation.insert(user("z")),
        lambda conversation, entry: conversation.delete(entry.item.id),
        lambda conversation, entry: entry.transcribed(0, "hello"),
        lambda conversation, entry: entry.cut(0),
        lambda conversation, entry: entry.become(entry.item),
        lambda conversation, entry: entry.begin_clause("One"),
    ],
    ids=["insert", "delete", "transcribed", "cut", "become", "clause"],
)
def test_every_change_invalidates_earlier_prompts(change: Callable[[Conversation, Entry], None]) -> None:
    conversation = holding(entry := user("a", InputAudio(None, bytes(2))), user("b"))
    before = conversation.version
    change(conversation, entry)
    assert conversation.version == before + 1


# --- bounds ------------------------------------------------------------------------------------------------------------------


def test_a_full_conversation_accepts_an_item_after_a_deletion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ITEMS", 3)
    conversation = holding(user("a"), user("b"))
    conversation.check_capacity()
    conversation.insert(user("c"))
    with pytest.raises(PeerError) as refused:
        conversation.check_capacity()
    assert (refused.value.code, refused.value.field) == ("conversation_full", None)
    assert "holds 3 items" in refused.value.message
    conversation.delete(ItemId("a"))
    conversation.check_capacity()


@pytest.mark.parametrize(
    "kept",
    [
        user("m", InputText("x" * 20), OutputText("y" * 10)),
        user("m", InputAudio("x" * 20, bytes(500)), OutputAudio("y" * 10, bytes(500))),
        user("m", InputImage("x" * 30)),
        Entry(FunctionCall(ItemId("f"), CallId("c"), "read", "x" * 30)),
        Entry(FunctionCallOutput(ItemId("f"), CallId("c"), "x" * 30)),
        Entry(McpCall(ItemId("m"), "books", "find", "x" * 10, "y" * 20)),
    ],
    ids=["text", "audio", "image", "call", "output", "mcp call"],
)
def test_text_and_images_are_counted_and_audio_is_not(kept: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BROUGHT_CHARACTERS", 100)
    conversation = holding(kept, user("more", InputText("z" * 30)))
    conversation.check_capacity(user("fits", InputText("z" * 40)).item)
    with pytest.raises(PeerError) as refused:
        conversation.check_capacity(user("too long", InputText("z" * 41)).item)
    assert (refused.value.code, refused.value.field) == ("conversation_full", "item")
    conversation.insert(user("full", InputText("z" * 70)))
    for wordless in (user("w", InputAudio(None, bytes(2))).item, McpListTools(ItemId("l"), "books")):
        conversation.check_capacity(wordless)
    conversation.check_capacity()


def sizes(conversation: Conversation) -> list[int]:
    """The bytes of audio kept for each item."""
    items = (entry.with_audio(1_000_000) for entry in conversation.entries())
    contents = (item.content for item in items if isinstance(item, Message))
    return [sum(len(getattr(part, "audio", None) or b"") for part in content) for content in contents]


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ([40, 60], [40, 60]),
        ([41, 60], [0, 60]),
        ([10, 41, 60], [0, 0, 60]),
        ([40, 10, 50], [40, 10, 50]),
        ([10, 100], [0, 100]),
        ([10, 150], [0, 150]),
        ([10, 0, 90], [10, 0, 90]),
    ],
)
@pytest.mark.parametrize("whose", ["user", "assistant", "brought"])
def test_the_audio_of_the_oldest_items_is_discarded_and_the_newest_is_kept(
    before: list[int], kept: list[int], whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_AUDIO_BYTES", 100)

    def made(name: str, size: int) -> Entry:
        if whose == "assistant":
            return reply(name, size=size)
        half = size // 2
        kind = InputAudio if whose == "user" else OutputAudio
        return user(name, kind("words", bytes(half)), InputText("beside"), kind("words", bytes(size - half)))

    conversation = holding(*(made(f"i{index}", size) for index, size in enumerate(before)))
    assert sizes(conversation) == kept
    words = [entry.view() for entry in conversation.entries()]
    assert words == [made(f"i{index}", size).view() for index, size in enumerate(before)], "the words stay"


def test_discarded_audio_frees_memory_for_new_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_AUDIO_BYTES", 100)
    conversation = holding(reply("a", size=60), reply("b", size=60), reply("c", size=30), reply("d", size=10))
    assert sizes(conversation) == [0, 60, 30, 10]


# --- the prompt --------------------------------------------------------------------------------------------------------------


def names(shown: Shown) -> list[str]:
    return [item.id for item in shown.items]


def test_a_prompt_shows_non_empty_items_in_order_with_the_extra_items_last() -> None:
    silent = reply("silent")
    silent.heard = 0
    conversation = holding(user("a"), user("cough", InputAudio(" ")), silent, user("b"))
    assert names(conversation.shown(WIDE, (user("extra").item,))) == ["a", "b", "extra"]


def test_items_left_out_of_a_used_prompt_stay_left_out() -> None:
    conversation = holding(*(user(name, InputText(name * 40)) for name in "abcd"))
    narrow = conversation.shown(PromptBudget(0, 30, Truncation()))
    assert names(narrow) == ["c", "d"]
    assert names(conversation.shown(WIDE)) == ["a", "b", "c", "d"], "a prompt that was not used changes nothing"
    conversation.settle(narrow)
    assert names(conversation.shown(WIDE)) == ["c", "d"]
    conversation.settle(conversation.shown(WIDE))
    assert names(conversation.shown(WIDE)) == ["c", "d"]


@pytest.mark.parametrize(("deleted", "left"), [("b", ["c", "d"]), ("c", ["d"]), ("d", ["c"]), ("cd", ["a", "b"])])
def test_left_out_items_stay_left_out_until_all_others_are_deleted(deleted: str, left: list[str]) -> None:
    conversation = holding(*(user(name, InputText(name * 40)) for name in "abcd"))
    conversation.settle(conversation.shown(PromptBudget(0, 30, Truncation())))
    for name in deleted:
        conversation.delete(ItemId(name))
    assert names(conversation.shown(WIDE)) == left


def test_a_left_out_call_comes_back_with_its_output() -> None:
    call = Entry(FunctionCall(ItemId("f"), CallId("c"), "read", "{}"))
    alone = Entry(FunctionCall(ItemId("g"), CallId("other"), "read", "{}"))
    conversation = holding(call, alone, user("old", InputText("x" * 400)), user("a"))
    conversation.settle(conversation.shown(PromptBudget(0, 20, Truncation())))
    conversation.insert(Entry(FunctionCallOutput(ItemId("o"), CallId("c"), "sun")))
    assert names(conversation.shown(WIDE)) == ["f", "a", "o"]


def after_a_deleted_question() -> Conversation:
    """A prompt left out `older` and `asked`; then its question was deleted, and the item after it was not."""
    call = Entry(FunctionCall(ItemId("call"), CallId("c"), "read", "{}"))
    output = Entry(FunctionCallOutput(ItemId("output"), CallId("c"), "sun"))
    older, asked = (user(name, InputText("x" * 400)) for name in ("older", "asked"))
    conversation = holding(older, asked, user("question"), call, output)
    conversation.settle(conversation.shown(PromptBudget(0, 40, Truncation())))
    conversation.delete(ItemId("question"))
    return conversation


def test_after_the_question_is_deleted_an_earlier_left_out_message_is_the_question() -> None:
    assert names(after_a_deleted_question().shown(WIDE)) == ["asked", "call", "output"]


def test_a_question_that_is_no_item_yet_brings_back_no_left_out_item() -> None:
    assert names(after_a_deleted_question().shown(WIDE, (user("new").item,))) == ["call", "output", "new"]


@pytest.mark.parametrize("content", [InputAudio(" "), InputAudio(None)])
def test_a_message_without_words_is_not_the_question(content: InputAudio) -> None:
    conversation = after_a_deleted_question()
    conversation.insert(user("cough", content))
    assert names(conversation.shown(WIDE)) == ["asked", "call", "output"]


def test_a_conversation_is_spoken_once_any_item_was() -> None:
    conversation = holding(user("a"), reply())
    before = conversation.spoken
    conversation.mark_spoken()
    assert (before, conversation.spoken) == (False, True)
