"""A recorded call: four tracks in their places, transcripts, subtitles, and what happens when it cannot go on."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import tracemalloc
import wave
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.interpret.ports import CallNote, CaptionLine
from parley.interpret.recording import CallRecording, RecordingRefused
from parley.interpret.updates import DirectionName

RATE = 24_000
BEGAN_S = 1000.0
PIECE = RATE // 50


def tracks(path: Path) -> NDArray[np.int16]:
    """The frames `[n, 4]` of a recording."""
    with wave.open(str(path)) as wav:
        assert (wav.getnchannels(), wav.getframerate(), wav.getsampwidth()) == (4, RATE, 2)
        frames = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2")
    return frames.reshape(-1, 4)


def speak(
    call: CallRecording,
    kind: Literal["captured", "played"],
    name: DirectionName,
    begin_s: float,
    end_s: float,
    rate: int = RATE,
) -> None:
    """A loud tone from `begin_s` to `end_s` of the call, in pieces of 20 ms that come with jitter."""
    piece = rate // 50
    tone = np.round(9000 * np.sin(2 * np.pi * 300 * np.arange(piece) / rate)).astype(np.int16)
    for number in range(round((end_s - begin_s) * 50)):
        at_s = BEGAN_S + begin_s + number / 50 + (0.02 if number % 3 else 0.0)
        if kind == "captured":
            call.captured(name, tone, at_s + 0.02)
        else:
            call.played(name, tone, rate, at_s)


def span(track: NDArray[np.int16]) -> tuple[float, float]:
    """When the sound of a track begins and ends, in seconds."""
    loud = np.flatnonzero(np.abs(track) > 1000)
    return loud[0] / RATE, loud[-1] / RATE


def line(text: str, at_s: float, until_s: float, *marks: str) -> CaptionLine:
    return CaptionLine(text, "", BEGAN_S + at_s, BEGAN_S + until_s, marks)


def test_each_voice_is_on_its_track_at_its_time(tmp_path: Path) -> None:
    call = CallRecording(tmp_path / "call", BEGAN_S)
    speak(call, "captured", "forward", 1.0, 2.0)
    speak(call, "played", "forward", 2.5, 3.5, rate=48_000)
    speak(call, "captured", "reverse", 4.0, 5.0)
    speak(call, "played", "reverse", 5.5, 6.0, rate=44_100)
    speak(call, "played", "reverse", 6.0, 6.5, rate=16_000)
    call.finish()
    frames = tracks(tmp_path / "call/audio.wav")
    for number, (begin_s, end_s) in enumerate(((1.0, 2.0), (2.5, 3.5), (4.0, 5.0), (5.5, 6.5))):
        assert span(frames[:, number]) == pytest.approx((begin_s, end_s), abs=0.045)
    assert len(frames) / RATE == pytest.approx(6.5, abs=0.05)
    assert not call.failed


def test_the_end_of_a_sound_stands_at_its_end_and_not_at_the_beginning_of_the_next(tmp_path: Path) -> None:
    call = CallRecording(tmp_path / "call", BEGAN_S)
    for begin_s in (0.0, 5.0):
        call.played("reverse", np.full(4800, 9000, dtype=np.int16), 48_000, BEGAN_S + begin_s)
    call.finish()
    loud = np.flatnonzero(tracks(tmp_path / "call/audio.wav")[:, 3] > 4000) / RATE
    assert loud[loud < 4].max() == pytest.approx(0.1, abs=0.002)
    assert loud[loud > 4].min() == pytest.approx(5.0, abs=0.002)
    assert loud.max() == pytest.approx(5.1, abs=0.002)


def test_a_call_that_only_listens_has_silent_tracks_for_the_other_direction(tmp_path: Path) -> None:
    call = CallRecording(tmp_path / "call", BEGAN_S)
    speak(call, "captured", "reverse", 0.0, 4.0)
    call.finish()
    frames = tracks(tmp_path / "call/audio.wav")
    assert np.abs(frames[:, 2]).max() > 8000
    assert not frames[:, [0, 1, 3]].any()


def test_a_device_whose_clock_is_fast_or_slow_stays_in_its_place(tmp_path: Path) -> None:
    call = CallRecording(tmp_path / "call", BEGAN_S)
    length_s = 100.0
    word, pause = np.full(PIECE, 9000, dtype=np.int16), np.zeros(PIECE, dtype=np.int16)
    for name, speed in (("forward", 1.005), ("reverse", 0.995)):
        for number in range(round(length_s * speed * 50)):
            audio = word if number / 50 / speed % 2 < 1 else pause
            call.captured(name, audio, BEGAN_S + (number + 1) / 50 / speed)  # type: ignore[arg-type]
    call.finish()
    frames = tracks(tmp_path / "call/audio.wav")
    for number in (0, 2):
        starts = np.flatnonzero(np.diff((frames[:, number] > 4000).astype(int)) == 1) / RATE
        off = [abs((start + 1) % 2 - 1) for start in starts if start > 1]
        assert max(off) < 0.2, "0.5 % of 100 s would be half a second"


def test_transcript_and_subtitles_hold_both_directions(tmp_path: Path) -> None:
    folder = tmp_path / "call"
    call = CallRecording(folder, BEGAN_S)
    call.line("forward", "source", line("Hola, ¿qué tal?", 1.0, 2.0))
    call.line("reverse", "source", line("Fine, 15 of us.", 4.0, 5.0))
    call.line("reverse", "target", line("Bien, 50.", 6.0, 7.0, "15"))
    call.line("forward", "target", line("Hello, how are you?", 2.5, 2.5))
    call.line("forward", "target", line("  ", 8.0, 8.0))
    call.note(CallNote(1, "warning", "The microphone is lost.", BEGAN_S + 3, "forward"))
    call.finish()
    assert (folder / "transcript.txt").read_text(encoding="utf-8").splitlines() == [
        "00:00:01 I said: Hola, ¿qué tal?",
        "00:00:02 they heard: Hello, how are you?",
        "00:00:03 (warning: The microphone is lost.)",
        "00:00:04 they said: Fine, 15 of us.",
        "00:00:06 I heard: Bien, 50. [15]",
    ]
    document = json.loads((folder / "transcript.json").read_text(encoding="utf-8"))
    assert document["lines"][1] == {
        "direction": "forward", "side": "target", "at_ms": 2500, "until_ms": 2500, "text": "Hello, how are you?"
    }  # fmt: skip
    assert document["lines"][4]["marks"] == ["15"]
    assert (folder / "to-them.source.srt").read_text(encoding="utf-8") == (
        "1\n00:00:01,000 --> 00:00:02,882\nHola, ¿qué tal?\n\n"
    )
    assert "Hello, how are you?" in (folder / "to-them.srt").read_text(encoding="utf-8")
    assert "Fine, 15 of us." in (folder / "to-me.source.srt").read_text(encoding="utf-8")
    vtt = (folder / "to-me.vtt").read_text(encoding="utf-8")
    assert vtt.startswith("WEBVTT\n\n00:00:06.000 --> ")
    assert "Bien, 50." in vtt
    assert not list(folder.glob("*.new"))


def test_a_subtitle_stays_until_it_can_be_read_but_not_over_the_next_one(tmp_path: Path) -> None:
    call = CallRecording(tmp_path / "call", BEGAN_S)
    for number in range(4):
        call.line(
            "reverse", "target", line("Seventeen letters and more than that.", 10 + 1.5 * number, 10 + 1.5 * number)
        )
    call.finish()
    times = [each.split(" --> ") for each in (tmp_path / "call/to-me.vtt").read_text().splitlines() if " --> " in each]
    assert [begin for begin, _ in times] == ["00:00:10.000", "00:00:11.500", "00:00:13.000", "00:00:14.500"]
    assert [end for _, end in times] == ["00:00:11.500", "00:00:13.000", "00:00:14.500", "00:00:17.676"]


def test_only_the_owner_may_read_a_recording(tmp_path: Path) -> None:
    call = CallRecording(tmp_path / "new/call", BEGAN_S)
    call.line("forward", "source", line("secret", 0, 1))
    call.finish()
    folder = tmp_path / "new/call"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert len(list(folder.iterdir())) == 3 + 8


def test_a_folder_that_holds_a_recording_is_left_alone(tmp_path: Path) -> None:
    first = CallRecording(tmp_path, BEGAN_S)
    speak(first, "captured", "forward", 0.0, 1.0)
    first.finish()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(RecordingRefused, match=f"{tmp_path} holds a recording already .* Choose another folder"):
        CallRecording(tmp_path, BEGAN_S)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_file_in_place_of_the_folder_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "call").write_text("a note")
    with pytest.raises(RecordingRefused, match=f"{tmp_path}/call cannot take a recording: .*Choose a folder"):
        CallRecording(tmp_path / "call", BEGAN_S)


def test_a_long_call_takes_no_more_memory_and_goes_on_in_another_file(tmp_path: Path) -> None:
    most_bytes = 40 * RATE * 8
    call = CallRecording(tmp_path / "call", BEGAN_S, most_bytes)
    second = np.full(RATE, 500, dtype=np.int16)
    tracemalloc.start()
    try:
        for number in range(100):
            call.captured("forward", second, BEGAN_S + number + 1)
            call.captured("reverse", second, BEGAN_S + number + 1)
            call.played("forward", second, RATE, BEGAN_S + number)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
    call.finish()
    parts = [tracks(tmp_path / "call" / name) for name in ("audio.wav", "audio-2.wav", "audio-3.wav")]
    assert [len(part) for part in parts] == [40 * RATE, 40 * RATE, 20 * RATE]
    assert (np.concatenate(parts)[:, [0, 1, 2]] == 500).all()


def test_an_hour_of_silence_on_all_devices_takes_little_memory(tmp_path: Path) -> None:
    call = CallRecording(tmp_path / "call", BEGAN_S)
    speak(call, "captured", "forward", 0.0, 0.5)
    tracemalloc.start()
    try:
        speak(call, "captured", "forward", 200.0, 201.0)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    call.finish()
    assert len(tracks(tmp_path / "call/audio.wav")) / RATE == pytest.approx(201, abs=0.1)


def in_a_process(body: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `body` in another interpreter, with `call`, a recording in `folder`, at hand."""
    head = f"""
        import numpy as np, os, resource, signal
        from pathlib import Path
        from parley.interpret.ports import CaptionLine
        from parley.interpret.recording import CallRecording
        second = np.full(24_000, 500, dtype=np.int16)
        call = CallRecording(Path({str(folder)!r}), 1000.0)
    """
    script = textwrap.dedent(head) + textwrap.dedent(body)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


