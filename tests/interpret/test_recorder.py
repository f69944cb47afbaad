"""A recording on a disk that is slow, or that breaks in another way than disks do."""

from __future__ import annotations

import json
import threading
import time
import wave
from pathlib import Path

import numpy as np

from parley.audio.types import Int16
from parley.interpret import recorder
from parley.interpret.ports import WIRE_RATE, CallNote, CaptionLine
from parley.interpret.recorder import MOST_WAITING, CallRecorder
from parley.interpret.recording import CallRecording
from parley.interpret.updates import DirectionName

BEGAN_S = 1000.0
PIECE = WIRE_RATE // 100


class SlowDisk(CallRecording):
    """Writes nothing until `ready`."""

    ready: threading.Event

    def captured(self, name: DirectionName, audio: Int16, at_s: float) -> None:
        self.ready.wait(20)
        super().captured(name, audio, at_s)


class BrokenDisk(CallRecording):
    def line(self, *_: object) -> None:
        raise ZeroDivisionError("no such track")


def slow(folder: Path) -> tuple[CallRecorder, threading.Event]:
    disk = SlowDisk(folder, BEGAN_S)
    disk.ready = threading.Event()
    return CallRecorder(disk), disk.ready


def speak(call: CallRecorder, pieces: int) -> None:
    for number in range(pieces):
        call.captured("forward", np.full(PIECE, 1_000, np.int16), BEGAN_S + (number + 1) / 100)


def first_track(folder: Path) -> Int16:
    with wave.open(str(folder / "audio.wav"), "rb") as file:
        whole = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 4)
    return whole[:, 0].astype(np.int16)


def test_a_slow_disk_holds_up_nobody_and_all_is_written_later(tmp_path: Path) -> None:
    call, ready = slow(tmp_path)
    began_s = time.monotonic()
    speak(call, 500)
    call.line("forward", "source", CaptionLine("Good morning.", "", BEGAN_S + 1, BEGAN_S + 2))
    assert time.monotonic() - began_s < 5
    ready.set()
    call.finish()
    assert (call.failed, call.left_out_s) == ("", 0.0)
    assert np.count_nonzero(first_track(tmp_path) == 1_000) == 500 * PIECE


def test_what_a_disk_cannot_take_is_left_out_and_counted_and_no_text_is(tmp_path: Path) -> None:
    call, ready = slow(tmp_path)
    speak(call, MOST_WAITING + 300)
    call.line("forward", "source", CaptionLine("Good morning.", "", BEGAN_S + 1, BEGAN_S + 2))
    call.note(CallNote(1, "note", "Ask them.", BEGAN_S))
    assert 2.9 < call.left_out_s <= 3.0
    ready.set()
    call.finish()
    assert call.failed == ""
    kept = np.count_nonzero(first_track(tmp_path) == 1_000) / WIRE_RATE
    assert abs(kept - MOST_WAITING / 100) < 0.1
    lines = json.loads((tmp_path / "transcript.json").read_text())["lines"]
    assert [row.get("text") or row["note"] for row in lines] == ["Ask them.", "Good morning."]


def test_a_fault_ends_the_recording_and_says_why(tmp_path: Path) -> None:
    call = CallRecorder(BrokenDisk(tmp_path, BEGAN_S))
    call.line("forward", "source", CaptionLine("Good morning.", "", BEGAN_S + 1, BEGAN_S + 2))
    call.finish()
    assert call.failed == "A fault ended the recording: ZeroDivisionError: no such track."


def test_a_disk_that_stands_still_does_not_keep_the_call_from_ending(tmp_path: Path) -> None:
    call, ready = slow(tmp_path)
    waited_s, recorder.LAST_WRITES_S = recorder.LAST_WRITES_S, 0.2  # type: ignore[misc]
    try:
        speak(call, 10)
        began_s = time.monotonic()
        call.finish()
        assert time.monotonic() - began_s < 5
        assert "has not taken the end" in call.failed
    finally:
        recorder.LAST_WRITES_S = waited_s  # type: ignore[misc]
        ready.set()
    for thread in threading.enumerate():
        if thread.name == "parley-recording":
            thread.join(20)
    assert len(first_track(tmp_path)) == 10 * PIECE, "all is written once the disk goes on"
