"""A recorded conversation runs again the same, byte for byte; a broken session leaves its trace."""

from __future__ import annotations

import gc
import logging
import stat
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.audio.resampling import resample_int16
from parley.core.session import Session
from parley.core.words.effects import Effect, JudgePause
from parley.core.words.errors import Fault, InvariantBroken
from parley.core.words.events import (
    AudioArrived,
    CommitRequested,
    Event,
    ItemCreateRequested,
    ItemRetrieveRequested,
    ResponseRequested,
    SessionUpdateRequested,
    Transcribed,
    VoiceScored,
)
from parley.core.words.ids import CallId, FlushId, ItemId, JudgementId, TurnId
from parley.core.words.items import FunctionCallOutput, InputAudio, InputImage, InputText, ItemReference, Message
from parley.core.words.notices import (
    ErrorRaised,
    InputSpeechStarted,
    ItemDone,
    ItemRetrieved,
    OutputAudioDelta,
    ResponseDone,
)
from parley.core.words.pipeline_events import PipelineFound, PipelineNotFound
from parley.core.words.settings import (
    AudioFormat,
    Capabilities,
    ForceFunction,
    FunctionTool,
    NoiseReduction,
    OwnerSettings,
    SemanticVad,
    ServerVad,
    Settings,
)
from parley.core.words.work import ResponseParams
from parley.engines.ports import ChatEnd, ToolCallDelta
from parley.engines.vad.silero import SileroVad
from parley.runtime import trace as trace_module
from parley.runtime.trace import Trace, replay
from parley.runtime.trace_format import from_plain, to_plain
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, Hold
from tests.runtime.rig import Rig, pipeline

MIB = 1024 * 1024


async def _conversation(folder: Path) -> Path:
    """A spoken turn with a tool call, its answer, a barge-in over the next reply, and a refused wish."""
    llm = FakeModel(
        ["Let me look that up.", ToolCallDelta(0, "call_1", "weather", '{"city":"Paris"}'), ChatEnd("tool_calls")],
        ["It is sunny in Paris, and warm. ", "One two three four five six seven.", Hold()],
        ["All right then."],
    )
    stt = FakeRecognizer("what is the weather in Paris", "stop")
    rig = Rig(
        pipeline(llm=llm, stt=stt, tts=FakeSynthesizer(word_ms=400)),
        trace=lambda beginning, name: Trace(beginning, name, folder),
    )
    rig.driver.post(SessionUpdateRequested({"tools": (FunctionTool("weather", "", "{}"),), "tool_choice": "auto"}))
    rig.speak()
    await rig.client.heard(ResponseDone)
    rig.driver.post(ItemCreateRequested(FunctionCallOutput(ItemId(""), CallId("call_1"), '"sunny"')))
    rig.driver.post(ResponseRequested())
    await rig.client.until(lambda: len(rig.client.all(OutputAudioDelta)) >= 10)
    rig.speak()
    await rig.client.heard(ResponseDone, 3)
    rig.driver.post(ItemRetrieveRequested(ItemId("nothing")))
    rig.driver.post(ItemRetrieveRequested(rig.client.all(ItemDone)[0].item.id))
    assert [done.response.status for done in rig.client.all(ResponseDone)] == ["completed", "cancelled", "completed"]
    assert len(rig.client.all(InputSpeechStarted)) == 2
    await rig.over()
    assert rig.trace is not None
    assert rig.trace.path is not None
    return rig.trace.path


async def test_a_recorded_conversation_gives_the_same_effects_again(tmp_path: Path) -> None:
    path = await _conversation(tmp_path)
    result = replay(path)
    assert result.mismatch is None
    assert result.events > 150
    assert result.effects > result.events


async def test_a_conversation_in_recorded_speech_gives_the_same_effects_again(
    tmp_path: Path, speech: Callable[[str], tuple[NDArray[np.int16], int]]
) -> None:
    pcm, rate = speech("beckett")
    silero = SileroVad()
    await silero.open()
    rig = Rig(
        pipeline(vad=silero, stt=FakeRecognizer("ever tried", "ever failed"), llm=FakeModel(["No matter."])),
        trace=lambda beginning, name: Trace(beginning, name, tmp_path),
    )
    rig.hear(resample_int16(pcm, rate, 24_000).tobytes() + bytes(48_000))
    await rig.client.until(lambda: len(rig.client.all(InputSpeechStarted)) >= 4 and bool(rig.client.all(ResponseDone)))
    await rig.over()
    assert rig.trace is not None
    assert rig.trace.path is not None
    result = replay(rig.trace.path)
    assert result.mismatch is None
    assert result.events > 600
    await silero.close()


