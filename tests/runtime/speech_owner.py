"""A process that shares a folder of speech: `python -m tests.runtime.speech_owner hold|prewarm FOLDER PHRASE...`.

`hold` speaks the phrase, prints "speaking" in the middle of it, goes on at a line on stdin, and prints "kept" once its file is there.
`prewarm` prints "ready", and at a line on stdin prepares the phrases; it prints how many clauses its voice has spoken.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from parley.engines.ports import EngineSpec, SpeechRequest
from parley.runtime.prewarming import prewarm
from parley.runtime.speech_cache import PREPARING, SpeechCache, spoken
from parley.runtime.speech_files import SpeechFiles
from parley.testing.fakes import Hold
from tests.runtime.rig import WAIT_S
from tests.runtime.test_prewarming import opened
from tests.runtime.test_speech_cache import Voice


def tell(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


async def hold(folder: Path, phrase: str) -> None:
    held = Hold()
    cache = SpeechCache(SpeechFiles(folder / "speech", 1 << 24))
    await cache.open()
    engine = cache.cached(Voice(script={phrase.split()[-1]: held}), EngineSpec("fake"))
    await engine.open()
    speaking = asyncio.create_task(spoken(engine, SpeechRequest(phrase, "alloy", "en", share=PREPARING)))
    await held.reached.wait()
    tell("speaking")
    await asyncio.to_thread(sys.stdin.readline)
    held.event.set()
    await speaking
    await cache.settled(WAIT_S)
    tell("kept")
    await cache.close()


async def prepare(folder: Path, phrases: list[str]) -> None:
    voice = Voice()
    engines, cache = await opened(folder, voice, *phrases)
    tell("ready")
    await asyncio.to_thread(sys.stdin.readline)
    await prewarm(cache, engines.pipelines.values())
    await cache.settled(WAIT_S)
    tell(len(voice.requests))
    await engines.close()


if __name__ == "__main__":
    _, mode, where, *said = sys.argv
    asyncio.run(hold(Path(where), said[0]) if mode == "hold" else prepare(Path(where), said))
