"""What `parley bench` takes for speech in a recording."""

from __future__ import annotations

import json
import wave
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.frames import Frame
from websockets.streams import StreamReader

from parley.load.recording import UnusableRecording, cut_track, find_speech, load_recording
from tests.client.voices import silence, voice, write_wav


def test_the_voice_is_found_between_quiet_edges() -> None:
    found = find_speech(np.concatenate((silence(300), voice(700), silence(500))))
    assert abs(found.onset_sample - 24 * 300) <= 240
    assert abs(found.end_sample - 24 * 1000) <= 240
    assert found.longest_pause_ms == 0


def test_a_pause_inside_the_speech_is_measured_and_does_not_end_it() -> None:
    found = find_speech(np.concatenate((silence(100), voice(400), silence(600), voice(400), silence(200))))
    assert abs(found.end_sample - 24 * 1500) <= 240
    assert abs(found.longest_pause_ms - 600) <= 20


def test_room_noise_is_not_speech() -> None:
    room = np.random.default_rng(1).normal(0, 60, 24 * 2000)
    room[24 * 500 : 24 * 1200] += voice(700)
    found = find_speech(room.astype(np.int16))
    assert abs(found.onset_sample - 24 * 500) <= 240
    assert abs(found.end_sample - 24 * 1200) <= 240


def test_a_click_after_the_speech_does_not_move_its_end() -> None:
    click = silence(400)
    click[4800:5040] = 20_000
    found = find_speech(np.concatenate((silence(200), voice(500), click)))
    assert abs(found.end_sample - 24 * 700) <= 240


def test_a_silent_recording_is_refused() -> None:
    with pytest.raises(UnusableRecording, match="no speech"):
        find_speech(silence(1000))


def test_any_rate_and_stereo_are_brought_to_24_khz(tmp_path: Path) -> None:
    mono = np.concatenate((silence(400), voice(600), silence(400)))
    stereo = np.repeat(np.repeat(mono, 2), 2)  # 48 kHz by doubling, then both channels
    path = tmp_path / "stereo.wav"
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(2)
        wav.setsampwidth(2)
        wav.setframerate(48_000)
        wav.writeframes(stereo.tobytes())
    found = load_recording(path)
    assert len(found.pcm) == len(mono)
    assert abs(found.end_sample - 24_000) <= 240


def test_a_file_that_is_not_wav_is_refused_with_the_formats_that_are(tmp_path: Path) -> None:
    path = tmp_path / "speech.mp3"
    path.write_bytes(b"ID3 and so on")
    with pytest.raises(UnusableRecording, match="16-bit PCM WAV"):
        load_recording(path)


def test_the_end_of_recorded_speech_is_where_a_listener_hears_it(
    speech: Callable[[str], tuple[NDArray[np.int16], int]],
) -> None:
    pcm, _ = speech("weather_question")
    found = find_speech(pcm)
    assert 1.6 < found.end_sample / 24_000 < 1.85
    assert found.longest_pause_ms < 200


def unmasked(frame: bytes) -> bytes:
    """What a server makes of a frame on the wire."""
    reader = StreamReader()
    reader.feed_data(frame)
    parse = Frame.parse(reader.read_exact, mask=True)
    try:
        next(parse)
    except StopIteration as done:
        result: Frame = done.value
        return bytes(result.data)
    raise AssertionError("the frame is not whole")


def test_the_chunks_on_the_wire_are_the_recording_in_order(tmp_path: Path) -> None:
    pcm = np.concatenate((silence(110), voice(333), silence(57)))
    track = cut_track(load_recording(write_wav(tmp_path / "speech.wav", pcm)), 20)
    events = [json.loads(unmasked(frame)) for frame in track.frames]
    assert {event["type"] for event in events} == {"input_audio_buffer.append"}
    sent = b"".join(b64decode(event["audio"]) for event in events)
    assert len(sent) == 25 * 960
    assert sent[: len(pcm) * 2] == pcm.tobytes()
    assert b64decode(json.loads(unmasked(track.silence))["audio"]) == bytes(960)


def test_a_chunk_leaves_when_its_last_sample_was_recorded(tmp_path: Path) -> None:
    pcm = np.concatenate(
        (silence(110), voice(340), silence(150))
    )  # the voice ends at 450 ms, inside the chunk 440..460
    track = cut_track(load_recording(write_wav(tmp_path / "speech.wav", pcm)), 20)
    assert track.end_frame == 22
    assert track.end_lead_s == pytest.approx(0.010, abs=0.0101)
    assert track.onset_frame == 5
    assert track.onset_lead_s == pytest.approx(0.010, abs=0.0101)
