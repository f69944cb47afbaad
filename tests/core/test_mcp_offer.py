"""What a model is offered of the tools of MCP servers, and what a choice of one of them comes to."""

from __future__ import annotations

import pytest

from parley.core.errors import PeerError
from parley.core.items import McpTool
from parley.core.mcp_offer import OfferedTool, offer
from parley.core.settings import ForceFunction, ForceMcp, FunctionTool, McpServer, ToolFilter

FIND, LEND = McpTool("find"), McpTool("lend")
BOOKS = McpServer("books", "https://books.example/mcp")
FILMS = McpServer("films", "https://films.example/mcp")
WEATHER = FunctionTool("weather")
SOURCES = (WEATHER, BOOKS, FILMS)
TOLD = {"books": (FIND, LEND), "films": (FIND,)}
"""Both have a tool `find`; the films' is offered as `films_find`."""


def test_a_tool_of_a_server_that_is_forced_is_called_by_the_name_the_model_knows() -> None:
    for label, name, known in (("books", "find", "find"), ("films", "find", "films_find"), ("books", "lend", "lend")):
        offered = offer(TOLD, SOURCES, ForceMcp(label, name))
        assert offered.choice == ForceFunction(known)
        assert [tool.name for tool in offered.tools] == ["weather", "find", "lend", "films_find"]
        assert offered.mcp[known] == OfferedTool(FILMS if label == "films" else BOOKS, LEND if name == "lend" else FIND)


def test_a_server_that_is_forced_offers_its_own_tools_and_no_others() -> None:
    offered = offer(TOLD, SOURCES, ForceMcp("films"))
    assert offered.choice == "required"
    assert [tool.name for tool in offered.tools] == ["films_find"]
    assert offered.mcp == {"films_find": OfferedTool(FILMS, FIND)}
    assert [tool.name for tool in offer(TOLD, SOURCES, ForceMcp("books")).tools] == ["find", "lend"]


@pytest.mark.parametrize(
    ("choice", "lacking"),
    [
        (ForceMcp("books", "burn"), "the MCP server 'books', which has no tool 'burn' to offer;"),
        (ForceMcp("films", "lend"), "the MCP server 'films', which has no tool 'lend' to offer;"),
        (ForceMcp("music"), "the MCP server 'music', which has no tools to offer;"),
    ],
)
def test_a_choice_of_a_tool_that_no_server_has_is_refused_and_names_it(choice: ForceMcp, lacking: str) -> None:
    with pytest.raises(PeerError) as refused:
        offer(TOLD, SOURCES, choice)
    assert (refused.value.code, refused.value.param) == ("invalid_value", "tool_choice")
    assert lacking in refused.value.message


def test_a_choice_of_a_tool_that_is_not_allowed_is_refused() -> None:
    narrowed = McpServer("books", "https://books.example/mcp", allowed=ToolFilter(("find",)))
    with pytest.raises(PeerError) as refused:
        offer(TOLD, (narrowed,), ForceMcp("books", "lend"))
    assert (refused.value.code, refused.value.param) == ("invalid_value", "tool_choice")
    assert offer(TOLD, (narrowed,), ForceMcp("books", "find")).choice == ForceFunction("find")
