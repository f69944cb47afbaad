"""`tts.sherpa`: which voice a folder is, and what the real library speaks with voices of tones."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path

import numpy as np
import pytest

from parley.engines.openai_api.voices import OPENAI_VOICES
from parley.engines.ports import EngineRefused, EngineUnavailable, Samples, SpeechRequest
from parley.engines.sherpa import folder
from parley.engines.tts import espeak_library, sherpa_voices
from parley.engines.tts.sherpa import SherpaSynthesizer, create
from parley.engines.tts.sherpa_voices import PHONEMES, TEXT
from parley.models.catalogue import catalogue
from tests.engines.installed_models import as_model
from tests.engines.opening import while_open
from tests.engines.test_stt_sherpa import catalogued, empty_graph, needs_sherpa
from tests.engines.tiny_sherpa import piper_folder, voice_folder

TEXT_SPOKEN = "Hello there, my friend! It is five o'clock."


def opened(folder: Path, **options: object) -> AbstractAsyncContextManager[SherpaSynthesizer]:
    return while_open(create(str(folder), {"threads": 1, **options}))


async def spoken(engine: SherpaSynthesizer, text: str = TEXT_SPOKEN, **request: object) -> Samples:
    chunks = [chunk.audio async for chunk in engine.speak(SpeechRequest(text, **request))]  # type: ignore[arg-type]
    return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)


def described(folder: Path, told: Mapping[str, str], *files: str) -> Path:
    folder.mkdir(exist_ok=True)
    empty_graph(folder / "model.int8.onnx", told)
    for name in ("tokens.txt", *files):
        (folder / name).write_text("a 0\n")
    return folder


# --- what a folder is ---

KOKORO = {
    "model_type": "kokoro",
    "sample_rate": "24000",
    "n_speakers": "5",
    "speaker_names": "af_bella,af_alloy,bm_george,ef_dora,zf_xiaobei",
    "has_espeak": "1",
    "voice": "en-us",
}


def test_a_kokoro_speaker_says_in_its_name_what_it_speaks(tmp_path: Path) -> None:
    model = sherpa_voices.identify(described(tmp_path, KOKORO, "voices.bin"), "int8")
    assert (model.kind, model.front, model.sample_rate) == ("kokoro", PHONEMES, 24_000)
    assert {speaker.name: (speaker.number, speaker.phonemizer) for speaker in model.speakers} == {
        "af_bella": (0, "en-us"),
        "af_alloy": (1, "en-us"),
        "bm_george": (2, "en-gb"),
        "ef_dora": (3, "es"),
    }
    chosen = {language: model.resolve("", language, "af_bella") for language in ("en", "es", "zh")}
    assert chosen["en"] is not None
    assert chosen["en"].name == "af_bella"
    assert chosen["es"] is not None
    assert chosen["es"].name == "ef_dora", "the default voice does not speak it"
    assert model.resolve("af_bella", "es", "") is None
    assert chosen["zh"] is None
    alloy = model.resolve("alloy", "", "")
    assert alloy is not None
    assert alloy.name == "af_alloy"
    engine = create(str(tmp_path), {"voice": "af_bella"})
    assert engine.voice_in("", "es") == "ef_dora"
    assert all(engine.resolve_voice(name) for name in OPENAI_VOICES)


def test_kitten_matcha_and_a_vits_with_a_lexicon_are_told_apart(tmp_path: Path) -> None:
    rate = {"sample_rate": "22050", "n_speakers": "1"}
    kitten = described(
        tmp_path / "k", {**rate, "model_type": "kitten-tts", "has_espeak": "1", "voice": "en-us"}, "voices.bin"
    )
    assert sherpa_voices.identify(kitten, "int8").kind == "kitten"
    matcha = described(tmp_path / "m", {**rate, "model_type": "matcha-tts", "has_espeak": "1", "voice": "en-us"})
    with pytest.raises(EngineUnavailable, match="without its vocoder"):
        sherpa_voices.identify(matcha, "int8")
    empty_graph(matcha / "vocos-22khz-univ.onnx", {"model_type": "vocos"})
    assert set(sherpa_voices.identify(matcha, "int8").config) == {"acoustic_model", "vocoder", "tokens"}
    lexicon = described(tmp_path / "v", {**rate, "language": "Chinese", "comment": "aishell3"})
    with pytest.raises(EngineUnavailable, match=r"without its lexicon\.txt"):
        sherpa_voices.identify(lexicon, "int8")
    (lexicon / "lexicon.txt").write_text("a a\n")
    found = sherpa_voices.identify(lexicon, "int8")
    assert (found.front, found.languages, found.speakers[0].phonemizer) == (TEXT, ("zh",), "")


def test_supertonic_needs_all_of_its_files(tmp_path: Path) -> None:
    for part in ("duration_predictor", "text_encoder", "vector_estimator", "vocoder"):
        empty_graph(tmp_path / f"{part}.int8.onnx", {})
    (tmp_path / "tts.json").write_text(json.dumps({"ae": {"sample_rate": 44_100}}))
    (tmp_path / "unicode_indexer.bin").write_bytes(b"")
    with pytest.raises(EngineUnavailable, match=r"without its voice\.bin"):
        sherpa_voices.identify(tmp_path, "int8")
    (tmp_path / "voice.bin").write_bytes((3).to_bytes(8, "little") + bytes(40))
    model = sherpa_voices.identify(tmp_path, "int8")
    assert (model.kind, model.front, model.sample_rate, len(model.speakers)) == ("supertonic", TEXT, 44_100, 3)
    assert {"en", "ja", "uk"} <= set(model.languages)
    (tmp_path / "text_encoder.int8.onnx").unlink()
    with pytest.raises(EngineUnavailable, match=r"without its text_encoder\.onnx"):
        sherpa_voices.identify(tmp_path, "int8")


async def test_a_folder_without_a_voice_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    empty_graph(tmp_path / "encoder.onnx", {"model_type": "whisper-tiny"})
    with pytest.raises(EngineUnavailable, match=r"holds encoder\.onnx") as refused:
        await create(str(tmp_path), {}).open()
    assert refused.value.code == "missing_weights"


def test_the_licence_is_that_of_the_folders_card(tmp_path: Path) -> None:
    assert create(str(voice_folder(tmp_path)), {}).info.licence == "CC0"
    (tmp_path / "MODEL_CARD").unlink()
    assert "each voice has its own" in create(str(tmp_path), {}).info.licence


# --- phonemes ---


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("Hello there, friend! Is it so? Yes: it is; now.", [",", "!", "?", ":", ";", "."]),
        ("It is 3.5 km", [""]),
        ('She said "no." Then she left', [".", ""]),
    ],
)
def test_clauses_keep_the_marks_that_end_them(text: str, marks: list[str]) -> None:
    clauses = espeak_library.load().phonemes(text, "en-us")
    assert [mark for _, mark in clauses] == marks
    assert all(phonemes for phonemes, _ in clauses)


def test_a_title_is_no_end_of_a_sentence() -> None:
    clauses = espeak_library.load().phonemes("I met Dr. Smith.", "en-us")
    assert [mark for _, mark in clauses if mark] == ["."]


# --- what is spoken ---


@needs_sherpa
async def test_a_voice_as_piper_publishes_it_speaks_as_the_converted_one(tmp_path: Path) -> None:
    async with opened(voice_folder(tmp_path / "converted", speakers=1)) as engine:
        one = await spoken(engine)
    async with opened(piper_folder(tmp_path / "published")) as engine:
        assert engine.info.voices == ("tiny",)
        other = await spoken(engine)
    assert len(one) > 16_000
    assert np.array_equal(one, other)


@needs_sherpa
async def test_each_speaker_sounds_different_and_openais_names_are_theirs(tmp_path: Path) -> None:
    async with opened(voice_folder(tmp_path), voice="1") as engine:
        voices = {name: await spoken(engine, voice=name) for name in ("0", "1", "")}
        assert not np.array_equal(voices["0"], voices["1"])
        assert np.array_equal(voices["1"], voices[""]), "the option names the default voice"
        with pytest.raises(EngineRefused, match="no voice 'bob'") as refused:
            await spoken(engine, voice="bob")
        assert refused.value.code == "unknown_voice"


@needs_sherpa
async def test_the_first_sound_comes_before_the_first_sentence_is_over(tmp_path: Path) -> None:
    async with opened(voice_folder(tmp_path)) as engine:
        whole = await spoken(engine)
        async with aclosing(engine.speak(SpeechRequest(TEXT_SPOKEN))) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                assert len(chunk.audio) < len(whole) / 3
                break
        assert np.array_equal(await spoken(engine), whole), "a caller that has left disturbs nobody"


@needs_sherpa
async def test_a_voice_whose_description_is_broken_is_refused(tmp_path: Path) -> None:
    folder = piper_folder(tmp_path)
    described_by = folder / "en_US-tiny.onnx.json"
    told = json.loads(described_by.read_text())
    for wrong in ("{", json.dumps({**told, "audio": {}}), json.dumps({**told, "phoneme_id_map": {"a": []}})):
        described_by.write_text(wrong)
        with pytest.raises(EngineUnavailable) as refused:
            await create(str(folder), {}).open()
        assert refused.value.code == "load_failed"


@needs_sherpa
async def test_a_model_on_which_the_library_ends_its_process_is_an_error(tmp_path: Path) -> None:
    folder = voice_folder(tmp_path)
    (folder / "tokens.txt").write_text("a 0\na 1\n")
    with pytest.raises(EngineUnavailable, match="Duplicated token") as refused:
        await create(str(folder), {}).open()
    assert refused.value.code == "load_failed"


def test_the_extra_is_named_where_the_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from parley.engines.sherpa import library

    monkeypatch.setitem(__import__("sys").modules, "sherpa_onnx", None)
    with pytest.raises(EngineUnavailable, match="cannot be imported") as refused:
        library.load()
    assert refused.value.code == "missing_package"
    assert "pip install 'sherpa-onnx" in refused.value.remedy
    assert importlib.util.find_spec("parley.engines.sherpa.library") is not None


# --- models of the catalogue ---


@pytest.mark.parametrize("name", catalogued("tts"))
def test_the_files_of_the_catalogues_voices_play_their_parts(tmp_path: Path, name: str) -> None:
    for file in catalogue()[name].files:
        if file.path.endswith(".onnx"):
            empty_graph(tmp_path / file.path, {})
        else:
            (tmp_path / file.path).write_text("")
    found = folder.read(tmp_path, sherpa_voices.PARTS, "int8")
    expected = {"duration_predictor", "text_encoder", "vector_estimator", "vocoder"} if "super" in name else {"model"}
    assert set(found.graphs) == expected


@needs_sherpa
async def test_a_voice_of_the_catalogue_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = voice_folder(tmp_path / "made")
    install = as_model(monkeypatch, tmp_path / "models", "sherpa:kitten-nano", made)
    engine = create("kitten-nano", {"threads": 1})
    assert engine.missing_models() == ("sherpa:kitten-nano",)
    install()
    await engine.open()
    assert engine.info.licence == "Apache-2.0"
    assert len(await spoken(engine))
    await engine.close()
