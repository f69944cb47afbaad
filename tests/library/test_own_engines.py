"""Functions as the voice model, the recogniser, the synthesizer and the clause cutter; what judgements may look at; read access."""

from __future__ import annotations

import asyncio
import queue
import re
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from functools import partial
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.engines.ports import EngineError, SpeechChunk, SpeechRequest
from parley.library import (
    FrameRefused,
    LibraryError,
    PauseSeen,
    Recording,
    ReplyAudio,
    ReplyEnded,
    SemanticVad,
    ServerVad,
    Transcript,
    Turn,
    TurnEnded,
    VoiceEvent,
    VoiceSession,
    synthesize,
)
from parley.library.events import PartialTranscript
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer
from tests.library.own import STORY, TALK, Samples, loud, tone
from tests.library.rig import RATE, cut, judged, of, pipeline, silence, voice

QUESTION = np.concatenate([silence(320), voice(800), silence(1000)])


def turns(events: list[VoiceEvent]) -> list[Turn]:
    return [event.turn for event in of(TurnEnded, events)]


# --- the voice ------------------------------------------------------------------------------------------------------------


def stateful() -> Generator[float, Samples, None]:
    """Two loud frames are a voice."""
    before = probability = 0.0
    while True:
        frame = yield probability
        now = float(loud(frame))
        before, probability = now, min(before, now)


def test_a_function_or_a_generator_can_detect_the_voice() -> None:
    seen: list[Samples] = []

    def energy(frame: Samples) -> float:
        seen.append(frame)
        return 0.9 if loud(frame) else 0.1

    starts = []
    for vad in (energy, lambda frame: loud(frame), stateful):
        with pipeline(vad=vad) as pipe:
            (turn,) = turns(list(VoiceSession(pipe, sample_rate=RATE, pre_roll=0).run(cut(QUESTION, 1000))))
            starts.append(turn.start_sample)
    assert {(frame.dtype.name, frame.shape) for frame in seen} == {("float32", (512,))}
    assert np.abs(seen[-1] - seen[20]).max() > 0, "each frame is the function's own"
    assert starts[0] == starts[1] == 320 * 24
    assert starts[2] == starts[0] + 768, "one frame later"


