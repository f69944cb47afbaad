"""The contract of language models."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import numpy as np
import pytest

from parley.engines.ports import (
    LLM,
    AudioPart,
    ChatEnd,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    ForceTool,
    ImagePart,
    LanguageModel,
    TextDelta,
    Tool,
    ToolCallDelta,
)
from parley.testing.contracts.base import Subject, served_or_refused
from parley.testing.contracts.material import ODD_TEXTS, SENTENCES
from parley.testing.contracts.streamed import StreamedContract
from parley.testing.contracts.watching import unblocked

PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
WEATHER = Tool(
    "get_weather",
    "The weather of a city.",
    '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}',
)


def text_of(events: list[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


class LanguageModelContract(StreamedContract[LanguageModel, ChatEvent]):
    """For a `LanguageModel`."""

    stage = LLM

    def begin(self, engine: LanguageModel, number: int, times: int = 1) -> AsyncIterator[ChatEvent]:
        said = ChatMessage("user", " ".join([SENTENCES[number]] * times))
        return engine.reply(ChatRequest((ChatMessage("system", "Be brief."), said)))

    def check(self, engine: LanguageModel, answer: list[ChatEvent]) -> None:
        self.check_stream(answer)
        assert text_of(answer).strip(), "an ordinary question is answered in words"

    def check_stream(self, answer: list[ChatEvent]) -> None:
        """Assert that the events are a reply: one end and nothing behind it, tool calls that are whole."""
        assert all(isinstance(event, TextDelta | ToolCallDelta | ChatEnd) for event in answer)
        ends = [event for event in answer if isinstance(event, ChatEnd)]
        assert len(ends) == 1, f"a reply ends once, not {len(ends)} times"
        assert answer[-1] is ends[0], "nothing comes after the end"
        assert ends[0].reason in ("stop", "length", "tool_calls", "content_filter")
        if (usage := ends[0].usage) is not None:
            assert min(usage.input_tokens, usage.output_tokens, usage.cached_tokens) >= 0
        self._check_calls([event for event in answer if isinstance(event, ToolCallDelta)])

    def _check_calls(self, pieces: list[ToolCallDelta]) -> None:
        for index in {piece.index for piece in pieces}:
            first, *later = [piece for piece in pieces if piece.index == index]
            assert first.call_id, "the first piece of a tool call has its id"
            assert first.name, "the first piece of a tool call has its name"
            assert not any(piece.name or piece.call_id for piece in later), "later pieces carry arguments only"
            json.loads("".join(piece.arguments for piece in (first, *later)) or "{}")

    def same(self, one: list[ChatEvent], other: list[ChatEvent]) -> bool:
        return text_of(one) == text_of(other)

    async def ask(self, engine: LanguageModel, request: ChatRequest) -> list[ChatEvent]:
        return [event async for event in engine.reply(request)]

    def test_a_reply_is_words_and_one_end(self, subject: Subject[LanguageModel]) -> None:
        engine = subject.engine
        for number in range(4):
            self.check(engine, subject.run(self.answer(engine, number)))

    @pytest.mark.parametrize("kind", ODD_TEXTS)
    def test_odd_texts_are_answered_or_refused(self, subject: Subject[LanguageModel], kind: str) -> None:
        engine = subject.engine
        request = ChatRequest((ChatMessage("user", ODD_TEXTS[kind]),))
        if events := subject.run(served_or_refused(self.ask(engine, request))):
            self.check_stream(events)
        self.check(engine, subject.run(self.answer(engine, 0)))

    def test_a_prompt_without_a_question_is_answered_or_refused(self, subject: Subject[LanguageModel]) -> None:
        for messages in ((), (ChatMessage("system", "Be brief."),), (ChatMessage("assistant", "Hello."),)):
            if events := subject.run(served_or_refused(self.ask(subject.engine, ChatRequest(messages)))):
                self.check_stream(events)

    @pytest.mark.slow
    def test_a_very_long_prompt_is_answered_or_refused_without_holding_the_event_loop(
        self, subject: Subject[LanguageModel]
    ) -> None:
        engine, words = subject.engine, " ".join(SENTENCES * 200)

        async def ask() -> list[ChatEvent]:
            async with unblocked("a very long prompt"):
                return await self.ask(engine, ChatRequest((ChatMessage("user", words),)))

        if events := subject.run(served_or_refused(ask())):
            self.check_stream(events)

    def test_max_tokens_ends_a_reply_early_and_says_so(self, subject: Subject[LanguageModel]) -> None:
        engine = subject.engine
        question = (ChatMessage("user", SENTENCES[1]),)
        whole = subject.run(self.ask(engine, ChatRequest(question)))
        cut = subject.run(self.ask(engine, ChatRequest(question, max_tokens=1)))
        self.check_stream(cut)
        end = cut[-1]
        assert isinstance(end, ChatEnd)
        assert end.reason == "length" or len(text_of(whole).split()) <= 1
        assert len(text_of(cut)) <= len(text_of(whole))

    @pytest.mark.parametrize("parallel", [None, False])
    def test_tools_are_called_in_whole_calls_or_not_at_all(
        self, subject: Subject[LanguageModel], parallel: bool | None
    ) -> None:
        asked = (ChatMessage("user", "What is the weather in Paris?"),)
        for choice in ("auto", "required", "none", ForceTool("get_weather")):
            request = ChatRequest(asked, (WEATHER,), choice, parallel)
            events = subject.run(served_or_refused(self.ask(subject.engine, request)))
            if events is None:
                continue
            assert subject.engine.info.tools or choice == "none", "it declares that it calls no tools, and takes some"
            self.check_stream(events)
            calls = [event for event in events if isinstance(event, ToolCallDelta)]
            assert not calls or choice != "none", "it calls a tool although it must not"
            assert all(call.name in ("", "get_weather") for call in calls)

    def test_a_sound_is_heard_or_its_words_are_read(self, subject: Subject[LanguageModel]) -> None:
        words = SENTENCES[0]
        tone = (8000 * np.sin(np.arange(16_000) / 6)).astype("<i2").tobytes()
        message = ChatMessage("user", words, audio=(AudioPart(tone, 16_000, 0, len(words)),))
        self.check(subject.engine, subject.run(self.ask(subject.engine, ChatRequest((message,)))))

    def test_an_image_is_seen_or_refused(self, subject: Subject[LanguageModel]) -> None:
        request = ChatRequest((ChatMessage("user", "What is this?", (ImagePart(PIXEL),)),))
        events = subject.run(served_or_refused(self.ask(subject.engine, request)))
        assert events is not None or not subject.engine.info.images, "it declares that it sees images, and refuses one"
        if events is not None:
            self.check_stream(events)
