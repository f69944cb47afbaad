"""The built-in responder: answers when no language model is connected, so that the whole loop can be heard anywhere.

Laws:
- Honest: it says that it is not a language model and how to connect one. It answers only what it can know (the time, the date, what it
  heard), and repeats what was said otherwise.
- Tools can be exercised: it calls a tool when it must (`tool_choice`) or when the user names one, with arguments made from the
  schema and from what was said; a tool's output is read back: its `message` where it has one, else what it says without JSON's marks.
- A token is a word; usage is its own count of words.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Final

from parley.engines.llm.tool_answers import in_words
from parley.engines.llm.tool_arguments import arguments_for
from parley.engines.options import OptionReader
from parley.engines.ports import (
    ChatEnd,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    EngineInfo,
    EngineRefused,
    ForceTool,
    TextDelta,
    TokenUsage,
    Tool,
    ToolCallDelta,
)

HOW_TO_CONNECT: Final = (
    "To connect a language model, start Ollama on this machine, or set PARLEY_LLM and PARLEY_LLM_BASE_URL; "
    "then start Parley again."
)
WHAT_I_AM: Final = "I am Parley's built-in responder, not a language model."
UNHEARD: Final = "(inaudible)"

_MAX_ECHO_WORDS: Final = 60
"""Of what was heard: twenty seconds are enough to know that it was heard."""

_BETWEEN_WORDS: Final = r"(?:[\s_-]+(?:me|us|the|a|an|this|that|my|your|our)\b)*[\s_-]*"
"""What may stand between the words of a tool's name in a sentence."""

_WORD: Final = re.compile(r"\s*\S+\s*$|\s*\S+")

_GREETING: Final = re.compile(
    r"^\W*(hello|hi|hey|good (morning|afternoon|evening|day))\b(\W+(there|parley|world))?\W*$", re.I
)
_TIME: Final = re.compile(r"\bwhat('s| is)? (the )?time\b|\btime is it\b|\bthe time\b.*\?", re.I)
_DATE: Final = re.compile(r"\bwhat('s| is)? (the )?date\b|\b(what|which) day\b|\btoday's date\b", re.I)
_HELP: Final = re.compile(
    r"\b(who|what) are you\b|\bhelp\b|\bconnect\b.*\bmodel\b|\blanguage model\b|\bwhat can you do\b|\bset ?up\b", re.I
)
_THANKS: Final = re.compile(r"^\W*(thanks|thank you)\b.{0,20}$", re.I)
_GOODBYE: Final = re.compile(r"^\W*(good ?bye|bye|see you)\b.{0,20}$", re.I)


def create(model: str, options: Mapping[str, object]) -> Responder:
    """`responder`; no options."""
    OptionReader("llm responder", options).close()
    return Responder()


