"""The tools that a client may declare, and what a response's own tools refer to."""

from __future__ import annotations

import pytest

from parley.core.decisions.tool_checks import check_choice, check_tools, covers, for_response
from parley.core.regions.entry import Entry
from parley.core.regions.tool_servers import Listing
from parley.core.words.errors import PeerError
from parley.core.words.ids import ItemId, ListingId
from parley.core.words.items import McpListTools
from parley.core.words.limits import MAX_TOOL_SERVERS, MAX_TOOLS
from parley.core.words.settings import (
    Approval,
    Credentials,
    ForceFunction,
    ForceMcp,
    FunctionTool,
    McpServer,
    ToolChoice,
    ToolFilter,
    ToolSource,
)

URL = "https://books.example/mcp"
SECRET = Credentials("Bearer sesame")
BOOKS = McpServer(
    "books", URL, "A library.", SECRET, ToolFilter(("find", "lend")), Approval(always=ToolFilter(("lend",)))
)
SERVERS = {"books": Listing(ListingId(1), BOOKS, Entry(McpListTools(ItemId("i"), "books")), None)}
FIND, UNASKED = ToolFilter(("find",)), Approval(never=ToolFilter())


@pytest.mark.parametrize("url", ["", URL])
@pytest.mark.parametrize(
    ("allowed", "approval", "allows", "asks"),
    [
        (None, None, ["find", "lend"], ["lend"]),
        (FIND, None, ["find"], ["lend"]),
        (None, UNASKED, ["find", "lend"], []),
        (FIND, UNASKED, ["find"], []),
        (None, Approval(), ["find", "lend"], ["find", "lend", "burn"]),
    ],
)
def test_a_responses_options_for_its_sessions_server_override_the_sessions(
    url: str, allowed: ToolFilter | None, approval: Approval | None, allows: list[str], asks: list[str]
) -> None:
    function = FunctionTool("weather")
    kept, server = for_response((function, McpServer("books", url, allowed=allowed, approval=approval)), SERVERS)
    assert kept is function
    assert isinstance(server, McpServer)
    assert (server.label, server.url, server.description, server.credentials) == ("books", URL, "A library.", SECRET)
    assert [name for name in ("find", "lend", "burn") if server.allows(name, False)] == allows
    assert [name for name in ("find", "lend", "burn") if server.asks(name, False)] == asks


@pytest.mark.parametrize(
    "stranger", [McpServer("films"), McpServer("films", URL), McpServer("books", "https://elsewhere.example/mcp")]
)
def test_a_response_cannot_name_a_server_or_address_that_its_session_does_not_have(stranger: McpServer) -> None:
    with pytest.raises(PeerError) as refused:
        for_response((FunctionTool("weather"), stranger), SERVERS)
    assert (refused.value.code, refused.value.field) == ("invalid_value", "response.tools[1].server_label")
    assert f"'{stranger.label}'" in refused.value.message


@pytest.mark.parametrize("path", ["/mcp/./admin", "/mcp/.", "/mcp/.;x/admin", "/mcp/../admin"])
def test_a_path_that_a_server_would_resolve_is_not_below_an_allowed_address(path: str) -> None:
    assert not covers(URL, f"https://books.example{path}")


def test_query_and_fragment_of_an_address_are_not_part_of_its_path() -> None:
    assert covers(URL, f"{URL}?at=/../%2f")
    assert covers(URL, f"{URL}#/../%2f")


@pytest.mark.parametrize(
    ("allowed", "url", "words"),
    [
        ((), URL, "(allowed: none)"),
        (("https://a.example", "https://b.example/x"), URL, "(allowed: https://a.example, https://b.example/x)"),
        ((URL,), "https://books.example/mcpx", f"(allowed: {URL})"),
        ((URL,), f"{URL}/../admin", "segment, a backslash or an encoded"),
        ((URL,), f"{URL}/%2e%2e/admin", f"allows ({URL})"),
        ((URL,), f"{URL}\\admin", "segment"),
    ],
)
def test_a_server_at_a_forbidden_address_is_refused_with_the_allowed_addresses(
    allowed: tuple[str, ...], url: str, words: str
) -> None:
    tools = FunctionTool("weather"), McpServer("books", url)
    with pytest.raises(PeerError) as refused:
        check_tools(tools, "session", allowed)
    assert (refused.value.code, refused.value.field) == ("invalid_value", "session.tools[1].server_url")
    assert url in refused.value.message
    assert words in refused.value.message


@pytest.mark.parametrize("allowed", [("*",), (URL,), ("https://other.example", URL), ("https://books.example",)])
@pytest.mark.parametrize("url", [URL, f"{URL}/shelf"])
def test_a_server_at_or_below_an_allowed_address_is_accepted(allowed: tuple[str, ...], url: str) -> None:
    check_tools((McpServer("books", url),), "session", allowed)


# --- what may be declared and chosen -------------------------------------------------------------------------------------------


def refused(sources: tuple[ToolSource, ...] = (), choice: ToolChoice = "auto") -> PeerError:
    with pytest.raises(PeerError) as refusal:  # noqa: PT012 - either check may refuse
        check_tools(sources, "session", ("*",))
        check_choice(choice, sources, "response")
    assert refusal.value.code == "invalid_value"
    return refusal.value


def functions(count: int) -> tuple[ToolSource, ...]:
    return tuple(FunctionTool(f"f{number}") for number in range(count))


def servers(count: int) -> tuple[ToolSource, ...]:
    return tuple(McpServer(f"s{number}", URL) for number in range(count))


def test_a_session_may_have_as_many_tools_and_servers_as_the_limits_and_no_more() -> None:
    check_tools(functions(MAX_TOOLS), "session", ())
    check_tools(servers(MAX_TOOL_SERVERS), "session", ("*",))
    assert refused(functions(MAX_TOOLS + 1)).field == "session.tools"
    assert refused(servers(MAX_TOOL_SERVERS + 1)).message == f"At most {MAX_TOOL_SERVERS} MCP servers."


def test_a_duplicate_tool_name_is_refused_at_the_position_of_the_second() -> None:
    error = refused((FunctionTool("clock"), McpServer("clock", URL), FunctionTool("clock")))
    assert (error.field, "'clock'" in error.message) == ("session.tools[2].name", True)
    error = refused((McpServer("books", URL), FunctionTool("books"), McpServer("books", URL)))
    assert (error.field, "'books'" in error.message) == ("session.tools[2].server_label", True)


@pytest.mark.parametrize(
    ("choice", "named"),
    [(ForceFunction("lend"), "the function 'lend'"), (ForceMcp("films"), "the MCP server 'films'")],
)
def test_a_choice_of_an_unknown_tool_is_refused_by_its_name(choice: ToolChoice, named: str) -> None:
    error = refused((FunctionTool("clock"), McpServer("books", URL)), choice)
    assert (error.field, named in error.message) == ("response.tool_choice", True)


def test_without_tools_none_can_be_required() -> None:
    assert "there are no tools" in refused((), "required").message


@pytest.mark.parametrize("choice", ["auto", "none", "required", ForceFunction("clock"), ForceMcp("books", "find")])
def test_a_choice_of_an_existing_tool_is_accepted(choice: ToolChoice) -> None:
    check_choice(choice, (FunctionTool("clock"), McpServer("books", URL)), "response")


@pytest.mark.parametrize("url", ["https://books.example:port/mcp", "https://[::1/mcp"])
def test_an_unparsable_address_is_below_no_other(url: str) -> None:
    assert not covers(URL, url)
    assert covers("*", url)
