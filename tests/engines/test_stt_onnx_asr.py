"""Models of the package onnx-asr: what is heard, in which languages, where the weights come from, and what goes wrong."""

from __future__ import annotations

import itertools
import json
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from parley.engines.ports import (
    STT,
    EngineRefused,
    EngineSpec,
    EngineUnavailable,
    Partial,
    RecognitionSpec,
    Samples,
    SpeechRecognizer,
    Transcript,
)
from parley.engines.registry import create
from parley.engines.stt.onnx_asr import OnnxAsrRecognizer
from tests.engines.installed_models import as_model
from tests.engines.tiny_onnx_asr import aed_folder, ctc_folder, tdt_folder, whisper_ort_folder

pytest.importorskip("onnx_asr", reason="onnx-asr (the extra `onnx-asr`) is not installed")

RATE = 16_000
ANY = RecognitionSpec()
LAYOUTS = {"ctc": ctc_folder, "tdt": tdt_folder, "aed": aed_folder, "whisper": whisper_ort_folder}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("onnx_asr")
    return {name: make(root / name) for name, make in LAYOUTS.items()}


def melody(*hertz: float) -> Samples:
    """0.4 s of each tone."""
    times = np.arange(round(0.4 * RATE)) / RATE
    return np.concatenate([0.3 * np.sin(2 * np.pi * one * times) for one in hertz]).astype(np.float32)


UP, DOWN = melody(200, 400, 900, 2000), melody(2000, 900, 400, 200)


def recognizer(model: object, **options: object) -> OnnxAsrRecognizer:
    engine = create(STT, EngineSpec.parse(f"onnx-asr:{model}", options))
    assert isinstance(engine, OnnxAsrRecognizer)
    return engine


async def heard(
    engine: SpeechRecognizer,
    audio: Samples,
    spec: RecognitionSpec = ANY,
    on_partial: Callable[[Partial], None] = lambda _: None,
) -> Transcript:
    stream = engine.open_stream(spec, on_partial)
    stream.feed(audio)
    return await stream.finish()


async def failure(engine: SpeechRecognizer) -> EngineUnavailable:
    with pytest.raises(EngineUnavailable) as raised:
        await engine.open()
    assert raised.value.remedy
    return raised.value


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_every_layout_is_loaded_and_another_sound_is_another_text(folders: dict[str, Path], layout: str) -> None:
    engine = recognizer(folders[layout], partials=False)
    await engine.open()
    up, again, down = [await heard(engine, audio) for audio in (UP, UP, DOWN)]
    assert up.text
    assert up == again
    assert up.text != down.text
    await engine.close()


