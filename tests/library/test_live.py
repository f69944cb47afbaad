"""A session in real time: a virtual microphone, a virtual loudspeaker."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.library import (
    FrameRefused,
    LibraryError,
    ReplyAudio,
    ReplyEnded,
    SinkRefused,
    SpeechStarted,
    TurnEnded,
    VoiceEvent,
    VoiceSession,
)
from parley.testing.fakes import FakeModel, FakeRecognizer
from tests.library.rig import RATE, of, pipeline, silence, voice

FRAME_MS = 20


async def microphone(*parts: NDArray[np.int16]) -> AsyncIterator[NDArray[np.int16]]:
    """The parts, as they would be spoken."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    audio = np.concatenate(parts)
    for start in range(0, len(audio), RATE * FRAME_MS // 1000):
        await asyncio.sleep(due - loop.time())
        yield audio[start : start + RATE * FRAME_MS // 1000]
        due += FRAME_MS / 1000


class Loudspeaker:
    """Takes everything, and remembers when it was stopped."""

    def __init__(self) -> None:
        self.heard: list[NDArray[np.int16]] = []
        self.stops = 0

    def __call__(self, samples: NDArray[np.int16]) -> int:
        self.heard.append(samples)
        return len(samples)

    def stop(self) -> None:
        self.stops += 1

    @property
    def ms(self) -> float:
        return sum(map(len, self.heard)) / 24


async def all_of(events: AsyncIterator[VoiceEvent]) -> list[VoiceEvent]:
    return [event async for event in events]


async def test_a_spoken_question_is_answered_into_the_sink_and_the_session_ends_with_its_source() -> None:
    loudspeaker = Loudspeaker()
    async with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        events = await all_of(session.live(microphone(voice(400), silence(700)), loudspeaker))
    (ended,) = of(ReplyEnded, events)
    assert ended.turn.heard == "hello there"
    assert ended.turn.answered == "One two three four five."
    assert loudspeaker.ms == 5 * 200
    assert sum(len(event.samples) for event in of(ReplyAudio, events)) / 24 == 5 * 200


async def test_talking_over_a_reply_silences_it_and_keeps_what_was_heard() -> None:
    loudspeaker = Loudspeaker()
    story = FakeModel(["One two three four five six seven eight nine ten."], ["Yes?"])
    talk = microphone(voice(400), silence(1300), voice(500), silence(700))
    async with pipeline(llm=story) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        events = await all_of(session.live(talk, loudspeaker))
    first, second = (event.turn for event in of(ReplyEnded, events))
    assert first.interrupted
    assert 0 < len(first.answered) < len(first.written)
    assert first.written.startswith(first.answered)
    assert loudspeaker.stops == 1
    at = [index for index, event in enumerate(events) if isinstance(event, SpeechStarted | ReplyEnded)]
    assert not of(ReplyAudio, events[at[1] : at[2] + 1]), (
        "nothing is heard between the interruption and the end of the reply"
    )
    assert second.answered == "Yes?"
    assert loudspeaker.ms < 10 * 200
    assert [message.text for message in story.requests[1].messages if message.role == "assistant"] == [first.answered]


async def test_a_sink_that_takes_too_little_is_an_error_and_ends_the_session() -> None:
    tries = 0

    def half(samples: NDArray[np.int16]) -> int:
        nonlocal tries
        tries += 1
        return len(samples) // 2

    async with pipeline() as pipe:
        with pytest.raises(SinkRefused, match="took 240 of 480 samples"):
            await all_of(VoiceSession(pipe, sample_rate=RATE).live(microphone(voice(400), silence(2000)), half))
    assert tries == 1


@pytest.mark.parametrize("kind", [asyncio.Queue, queue.Queue])
async def test_a_queue_that_is_full_is_an_error(kind: type) -> None:
    async with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        with pytest.raises(SinkRefused, match="full"):
            await all_of(session.live(microphone(voice(400), silence(2000)), kind(maxsize=2)))


async def test_what_a_sink_raises_is_raised() -> None:
    async def broken(samples: NDArray[np.int16]) -> None:
        raise ConnectionResetError("the headset is gone")

    async with pipeline() as pipe:
        with pytest.raises(ConnectionResetError, match="headset"):
            await all_of(VoiceSession(pipe, sample_rate=RATE).live(microphone(voice(400), silence(2000)), broken))


async def test_what_a_sinks_stop_raises_is_raised() -> None:
    class Broken(Loudspeaker):
        def stop(self) -> None:
            raise ConnectionResetError("the headset is gone")

    story = FakeModel(["One two three four five six seven eight nine ten."], ["Yes?"])
    talk = microphone(voice(400), silence(1300), voice(500), silence(700))
    async with pipeline(llm=story) as pipe:
        with pytest.raises(ConnectionResetError, match="headset"):
            await all_of(VoiceSession(pipe, sample_rate=RATE).live(talk, Broken()))


async def test_a_sink_whose_stop_is_asynchronous_is_refused() -> None:
    class Later(Loudspeaker):
        async def stop(self) -> None:  # type: ignore[override]
            """Never awaited."""

    async with pipeline() as pipe:
        with pytest.raises(LibraryError, match=r"sink\.stop=.* is asynchronous"):
            await all_of(VoiceSession(pipe, sample_rate=RATE).live(microphone(voice(400)), Later()))


async def test_what_a_source_raises_is_raised_and_bad_frames_are_refused() -> None:
    async def unplugged() -> AsyncIterator[bytes]:
        yield bytes(960)
        raise OSError("no such device")

    async def odd() -> AsyncIterator[bytes]:
        yield bytes(961)

    async with pipeline() as pipe:
        with pytest.raises(OSError, match="no such device"):
            await all_of(VoiceSession(pipe, sample_rate=RATE).live(unplugged()))
        with pytest.raises(FrameRefused, match="961 bytes"):
            await all_of(VoiceSession(pipe, sample_rate=RATE).live(odd()))


async def test_hanging_up_lets_everything_go() -> None:
    recognizer = FakeRecognizer("hello")
    async with pipeline(stt=recognizer) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        async with aclosing(session.live(microphone(voice(5000)))) as events:
            async for event in events:
                if isinstance(event, SpeechStarted):
                    break
        assert recognizer.streams[0].closed
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_words_can_be_typed_into_a_live_session() -> None:
    over = asyncio.Event()

    async def quiet(session: VoiceSession) -> AsyncIterator[NDArray[np.int16]]:
        yield silence(40)
        session.say("are you there?")
        await over.wait()

    async with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        async for event in session.live(quiet(session), lambda samples: None):
            if isinstance(event, ReplyEnded):
                assert event.turn.heard == "are you there?"
                assert event.turn.answered == "One two three four five."
                over.set()
    assert over.is_set()


async def test_a_live_pipeline_is_not_stepped_and_a_stepped_one_is_not_live() -> None:
    async with pipeline() as pipe:
        with pytest.raises(LibraryError, match="open on an event loop"):
            VoiceSession(pipe, sample_rate=RATE).step(silence(20))
    with pipeline() as pipe, pytest.raises(LibraryError, match="another event loop"):
        await all_of(VoiceSession(pipe, sample_rate=RATE).live(microphone(silence(20))))


async def test_two_live_sessions_talk_at_once_on_one_pipeline() -> None:
    async with pipeline(stt=FakeRecognizer("me", "me")) as pipe:
        one, two = (
            VoiceSession(pipe, sample_rate=RATE).live(microphone(voice(400), silence(700)), lambda samples: None)
            for _ in range(2)
        )
        results = await asyncio.gather(all_of(one), all_of(two))
    for events in results:
        assert [event.turn.heard for event in of(TurnEnded, events)] == ["me"]
        assert len(of(ReplyEnded, events)) == 1
