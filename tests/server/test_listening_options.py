"""Each option of how a session listens, set by the stock client over a real socket, changes what it hears and does."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.engines.ports import PauseContext, TokenLogprob, Transcript
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, FakeTurnJudge, FakeVoiceActivity, Hold
from tests.server.harness import PATIENCE_S, Engines, Talk, running, talking
from tests.server.test_conversation import PAUSE, VOICE, configure

UPDATE = "session.update"
DETECTION = "session.audio.input.turn_detection"
TRANSCRIPTION = "session.audio.input.transcription"
LONG_PAUSE = PAUSE * 5

USED = "where the recogniser uses it; elsewhere refused by name"
LANGUAGES = "one is the language; of several, a recogniser that knows more than one finds out which"

SILENT: dict[str, Any] = {"create_response": False}
"""Turns without replies, for tests that read on only to the end of the turn."""


async def push(talk: Talk, audio: bytes) -> None:
    """In pieces of 200 ms, faster than it was spoken."""
    for at in range(0, len(audio), 9600):
        chunk = base64.b64encode(audio[at : at + 9600]).decode()
        await talk.send(type="input_audio_buffer.append", audio=chunk)


class LoudnessAsProbability(FakeVoiceActivity):
    """A frame's probability of being voice is its loudness (mean square root), three times."""

    def score(self, slots: Sequence[int], frames: NDArray[np.float32]) -> NDArray[np.float32]:
        loudness = 3 * np.sqrt(np.mean(frames**2, axis=1))
        probability: NDArray[np.float32] = np.minimum(loudness, 1.0).astype(np.float32)
        return probability


class SlowlyRead(FakeTurnJudge):
    """Says when it has answered, so that a test that pushes audio faster than it comes can wait."""

    def __init__(self, finished: float) -> None:
        super().__init__(finished)
        self.answered = asyncio.Event()

    async def judge(self, pause: PauseContext) -> float:
        asyncio.get_running_loop().call_soon(self.answered.set)
        return await super().judge(pause)


def hearing(*words: str, **engines: Any) -> Engines:
    return Engines(stt=FakeRecognizer(*(words or ("What time is it?",)) * 6), **engines)


async def detect(talk: Talk, kind: str = "server_vad", **options: Any) -> Any:
    """Ask for this turn detection; what the session says it is now."""
    return (await configure(talk, audio={"input": {"turn_detection": {"type": kind, **options}}})).audio.input


async def turn(talk: Talk, silence: bytes = PAUSE) -> tuple[int, int]:
    """Speak from the second second to the third; where the turn began and ended, in milliseconds."""
    await push(talk, PAUSE + VOICE + silence)
    end = (await talk.until("input_audio_buffer.speech_stopped")).audio_end_ms
    return talk.of("input_audio_buffer.speech_started")[-1].audio_start_ms, end


