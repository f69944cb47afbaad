"""`parley voices`: adding, listing, speaking, removing, and every refusal, on tiny engines, in a folder of the test's own."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from parley.audio import files
from parley.audio.files import Recording
from parley.audio.types import Samples
from parley.cli.main import run
from parley.config import Config
from parley.engines import registry
from parley.engines.ports import STT, Transcript
from parley.engines.voices.store import VoiceStore
from parley.runtime.engines import LoadedEngines
from parley.testing.fakes import FakeRecognizer, FakeVoiceActivity
from parley.text.consent import PHRASES
from tests.engines.tiny_kokoro import folder as kokoro_folder
from tests.engines.tiny_kokoro import style
from tests.engines.tiny_phonon import phonon_folder
from tests.server.harness import running_in_thread
from tests.server.test_own_voices import Rig


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("weights")
    phonon_folder(made / "phonon-31m")
    kokoro_folder(made / "kokoro")
    return made


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PARLEY_") and name != "PARLEY_MODELS_DIR"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARLEY_OWN_VOICES_DIR", str(tmp_path / "own"))
    Path("parley.toml").write_text(
        f'[pipelines.default]\ntts = "phonon:{weights}/phonon-31m"\n'
        f'tts_options = {{ threads = 1 }}\n\n[pipelines.tensors]\ntts = "kokoro:{weights}/kokoro"\n'
    )
    write("carol.wav", 150)


def write(path: str, hertz: float, seconds: float = 4.0, level: float = 0.3) -> str:
    times = np.arange(round(seconds * 24_000)) / 24_000
    files.write(path, Recording((level * np.sin(2 * np.pi * hertz * times)).astype(np.float32), 24_000))
    return path


def store() -> VoiceStore:
    return VoiceStore(Path("own"))


def same(one: Samples, other: Samples) -> bool:
    return len(one) == len(other) and float(np.abs(one - other).max()) < 1e-2


Out = pytest.CaptureFixture[str]


def test_a_voice_is_added_listed_spoken_with_and_removed(capsys: Out) -> None:
    pytest.importorskip("ptts", reason="ptts (the extra `phonon`) is not installed")
    assert run(["voices", "add", "carol", "carol.wav", "--text", "The kettle is on."]) == 0
    added = capsys.readouterr()
    assert "made of a recording of 4.0 s" in added.out
    assert "consent of that person only" in added.err
    assert run(["voices", "list", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["kind"], shown["text"]) == ("carol", "clip", "The kettle is on.")
    assert shown["id"].startswith("voice_")
    write("high.wav", 700)
    assert run(["voices", "add", "dora", "high.wav"]) == 0
    said = {}
    for name in ("carol", shown["id"], "dora"):
        assert run(["voices", "say", name, "Good", "evening.", "-o", "out.wav"]) == 0
        said[name] = files.read("out.wav").audio
    assert same(said["carol"], said[shown["id"]])
    assert not same(said["carol"], said["dora"])
    assert run(["say", "Good evening.", "--voice", "carol", "-o", "again.wav"]) == 0
    assert same(files.read("again.wav").audio, said["carol"])
    capsys.readouterr()
    assert run(["voices", "remove", "carol", "dora"]) == 0
    assert store().voices() == ()
    assert not list(Path("own").glob("*.wav"))


def test_a_tensor_and_a_mix_are_spoken_by_the_pipeline_that_can(capsys: Out) -> None:
    Path("mine.bin").write_bytes(style(9).tobytes())
    np.savez("two.npz", af_one=style(3), af_two=style(4))
    assert run(["voices", "add", "af_mine", "mine.bin"]) == 0
    assert run(["voices", "add", "af_two", "two.npz"]) == 0
    assert run(["voices", "add", "af_three", "two.npz"]) == 2
    assert "af_one, af_two" in capsys.readouterr().err
    assert run(["voices", "mix", "evening", "af_bella(2)+af_mine(1)", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mix"] == "af_bella(2)+af_mine(1)"
    assert run(["voices", "say", "evening", "Good evening.", "-o", "mix.wav"]) == 0
    assert (
        run(["say", "Good evening.", "--voice", "af_bella(2)+af_mine", "--pipeline", "tensors", "-o", "wire.wav"]) == 0
    )
    assert Path("mix.wav").read_bytes() == Path("wire.wav").read_bytes()
    assert run(["voices", "list"]) == 0
    assert "a mix of voices: af_bella(2)+af_mine(1)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "x", "silence.wav"], "silence.wav is silent"),
        (["add", "x", "long.wav"], "MiB"),
        (["add", "x", "short.wav"], "needs 3 s"),
        (["add", "x", "parley.toml"], "cannot be read as audio"),
        (["add", "x", "nothing.wav"], "No such file"),
        (["add", "taken", "carol.wav"], "already"),
        (["add", "alloy", "carol.wav"], "OpenAI"),
        (["add", "af_bella", "carol.wav"], "is a voice of kokoro"),
        (["add", "a+b", "carol.wav"], "cannot name"),
        (["add", "x", "carol.wav", "--tts", "espeak", "--config", "espeak.toml"], "Engines that can: "),
        (["add", "x", "bad.pt"], "holds no voice of Kokoro"),
        (["add", "x", "bad.pt", "--text", "hello"], "for recordings"),
        (["mix", "x", "af_bella(2)+nobody"], "no voice 'nobody' to mix"),
        (["mix", "x", "af_bella(2)+taken"], "no voice 'taken' to mix"),
        (["mix", "x", "af_bella(2"], "is no voice with a weight"),
        (["remove", "nobody"], "There is no voice 'nobody'"),
        (["say", "nobody", "Hello."], "There is no voice 'nobody'"),
        (["phrase", "--language", "ja"], "There is one in de"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_with_the_remedy(arguments: list[str], said: str, capsys: Out) -> None:
    write("silence.wav", 150, level=0.0)
    write("long.wav", 150, seconds=600)
    write("short.wav", 150, seconds=1)
    Path("bad.pt").write_bytes(b"no archive")
    Path("espeak.toml").write_text("")
    store().add_mix("taken", "af_bella(1)+af_heart(1)")
    assert run(["voices", *arguments]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert [one.name for one in store().voices()] == ["taken"]


def hear(monkeypatch: pytest.MonkeyPatch, heard: FakeRecognizer) -> None:
    """Have this recogniser hear in place of the pipeline's."""
    real = registry.create

    def create(stage: object, spec: object) -> object:
        if stage is STT:
            return heard
        return FakeVoiceActivity() if str(stage) == "vad" else real(stage, spec)  # type: ignore[arg-type]

    monkeypatch.setattr("parley.library.pipeline.registry.create", create)


