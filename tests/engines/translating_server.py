"""What a language model may write when it is asked to translate, as scripts of a chat server: a translation, or a drift."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from tests.engines.chat_server import Answer, Request

QUOTED: Final = re.compile("<text>(.*)</text>", re.DOTALL)
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
    match = QUOTED.search(said)
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


ANSWER: Final = "Sure! I can help you with that. How can I assist you today?"


async def answers(request: Request, answer: Answer) -> None:
    """Never translates: answers as an assistant."""
    await answer.text(*in_pieces(ANSWER))


class Drifting:
    """Translates, but answers as an assistant as often as `drift()` says. Requests come one by one."""

    def __init__(self) -> None:
        self._left = 0

    def drift(self, times: int) -> str:
        self._left = times
        return ANSWER

    async def __call__(self, request: Request, answer: Answer) -> None:
        if self._left > 0:
            self._left -= 1
            await answers(request, answer)
        else:
            await translate(request, answer)
