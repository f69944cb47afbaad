"""A server of the whole HTTP API on scripted engines, in a process of its own, for what searches it for faults.

`python -m tests.server.api_server` serves until its standard input ends; its first line says where.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from parley.config import load
from parley.engines.mt.bench import BenchTranslator
from parley.engines.ports import LLM, MT, STT, TTS, TURN, VAD, EngineSet, EngineSpec
from parley.engines.registry import create
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.voice_worker import VoiceWorker
from parley.testing.fakes import FakeRecognizer, FakeSynthesizer, FakeTurnJudge, FakeVoiceActivity
from tests.engines.chat_server import Answer, ChatServer, Request
from tests.server.harness import running

KEY = "sk-parley-of-the-search-for-faults"


async def _says_hi(request: Request, answer: Answer) -> None:
    if request.body.get("stream"):
        await answer.text("Hi", ".")
    else:
        await answer.json(200, {"object": "chat.completion", "choices": []})


async def serve() -> None:
    async with ChatServer([_says_hi]).running() as model:
        config = load(None, {"port": 0}, {"PARLEY_API_KEY": KEY, "PARLEY_TEXT_API": "true"})
        pipeline = config.pipelines[config.default_pipeline]
        llm = create(LLM, EngineSpec("openai", "m", {"base_url": model.url, "api_key": "sk-upstream"}))
        await llm.open()
        vad = FakeVoiceActivity()
        engines = EngineSet(
            {
                VAD: vad,
                TURN: FakeTurnJudge(),
                STT: FakeRecognizer(),
                LLM: llm,
                TTS: FakeSynthesizer(),
                MT: BenchTranslator(0, 0),
            }
        )
        loaded = LoadedPipeline(pipeline.name, engines, VoiceWorker(vad), pipeline)
        failures = {other: () for other in config.pipelines if other != pipeline.name}
        async with running(config, LoadedEngines({pipeline.name: loaded}, failures, [])) as server:
            sys.stdout.write(f"{server.http}\n")
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.read)
        await llm.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PARLEY_OWN_VOICES_DIR"] = str(Path(folder) / "voices")
        asyncio.run(serve())