def test_a_killed_process_leaves_a_recording_that_can_be_played_and_read(tmp_path: Path) -> None:
    done = in_a_process(
        """
        for number in range(20):
            call.captured("forward", second, 1000.0 + number + 1)
            call.line("forward", "source", CaptionLine(f"Sentence {number}.", "", 1000.0 + number, 1001.0 + number))
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    frames = tracks(tmp_path / "audio.wav")
    assert len(frames) / RATE > 17
    assert (frames[:, 0] == 500).all()
    assert [each["text"] for each in json.loads((tmp_path / "transcript.json").read_text())["lines"]] == [
        f"Sentence {number}." for number in range(20)
    ]
    assert len((tmp_path / "transcript.txt").read_text().splitlines()) == 20
    assert "Sentence 18." in (tmp_path / "to-them.source.srt").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_full_disk_ends_the_recording_and_not_the_call(tmp_path: Path) -> None:
    done = in_a_process(
        """
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
        for number in range(20):
            call.captured("forward", second, 1000.0 + number + 1)
            call.line("forward", "source", CaptionLine(f"Sentence {number}.", "", 1000.0 + number, 1001.0 + number))
        print(call.failed)
        call.finish()
        call.finish()
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert done.stdout.startswith(f"The recording in {tmp_path} ended: ")
    assert len(tracks(tmp_path / "audio.wav")) > 2 * RATE
    assert json.loads((tmp_path / "transcript.json").read_text())["lines"][0]["text"] == "Sentence 0."


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_transcript_that_cannot_grow_stays_readable(tmp_path: Path) -> None:
    done = in_a_process(
        """
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, resource.RLIM_INFINITY))
        for number in range(200):
            call.line("forward", "source", CaptionLine(f"Sentence {number}.", "", 1000.0 + number, 1001.0 + number))
        print(call.failed)
        call.finish()
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "ended" in done.stdout
    rows = json.loads((tmp_path / "transcript.json").read_text())["lines"]
    assert len(rows) > 10
    assert rows[-1]["text"] == f"Sentence {len(rows) - 1}."


def test_a_call_that_is_quit_at_once_leaves_a_whole_empty_recording(tmp_path: Path) -> None:
    call = CallRecording(tmp_path / "call", BEGAN_S)
    call.finish()
    call.finish()
    call.captured("forward", np.ones(PIECE, dtype=np.int16), BEGAN_S + 1)
    call.note(CallNote(1, "note", "late", BEGAN_S))
    assert tracks(tmp_path / "call/audio.wav").shape == (0, 4)
    assert json.loads((tmp_path / "call/transcript.json").read_text())["lines"] == []
    assert os.path.getsize(tmp_path / "call/transcript.txt") == 0
