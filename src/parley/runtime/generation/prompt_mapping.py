"""From the core's prompt to a chat request.

Laws: pure. A call of an MCP server's tool is a call like any other to the model, which need not know who made it. The chat
protocols demand that every tool call be answered right after the message that made it: calls in a row become
one assistant message, each with its output at once, wherever in the conversation the output came; a call without output says so.
Audio is represented by its words, and by its sound too where the core gives that. Nothing is shortened or left out here, which is the
core's decision, except for what no endpoint takes: a call's arguments are a JSON object and its name has the characters of a name,
whatever a model or a client wrote; the note in front of the call's output says what stood there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from parley.audio.g711 import decode_alaw, decode_mulaw
from parley.audio.pcm import to_bytes
from parley.core.regions.tool_offer import model_name
from parley.core.words.effects import Summarize
from parley.core.words.ids import CallId
from parley.core.words.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpListTools,
    Message,
    OutputAudio,
    OutputText,
)
from parley.core.words.settings import AudioFormat, ForceFunction, FunctionTool, Modality
from parley.core.words.work import Prompt
from parley.engines.ports import AudioPart, ChatMessage, ChatRequest, ForceTool, ImagePart, Tool, ToolCall

SPOKEN_NOTE = (
    "Your reply is read aloud by a speech synthesizer. Write only plain sentences to be spoken: no markdown, lists, "
    "tables, emoji or links."
)
"""Follows the session's own instructions where the reply is spoken, as those may have been written for a screen."""

SUMMARY_NOTE = "[Summary of the conversation so far, in place of its older messages]\n{summary}"
"""Stands before the messages of a long conversation whose older ones are summed up."""

SUMMARY_REQUEST = (
    "[Do not answer the messages above. They will be left out of this conversation, and your summary of them put in their place. Write it "
    "in at most {words} words and in the language of the conversation: who the user is and what they want, names, numbers and dates as "
    "they were said, what was answered, decided and promised, and what is still open. Include what an earlier summary says. "
    "Write nothing but the summary.]"
)
"""The last message of a request for a summary."""

UNHEARD = "(inaudible)"
"""Stands for a turn of the user's whose words were not recognised, so that the model knows that something was said."""

UNAPPROVED = "(not called: waiting for the user's approval)"
REFUSED = "The user did not approve this call."

NO_OUTPUT = "(no result yet)"
"""The answer to a call whose output has not come."""

NOT_CALLED = "(not called: the reply was cut off)"
"""The answer to a call in a reply that was cut off: the call is not made."""

NOT_AN_OBJECT = "[The arguments of this call were not a JSON object, but: {written}]"
"""In front of the output of a call whose arguments were cut off, or written wrong: the prompt shows `{}` in their place."""

MAX_QUOTED_CHARS = 200
"""Of such arguments: enough for a model to see what it did."""

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
_NAME_CHARS = 64
"""What OpenAI takes for a function's name, in prompts as in tools; a model may call what no tool is named."""


def chat_request(prompt: Prompt, modality: Modality, language: str) -> ChatRequest:
    """The whole request for one reply, which is spoken (`modality` "audio") or read."""
    choice = prompt.tool_choice
    return ChatRequest(
        messages=(
            *_instructions(prompt, modality),
            *_summary(prompt),
            *chat_messages(prompt.items, frozenset(tool.name for tool in prompt.tools)),
        ),
        tools=tuple(map(_tool, prompt.tools)),
        tool_choice=ForceTool(choice.name) if isinstance(choice, ForceFunction) else choice,
        parallel_tool_calls=prompt.parallel_tool_calls,
        max_tokens=prompt.max_output_tokens,
        reasoning_effort=prompt.reasoning_effort,
        temperature=prompt.temperature,
        language=language,
    )


def _instructions(prompt: Prompt, modality: Modality) -> tuple[ChatMessage, ...]:
    parts = [prompt.instructions] if prompt.instructions else []
    if modality == "audio":
        parts.append(SPOKEN_NOTE)
    return (ChatMessage("system", "\n\n".join(parts)),) if parts else ()


def summary_request(effect: Summarize) -> ChatRequest:
    """The request for a summary: it begins as that for a reply does, so that what a model has cached of it serves again."""
    request = chat_request(effect.prompt, effect.modality, effect.language)
    wanted = ChatMessage("user", SUMMARY_REQUEST.format(words=effect.words))
    return replace(request, messages=(*request.messages, wanted))


def _summary(prompt: Prompt) -> tuple[ChatMessage, ...]:
    """A message of the user's, not of the system's: it repeats what the user said, whose words are no instructions of the owner's."""
    return (ChatMessage("user", SUMMARY_NOTE.format(summary=prompt.summary)),) if prompt.summary else ()


def _tool(tool: FunctionTool) -> Tool:
    return Tool(tool.name, tool.description, tool.parameters) if tool.parameters else Tool(tool.name, tool.description)


def chat_messages(items: Iterable[Item], tools: frozenset[str] = frozenset()) -> list[ChatMessage]:
    """The conversation as chat messages; see the laws above for tool calls. `tools` are names that are sent as they are."""
    items = tuple(_with_plain_calls(tuple(items)))
    outputs = {item.call_id: item.output for item in items if isinstance(item, FunctionCallOutput)}
    called = {item.call_id for item in items if isinstance(item, FunctionCall)}
    messages: list[ChatMessage] = []
    calls: list[FunctionCall] = []
    for item in items:
        match item:
            case FunctionCall():
                calls.append(item)
            case FunctionCallOutput(call_id=call_id, output=output):
                if call_id not in called:
                    # The client has deleted its call: what it says still counts.
                    _answer_calls(messages, calls, outputs, tools)
                    messages.append(ChatMessage("user", f"[Result of an earlier tool call] {output}"))
            case Message():
                _answer_calls(messages, calls, outputs, tools)
                message = _message(item)
                if message is not None:
                    messages.append(message)
            case _:
                pass  # what MCP servers' items say to a model is said already, see `_with_plain_calls`
    _answer_calls(messages, calls, outputs, tools)
    return messages


