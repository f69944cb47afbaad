"""What a model is shown of a conversation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley.core.words.effects import Summarize
from parley.core.words.ids import CallId, ItemId, SummaryId
from parley.core.words.items import (
    Content,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    Message,
    OutputAudio,
    OutputText,
)
from parley.core.words.settings import ForceFunction, FunctionTool
from parley.core.words.work import Prompt
from parley.engines.ports import ChatMessage, ForceTool, ImagePart, Tool, ToolCall
from parley.runtime.generation.prompt_mapping import (
    NO_OUTPUT,
    NOT_CALLED,
    REFUSED,
    SPOKEN_NOTE,
    UNHEARD,
    chat_messages,
    chat_request,
    summary_request,
)

ID = ItemId("item")


def user(*content: Content) -> Message:
    return Message(ID, "user", content)


def assistant(*content: Content) -> Message:
    return Message(ID, "assistant", content)


def call(name: str, arguments: str = "{}") -> FunctionCall:
    return FunctionCall(ID, CallId(f"call_{name}"), name, arguments)


def output(name: str, text: str) -> FunctionCallOutput:
    return FunctionCallOutput(ID, CallId(f"call_{name}"), text)


def made(*names: str, said: str = "") -> ChatMessage:
    return ChatMessage("assistant", said, tool_calls=tuple(ToolCall(f"call_{name}", name, "{}") for name in names))


def answer(name: str, text: str) -> ChatMessage:
    return ChatMessage("tool", text, call_id=f"call_{name}")


@pytest.mark.parametrize(
    ("items", "messages"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param(
            [user(InputAudio("what is this"), InputImage("data:image/png;base64,AA", "low"))],
            [ChatMessage("user", "what is this", (ImagePart("data:image/png;base64,AA", "low"),))],
            id="speech stands as its words, beside the image",
        ),
        pytest.param(
            [user(InputImage("https://a"), InputText("or"), InputImage("https://b"), InputText("which?"))],
            [ChatMessage("user", "or\nwhich?", (ImagePart("https://a", at=0), ImagePart("https://b", at=2)))],
            id="images keep their places between the words",
        ),
        pytest.param(
            [user(InputAudio(None))], [ChatMessage("user", UNHEARD)], id="a turn that was not understood is not hidden"
        ),
        pytest.param(
            [
                Message(ID, "system", (InputText("Be kind."),)),
                assistant(OutputText("Yes.")),
                assistant(OutputAudio("No.")),
            ],
            [ChatMessage("system", "Be kind."), ChatMessage("assistant", "Yes."), ChatMessage("assistant", "No.")],
            id="roles and both kinds of answer",
        ),
        pytest.param([assistant(OutputAudio(""))], [], id="an answer of which nothing was heard is nothing"),
        pytest.param([call("a"), output("a", "1")], [made("a"), answer("a", "1")], id="a call and its output"),
        pytest.param(
            [call("a"), call("b"), output("b", "2"), output("a", "1")],
            [made("a", "b"), answer("a", "1"), answer("b", "2")],
            id="calls in a row are one message, outputs in the order of the calls",
        ),
        pytest.param(
            [call("a"), output("a", "1"), call("b"), output("b", "2")],
            [made("a", "b"), answer("a", "1"), answer("b", "2")],
            id="no message between two rounds: one message",
        ),
        pytest.param(
            [assistant(OutputAudio("Let me see.")), call("a"), output("a", "1")],
            [made("a", said="Let me see."), answer("a", "1")],
            id="what was said before a call belongs to it",
        ),
        pytest.param(
            [call("a"), user(InputText("hurry")), output("a", "1")],
            [made("a"), answer("a", "1"), ChatMessage("user", "hurry")],
            id="an output that came after more talk stands right after its call",
        ),
        pytest.param(
            [call("a"), user(InputText("hurry"))],
            [made("a"), answer("a", NO_OUTPUT), ChatMessage("user", "hurry")],
            id="a call without output says so",
        ),
        pytest.param(
            [output("a", "1"), user(InputText("so?"))],
            [ChatMessage("user", "[Result of an earlier tool call] 1"), ChatMessage("user", "so?")],
            id="an output whose call is gone is still sent",
        ),
    ],
)
def test_a_conversation_as_chat_messages(items: list[Item], messages: list[ChatMessage]) -> None:
    assert chat_messages(items) == messages


BROKEN = ['{"city": "Par', "[1, 2]", "7", '"x"', "not JSON", '{"x": NaN}', "[" * 100_000]


@pytest.mark.parametrize("written", BROKEN)
@pytest.mark.parametrize("kind", ["function", "mcp", "approval"])
def test_arguments_that_are_no_object_never_go_back_to_a_model_as_they_are(written: str, kind: str) -> None:
    items: dict[str, list[Item]] = {
        "function": [call("a", written), output("a", "1")],
        "mcp": [McpCall(ID, "books", "a", written, output="1")],
        "approval": [McpApprovalRequest(ID, "books", "a", written), McpApprovalResponse(ID, ID, False)],
    }
    asked, answered = chat_messages(items[kind])
    assert [made.arguments for made in asked.tool_calls] == ["{}"]
    assert written[:150] in answered.text
    assert len(answered.text) < 400
    assert answered.text.endswith("\n1" if kind != "approval" else REFUSED)


@pytest.mark.parametrize("written", ["", "  ", "{}", '{"city":"Paris"}', ' {"x": [1, {"y": null}]} '])
def test_sound_arguments_go_back_as_they_were_written(written: str) -> None:
    asked, answered = chat_messages([call("a", written), output("a", "1")])
    assert [made.arguments for made in asked.tool_calls] == [written if written.strip() else "{}"]
    assert answered.text == "1"


def test_a_call_in_a_reply_that_was_cut_off_is_not_waited_for() -> None:
    cut = replace(call("a", '{"city": "Par'), status="incomplete")
    assert chat_messages([cut])[1].text.endswith(f'"Par]\n{NOT_CALLED}')
    assert chat_messages([McpCall(ID, "books", "a", "{}", status="incomplete")])[1].text == NOT_CALLED
    assert chat_messages([McpCall(ID, "books", "a", "{}", status="in_progress")])[1].text == NO_OUTPUT


def test_a_name_that_no_endpoint_takes_is_changed_unless_a_tool_has_it() -> None:
    items = [call("functions.look up"), call(""), call("x" * 100)]
    names = ["functions_look_up", "unnamed", "x" * 64]
    assert [made.name for made in chat_messages(items)[0].tool_calls] == names
    prompt = Prompt("", tuple(items), (FunctionTool("functions.look up"),))
    assert chat_request(prompt, "text", "").messages[0].tool_calls[0].name == "functions.look up"


def test_a_spoken_reply_is_asked_for_in_words_that_can_be_spoken() -> None:
    spoken = chat_request(Prompt("Be brief.", ()), "audio", "")
    assert spoken.messages == (ChatMessage("system", f"Be brief.\n\n{SPOKEN_NOTE}"),)
    assert chat_request(Prompt("Be brief.", ()), "text", "").messages == (ChatMessage("system", "Be brief."),)
    assert chat_request(Prompt("", ()), "text", "").messages == ()


def test_the_request_carries_every_option_of_the_prompt() -> None:
    schema = '{"type":"object","properties":{"x":{"type":"string"}}}'
    prompt = Prompt(
        "",
        (),
        tools=(FunctionTool("plain"), FunctionTool("full", "does it", schema)),
        tool_choice=ForceFunction("full"),
        parallel_tool_calls=False,
        max_output_tokens=50,
        reasoning_effort="low",
    )
    request = chat_request(prompt, "text", "de")
    assert request.tools == (Tool("plain", ""), Tool("full", "does it", schema))
    assert request.tool_choice == ForceTool("full")
    assert (request.parallel_tool_calls, request.max_tokens, request.reasoning_effort) == (False, 50, "low")
    assert request.language == "de"


def test_a_summary_stands_before_the_messages_and_is_not_the_systems() -> None:
    prompt = Prompt("Be brief.", (user(InputText("and now?")),), summary="Ada asked about the weather.")
    system, note, question = chat_request(prompt, "text", "").messages
    assert system == ChatMessage("system", "Be brief.")
    assert (note.role, note.text.splitlines()[-1]) == ("user", "Ada asked about the weather.")
    assert question == ChatMessage("user", "and now?")


def test_the_request_for_a_summary_begins_as_that_for_a_reply_does() -> None:
    prompt = Prompt(
        "Be brief.", (user(InputText("hello")),), (FunctionTool("plain"),), "none", None, 400, summary="Earlier."
    )
    reply = chat_request(prompt, "audio", "de")
    summary = summary_request(Summarize(SummaryId(1), prompt, 70, "audio", "de"))
    assert summary.messages[:-1] == reply.messages
    assert summary.messages[-1].role == "user"
    assert "70 words" in summary.messages[-1].text
    assert (summary.tools, summary.tool_choice, summary.max_tokens) == (reply.tools, "none", 400)
