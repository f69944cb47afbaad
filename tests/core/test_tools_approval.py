"""MCP calls that need approval: which decisions count, their consequences, and which are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from parley.core.words.effects import CallTool, Effect, StartGeneration
from parley.core.words.events import (
    GenerationFinished,
    ItemCreateRequested,
    ItemDeleteRequested,
    ResponseRequested,
    SessionUpdateRequested,
    TextGenerated,
    ToolAnswered,
    ToolArgumentsGenerated,
    ToolCallStarted,
)
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import (
    InputText,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpError,
    McpTool,
    Message,
)
from parley.core.words.limits import MAX_RUNNING_CALLS
from parley.core.words.notices import (
    ItemAdded,
    ItemDone,
    McpCallProgress,
    OutputItemAdded,
    OutputItemDone,
    ResponseDone,
)
from parley.core.words.settings import McpServer, Settings
from tests.core.requesting import ID, refused
from tests.core.scene import MCP_ALLOWED, Scene, kinds, notices

BOOKS = McpServer("books", "https://books.example/mcp")
TYPED = Message(ItemId("typed"), "user", (InputText("Lend me Emma."),))


def asked() -> Scene:
    """A session with a running reply whose model knows the tool."""
    scene = Scene(Settings(modality="text", tools=(BOOKS,)), capabilities=MCP_ALLOWED)
    scene.lists(McpTool("lend"))
    scene.happens(ItemCreateRequested(TYPED), ResponseRequested())
    return scene


def asking(count: int = 1) -> tuple[Scene, list[McpApprovalRequest]]:
    """A session whose model has asked for `count` calls, all of which need approval; and the requests."""
    scene = asked()
    attempt = scene.attempt()
    for index in range(count):
        scene.happens(
            ToolCallStarted(attempt, index, CallId(f"c{index}"), "lend"),
            ToolArgumentsGenerated(attempt, index, f'{{"copy":{index}}}'),
        )
    scene.happens(GenerationFinished(attempt, "tool_calls"))
    requests = [
        item for item in scene.notices(ResponseDone)[-1].response.output if isinstance(item, McpApprovalRequest)
    ]
    assert len(requests) == count
    return scene, requests


def decides(request: McpApprovalRequest, approve: bool, name: str = "decision") -> ItemCreateRequested:
    return ItemCreateRequested(McpApprovalResponse(ItemId(name), request.id, approve), None, ID)


def tool_calls(effects: Sequence[Effect]) -> list[CallTool]:
    return [effect for effect in effects if isinstance(effect, CallTool)]


def test_an_approval_request_is_sent_at_its_place_in_the_reply() -> None:
    scene = asked()
    attempt = scene.attempt()
    scene.happens(TextGenerated(attempt, "One moment."), ToolCallStarted(attempt, 0, CallId("c"), "lend"))
    scene.happens(ToolArgumentsGenerated(attempt, 0, "{}"), GenerationFinished(attempt, "tool_calls"))
    added, done = scene.notices(OutputItemAdded), scene.notices(OutputItemDone)
    assert [(notice.output_index, type(notice.item).__name__) for notice in added] == [
        (0, "Message"),
        (1, "McpApprovalRequest"),
    ]
    assert [notice.output_index for notice in done] == [0, 1]
    assert tool_calls(scene.effects) == []


def test_an_approved_call_is_made_at_once_and_its_outcome_is_sent_and_answered() -> None:
    scene, (request,) = asking()
    caused = scene.happens(decides(request, True))
    assert kinds(caused) == ["ItemAdded", "ItemDone", "ItemAdded", "McpCallProgress"]
    added = [notice for notice in notices(caused) if isinstance(notice, ItemAdded)][-1]
    assert isinstance(added.item, McpCall)
    assert added.item == McpCall(
        added.item.id, "books", "lend", '{"copy":0}', approval_request_id=request.id, status="in_progress"
    )
    assert added.previous_item_id == "decision"
    assert notices(caused)[-1] == McpCallProgress(added.item.id, 0, "in_progress")
    (call,) = tool_calls(caused)
    assert (call.server, call.name, call.arguments) == (BOOKS, "lend", '{"copy":0}')

    came = scene.happens(ToolAnswered(call.call, "It is yours."))
    outcome = replace(added.item, output="It is yours.", status="completed")
    assert notices(came) == [McpCallProgress(outcome.id, 0, "completed"), ItemDone(outcome, ItemId("decision"))]
    prompt = next(effect for effect in scene.passes(400) if isinstance(effect, StartGeneration)).prompt
    assert prompt.items[-1] == outcome


def test_a_reply_waits_for_the_outcome_of_an_approved_call_and_nothing_else() -> None:
    scene, (request,) = asking()
    (call,) = tool_calls(scene.happens(decides(request, True)))
    scene.happens(ResponseRequested())
    started = [
        effect for effect in scene.happens(ToolAnswered(call.call, "Yours.")) if isinstance(effect, StartGeneration)
    ]
    assert len(started) == 1


def test_a_refused_call_is_not_made_and_the_model_answers_the_refused() -> None:
    scene, (request,) = asking()
    caused = scene.happens(decides(request, False))
    assert kinds(caused) == ["ItemAdded", "ItemDone"]
    assert tool_calls(caused) == []
    (started,) = (effect for effect in scene.passes(400) if isinstance(effect, StartGeneration))
    assert started.prompt.items[-1] == McpApprovalResponse(ItemId("decision"), request.id, False)
    assert started.prompt.tool_choice == "auto"


@pytest.mark.parametrize("approve", [True, False])
@pytest.mark.parametrize("named", ["missing", "typed"])
def test_a_decision_about_an_unknown_request_is_refused_and_names_the_request(named: str, approve: bool) -> None:
    scene, _ = asking()
    decision = McpApprovalResponse(ItemId("decision"), ItemId(named), approve)
    error = refused(scene, ItemCreateRequested(decision, None, ID))
    assert (error.code, error.field) == ("invalid_value", "item.approval_request_id")
    assert f"'{named}'" in error.message
    assert scene.passes(400) == []


@pytest.mark.parametrize("second", [True, False])
def test_the_first_decision_counts_and_a_second_is_refused(second: bool) -> None:
    scene, (request,) = asking()
    scene.happens(decides(request, True))
    error = refused(scene, decides(request, second, "again"))
    assert (error.code, error.field) == ("invalid_value", "item.approval_request_id")
    assert f"'{request.id}'" in error.message
    assert "'decision'" in error.message, "the decision that counts is named"
    assert len(tool_calls(scene.effects)) == 1


def test_each_request_is_decided_separately() -> None:
    scene, (first, second) = asking(2)
    scene.happens(decides(first, True, "one"))
    (call,) = tool_calls(scene.happens(decides(second, True, "two")))
    assert call.arguments == '{"copy":1}'


@pytest.mark.parametrize("approve", [True, False])
def test_a_call_of_a_removed_server_cannot_be_approved_but_can_be_refused(approve: bool) -> None:
    scene, (request,) = asking()
    scene.happens(SessionUpdateRequested({"tools": ()}))
    if not approve:
        assert kinds(scene.happens(decides(request, False))) == ["ItemAdded", "ItemDone"]
        return
    error = refused(scene, decides(request, True))
    assert (error.code, error.field) == ("invalid_value", "item.approval_request_id")
    assert "'books'" in error.message
    scene.happens(SessionUpdateRequested({"tools": (BOOKS,)}))
    assert len(tool_calls(scene.happens(decides(request, True)))) == 1, "once the server is back"


def test_an_approved_call_over_the_limit_fails_and_the_others_continue() -> None:
    scene, requests = asking(MAX_RUNNING_CALLS + 1)
    *most, last = requests
    for index, request in enumerate(most):
        scene.happens(decides(request, True, f"d{index}"))
    assert len(tool_calls(scene.effects)) == MAX_RUNNING_CALLS
    caused = scene.happens(decides(last, True))
    assert tool_calls(caused) == []
    assert kinds(caused) == ["ItemAdded", "ItemDone", "ItemAdded", "McpCallProgress", "ItemDone"]
    *_, added, failed, done = notices(caused)
    assert isinstance(added, ItemAdded)
    assert isinstance(done, ItemDone)
    assert isinstance(done.item, McpCall)
    assert failed == McpCallProgress(added.item.id, 0, "failed")
    assert (done.item.id, done.item.output, done.item.status) == (added.item.id, None, "completed")
    assert isinstance(done.item.error, McpError)
    assert done.item.error.type == "protocol_error"
    assert str(MAX_RUNNING_CALLS) in done.item.error.message
    first = tool_calls(scene.effects)[0]
    assert "ItemDone" in kinds(scene.happens(ToolAnswered(first.call, "Yours.")))


def test_the_outcome_of_a_call_whose_item_was_deleted_is_not_sent() -> None:
    scene, (request,) = asking()
    (call,) = tool_calls(scene.happens(decides(request, True)))
    item = scene.notices(ItemAdded)[-1].item
    scene.happens(ItemDeleteRequested(item.id))
    assert "ItemDone" not in kinds(scene.happens(ToolAnswered(call.call, "Yours.")))
