"""Runs where `dummy_stage` is installed: configures it in a file, opens it with the server's loader and the library, uses and closes it."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from parley import Pipeline
from parley.config import load
from parley.engines.ports import MT, stages
from parley.runtime.engines import LoadedEngines


def show(*facts: object) -> None:
    sys.stdout.write(" ".join(map(str, facts)) + "\n")


async def main() -> None:
    redaction = {stage.name: stage for stage in stages()}["redaction"]
    config = load(Path("parley.toml"), {}, {})
    bench = replace(config.pipelines["bench"], name="moderated")
    loaded = await LoadedEngines.open_all([bench])
    engines = loaded.pipeline("moderated").engines
    own = engines[redaction]
    show("server:", own.state, own.allows("a kind word"), own.allows("a rude word"), MT in engines)
    await loaded.close()
    show("server:", own.state)
    async with Pipeline(stt="bench", llm="bench", tts="bench", redaction="words:rude") as pipeline:
        moderator: Any = pipeline.engines["redaction"]
        show("library:", moderator.state, moderator.allows("rude"))
    show("library:", moderator.state)


asyncio.run(main())