async def test_a_trace_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = await _conversation(tmp_path / "traces")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_an_effect_that_differs_is_named(tmp_path: Path) -> None:
    path = await _conversation(tmp_path)
    text = path.read_text()
    path.write_text(text.replace('"text":"what is the weather in Paris"', '"text":"what is the weather in Rome"', 1))
    mismatch = replay(path).mismatch
    assert mismatch is not None
    assert "Rome" in mismatch
    assert "Paris" in mismatch
    assert "event Transcribed" in mismatch


async def test_a_file_that_is_no_trace_is_refused_with_its_line(tmp_path: Path) -> None:
    path = await _conversation(tmp_path)
    lines = path.read_text().splitlines()
    for number, wrong, said in (
        (0, '{"trace":99}', "line 1"),
        (0, "RIFF....WAVE", "line 1"),
        (4, '{"at":1,"event":{"$":"Unheard"},"effects":[]}', "line 5: it holds a 'Unheard'"),
        (4, '{"at":1,"event":{"$":"VoiceScored","loudness":1},"effects":[]}', "line 5: its VoiceScored"),
        (4, "[]", "line 5"),
    ):
        path.write_text("\n".join([*lines[:number], wrong, *lines[number + 1 :]]))
        with pytest.raises(ValueError, match=said):
            replay(path)


class _BreaksOnCommit(Session):
    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        if isinstance(event, CommitRequested):
            raise InvariantBroken("7: heard more than was played")
        return super().handle(event, now_ns)


async def test_a_broken_session_leaves_its_recording(tmp_path: Path) -> None:
    rig = Rig(pipeline(), session=_BreaksOnCommit, trace=lambda beginning, name: Trace(beginning, name, tmp_path))
    rig.driver.post(AudioArrived(bytes(960)))
    rig.driver.post(CommitRequested())
    assert rig.trace is not None
    assert rig.trace.path is not None
    mismatch = replay(rig.trace.path).mismatch
    assert mismatch is not None, "a sound session does not break here"
    assert "heard more than was played" in mismatch


async def test_without_a_folder_the_last_steps_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(pipeline(), session=_BreaksOnCommit, trace=Trace)
    rig.speak(ms=500, silence_ms=0)
    await rig.client.heard(InputSpeechStarted)
    with caplog.at_level(logging.ERROR):
        rig.driver.post(CommitRequested())
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "7: heard more than was played" in text
    assert "35 x AudioArrived" in text
    assert "33600 bytes" in text
    assert "Tell(InputSpeechStarted)" in text
    assert '"$":"CommitRequested"' in text


async def test_the_ring_stays_small_however_long_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_module, "RING_STEPS", 10)
    rig = Rig(pipeline(), trace=Trace)
    assert rig.trace is not None
    for number in range(50):
        rig.driver.post(ItemRetrieveRequested(ItemId(f"nothing_{number}")))
        for _ in range(5):
            rig.driver.post(AudioArrived(bytes(960)))
    recent = rig.trace.recent()
    assert len(recent) <= 10
    assert "nothing_49" in recent[-2]
    assert "5 x AudioArrived, 4800 bytes" in recent[-1]
    await rig.over()


