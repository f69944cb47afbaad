"""Translation sessions over WebRTC, by a stock client (aiortc): the speaker under the translation, what is being heard, and the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parley.testing.fakes import FakeSynthesizer
from tests.server.caller import RATE, Caller, calling, comes_true
from tests.server.harness import configured, loaded, running
from tests.server.test_translation_sessions import engines, with_original

PATH = "/v1/realtime/translations/calls"
SESSION = {
    "model": "gpt-realtime-translate",
    "audio": {"output": {"language": "x-bench"}, "input": {"transcription": {"model": "whisper-1"}}},
}
SPEAKER_HZ = 1_500
"""Far from the tones of the fake synthesizer."""


def speaker(ms: int) -> NDArray[np.int16]:
    """A tone that the fake voice activity takes for speech."""
    return (9_000 * np.sin(np.arange(RATE * ms // 1_000) * 2 * np.pi * SPEAKER_HZ / RATE)).astype(np.int16)


def loudness(audio: NDArray[np.int16], low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """RMS of this band in each 20 ms (int16 scale)."""
    frames = audio[: len(audio) // (RATE // 50) * (RATE // 50)].reshape(-1, RATE // 50) * np.hanning(RATE // 50)
    spectrum = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    hertz = np.fft.rfftfreq(RATE // 50, 1 / RATE)
    band = (hertz >= low_hz) & (hertz < high_hz)
    result: NDArray[np.float64] = np.sqrt(2 * spectrum[:, band].sum(axis=1) / (RATE // 50) ** 2 / 0.375)
    return result


@asynccontextmanager
async def translating(*answers: str, original: float | None = None, session: Any = SESSION) -> AsyncIterator[Caller]:
    config = configured() if original is None else with_original(configured(), original)
    made = engines(*answers)
    made.tts = FakeSynthesizer(word_ms=400)
    async with (
        running(config, loaded(config, made)) as server,
        calling(server, path=PATH, query="", session=session) as caller,
    ):
        assert (await caller.translated())["type"] == "session.created"
        yield caller
        await caller.connection.close()
        await comes_true(lambda: len(server.app.sessions) == 0)


async def until(caller: Caller, kind: str) -> dict[str, Any]:
    while (event := await caller.translated())["type"] != kind:
        pass
    return event


async def test_the_speaker_is_heard_too_and_softened_while_the_translation_is_spoken() -> None:
    async with translating(*["Good day."] * 8, original=0.1) as caller:
        caller.voice.say(speaker(600))
        await until(caller, "session.output_transcript.delta")
        caller.voice.say(speaker(2_500))
        await comes_true(lambda: not len(caller.voice.saying))
        await caller.listens(400)
        heard = caller.heard
    speaks = loudness(heard, SPEAKER_HZ - 200, SPEAKER_HZ + 200)
    translated = loudness(heard, 300, 600) > 1_000
    full = float(np.percentile(speaks, 98))
    assert full > 4_000, "as loud as it came in: aiortc plays one channel as two, 3 dB quieter"
    first = int(np.argmax(translated))
    assert (speaks[:first] > 0.7 * full).sum() >= 20, "before the translation, too"
    under = speaks[translated & (speaks > 0.02 * full)]
    assert len(under) >= 15
    assert np.median(under) < 0.2 * full, "softened to a tenth"
    last = int(np.flatnonzero(translated)[-1])
    assert (speaks[last + 30 :] > 0.7 * full).any(), "and then as loud as before"


async def test_without_original_volume_the_listener_hears_the_translation_alone() -> None:
    async with translating(*["Good day."] * 8) as caller:
        caller.voice.say(speaker(600))
        await until(caller, "session.output_transcript.delta")
        caller.voice.say(speaker(1_000))
        await comes_true(lambda: not len(caller.voice.saying))
        heard = caller.heard
    assert loudness(heard, SPEAKER_HZ - 200, SPEAKER_HZ + 200).max() < 300
    assert loudness(heard, 300, 600).max() > 1_000


async def test_a_caller_whose_microphone_stays_open_after_session_close_is_told_of_no_error() -> None:
    async with translating(*["Good day."] * 8, original=0.1) as caller:
        caller.voice.say(speaker(600))
        await until(caller, "session.output_transcript.delta")
        caller.send(type="session.close")
        caller.voice.say(speaker(3_000))
        await until(caller, "session.closed")
        assert [event for event in caller.raw if event["type"] == "error"] == []


async def test_a_call_tells_a_client_that_asks_for_clauses_which_one_is_being_played() -> None:
    session = {**SESSION, "include": ["parley.clauses"]}
    async with translating(*["Good day."] * 8, session=session) as caller:
        caller.voice.say(speaker(600))
        record = await until(caller, "parley.translation.clause")
        caller.send(type="session.close")
        await until(caller, "session.closed")
        playing = [event for event in caller.raw if event["type"] == "parley.translation.playing"]
    assert [event["end_ms"] for event in playing] == [record["end_ms"], None]
    begins, ends = (event["input_ms"] for event in playing)
    assert begins >= record["end_ms"]
    assert ends >= begins