@pytest.mark.parametrize("layout", ["ctc", "tdt"])
async def test_words_lie_where_their_tokens_are(folders: dict[str, Path], layout: str) -> None:
    engine = recognizer(folders[layout], partials=False)
    await engine.open()
    plain, later = await heard(engine, UP), await heard(engine, np.concatenate([melody(300), UP]))
    assert " ".join(word.text for word in plain.words) == plain.text
    times = [time for word in plain.words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= 1_600 + 80
    assert 0 < (plain.confidence or 0) < 1
    assert later.words[-1].end_ms == pytest.approx(plain.words[-1].end_ms + 400, abs=80)
    await engine.close()


@pytest.mark.parametrize("layout", ["aed", "whisper"])
async def test_a_model_that_is_told_the_language_hears_by_it_and_declares_those_of_its_vocabulary(
    folders: dict[str, Path], layout: str
) -> None:
    engine = recognizer(folders[layout], partials=False)
    await engine.open()
    assert engine.info.languages == ("de", "en", "fr")
    german, french = [await heard(engine, UP, RecognitionSpec(tag)) for tag in ("de-AT", "fr")]
    assert german.text != french.text
    assert (german.language, german.language_confidence) == ("de", 1.0)
    with pytest.raises(EngineRefused, match="'ja'") as refused:
        engine.open_stream(RecognitionSpec("ja"), lambda _: None)
    assert refused.value.code == "unsupported_language"
    await engine.close()


async def test_a_canary_that_is_told_no_language_takes_it_for_english_and_does_not_claim_to_know(
    folders: dict[str, Path],
) -> None:
    engine = recognizer(folders["aed"], partials=False)
    await engine.open()
    untold, told = await heard(engine, UP), await heard(engine, UP, RecognitionSpec("en"))
    assert untold.text == told.text
    assert (untold.language, untold.language_confidence) == ("en", None)
    among = await heard(engine, UP, RecognitionSpec(languages=("fr", "de")))
    assert among.language == "fr"
    await engine.close()


async def test_a_published_model_is_known_by_the_name_of_its_folder(folders: dict[str, Path], tmp_path: Path) -> None:
    europe = recognizer(shutil.copytree(folders["tdt"], tmp_path / "parakeet-tdt-0.6b-v3-onnx"))
    english = recognizer(shutil.copytree(folders["tdt"], tmp_path / "parakeet-tdt-0.6b-v2"), partials=False)
    assert (len(europe.info.languages), europe.info.licence) == (25, "MIT, weights CC-BY-4.0")
    assert english.info.languages == ("en",)
    for engine in (europe, english):
        await engine.open()
        with pytest.raises(EngineRefused):
            engine.open_stream(RecognitionSpec("ja"), lambda _: None)
    assert (await heard(english, UP)).language == "en"
    assert (await heard(europe, UP)).language == "", "Parakeet v3 does not tell which it heard"
    for engine in (europe, english):
        await engine.close()


async def test_languages_can_be_configured_and_are_checked(folders: dict[str, Path]) -> None:
    engine = recognizer(folders["ctc"], languages="en,de", language="de-CH", partials=False)
    assert engine.info.languages == ("en", "de")
    await engine.open()
    assert (await heard(engine, UP)).language == "de"
    with pytest.raises(EngineRefused):
        engine.open_stream(RecognitionSpec("fr"), lambda _: None)
    await engine.close()
    assert (await failure(recognizer(folders["ctc"], languages="en", language="fr"))).code == "unsupported_language"
    assert (await failure(recognizer(folders["aed"], languages="en,ja"))).code == "unsupported_language"


async def test_partials_promise_words_and_the_final_keeps_them(folders: dict[str, Path]) -> None:
    engine, partials = recognizer(folders["ctc"]), list[Partial]()
    await engine.open()
    stream = engine.open_stream(RecognitionSpec(), partials.append)
    audio = np.concatenate([UP, DOWN, UP])
    for start in range(0, len(audio), RATE // 2):
        before = len(partials)
        stream.feed(audio[start : start + RATE // 2])
        if start >= RATE // 2:
            await stream.flush()
            assert len(partials) > before
    final = await stream.finish()
    for earlier, later in itertools.pairwise(partials):
        assert later.stable.startswith(earlier.stable)
    assert final.text.startswith(partials[-1].stable)
    await engine.close()


# --- where the weights come from ---


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the Hub, and no network: a socket that connects fails the test. Returns the cache."""
    import huggingface_hub.constants

    def connect(*_: Any) -> NoReturn:
        pytest.fail("it asked the network")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setenv("PARLEY_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "hub"


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("parakeet-tdt-0.6b-v3", "onnx-asr:parakeet-tdt-0.6b-v3"),
        ("nemo-canary-1b-v2", "onnx-asr:canary-1b-v2"),
        ("canary-180m-flash", "onnx-asr:canary-180m-flash"),
        ("gigaam-v3-ctc", ""),
        ("somebody/some-model", ""),
    ],
)
async def test_a_model_that_is_not_here_is_refused_without_asking_the_network(
    offline: Path, name: str, model: str
) -> None:
    engine = recognizer(name)
    assert engine.missing_models() == ((model,) if model else ())
    error = await failure(engine)
    assert error.code == "missing_weights"
    assert (f"parley models pull {model}" if model else "hf download") in error.remedy


@pytest.mark.usefixtures("offline")
async def test_a_model_of_the_catalogue_is_found_by_its_name(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install = as_model(monkeypatch, tmp_path / "models", "onnx-asr:parakeet-tdt-0.6b-v3", folders["tdt"])
    engine = recognizer("parakeet-tdt-0.6b-v3", partials=False)
    assert engine.missing_models() == ("onnx-asr:parakeet-tdt-0.6b-v3",)
    install()
    assert engine.missing_models() == ()
    await engine.open()
    assert (await heard(engine, UP)).text
    assert "uk" in engine.info.languages
    await engine.close()


async def test_a_model_in_the_cache_of_the_hub_is_used_by_its_name(offline: Path, folders: dict[str, Path]) -> None:
    repository = offline / "models--istupakov--parakeet-tdt-0.6b-v3-onnx"
    shutil.copytree(folders["tdt"], repository / "snapshots" / "0123abcd")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abcd")
    engine = recognizer("parakeet-tdt-0.6b-v3", partials=False, type="nemo-conformer-tdt")
    assert engine.missing_models() == ()
    await engine.open()
    assert (await heard(engine, UP)).text
    assert "uk" in engine.info.languages
    await engine.close()


async def test_the_small_graphs_are_used_where_both_are_there(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["ctc"], tmp_path / "both")
    shutil.copy(ctc_folder(tmp_path / "other", seed=9) / "model.onnx", folder / "model.int8.onnx")
    texts = {}
    for quantization in ("", "int8", "full"):
        engine = recognizer(folder, quantization=quantization, partials=False)
        await engine.open()
        texts[quantization] = (await heard(engine, UP)).text
        await engine.close()
    assert texts[""] == texts["int8"] != texts["full"]
    error = await failure(recognizer(folder, quantization="q4"))
    assert (error.code, "model?q4.onnx" in error.message) == ("missing_weights", True)


async def test_a_folder_whose_config_lacks_the_type_gets_it_as_an_option(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders["ctc"], tmp_path / "untyped")
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"]
    (folder / "config.json").write_text(json.dumps(config))
    error = await failure(recognizer(folder))
    assert (error.code, "`type`" in error.remedy) == ("invalid_weights", True)
    engine = recognizer(folder, type="nemo-conformer-ctc")
    await engine.open()
    await engine.close()


@pytest.mark.parametrize("file", ["model.onnx", "vocab.txt", "config.json"])
async def test_a_file_that_is_damaged_or_missing_is_named(folders: dict[str, Path], tmp_path: Path, file: str) -> None:
    folder = shutil.copytree(folders["ctc"], tmp_path / "broken")
    (folder / file).write_bytes(b"\x08half a file")
    assert (await failure(recognizer(folder))).code == "invalid_weights"
    (folder / file).unlink()
    error = await failure(recognizer(folder))
    assert error.code == "missing_weights"
    assert file.removesuffix(".onnx") in error.message


@pytest.mark.parametrize(
    ("model", "code", "hint"),
    [
        ("", "missing_weights", "FOLDER"),
        ("/no/such/folder", "missing_weights", "FOLDER"),
        ("parakeet-tdt-0.6b-v4", "model_not_found", "Did you mean onnx-asr:parakeet-tdt-0.6b-v"),
    ],
)
async def test_a_name_that_is_none_is_refused_with_a_remedy(model: str, code: str, hint: str) -> None:
    error = await failure(recognizer(model))
    assert (error.code, hint in error.remedy) == (code, True)


async def test_a_processor_that_is_not_here_is_refused(folders: dict[str, Path]) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime can use CUDA")
    assert (await failure(recognizer(folders["ctc"], device="cuda"))).code == "device_unavailable"


async def test_a_missing_package_is_named(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx_asr.loader", None)
    error = await failure(recognizer(folders["ctc"]))
    assert (error.code, "pip install 'onnx-asr>=" in error.remedy) == ("missing_package", True)
