"""Each event and each option of a translation session, sent over a real socket, does what it says; every answer is strictly an event."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import websockets
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection

from parley.audio import processing
from parley.engines.mt.bench import BenchTranslator
from parley.engines.mt.llm import LlmTranslator
from parley.engines.ports import MT, EngineSet, Translator
from parley.testing.fakes import FakeModel, FakeRecognizer
from tests.library.rig import silence, voice
from tests.server.harness import PATIENCE_S, Engines, configured, loaded, running
from tests.wire.surface import server_events

UPDATE = "session.update"
APPEND = "session.input_audio_buffer.append"
CLOSE = "session.close"
CLAUSE = "parley.translation.clause"
UNSTABLE = "parley.input_transcript.unstable"
LANGUAGE = "session.audio.output.language"
TRANSCRIPTION = "session.audio.input.transcription"
REDUCTION = "session.audio.input.noise_reduction"
MODEL_NOTE = (
    "the pipeline's recogniser, by its own name or by OpenAI's; the session shows its own; others are refused by name"
)
REDUCTION_NOTE = "where the pipeline offers it; elsewhere refused by name"
SCHEMAS = server_events("translations")


class Interpreted(Engines):
    """Scripted engines with a translator. The recogniser hears `said`, one sentence a turn."""

    def __init__(self, *said: str, mt: Translator | None = None) -> None:
        twice = [sentence for sentence in said for _ in range(2)]  # in the pause, and at the end of the turn
        super().__init__(stt=FakeRecognizer(*twice))
        self.mt = mt or BenchTranslator(0, 0)

    def as_set(self) -> EngineSet:
        return super().as_set().replaced({MT: self.mt})


class Link:
    """A client that reads every event strictly, and keeps it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.events: list[dict[str, Any]] = []

    async def send(self, kind: str, **members: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, **members}))

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await self._socket.recv())
        if event["type"] not in (CLAUSE, UNSTABLE):
            schema: Any = SCHEMAS[event["type"]]
            schema.model_validate_json(json.dumps(event), strict=True)
        self.events.append(event)
        return event

    async def until(self, kind: str) -> dict[str, Any]:
        while (event := await self.next())["type"] != kind:
            pass
        return event

    async def update(self, side: str, **members: Any) -> dict[str, Any]:
        """Change the input or the output; the answer, which is `session.updated` or `error`."""
        await self.send(UPDATE, event_id="mine", session={"audio": {side: members}})
        while (event := await self.next())["type"] not in ("session.updated", "error"):
            pass
        return event

    async def append(self, *pieces: NDArray[np.int16]) -> None:
        pcm = np.concatenate(pieces).astype("<i2").tobytes()
        for at in range(0, len(pcm), 9_600):
            await self.send(APPEND, audio=base64.b64encode(pcm[at : at + 9_600]).decode())

    async def finish(self) -> list[dict[str, Any]]:
        """Close the session; all events that came."""
        await self.send(CLOSE)
        await self.until("session.closed")
        return self.events

    def text(self, kind: str) -> str:
        return "".join(event["delta"] for event in self.events if event["type"] == f"session.{kind}_transcript.delta")


TURN = (voice(1_000), silence(1_000))
"""A second of voice and a pause that ends it."""


@asynccontextmanager
async def interpreting(engines: Engines) -> AsyncIterator[Link]:
    config = configured()
    async with (
        asyncio.timeout(PATIENCE_S),
        running(config, loaded(config, engines)) as server,
        websockets.connect(f"{server.ws}/v1/realtime/translations?model=default") as socket,
    ):
        link = Link(socket)
        assert (await link.next())["type"] == "session.created"
        yield link


@pytest.mark.proves(APPEND, state="honoured", dialect="translations")
@pytest.mark.proves(APPEND, "audio", state="honoured", dialect="translations")
@pytest.mark.proves("session.created", state="sent", dialect="translations")
@pytest.mark.proves("session.output_transcript.delta", state="sent", dialect="translations")
@pytest.mark.proves("session.output_audio.delta", state="sent", dialect="translations")
async def test_speech_that_is_appended_is_translated_and_spoken_before_the_client_closes() -> None:
    engines = Interpreted("Good day.")
    async with interpreting(engines) as link:
        await link.append(*TURN)
        spoken = await link.until("session.output_audio.delta")
        await link.finish()
    assert (spoken["format"], spoken["sample_rate"], spoken["channels"]) == ("pcm16", 24_000, 1)
    assert link.text("output") == "dooG yad."
    words = sum(len(base64.b64decode(event["delta"])) for event in link.events if event["type"] == spoken["type"])
    assert words == 2 * 100 * 48, "100 ms of voice for each of two words"
    heard = engines.stt.streams[0].audio
    assert np.abs(heard).max() > 0.2, "the recogniser got the voice itself"


