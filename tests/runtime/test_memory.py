"""What one session keeps while it lives."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from parley.core.words.events import ItemRetrieveRequested
from parley.core.words.items import InputAudio, Item, Message, OutputAudio
from parley.core.words.notices import ItemRetrieved, ResponseDone
from parley.engines.ports import LLM, STT, TTS
from parley.runtime.metrics import Metrics
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.trace import Trace
from parley.testing.fakes import FakeModel, FakeRecognizer
from tests.runtime.rig import Rig, pipeline

SESSIONS = 8
TURNS = 3
MAX_BYTES = 300_000
"""Beyond its audio: the ring of the trace may take 131 kB of them."""


def audio_bytes(item: Item) -> int:
    if not isinstance(item, Message):
        return 0
    return sum(len(part.audio) for part in item.content if isinstance(part, InputAudio | OutputAudio) and part.audio)


def kept_audio(rig: Rig) -> int:
    """The bytes of all the session's items, as it gives them to its client."""
    for item in rig.driver.session.items:
        rig.driver.post(ItemRetrieveRequested(item.id))
    return sum(audio_bytes(notice.item) for notice in rig.client.all(ItemRetrieved))


async def talked(pipe: LoadedPipeline, metrics: Metrics) -> tuple[Rig, int]:
    """A session after some spoken turns and their replies, and the bytes of audio in its conversation."""
    rig = Rig(pipe, trace=Trace, metrics=metrics)
    for turn in range(TURNS):
        rig.speak()
        await rig.client.heard(ResponseDone, turn + 1)
    # The fakes and the client remember everything; a server's do not.
    audio = kept_audio(rig)
    rig.client.notices.clear()
    for kept in (pipe.engines[STT].streams, pipe.engines[LLM].requests, pipe.engines[TTS].requests):  # type: ignore[attr-defined]
        kept.clear()
    return rig, audio


@pytest.mark.slow
async def test_a_session_that_talked_keeps_less_than_300_kb_beyond_its_audio() -> None:
    metrics = Metrics()
    answers = ["what time is it"] * TURNS * (1 + SESSIONS)
    pipe = pipeline(stt=FakeRecognizer(*answers), llm=FakeModel(["It is noon, as far as I can tell."]))
    await (await talked(pipe, metrics))[0].over()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        rigs = [await talked(pipe, metrics) for _ in range(SESSIONS)]
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    audio = sum(size for _, size in rigs)
    assert audio > SESSIONS * TURNS * 48 * 600, "the turns are kept"
    assert (kept - audio) / SESSIONS < MAX_BYTES
    for rig, _ in rigs:
        await rig.over()
