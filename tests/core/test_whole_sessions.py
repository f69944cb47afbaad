"""Function calls, token and context limits, the rate, idleness, and the end of a session."""

from __future__ import annotations

import pytest

from parley.core.words.effects import CancelGeneration, CloseLink, StartGeneration
from parley.core.words.errors import Fault
from parley.core.words.events import (
    CancelRequested,
    GenerationFailed,
    GenerationFinished,
    ItemCreateRequested,
    LinkClosed,
    MeasuredUsage,
    ResponseRequested,
    SessionUpdateRequested,
    TextGenerated,
    ToolArgumentsGenerated,
    ToolCallStarted,
    Transcribed,
    WindDownRequested,
)
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import FunctionCall, FunctionCallOutput, InputText, McpTool, Message
from parley.core.words.notices import (
    ErrorRaised,
    FunctionArgumentsDelta,
    FunctionArgumentsDone,
    IdleTimeoutTriggered,
    OutputItemDone,
    RateLimitsUpdated,
    ResponseCreated,
    ResponseDone,
)
from parley.core.words.settings import (
    ForceFunction,
    ForceMcp,
    FunctionTool,
    McpServer,
    OwnerSettings,
    ServerVad,
    Settings,
    ToolChoice,
    Truncation,
)
from tests.core.scene import MCP_ALLOWED, Scene, kinds, notices

ASK = Message(ItemId(""), "user", (InputText("what is the weather in Paris and Rome"),))


def asked(settings: Settings | None = None, owner: OwnerSettings | None = None) -> Scene:
    scene = Scene(settings or Settings(modality="text"), owner or OwnerSettings())
    scene.happens(ItemCreateRequested(ASK), ResponseRequested())
    return scene


def calls(scene: Scene, *names: str) -> None:
    attempt = scene.attempt()
    for index, name in enumerate(names):
        scene.happens(ToolCallStarted(attempt, index, CallId(f"call_{name}"), name))
        scene.happens(ToolArgumentsGenerated(attempt, index, "{"), ToolArgumentsGenerated(attempt, index, "}"))
    scene.happens(GenerationFinished(attempt, "tool_calls"))


def test_several_calls_are_sent_whole_and_their_outputs_may_arrive_in_any_order() -> None:
    scene = asked()
    calls(scene, "paris", "rome")
    assert [done.arguments for done in scene.notices(FunctionArgumentsDone)] == ["{}", "{}"]
    items = [done.item for done in scene.notices(OutputItemDone)]
    assert [item.status for item in items] == ["completed", "completed"]
    for name in ("rome", "paris"):
        scene.happens(ItemCreateRequested(FunctionCallOutput(ItemId(""), CallId(f"call_{name}"), "sun")))
    scene.happens(ResponseRequested())
    prompt = scene.last(StartGeneration).prompt.items
    assert [type(item).__name__ for item in prompt] == ["Message", *["FunctionCall"] * 2, *["FunctionCallOutput"] * 2]


CHOICES: list[ToolChoice] = ["required", ForceFunction("weather"), ForceMcp("library")]


@pytest.mark.parametrize("choice", CHOICES)
def test_a_tool_choice_may_precede_its_tools_and_is_checked_when_a_response_is_made(choice: ToolChoice) -> None:
    scene = Scene(Settings(modality="text"), OwnerSettings(speculation=True), MCP_ALLOWED)
    assert kinds(scene.happens(SessionUpdateRequested({"tool_choice": choice}))) == ["SessionUpdated"]
    (error,) = notices(scene.happens(ItemCreateRequested(ASK), ResponseRequested()))[-1:]
    assert isinstance(error, ErrorRaised)
    assert (error.code, error.field) == ("invalid_value", "session.tool_choice")
    scene.says("hello")
    failed = scene.notices(ResponseDone)[-1].response
    assert failed.error is not None
    assert (failed.status, failed.error.code) == ("failed", "invalid_value")
    assert "tool" in failed.error.message
    assert not any(isinstance(effect, StartGeneration) for effect in scene.effects)
    tools = (FunctionTool("weather"), McpServer("library", "http://library.example/mcp"))
    scene.happens(SessionUpdateRequested({"tools": tools}))
    scene.lists(McpTool("find"))
    scene.says("hello again")
    assert scene.last(StartGeneration).prompt.tool_choice in ("required", ForceFunction("weather"))


