"""A moderated pipeline over real sockets, with the official client's types."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from parley.config import load
from parley.engines import registry
from parley.engines.mt.bench import BenchTranslator
from parley.engines.ports import LLM, MODERATION, MT, STT, TTS, TURN, VAD, Engine, EngineSpec, Stage
from parley.runtime.engines import LoadedEngines
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, FakeTurnJudge, FakeVoiceActivity
from tests.server.harness import Talk, running, talking
from tests.server.test_conversation import configure, push
from tests.server.test_hearing_models import silence, speech


@asynccontextmanager
async def moderated(tmp_path: Path, heard: str, reply: str, speculation: str = "on") -> AsyncIterator[Talk]:
    (tmp_path / "blocked.txt").write_text("darn\n", encoding="utf-8")
    file = tmp_path / "parley.toml"
    file.write_text(
        f'[pipelines.default]\nmoderation = "words:{tmp_path}/blocked.txt"\nspeculation = "{speculation}"\n'
    )

    def create(stage: Stage[Any], spec: EngineSpec) -> Engine:
        fakes: dict[Any, Any] = {
            VAD: FakeVoiceActivity,
            TURN: FakeTurnJudge,
            STT: lambda: FakeRecognizer(heard),
            LLM: lambda: FakeModel([reply]),
            TTS: FakeSynthesizer,
            MT: lambda: BenchTranslator(0, 0),
        }
        made: Engine = registry.create(stage, spec) if stage is MODERATION else fakes[stage]()
        return made

    config = load(file, {"port": 0}, {})
    engines = await LoadedEngines.open_all([config.pipelines["default"]], create=create)
    assert not engines.failures, engines.failures
    async with running(config, engines) as server, talking(server) as talk:
        yield talk


async def ended(talk: Talk) -> Any:
    response = (await talk.until("response.done")).response
    return response.status, getattr(response.status_details, "reason", None), response.output


@pytest.mark.parametrize("speculation", ["on", "off"])
async def test_a_refused_clause_ends_the_response_and_the_conversation_keeps_what_was_said(
    tmp_path: Path, speculation: str
) -> None:
    reply = "The weather is very fine today. Tomorrow it is a darn shame."
    async with moderated(tmp_path, "how is the weather", reply, speculation) as talk:
        await push(talk, silence(0.5) + speech(1).tobytes() + silence())
        status, reason, (item,) = await ended(talk)
        assert (status, reason) == ("incomplete", "content_filter")
        assert item.status == "incomplete"
        (part,) = item.content
        assert part.transcript.strip() == "The weather is very fine today."
        assert talk.of("response.output_audio.delta")
        assert "shame" not in "".join(event.delta for event in talk.of("response.output_audio_transcript.delta"))


async def test_refused_words_get_no_answer_and_the_next_question_does(tmp_path: Path) -> None:
    async with moderated(tmp_path, "", "All right.") as talk:
        await configure(talk, output_modalities=["text"])
        for text, expected in (("Darn it!", ("incomplete", "content_filter")), ("Please.", ("completed", None))):
            content = [{"type": "input_text", "text": text}]
            await talk.send(
                type="conversation.item.create", item={"type": "message", "role": "user", "content": content}
            )
            await talk.send(type="response.create")
            status, reason, _ = await ended(talk)
            assert (status, reason) == expected
        assert "".join(event.delta for event in talk.of("response.output_text.delta")) == "All right."
