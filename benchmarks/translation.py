"""How well and how fast translators translate: `python -m benchmarks.translation SENTENCES.tsv --from es --to en ENGINE...`

Each line of the file is a sentence and its reference translation with a tab between them. One sentence at a time, after three that are not
counted. The processor time is that of this process and of the processes that the engine started. With `--write FOLDER` each engine's
translations are written there, one a line, beside `reference`; sacrebleu scores them:

    sacrebleu FOLDER/reference -i FOLDER/ENGINE -m chrf bleu
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from parley.engines.ports import MT, EngineSpec, TranslationRequest, Translator
from parley.engines.registry import create
from parley.testing.contracts.watching import work_s

WARM_UP = 3


def main() -> int:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "sentences", type=Path, help="a sentence and its reference on each line, with a tab between them"
    )
    parser.add_argument("engines", nargs="+", help="such as bergamot, apertium, pivot:apertium,bergamot")
    parser.add_argument("--from", dest="source", required=True, help="the language of the sentences")
    parser.add_argument("--to", dest="target", required=True, help="the language of the references")
    parser.add_argument("--write", type=Path, help="a folder for the translations")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    asked = parser.parse_args()
    lines = [line.split("\t") for line in asked.sentences.read_text(encoding="utf-8").splitlines() if "\t" in line]
    figures = [asyncio.run(measure(engine, asked, lines)) for engine in asked.engines]
    if asked.json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
        return 0
    for one in figures:
        print(
            f"{one['engine']}: {one['sentences']} sentences, p50 {one['p50_ms']} ms, p95 {one['p95_ms']} ms, CPU {one['cpu_ms']} ms"
        )
    return 0


async def measure(name: str, asked: Namespace, lines: list[list[str]]) -> dict[str, Any]:
    """The figures of one engine, in ms a sentence; writes its translations where they are wanted."""
    engine: Translator = create(MT, EngineSpec.parse(name))  # type: ignore[assignment]
    await engine.open()
    made, taken = [], []
    try:
        for source, *_ in lines[:WARM_UP]:
            await translated(engine, source, asked)
        began_s = work_s()
        for source, *_ in lines:
            start = time.perf_counter()
            made.append(await translated(engine, source, asked))
            taken.append((time.perf_counter() - start) * 1000)
        spent_s = work_s() - began_s
    finally:
        await engine.close()
    if asked.write:
        asked.write.mkdir(parents=True, exist_ok=True)
        file = re.sub(r"[^\w.-]+", "_", name)
        (asked.write / file).write_text("\n".join(made) + "\n", encoding="utf-8")
        (asked.write / "reference").write_text("\n".join(line[1] for line in lines) + "\n", encoding="utf-8")
    cuts = statistics.quantiles(taken, n=20)
    return {
        "engine": name,
        "sentences": len(lines),
        "p50_ms": round(statistics.median(taken), 1),
        "p95_ms": round(cuts[18], 1),
        "cpu_ms": round(spent_s * 1000 / len(lines), 1),
    }


async def translated(engine: Translator, text: str, asked: Namespace) -> str:
    pieces = engine.translate(TranslationRequest(text, asked.source, asked.target))
    return " ".join("".join([piece async for piece in pieces]).split())


if __name__ == "__main__":
    sys.exit(main())
