"""One turn gets one reply, whether it is automatic, requested by the client, or both."""

from __future__ import annotations

import pytest

from parley.core.words.effects import CallTool, Effect, StartGeneration
from parley.core.words.errors import Fault
from parley.core.words.events import (
    CancelRequested,
    GenerationFinished,
    ItemCreateRequested,
    ResponseRequested,
    TextGenerated,
    ToolAnswered,
    ToolArgumentsGenerated,
    ToolCallStarted,
    Transcribed,
    TranscriptionFailed,
)
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import InputAudio, InputText, McpApprovalResponse, McpTool, Message
from parley.core.words.notices import ErrorRaised, IdleTimeoutTriggered, ItemDone, ResponseCreated, ResponseDone
from parley.core.words.settings import McpServer, OwnerSettings, ServerVad, Settings
from parley.core.words.work import ResponseParams
from tests.core.scene import MCP_ALLOWED, SPECULATING, Scene, kinds

TEXT = Settings(modality="text")
ASIDE = ResponseParams(in_conversation=False, input=())


def spoken(scene: Scene, ms: int = 640) -> list[Effect]:
    """The user has spoken and the turn is committed; its transcript is pending."""
    caused = scene.hears(ms, 0.9)
    return caused + scene.hears(564, 0.0)


def understood(scene: Scene, text: str = "how are you") -> list[Effect]:
    return scene.happens(Transcribed(scene.turn(), text))


def generated(scene: Scene) -> list[StartGeneration]:
    return scene.all(StartGeneration)


def answered(scene: Scene) -> None:
    """Every reply is generated and fully heard, and nothing is pending."""
    for _ in range(3):
        for effect in generated(scene):
            scene.happens(GenerationFinished(effect.attempt))
        scene.passes(5_000)


def words(effect: StartGeneration) -> list[str]:
    parts = [part for item in effect.prompt.items if isinstance(item, Message) for part in item.content]
    return [part.transcript or "" for part in parts if isinstance(part, InputAudio)]


def test_a_request_before_the_transcript_answers_the_turn_with_its_own_options() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    scene.happens(ResponseRequested(ResponseParams(instructions="Be brief.", metadata=(("mine", "yes"),))))
    understood(scene)
    answered(scene)
    (attempt,) = generated(scene)
    (created,) = scene.notices(ResponseCreated)
    assert attempt.prompt.instructions == "Be brief."
    assert created.response.metadata == (("mine", "yes"),)
    assert words(attempt) == ["how are you"]


def test_a_request_after_the_transcript_is_refused_while_the_reply_is_generated() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    understood(scene)
    scene.happens(ResponseRequested())
    answered(scene)
    assert len(generated(scene)) == len(scene.notices(ResponseCreated)) == 1
    assert [error.code for error in scene.notices(ErrorRaised)] == ["conversation_already_has_active_response"]


def test_a_request_while_the_reply_is_queued_answers_the_turn() -> None:
    scene = Scene(Settings(turn_detection=ServerVad(interrupt_response=False)))
    scene.says("hello")
    scene.answers(("A long answer.", 4_000))
    spoken(scene)
    understood(scene)
    assert len(generated(scene)) == 1, "the second reply waits until the first has been heard"
    scene.happens(ResponseRequested(ResponseParams(instructions="Now.")))
    answered(scene)
    assert [effect.prompt.instructions for effect in generated(scene)] == ["", "Now."]


@pytest.mark.parametrize("text", ["", "mm-hm"])
def test_a_request_is_answered_even_if_the_turn_alone_would_not_be(text: str) -> None:
    scene = Scene(TEXT)
    spoken(scene)
    scene.happens(ResponseRequested())
    understood(scene, text)
    answered(scene)
    assert len(generated(scene)) == len(scene.notices(ResponseCreated)) == 1


def test_a_request_answers_all_turns_with_pending_transcripts() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    first = scene.turn()
    spoken(scene)
    scene.happens(ResponseRequested())
    understood(scene, "two")
    scene.happens(Transcribed(first, "one"))
    answered(scene)
    (attempt,) = generated(scene)
    assert words(attempt) == ["one", "two"]


def test_two_requests_for_one_turn_make_one_reply() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    scene.happens(ResponseRequested(), ResponseRequested())
    understood(scene)
    answered(scene)
    assert len(generated(scene)) == len(scene.notices(ResponseCreated)) == 1
    assert [error.code for error in scene.notices(ErrorRaised)] == ["conversation_already_has_active_response"]


def test_a_request_with_its_own_input_answers_the_turn_too() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    own = Message(ItemId(""), "user", (InputText("what the app heard"),))
    scene.happens(ResponseRequested(ResponseParams(input=(own,))))
    understood(scene)
    answered(scene)
    assert len(generated(scene)) == 1


def test_an_out_of_band_request_answers_no_turn() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    scene.happens(ResponseRequested(ASIDE))
    understood(scene)
    answered(scene)
    assert [created.response.conversation_id is None for created in scene.notices(ResponseCreated)] == [True, False]
    assert [words(effect) for effect in generated(scene)] == [[], ["how are you"]]


