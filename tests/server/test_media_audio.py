"""The audio of links that carry it as media: what comes in, what goes out, and how much of it was speech."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.audio import g711, pcm
from parley.core.words.effects import Play
from parley.core.words.ids import ResponseId
from parley.core.words.settings import AudioFormat
from parley.server.links.media_format import NATIVE_FORMATS, MediaFormat
from parley.server.links.media_input import MediaInput
from parley.server.links.output_queue import OutputQueue

ONE = ResponseId("resp_1")


def played(audio: bytes, format: AudioFormat = AudioFormat.PCM16, response: ResponseId = ONE) -> Play:
    return Play(response, audio, format)


@given(
    pieces=st.lists(st.integers(0, 50), max_size=8),
    takes=st.lists(st.integers(1, 60), min_size=1, max_size=20),
)
def test_what_is_taken_is_what_was_played_and_then_silence(pieces: list[int], takes: list[int]) -> None:
    queue = OutputQueue()
    audio = np.arange(1, sum(pieces) + 1, dtype=np.int16)
    at = 0
    for size in pieces:
        queue.play(played(pcm.to_bytes(audio[at : at + size])))
        at += size
    assert len(queue) == len(audio)
    taken, speech = b"", 0
    for samples in takes:
        piece, of_it = queue.take(samples)
        assert len(piece) == 2 * samples
        taken += piece
        speech += of_it
    assert speech == min(len(audio), sum(takes))
    assert len(queue) == len(audio) - speech
    assert taken == pcm.to_bytes(audio)[: 2 * speech] + bytes(2 * (sum(takes) - speech))


def test_a_queue_that_is_stopped_has_only_silence() -> None:
    queue = OutputQueue()
    queue.play(played(b"\1\0" * 100))
    queue.take(30)
    queue.stop()
    assert len(queue) == 0
    assert queue.take(10) == (bytes(20), 0)


@pytest.mark.parametrize("form", [AudioFormat.PCMU, AudioFormat.PCMA])
def test_telephone_audio_comes_out_at_24_khz_and_as_long_as_it_was(form: AudioFormat) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(8_000) / 8_000).astype(np.float32) * 0.5
    encode = g711.encode_mulaw if form is AudioFormat.PCMU else g711.encode_alaw
    codes = encode(pcm.to_int16(tone)).tobytes()
    queue = OutputQueue()
    for at in range(0, len(codes), 137):
        queue.play(played(codes[at : at + 137], form))
    assert len(queue) == 24_000
    audio, speech = queue.take(24_000)
    assert speech == 24_000
    heard = pcm.to_float(audio)
    wanted = np.sin(2 * np.pi * 440 * (np.arange(24_000) - 48) / 24_000) * 0.5
    best = max(
        float(np.corrcoef(heard[1_000:20_000], np.roll(wanted, shift)[1_000:20_000])[0, 1]) for shift in range(-60, 60)
    )
    assert best > 0.99


def test_a_response_after_another_begins_its_own_telephone_audio() -> None:
    queue = OutputQueue()
    queue.play(played(b"\x00" * 80, AudioFormat.PCMU))
    queue.play(played(b"\xff" * 80, AudioFormat.PCMU, ResponseId("resp_2")))
    assert len(queue) == 480
    audio, _ = queue.take(480)
    assert not np.any(pcm.as_int16(audio)[240:]), "nothing of the first rings on in the second"


@dataclass
class Ear:
    """A session that takes what it hears."""

    input_format: AudioFormat = AudioFormat.PCM16
    heard: bytes = field(default=b"")

    def hear(self, audio: bytes) -> None:
        self.heard += audio


def test_media_goes_in_as_it_is_where_the_session_takes_pcm() -> None:
    ear = Ear()
    MediaInput(ear).hear(b"\1\2\3\4")
    assert ear.heard == b"\1\2\3\4"


def test_media_goes_in_as_g711_where_the_client_has_set_that() -> None:
    ear = Ear(AudioFormat.PCMU)
    media = MediaInput(ear)
    tone = pcm.to_bytes((np.sin(2 * np.pi * 300 * np.arange(24_000) / 24_000) * 0.5).astype(np.float32))
    for at in range(0, len(tone), 960):
        media.hear(tone[at : at + 960])
    assert 7_900 <= len(ear.heard) <= 8_000
    heard = pcm.to_float(g711.decode_mulaw(np.frombuffer(ear.heard, np.uint8)))
    assert 0.3 < float(np.sqrt(np.mean(heard[800:] ** 2))) < 0.4
    ear.input_format = AudioFormat.PCM16
    media.hear(b"\5\6")
    assert ear.heard[-2:] == b"\5\6"


@pytest.mark.parametrize(("form", "silent"), [(AudioFormat.PCMU, 0xFF), (AudioFormat.PCMA, 0xD5)])
def test_a_queue_of_telephone_audio_keeps_its_own_as_it_is_and_makes_it_of_others(
    form: AudioFormat, silent: int
) -> None:
    queue = OutputQueue(form)
    queue.play(played(bytes(range(160)), form))
    assert len(queue) == 480
    assert queue.take(480) == (bytes(range(160)), 480)
    tone = np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000).astype(np.float32) * 0.5
    for at in range(0, len(tone), 1_000):
        queue.play(played(pcm.to_bytes(tone[at : at + 1_000])))
    assert len(queue) == 24_000
    audio, speech = queue.take(24_600)
    assert (len(audio), speech) == (8_200, 24_000)
    assert set(audio[8_000:]) == {silent}
    heard = NATIVE_FORMATS[form].decode(audio[1_000:7_000])
    assert float(np.sqrt(np.mean(heard**2))) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_a_sample_may_be_split_anywhere(sizes: list[int]) -> None:
    audio = bytes(range(240))
    ear, at = Ear(), 0
    media = MediaInput(ear)
    for size in [*sizes, 240]:
        media.hear(audio[at : at + size])
        at += size
    assert ear.heard == audio
    assert len(ear.heard) % 2 == 0


def test_numbers_that_are_none_do_not_stay_in_the_filter() -> None:
    ear = Ear()
    media = MediaInput(ear, MediaFormat("float32", 48_000))
    media.hear(np.array([np.nan, np.inf, -np.inf, 1e30] * 480, "<f4").tobytes())
    media.hear(np.zeros(4_800, "<f4").tobytes())
    heard = pcm.as_int16(ear.heard)
    assert len(heard) == pytest.approx((1_920 + 4_800) / 2, abs=72)
    assert not np.any(heard[-2_000:])