def test_each_session_has_a_generator_of_its_own() -> None:
    with pipeline(vad=stateful, stt=FakeRecognizer("one", "two")) as pipe:
        sessions = [VoiceSession(pipe, sample_rate=RATE, pre_roll=0) for _ in range(2)]
        events: list[list[VoiceEvent]] = [[], []]
        for number in range(2 * len(QUESTION) // 768):
            at = number // 2 * 768
            events[number % 2] += sessions[number % 2].step(QUESTION[at : at + 768])
    assert [turns(piece)[0].start_sample for piece in events] == [353 * 24 - 24] * 2


# --- the words ------------------------------------------------------------------------------------------------------------


def whole(audio: Samples) -> str:
    return f"{len(audio)} samples, {audio.dtype}"


async def awaited(audio: Samples) -> Transcript:
    return Transcript(f"{len(audio)} samples, {audio.dtype}", language="en")


def streamed(audio: Iterator[Samples]) -> Iterator[str]:
    count, kind = 0, ""
    for piece in audio:
        count, kind = count + len(piece), str(piece.dtype)
        yield f"{count} samples"
    yield f"{count} samples, {kind}"


async def streamed_awaited(audio: AsyncIterator[Samples]) -> AsyncIterator[str]:
    count, kind = 0, ""
    async for piece in audio:
        count, kind = count + len(piece), str(piece.dtype)
        yield f"{count} samples"
    yield f"{count} samples, {kind}"


@pytest.mark.parametrize("stt", [whole, awaited, streamed, streamed_awaited, partial(whole)])
@pytest.mark.parametrize("judge", [None, 1.0])
def test_any_kind_of_function_is_a_recogniser_of_exactly_the_turns_audio(stt: Any, judge: float | None) -> None:
    turn_judge = None if judge is None else judged(judge)
    with pipeline(stt=stt, turn=turn_judge) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        for _ in range(2):
            (turn,) = turns(list(session.run([QUESTION])))
            assert turn.heard.startswith(f"{(turn.end_sample - turn.start_sample) * 16 // 24} samples") or judge
            assert re.match(r"\d+ samples", turn.heard)


async def test_a_generator_yields_the_words_so_far_while_the_turn_goes_on() -> None:
    async with pipeline(stt=streamed_awaited) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        events = await session.astep(QUESTION)
    partials = [event.text for event in of(PartialTranscript, events)]
    assert len(partials) > 3
    assert partials == sorted(partials, key=lambda text: int(text.split()[0]))


def test_a_recogniser_is_given_the_language_where_it_asks() -> None:
    def stt(audio: Samples, *, language: str) -> str:
        return f"language {language}"

    with pipeline(stt=stt, language="de") as pipe:
        (turn,) = turns(list(VoiceSession(pipe, sample_rate=RATE).run([QUESTION])))
    assert turn.heard == "language de"


# --- the speech -----------------------------------------------------------------------------------------------------------


def as_int16(text: str) -> Any:
    return tone(text)


def as_float(text: str) -> Any:
    return (tone(text) / 32768).astype(np.float32)


def as_double(text: str) -> Any:
    return tone(text) / 32768


def as_bytes(text: str) -> Any:
    return tone(text).tobytes()


def at_its_rate(text: str) -> Any:
    return tone(text)[::3], 8_000


def as_recording(text: str) -> Any:
    return Recording((tone(text)[::3] / 32768).astype(np.float32), 8_000)


def in_pieces(text: str) -> Iterator[Any]:
    for word in text.split():
        yield tone(word)


async def in_pieces_later(text: str) -> AsyncIterator[Any]:
    for word in text.split():
        await asyncio.sleep(0)
        yield tone(word), 24_000


async def later(text: str) -> Any:
    return tone(text)


@pytest.mark.parametrize(
    "tts",
    [as_int16, as_float, as_double, as_bytes, at_its_rate, as_recording, in_pieces, in_pieces_later, later],
    ids=lambda function: function.__name__,
)
def test_any_kind_of_function_is_a_synthesizer(tts: Any) -> None:
    with pipeline(tts=tts) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        session.say("count")
        audio = np.concatenate([event.samples for event in of(ReplyAudio, session.flush())])
        assert session.turns[0].answered == "One two three four five."
    expected = tone("One two three four five.")
    assert len(audio) == len(expected)
    assert np.abs(audio.astype(int) - expected).mean() < (
        1 if "its_rate" not in tts.__name__ and "rec" not in tts.__name__ else 400
    )


def test_pieces_of_several_rates_keep_their_lengths_where_a_text_is_synthesized() -> None:
    def tts(text: str) -> Iterator[Any]:
        yield tone(text), 24_000
        yield tone(text)[::3], 8_000
        yield tone(text)

    spoken = list(synthesize("count", tts=tts))
    assert sum(len(piece.samples) for piece in spoken) == pytest.approx(3 * len(tone("count")), abs=6)


class IntegerSynthesizer(FakeSynthesizer):
    """Gives integers where its port asks for floats."""

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        async for chunk in super().speak(request):
            yield SpeechChunk((chunk.audio * 32767).astype(np.int16), chunk.sample_rate)


def test_audio_of_the_wrong_type_fails_by_the_engines_name_where_a_text_is_synthesized() -> None:
    with pytest.raises(EngineError, match=r"^The speech synthesizer '.+' gave audio of int16 in the shape .* float32"):
        list(synthesize("count", tts=IntegerSynthesizer()))


def test_a_synthesizer_is_given_what_it_asks_for() -> None:
    asked: list[tuple[Any, ...]] = []

    def tts(text: str, voice: str, speed: float) -> NDArray[np.int16]:
        asked.append((voice, speed))
        return tone(text)

    with pipeline(tts=tts, voice="anna") as pipe:
        VoiceSession(pipe, sample_rate=RATE, speed=1.25).say("count")
    assert asked == [("anna", 1.25)]


def test_a_chunker_decides_what_is_spoken_at_once_and_no_word_is_lost() -> None:
    def lines(text: str) -> int:
        return text.find("\n") + 1

    tts = FakeSynthesizer()
    model = FakeModel(["one, two. th", "ree\nfour. fi", "ve\n\nsix"])
    with pipeline(llm=model, tts=tts) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, chunker=lines)
        session.say("count")
        session.flush()
        assert session.turns[0].written == "one, two. three\nfour. five\n\nsix"
    assert [request.text for request in tts.requests] == ["one, two. three", "four. five", "six"]


