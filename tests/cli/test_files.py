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
from tests.programs import run_program_in_bytes

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
    return run_program_in_bytes("-c", code, *arguments, stdin=stdin, timeout_s=90, env=environment)


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
    assert heard.stdout == b"turn on the radio\n"


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
        head, times, *lines = block.split("\n")
        assert head == str(number)
        assert 1 <= len(lines) <= 2
        assert all(0 < len(line) <= 42 for line in lines)
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


# --- what is written, and where ---------------------------------------------------------------------------------------


def test_the_ending_of_the_output_chooses_the_format_and_folders_are_made(capsys: pytest.CaptureFixture[str]) -> None:
    for name, begins in (
        ("a.srt", "1\n00:00:"),
        ("a.vtt", "WEBVTT"),
        ("a.json", '{"file"'),
        ("a.txt", "hello world\n"),
    ):
        assert run(["transcribe", clip("hello_world"), "-o", f"new/{name}/{name}"]) == 0
        assert Path(f"new/{name}/{name}").read_text().startswith(begins)
        assert f"1 segment in new/{name}/{name}\n" in capsys.readouterr().err
    assert run(["transcribe", clip("hello_world"), "-o", "folder/", "--format", "vtt"]) == 0
    assert Path("folder/hello_world.vtt").read_text().startswith("WEBVTT")
    assert run(["transcribe", clip("hello_world"), "-o", "notes.md", "--format", "text"]) == 0
    assert Path("notes.md").read_text() == "hello world\n"


def test_one_bad_file_does_not_stop_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.txt").write_text("These are words, not sounds.")
    Path("empty.wav").touch()
    files = ["text.txt", clip("hello_world"), "empty.wav", "nothing.wav", "."]
    assert run(["transcribe", *files, "--format", "json", "-o", "all"]) == 1
    assert [path.name for path in Path("all").iterdir()] == ["hello_world.json"]
    assert capsys.readouterr().err.splitlines() == [
        "parley: text.txt cannot be read as audio: it is a text file.",
        f"1 segment in {Path('all/hello_world.json')}",
        "parley: empty.wav is empty.",
        "parley: nothing.wav: No such file or directory.",
        "parley: . is a folder. Name the files in it: *",
        "1 of 5 files transcribed; not: text.txt, empty.wav, nothing.wav, .",
    ]