@pytest.mark.proves(UPDATE, f"{DETECTION}.threshold", state="honoured")
@pytest.mark.parametrize(("threshold", "heard"), [(0.4, 2), (0.7, 1)])
async def test_a_voice_probability_below_the_threshold_starts_no_turn(threshold: float, heard: int) -> None:
    quiet = (np.frombuffer(VOICE, "<i2") // 4 * 3).astype("<i2").tobytes()  # 0.39 of what is heard as 0.52
    louder = (np.frombuffer(VOICE, "<i2") * 2).astype("<i2").tobytes()
    engines = hearing(vad=LoudnessAsProbability())
    async with running(engines=engines) as server, talking(server) as talk:
        await detect(talk, threshold=threshold, **SILENT)
        await push(talk, PAUSE + VOICE + PAUSE + quiet + PAUSE + louder + PAUSE)
        if heard == 2:
            await talk.until("conversation.item.done")
        await talk.until("conversation.item.done")
        first = talk.of("input_audio_buffer.speech_started")[0]
    assert abs(first.audio_start_ms - (700 if heard == 2 else 4700)) <= 64


@pytest.mark.proves(UPDATE, DETECTION, f"{DETECTION}.type", f"{DETECTION}.prefix_padding_ms", state="honoured")
@pytest.mark.proves(UPDATE, f"{DETECTION}.silence_duration_ms", state="honoured")
async def test_the_padding_is_before_the_voice_and_the_silence_behind_it() -> None:
    async with running(engines=hearing()) as server:
        ends = {}
        for padding, silence in ((0, 200), (300, 500), (600, 900)):
            async with talking(server) as talk:
                await detect(talk, prefix_padding_ms=padding, silence_duration_ms=silence, **SILENT)
                ends[padding, silence] = await turn(talk)
    for (padding, silence), (start, end) in ends.items():
        assert abs(start - (1000 - padding)) <= 64
        assert abs(end - (2000 + silence)) <= 64


@pytest.mark.proves(UPDATE, f"{DETECTION}.create_response", state="honoured")
@pytest.mark.parametrize("kind", ["server_vad", "semantic_vad"])
async def test_without_create_response_the_client_asks_for_each_reply(kind: str) -> None:
    engines = hearing()
    async with running(engines=engines) as server, talking(server) as talk:
        await detect(talk, kind, create_response=False)
        await turn(talk)
        await talk.until("conversation.item.done")
        await talk.send(type="response.create", response={"metadata": {"asked": "by hand"}})
        done = await talk.until("response.done")
    assert done.response.metadata == {"asked": "by hand"}
    assert len(talk.of("response.created")) == len(engines.llm.requests) == 1
    assert not talk.of("error"), "no other response was running"


@pytest.mark.proves(UPDATE, f"{DETECTION}.interrupt_response", state="honoured")
@pytest.mark.parametrize("kind", ["server_vad", "semantic_vad"])
async def test_without_interrupt_response_the_reply_is_spoken_to_its_end(kind: str) -> None:
    hold = Hold()
    engines = hearing("And then?", llm=FakeModel(["One two three four. And", hold, " five."], ["Six."]))
    async with running(engines=engines) as server, talking(server) as talk:
        await detect(talk, kind, interrupt_response=False)
        await talk.send(type="response.create")
        await talk.until("response.output_audio.delta")
        await push(talk, VOICE + PAUSE)
        await talk.until("input_audio_buffer.committed")
        hold.event.set()
        done = await talk.until("response.done")
        assert (done.response.status, done.response.output[0].content[0].transcript) == (
            "completed",
            "One two three four. And five.",
        )
        assert (await talk.until("response.done")).response.output[0].content[0].transcript == "Six."


@pytest.mark.slow
@pytest.mark.proves(UPDATE, f"{DETECTION}.idle_timeout_ms", state="honoured")
async def test_a_silent_user_is_prompted_after_the_idle_timeout() -> None:
    engines = hearing(llm=FakeModel(["Hello."], ["Are you still there?"]))
    async with running(engines=engines) as server, talking(server) as talk:
        await detect(talk, idle_timeout_ms=5000)
        await talk.send(type="response.create")
        await talk.until("response.done")
        talk.events.clear()
        for _ in range(8):  # the microphone is open; what it hears is silence
            await push(talk, PAUSE)
        idle = await talk.until("input_audio_buffer.timeout_triggered")
        done = await talk.until("response.done")
    assert talk.of("input_audio_buffer.committed")[0].item_id == idle.item_id
    assert done.response.output[0].content[0].transcript == "Are you still there?"


@pytest.mark.proves(UPDATE, f"{DETECTION}.eagerness", state="honoured")
async def test_eagerness_is_how_long_a_likely_end_is_waited_for() -> None:
    ends, judge = {}, SlowlyRead(0.6)
    async with running(engines=hearing(turn=judge)) as server:
        for eagerness in ("low", "medium", "high", "auto"):
            async with talking(server) as talk:
                shown = await detect(talk, "semantic_vad", eagerness=eagerness, **SILENT)
                assert shown.turn_detection.eagerness == eagerness
                await push(talk, PAUSE + VOICE + PAUSE[: 48 * 400])
                async with asyncio.timeout(PATIENCE_S):
                    await judge.answered.wait()
                judge.answered.clear()
                await push(talk, LONG_PAUSE)
                ends[eagerness] = (await talk.until("input_audio_buffer.speech_stopped")).audio_end_ms
    assert ends["high"] < ends["medium"] == ends["auto"] < ends["low"]


async def test_an_unfinished_thought_is_waited_for_at_most_as_long_as_documented() -> None:
    ends = {}
    async with running(engines=hearing("I would like to", turn=FakeTurnJudge(0.0))) as server:
        for eagerness in ("low", "medium", "high"):
            async with talking(server) as talk:
                await detect(talk, "semantic_vad", eagerness=eagerness, **SILENT)
                ends[eagerness] = (await turn(talk, LONG_PAUSE * 2))[1]
    for eagerness, wait_ms in (("low", 8000), ("medium", 4000), ("high", 2000)):
        assert abs(ends[eagerness] - (2000 + wait_ms)) <= 64


@pytest.mark.proves(UPDATE, f"{TRANSCRIPTION}.languages", state="honoured", note=LANGUAGES)
async def test_the_recogniser_gets_the_languages_that_may_be_spoken() -> None:
    engines = hearing("sim")
    async with running(engines=engines) as server, talking(server) as talk:
        for given in (["pt", "es"], ["pt"]):
            await configure(talk, audio={"input": {"turn_detection": None, "transcription": {"languages": given}}})
            await talk.send(type="input_audio_buffer.append", audio=base64.b64encode(bytes(9600)).decode())
            await talk.send(type="input_audio_buffer.commit")
            await talk.until("conversation.item.input_audio_transcription.completed")
    specs = [stream.spec for stream in engines.stt.streams]
    assert [(spec.language, spec.languages) for spec in specs] == [("", ("pt", "es")), ("pt", ())]


@pytest.mark.proves(UPDATE, TRANSCRIPTION, f"{TRANSCRIPTION}.language", f"{TRANSCRIPTION}.model", state="honoured")
@pytest.mark.proves(UPDATE, f"{TRANSCRIPTION}.keywords", f"{TRANSCRIPTION}.prompt", state="honoured", note=USED)
@pytest.mark.parametrize("kind", ["realtime", "transcription"])
async def test_the_recogniser_gets_the_language_the_prompt_and_the_keywords(kind: str) -> None:
    engines = hearing()
    wanted = {"model": "whisper-1", "language": "pt", "prompt": "Names of rivers.", "keywords": ["Tejo"]}
    audio = {"input": {"transcription": wanted, "turn_detection": {"type": "server_vad", **SILENT}}}
    async with running(engines=engines) as server, talking(server) as talk:
        await talk.send(type="session.update", session={"type": kind, "audio": audio})
        await talk.until("session.updated")
        await push(talk, PAUSE + VOICE + PAUSE)
        await talk.until("conversation.item.input_audio_transcription.completed")
    spec = engines.stt.streams[-1].spec
    assert (spec.language, spec.prompt, spec.keywords) == ("pt", "Names of rivers.", ("Tejo",))


@pytest.mark.proves(UPDATE, TRANSCRIPTION, state="honoured")
async def test_without_transcription_the_client_gets_no_transcript_and_the_model_does() -> None:
    engines = hearing("What time is it?")
    async with running(engines=engines) as server, talking(server) as talk:
        await configure(talk, audio={"input": {"transcription": None}})
        await push(talk, PAUSE + VOICE + PAUSE)
        await talk.until("response.done")
    assert not [kind for kind in talk.kinds() if "transcription" in kind and "output" not in kind]
    assert engines.llm.requests[0].messages[-1].text == "What time is it?"


@pytest.mark.proves(
    UPDATE, "session.include", state="honoured", note="where the pipeline offers it; elsewhere refused by name"
)
async def test_included_logprobs_come_with_the_transcript_and_only_when_asked_for() -> None:
    heard = Transcript("ten past", logprobs=(TokenLogprob("ten", -0.1), TokenLogprob(" past", -0.4)))
    engines = Engines(stt=FakeRecognizer(*[heard] * 8))
    given = []
    async with running(engines=engines) as server:
        for include in (["item.input_audio_transcription.logprobs"], None):
            async with talking(server) as talk:
                detection = {"type": "server_vad", **SILENT}
                audio = {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": detection}}
                await configure(talk, include=include, audio=audio)
                await push(talk, PAUSE + VOICE + PAUSE)
                done = await talk.until("conversation.item.input_audio_transcription.completed")
                given.append([(each.token, each.logprob) for each in done.logprobs or ()])
    assert given == [[("ten", -0.1), (" past", -0.4)], []]
    assert [stream.spec.logprobs for stream in engines.stt.streams] == [True, False]


@pytest.mark.proves(UPDATE, "session.audio.input.format.type", state="honoured")
@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
async def test_telephone_audio_is_decoded_by_its_own_law(kind: str) -> None:
    """Codes of silence in one law are loud in the other, so a mistaken law hears voice in silence."""
    from parley.audio import g711

    encode = g711.encode_mulaw if kind == "audio/pcmu" else g711.encode_alaw
    tone = (8000 * np.sin(np.arange(8000) / 7)).astype(np.int16)
    silence, voice = (encode(samples).tobytes() for samples in (np.zeros(8000, np.int16), tone))
    async with running(engines=hearing()) as server, talking(server) as talk:
        detection = {"type": "server_vad", **SILENT}
        await configure(talk, audio={"input": {"format": {"type": kind}, "turn_detection": detection}})
        await push(talk, silence + voice + silence)
        stopped = await talk.until("input_audio_buffer.speech_stopped")
        assert abs(talk.of("input_audio_buffer.speech_started")[0].audio_start_ms - 700) <= 64
        assert abs(stopped.audio_end_ms - 2500) <= 64


async def test_the_words_of_a_turn_are_only_ever_added_to() -> None:
    engines = Engines(stt=FakeRecognizer(*["one two three"] * 6), tts=FakeSynthesizer())
    async with running(engines=engines) as server, talking(server, intent="transcription") as talk:
        await push(talk, PAUSE + VOICE)
        await talk.until("input_audio_buffer.speech_started")
        (stream,) = engines.stt.streams
        stream.say("on")
        stream.say("one to", stable="one")
        stream.say("one two", stable="one two")
        await push(talk, PAUSE)
        done = await talk.until("conversation.item.input_audio_transcription.completed")
    deltas = [event.delta for event in talk.of("conversation.item.input_audio_transcription.delta")]
    assert deltas[0] == "one"
    assert len(deltas) >= 3
    assert "".join(deltas) == done.transcript == "one two three"