@pytest.mark.parametrize("written", [(), ("",), (" ", "\n")])
def test_a_call_without_arguments_has_an_empty_object_in_its_deltas_and_its_done(
    written: tuple[str, ...],
) -> None:
    scene = asked()
    attempt = scene.attempt()
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "look"))
    scene.happens(*(ToolArgumentsGenerated(attempt, 0, piece) for piece in written))
    scene.happens(GenerationFinished(attempt, "tool_calls"))
    (done,) = scene.notices(FunctionArgumentsDone)
    assert done.arguments.strip() == "{}"
    assert "".join(delta.delta for delta in scene.notices(FunctionArgumentsDelta)) == done.arguments
    (item,) = scene.notices(ResponseDone)[0].response.output
    assert isinstance(item, FunctionCall)
    assert (item.arguments, item.status) == (done.arguments, "completed")


def test_words_before_a_call_are_a_separate_item() -> None:
    scene = asked()
    scene.happens(TextGenerated(scene.attempt(), "One moment."))
    calls(scene, "paris")
    response = scene.notices(ResponseDone)[0].response
    assert [type(item).__name__ for item in response.output] == ["Message", "FunctionCall"]


def test_without_parallel_calls_only_the_first_is_sent() -> None:
    scene = asked(Settings(modality="text", parallel_tool_calls=False))
    calls(scene, "paris", "rome")
    assert len(scene.notices(FunctionArgumentsDone)) == 1


def test_an_interrupted_call_is_incomplete() -> None:
    scene = asked()
    scene.happens(ToolCallStarted(scene.attempt(), 0, CallId("c"), "pay"), CancelRequested())
    (item,) = scene.notices(ResponseDone)[0].response.output
    assert isinstance(item, FunctionCall)
    assert item.status == "incomplete"


def test_the_token_limit_ends_a_response_incomplete_with_its_output() -> None:
    scene = asked()
    scene.happens(TextGenerated(scene.attempt(), "The weather"), GenerationFinished(scene.attempt(), "length"))
    response = scene.notices(ResponseDone)[0].response
    assert (response.status, response.reason) == ("incomplete", "max_output_tokens")
    assert [item.status for item in response.output] == ["incomplete"]


def test_an_endless_model_is_stopped() -> None:
    scene = asked()
    caused = scene.happens(TextGenerated(scene.attempt(), "x" * 300_000))
    assert scene.notices(ResponseDone)[0].response.status == "incomplete"
    assert any(isinstance(effect, CancelGeneration) for effect in caused)


def test_an_engine_failure_fails_only_the_response() -> None:
    scene = asked()
    scene.happens(GenerationFailed(scene.attempt(), Fault("invalid_api_key", "The key is wrong.")))
    error = scene.notices(ResponseDone)[0].response.error
    assert error is not None
    assert (error.code, error.message) == ("invalid_api_key", "The key is wrong.")
    assert "ResponseCreated" in kinds(scene.happens(ResponseRequested()))


def test_usage_is_the_models_own_if_it_reports_any() -> None:
    scene = asked()
    attempt = scene.attempt()
    scene.happens(TextGenerated(attempt, "Sun."), GenerationFinished(attempt, usage=MeasuredUsage(50, 7, 30)))
    usage = scene.notices(ResponseDone)[0].response.usage
    assert usage is not None
    assert (usage.input_text, usage.input_cached, usage.output_text) == (50, 30, 7)


def test_audio_is_counted_by_its_length() -> None:
    scene = Scene()
    scene.says("hello", ms=640)
    scene.answers(("Hi.", 1000))
    usage = scene.notices(ResponseDone)[0].response.usage
    assert usage is not None
    assert usage.output_audio == 20
    assert 10 <= usage.input_audio <= 20


def fill(scene: Scene, count: int) -> None:
    for index in range(count):
        scene.happens(ItemCreateRequested(Message(ItemId(f"i{index}"), "user", (InputText("word " * 80),))))
    scene.happens(ResponseRequested())