def kept(name: str, bytes_before: bytes, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The command refuses, and the file is as it was."""
    assert run(arguments) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert Path(name).read_bytes() == bytes_before


def test_no_command_overwrites_what_it_reads(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Path(clip("hello_world")).read_bytes()
    Path("talk.txt").write_bytes(before)
    Path("talk.wav").write_bytes(before)
    Path("there").mkdir()
    Path("there/link.txt").symlink_to(Path("talk.wav").resolve())
    os.link("talk.wav", "hard.wav")
    transcribing = ["transcribe", "talk.wav", "-o"]
    kept("talk.txt", before, ["transcribe", "talk.txt", "-o", "talk.txt"], capsys)
    kept("talk.wav", before, [*transcribing, "there/link.txt"], capsys)
    kept("talk.txt", before, ["transcribe", "talk.txt", "-o", "."], capsys)
    kept("talk.txt", before, ["transcribe", "hard.wav", "talk.txt", "-o", "there/.."], capsys)
    kept("talk.wav", before, ["voice", "convert", "talk.wav", "hard.wav", "--to", "bench"], capsys)
    kept("talk.txt", before, ["translate", "talk.txt", "--to", "pt", "-o", "talk.txt"], capsys)
    kept("talk.wav", before, ["translate", "talk.wav", "--to", "pt", "--dub", "hard.wav"], capsys)
    with Path("talk.txt").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        kept("talk.txt", before, ["transcribe", "-", "-o", "talk.txt"], capsys)
    assert run([*transcribing, "talk.wav"]) == 2
    assert Path("talk.wav").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["transcribe"], "Give files"),
        (["transcribe", "a.wav", "-o", "x.doc"], "The ending of -o x.doc names no format"),
        (["transcribe", "a.wav", "-o", "x.mp3"], "-o x.mp3 is the name of a recording"),
        (["transcribe", "a.wav", "-o", "x.mkv", "--format", "text"], "-o x.mkv is the name of a recording"),
        (
            ["transcribe", "a.wav", "-o", "x.json", "--format", "vtt"],
            "-o x.json is a file of JSON, and --format says vtt",
        ),
        (["transcribe", "a.wav", "-o", "notes.txt/x.srt"], "is a file, not a folder"),
        (["transcribe", "x/a.wav", "y/a.wav", "-o", "out"], "Two transcripts would be out/a.txt"),
        (["transcribe", "a.wav", "b.wav", "-o", "both.srt"], "-o both.srt is a file, and there are 2 transcripts"),
        (["translate", "a.wav", "--to", "pt", "-o", "new/"], "new/ is a folder"),
        (["transcribe", "a.wav", "--input-device", "x"], "--input-device is for --mic"),
        (["transcribe", "."], ". is a folder"),
        (["transcribe", "notes.txt", "--language", "de"], "notes.txt cannot be read"),
        (["say", ""], "nothing to say"),
        (["say", "hello", "--output-device", "x", "-o", "x.wav"], "--output-device is for speech"),
        (["transcribe", "nothing.wav"], "nothing.wav: No such file"),
        (["transcribe", "notes.txt"], "notes.txt cannot be read as audio"),
        (["transcribe", "a.wav", "b.wav", "--format", "srt"], "-o FOLDER"),
        (["transcribe", "notes.txt", "--stt", "pocketsphynx"], "pocketsphinx"),
        (["say", "hello", "--voice", "nobody", "-o", "x.wav"], "flag --voice: The tts engine"),
        (["say", "hello", "--config", "bad.toml", "-o", "x.wav"], "bad.toml:2: The tts engine"),
        (["say", "hello", "-o", "x.doc"], "The ending of x.doc names no format"),
        (["say", "hello", "-o", "notes.txt/x.wav"], "is a file, not a folder"),
        (["say", "hello", "-o", "x.wav", "--raw"], "--raw is for -o -"),
        (["say", " ", "-o", "x.wav"], "nothing to say"),
    ],
)
def test_an_expected_error_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("notes.txt").write_text("These are words, not sounds.")
    Path("bad.toml").write_text('[pipelines.default]\nvoice = "nobody"\n')
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_language_that_is_not_understood_is_named_with_the_recogniser_that_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["transcribe", clip("hello_world"), "--language", "de"]) == 2
    said = capsys.readouterr().err
    assert "flag --language: The stt engine pocketsphinx does not understand 'de'; it knows en." in said
    assert "models pull whisper:base`" in said
    assert "library" not in said
    assert run(["transcribe", clip("hello_world"), "--language", "xx"]) == 2
    said = capsys.readouterr().err
    assert "flag --language: The stt engine pocketsphinx does not understand 'xx'" in said
    assert "whisper" not in said
    assert run(["say", "hello", "-o", "x.wav", "--tts", "espeak", "--language", "xx"]) == 2
    assert "flag --language: The tts engine espeak does not speak 'xx'" in capsys.readouterr().err


def test_old_names_of_devices_are_understood_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for command, old in (("say", "--device"), ("talk", "--input"), ("voice", "--output"), ("transcribe", "--device")):
        shown = [command, "convert"] if command == "voice" else [command]
        assert run([*shown, "--help"]) == 0
        said = capsys.readouterr().out
        assert "put-device NAME" in said
        assert f" {old} " not in said
        assert f"{old}," not in said
    assert run(["say", "hello", "--device", "x", "-o", "x.wav"]) == 2
    assert "--output-device is for speech" in capsys.readouterr().err


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