class Responder:
    """A `LanguageModel` of a few rules. `now` is the clock that answers questions for the time."""

    makeshift = True
    notice = f"No language model is connected: the built-in responder answers. {HOW_TO_CONNECT}"

    def __init__(self, now: Callable[[], datetime] = datetime.now) -> None:
        self._now = now

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            stage="llm",
            name="responder",
            summary="A few built-in rules that answer where no language model is connected.",
            languages=("en",),
            scripted=True,
        )

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Answer word by word, or call tools. Refuses images and structured replies, which it could only pretend to serve."""
        if request.json_schema:
            raise EngineRefused(
                "The built-in responder writes no structured replies.", code="unsupported", remedy=HOW_TO_CONNECT
            )
        if request.messages and request.messages[-1].images:
            raise EngineRefused(
                "The built-in responder sees no images.", code="unsupported_image", remedy=HOW_TO_CONNECT
            )
        read = sum(len(message.text.split()) for message in request.messages)
        said = _last_said(request.messages)
        tools = _tools_to_call(request, said)
        if tools:
            written = 0
            for index, (tool, call_id) in enumerate(zip(tools, _call_ids(request, len(tools)), strict=True)):
                arguments = arguments_for(tool.parameters, said)
                written += 1 + len(arguments.split())
                yield ToolCallDelta(index, call_id, tool.name, arguments)
            yield ChatEnd("tool_calls", TokenUsage(read, written))
            return
        words = _WORD.findall(self._answer(request.messages, said))
        allowed = len(words) if request.max_tokens is None else request.max_tokens
        for word in words[:allowed]:
            yield TextDelta(word)
            await asyncio.sleep(0)  # one word at a time, as models write
        yield ChatEnd("stop" if allowed >= len(words) else "length", TokenUsage(read, min(allowed, len(words))))

    def _answer(self, messages: tuple[ChatMessage, ...], said: str) -> str:
        outputs = _trailing_outputs(messages)
        if outputs:
            return " ".join(_shortened(in_words(output)) for output in outputs)
        known = any(message.role == "assistant" for message in messages)
        if not said:
            return f"Hello! {WHAT_I_AM} Say something, and I will repeat what I heard."
        if said == UNHEARD:
            return "I could not make out what you said."
        now = self._now()
        if _TIME.search(said):
            return f"By this machine's clock it is {now:%H:%M}."
        if _DATE.search(said):
            return f"Today is {now:%A}, {now.day} {now:%B} {now.year}."
        if _HELP.search(said):
            return f"{WHAT_I_AM} I repeat what I hear and tell the time. {HOW_TO_CONNECT}"
        if _GREETING.match(said):
            return (
                "Hello again!"
                if known
                else f"Hello! {WHAT_I_AM} I repeat what I hear; ask me for help to connect a model."
            )
        if _THANKS.match(said):
            return "You are welcome."
        if _GOODBYE.match(said):
            return "Goodbye!"
        heard = f"I heard: {_shortened(said)}"
        if heard[-1] not in ".?!…":
            heard += "."
        return heard if known else f"{heard} {WHAT_I_AM} Ask me for help to connect one."


def _last_said(messages: tuple[ChatMessage, ...]) -> str:
    """What the user said last ("" when nothing)."""
    return next((message.text.strip() for message in reversed(messages) if message.role == "user"), "")


def _trailing_outputs(messages: tuple[ChatMessage, ...]) -> list[str]:
    outputs: list[str] = []
    for message in reversed(messages):
        if message.role != "tool":
            break
        outputs.append(message.text.strip())
    return outputs[::-1]


def _tools_to_call(request: ChatRequest, said: str) -> list[Tool]:
    choice = request.tool_choice
    if isinstance(choice, ForceTool):
        return [tool for tool in request.tools if tool.name == choice.name][:1]
    if choice == "none" or not request.tools:
        return []
    answered = bool(request.messages) and request.messages[-1].role == "tool"
    named = [] if answered else [tool for tool in request.tools if _names(said, tool.name)]
    if request.parallel_tool_calls is False:
        named = named[:1]
    if choice == "required":
        return named or [request.tools[0]]
    return named


def _names(said: str, name: str) -> bool:
    """Whether a tool is named in what was said, in one word or in several ("get the weather" for get_weather, getWeather)."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", name)]
    return (
        bool(words) and re.search(r"\b" + _BETWEEN_WORDS.join(map(re.escape, words)) + r"\b", said.lower()) is not None
    )


def _call_ids(request: ChatRequest, count: int) -> list[str]:
    """Ids that no earlier call of this conversation has."""
    taken = {call.call_id for message in request.messages for call in message.tool_calls}
    ids: list[str] = []
    number = len(taken)
    while len(ids) < count:
        if f"call_{number}" not in taken:
            ids.append(f"call_{number}")
        number += 1
    return ids


def _shortened(text: str) -> str:
    words = text.split()
    return " ".join(words[:_MAX_ECHO_WORDS]) + (" …" if len(words) > _MAX_ECHO_WORDS else "")