@pytest.mark.slow
def test_a_chunker_that_never_cuts_is_bounded() -> None:
    tts = FakeSynthesizer(word_ms=20)
    with pipeline(llm=FakeModel(["word " * 2_000]), tts=tts) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, chunker=lambda text: 0)
        session.say("talk")
        session.flush()
    assert [len(request.text) for request in tts.requests] == [3_999, 3_999, 1_999]


# --- what judgements look at ----------------------------------------------------------------------------------------------


def test_an_endpointing_function_may_say_whether_the_turn_is_finished() -> None:
    seen: list[int] = []

    def finished(pause: PauseSeen) -> bool:
        seen.append(pause.pause_ms)
        return pause.pause_ms >= 320 and pause.turn_ms > 1000

    talk = np.concatenate([voice(640), silence(640), voice(640), silence(1600)])
    answers: list[Callable[[PauseSeen], Any]] = [finished, lambda pause: np.bool_(finished(pause))]
    for endpointing in answers:
        with pipeline() as pipe:
            (turn,) = turns(list(VoiceSession(pipe, sample_rate=RATE, endpointing=endpointing).run([talk])))
            assert turn.end_sample // 24 == pytest.approx(640 + 640 + 640 + 320, abs=33)


@pytest.mark.parametrize("chunk_ms", [10, 32, 500])
def test_an_endpointing_function_gets_the_turns_audio_up_to_the_pause_if_it_has_the_parameter(chunk_ms: int) -> None:
    heard: list[tuple[PauseSeen, Samples, bool]] = []

    def listening(pause: PauseSeen, audio: Samples, playing: bool) -> int:
        heard.append((pause, audio, playing))
        return 480

    with pipeline() as pipe:
        list(VoiceSession(pipe, sample_rate=RATE, endpointing=listening, chunk_ms=chunk_ms).run([QUESTION]))
    assert len(heard) > 10
    for pause, audio, playing in heard:
        assert audio.dtype == np.float32
        assert len(audio) == (pause.turn_ms + pause.pause_ms) * 16
        quiet = audio[-pause.pause_ms * 16 + 64 :]
        assert np.abs(quiet).max() < 0.01 < np.abs(audio).max(), "what ends the audio is the pause itself"
        assert not playing


def test_the_audio_is_the_last_of_a_long_turn() -> None:
    lengths: list[int] = []

    def listening(pause: PauseSeen, *, audio: Samples) -> bool:
        lengths.append(len(audio))
        return True

    with pipeline() as pipe:
        list(VoiceSession(pipe, sample_rate=RATE, endpointing=listening).run([voice(12_000), silence(900)]))
    assert lengths == [8 * 16_000]


def test_a_barge_in_function_gets_the_audio_and_whether_the_reply_plays() -> None:
    asked: list[tuple[int, bool]] = []

    def loudly(words: str, voice_ms: int, playing: bool, audio: Samples) -> bool:
        asked.append((voice_ms, playing))
        return len(audio) >= 16 * voice_ms and voice_ms > 200

    with pipeline(llm=FakeModel([STORY])) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, barge_in=loudly)
        events = list(session.run([TALK]))
    assert of(ReplyEnded, events)[0].turn.interrupted
    assert asked[-1][0] == pytest.approx(224, abs=32)
    assert asked[-1][1]


@pytest.mark.parametrize(
    ("detection", "barge_in", "interrupted"),
    [
        (ServerVad(), "never", False),
        (SemanticVad(), "never", False),
        (ServerVad(silence_duration_ms=300), "never", False),
        (ServerVad(), None, True),
        (ServerVad(interrupt_response=False), None, False),
        (ServerVad(interrupt_response=False), "immediate", True),
        ("silence", "never", False),
        ("auto", "never", False),
    ],
)
def test_barge_in_counts_whatever_turn_detection_is_given(
    detection: Any, barge_in: Literal["never", "immediate"] | None, interrupted: bool
) -> None:
    with pipeline(llm=FakeModel([STORY]), turn=judged(1.0)) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, turn_detection=detection, barge_in=barge_in)
        session.say("count")
        events = session.step(np.concatenate([silence(300), voice(640), silence(900)]))
        assert any(event.turn.interrupted for event in of(ReplyEnded, events + session.flush())) is interrupted