@pytest.mark.parametrize("owner", [OwnerSettings(), SPECULATING], ids=["plain", "speculating"])
def test_a_request_in_a_pause_answers_earlier_turns_and_the_open_turn_still_gets_its_reply(
    owner: OwnerSettings,
) -> None:
    scene = Scene(TEXT, owner)
    scene.happens(ItemCreateRequested(Message(ItemId("typed"), "user", (InputText("hello"),))))
    scene.hears(640, 0.9)
    scene.hears(256, 0.0)
    scene.happens(ResponseRequested())
    scene.happens(GenerationFinished(scene.attempt()))
    scene.hears(320, 0.0)
    if owner.speculation:
        scene.happens(Transcribed(scene.turn(), "how are you", flush=scene.flush()))
    else:
        understood(scene)
    answered(scene)
    assert [words(effect) for effect in generated(scene)] == [[], ["how are you"]]
    assert len(scene.notices(ResponseCreated)) == 2


def test_a_released_speculative_reply_answers_the_turn_and_a_later_request_is_refused() -> None:
    """Its beginning may have been heard, so a request could only answer the turn a second time."""
    scene = Scene(TEXT, SPECULATING)
    scene.pauses("how are you")
    scene.happens(TextGenerated(scene.attempt(), "I am well."))
    sent = kinds(scene.hears(320, 0.0))
    assert sent.index("InputSpeechStopped") < sent.index("ResponseCreated") < sent.index("OutputTextDelta")
    scene.happens(ResponseRequested())
    answered(scene)
    assert len(generated(scene)) == len(scene.notices(ResponseCreated)) == 1
    assert [error.code for error in scene.notices(ErrorRaised)] == ["conversation_already_has_active_response"]
    assert [done.response.status for done in scene.notices(ResponseDone)] == ["completed"]


def test_a_turn_whose_request_was_cancelled_is_not_answered() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    scene.happens(ResponseRequested(), CancelRequested())
    understood(scene)
    answered(scene)
    assert generated(scene) == []
    assert [done.response.status for done in scene.notices(ResponseDone)] == ["cancelled"]


def test_a_turn_without_a_transcript_fails_its_request_once() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    scene.happens(ResponseRequested())
    scene.happens(TranscriptionFailed(scene.turn(), Fault("timeout", "late")))
    answered(scene)
    assert generated(scene) == []
    assert [done.response.status for done in scene.notices(ResponseDone)] == ["failed"]


def test_a_turn_after_the_request_gets_its_own_reply() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    scene.happens(ResponseRequested())
    understood(scene, "one")
    scene.happens(GenerationFinished(scene.attempt()))
    spoken(scene)
    understood(scene, "two")
    answered(scene)
    assert [words(effect) for effect in generated(scene)] == [["one"], ["one", "two"]]


def test_a_request_at_the_idle_timeout_replaces_the_prompt() -> None:
    scene = Scene(Settings(modality="text", turn_detection=ServerVad(idle_timeout_ms=5_000)))
    scene.says("hello")
    scene.happens(GenerationFinished(scene.attempt()))
    scene.hears(5_100, 0.0)
    assert len(scene.notices(IdleTimeoutTriggered)) == 1
    scene.happens(ResponseRequested())
    understood(scene, "")
    scene.happens(GenerationFinished(scene.attempt()))
    assert len(generated(scene)) == len(scene.notices(ResponseCreated)) == 2


def approved(scene: Scene) -> None:
    """The model has called a tool, the client has approved it, and it runs."""
    scene.lists(McpTool("lend"))
    scene.happens(ItemCreateRequested(Message(ItemId(""), "user", (InputText("lend me a book"),))), ResponseRequested())
    attempt = scene.attempt()
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "lend"), ToolArgumentsGenerated(attempt, 0, "{}"))
    scene.happens(GenerationFinished(attempt, "tool_calls"))
    asked = scene.notices(ItemDone)[-1].item.id
    scene.happens(ItemCreateRequested(McpApprovalResponse(ItemId(""), asked, approve=True)))


def test_a_speculative_reply_without_a_tools_outcome_leaves_it_to_the_next_reply() -> None:
    server = McpServer("library", "http://library.example/mcp")
    scene = Scene(Settings(modality="text", tools=(server,)), SPECULATING, MCP_ALLOWED)
    approved(scene)
    scene.pauses("how are you")
    scene.hears(320, 0.0)
    scene.happens(GenerationFinished(scene.attempt()), ToolAnswered(scene.last(CallTool).call, "lent"))
    answered(scene)
    assert len(generated(scene)) == 3
    assert "lent" in str(generated(scene)[-1].prompt.items)


def test_a_request_waiting_for_an_approved_tool_is_the_only_reply_to_its_outcome() -> None:
    server = McpServer("library", "http://library.example/mcp")
    scene = Scene(Settings(modality="text", tools=(server,)), capabilities=MCP_ALLOWED)
    approved(scene)
    scene.happens(ResponseRequested())
    scene.happens(ToolAnswered(scene.last(CallTool).call, "lent"))
    answered(scene)
    assert len(generated(scene)) == len(scene.notices(ResponseCreated)) == 2