@pytest.mark.proves(APPEND, "event_id", state="honoured", dialect="translations")
@pytest.mark.proves("error", state="sent", dialect="translations")
async def test_audio_that_cannot_be_taken_is_an_error_that_names_its_event() -> None:
    async with interpreting(Interpreted()) as link:
        await link.send(APPEND, event_id="odd", audio="not base64")
        error = (await link.until("error"))["error"]
        assert (error["event_id"], error["param"]) == ("odd", "audio")
        await link.send(APPEND, event_id="none")
        error = (await link.until("error"))["error"]
        assert (error["event_id"], error["code"]) == ("none", "missing_required_parameter")
        assert (await link.finish())[-1]["type"] == "session.closed", "the session goes on"


@pytest.mark.proves(CLOSE, state="honoured", dialect="translations")
@pytest.mark.proves("session.closed", state="sent", dialect="translations")
async def test_a_close_in_mid_sentence_has_it_translated_first_and_is_answered_once() -> None:
    async with interpreting(Interpreted("Good day.")) as link:
        await link.append(voice(1_000))
        await link.send(CLOSE)
        await link.send(CLOSE)
        await link.until("session.closed")
        with pytest.raises(websockets.ConnectionClosedOK):
            await link.next()
    assert link.text("output") == "dooG yad."
    kinds = [event["type"] for event in link.events]
    assert kinds.count("session.closed") == 1
    assert kinds[-1] == "session.closed"


@pytest.mark.proves(CLOSE, "event_id", state="honoured", dialect="translations")
async def test_a_close_that_cannot_be_read_is_an_error_that_names_its_event() -> None:
    async with interpreting(Interpreted()) as link:
        await link.send(CLOSE, event_id="bye", when="now")
        error = (await link.until("error"))["error"]
        assert (error["event_id"], error["param"]) == ("bye", "when")
        await link.finish()


@pytest.mark.proves(UPDATE, state="honoured", dialect="translations")
@pytest.mark.proves(UPDATE, "session", LANGUAGE, state="honoured", dialect="translations")
@pytest.mark.proves("session.updated", state="sent", dialect="translations")
async def test_the_language_may_change_between_two_sentences() -> None:
    model = FakeModel(["Bom dia."], ["Adiós."])
    translator = LlmTranslator(model, "fake", guard=False)
    await translator.open()
    async with interpreting(Interpreted("Good day.", "Goodbye.", mt=translator)) as link:
        assert (await link.update("output", language="pt"))["session"]["audio"]["output"]["language"] == "pt"
        await link.append(*TURN)
        await link.until("session.output_audio.delta")
        assert (await link.update("output", language="es"))["session"]["audio"]["output"]["language"] == "es"
        await link.append(*TURN)
        await link.finish()
    assert link.text("output") == "Bom dia. Adiós."
    tasks = [request.messages[0].text for request in model.requests]
    assert [("Portuguese" in task, "Spanish" in task) for task in tasks] == [(True, False), (False, True)]
    await translator.close()


async def test_the_voice_may_change_between_two_sentences() -> None:
    engines = Interpreted("Good day.", "Goodbye.", "Well.")
    async with interpreting(engines) as link:
        for voice_name in ("marin", "alloy", ""):
            shown = (await link.update("output", voice=voice_name))["session"]["audio"]["output"]
            assert shown.get("voice", "") == voice_name
            await link.append(*TURN)
            await link.until("session.output_audio.delta")
            error = (await link.update("output", voice="nobody"))["error"]
            assert (error["event_id"], error["param"]) == ("mine", "session.audio.output.voice")
            assert "alloy, marin" in error["message"]
        await link.finish()
    assert [request.voice for request in engines.tts.requests] == ["marin", "alloy", ""]


@pytest.mark.proves(UPDATE, "event_id", state="honoured", dialect="translations")
async def test_an_update_that_is_refused_is_an_error_that_names_its_event_and_changes_nothing() -> None:
    async with interpreting(Interpreted("Good day.")) as link:
        error = (await link.update("output", language="ja"))["error"]
        assert (error["event_id"], error["param"]) == ("mine", LANGUAGE)
        assert "'x-bench'" in error["message"]
        await link.append(*TURN)
        await link.finish()
    assert link.text("output") == "dooG yad.", "into the language as before"


@pytest.mark.proves(UPDATE, TRANSCRIPTION, state="honoured", dialect="translations")
@pytest.mark.proves("session.input_transcript.delta", state="sent", dialect="translations")
async def test_the_speakers_words_are_sent_only_while_they_are_asked_for() -> None:
    engines = Interpreted()
    async with interpreting(engines) as link:
        assert link.events[0]["session"]["audio"]["input"]["transcription"] is None
        shown = ""
        for said, wanted in (("Not this.", None), ("Good day.", {"model": "whisper-1"}), ("Nor that.", None)):
            await link.update("input", transcription=wanted)
            engines.stt.answers = [said, said]
            await link.append(*TURN)
            shown = f"{shown} {' '.join(word[::-1] for word in said[:-1].split())}.".strip()
            while link.text("output") != shown:
                await link.next()
        await link.finish()
    assert link.text("input").strip() == "Good day."
    assert shown == "toN siht. dooG yad. roN taht."


