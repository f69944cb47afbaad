"""Bergamot's models: how they are found, and what damaged ones say. The real weights are tested by `make test-weights`."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parley.engines.mt.bergamot import BergamotTranslator, create
from parley.engines.mt.bergamot_files import models_in
from parley.engines.ports import EngineUnavailable, Term, TranslationRequest
from parley.models import store
from parley.testing.contracts.watching import children

needs_library = pytest.mark.usefixtures("library")


@pytest.fixture
def library() -> None:
    pytest.importorskip("fxtranslate", reason="fxtranslate (the extra bergamot) has no wheel here")


def folder(path: Path, *names: str, content: bytes = b"junk") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name in names:
        (path / name).write_bytes(content)
    return path


PTEN = ("model.pten.intgemm.alphas.bin", "vocab.pten.spm", "lex.50.50.pten.s2t.bin")


def test_a_folder_of_one_model_is_read(tmp_path: Path) -> None:
    (found,) = models_in(folder(tmp_path / "mine", *PTEN))
    assert found.pair == ("pt", "en")
    assert found.source_vocab == found.target_vocab == tmp_path / "mine" / "vocab.pten.spm"
    assert found.shortlist == tmp_path / "mine" / PTEN[2]


def test_two_vocabularies_and_no_shortlist(tmp_path: Path) -> None:
    (found,) = models_in(folder(tmp_path / "en-zh_hant", "model.enzh.bin", "srcvocab.enzh.spm", "trgvocab.enzh.spm"))
    assert found.pair == ("en", "zh-Hant")
    assert (found.source_vocab.name, found.target_vocab.name) == ("srcvocab.enzh.spm", "trgvocab.enzh.spm")
    assert found.shortlist is None


def test_a_folder_of_folders_has_a_model_for_each(tmp_path: Path) -> None:
    folder(tmp_path / "pt-en", *PTEN)
    folder(tmp_path / "en-pt", *(name.replace("pten", "enpt") for name in PTEN))
    folder(tmp_path / "notes", "README")
    assert [model.pair for model in models_in(tmp_path)] == [("en", "pt"), ("pt", "en")]
    assert create(str(tmp_path), {}).pairs() == (("en", "pt"), ("pt", "en"))


@pytest.mark.parametrize(
    ("names", "options", "code"),
    [
        ((), {}, "missing_weights"),
        (("model.pten.bin",), {}, "missing_weights"),
        (("model.pten.bin", "srcvocab.spm"), {}, "missing_weights"),
        (("model.bin", "vocab.spm"), {}, "unknown_language"),
    ],
)
@needs_library
async def test_a_folder_that_lacks_something_says_what(
    tmp_path: Path, names: tuple[str, ...], options: dict[str, object], code: str
) -> None:
    engine = create(str(folder(tmp_path / "mine", *names)), options)
    with pytest.raises(EngineUnavailable) as error:
        await engine.open()
    assert (error.value.code, bool(error.value.remedy)) == (code, True)


def test_the_direction_may_be_an_option(tmp_path: Path) -> None:
    assert create(str(folder(tmp_path / "mine", "model.bin", "vocab.spm")), {"from": "pt_BR", "to": "en"}).pairs() == (
        ("pt-BR", "en"),
    )
    with pytest.raises(ValueError, match="`from` and `to`"):
        create("x", {"from": "pt"})


@needs_library
async def test_a_damaged_model_cannot_be_opened_and_leaves_no_process(tmp_path: Path) -> None:
    before = children()
    engine = create(str(folder(tmp_path / "pt-en", *PTEN)), {})
    with pytest.raises(EngineUnavailable, match="cannot be loaded") as error:
        await engine.open()
    assert error.value.code == "load_failed"
    assert str(tmp_path) in error.value.message
    assert children() == before


@needs_library
async def test_without_any_model_it_says_which_can_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    with pytest.raises(EngineUnavailable, match="No Bergamot model") as error:
        await create("", {}).open()
    assert "models pull bergamot:" in error.value.remedy
    with pytest.raises(EngineUnavailable) as unknown:
        await create("xx-yy", {}).open()
    assert unknown.value.code == "model_not_found"


def test_a_model_of_the_catalogue_that_is_missing_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    assert create("pt-en+en-pt", {}).missing_models() == ("bergamot:pt-en", "bergamot:en-pt")
    assert create("pt-en", {}).pairs() == (("pt", "en"),)


@pytest.fixture
async def bergamot(library: None) -> AsyncIterator[BergamotTranslator]:
    if store.installed("bergamot:pt-en") is None:
        pytest.skip("bergamot:pt-en is not on this machine: make test-weights")
    engine = create("", {})
    await engine.open()
    yield engine
    await engine.close()


async def translated(engine: BergamotTranslator, text: str, *terms: Term) -> str:
    return "".join([piece async for piece in engine.translate(TranslationRequest(text, "pt", "en", terms))])


class TestWeights:
    async def test_it_translates(self, bergamot: BergamotTranslator) -> None:
        assert await translated(bergamot, "Bom dia. O Sr. Pérez não veio!") == "Good morning. Mr. Pérez didn't come!"

    @pytest.mark.parametrize("text", ["sim " * 5000, "x" * 20_000, "🙂" * 5000, "مرحبا " * 300, "\u202eola\u202c"])
    async def test_hostile_texts_end(self, bergamot: BergamotTranslator, text: str) -> None:
        pieces = bergamot.translate(TranslationRequest(text, "pt", "en"))
        got = []
        async for piece in pieces:  # a caller that has enough leaves
            got.append(piece)
            if len(got) == 3:
                break
        await pieces.aclose()  # type: ignore[attr-defined]
        assert await translated(bergamot, "Bom dia.") == "Good morning."

    async def test_a_hundred_at_once_get_their_own_answers(self, bergamot: BergamotTranslator) -> None:
        texts = [f"Tenho {number} livros." for number in range(100)]
        alone = [await translated(bergamot, text) for text in texts]
        assert await asyncio.gather(*(translated(bergamot, text) for text in texts)) == alone
        assert all(str(number) in made for number, made in enumerate(alone))

    async def test_a_process_that_dies_is_started_again_unseen(self, bergamot: BergamotTranslator) -> None:
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        assert await translated(bergamot, "Bom dia.") == "Good morning."
        assert bergamot.fault is None

    async def test_emoji_and_line_ends_stay(self, bergamot: BergamotTranslator) -> None:
        assert await translated(bergamot, "Bom dia 🙂\nBom dia\0.") == "Good morning 🙂\nGood morning."

    async def test_terms_are_in_the_translation(self, bergamot: BergamotTranslator) -> None:
        terms = (Term("reunião", "all-hands"), Term("Parley", "Parley"))
        made = await translated(bergamot, "A reunião do Parley começa às 15h. O Parley e a reunião.", *terms)
        assert (made.count("all-hands"), made.count("Parley")) == (2, 2)