# --- the first play, the turns, the parts ---------------------------------------------------------------------------------


def test_on_first_play_is_called_once_for_each_reply_when_its_audio_goes_out() -> None:
    played: list[tuple[str, str]] = []

    def note(turn: Turn) -> None:
        played.append((turn.heard, turn.answered))

    with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, on_first_play=note)
        session.say("first")
        assert not played, "it is written, and not heard yet"
        session.step(silence(32))
        assert played == [("first", "")]
        session.flush()
        session.say("second")
        session.flush()
    assert played == [("first", ""), ("second", "")]


def test_the_turns_so_far_can_be_read() -> None:
    with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        assert not session.turns
        events = list(session.run([QUESTION])) + session.say("typed") + session.flush()
        assert session.turns == tuple(event.turn for event in of(ReplyEnded, events))
        assert [turn.heard for turn in session.turns] == ["hello there", "typed"]


def test_the_parts_can_be_read_as_they_were_given() -> None:
    def reply(messages: list[dict[str, Any]]) -> str:
        return "Yes."

    pipe = pipeline(llm=reply, vad="silero")
    assert pipe.parts["llm"] is reply
    assert pipe.parts["vad"] == "silero"
    assert pipe.engines == {}
    session = VoiceSession(pipe, sample_rate=RATE, endpointing=300)
    assert session.pipeline is pipe
    with pipe:
        assert set(pipe.engines) == {"vad", "stt", "llm", "tts"}
        assert pipe.engines["llm"].info.name == "reply"
        assert pipe.engines["vad"].info.name == "silero"
    with pytest.raises(TypeError):
        session.parts["policy"] = None  # type: ignore[index]


# --- replies to nothing, and interruptions --------------------------------------------------------------------------------


def test_the_agent_can_speak_first() -> None:
    model = FakeModel(["Good morning."], ["Yes?"])
    with pipeline(llm=model) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, instructions="Be brief.")
        session.reply("Greet the user.")
        session.flush()
        session.say("hello")
        session.flush()
        assert [(turn.heard, turn.answered) for turn in session.turns] == [("", "Good morning."), ("hello", "Yes?")]
    assert [request.messages[0].text.split("\n")[0] for request in model.requests] == ["Greet the user.", "Be brief."]


def test_a_reply_can_be_interrupted_by_the_program() -> None:
    with pipeline(llm=FakeModel([STORY])) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        assert session.interrupt() == []
        session.say("count")
        session.step(silence(992))
        (ended,) = of(ReplyEnded, session.interrupt())
        assert ended.turn.interrupted
        assert ended.turn.answered == "One two three four"
        assert session.history[-1] == {"role": "assistant", "content": "One two three four"}
        assert not of(ReplyAudio, session.flush())


async def test_a_live_reply_can_be_begun_and_interrupted_by_the_program() -> None:
    source: asyncio.Queue[Any] = asyncio.Queue()
    sink: list[Any] = []

    async def frames(session: VoiceSession) -> AsyncIterator[Any]:
        yield silence(20)
        session.reply()
        yield await source.get()

    async with pipeline(llm=FakeModel([STORY])) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        async for event in session.live(frames(session), sink):
            if isinstance(event, ReplyAudio):
                await session.ainterrupt()
            elif isinstance(event, ReplyEnded):
                assert event.turn.interrupted
                source.put_nowait(silence(20))
    assert 0 < sum(map(len, sink)) < len(tone(STORY)) / 2


# --- asynchronous steps, and sources of every kind ------------------------------------------------------------------------


async def test_steps_can_be_awaited_on_a_running_loop_and_take_turns() -> None:
    async with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        pieces = [session.astep(piece) for piece in cut(QUESTION, 4_000)]
        events = [event for piece in await asyncio.gather(*pieces) for event in piece]
        events += await session.asay("and more") + await session.aflush()
    assert [event.turn.heard for event in of(ReplyEnded, events)] == ["hello there", "and more"]


