"""How often a faithful translation is said to lack something, and how often a lack is found: `python -m benchmarks.faithful`.

Translates the sentences of `faithful_sentences.txt` with the translators of this machine and looks at each translation with
`parley.text.faithful`, as a translation session does, and with the guard for language models (`parley.engines.mt.drift`), to which each of
them should be a translation. What it reports is printed: whether that is a false alarm, or the translator's own
fault, is for the reader to see. Then each copied name and each date of the translations without a report is left out, or replaced
by another one, and the same is asked again. `--write` keeps the result in `results/faithful.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from parley.engines.mt.drift import drift_of
from parley.engines.mt.language_guess import guess
from parley.engines.ports import MT, EngineError, EngineSpec, TranslationRequest, Translator
from parley.engines.registry import create
from parley.text.calendar_words import WORDS
from parley.text.faithful import missing_facts
from parley.text.folding import folded

SENTENCES = Path(__file__).parent / "faithful_sentences.txt"
RESULTS = Path(__file__).parent / "results" / "faithful.json"
ROUTES = (
    ("bergamot", "en", "pt"),
    ("bergamot", "pt", "en"),
    ("apertium", "en", "es"),
    ("apertium", "es", "en"),
    ("apertium", "es", "pt"),
    ("apertium", "pt", "es"),
    ("pivot:apertium,bergamot", "en", "es"),
    ("pivot:apertium,bergamot", "es", "en"),
)
ANOTHER_NAME = "Wagner"
ANOTHER_DATE = {"en": ("August", "Sunday"), "es": ("agosto", "domingo"), "pt": ("agosto", "domingo")}

Figures = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    asked = parser.parse_args()
    sections = read()
    routes = [asyncio.run(route(name, source, target, sections)) for name, source, target in ROUTES]
    told: Figures = {"routes": routes}
    for kind in ("reported", "drifted", "sentences", "held out", "reported of held out"):
        told[kind] = sum(one[kind] for one in routes)
    for kind in ("name left out", "name replaced", "date replaced"):
        told[kind] = {part: sum(one[kind][part] for one in routes) for part in ("found", "of")}
    print(json.dumps({key: value for key, value in told.items() if key != "routes"}, indent=2))
    if asked.write:
        RESULTS.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


def read() -> dict[str, list[tuple[str, bool]]]:
    """The sentences by language, each with whether it was held out."""
    found: dict[str, list[tuple[str, bool]]] = {}
    section, held = "", False
    for line in SENTENCES.read_text("utf-8").splitlines():
        if line.startswith("["):
            section, _, rest = line.strip("[]").partition(", ")
            held = rest == "held out"
        elif line.strip() and not line.startswith("#"):
            found.setdefault(section, []).append((line.strip(), held))
    return found


async def route(name: str, source: str, target: str, sections: dict[str, list[tuple[str, bool]]]) -> Figures:
    """The figures of one translator in one direction."""
    engine: Translator = create(MT, EngineSpec.parse(name))  # type: ignore[assignment]
    try:
        await engine.open()
    except EngineError as error:
        raise SystemExit(f"{name} cannot be opened: {error}") from error
    figures: Figures = {"engine": name, "from": source, "to": target, "reported": 0, "sentences": 0}
    figures |= {"held out": 0, "reported of held out": 0, "drifted": 0, "reports": [], "drifts": []}
    figures |= {kind: {"found": 0, "of": 0} for kind in ("name left out", "name replaced", "date replaced")}
    try:
        for text, held in sections[source]:
            pieces = [piece async for piece in engine.translate(TranslationRequest(text, source, target))]
            made = " ".join("".join(pieces).split())
            judge(figures, text, made, held)
    finally:
        await engine.close()
    print(
        f"{name} {source}-{target}: {figures['reported']} of {figures['sentences']} reported, {figures['drifted']} drifts",
        file=sys.stderr,
    )
    return figures


def judge(figures: Figures, text: str, made: str, held: bool) -> None:
    """Count one translation, and its damaged copies where it is reported to lack nothing."""
    source, target = figures["from"], figures["to"]
    missing = missing_facts(text, made, target, source)
    drift = drift_of(text, made, source, target, guess)
    if drift is not None:
        figures["drifted"] += 1
        figures["drifts"].append({"kind": drift.kind, "source": text, "translation": made})
    figures["sentences"] += 1
    figures["held out"] += held
    if missing:
        figures["reported"] += 1
        figures["reported of held out"] += held
        figures["reports"].append({"missing": missing, "source": text, "translation": made})
        print(f"  {', '.join(missing)}: {text} | {made}", file=sys.stderr)
        return
    for kind, damaged in damages(text, made, target):
        figures[kind]["of"] += 1
        figures[kind]["found"] += bool(missing_facts(text, damaged, target, source))


def damages(text: str, made: str, target: str) -> Iterator[tuple[str, str]]:
    """The translation with one name or date less, or another."""
    inside = {match.group() for match in re.finditer(r"(?<=[\w,] )[A-Z]\w+", text)}
    for match in re.finditer(r"(?<=[\w,] )[A-Z]\w{2,}", made):
        if match.group() in inside:
            yield "name left out", made[: match.start()] + made[match.end() :]
            yield "name replaced", made[: match.start()] + ANOTHER_NAME + made[match.end() :]
    plain = folded(made)
    for patterns, other in zip((WORDS[target].months, WORDS[target].weekdays), ANOTHER_DATE[target], strict=True):
        if folded(other) in plain:
            continue
        for pattern in patterns:
            for match in pattern.finditer(plain):
                yield "date replaced", made[: match.start()] + other + made[match.end() :]


if __name__ == "__main__":
    sys.exit(main())
