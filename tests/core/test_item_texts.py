"""What each kind of item says to a model, and what it is bound to."""

from __future__ import annotations

import pytest

from parley.core.words.ids import CallId, ItemId
from parley.core.words.item_texts import bond, images, prompt_messages, shortenable_texts, whole_texts, with_texts
from parley.core.words.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpError,
    McpListTools,
    McpTool,
    Message,
    OutputAudio,
    OutputText,
)

CALL = FunctionCall(ItemId("f"), CallId("1"), "read", '{"page":3}')
OUTPUT = FunctionCallOutput(ItemId("o"), CallId("1"), "a long page")
REQUEST = McpApprovalRequest(ItemId("q"), "books", "lend", "{}")
RESPONSE = McpApprovalResponse(ItemId("r"), ItemId("q"), False, "not today")
ANSWERED = McpCall(ItemId("m"), "books", "search", "{}", output="on the shelf")
APPROVED = McpCall(ItemId("a"), "books", "lend", "{}", approval_request_id=ItemId("q"))
FAILED = McpCall(ItemId("e"), "books", "search", "{}", error=McpError("http_error", "gone", 410))
TOOLS = McpListTools(ItemId("l"), "books", (McpTool("lend", "Lends a book."),))
PARTS = (InputText("typed"), InputAudio("spoken"), InputAudio(None), InputImage("data:image/png;base64,AA=="))
ASKED = Message(ItemId("u"), "user", PARTS)
REPLIED = Message(ItemId("s"), "assistant", (OutputText("written"), OutputAudio("said")))


@pytest.mark.parametrize(
    ("item", "shared"),
    [
        (CALL, "call 1"),
        (OUTPUT, "call 1"),
        (REQUEST, "request q"),
        (RESPONSE, "request q"),
        (APPROVED, "request q"),
        (ANSWERED, None),
        (ASKED, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_call_is_bound_to_its_output_and_an_approval_request_to_its_result(item: Item, shared: str | None) -> None:
    assert bond(item) == shared


@pytest.mark.parametrize(("item", "count"), [(ASKED, 1), (CALL, 1), (OUTPUT, 1), (ANSWERED, 2), (TOOLS, 0)])
def test_a_call_of_the_session_is_two_messages_and_a_list_of_tools_is_none(item: Item, count: int) -> None:
    assert prompt_messages(item) == count


@pytest.mark.parametrize(("item", "count"), [(ASKED, 1), (REPLIED, 0), (CALL, 0)])
def test_the_images_of_a_message_are_counted(item: Item, count: int) -> None:
    assert images(item) == count


@pytest.mark.parametrize(
    ("item", "whole", "shortenable"),
    [
        (ASKED, (), ("typed", "spoken", "", "")),
        (REPLIED, (), ("written", "said")),
        (CALL, ("read", '{"page":3}'), ()),
        (OUTPUT, (), ("a long page",)),
        (REQUEST, ("lend", "{}"), ()),
        (RESPONSE, ("not today",), ()),
        (ANSWERED, ("search", "{}"), ("on the shelf", "")),
        (FAILED, ("search", "{}"), ("", "gone")),
        (TOOLS, (), ()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_program_reads_stays_whole_and_what_a_reader_reads_may_be_shortened(
    item: Item, whole: tuple[str, ...], shortenable: tuple[str, ...]
) -> None:
    assert (whole_texts(item), shortenable_texts(item)) == (whole, shortenable)


@pytest.mark.parametrize(
    "item",
    [ASKED, REPLIED, CALL, OUTPUT, REQUEST, RESPONSE, ANSWERED, FAILED, TOOLS],
    ids=lambda item: type(item).__name__,
)
def test_an_item_with_its_own_texts_is_the_same_item(item: Item) -> None:
    assert with_texts(item, shortenable_texts(item)) == item


def test_each_text_is_replaced_in_its_place_and_words_that_are_not_known_stay_unknown() -> None:
    changed = with_texts(ASKED, ("a", "b", "c", "d"))
    assert changed == Message(ItemId("u"), "user", (InputText("a"), InputAudio("b"), InputAudio(None), PARTS[3]))
    assert with_texts(REPLIED, ("a", "b")) == Message(ItemId("s"), "assistant", (OutputText("a"), OutputAudio("b")))
    assert with_texts(OUTPUT, ("a",)) == FunctionCallOutput(ItemId("o"), CallId("1"), "a")
    assert with_texts(ANSWERED, ("a", "b")) == McpCall(ItemId("m"), "books", "search", "{}", output="a")
    assert with_texts(FAILED, ("a", "b")) == McpCall(
        ItemId("e"), "books", "search", "{}", error=McpError("http_error", "b", 410)
    )