def prompt_ids(scene: Scene) -> list[str]:
    return [item.id for item in scene.last(StartGeneration).prompt.items]


def test_a_full_context_drops_its_oldest_items() -> None:
    scene = Scene(owner=OwnerSettings(context_tokens=1000))
    fill(scene, 20)
    assert prompt_ids(scene) == [f"i{index}" for index in range(11, 20)]


def test_a_retention_ratio_drops_more_at_once_and_then_nothing_for_a_while() -> None:
    scene = Scene(Settings(truncation=Truncation("retention_ratio", 0.5)), OwnerSettings(context_tokens=1000))
    fill(scene, 20)
    first = prompt_ids(scene)
    assert len(first) == 4
    scene.happens(CancelRequested())
    scene.happens(
        ItemCreateRequested(Message(ItemId("one more"), "user", (InputText("word " * 80),))), ResponseRequested()
    )
    assert prompt_ids(scene) == [*first, "one more"]


def test_the_clients_token_limit_is_applied() -> None:
    scene = Scene(Settings(truncation=Truncation("retention_ratio", 1.0, 250)))
    fill(scene, 20)
    assert prompt_ids(scene) == ["i18", "i19"]


def test_with_truncation_disabled_a_full_context_is_an_error() -> None:
    scene = Scene(Settings(truncation=Truncation("disabled")), OwnerSettings(context_tokens=1000))
    fill(scene, 20)
    error = scene.notices(ResponseDone)[0].response.error
    assert error is not None
    assert error.code == "context_length_exceeded"


def test_the_rate_of_responses_is_limited_and_reported() -> None:
    scene = Scene(owner=OwnerSettings(responses_per_minute=2))
    for _ in range(2):
        scene.happens(ResponseRequested(), CancelRequested())
    assert [update.limits[0].remaining for update in scene.notices(RateLimitsUpdated)] == [1, 0]
    (error,) = notices(scene.happens(ResponseRequested()))
    assert isinstance(error, ErrorRaised)
    assert error.code == "rate_limit_exceeded"
    scene.passes(30_500)
    assert "ResponseCreated" in kinds(scene.happens(ResponseRequested()))


def test_a_silent_user_is_prompted_after_the_reply_was_heard() -> None:
    scene = Scene(Settings(turn_detection=ServerVad(idle_timeout_ms=5000)))
    scene.says("hello")
    scene.answers(("Hello, what can I do for you?", 2000))
    scene.hears(6900, 0.0)
    assert scene.notices(IdleTimeoutTriggered) == []
    caused = scene.hears(200, 0.0)
    assert kinds(caused)[:4] == ["IdleTimeoutTriggered", "InputCommitted", "ItemAdded", "ItemDone"]
    (idle,) = scene.notices(IdleTimeoutTriggered)
    assert 4900 <= idle.audio_end_ms - idle.audio_start_ms <= 5100
    scene.happens(Transcribed(scene.turn(), ""))
    assert len(scene.notices(ResponseCreated)) == 2
    hint = scene.last(StartGeneration).prompt.items[-1]
    assert isinstance(hint, Message)
    assert hint.role == "system"


def test_a_session_ends_after_its_limit_with_an_error() -> None:
    scene = Scene(owner=OwnerSettings(session_ms=60_000))
    scene.passes(60_000)
    assert scene.notices(ErrorRaised)[-1].code == "session_expired"
    assert scene.last(CloseLink).reason == "session_expired"
    assert scene.session.closed
    assert scene.session.next_deadline() is None


def test_winding_down_lets_the_reply_end_first() -> None:
    scene = asked()
    assert not any(isinstance(effect, CloseLink) for effect in scene.happens(WindDownRequested()))
    scene.happens(TextGenerated(scene.attempt(), "Sun."))
    caused = scene.happens(GenerationFinished(scene.attempt()))
    assert isinstance(caused[-1], CloseLink)


def test_nothing_happens_after_the_link_is_closed() -> None:
    scene = asked()
    attempt = scene.attempt()
    assert scene.happens(LinkClosed()) == [CancelGeneration(attempt)]
    assert scene.happens(ResponseRequested(), SessionUpdateRequested({}), TextGenerated(attempt, "x")) == []
