"""A language model that answers from a file of questions and answers, so that it never says what nobody wrote.

The file has blocks with an empty line between: one or more lines `Q: ...`, then `A: ...`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from parley.engines.options import OptionReader
from parley.engines.ports import ChatEnd, ChatEvent, ChatRequest, EngineInfo, EngineUnavailable, TextDelta

SORRY = "I don't know that. Please ask me something else."


def create(model: str, options: Mapping[str, object]) -> FaqModel:
    """`faq:FILE`; options `sorry` (what is said where nothing fits) and `least` (the share of a question's words that must fit, 0.5)."""
    reader = OptionReader("llm faq", options)
    engine = FaqModel(Path(model), reader.text("sorry", SORRY), reader.number("least", 0.5, 0, 1))
    reader.close()
    return engine


class FaqModel:
    """A `LanguageModel`. One object serves all sessions: what `reply` needs comes with the request."""

    def __init__(self, path: Path, sorry: str, least: float) -> None:
        self._path = path
        self._sorry = sorry
        self._least = least
        self._answers: list[tuple[frozenset[str], str]] = []

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("llm", "faq", "Answers from a file of questions and answers: faq:FILE.")

    async def open(self) -> None:
        """Read the file. Not on the event loop: it may lie on a slow disk."""
        try:
            text = await asyncio.to_thread(self._path.read_text, encoding="utf-8")
        except OSError as error:
            raise EngineUnavailable(
                f"The file of answers {str(self._path)!r} cannot be read: {error.strerror}.",
                "Name it after the colon: --llm faq:answers.txt",
                code="no_answers",
            ) from error
        self._answers = list(parsed(text))

    async def close(self) -> None:
        self._answers = []

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """The answer to the last message, word by word: the first clause is spoken while the next is still being written."""
        asked = words(request.messages[-1].text if request.messages else "")
        score, answer = max(
            ((overlap(asked, question), answer) for question, answer in self._answers), default=(0.0, "")
        )
        for piece in re.findall(r"\S+\s*", answer if score >= self._least and score > 0 else self._sorry):
            yield TextDelta(piece)
        yield ChatEnd("stop")


def parsed(text: str) -> list[tuple[frozenset[str], str]]:
    """Each question's words and its answer."""
    found = []
    for block in re.split(r"\n\s*\n", text):
        answer = " ".join(re.findall(r"^A:\s*(.+)$", block, re.MULTILINE))
        found += [(words(question), answer) for question in re.findall(r"^Q:\s*(.+)$", block, re.MULTILINE)]
    return found


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))


def overlap(asked: frozenset[str], question: frozenset[str]) -> float:
    """The share of the question's words that were asked."""
    return len(asked & question) / len(question) if question else 0.0
