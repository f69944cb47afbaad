"""The text and audio that an item shows, returns and keeps, and which changes invalidate a prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from parley.core.regions.conversation import Conversation
from parley.core.regions.entry import Entry, Version
from parley.core.regions.speech import Speech
from parley.core.words.events import SpokenWord
from parley.core.words.ids import CallId, ConversationId, ItemId
from parley.core.words.items import Content, FunctionCall, InputAudio, InputText, Item, Message, OutputAudio
from parley.core.words.limits import MAX_RETRIEVED_AUDIO_BYTES as MOST
from parley.core.words.settings import AudioFormat

ULAW = AudioFormat.PCMU


def user(name: str, *content: Content) -> Entry:
    return Entry(Message(ItemId(name), "user", content or (InputText(name),)))


def holding(*entries: Entry) -> Conversation:
    conversation = Conversation(ConversationId("c"))
    for entry in entries:
        conversation.insert(entry)
    return conversation


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


# --- what was heard of a reply -----------------------------------------------------------------------------------------------


def test_a_reply_is_shown_in_its_format_with_the_words_that_were_heard() -> None:
    entry = reply()
    assert entry.view() == having(entry, OutputAudio("One two.", None, ULAW, True))
    assert entry.view(played=1000) == having(entry, OutputAudio("One", None, ULAW, True))
    entry.heard = 1000
    assert entry.view() == having(entry, OutputAudio("One", None, ULAW, True))
    entry.heard = 2400
    assert part(entry.view(played=1000)).transcript == "One two.", "what was heard overrides what has been played"


def test_a_reply_is_retrieved_with_only_the_audio_that_was_heard() -> None:
    entry = reply()
    assert entry.with_audio(MOST) == having(entry, OutputAudio("One two.", bytes(800), ULAW, True))
    entry.heard = 1000
    assert entry.with_audio(MOST) == having(entry, OutputAudio("One", bytes(333), ULAW, True))
    entry.discard_audio()
    assert entry.with_audio(MOST) == having(entry, OutputAudio("One", None, ULAW, True))


def test_estimated_words_are_marked_wherever_they_are_shown() -> None:
    entry = reply(timed=False)
    assert part(entry.view(played=1000)) == OutputAudio("One", None, ULAW, False)
    entry.heard = 1000
    assert part(entry.view()) == OutputAudio("One", None, ULAW, False)
    assert part(entry.with_audio(MOST)) == OutputAudio("One", bytes(333), ULAW, False)


def test_audio_larger_than_a_clients_message_limit_is_retrieved_cut() -> None:
    longest = MOST
    assert len(part(reply(size=longest + 2).with_audio(MOST)).audio or b"") == longest
    content = (InputAudio("hello", bytes(longest + 2)), OutputAudio("hi", bytes(longest)), InputText("text"))
    entry = user("u", *content)
    assert entry.with_audio(MOST) == having(entry, InputAudio("hello", bytes(longest)), *content[1:])
    assert longest % 2 == 0


def test_a_message_is_shown_without_its_audio_and_other_items_unchanged() -> None:
    entry = user("u", InputAudio("hello", bytes(8)), OutputAudio("hi", bytes(8)), InputText("text"))
    shown = (InputAudio("hello"), OutputAudio("hi"), InputText("text"))
    assert entry.view() == having(entry, *shown)
    call = Entry(FunctionCall(ItemId("f"), CallId("c"), "read", "{}"))
    assert (call.view(), call.with_audio(MOST)) == (call.item, call.item)


def test_the_clients_truncation_is_not_overridden_by_an_estimate() -> None:
    conversation = holding(entry := reply())
    entry.cut(2000)
    entry.cut(1500)
    assert (entry.heard, entry.by_client, conversation.version) == (1500, False, 3)
    entry.cut(1800, by_client=True)
    entry.cut(900)
    assert (entry.heard, entry.by_client, conversation.version) == (1800, True, 4)
    entry.cut(600, by_client=True)
    assert (entry.heard, entry.by_client, conversation.version) == (600, True, 5)


# --- transcripts of the user's audio -----------------------------------------------------------------------------------------


def test_a_transcript_goes_to_the_part_of_its_audio() -> None:
    entry = user("u", InputAudio(None, bytes(2)), InputText("text"), InputAudio(None, bytes(4)))
    entry.awaiting = 2
    holding(entry)
    entry.transcribed(2, "second")
    assert entry.awaiting == 1
    content = (InputAudio(None, bytes(2)), InputText("text"), InputAudio("second", bytes(4)))
    assert entry.item == having(entry, *content)
    entry.transcribed(1, "of no audio")
    assert entry.item == having(entry, *content)


def test_the_length_of_a_users_audio_is_given_in_whole_milliseconds() -> None:
    assert [replace(user("u"), input_samples=samples).audio_ms for samples in (0, 23, 24, 2_424)] == [0, 0, 1, 101]


# --- changes -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "grows"),
    [
        (lambda entry: entry.become(entry.item), True),
        (lambda entry: entry.begin_clause("Three."), True),
        (lambda entry: entry.cut(100), True),
        (lambda entry: entry.transcribed(0, "hello"), True),
        (lambda entry: entry.leave(), True),
        (lambda entry: entry.await_one(), False),
        (lambda entry: entry.await_nothing(), False),
        (lambda entry: entry.lose_one(), False),
        (lambda entry: entry.discard_audio(), False),
    ],
    ids=["become", "clause", "cut", "words", "leave", "await one", "await nothing", "lose one", "discard audio"],
)
@pytest.mark.parametrize(
    "make", [lambda: user("u", InputAudio(None, bytes(2))), lambda: reply()], ids=["user", "reply"]
)
def test_only_changes_visible_in_a_prompt_invalidate_earlier_prompts(
    make: Callable[[], Entry], change: Callable[[Entry], None], grows: bool
) -> None:
    entry, version = make(), Version()
    entry.enter(version)
    before = version.number
    change(entry)
    assert version.number == before + grows


def test_changes_to_a_deleted_item_invalidate_no_prompt() -> None:
    entry, version = reply(), Version()
    entry.enter(version)
    entry.leave()
    before = version.number
    entry.cut(100)
    entry.leave()
    assert entry.deleted
    assert version.number == before


def test_an_items_pending_output_is_counted_down_to_zero() -> None:
    entry = user("u", InputAudio(None, bytes(2)), InputAudio(None, bytes(2)))
    for _ in range(3):
        entry.await_one()
    entry.transcribed(0, "hello")
    entry.lose_one()
    assert entry.awaiting == 1
    entry.await_nothing()
    assert entry.awaiting == 0


def test_a_calls_outcome_ends_its_wait_and_does_not_change_the_call() -> None:
    entry = Entry(FunctionCall(ItemId("f"), CallId("c"), "read", "{}"), awaiting=1)
    item = entry.item
    entry.transcribed(0, "no words")
    assert (entry.item, entry.awaiting) == (item, 0)


# --- kept audio --------------------------------------------------------------------------------------------------------------


def test_an_items_audio_is_counted_until_it_is_discarded() -> None:
    spoken, said = (
        reply(size=800),
        user("u", InputAudio("hello", bytes(8)), InputText("text"), OutputAudio("hi", bytes(6))),
    )
    call = Entry(FunctionCall(ItemId("f"), CallId("c"), "read", "{}"))
    assert [entry.audio_bytes for entry in (spoken, said, call)] == [800, 14, 0]
    for entry in (spoken, said, call):
        words = entry.view()
        entry.discard_audio()
        assert entry.audio_bytes == 0
        assert entry.view() == words, "the words stay"