def test_a_consent_is_heard_before_it_is_kept(capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = FakeRecognizer(Transcript("Something else."), Transcript(PHRASES["en"].text))
    hear(monkeypatch, heard)
    write("reads.wav", 220)
    assert run(["voices", "add", "carol", "carol.wav", "--consent", "reads.wav"]) == 2
    assert PHRASES["en"].text in capsys.readouterr().err
    assert not store().consents()
    assert not store().voices()
    assert run(["voices", "add", "carol", "carol.wav", "--consent", "reads.wav"]) == 0
    assert "with a consent" in capsys.readouterr().out
    (consent,), (voice,) = store().consents(), store().voices()
    assert voice.consent == consent.id
    assert run(["voices", "remove", "carol"]) == 0
    assert store().consents() == ()


def test_a_consent_may_be_in_the_words_of_the_server_that_makes_the_voice(
    capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "Carol allows the example company to make a voice like hers."
    heard = FakeRecognizer(Transcript(PHRASES["en"].text), Transcript(f"Never! {words}"), Transcript(words.lower()))
    hear(monkeypatch, heard)
    write("reads.wav", 220)
    add = ["voices", "add", "carol", "carol.wav", "--sentence", words]
    assert run(add) == 2
    assert "--consent" in capsys.readouterr().err
    add += ["--consent", "reads.wav"]
    for fault in ("something else", "'never'"):
        assert run(add) == 2
        said = capsys.readouterr().err
        assert fault in said
        assert words in said
    assert not store().voices()
    assert run(add) == 0
    assert len(store().consents()) == 1
    assert run([*add[:5], "?!", "--consent", "reads.wav", "--tts", "phonon"]) == 2


def test_a_voice_is_made_and_spoken_by_a_server(capsys: Out, weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("ptts", reason="ptts (the extra `phonon`) is not installed")
    behind = Rig(weights, tmp_path / "behind")
    behind.recognizer.answers.append(PHRASES["en"].text)
    config = behind.config

    async def make(_: Config) -> LoadedEngines:
        return await LoadedEngines.open_all(config.pipelines.values(), create=behind._create, voices=behind.store)

    with running_in_thread(config, make) as upstream:
        Path("front.toml").write_text(
            '[pipelines.default]\ntts = "openai:default"\n\n[pipelines.default.tts_options]\n'
            f'base_url = "{upstream.http}/v1"\nclones = true\n'
        )
        front = ["--config", "front.toml"]
        assert run(["voices", "add", "carol", "carol.wav", *front]) == 2
        said = capsys.readouterr().err
        assert "wants a recording of the person's consent" in said
        assert "--consent recording.wav" in said
        consent = store().add_consent("Carol", "en-GB", files.read(write("reads.wav", 220)))
        store().add_clip("carol", files.read("carol.wav"), consent=consent.id)
        for _ in range(2):
            assert run(["voices", "say", "carol", "Good evening.", "-o", "out.wav", *front]) == 0, (
                capsys.readouterr().err
            )
        (made,) = behind.store.voices()
        assert made.name.startswith("parley-")
        carol = files.read("out.wav").audio
        assert run(["say", "Good evening.", "-o", "out.wav", *front]) == 0
        assert not same(carol, files.read("out.wav").audio)


def test_a_recording_may_come_through_a_pipe(capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("carol.wav").read_bytes())))
    assert run(["voices", "add", "carol", "-"]) == 0
    assert [one.seconds for one in store().voices()] == [4.0]


def test_help_tells_the_two_commands_apart(capsys: Out) -> None:
    assert run(["voices", "--help"]) == 0
    assert "parley voice`" in capsys.readouterr().out
    for name in ("add", "mix", "say", "list", "remove", "phrase"):
        assert run(["voices", name, "--help"]) == 0
        assert "Examples:" in capsys.readouterr().out