async def test_the_speakers_language_is_what_the_recogniser_is_asked_for() -> None:
    engines = Interpreted("Buenos días.")
    async with interpreting(engines) as link:
        wanted = {"model": "fake", "language": "es-MX"}
        shown = (await link.update("input", transcription=wanted))["session"]["audio"]["input"]["transcription"]
        assert shown == wanted
        await link.append(*TURN)
        await link.finish()
    assert engines.stt.streams[0].spec.language == "es-MX"


@pytest.mark.proves(UPDATE, f"{TRANSCRIPTION}.model", state="honoured", note=MODEL_NOTE, dialect="translations")
async def test_the_model_of_the_transcript_is_the_pipelines_recogniser() -> None:
    async with interpreting(Interpreted()) as link:
        for name in ("gpt-realtime-whisper", "fake"):
            shown = (await link.update("input", transcription={"model": name}))["session"]["audio"]["input"]
            assert shown["transcription"] == {"model": "fake"}
        error = (await link.update("input", transcription={"model": "another"}))["error"]
        assert (error["param"], error["event_id"]) == (f"{TRANSCRIPTION}.model", "mine")
        await link.finish()


@pytest.mark.parametrize("include", [[], ["parley.clauses"]])
async def test_the_record_of_each_clause_comes_only_for_a_client_that_asks(include: list[str]) -> None:
    async with interpreting(Interpreted("Good 15.")) as link:
        await link.send(UPDATE, session={"include": include})
        assert (await link.until("session.updated"))["session"].get("include", []) == include
        await link.append(*TURN)
        await link.finish()
    assert link.text("output") == "dooG 51."
    records = [event for event in link.events if event["type"] == CLAUSE]
    assert len(records) == len(include)
    for record in records:
        assert (record["source"], record["text"], record["clause"]) == ("Good 15.", "dooG 51.", 1)
        assert (record["to_language"], record["outcome"], record["differences"]) == ("x-bench", "translated", ["15"])


@pytest.mark.parametrize("include", [[], ["parley.unstable_words"]])
async def test_words_that_may_still_change_come_only_for_a_client_that_asks(include: list[str]) -> None:
    engines = Interpreted("Good day.")
    async with interpreting(engines) as link:
        await link.update("input", transcription={"model": "fake"})
        await link.send(UPDATE, session={"include": include})
        assert (await link.until("session.updated"))["session"].get("include", []) == include
        await link.append(voice(1_000))
        while not engines.stt.streams:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
        for words in ("Good they", "Good dame"):
            engines.stt.streams[0].say(words, "Good")
        await link.append(silence(1_000))
        await link.finish()
    assert link.text("input") == "Good day."
    unstable = [event for event in link.events if event["type"] == UNSTABLE]
    assert [event["text"] for event in unstable] == ([" they", " dame"] if include else [])
    assert all(0 < event["elapsed_ms"] <= 1_000 for event in unstable)


NOISE = (np.random.default_rng(1).normal(0, 3_000, 3 * 24_000)).astype(np.int16)
"""Three seconds of noise that is loud enough to be taken for a voice."""


async def heard(*wanted: dict[str, Any] | None) -> NDArray[np.float32]:
    """What the recogniser hears of the noise after these updates."""
    engines = Interpreted("Noise.")
    async with interpreting(engines) as link:
        for reduction in wanted:
            answer = await link.update("input", noise_reduction=reduction)
            assert answer["type"] == "session.updated"
        await link.append(NOISE, silence(1_000))
        await link.finish()
    return np.concatenate([stream.audio for stream in engines.stt.streams])


def loudness(audio: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(audio[16_000:32_000] ** 2)))


@pytest.mark.skipif(not processing.available(), reason="the audio processing library is not installed")
@pytest.mark.proves(
    UPDATE, REDUCTION, f"{REDUCTION}.type", state="honoured", note=REDUCTION_NOTE, dialect="translations"
)
async def test_noise_is_reduced_before_the_recogniser_hears_it_until_it_is_switched_off() -> None:
    near, far, off = {"type": "near_field"}, {"type": "far_field"}, await heard()
    cleaned, further, again = await heard(near), await heard(far), await heard(near, None)
    assert loudness(off) > 0.05
    assert loudness(cleaned) < 0.5 * loudness(off)
    assert not np.array_equal(cleaned, further), "the two kinds differ"
    assert np.array_equal(again, off), "null switches it off"


@pytest.mark.skipif(not processing.available(), reason="the audio processing library is not installed")
@pytest.mark.proves(UPDATE, f"{REDUCTION}.strength", state="honoured", note=REDUCTION_NOTE, dialect="translations")
async def test_the_strength_is_how_much_of_the_noise_goes_and_stays_where_it_is_left_out() -> None:
    def near(**strength: float) -> dict[str, Any]:
        return {"type": "near_field", **strength}

    off, half, whole = await heard(near(strength=0)), await heard(near(strength=0.5)), await heard(near())
    assert np.array_equal(off, await heard())
    assert loudness(whole) < loudness(half) < loudness(off)
    assert np.array_equal(await heard(near(strength=0.5), near()), half), "left out, it keeps its value"
