"""Phonon: its voices and languages, voices cloned from clips, and what goes wrong."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from parley.audio import files
from parley.engines.ports import TTS, EngineRefused, EngineSpec, EngineUnavailable, Samples, SpeechRequest
from parley.engines.registry import create
from parley.engines.tts.phonon import PhononSynthesizer
from tests.engines.tiny_phonon import phonon_folder

pytest.importorskip("ptts", reason="ptts (the extra `phonon`) is not installed")

TEXT = "How is the weather in Berlin?"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phonon_folder(tmp_path_factory.mktemp("phonon") / "phonon-31m")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A low voice, a high one, and the low one once more by another name."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, hertz in (("carol", 150), ("dora", 700), ("carol-again", 150)):
        write_clip(folder / f"{name}.wav", hertz, 1.5)
    (folder / "readme.txt").write_text("not a recording")
    return folder


def write_clip(path: Path, hertz: float, seconds: float, rate: int = 44_100) -> None:
    times = np.arange(round(seconds * rate)) / rate
    files.write(path, files.Recording((0.3 * np.sin(2 * np.pi * hertz * times)).astype(np.float32), rate))


def phonon(folder: object, **options: object) -> PhononSynthesizer:
    engine = create(TTS, EngineSpec.parse(f"phonon:{folder}", {"threads": 1, **options}))
    assert isinstance(engine, PhononSynthesizer)
    return engine


async def spoken(
    engine: PhononSynthesizer, text: str = TEXT, voice: str = "", language: str = "", speed: float = 1.0
) -> Samples:
    chunks = [chunk.audio async for chunk in engine.speak(SpeechRequest(text, voice, language, speed))]
    return np.concatenate([np.zeros(0, np.float32), *chunks])


def differ(one: Samples, other: Samples) -> bool:
    return len(one) != len(other) or float(np.abs(one - other).max()) > 1e-2


async def failure(engine: PhononSynthesizer) -> EngineUnavailable:
    with pytest.raises(EngineUnavailable) as raised:
        await engine.open()
    assert raised.value.remedy
    return raised.value


async def test_text_and_voice_change_what_is_heard_and_nothing_else_does(weights: Path) -> None:
    engine = phonon(weights, voice="ben")
    await engine.open()
    assert engine.info.voices == ("anna", "ben")
    plain = await spoken(engine)
    assert not differ(plain, await spoken(engine))
    assert not differ(plain, await spoken(engine, voice="alloy")), "OpenAI's names stand for the configured voice"
    assert differ(plain, await spoken(engine, voice="anna"))
    assert differ(plain, await spoken(engine, "What is the time in Rome?"))
    await engine.close()


async def test_numbers_are_read_as_the_language_reads_them(weights: Path) -> None:
    engine = phonon(weights)
    await engine.open()
    assert engine.info.normalizes
    written, english = (
        await spoken(engine, "It costs 5 dollars."),
        await spoken(engine, "It costs $5.", language="en-GB"),
    )
    assert not differ(written, english)
    assert differ(english, await spoken(engine, "It costs $5.", language="de"))
    await engine.close()


async def test_voices_are_cloned_from_a_folder_of_recordings(weights: Path, clips: Path) -> None:
    engine = phonon(weights, clips=str(clips))
    await engine.open()
    assert engine.info.voices == ("anna", "ben", "carol-again", "carol", "dora")
    low, again, high = [await spoken(engine, voice=name) for name in ("carol", "carol-again", "dora")]
    assert differ(low, high)
    assert not differ(low, again)
    assert "carol" in engine.notice
    assert "consent" in engine.notice
    with pytest.raises(EngineRefused) as refused:
        await spoken(engine, voice=str(clips / "carol.wav"))
    assert refused.value.code == "unknown_voice", "a client may not name files"
    await engine.close()


async def test_one_recording_can_be_the_voice(weights: Path, clips: Path) -> None:
    engine, plain = phonon(weights, clips=str(clips / "dora.wav"), voice="dora"), phonon(weights)
    for one in (engine, plain):
        await one.open()
    assert differ(await spoken(engine), await spoken(plain))
    assert plain.notice == ""
    for one in (engine, plain):
        await one.close()


async def test_a_voice_file_beside_the_recordings_is_a_voice_too(weights: Path, clips: Path) -> None:
    shutil.copy(weights / "voices" / "ben.safetensors", clips / "benno.safetensors")
    engine = phonon(weights, clips=str(clips))
    await engine.open()
    assert "benno" in engine.info.voices
    assert "benno" not in engine.notice, "it was not cloned here"
    assert not differ(await spoken(engine, voice="benno"), await spoken(engine, voice="ben"))
    await engine.close()
    (clips / "benno.safetensors").write_bytes(b"no voice")
    assert (await failure(phonon(weights, clips=str(clips)))).code == "invalid_clip"


async def test_a_checkpoint_without_voices_has_its_own(tmp_path: Path) -> None:
    engine = phonon(phonon_folder(tmp_path / "plain", voices=()))
    await engine.open()
    assert engine.info.voices == ("default",)
    assert (await spoken(engine, voice="default")).size
    await engine.close()


async def test_a_licence_that_restricts_use_is_shown(tmp_path: Path, weights: Path) -> None:
    assert phonon(weights).info.licence == "MIT or Apache-2.0, weights Apache-2.0"
    assert "NC" in phonon(tmp_path / "phonon-40m-fr").info.licence
    assert "CC-BY-NC" in phonon(tmp_path / "phonon-40m-fr").notice


async def test_a_reply_that_is_cut_off_leaves_the_engine_ready(weights: Path) -> None:
    engine = phonon(weights)
    await engine.open()
    whole = await spoken(engine)
    for _ in range(70):  # more than may be spoken at once
        speech = engine.speak(SpeechRequest(" ".join([TEXT] * 4)))
        await anext(speech)
        await speech.aclose()  # type: ignore[attr-defined]
    assert not differ(whole, await spoken(engine))
    await engine.close()


@pytest.mark.parametrize(
    ("spoil", "code", "hint"),
    [
        (lambda folder: shutil.rmtree(folder), "missing_weights", "phonon:gradium/phonon-31m-en"),
        (lambda folder: (folder / "config.json").write_text("{"), "invalid_weights", "config.json"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "invalid_weights", "tokenizer.json"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"half a file"), "invalid_weights", "safetensors"),
        (lambda folder: (folder / "model.safetensors").unlink(), "invalid_weights", "safetensors"),
    ],
)
async def test_a_folder_that_is_no_checkpoint_is_refused_with_a_remedy(
    tmp_path: Path, weights: Path, spoil: object, code: str, hint: str
) -> None:
    folder = shutil.copytree(weights, tmp_path / "spoilt")
    assert callable(spoil)
    spoil(folder)
    error = await failure(phonon(folder))
    assert error.code == code
    assert hint in error.message + error.remedy


async def test_a_repository_of_the_hub_is_used_from_its_cache(
    weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    engine = phonon("gradium/phonon-31m-en")
    assert engine.missing_models() == ("hub:gradium/phonon-31m-en",)
    error = await failure(engine)
    assert (error.code, "models pull hub:gradium/phonon-31m-en" in error.remedy) == ("missing_weights", True)
    repository = tmp_path / "models--gradium--phonon-31m-en"
    shutil.copytree(weights, repository / "snapshots" / "0123abcd")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abcd")
    assert engine.missing_models() == ()
    assert "Apache-2.0" in engine.info.licence
    await engine.open()
    assert len(await spoken(engine))
    await engine.close()


@pytest.mark.parametrize("model", ["", "./nowhere", "/", "phonon-31m-en"])
def test_a_folder_names_nothing_to_fetch(model: str) -> None:
    assert phonon(model).missing_models() == ()


async def test_recordings_that_give_no_voice_are_refused(weights: Path, tmp_path: Path) -> None:
    clip = tmp_path / "short.wav"
    write_clip(clip, 200, 0.3)
    assert (await failure(phonon(weights, clips=str(clip)))).code == "invalid_clip"
    clip.write_bytes(b"no audio")
    assert (await failure(phonon(weights, clips=str(clip)))).code == "invalid_clip"
    (tmp_path / "empty").mkdir()
    for nothing in (tmp_path / "empty", tmp_path / "absent.txt"):
        assert (await failure(phonon(weights, clips=str(nothing)))).code == "no_clips"
    write_clip(clip, 200, 2)
    shutil.copy(clip, tmp_path / "anna.wav")
    error = await failure(phonon(weights, clips=str(tmp_path / "anna.wav")))
    assert (error.code, "'anna'" in error.message) == ("invalid_clip", True), "the checkpoint has a voice of that name"
    mute = phonon_folder(tmp_path / "mute", clones=False)
    assert (await failure(phonon(mute, clips=str(clip)))).code == "no_cloning"


async def test_a_voice_and_a_language_that_it_lacks_are_refused(weights: Path) -> None:
    assert (await failure(phonon(weights, voice="zoe"))).code == "unknown_voice"
    engine = phonon(weights)
    await engine.open()
    assert engine.info.languages == ("en", "de")
    with pytest.raises(EngineRefused) as refused:
        await spoken(engine, language="ja")
    assert refused.value.code == "unsupported_language"
    await engine.close()


async def test_a_missing_package_is_named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ptts", None)
    error = await failure(phonon(weights))
    assert (error.code, "pip install 'ptts>=" in error.remedy) == ("missing_package", True)
