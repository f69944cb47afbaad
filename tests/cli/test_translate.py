"""`parley translate`: text, subtitles and a dub from a file or a pipe, the microphone, and what it says when it cannot be done."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parley.cli.failures import CommandFailed
from parley.cli.main import run
from parley.cli.translate import _report_failures
from parley.cli.translate_microphone import interpreted, show
from parley.cli.translations import translation_writer
from parley.engines.mt.bench import BenchTranslator
from parley.engines.ports import EngineError, EngineRefused, Transcript
from parley.library import Pipeline, Recording, TranslatedSegment, VoiceEvent, read_audio, write_audio
from parley.testing.fakes import FakeRecognizer, FakeSynthesizer, FakeVoiceActivity
from tests.conftest import clip_path
from tests.library.rig import RATE, silence, voice
from tests.programs import run_program

BENCH = ["--mt", "bench", "--to", "x-bench"]


@pytest.fixture(autouse=True)
def clean_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PARLEY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARLEY_STT", "pocketsphinx")
    monkeypatch.setenv("PARLEY_PULL", "never")


def clip(name: str) -> str:
    return str(clip_path(name))


@pytest.mark.slow
def test_a_recording_is_translated_as_text_in_one_language_or_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["translate", clip("hello_world"), *BENCH]) == 0
    assert capsys.readouterr().out == "olleh dlrow\n"
    assert run(["translate", clip("hello_world"), *BENCH, "--bilingual"]) == 0
    assert capsys.readouterr().out == "olleh dlrow\n  hello world\n"


@pytest.mark.slow
def test_json_has_both_texts_the_languages_and_the_times(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["translate", clip("hello_world"), *BENCH, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["languages"], printed["to"], printed["text"]) == (["en"], "x-bench", "olleh dlrow")
    (segment,) = printed["segments"]
    assert (segment["source"], segment["target"], segment["error"]) == ("hello world", "olleh dlrow", None)
    assert 0 <= segment["start"] < segment["end"] <= read_audio(clip("hello_world")).seconds


@pytest.mark.slow
def test_subtitles_have_a_line_in_each_language(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["translate", clip("hello_world"), *BENCH, "--bilingual", "-o", "out.srt"]) == 0
    assert "1 sentence in out.srt\n" in capsys.readouterr().err
    assert re.fullmatch(
        r"1\n00:00:00,\d{3} --> 00:00:0\d,\d{3}\nolleh dlrow\nhello world\n\n", Path("out.srt").read_text()
    )
    assert run(["translate", clip("hello_world"), *BENCH, "--format", "vtt"]) == 0
    assert re.match(r"WEBVTT\n\n00:00:00\.\d{3} --> 00:00:0\d\.\d{3}\nolleh dlrow\n\n$", capsys.readouterr().out)


@pytest.mark.slow
def test_the_dub_is_as_long_as_the_original_and_holds_it_softly_if_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = ["translate", clip("hello_world"), *BENCH, "--tts", "bench"]
    assert run([*base, "--dub", "dub.mp3"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "olleh dlrow\n"
    assert "s in dub.mp3; 0 of 1 sentence spoken faster, at most 0.0 s late" in captured.err
    assert run([*base, "--dub", "mixed.wav", "--mix-original"]) == 0
    original, mixed = read_audio(clip("hello_world")), read_audio("mixed.wav")
    assert mixed.seconds >= original.seconds - 0.01
    assert np.abs(mixed.audio).max() > 0.02


@pytest.mark.slow
def test_speech_in_a_pipe_is_translated_at_its_end() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PARLEY_")}
    done = run_program(
        *("-c", "from parley.cli.main import main; main()", "translate", "-", *BENCH),
        stdin=Path(clip("hello_world")).read_bytes(),
        timeout_s=90,
        env=environment | {"PARLEY_STT": "pocketsphinx"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "olleh dlrow\n"


@pytest.mark.slow
def test_speech_in_the_target_language_passes_and_silence_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["translate", clip("hello_world"), "--mt", "bench", "--to", "en"]) == 0
    assert capsys.readouterr().out == "hello world\n"
    write_audio("quiet.wav", Recording(np.zeros(48_000, np.float32), 48_000))
    assert run(["translate", "quiet.wav", *BENCH, "--dub", "quiet.mp3", "--tts", "bench"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "No speech was found in quiet.wav." in captured.err
    assert read_audio("quiet.mp3").seconds >= 1.0


def test_sentences_that_fail_are_shown_in_their_own_language_and_the_reason_once(
    capsys: pytest.CaptureFixture[str],
) -> None:

    error = EngineError("The model is lost.", "Start it again.", code="lost")
    segments = [
        TranslatedSegment(0, 1_000, "one", "eno", "en"),
        TranslatedSegment(1_000, 2_000, "two", "", "en", error=error),
        TranslatedSegment(2_000, 3_000, "three", "", "en", error=error),
    ]
    for form, wanted in (("text", "eno\ntwo\nthree\n"), ("srt", "\ntwo\n\n3\n")):
        writer = translation_writer(form, sys.stdout, "talk.wav", "x-bench", bilingual=False)
        for segment in segments:
            writer.write(segment)
        writer.finish()
        assert wanted in capsys.readouterr().out
    assert _report_failures(segments) == 2
    assert capsys.readouterr().err == (
        "parley: 2 of 3 sentences not translated, the first one at 1.0 s: The model is lost. Start it again.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["translate", "--to", "pt"], "Give a file"),
        (["translate", "a.wav"], "--to"),
        (["translate", "a.wav", "--mic", "--to", "pt"], "Give a file"),
        (["translate", "nothing.wav", *BENCH], "nothing.wav: No such file"),
        (["translate", "notes.txt", *BENCH], "notes.txt cannot be read as audio"),
        (["translate", "a.wav", *BENCH, "--mix-original"], "--mix-original is for --dub"),
        (["translate", "a.wav", *BENCH, "--quiet"], "--quiet is for --mic"),
        (["translate", "--mic", *BENCH, "--dub", "x.wav"], "are for files"),
        (["translate", "a.wav", *BENCH, "--dub", "x.doc"], "The ending of x.doc names no format"),
        (["translate", "a.wav", *BENCH, "--dub", "notes.txt/x.wav"], "is a file, not a folder"),
        (
            ["translate", "a.wav", *BENCH, "--dub", "x.wav", "-o", "./x.wav", "--format", "text"],
            "is the name of a recording",
        ),
        (["translate", "a.wav", *BENCH, "-o", "x.srt", "--json"], "-o x.srt is a file of SRT subtitles"),
        (["translate", "a.wav", *BENCH, "--format", "srt", "--json"], "two formats"),
        (["translate", "--mic", *BENCH, "-o", "x.srt"], "are for files"),
        (["translate", "a.wav", *BENCH, "--input-device", "x"], "are for --mic"),
        (["translate", "quiet.wav", "--mt", "bensh", "--to", "pt"], "no mt engine 'bensh'"),
        (["translate", "quiet.wav", "--mt", "bench", "--to", "pt"], "does not translate from 'en' to 'pt'"),
        (["translate", "quiet.wav", "--mt", "bench", "--to", "?"], "no language"),
        (
            ["translate", "quiet.wav", "--from", "de", *BENCH],
            "flag --from: The stt engine pocketsphinx does not understand 'de'",
        ),
        (["translate", "quiet.wav", *BENCH, "--dub", "x.wav", "--tts", "espeak"], "does not speak 'x-bench'"),
    ],
)
def test_an_expected_error_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("notes.txt").write_text("These are words, not sounds.")
    write_audio("quiet.wav", Recording(np.zeros(4_800, np.float32), 48_000))
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["translate", "--help"]) == 0
    said = capsys.readouterr().out
    assert "parley translate --mic --to pt" in said
    assert "--dub" in said


# --- the microphone ---------------------------------------------------------------------------------------------------


async def spoken(*pieces: Any) -> AsyncGenerator[Any, None]:
    for piece in pieces:
        for at in range(0, len(piece), RATE // 50):
            yield piece[at : at + RATE // 50]
            await asyncio.sleep(0)


def live(stt: FakeRecognizer, tts: FakeSynthesizer | None = None) -> Pipeline:
    return Pipeline(
        vad=FakeVoiceActivity(),
        turn=None,
        stt=stt,
        llm=None,
        tts=tts or FakeSynthesizer(word_ms=20),
        voice="alloy",
        mt=BenchTranslator(0, 0),
    )


async def test_what_is_said_is_shown_and_spoken_in_the_other_language(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[Any] = []

    async def play(audio: Any) -> None:
        heard.append(audio)

    stt = FakeRecognizer(Transcript("good day to you", language="en"))
    async with live(stt) as pipeline:
        events: AsyncGenerator[VoiceEvent, None] = await interpreted(
            pipeline, spoken(voice(600), silence(1_500)), play, "x-bench", "", RATE
        )
        await show(events, bilingual=True)
    captured = capsys.readouterr()
    assert captured.out.split() == ["doog", "yad", "ot", "uoy"]
    assert "good day to you" in captured.err
    assert np.abs(np.concatenate(heard)).max() > 0


async def test_quiet_shows_and_does_not_speak_and_a_failure_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    stt = FakeRecognizer(EngineError("The recogniser is lost.", code="lost"))
    async with live(stt) as pipeline:
        await show(await interpreted(pipeline, spoken(voice(600), silence(1_500)), None, "x-bench", "", RATE), False)
        assert "The recogniser is lost." in capsys.readouterr().err
        with pytest.raises(EngineRefused, match="does not translate to 'fr'"):
            await interpreted(pipeline, spoken(), None, "fr", "", RATE)


async def test_a_voice_that_does_not_speak_the_language_is_refused_before_anything_is_said() -> None:
    class English(FakeSynthesizer):
        def resolve_voice(self, voice: str, language: str = "") -> str | None:
            return None if language not in ("", "en") else super().resolve_voice(voice)

    async def play(audio: Any) -> None:
        raise AssertionError("nothing is to be said")

    async with live(FakeRecognizer(), English()) as pipeline:
        with pytest.raises(CommandFailed, match=r"does not speak 'x-bench'.*--quiet"):
            await interpreted(pipeline, spoken(), play, "x-bench", "", RATE)