def _with_plain_calls(items: tuple[Item, ...]) -> Iterator[Item]:
    """The items, with the calls of MCP servers' tools, and those that wait for approval, as calls with their outputs."""
    decisions = {item.approval_request_id: item for item in items if isinstance(item, McpApprovalResponse)}
    made = {item.approval_request_id for item in items if isinstance(item, McpCall)}
    for item in items:
        match item:
            case McpCall():
                yield from _plain_call(item, _outcome(item))
            case McpApprovalRequest() if item.id not in made:
                decision = decisions.get(item.id)
                yield from _plain_call(item, UNAPPROVED if decision is None else _decision(decision))
            case McpApprovalRequest() | McpApprovalResponse() | McpListTools():
                pass
            case _:
                yield item


def _plain_call(item: McpCall | McpApprovalRequest, output: str) -> tuple[FunctionCall, FunctionCallOutput]:
    call = CallId(item.id)
    return (
        FunctionCall(item.id, call, model_name(item.name), item.arguments, item.status),
        FunctionCallOutput(item.id, call, output),
    )


def _outcome(item: McpCall) -> str:
    if item.error is not None:
        return f"The call failed: {item.error.message}"
    if item.output is not None:
        return item.output
    return NOT_CALLED if item.status == "incomplete" else NO_OUTPUT


def _decision(decision: McpApprovalResponse) -> str:
    if decision.approve:
        return NO_OUTPUT
    return f"{REFUSED} {decision.reason}".strip()


def _answer_calls(
    messages: list[ChatMessage], calls: list[FunctionCall], outputs: Mapping[CallId, str], tools: frozenset[str]
) -> None:
    """Write the calls gathered so far, and their outputs, and empty the list.

    What the assistant said just before its calls belongs to the same message, as the model wrote it.
    """
    if not calls:
        return
    said = ChatMessage("assistant")
    if messages and messages[-1].role == "assistant" and not messages[-1].tool_calls:
        said = messages.pop()
    made: list[ToolCall] = []
    answers: list[ChatMessage] = []
    for call in calls:
        arguments, note = _sound_arguments(call.arguments)
        name = call.name if call.name in tools else _NO_NAME.sub("_", call.name)[:_NAME_CHARS] or "unnamed"
        made.append(ToolCall(call.call_id, name, arguments))
        output = outputs.get(call.call_id, NOT_CALLED if call.status == "incomplete" else NO_OUTPUT)
        answers.append(ChatMessage("tool", f"{note}\n{output}" if note else output, call_id=call.call_id))
    messages += [replace(said, tool_calls=tuple(made)), *answers]
    calls.clear()


def _sound_arguments(written: str) -> tuple[str, str]:
    """The arguments as an endpoint takes them, and the note that goes with them ("" where they are as they were written)."""
    if not written.strip():
        return "{}", ""
    try:
        sound = isinstance(json.loads(written, parse_constant=_no_constant), dict)
    except (ValueError, RecursionError):
        sound = False
    if sound:
        return written, ""
    shown = written if len(written) <= MAX_QUOTED_CHARS else f"{written[:MAX_QUOTED_CHARS]}..."
    return "{}", NOT_AN_OBJECT.format(written=shown)


def _no_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity: Python reads them, JSON has none


def _message(item: Message) -> ChatMessage | None:
    """One message; None where nothing of it is left to say (an answer cut off before a word was heard)."""
    texts: list[str] = []
    images: list[ImagePart] = []
    sounds: list[AudioPart] = []
    heard_ms: int | None = None
    for part in item.content:
        match part:
            case InputText(text=text) | OutputText(text=text):
                texts.append(text)
            case InputAudio(transcript=transcript, audio=audio, format=form):
                texts.append(transcript or UNHEARD)
                if audio:
                    end = len(_joined(texts))
                    sounds.append(AudioPart(pcm16(audio, form), form.rate, end - len(texts[-1]), end))
            case OutputAudio(transcript=transcript, heard_ms=heard_ms):
                texts.append(transcript)
            case InputImage(image_url=url, detail=detail):
                images.append(ImagePart(url, detail, len(_joined(texts))))
    text = _joined(texts)
    if not text and not images:
        return None
    placed = (replace(image, at=None) if image.at == len(text) else image for image in images)
    return ChatMessage(item.role, text, tuple(placed), audio=tuple(sounds), heard_ms=heard_ms)


def pcm16(audio: bytes, form: AudioFormat) -> bytes:
    """The audio as 16-bit samples, at the same rate."""
    match form:
        case AudioFormat.PCM16:
            return audio
        case AudioFormat.PCMU:
            return to_bytes(decode_mulaw(np.frombuffer(audio, np.uint8)))
        case AudioFormat.PCMA:
            return to_bytes(decode_alaw(np.frombuffer(audio, np.uint8)))


def _joined(texts: Iterable[str]) -> str:
    return "\n".join(text for text in texts if text)
