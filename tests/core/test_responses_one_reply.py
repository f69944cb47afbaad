"""One turn gets one reply, whether the session makes it by itself, the client asks for it, or both."""

from __future__ import annotations

import pytest

from parley.core.words.effects import CallTool, Effect, ListTools, StartGeneration
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
    ToolsListed,
    Transcribed,
    TranscriptionFailed,
)
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import InputAudio, InputText, McpApprovalResponse, McpTool, Message
from parley.core.words.notices import ErrorRaised, IdleTimeoutTriggered, ItemDone, ResponseCreated, ResponseDone
from parley.core.words.settings import Capabilities, McpServer, OwnerSettings, ServerVad, Settings
from parley.core.words.work import ResponseParams
from tests.core.scene import Scene, kinds

TEXT = Settings(modality="text")
GUESSING = OwnerSettings(speculation=True, speculate_after_ms=200)
ASIDE = ResponseParams(in_conversation=False, input=())


def spoken(scene: Scene, ms: int = 640) -> list[Effect]:
    """The user has spoken and the turn is committed; its words are still to come."""
    caused = scene.hears(ms, 0.9)
    return caused + scene.hears(564, 0.0)


def understood(scene: Scene, text: str = "how are you") -> list[Effect]:
    return scene.happens(Transcribed(scene.turn(), text))


def generated(scene: Scene) -> list[StartGeneration]:
    return [effect for effect in scene.effects if isinstance(effect, StartGeneration)]


def answered(scene: Scene) -> None:
    """Every reply is made and heard out; nothing more is to come."""
    for _ in range(3):
        for effect in generated(scene):
            scene.happens(GenerationFinished(effect.attempt))
        scene.passes(5_000)


def words(effect: StartGeneration) -> list[str]:
    parts = [part for item in effect.prompt.items if isinstance(item, Message) for part in item.content]
    return [part.transcript or "" for part in parts if isinstance(part, InputAudio)]


def test_a_request_before_the_words_are_known_takes_the_turn_over_with_its_own_options() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    scene.happens(ResponseRequested(ResponseParams(instructions="Be brief.", metadata=(("mine", "yes"),))))
    understood(scene)
    answered(scene)
    (attempt,) = generated(scene)
    (created,) = scene.told(ResponseCreated)
    assert attempt.prompt.instructions == "Be brief."
    assert created.response.metadata == (("mine", "yes"),)
    assert words(attempt) == ["how are you"]


def test_a_request_after_the_words_are_known_is_refused_while_the_reply_is_made() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    understood(scene)
    scene.happens(ResponseRequested())
    answered(scene)
    assert len(generated(scene)) == len(scene.told(ResponseCreated)) == 1
    assert [error.code for error in scene.told(ErrorRaised)] == ["conversation_already_has_active_response"]


def test_a_request_while_the_reply_waits_for_its_turn_takes_it_over() -> None:
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
def test_a_request_is_answered_even_where_the_turn_alone_would_not_be(text: str) -> None:
    scene = Scene(TEXT)
    spoken(scene)
    scene.happens(ResponseRequested())
    understood(scene, text)
    answered(scene)
    assert len(generated(scene)) == len(scene.told(ResponseCreated)) == 1


def test_several_turns_that_wait_for_their_words_are_taken_over_together() -> None:
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
    assert len(generated(scene)) == len(scene.told(ResponseCreated)) == 1
    assert [error.code for error in scene.told(ErrorRaised)] == ["conversation_already_has_active_response"]


def test_a_request_with_an_input_of_its_own_takes_the_turn_over_too() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    own = Message(ItemId(""), "user", (InputText("what the app heard"),))
    scene.happens(ResponseRequested(ResponseParams(input=(own,))))
    understood(scene)
    answered(scene)
    assert len(generated(scene)) == 1


def test_an_out_of_band_request_takes_nothing_over() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    scene.happens(ResponseRequested(ASIDE))
    understood(scene)
    answered(scene)
    assert [created.response.conversation_id is None for created in scene.told(ResponseCreated)] == [True, False]
    assert [words(effect) for effect in generated(scene)] == [[], ["how are you"]]


