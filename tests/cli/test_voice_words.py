"""`parley voices add` for CSM, which needs the words of a recording: given, heard by PocketSphinx, or asked for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from parley.audio import files
from parley.audio.files import Recording
from parley.cli.main import run
from parley.engines.voices.store import VoiceStore
from tests.conftest import clip_path

pytestmark = pytest.mark.slow

Out = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PARLEY_") and name != "PARLEY_MODELS_DIR"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARLEY_OWN_VOICES_DIR", str(tmp_path / "own"))
    # Adding a voice opens no synthesizer, so no weights are needed.
    Path("parley.toml").write_text(f'[pipelines.default]\ntts = "csm:{tmp_path}/csm"\nstt = "pocketsphinx"\n')
    hum = (0.3 * np.sin(np.arange(96_000) / 20)).astype(np.float32)
    files.write("hum.wav", Recording(hum, 24_000))


def store() -> VoiceStore:
    return VoiceStore(Path("own"))


def test_words_that_are_not_given_are_heard_and_printed_with_the_correction(capsys: Out) -> None:
    clip = str(clip_path("beckett"))
    assert run(["voices", "add", "carol", clip]) == 0
    (voice,) = store().voices()
    said = capsys.readouterr().err
    assert voice.text_heard
    assert {"fail", "try"} & set(voice.text.lower().split()), voice.text
    assert f"Heard in the recording: {voice.text}" in said
    assert "voices remove carol, then " in said
    assert '--text "..."' in said
    assert run(["voices", "remove", "carol"]) == 0
    assert run(["voices", "add", "carol", clip, "--text", "Ever tried. Ever failed.", "--json"]) == 0
    shown = capsys.readouterr()
    assert "Heard in" not in shown.err
    added = json.loads(shown.out[shown.out.index("{") :])
    assert (added["text"], added["text_heard"]) == ("Ever tried. Ever failed.", False)


def test_a_recording_without_words_is_refused_with_the_option(capsys: Out) -> None:
    assert run(["voices", "add", "carol", "hum.wav"]) == 2
    said = capsys.readouterr().err
    assert "heard none" in said
    assert "--text" in said
    assert not store().voices()
    assert run(["voices", "add", "carol", "hum.wav", "--text", "Mm."]) == 0


def test_a_recogniser_that_cannot_hear_is_named_with_the_option(capsys: Out) -> None:
    assert run(["voices", "add", "carol", "hum.wav", "--language", "de"]) == 2
    said = capsys.readouterr().err
    assert "the recogniser failed" in said
    assert "--text" in said
    assert not store().voices()


def test_an_engine_that_needs_no_words_waits_for_no_recogniser(capsys: Out) -> None:
    pytest.importorskip("ptts", reason="ptts (the extra `phonon`) is not installed")
    Path("parley.toml").write_text('[pipelines.default]\ntts = "phonon:weights"\nstt = "pocketsphinx"\n')
    assert run(["voices", "add", "carol", "hum.wav"]) == 0
    assert [(one.text, one.text_heard) for one in store().voices()] == [("", False)]
    assert "Heard" not in capsys.readouterr().err
