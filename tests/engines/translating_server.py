"""What a language model may write when it is asked to translate, as scripts of a chat server: a translation, or a drift."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from tests.engines.chat_server import Answer, Request

_QUOTED: Final = re.compile("<text>(.*)</text>", re.DOTALL)
_WORD: Final = re.compile(r"[^\W_]+")
_AFRIKAANS: Final = tuple(
    re.findall(
        r"\w+",
        "die hulle nie vandag baie goeie môre wêreld kinders gister huise weer asseblief waarheen gaan ons almal nou saam terug",
    )
)


def quoted(request: Request) -> str:
    """What the request wants translated; the whole message where nothing is marked off (the trial request of `open()`)."""
    said = request.body["messages"][-1]["content"]
    match = _QUOTED.search(said)
    return said if match is None else match.group(1)


def is_strict(request: Request) -> bool:
    return "rejected" in request.body["messages"][0]["content"]


def translation(text: str) -> str:
    """As many Afrikaans words as the text has words, chosen by them; marks stay."""

    def word(match: re.Match[str]) -> str:
        said = match.group()
        chosen = _AFRIKAANS[sum(said.encode()) % len(_AFRIKAANS)]
        return said if said.isdigit() else chosen

    return _WORD.sub(word, text)


def in_pieces(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


async def translate(request: Request, answer: Answer) -> None:
    """Translates, word by word."""
    await answer.text(*in_pieces(translation(quoted(request))))


def says(first: str, then: str | None = None) -> Callable[[Request, Answer], Awaitable[None]]:
    """Writes `first`, and `then` when it is asked strictly."""

    async def script(request: Request, answer: Answer) -> None:
        await answer.text(*in_pieces(then if then is not None and is_strict(request) else first))

    return script


async def answers(request: Request, answer: Answer) -> None:
    """Never translates: answers as an assistant."""
    await answer.text("Sure! ", "I can help ", "you with that. ", "How can I assist you today?")
