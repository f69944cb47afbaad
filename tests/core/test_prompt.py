"""The prompt of a reply: the response's own options, else the session's, and its counted tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from parley.core.policy.assistant import Assistant
from parley.core.policy.policy import Decided, Said, Say, Translate
from parley.core.words.effects import AbandonSummary, StartGeneration, Summarize
from parley.core.words.events import (
    AudioArrived,
    CommitRequested,
    GenerationFinished,
    ItemCreateRequested,
    ResponseRequested,
    Transcribed,
)
from parley.core.words.ids import ItemId
from parley.core.words.items import InputAudio, InputText, McpTool, Message
from parley.core.words.notices import ResponseDone, Usage
from parley.core.words.settings import (
    AudioFormat,
    Capabilities,
    ForceFunction,
    FunctionTool,
    McpServer,
    OwnerSettings,
    ServerVad,
    Settings,
    Transcription,
    Truncation,
)
from parley.core.words.work import Prompt, Reply, ResponseParams, Translation, Utterance
from tests.core.scene import MCP_ALLOWED, SPECULATING, Scene

OURS, THEIRS = FunctionTool("weather", "It rains.", "{}"), FunctionTool("clock")
TYPED = Message(ItemId("typed"), "user", (InputText("hello"),))
SESSION = Settings(
    instructions="Be brief.",
    modality="text",
    voice="alba",
    speed=1.5,
    output_format=AudioFormat.PCMU,
    turn_detection=None,
    transcription=Transcription(language="pt"),
    tools=(OURS,),
    tool_choice="required",
    parallel_tool_calls=True,
    max_output_tokens=100,
    reasoning_effort="low",
)
PROMPT: dict[str, Any] = {
    "instructions": "Be brief.",
    "items": (TYPED,),
    "tools": (OURS,),
    "tool_choice": "required",
    "parallel_tool_calls": True,
    "max_output_tokens": 100,
    "reasoning_effort": "low",
}
MADE: dict[str, Any] = {"modality": "text", "voice": "alba", "speed": 1.5, "format": AudioFormat.PCMU, "language": "pt"}
EMPTY, OWN = Message(ItemId("e"), "user", (InputText(" "),)), Message(ItemId("o"), "user", (InputText("hi"),))


@pytest.mark.parametrize(
    ("params", "prompt", "made"),
    [
        (ResponseParams(), {}, {}),
        (ResponseParams(instructions=""), {"instructions": ""}, {}),
        (
            ResponseParams(tools=(THEIRS,), tool_choice=ForceFunction("clock")),
            {"tools": (THEIRS,), "tool_choice": ForceFunction("clock")},
            {},
        ),
        (ResponseParams(tools=(), tool_choice="none"), {"tools": (), "tool_choice": "none"}, {}),
        (ResponseParams(parallel_tool_calls=False), {"parallel_tool_calls": False}, {}),
        (ResponseParams(max_output_tokens=7), {"max_output_tokens": 7}, {}),
        (ResponseParams(max_output_tokens=0), {"max_output_tokens": None}, {}),
        (ResponseParams(reasoning_effort="high"), {"reasoning_effort": "high"}, {}),
        (ResponseParams(reasoning_effort=""), {"reasoning_effort": ""}, {}),
        (ResponseParams(input=(EMPTY, OWN)), {"items": (OWN,)}, {}),
        (
            ResponseParams(modality="audio", voice="bruno", output_format=AudioFormat.PCMA),
            {},
            {"modality": "audio", "voice": "bruno", "format": AudioFormat.PCMA},
        ),
    ],
)
def test_a_responses_options_override_the_sessions_settings(
    params: ResponseParams, prompt: dict[str, Any], made: dict[str, Any]
) -> None:
    scene = Scene(SESSION)
    scene.happens(ItemCreateRequested(TYPED), ResponseRequested(params))
    started = scene.last(StartGeneration)
    made = {**MADE, **made, "response": started.response}
    assert started == StartGeneration(started.attempt, Reply(Prompt(**PROMPT | prompt)), **made)
    assert not started.held


def test_a_speculative_reply_uses_the_sessions_settings() -> None:
    settings = Settings(
        voice="alba", speed=0.5, output_format=AudioFormat.PCMA, transcription=Transcription(language="de")
    )
    scene = Scene(settings, OwnerSettings(speculation=True, speculate_after_ms=200))
    scene.pauses("guten tag")
    made = scene.last(StartGeneration)
    assert (made.modality, made.voice, made.speed, made.format, made.language) == (
        ("audio", "alba", 0.5, AudioFormat.PCMA, "de")
    )


def test_a_prompt_counts_instructions_tools_and_items_and_is_refused_one_token_over_the_context() -> None:
    """26 characters of instructions, 9 + 13 + 21 of a function, 4 + 2 + 2 of an MCP server's: 77, of which four make a token.
    The message: 4 tokens and 41 characters, so 11 more."""
    server = McpServer("books", "https://books.example/mcp")
    tools = (FunctionTool("n" * 9, "d" * 13, "p" * 21), server)
    settings = Settings("realtime", "", "i" * 26, "text", tools=tools, truncation=Truncation("disabled"))
    for context, status in ((35, "completed"), (34, "failed")):
        scene = Scene(settings, OwnerSettings(context_tokens=context), MCP_ALLOWED)
        scene.lists(McpTool("find", "in"))
        scene.happens(ItemCreateRequested(Message(ItemId("m"), "user", (InputText("m" * 41),))), ResponseRequested())
        if status == "completed":
            scene.happens(GenerationFinished(scene.attempt()))
        (done,) = scene.notices(ResponseDone)
        assert done.response.status == status
        assert (done.response.usage or Usage()).input_text == (35 if status == "completed" else 0)


def test_only_the_audio_of_turns_in_the_prompt_is_counted() -> None:
    scene = Scene(Settings(modality="text", turn_detection=None), OwnerSettings(context_tokens=100))
    for ms, words in ((990, "x" * 700), (110, "two"), (450, "three")):
        scene.happens(AudioArrived(bytes(48 * ms)), CommitRequested())
        scene.happens(Transcribed(scene.turn(), words))
    scene.happens(ResponseRequested())
    scene.happens(GenerationFinished(scene.attempt()))
    assert len(scene.last(StartGeneration).prompt.items) == 2
    usage = scene.notices(ResponseDone)[-1].response.usage
    assert usage is not None
    assert usage.input_audio == 6, "560 ms, a token for each started 100 ms"


class Translates(Assistant):
    """A policy that translates the turn or has its text spoken verbatim."""

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        return (Translate(len(said.text), "de", "en"), Say("Danke."))


def translating() -> Scene:
    return Scene(Settings(transcription=Transcription(language="pt")), policy=Translates())


def test_work_without_a_language_model_gets_its_text_and_language() -> None:
    scene = translating()
    scene.says("good morning")
    translation = scene.last(StartGeneration)
    assert isinstance(translation.work, Translation)
    assert (translation.work.text, translation.work.from_language) == ("good morning", "en")
    assert translation.language == "de", "it is spoken in the target language"
    scene.answers(("Guten Morgen.", 100))
    said = scene.last(StartGeneration)
    assert isinstance(said.work, Utterance)
    assert (said.work.text, said.language) == ("Danke.", "pt")
    scene.answers(("Danke.", 100))
    used = [notice.response.usage for notice in scene.notices(ResponseDone)]
    assert [one.input_text for one in used if one is not None] == [3, 2], "twelve and six characters"


def test_a_response_with_its_own_input_sees_nothing_else() -> None:
    scene = Scene(SESSION)
    scene.happens(ItemCreateRequested(TYPED), ResponseRequested(ResponseParams(input=(OWN,), in_conversation=False)))
    assert scene.last(StartGeneration).prompt.items == (OWN,)


def test_only_a_reply_takes_the_model_from_a_summary() -> None:
    owner = OwnerSettings(context_tokens=1_000, compaction=True)
    scene = Scene(replace(SESSION, turn_detection=ServerVad()), owner, policy=Translates())
    for name in ("a", "b", "c"):
        scene.happens(ItemCreateRequested(Message(ItemId(name), "user", (InputText("word " * 240),))))
    summary = scene.last(Summarize).summary
    scene.says("good morning")
    assert isinstance(scene.last(StartGeneration).work, Translation)
    assert scene.all(AbandonSummary) == []
    scene.happens(ResponseRequested(ResponseParams(in_conversation=False)))
    assert scene.all(AbandonSummary) == [AbandonSummary(summary)]


@pytest.mark.parametrize("hears", [True, False])
def test_a_model_that_hears_is_given_the_sound_of_a_turn_that_is_not_over(hears: bool) -> None:
    scene = Scene(owner=SPECULATING, capabilities=Capabilities(audio=hears, conversational=True))
    started = next(effect for effect in scene.pauses("hello there") if isinstance(effect, StartGeneration))
    (message,) = started.prompt.items
    assert isinstance(message, Message)
    (part,) = message.content
    assert isinstance(part, InputAudio)
    assert (part.audio is not None) is hears
    assert [turn.text for turn in started.heard] == ["hello there"], "its synthesizer hears it all the same"