async def test_steps_can_be_awaited_where_the_pipeline_has_a_loop_of_its_own() -> None:
    with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        events = await session.astep(QUESTION) + await session.aflush()
    assert of(ReplyEnded, events)


async def test_an_interrupted_step_loses_no_audio() -> None:
    asked, gate = asyncio.Event(), asyncio.Event()

    async def slowly(messages: list[dict[str, Any]]) -> str:
        asked.set()
        await gate.wait()
        return "Yes."

    async with pipeline(llm=slowly) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        step = asyncio.ensure_future(session.astep(np.concatenate([QUESTION, voice(640), silence(100)])))
        await asked.wait()
        step.cancel()
        await asyncio.wait([step])
        gate.set()
        events = await session.astep(silence(32)) + await session.aflush()
    assert [turn.heard for turn in session.turns] == ["hello there", "and then"]
    assert of(ReplyEnded, events)


SPOKEN = np.concatenate([voice(400), silence(800)])


def of_list() -> Any:
    return list(cut(SPOKEN, 480))


def of_generator() -> Any:
    return cut(SPOKEN, 480)


def of_array() -> Any:
    return SPOKEN


def of_bytes() -> Any:
    return SPOKEN.tobytes()


def of_a_recording() -> Any:
    return Recording((SPOKEN / 32768).astype(np.float32), RATE)


def of_queue() -> Any:
    frames: asyncio.Queue[Any] = asyncio.Queue()
    for frame in [*cut(SPOKEN, 480), None]:
        frames.put_nowait(frame)
    return frames


def of_plain_queue() -> Any:
    frames: queue.Queue[Any] = queue.Queue()
    for frame in [*cut(SPOKEN, 480), None]:
        frames.put(frame)
    return frames


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [of_list, of_generator, of_array, of_bytes, of_a_recording, of_queue, of_plain_queue],
    ids=lambda f: f.__name__,
)
async def test_a_live_session_reads_lists_and_queues(source: Callable[[], Any]) -> None:
    sink: list[Any] = []
    async with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        events = [event async for event in session.live(source(), sink)]
    (ended,) = of(ReplyEnded, events)
    assert ended.turn.heard == "hello there"
    assert ended.turn.answered == "One two three four five."
    assert sum(map(len, sink)) == 5 * 200 * 24


@pytest.mark.parametrize(("source", "sink"), [(3, None), (None, None), ([], 3), ([], "speaker"), ([], list)])
async def test_objects_that_are_not_a_source_or_a_sink_are_refused(source: Any, sink: Any) -> None:
    async with pipeline() as pipe:
        with pytest.raises(LibraryError, match=r"source|sink"):
            await VoiceSession(pipe, sample_rate=RATE).live(source, sink).__anext__()


# --- frames ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        np.stack([voice(20), voice(20)], axis=1),
        np.stack([voice(20), voice(20)], axis=0),
        np.stack([voice(20), voice(20)], axis=1).astype(np.float32) / np.float32(32768),
        np.stack([voice(20), voice(20)], axis=0).astype(np.float32) / np.float32(32768),
        voice(20)[:, None],
        voice(20)[None, :],
        voice(20).astype(np.float32),
        voice(20).astype(np.float64) / 32768,
        voice(20).astype(np.int32) * 65536,
        (voice(20) // 256 + 128).astype(np.uint8),
        voice(20).tolist(),
    ],
    ids=lambda frame: f"{getattr(frame, 'dtype', 'list')} {np.shape(frame)}",
)
def test_the_conversion_suggested_for_a_refused_frame_is_accepted(frame: Any) -> None:
    with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        with pytest.raises(FrameRefused) as refused:
            session.step(frame)
        suggestion = re.findall("`(.+?)`", refused.value.remedy)
        assert suggestion, refused.value.remedy
        converted = eval(suggestion[0], {"np": np, "frame": frame})
        session.step(converted)
        assert session.samples_taken == 480
        assert np.abs(converted).max() == pytest.approx(8000 if converted.dtype == np.int16 else 8000 / 32768, rel=0.03)
