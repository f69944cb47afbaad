"""`parley say` and `parley transcribe`: files, pipes, formats, and what they say when it cannot be done."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from parley.cli.main import run
from parley.library import Recording, read_audio, write_audio
from tests.conftest import clip_path

pytestmark = pytest.mark.slow

ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("PARLEY_")}


@pytest.fixture(autouse=True)
def clean_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PARLEY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARLEY_STT", "pocketsphinx")


def clip(name: str) -> str:
    return str(clip_path(name))


def parley(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    code = "from parley.cli.main import main; main()"
    environment = ENVIRONMENT | {"PARLEY_STT": "pocketsphinx"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        input=stdin,
        capture_output=True,
        timeout=90,
        check=False,
        env=environment,
    )


def test_a_text_becomes_a_file_at_the_rate_and_speed_that_were_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    text = "The kettle is on the stove."
    assert run(["say", text, "-o", "usual.wav"]) == 0
    assert "s of speech in usual.wav" in capsys.readouterr().err
    assert run(["say", text, "-o", "fast.wav", "--speed", "2", "--rate", "16000"]) == 0
    usual, fast = read_audio("usual.wav"), read_audio("fast.wav")
    assert (usual.sample_rate, fast.sample_rate) == (24_000, 16_000)
    assert 1.0 < usual.seconds < 4.0
    assert fast.seconds < 0.7 * usual.seconds
    assert np.abs(usual.audio).max() > 0.05


def test_other_formats_and_languages_are_written() -> None:
    assert run(["say", "Guten Morgen zusammen.", "--language", "de", "-o", "morgen.mp3"]) == 0
    assert read_audio("morgen.mp3").seconds > 0.8


def test_text_from_stdin_is_spoken_to_stdout() -> None:
    done = parley("say", "-", "-o", "-", "--raw", stdin=b"Hello there.\nHow are you today?\n")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) > 24_000 * 2
    assert np.abs(np.frombuffer(done.stdout, "<i2")).max() > 1000


def test_speech_in_a_pipe_is_transcribed_at_its_end() -> None:
    said = parley("say", "turn on the radio", "-o", "-")
    assert said.stdout[:4] == b"RIFF"
    heard = parley("transcribe", "-", stdin=said.stdout)
    assert heard.returncode == 0, heard.stderr
    assert re.search(rb"radio|turn|on the", heard.stdout), heard.stdout


def test_a_recording_is_transcribed_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["transcribe", clip("hello_world")]) == 0
    assert capsys.readouterr().out == "hello world\n"


def test_json_has_the_times_of_every_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["transcribe", clip("hello_world"), "--format", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["text"] == "hello world"
    assert printed["file"].endswith("hello_world.wav")
    (segment,) = printed["segments"]
    assert [word["word"] for word in segment["words"]] == ["hello", "world"]
    times = [segment["start"], *(word[edge] for word in segment["words"] for edge in ("start", "end"))]
    assert times == sorted(times)
    assert times[-1] <= read_audio(clip("hello_world")).seconds + 0.01


def test_subtitles_follow_each_other_and_a_folder_takes_several(capsys: pytest.CaptureFixture[str]) -> None:
    files = [clip("beckett"), clip("hello_world")]
    assert run(["transcribe", *files, "--format", "srt", "-o", "subtitles"]) == 0
    shown = Path("subtitles/beckett.srt").read_text()
    blocks = shown.strip().split("\n\n")
    assert len(blocks) >= 5
    spans = []
    for number, block in enumerate(blocks, 1):
        head, times, words = block.split("\n")
        assert head == str(number)
        assert words
        spans += re.findall(r"\d\d:\d\d:\d\d,\d\d\d", times)
    assert len(spans) == 2 * len(blocks)
    assert spans == sorted(spans)
    assert "hello world" in Path("subtitles/hello_world.srt").read_text()
    assert run(["transcribe", files[1], "--format", "vtt"]) == 0
    assert re.match(r"WEBVTT\n\n00:00:00\.\d{3} --> 00:00:0\d\.\d{3}\nhello world\n", capsys.readouterr().out)


def test_several_texts_are_labelled_by_their_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["transcribe", clip("hello_world"), clip("hello_world")]) == 0
    out = capsys.readouterr().out
    assert out.count("==> ") == 2
    assert out.count("hello world\n") == 2


def test_a_video_without_speech_gives_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    write_audio("quiet.m4a", Recording(np.zeros(48_000, np.float32), 48_000))
    assert run(["transcribe", "quiet.m4a"]) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["transcribe"], "Give files"),
        (["transcribe", "nothing.wav"], "nothing.wav: No such file"),
        (["transcribe", "notes.txt"], "notes.txt cannot be read as audio"),
        (["transcribe", "a.wav", "b.wav", "--format", "srt"], "-o FOLDER"),
        (["transcribe", "notes.txt", "--stt", "pocketsphynx"], "pocketsphinx"),
        (["say", "hello", "--voice", "nobody", "-o", "x.wav"], "no voice 'nobody'"),
        (["say", "hello", "-o", "x.doc"], "The suffix of x.doc names no format"),
        (["say", "hello", "-o", "nowhere/x.wav"], "No such file"),
        (["say", "hello", "-o", "x.wav", "--raw"], "--raw is for -o -"),
        (["say", " ", "-o", "x.wav"], "nothing to say"),
    ],
)
def test_an_expected_error_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("notes.txt").write_text("These are words, not sounds.")
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "streamed.wav"
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(24_000)
        wav.writeframes(bytes(48_000))
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert read_audio(path).seconds == 1.0
