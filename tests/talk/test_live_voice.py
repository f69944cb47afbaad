"""`parley voice convert --live` on virtual sound devices: what goes into the microphone comes out of the loudspeaker, in another voice.

In real time: `make test-calls` runs it alone.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.talk.virtual_room import RATE, Room, virtual_room

pytestmark = pytest.mark.slow

START_S = 60
TOLERANCE_MS = 30
PITCH_HZ = 110.0
SAID = [(0.0, 0.5), (0.8, 1.0), (1.4, 2.1), (2.3, 2.4), (2.9, 3.3)]
"""From when to when there is sound: nowhere else does the pattern fit."""


def said(path: Path) -> Path:
    """A buzz of the pitch of a man's voice, like no noise, in bursts."""
    at_s = np.arange(round(3.4 * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * PITCH_HZ * count * at_s) / count for count in range(1, 25))
    loud = np.zeros(len(at_s))
    for begin, end in SAID:
        loud = np.maximum(loud, np.clip(np.minimum(at_s - begin, end - at_s) / 0.01, 0.0, 1.0))
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE)
        wav.writeframes((8_000 * loud * buzz).astype("<i2").tobytes())
    return path


class Converting:
    """The command in a process; its figures as they come."""

    def __init__(self, room: Room, folder: Path, *flags: str) -> None:
        environment = {name: value for name, value in room.environment.items() if not name.startswith("PARLEY_")}
        command = [sys.executable, "-c", "from parley.cli.main import main; main()", "voice", "convert", "--live"]
        self.process = subprocess.Popen(
            [*command, "--json", *flags],
            env=environment,
            cwd=folder,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.figures: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(
                target=self._read, args=(self.process.stdout, lambda text: self.figures.append(json.loads(text)))
            ),
            threading.Thread(target=self._read, args=(self.process.stderr, self.notes.append)),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: Any, take: Callable[[str], None]) -> None:
        for text in stream:
            with self._changed:
                take(text)
                self._changed.notify_all()

    def wait_for(self, seen: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(seen, START_S), f"{self.notes} {self.figures[-3:]}"

    def noted(self, part: str) -> bool:
        return any(part in note for note in self.notes)

    def leave(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=5)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@contextmanager
def converting(room: Room, folder: Path, *flags: str) -> Iterator[Converting]:
    live = Converting(room, folder, *flags)
    try:
        live.wait_for(lambda: len(live.figures) >= 3)
        yield live
    finally:
        live.end()


def test_the_microphone_comes_out_of_the_loudspeaker_in_another_pitch_at_the_delay_that_is_shown(
    tmp_path: Path,
) -> None:
    with virtual_room(tmp_path) as room, converting(room, tmp_path, "--to", "high") as live:
        with room.tapped() as (microphone, loudspeaker):
            begun = len(live.figures)
            room.play(said(tmp_path / "said.wav"))
            played = len(live.figures)
            live.wait_for(lambda: len(live.figures) > played + 1)
        assert live.leave() == 0
    (into_s, into), (out_s, out) = microphone.sound(), loudspeaker.sound()
    assert pitch(into) == pytest.approx(PITCH_HZ, rel=0.03)
    # `high` is a voice of 205 Hz; the speaker's own pitch is learnt while he speaks.
    assert pitch(out) == pytest.approx(205, rel=0.12)
    measured_ms = 1000 * (out_s - into_s) + delay_ms(into, out)
    # The delay follows the clocks of the devices: what is shown meanwhile says from where to where.
    delays = [figures["delay_ms"] for figures in live.figures[begun:]]
    assert min(delays) - TOLERANCE_MS <= measured_ms <= max(delays) + TOLERANCE_MS, delays
    assert 60 < measured_ms < 400
    shown = live.figures[-1]
    assert shown["conversion_ms"] >= 50
    assert shown["rtf_p50"] < 1


def pitch(audio: NDArray[np.int16]) -> float:
    """Of the loud parts: where the autocorrelation has its first high peak."""
    sound = audio[np.convolve(np.abs(audio.astype(np.float64)), np.ones(960) / 960, "same") > 300].astype(np.float64)
    assert len(sound) > RATE / 2, "nothing is heard"
    spectrum = np.abs(np.fft.rfft(sound, 1 << 18)) ** 2
    same = np.fft.irfft(spectrum)
    least, most = RATE // 400, RATE // 70
    peaks = same[least:most]
    first = int(np.flatnonzero(peaks > 0.85 * peaks.max())[0])
    near = peaks[first : first + RATE // 800]
    return RATE / (least + first + int(np.argmax(near)))


def delay_ms(into: NDArray[np.int16], out: NDArray[np.int16]) -> float:
    """By which the loudness of one follows that of the other."""
    one, other = (
        np.convolve(np.abs(audio.astype(np.float64)), np.ones(480) / 480, "same")[::48] for audio in (into, out)
    )
    fit = np.correlate(other - other.mean(), one - one.mean(), "full")
    return float(np.argmax(fit) - len(one) + 1)


def test_vanished_devices_are_said_and_new_ones_are_used(tmp_path: Path) -> None:
    with virtual_room(tmp_path) as room, converting(room, tmp_path, "--to", "bench") as live:
        room.stop()
        live.wait_for(lambda: live.noted("has vanished"))
        room.start()
        live.wait_for(lambda: live.noted("The devices are back"))
        before = len(live.figures)
        live.wait_for(lambda: len(live.figures) > before + 1)
        with room.tapped() as (_, loudspeaker):
            room.play(said(tmp_path / "said.wav"))
        assert loudspeaker.spans(), "nothing is heard after it came back"
        assert live.leave() == 0
        assert not live.noted("Traceback")


def test_a_device_that_is_not_there_is_an_error_before_anything_is_heard(tmp_path: Path) -> None:
    with virtual_room(tmp_path) as room:
        live = Converting(room, tmp_path, "--to", "bench", "--output", "no such cable")
        try:
            assert live.process.wait(timeout=START_S) == 2
            live.wait_for(lambda: live.noted("There is no output device 'no such cable'"))
        finally:
            live.end()


def test_a_clip_is_recorded_from_the_microphone_and_a_short_one_is_refused_by_its_length(tmp_path: Path) -> None:
    recording = (
        "from parley.cli.voice_recording import record; from parley.audio.levels import rms_dbfs;"
        "clip = record(1.5, ''); print(clip.seconds, rms_dbfs(clip.audio[-24_000:]))"
    )
    profile = "from parley.cli.main import main; main()"
    with virtual_room(tmp_path) as room:
        playing = subprocess.Popen(["paplay", "--device=mic", str(said(tmp_path / "said.wav"))], env=room.environment)
        heard = python(room, recording)
        playing.wait()
        short = python(room, profile, "voice", "profile", "me", "--microphone", "--seconds", "1")
    seconds, level = map(float, heard.stdout.split())
    assert seconds == 1.5
    assert level > -40
    assert "Speak for 1.5 s into" in heard.stderr
    assert short.returncode == 2
    assert "The clip is 1.0 s long; a voice profile needs 10 s" in short.stderr


def python(room: Room, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=room.environment, capture_output=True, text=True, check=False, timeout=START_S)
