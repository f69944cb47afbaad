"""`parley voice profile`, `list`, `remove`, `convert`: on speech that the tests make, in a folder of their own."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parley.audio import files
from parley.audio.files import Recording
from parley.cli.main import run
from parley.cli.voice_live import fields, line
from parley.engines.ports import EngineSpec
from parley.talk.live_voice import LiveVoiceFigures
from tests.conftest import clip_path

TEXT = (
    "The kettle is on, and the morning is bright. We walk along the river until the bridge, and then we come back for "
    "breakfast, because everybody is hungry by then and the bread is still warm. After that we read aloud for an hour."
)


@pytest.fixture(autouse=True)
def clean_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PARLEY_") and name != "PARLEY_MODELS_DIR"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARLEY_VOICES_DIR", str(tmp_path / "voices"))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds or so of espeak-ng."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    assert run(["say", TEXT, "--tts", "espeak", "-o", str(path)]) == 0
    return path


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that cannot run says."""
    capsys.readouterr()
    assert run(["voice", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


# --- profiles ---------------------------------------------------------------------------------------------------------


def test_a_profile_is_learnt_from_a_clip_listed_used_and_removed(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["voice", "profile", "ana", str(speech)]) == 0
    printed = capsys.readouterr()
    assert "ana: pitch" in printed.out
    assert str(tmp_path / "voices" / "ana.json") in printed.out
    assert "voice convert --live --to ana" in printed.err
    assert run(["voice", "list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in listed] == ["low", "high", "ana"]
    assert "built in" in listed[0]
    assert "s voiced of" in listed[2]
    assert run(["voice", "list", "--json"]) == 0
    low, high, ana = json.loads(capsys.readouterr().out)
    assert low["file"] is None
    assert low["median_hz"] < high["median_hz"]
    assert 60 < ana["median_hz"] < 300
    assert ana["low_hz"] <= ana["median_hz"] <= ana["high_hz"]
    assert Path(ana["file"]).is_file()
    assert run(["voice", "remove", "ana"]) == 0
    assert "ana removed" in capsys.readouterr().out
    assert not Path(ana["file"]).exists()


def test_a_profile_is_overwritten_only_when_asked(speech: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["voice", "profile", "ana", str(speech), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert "--replace" in failure(capsys, "profile", "ana", str(speech))
    # Faster speech is another clip.
    assert run(["say", TEXT, "--tts", "espeak", "--speed", "1.1", "-o", "other.wav"]) == 0
    capsys.readouterr()
    assert run(["voice", "profile", "ana", "other.wav", "--replace", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sha256"] != first["sha256"]


def test_a_profile_from_a_pipe(
    speech: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(monkeypatch, speech)
    assert run(["voice", "profile", "piped", "-"]) == 0
    assert "piped: pitch" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["kurz", str(clip_path("weather_question"))], "needs 10 s or more"),
        (["../ana", str(clip_path("weather_question"))], "cannot be the name of a voice profile"),
        (["low", "SPEECH"], "built in"),
        (["ana", "nowhere.wav"], "nowhere.wav: No such file"),
        (["ana", __file__], "cannot be read as audio"),
        (["ana"], "Give a clip, or - for stdin, or use --microphone."),
        (["ana", "SPEECH", "--microphone"], "Give a clip, or - for stdin, or use --microphone."),
        (["ana", "SPEECH", "--seconds", "20"], "--seconds and --input-device are for --microphone"),
    ],
)
def test_what_is_no_clip_of_a_voice_is_refused_by_what_is_wrong_with_it(
    arguments: list[str], said: str, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(speech) if each == "SPEECH" else each for each in arguments]
    assert said in failure(capsys, "profile", *given)
    assert not list(tmp_path.glob("voices/*"))


def test_how_long_a_short_clip_is_and_must_be_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    said = failure(capsys, "profile", "kurz", str(clip_path("weather_question")))
    assert "1.8 s" in said
    assert "10 s" in said


def test_a_damaged_profile_is_named_and_the_others_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "torn.json").write_text('{"format": "parley-voice-pro', encoding="utf-8")
    assert run(["voice", "list"]) == 1
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2
    assert "torn.json is damaged" in printed.err
    rows = doctor(capsys, "--pipeline", "bench")
    torn = [row for row in rows if "torn.json is damaged" in row["seen"]]
    assert [(row["name"], row["ok"], row["required"]) for row in torn] == [("voice profiles", False, False)]


def test_a_profile_that_is_not_there_cannot_be_removed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no voice profile 'ana'" in failure(capsys, "remove", "ana")
    assert "built in" in failure(capsys, "remove", "low")


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_is_converted_as_long_as_it_is_at_the_converters_rate(capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 30_011).astype(np.float32)
    files.write("in.wav", Recording(noise, 22_050))
    assert run(["voice", "convert", "in.wav", "out.wav", "--to", "bench"]) == 0
    made = files.read("out.wav")
    assert made.sample_rate == 24_000
    assert len(made.audio) == round(30_011 * 24_000 / 22_050)
    said = capsys.readouterr().err
    assert "1.4 s at 24000 Hz, RTF 0.0" in said
    assert "latency 20 ms" in said
    assert "dBFS" in said


def test_options_reach_the_converter_and_figures_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["voice", "convert", str(clip_path("hello_world")), "out.flac", "--to", "bench", "--json"]
    assert run([*arguments, "--option", "latency_ms=40"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["converter"] == "bench"
    assert figures["latency_ms"] == 40
    assert figures["seconds"] == pytest.approx(files.read(clip_path("hello_world")).seconds, abs=0.001)
    assert -60 < figures["output_dbfs"] < figures["peak_dbfs"] <= 0


def test_a_pipe_is_converted_into_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    pipe(monkeypatch, clip_path("hello_world"))
    assert run(["voice", "convert", "-", "-", "--to", "bench", "--json"]) == 0
    printed = capsysbinary.readouterr()
    made = files.read(io.BytesIO(printed.out))
    wanted = files.read(clip_path("hello_world"))
    assert made.seconds == pytest.approx(wanted.seconds, abs=0.001)
    assert json.loads(printed.err)["sample_rate"] == 24_000


def test_the_converter_of_a_pipeline_is_used_where_no_voice_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '[pipelines.default]\nvc = "bench"\nvc_options.latency_ms = 70\n'
    (tmp_path / "parley.toml").write_text(text, encoding="utf-8")
    assert run(["voice", "convert", str(clip_path("hello_world")), "out.wav", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["latency_ms"] == 70


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["CLIP", "out.wav"], "Name one with --to. Profiles: low, high. Converters: bench"),
        (["CLIP", "out.wav", "--to", "hihg"], "Did you mean 'high'?"),
        (["CLIP", "out.wav", "--to", "benhc:x"], "Did you mean 'bench'?"),
        (["CLIP", "out.wav", "--to", "bench", "--voice", "nobody"], "bench has no voice 'nobody'. It has: filtered."),
        (["CLIP", "out.wav", "--to", "bench", "--option", "latency=1"], "latency"),
        (["CLIP", "out.wav", "--to", "bench", "--option", "latency"], "is not KEY=VALUE"),
        (["CLIP", "out.txt", "--to", "bench"], "names no format"),
        (["CLIP", "CLIP/out.wav", "--to", "bench"], "is a file, not a folder"),
        (["none.wav", "out.wav", "--to", "bench"], "none.wav: No such file"),
        (["CLIP", "--to", "bench"], "Name the files IN and OUT"),
        (["CLIP", "out.wav", "--to", "bench", "--output", "x"], "are for --live"),
        (["--live", "CLIP", "out.wav", "--to", "bench"], "--live takes no files"),
    ],
)
def test_what_cannot_be_converted_is_said_and_nothing_is_written(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [each.replace("CLIP", str(clip_path("hello_world"))) for each in arguments]
    assert said in " ".join(failure(capsys, "convert", *given).split())
    assert not list(tmp_path.glob("out.*"))


def test_a_file_is_not_converted_into_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.wav"
    own.write_bytes(clip_path("hello_world").read_bytes())
    (tmp_path / "link.wav").symlink_to(own)
    before = own.read_bytes()
    assert "would be overwritten" in failure(capsys, "convert", str(own), "own.wav", "--to", "bench")
    assert "would be overwritten" in failure(capsys, "convert", str(own), "link.wav", "--to", "bench")
    assert own.read_bytes() == before


def pipe(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """The file comes from stdin."""

    class Stdin:
        buffer = io.BytesIO(path.read_bytes())

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stdin", Stdin())


# --- what is shown ----------------------------------------------------------------------------------------------------

FIGURES = LiveVoiceFigures(
    delay_ms=131.4,
    conversion_ms=60,
    buffer_ms=31,
    devices_ms=27,
    rtf_p50=0.14,
    rtf_p95=0.71,
    behind_ms=0,
    raw_blocks=0,
    raw_ms=0,
    gaps=2,
    dropped_ms=0,
    clocks_ppm=-12.3,
    input_dbfs=-20,
    output_dbfs=-22,
)


def test_the_live_line_fits_the_terminal_and_marks_what_is_wrong() -> None:
    whole = line(FIGURES, 120)
    assert whole.plain == (
        "delay 131 ms  RTF 0.14/0.71  raw 0 (0.0 s)  gaps 2  buffer 31 ms  in -20 dB  out -22 dB  clocks -12 ppm"
    )
    marked = {whole.plain[span.start : span.end] for span in whole.spans if span.style == "yellow"}
    assert marked == {"0.14/0.71", "2"}
    for width in (20, 40, 79):
        cut = line(FIGURES, width).plain
        assert len(cut) <= width
        assert whole.plain.startswith(cut)
    assert [name for name, _, attention in fields(FIGURES) if attention] == ["RTF", "gaps"]


# --- the doctor -------------------------------------------------------------------------------------------------------


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    run(["doctor", "--port", "0", "--json", *arguments])
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_the_doctor_says_what_a_converter_adds_and_which_profiles_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = 'stt = "bench"\nllm = "bench"\ntts = "bench"\nmt = "bench"\n'
    slow = "vc_options.latency_ms = 400\n"
    text = f'[pipelines.default]\n{bench}vc = "bench"\n[pipelines.slow]\n{bench}vc = "bench"\n{slow}'
    (tmp_path / "parley.toml").write_text(text, encoding="utf-8")
    rows = {row["name"]: row for row in doctor(capsys)}
    assert rows["vc bench (default)"]["ok"]
    assert "adds 20 ms to a live voice" in rows["voice conversion (default)"]["seen"]
    late = rows["voice conversion (slow)"]
    assert (late["ok"], late["required"]) == (False, False)
    assert "adds 400 ms" in late["seen"]
    assert rows["voice profiles"]["seen"].startswith("low, high (in ")


def test_an_index_of_faiss_is_checked_where_an_rvc_voice_has_one(tmp_path: Path) -> None:
    from parley.cli.voice_checks import check_index

    folder = tmp_path / "ana"
    folder.mkdir()
    assert check_index(EngineSpec("vocoder", "ana")) is None
    assert check_index(EngineSpec("rvc", str(folder))) is None
    (folder / "added_ana.index").write_bytes(b"")
    found = check_index(EngineSpec("rvc", str(folder)))
    assert found is not None
    assert found.ok
    assert "added_ana.index" in found.seen
    assert check_index(EngineSpec("rvc", str(folder), {"index": "features.npy"})) is None
