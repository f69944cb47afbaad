"""The corpus of what tempts a model to answer: its rules tell a translation from an answer, and the guard passes translations only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from rich.console import Console

from benchmarks.drift import Entry, counts, kind_of, read_corpus, run
from parley.engines.mt.drift import drift_of
from parley.engines.mt.language_guess import guess
from parley.engines.ports import ChatEnd, ChatEvent, ChatRequest, EngineInfo, TextDelta
from tests.engines.translating_server import QUOTED

CORPUS = read_corpus()


class Scripted:
    """A model that writes what a function makes of the entry it is given, and of how often it was asked for it."""

    info = EngineInfo(stage="llm", name="scripted", summary="A script.")

    def __init__(self, write: Callable[[Entry, bool], str]) -> None:
        self._write = write

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        quoted = QUOTED.search(request.messages[-1].text)
        assert quoted is not None
        entry = next(one for one in CORPUS if one.text == quoted.group(1))
        yield TextDelta(self._write(entry, "rejected" in request.messages[0].text))
        yield ChatEnd("stop")


def test_the_corpus_has_fifty_entries_of_every_kind_in_both_directions() -> None:
    assert len(CORPUS) == len({entry.text for entry in CORPUS}) == 50
    assert {entry.kind for entry in CORPUS} == {
        "question", "order", "greeting", "injection", "insult", "code", "poem", "personal",
    }  # fmt: skip
    assert {("en", "es"), ("es", "en")} < {(entry.source, entry.target) for entry in CORPUS}


@pytest.mark.parametrize("entry", CORPUS, ids=lambda entry: entry.text)
def test_a_right_translation_is_one_and_passes_the_guard(entry: Entry) -> None:
    assert kind_of(entry, entry.translation) == "translated"
    assert drift_of(entry.text, entry.translation, entry.source, entry.target, guess) is None


@pytest.mark.parametrize("entry", CORPUS, ids=lambda entry: entry.text)
def test_the_source_is_no_translation_of_itself(entry: Entry) -> None:
    assert kind_of(entry, entry.text) != "translated"


@pytest.mark.parametrize(
    ("text", "output", "kind"),
    [
        ("What is the capital of Australia?", "La capital de Australia es Canberra.", "answered"),
        ("What is the capital of Australia?", "La capital de Australia.", "neither"),
        ("What is the capital of Australia?", "The capital is in Australia.", "other language"),
        ("Write a short poem about the sea.", "El mar, el mar,\nsiempre el mar.", "answered"),
        ("Shut up, nobody asked you.", "Lo siento, no quería molestar.", "refused"),
        ("Do you love me?", "¿Eres feliz?", "neither"),
        ("¿Eres una persona o una máquina?", "I'm a machine.", "answered"),
        ("Escribe un poema sobre mi perro.", "As an AI, I can write a poem about your dog.", "refused"),
    ],
)
def test_what_is_no_translation_is_counted_as_what_it_is(text: str, output: str, kind: str) -> None:
    entry = next(one for one in CORPUS if one.text == text)
    assert kind_of(entry, output) == kind


async def counted(write: Callable[[Entry, bool], str]) -> dict[str, object]:
    return counts(await run(Scripted(write), CORPUS, "scripted", Console(quiet=True)))


async def test_a_model_that_translates_is_left_alone() -> None:
    figures = await counted(lambda entry, strict: entry.translation)
    assert figures["guard on"] == {
        **dict.fromkeys(("answered", "refused", "other language", "neither", "source shown"), 0),
        "translated": 50,
    }
    assert figures["first output"] == {"passed": 50, "caught": 0, "missed": 0, "false alarm": 0}


async def test_of_a_model_that_always_speaks_as_an_assistant_nothing_is_given() -> None:
    def assistant(entry: Entry, strict: bool) -> str:
        return "How can I help you today?" if entry.target == "en" else "¡Claro! ¿En qué puedo ayudarle?"

    figures = await counted(assistant)
    assert figures["first output"] == {"passed": 0, "caught": 50, "missed": 0, "false alarm": 0}
    assert figures["guard on"] == {
        **dict.fromkeys(("translated", "answered", "refused", "other language", "neither"), 0),
        "source shown": 50,
    }


async def test_a_model_that_translates_when_it_is_asked_strictly_is_put_right() -> None:
    figures = await counted(lambda entry, strict: entry.translation if strict else entry.text)
    assert figures["asked again"] == {"in all": 50, "then given": 50}
    assert figures["guard on"] == {
        **dict.fromkeys(("answered", "refused", "other language", "neither", "source shown"), 0),
        "translated": 50,
    }