@pytest.mark.parametrize("owner", [OwnerSettings(), GUESSING], ids=["plain", "speculating"])
def test_a_request_in_a_pause_answers_what_was_said_before_and_the_turn_still_gets_its_reply(
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
    assert len(scene.told(ResponseCreated)) == 2


def test_a_reply_made_ahead_answers_the_turn_and_a_request_behind_it_is_refused() -> None:
    """Its beginning may have been heard: it could only be taken over by answering the turn twice."""
    scene = Scene(TEXT, GUESSING)
    scene.hears(640, 0.9)
    scene.hears(256, 0.0)
    scene.happens(Transcribed(scene.turn(), "how are you", flush=scene.flush()))
    scene.happens(TextGenerated(scene.attempt(), "I am well."))
    told = kinds(scene.hears(320, 0.0))
    assert told.index("InputSpeechStopped") < told.index("ResponseCreated") < told.index("OutputTextDelta")
    scene.happens(ResponseRequested())
    answered(scene)
    assert len(generated(scene)) == len(scene.told(ResponseCreated)) == 1
    assert [error.code for error in scene.told(ErrorRaised)] == ["conversation_already_has_active_response"]
    assert [done.response.status for done in scene.told(ResponseDone)] == ["completed"]


def test_a_turn_whose_request_was_cancelled_is_not_answered_after_all() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    scene.happens(ResponseRequested(), CancelRequested())
    understood(scene)
    answered(scene)
    assert generated(scene) == []
    assert [done.response.status for done in scene.told(ResponseDone)] == ["cancelled"]


def test_a_turn_whose_words_are_lost_fails_its_request_once() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    scene.happens(ResponseRequested())
    scene.happens(TranscriptionFailed(scene.turn(), Fault("timeout", "late")))
    answered(scene)
    assert generated(scene) == []
    assert [done.response.status for done in scene.told(ResponseDone)] == ["failed"]


def test_a_turn_after_the_request_is_answered_by_itself() -> None:
    scene = Scene(TEXT)
    spoken(scene)
    scene.happens(ResponseRequested())
    understood(scene, "one")
    scene.happens(GenerationFinished(scene.attempt()))
    spoken(scene)
    understood(scene, "two")
    answered(scene)
    assert [words(effect) for effect in generated(scene)] == [["one"], ["one", "two"]]


def test_a_request_at_the_idle_timeout_takes_the_prompt_over() -> None:
    scene = Scene(Settings(modality="text", turn_detection=ServerVad(idle_timeout_ms=5_000)))
    scene.says("hello")
    scene.happens(GenerationFinished(scene.attempt()))
    scene.hears(5_100, 0.0)
    assert len(scene.told(IdleTimeoutTriggered)) == 1
    scene.happens(ResponseRequested())
    understood(scene, "")
    scene.happens(GenerationFinished(scene.attempt()))
    assert len(generated(scene)) == len(scene.told(ResponseCreated)) == 2


def approved(scene: Scene) -> None:
    """The model has called a tool, and the client has approved it; it runs."""
    scene.happens(ToolsListed(scene.last(ListTools).listing, (McpTool("lend"),)))
    scene.happens(ItemCreateRequested(Message(ItemId(""), "user", (InputText("lend me a book"),))), ResponseRequested())
    attempt = scene.attempt()
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "lend"), ToolArgumentsGenerated(attempt, 0, "{}"))
    scene.happens(GenerationFinished(attempt, "tool_calls"))
    asked = scene.told(ItemDone)[-1].item.id
    scene.happens(ItemCreateRequested(McpApprovalResponse(ItemId(""), asked, approve=True)))


def test_a_reply_made_ahead_that_has_not_seen_a_tools_outcome_leaves_it_to_the_next() -> None:
    server = McpServer("library", "http://library.example/mcp")
    scene = Scene(Settings(modality="text", tools=(server,)), GUESSING, Capabilities(mcp_urls=("*",)))
    approved(scene)
    scene.hears(640, 0.9)
    scene.hears(256, 0.0)
    scene.happens(Transcribed(scene.turn(), "how are you", flush=scene.flush()))
    scene.hears(320, 0.0)
    scene.happens(GenerationFinished(scene.attempt()), ToolAnswered(scene.last(CallTool).call, "lent"))
    answered(scene)
    assert len(generated(scene)) == 3
    assert "lent" in str(generated(scene)[-1].prompt.items)


def test_a_request_that_waits_for_an_approved_tool_is_the_only_reply_to_its_outcome() -> None:
    server = McpServer("library", "http://library.example/mcp")
    scene = Scene(Settings(modality="text", tools=(server,)), capabilities=Capabilities(mcp_urls=("*",)))
    approved(scene)
    scene.happens(ResponseRequested())
    scene.happens(ToolAnswered(scene.last(CallTool).call, "lent"))
    answered(scene)
    assert len(generated(scene)) == len(scene.told(ResponseCreated)) == 2
