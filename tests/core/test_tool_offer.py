"""The MCP tools that a model is offered, and the meaning of a tool choice."""

from __future__ import annotations

import pytest

from parley.core.regions.tool_offer import OfferedTool, offer
from parley.core.words.errors import PeerError
from parley.core.words.items import McpTool
from parley.core.words.settings import (
    Approval,
    ForceFunction,
    ForceMcp,
    FunctionTool,
    McpServer,
    ToolChoice,
    ToolFilter,
)

FIND, LEND = McpTool("find"), McpTool("lend")
BOOKS = McpServer("books", "https://books.example/mcp")
FILMS = McpServer("films", "https://films.example/mcp")
WEATHER = FunctionTool("weather")
SOURCES = (WEATHER, BOOKS, FILMS)
LISTED = {"books": (FIND, LEND), "films": (FIND,)}
"""Both have a tool `find`; the films' is offered as `films_find`."""


def test_a_forced_mcp_tool_is_called_by_the_name_the_model_knows() -> None:
    for label, name, known in (("books", "find", "find"), ("films", "find", "films_find"), ("books", "lend", "lend")):
        offered = offer(LISTED, SOURCES, ForceMcp(label, name))
        assert offered.choice == ForceFunction(known)
        assert [tool.name for tool in offered.tools] == ["weather", "find", "lend", "films_find"]
        assert offered.by_name[known] == OfferedTool(
            FILMS if label == "films" else BOOKS, LEND if name == "lend" else FIND
        )


def test_a_forced_server_offers_only_its_own_tools() -> None:
    offered = offer(LISTED, SOURCES, ForceMcp("films"))
    assert offered.choice == "required"
    assert [tool.name for tool in offered.tools] == ["films_find"]
    assert offered.by_name == {"films_find": OfferedTool(FILMS, FIND)}
    assert [tool.name for tool in offer(LISTED, SOURCES, ForceMcp("books")).tools] == ["find", "lend"]


@pytest.mark.parametrize(
    ("choice", "lacking"),
    [
        (ForceMcp("books", "burn"), "the MCP server 'books', which has no tool 'burn' to offer;"),
        (ForceMcp("films", "lend"), "the MCP server 'films', which has no tool 'lend' to offer;"),
        (ForceMcp("music"), "the MCP server 'music', which has no tools to offer;"),
    ],
)
def test_a_choice_of_a_tool_that_no_server_has_is_refused_and_named(choice: ForceMcp, lacking: str) -> None:
    with pytest.raises(PeerError) as refused:
        offer(LISTED, SOURCES, choice)
    assert (refused.value.code, refused.value.field) == ("invalid_value", "tool_choice")
    assert lacking in refused.value.message == str(refused.value)


def test_a_choice_of_a_forbidden_tool_is_refused() -> None:
    narrowed = McpServer("books", "https://books.example/mcp", allowed=ToolFilter(("find",)))
    with pytest.raises(PeerError) as refused:
        offer(LISTED, (narrowed,), ForceMcp("books", "lend"))
    assert (refused.value.code, refused.value.field) == ("invalid_value", "tool_choice")
    assert offer(LISTED, (narrowed,), ForceMcp("books", "find")).choice == ForceFunction("find")


@pytest.mark.parametrize(("read_only", "offered"), [(True, ["find"]), (False, ["lend"]), (None, ["find", "lend"])])
def test_only_read_only_tools_are_offered_if_the_client_asks_for_that(
    read_only: bool | None, offered: list[str]
) -> None:
    server = McpServer("books", "https://books.example/mcp", allowed=ToolFilter(read_only=read_only))
    known = offer({"books": (McpTool("find", read_only=True), LEND)}, (server,), "auto")
    assert [tool.name for tool in known.tools] == offered


@pytest.mark.parametrize(("choice", "comes_to"), [("auto", "auto"), ("none", "none"), ("required", "auto")])
def test_a_server_without_a_listing_offers_no_tools_and_none_can_be_required(
    choice: ToolChoice, comes_to: ToolChoice
) -> None:
    offered = offer({}, (BOOKS,), choice)
    assert (offered.tools, offered.choice, offered.by_name) == ((), comes_to, {})
    with_function = offer({}, (WEATHER, BOOKS), choice)
    assert (with_function.tools, with_function.choice) == ((WEATHER,), choice)


def test_a_tool_is_offered_as_its_server_described_it() -> None:
    find = McpTool("find", "Finds a book.", '{"type":"object"}')
    offered = offer({"books": (find,)}, (BOOKS,), "auto")
    assert offered.tools == (FunctionTool("find", "Finds a book.", '{"type":"object"}'),)


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (("",), ["tool"]),
        (("é è",), ["___"]),
        (("a" * 65,), ["a" * 64]),
        (("a" * 65, "a" * 66), ["a" * 64, "books_" + "a" * 58]),
        (("a b", "a_b", "a.b", "a-b"), ["a_b", "books_a_b", "a_b_2", "a-b"]),
        (("a b", "a_b", "a.b", "a,b"), ["a_b", "books_a_b", "a_b_2", "a_b_3"]),
        (("a" * 70, "a" * 71, "a" * 72), ["a" * 64, "books_" + "a" * 58, "a" * 58 + "_2"]),
    ],
)
def test_tools_get_distinct_names_that_models_accept(names: tuple[str, ...], known: list[str]) -> None:
    offered = offer({"books": tuple(McpTool(name) for name in names)}, (BOOKS,), "auto")
    assert [tool.name for tool in offered.tools] == known
    assert [offered.by_name[name].tool.name for name in known] == list(names)


@pytest.mark.parametrize(
    ("approval", "asks"), [(None, True), (Approval(never=ToolFilter(read_only=True)), False), (Approval(), True)]
)
def test_a_tool_is_called_without_approval_only_if_the_client_says_so(approval: Approval | None, asks: bool) -> None:
    server = McpServer("books", "https://books.example/mcp", approval=approval)
    offered = offer({"books": (McpTool("find", read_only=True), LEND)}, (server,), "auto")
    assert [offered.by_name[name].asks for name in ("find", "lend")] == [asks, True]
