"""Where the server holds the playback: what is queued, what goes out, and what a barge-in leaves of it."""

from __future__ import annotations

from parley.core.words.effects import Play
from parley.core.words.events import AudioPlayed
from parley.core.words.items import Message, OutputAudio
from parley.core.words.notices import (
    ItemTruncated,
    OutputAudioDelta,
    OutputBufferCleared,
    OutputBufferStarted,
    ResponseDone,
)
from parley.runtime.driver import Driver
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, Hold
from tests.runtime.rig import Rig, pipeline, settled


class _Loudspeaker:
    """Plays when the test says so, never by itself."""

    def __init__(self) -> None:
        self.queued = bytearray()
        self.stopped = 0
        self.driver: Driver

    def play(self, effect: Play) -> None:
        self.queued += effect.audio

    def stop(self) -> None:
        self.queued.clear()
        self.stopped += 1

    def go_on(self, ms: int) -> None:
        """So much goes out to the listener."""
        del self.queued[: ms * 48]
        self.driver.post(AudioPlayed(ms * 24))


async def test_a_barge_in_silences_the_loudspeaker_and_keeps_the_words_that_went_out() -> None:
    loudspeaker = _Loudspeaker()
    llm = FakeModel(["One two three four five. And so", Hold()], ["Yes?"])
    rig = Rig(
        pipeline(llm=llm, stt=FakeRecognizer("wait"), tts=FakeSynthesizer(word_ms=200)),
        playback="paced",
        loudspeaker=loudspeaker,
    )
    loudspeaker.driver = rig.driver
    rig.say("count")
    await settled(lambda: len(loudspeaker.queued) == 5 * 200 * 48)
    assert not rig.client.all(OutputAudioDelta), "the audio goes to the loudspeaker, not to the client"
    loudspeaker.go_on(450)
    rig.speak()
    await rig.client.heard(ResponseDone)
    assert loudspeaker.stopped == 1
    assert not loudspeaker.queued
    assert rig.client.all(OutputBufferStarted)
    assert rig.client.all(OutputBufferCleared)
    assert rig.client.all(ItemTruncated)[0].audio_end_ms == 450
    said = rig.client.all(ResponseDone)[0].response.output[0]
    assert isinstance(said, Message)
    heard = said.content[0]
    assert isinstance(heard, OutputAudio)
    assert heard.transcript == "One two"
    await rig.client.until(lambda: len(llm.requests) == 2)
    assert [message.text for message in llm.requests[1].messages if message.role == "assistant"] == ["One two"]
    await rig.over()


async def test_a_driver_without_a_loudspeaker_cannot_hold_the_playback() -> None:
    rig = Rig(pipeline(llm=FakeModel(["Hello."])), playback="paced")
    rig.say("hi")
    await rig.client.until(lambda: rig.client.closed is not None)
    assert rig.client.closed == "internal_error"
