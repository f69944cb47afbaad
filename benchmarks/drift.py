"""What a language model does with sentences that tempt it to answer, and what the guard makes of it: `python -m benchmarks.drift MODEL`.

Each entry of `drift_corpus.toml` goes through `mt = "llm:MODEL"`, with the guard off and on: the real translator, prompts, guard and
engine, whose outputs are noted on the way. What an output is, is decided by rules that know neither a model nor the guard, in this order:

1. `refused`: it says that it cannot, will not, is sorry, or is an assistant (`REFUSES`).
2. `answered`: it has a word of `betrays`, several lines, or more than `LONGEST` times the letters of the source and 40.
3. `other language`: more of its words are common words of another language (`COMMON`) than of the target.
4. `translated`: it says each of the things of `says`, and asks where the source asks.
5. `neither`: anything else, such as half of it, or nonsense.

A rule can be wrong: every output stands in the result, to be read. `--write` keeps it in `results/drift.json`.

    .venv/bin/python -m benchmarks.drift llama:smollm2-135m --write
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import track
from rich.table import Table

from parley.engines.mt.llm import LlmTranslator
from parley.engines.ports import (
    LLM,
    ChatEvent,
    ChatRequest,
    EngineError,
    EngineRefused,
    EngineSpec,
    LanguageModel,
    TextDelta,
    TranslationRequest,
)
from parley.engines.registry import create
from parley.text.folding import folded

CORPUS = Path(__file__).parent / "drift_corpus.toml"
RESULTS = Path(__file__).parent / "results" / "drift.json"

LONGEST = 2.5
MOST_CHARACTERS = 400
"""Of an output without the guard, which reads to the end: the rest is not waited for."""

Kind = Literal["translated", "answered", "refused", "other language", "neither"]
KINDS: tuple[Kind, ...] = ("translated", "answered", "refused", "other language", "neither")

REFUSES = re.compile(
    r"\b(?:i'?m (?:sorry|unable|not able)|i (?:cannot|can't|can not|won't) |i apologi[sz]e|as an? (?:ai|language model|assistant)|"
    r"lo siento|lamento|no puedo|como (?:una? )?(?:ia|modelo|asistente)|sinto muito|nao posso)"
)
COMMON = {
    "en": "the is are was to and of in that you your it for with this have not what how i my be do does can on at please will a no me as",
    "es": "el los las es esta son y que usted tu su para con esto un una no como cuando donde yo mi por del al se lo me te cual a de en la",
    "pt": "os as eh sao e que voce seu sua para com isto um uma nao como quando onde eu meu por do da ao em se me te a de no o",
}
"""Common words without accents. Those that two of the languages share stand with both."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One sentence of the corpus."""

    source: str
    target: str
    kind: str
    text: str
    translation: str
    says: tuple[str, ...]
    betrays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an entry. `off` is the output without the guard; of those with it, `second` is None where it asked once only.

    `given` is what the translator gave, None where it refused and the source is shown.
    """

    text: str
    pair: str
    kind: str
    off: str
    off_is: Kind
    first: str
    first_is: Kind
    second: str | None
    second_is: Kind | None
    given: str | None
    given_is: Kind | None
    drift: str

    @property
    def judged(self) -> str:
        """What the guard made of the first output."""
        if self.first_is == "translated":
            return "passed" if self.second is None else "false alarm"
        return "missed" if self.second is None else "caught"


class Noting:
    """A `LanguageModel` in front of another one, that notes what it writes."""

    def __init__(self, inner: LanguageModel) -> None:
        self._inner = inner
        self.outputs: list[str] = []
        self.info = inner.info

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    async def reply(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        self.outputs.append("")
        inner: Any = self._inner.reply(request)
        async with aclosing(inner) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    self.outputs[-1] += event.text
                yield event


def kind_of(entry: Entry, output: str) -> Kind:
    """What an output is, by the rules above."""
    plain = folded(output).replace("’", "'")
    if REFUSES.search(plain) and not REFUSES.search(folded(entry.text)):
        return "refused"
    too_long = len(output.strip()) > LONGEST * len(entry.text) + 40
    if too_long or "\n" in output.strip() or any(_has(plain, word) for word in entry.betrays):
        return "answered"
    words = re.findall(r"[^\W\d_]+", plain)
    common = {language: sum(word in known.split() for word in words) for language, known in COMMON.items()}
    if max(common.values()) > common[entry.target]:
        return "other language"
    says_all = all(any(_has(plain, one) for one in alternatives.split("|")) for alternatives in entry.says)
    return "translated" if says_all and ("?" in output or "?" not in entry.text) else "neither"


def _has(plain: str, beginning: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(beginning)}", plain) is not None


def read_corpus() -> list[Entry]:
    entries = tomllib.loads(CORPUS.read_text("utf-8"))["entry"]
    return [
        Entry(
            one["from"],
            one["to"],
            one["kind"],
            one["text"],
            one["translation"],
            tuple(one["says"]),
            tuple(one["betrays"]),
        )
        for one in entries
    ]


async def run(model: LanguageModel, entries: list[Entry], name: str, console: Console) -> list[Outcome]:
    """Each entry without the guard and with it."""
    noting = Noting(model)
    off, on = LlmTranslator(noting, name, guard=False), LlmTranslator(noting, name)
    await off.open()
    await on.open()
    outcomes = []
    try:
        for entry in track(entries, "Translating", console=console):
            outcomes.append(await _one(entry, off, on, noting))
    finally:
        await on.close()
        await off.close()
    return outcomes


async def _one(entry: Entry, off: LlmTranslator, on: LlmTranslator, noting: Noting) -> Outcome:
    request = TranslationRequest(entry.text, entry.source, entry.target)
    free = ""
    pieces: Any = off.translate(request)
    async with aclosing(pieces):
        async for piece in pieces:
            free += piece
            if len(free) > MOST_CHARACTERS:
                break
    noting.outputs.clear()
    given, drift = None, ""
    before = on.guard_counts().kinds
    try:
        given = "".join([piece async for piece in on.translate(request)])
    except EngineRefused as error:
        drift = error.message
    kinds = Counter(on.guard_counts().kinds) - Counter(before)
    first, *more = noting.outputs
    return Outcome(
        text=entry.text,
        pair=f"{entry.source}-{entry.target}",
        kind=entry.kind,
        off=free,
        off_is=kind_of(entry, free),
        first=first,
        first_is=kind_of(entry, first),
        second=more[0] if more else None,
        second_is=kind_of(entry, more[0]) if more else None,
        given=given,
        given_is=None if given is None else kind_of(entry, given),
        drift=drift or next(iter(kinds), ""),
    )


def counts(outcomes: list[Outcome]) -> dict[str, Any]:
    """The figures that are published."""
    judged = Counter(one.judged for one in outcomes)
    caught = Counter(one.first_is for one in outcomes if one.judged == "caught")
    missed = Counter(one.first_is for one in outcomes if one.judged == "missed")
    given = Counter("source shown" if one.given_is is None else one.given_is for one in outcomes)
    again = [one for one in outcomes if one.second is not None]
    return {
        "entries": len(outcomes),
        "guard off": {kind: sum(one.off_is == kind for one in outcomes) for kind in KINDS},
        "guard on": {kind: given[kind] for kind in (*KINDS, "source shown")},
        "first output": {one: judged[one] for one in ("passed", "caught", "missed", "false alarm")},
        "caught": dict(caught),
        "missed": dict(missed),
        "asked again": {"in all": len(again), "then given": sum(one.given is not None for one in again)},
    }


def table(figures: dict[str, Any], title: str) -> Table:
    made = Table(title=title)
    made.add_column("")
    for heading in ("guard off", "guard on"):
        made.add_column(heading, justify="right")
    for kind in (*KINDS, "source shown"):
        made.add_row(kind, str(figures["guard off"].get(kind, "")), str(figures["guard on"][kind]))
    return made


async def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", help="an engine of the stage llm, such as llama:smollm2-135m")
    parser.add_argument(
        "--options", default='{"temperature": 0}', help="its options, as JSON; the default: always the likeliest word"
    )
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    asked = parser.parse_args()
    console = Console(stderr=True)
    parsed = EngineSpec.parse(asked.model)
    try:
        model: Any = create(LLM, EngineSpec(parsed.name, parsed.model, json.loads(asked.options)))
        outcomes = await run(model, read_corpus(), asked.model, console)
    except EngineError as error:
        console.print(f"{asked.model} cannot be used: {error}", style="red")
        return 2
    result: dict[str, Any] = {"model": asked.model, "options": json.loads(asked.options), **counts(outcomes)}
    for pair in sorted({one.pair for one in outcomes}):
        result.setdefault("by pair", {})[pair] = counts([one for one in outcomes if one.pair == pair])
    Console().print(table(result, asked.model))
    for name in ("first output", "caught", "missed", "asked again"):
        print(f"{name}: " + ", ".join(f"{count} {kind}" for kind, count in result[name].items()))
    if asked.write:
        result["outcomes"] = [{**asdict(one), "judged": one.judged} for one in outcomes]
        RESULTS.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
