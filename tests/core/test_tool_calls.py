"""How a tool call begins: made by the client, by the session, or by the session after approval."""

from __future__ import annotations

import pytest

from parley.core.words.effects import CallTool, Effect
from parley.core.words.events import (
    GenerationFinished,
    ItemCreateRequested,
    ResponseRequested,
    SessionUpdateRequested,
    TextGenerated,
    ToolArgumentsGenerated,
    ToolCallStarted,
)
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import FunctionCall, InputText, McpApprovalRequest, McpCall, McpTool, Message
from parley.core.words.limits import MAX_RUNNING_CALLS
from parley.core.words.notices import McpCallProgress, OutputItemAdded, OutputItemDone, ResponseDone
from parley.core.words.settings import Approval, McpServer, Settings, ToolFilter
from tests.core.scene import MCP_ALLOWED, Scene

BOOKS = McpServer(
    "books", "https://books.example/mcp", approval=Approval(always=ToolFilter(("lend",)), never=ToolFilter(("find",)))
)
TYPED = Message(ItemId("typed"), "user", (InputText("Where is Emma?"),))


def asked(parallel: bool | None = None) -> Scene:
    """A session with a running reply whose model knows two tools of a server, one of which needs approval."""
    settings = Settings(modality="text", turn_detection=None, tools=(BOOKS,), parallel_tool_calls=parallel)
    scene = Scene(settings, capabilities=MCP_ALLOWED)
    scene.lists(McpTool("find"), McpTool("lend"))
    scene.happens(ItemCreateRequested(TYPED), ResponseRequested())
    return scene


def calls(scene: Scene, *names: str, call_id: str = "") -> list[Effect]:
    """The model calls these tools, and ends."""
    attempt = scene.attempt()
    for index, name in enumerate(names):
        scene.happens(ToolCallStarted(attempt, index, CallId(call_id), name))
        scene.happens(ToolArgumentsGenerated(attempt, index, '{"title":"Emma"}'))
    return scene.happens(GenerationFinished(attempt, "tool_calls"))


@pytest.mark.parametrize("call_id", ["", "call_of_the_model"])
def test_a_function_call_is_left_to_the_client_with_an_id(call_id: str) -> None:
    scene = asked()
    caused = calls(scene, "weather", call_id=call_id)
    (item,) = (done.item for done in scene.notices(OutputItemDone))
    assert isinstance(item, FunctionCall)
    assert (item.name, item.arguments, item.status) == ("weather", '{"title":"Emma"}', "completed")
    assert item.call_id == call_id if call_id else item.call_id.startswith("call_")
    assert not any(isinstance(effect, CallTool) for effect in caused)


def test_an_mcp_call_is_made_as_the_model_wrote_it() -> None:
    scene = asked()
    calls(scene, "find")
    made = scene.last(CallTool)
    assert (made.server, made.name, made.arguments) == (BOOKS, "find", '{"title":"Emma"}')
    assert [progress.state for progress in scene.notices(McpCallProgress)] == ["in_progress"]
    assert scene.notices(ResponseDone) == [], "the response waits for its outcome"


def test_a_call_that_needs_approval_makes_a_request_and_is_not_made() -> None:
    scene = asked()
    caused = calls(scene, "lend")
    (done,) = scene.notices(ResponseDone)
    (request,) = done.response.output
    assert isinstance(request, McpApprovalRequest)
    assert (request.name, request.arguments) == ("lend", '{"title":"Emma"}')
    assert not any(isinstance(effect, CallTool) for effect in caused)


def test_words_before_a_call_are_a_separate_item() -> None:
    scene = asked()
    scene.happens(TextGenerated(scene.attempt(), "I will look."))
    calls(scene, "find")
    assert [type(added.item).__name__ for added in scene.notices(OutputItemAdded)] == ["Message", "McpCall"]
    (closed,) = (done.item for done in scene.notices(OutputItemDone))
    assert isinstance(closed, Message)
    assert closed.status == "completed"


@pytest.mark.parametrize(("parallel", "made"), [(None, 2), (True, 2), (False, 1)])
def test_parallel_calls_are_made_only_if_the_client_allows_them(parallel: bool | None, made: int) -> None:
    scene = asked(parallel)
    caused = calls(scene, "find", "find")
    assert sum(isinstance(effect, CallTool) for effect in caused) == made


def test_a_call_over_the_limit_fails_and_the_others_are_made() -> None:
    scene = asked()
    caused = calls(scene, *["find"] * (MAX_RUNNING_CALLS + 1))
    assert sum(isinstance(effect, CallTool) for effect in caused) == MAX_RUNNING_CALLS
    (refused,) = (done.item for done in scene.notices(OutputItemDone))
    assert isinstance(refused, McpCall)
    assert refused.error is not None
    assert f"At most {MAX_RUNNING_CALLS} calls" in refused.error.message


def test_a_call_of_a_removed_server_fails_by_its_name_and_the_response_ends() -> None:
    scene = asked()
    scene.happens(SessionUpdateRequested({"tools": ()}))
    calls(scene, "find")
    (done,) = scene.notices(ResponseDone)
    (item,) = done.response.output
    assert isinstance(item, McpCall)
    assert item.error is not None
    assert "'books' any more" in item.error.message
    assert scene.notices(McpCallProgress)[-1].state == "failed"
