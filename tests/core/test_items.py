"""The text an item shows to a model, and its size in a conversation."""

from __future__ import annotations

from typing import get_args

import pytest

from parley.core.words import items
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import (
    Content,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    ItemReference,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpError,
    McpListTools,
    McpTool,
    Message,
    OutputAudio,
    OutputText,
    characters_of,
    is_empty,
    text_of,
)
from tests.core.values import can_change, values_of

ID = ItemId("i")


def message(*content: Content) -> Message:
    return Message(ID, "user", content)


CHARACTERS: list[tuple[Item, int]] = [
    (message(), 0),
    (message(InputText("four"), OutputText("four"), InputAudio("four", bytes(480)), OutputAudio("four")), 16),
    (message(InputAudio(None, bytes(480))), 0),
    (message(InputImage("data:image/png;base64,AAAA"), InputText("four")), 30),
    (FunctionCall(ID, CallId("c"), "name", '{"a": 1}'), 8),
    (FunctionCallOutput(ID, CallId("c"), "sunny"), 5),
    (McpCall(ID, "books", "find", "{}"), 2),
    (McpCall(ID, "books", "find", "{}", output="found"), 7),
    (McpCall(ID, "books", "find", "{}", error=McpError("http_error", "not found", 404)), 11),
    (McpListTools(ID, "books", (McpTool("find", "Finds.", "{}", annotations="[]"), McpTool("lend"))), 12),
    (McpApprovalRequest(ID, "books", "find", "{}"), 2),
    (McpApprovalResponse(ID, ID, True, "go on"), 5),
]


def test_every_class_of_the_module_is_an_item_or_a_part() -> None:
    parts = {McpTool, McpError, ItemReference}
    assert set(values_of(items)) - parts == {*get_args(Item), *get_args(Content)}
    assert [kind for kind in values_of(items) if can_change(kind)] == []


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (InputText("hello"), "hello"),
        (OutputText("hello"), "hello"),
        (InputAudio("hello", bytes(480)), "hello"),
        (InputAudio(None, bytes(480)), ""),
        (OutputAudio("hello"), "hello"),
        (InputImage("https://example.com/hello.png"), ""),
    ],
)
def test_a_part_gives_its_text_where_it_is_known(part: Content, text: str) -> None:
    assert text_of(part) == text


@pytest.mark.parametrize(
    ("item", "empty"),
    [
        (message(), True),
        (message(InputText(" \n")), True),
        (message(InputAudio(None, bytes(480))), True),
        (message(InputAudio("", bytes(480)), OutputAudio("hello")), False),
        (message(InputImage("https://example.com/cat.png")), False),
        (McpListTools(ID, "books", (McpTool("find"),)), True),
        (FunctionCall(ID, CallId("c"), "name", ""), False),
        (FunctionCallOutput(ID, CallId("c"), ""), False),
        (McpCall(ID, "books", "find", ""), False),
    ],
)
def test_only_items_with_content_are_shown_to_a_model(item: Item, empty: bool) -> None:
    assert is_empty(item) is empty


@pytest.mark.parametrize(("item", "characters"), CHARACTERS, ids=lambda value: type(value).__name__)
def test_the_size_of_an_item_excludes_its_audio(item: Item, characters: int) -> None:
    assert characters_of(item) == characters


def test_every_kind_of_item_has_a_size() -> None:
    assert {type(item) for item, _ in CHARACTERS} == set(get_args(Item))
