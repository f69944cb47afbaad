"""CTranslate2's translation models: both layouts load and translate, and a wrong folder says what is wrong with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from parley.engines.mt.ctranslate import CTranslateTranslator, create
from parley.engines.ports import EngineRefused, EngineUnavailable, TranslationRequest
from tests.engines.tiny_ctranslate import NLLB, ctranslate_folder

pytest.importorskip("sentencepiece", reason="sentencepiece (the extra ctranslate2) has no wheel here")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ctranslate")
    ctranslate_folder(root / "opus-mt-en-de")
    ctranslate_folder(root / "nllb", NLLB)
    ctranslate_folder(root / "m2m", ("__de__", "__en__", "__es__"))
    ctranslate_folder(root / "shared", shared=True)
    return root


async def translated(engine: CTranslateTranslator, text: str, source: str, target: str) -> str:
    return "".join([piece async for piece in engine.translate(TranslationRequest(text, source, target))])


async def test_a_model_of_one_pair_translates_it(models: Path) -> None:
    engine = create(str(models / "opus-mt-en-de"), {"threads": 1})
    assert engine.pairs() == (("en", "de"),)
    await engine.open()
    one, other = [await translated(engine, text, "en", "de") for text in ("Good morning.", "The train leaves.")]
    assert one
    assert one != other
    assert "</s>" not in one + other
    with pytest.raises(EngineRefused):
        await translated(engine, "Guten Morgen.", "de", "en")
    await engine.close()


async def test_a_context_changes_nothing(models: Path) -> None:
    engine = create(str(models / "opus-mt-en-de"), {"threads": 1})
    await engine.open()
    request = TranslationRequest(
        "Good morning.", "en", "de", context=("What is the weather like?", "Seven ships sailed south.")
    )
    made = "".join([piece async for piece in engine.translate(request)])
    assert made == await translated(engine, "Good morning.", "en", "de")
    await engine.close()


@pytest.mark.parametrize(("name", "pairs"), [("nllb", 18), ("m2m", 6)])
async def test_a_model_of_many_languages_translates_between_them(models: Path, name: str, pairs: int) -> None:
    engine = create(str(models / name), {"threads": 1})
    await engine.open()
    assert len(engine.pairs()) == pairs
    assert engine.info.languages
    assert engine.translates("en-US", "de")
    assert engine.translates("", "de")
    assert not engine.translates("en", "en-GB")
    assert not engine.translates("en", "ja")
    made = await translated(engine, "Good morning.", "en", "de")
    assert made
    assert "_" not in made.replace("▁", "")
    await engine.close()


async def test_scripts_are_told_apart(models: Path) -> None:
    engine = create(str(models / "nllb"), {"languages": "en, zh-hant"})
    assert engine.pairs() == (("en", "zh-Hant"), ("zh-Hant", "en"))
    await engine.open()
    assert engine.translates("en", "zh-Hant")
    assert engine.pairs() == (("en", "zh-Hant"), ("zh-Hant", "en"))
    await engine.close()


async def test_one_sentencepiece_model_and_named_languages(models: Path) -> None:
    engine = create(str(models / "shared"), {"from": "pt", "to": "en", "threads": 1})
    await engine.open()
    assert await translated(engine, "Bom dia.", "pt-BR", "en")
    await engine.close()


@pytest.mark.parametrize(
    ("spoil", "options", "code", "said"),
    [
        (lambda folder: (folder / "model.bin").unlink(), {}, "missing_weights", "no model.bin"),
        (lambda folder: (folder / "source.spm").unlink(), {}, "load_failed", ""),
        (lambda folder: (folder / "target.spm").write_bytes(b"junk"), {}, "load_failed", "cannot be loaded"),
        (lambda folder: (folder / "model.bin").write_bytes(b"junk"), {}, "load_failed", "cannot be loaded"),
        (lambda folder: (folder / "config.json").unlink(), {}, "load_failed", "config.json"),
        (lambda folder: (folder / "shared_vocabulary.json").unlink(), {}, "load_failed", "vocabulary"),
        (lambda folder: shutil.rmtree(folder), {}, "missing_weights", "There is no"),
        (lambda folder: None, {"compute_type": "int3"}, "load_failed", "cannot be loaded"),
    ],
    ids=["no model", "no source.spm", "bad spm", "bad model", "no config", "no vocabulary", "no folder", "bad type"],
)
async def test_a_wrong_folder_says_what_is_wrong(
    models: Path, tmp_path: Path, spoil: object, options: dict[str, object], code: str, said: str
) -> None:
    assert callable(spoil)
    folder = tmp_path / "en-de"
    shutil.copytree(models / "opus-mt-en-de", folder)
    spoil(folder)
    if code == "load_failed" and not said:  # the other SentencePiece model serves both sides
        await create(str(folder), options).open()
        return
    engine = create(str(folder), options)
    with pytest.raises(EngineUnavailable, match=said) as error:
        await engine.open()
    assert (error.value.code, bool(error.value.remedy)) == (code, True)


async def test_languages_that_nothing_names_or_that_it_does_not_know(models: Path) -> None:
    with pytest.raises(EngineUnavailable, match="Nothing says which languages"):
        await create(str(models / "shared"), {}).open()
    with pytest.raises(EngineUnavailable, match="does not know fr"):
        await create(str(models / "nllb"), {"languages": "en,fr"}).open()
    with pytest.raises(EngineUnavailable, match="needs a folder"):
        await create("", {}).open()
    with pytest.raises(ValueError, match="`from` and `to`"):
        create("x", {"to": "en"})