@contextmanager
def memory_stays_under(limit: int) -> Iterator[None]:
    """What is allocated inside, and is still there at the end, takes less than `limit` bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < limit


async def test_the_ring_does_not_keep_hours_of_audio_alive() -> None:
    rig = Rig(pipeline(), trace=Trace)
    assert rig.trace is not None
    with memory_stays_under(200_000):
        for number in range(20):
            judged = JudgePause(TurnId(1), JudgementId(1), "", bytes(100_000), AudioFormat.PCM16, "")
            rig.trace.on_step(ItemRetrieveRequested(ItemId(f"nothing_{number}")), number, [judged])
            del judged
    assert "nothing_19" in rig.trace.recent()[-1]
    assert "JudgePause" in rig.trace.recent()[-1]
    await rig.over()


def brought(number: int, audio: bytes, transcript: str | None = None) -> ItemCreateRequested:
    return ItemCreateRequested(Message(ItemId(f"item_{number}"), "user", (InputAudio(transcript, audio),)))


async def test_the_ring_does_not_keep_alive_what_a_client_brought() -> None:
    rig = Rig(pipeline(), trace=Trace)
    assert rig.trace is not None
    with memory_stays_under(20 * MIB):
        for number in range(30):
            # Too much audio to wait for its words: refused, and nothing else holds it.
            rig.driver.post(brought(number, bytes(10 * MIB)))
    assert "ItemCreateRequested -> [Tell(ErrorRaised)]" in rig.trace.recent()[-1]
    await rig.over()


async def test_the_ring_does_not_keep_alive_audio_that_was_refused() -> None:
    rig = Rig(pipeline(), settings=Settings(turn_detection=None), trace=Trace)
    assert rig.trace is not None
    long = bytes(14 * MIB)
    rig.driver.post(AudioArrived(long))
    rig.driver.post(AudioArrived(long[: 13 * MIB]))
    with memory_stays_under(20 * MIB):
        for _ in range(30):
            rig.driver.post(AudioArrived(bytes(14 * MIB)))
    assert rig.client.all(ErrorRaised)[-1].code == "input_audio_buffer_full"
    assert "AudioArrived -> [Tell(ErrorRaised)]" in rig.trace.recent()[-1]
    await rig.over()


async def test_the_ring_does_not_keep_alive_what_a_client_was_sent() -> None:
    rig = Rig(pipeline(), trace=Trace)
    assert rig.trace is not None
    rig.driver.post(brought(1, bytes(2 * MIB), "hello"))
    with memory_stays_under(2 * MIB):
        for _ in range(30):
            rig.driver.post(ItemRetrieveRequested(ItemId("item_1")))
            assert rig.client.all(ItemRetrieved)
            rig.client.notices.clear()
    assert "Tell(ItemRetrieved)" in rig.trace.recent()[-1]
    await rig.over()


async def test_a_full_disk_costs_the_rest_of_the_trace_and_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    resource = pytest.importorskip("resource", reason="the size of files can be limited on POSIX only")
    rig = Rig(pipeline(), trace=lambda beginning, name: Trace(beginning, name, tmp_path))
    assert rig.trace is not None
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        assert rig.trace.dump("the session broke") is None
        await rig.over()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    reports = [record.message for record in caplog.records if "incomplete" in record.message]
    assert len(reports) == 1
    assert any("the session broke" in record.message for record in caplog.records)


async def test_a_folder_that_cannot_be_written_costs_the_trace_not_the_session(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    rig = Rig(pipeline(llm=FakeModel(["Fine."])), trace=lambda beginning, name: Trace(beginning, name, occupied))
    rig.say("hello")
    await rig.client.heard(ResponseDone)
    assert "server.trace_dir" in caplog.text
    await rig.over()


async def test_a_recording_ends_at_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_module, "RECORDING_BYTES", 20_000)
    rig = Rig(pipeline(), trace=lambda beginning, name: Trace(beginning, name, tmp_path))
    for _ in range(100):
        rig.driver.post(AudioArrived(bytes(960)))
    await rig.over()
    assert rig.trace is not None
    path = rig.trace.path
    assert path is not None
    assert 20_000 < path.stat().st_size < 25_000
    assert replay(path).mismatch is None


@pytest.mark.parametrize(
    "event",
    [
        AudioArrived(b"\x00\xff\x80"),
        VoiceScored(768, 0.1),
        Transcribed(TurnId(1), "Hallo.", FlushId(2), "de", language_confidence=0.9),
        SessionUpdateRequested(
            {
                "turn_detection": SemanticVad("low"),
                "input_format": AudioFormat.PCMU,
                "tool_choice": ForceFunction("f"),
                "noise_reduction": NoiseReduction("near_field", 0.5),
                "max_output_tokens": None,
            }
        ),
        SessionUpdateRequested({"turn_detection": ServerVad(idle_timeout_ms=6_000)}),
        ItemCreateRequested(Message(ItemId("a"), "user", (InputText("ü"), InputImage("data:,"))), "root"),
        ResponseRequested(ResponseParams(input=(ItemReference(ItemId("a")),), metadata=(("k", "v"),), tools=())),
        PipelineFound("fast", Settings(model="fast"), OwnerSettings(speculation=True), Capabilities(languages=("en",))),
        PipelineNotFound(Fault("model_not_found", "There is no such model.")),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_survives_being_written_and_read(event: Event) -> None:
    assert from_plain(to_plain(event)) == event


def test_an_event_of_a_trace_without_the_confidence_of_its_language_is_read() -> None:
    plain = to_plain(Transcribed(TurnId(1), "Hallo.", language="de"))
    assert isinstance(plain, dict)
    del plain["language_confidence"]
    assert from_plain(plain) == Transcribed(TurnId(1), "Hallo.", language="de")
