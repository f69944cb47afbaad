"""Apertium: its installation is read as it is, every text goes through intact, and its processes are replaced when they die."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parley.engines.mt.apertium import ApertiumTranslator, create
from parley.engines.mt.apertium_modes import DIRECTORY, modes
from parley.engines.ports import EngineRefused, EngineUnavailable, Term, TranslationRequest
from parley.testing.contracts.watching import children

needs_pairs = pytest.mark.skipif(
    shutil.which("apertium") is None
    or not {("es", "pt"), ("es", "en")} <= set(ApertiumTranslator(Path(DIRECTORY)).pairs()),
    reason="Apertium is not installed (Debian: apt-get install apertium apertium-eng-spa apertium-es-pt)",
)


def mode(folder: Path, name: str, text: str) -> None:
    (folder / "modes").mkdir(parents=True, exist_ok=True)
    (folder / "modes" / f"{name}.mode").write_text(text)


def test_directions_are_read_from_the_mode_files(tmp_path: Path) -> None:
    mode(
        tmp_path,
        "spa-eng",
        "lt-proc '/a b/x.bin' | apertium-tagger -g $2 '/x.prob' | lt-proc $1 '/y.bin' | lt-proc -z -p /z.bin\n",
    )
    mode(tmp_path, "es-pt_BR", "lt-proc $1 /y.bin")
    mode(tmp_path, "cat-oci_aran", "lt-proc $1 /y.bin")
    mode(tmp_path, "eng-spa-tagger", "lt-proc $1 /y.bin")
    mode(tmp_path, "fra-eng", "lt-proc $1 /y.bin; rm -rf /")
    mode(tmp_path, "por-eng", "lt-proc $(which x) | lt-proc")
    mode(tmp_path, "deu-eng", "lt-proc 'unclosed")
    mode(tmp_path, "nob-nno", "")
    mode(tmp_path, "en-en_US", "lt-proc $1 /y.bin")
    (tmp_path / "modes" / "README").write_text("x")
    found = {one.name: one for one in modes(tmp_path)}
    assert {one.pair for one in found.values()} == {("es", "en"), ("es", "pt-BR"), ("ca", "oc-x-aran")}
    assert found["spa-eng"].stages == (
        ("lt-proc", "-z", "/a b/x.bin"),
        ("apertium-tagger", "-z", "-g", "/x.prob"),
        ("lt-proc", "-z", "-n", "/y.bin"),
        ("lt-proc", "-z", "-p", "/z.bin"),
    )


async def test_a_folder_without_pairs_says_how_to_install_some(tmp_path: Path) -> None:
    engine = create("", {"directory": str(tmp_path)})
    assert engine.pairs() == ()
    with pytest.raises(EngineUnavailable, match="no pair of languages") as error:
        await engine.open()
    assert (error.value.code, "apt-get install" in error.value.remedy) == ("missing_package", True)


async def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    mode(tmp_path, "spa-eng", "no-such-program $1 /y.bin")
    with pytest.raises(EngineUnavailable, match="no-such-program"):
        await create("", {"directory": str(tmp_path)}).open()


async def test_a_pair_that_dies_at_once_cannot_be_opened(tmp_path: Path) -> None:
    mode(tmp_path, "spa-eng", "false $1 /y.bin")
    engine = create("", {"directory": str(tmp_path)})
    with pytest.raises(EngineUnavailable, match="ended unexpectedly"):
        await engine.open()
    await engine.close()


@pytest.fixture
async def apertium() -> AsyncIterator[ApertiumTranslator]:
    engine = create("", {})
    await engine.open()
    yield engine
    await engine.close()


async def translated(
    engine: ApertiumTranslator, text: str, source: str = "es", target: str = "pt", *terms: Term
) -> str:
    return "".join([piece async for piece in engine.translate(TranslationRequest(text, source, target, terms))])


@needs_pairs
class TestInstalled:
    async def test_sentences_are_translated_without_marks(self, apertium: ApertiumTranslator) -> None:
        assert (
            await translated(apertium, "¿Dónde está la biblioteca? El xyzzy está en casa.")
            == "Onde está a biblioteca? O xyzzy está em casa."
        )
        assert await translated(apertium, "La casa es grande.", "es", "en") == "The house is big."

    @pytest.mark.parametrize(
        "text",
        [
            "^x$ [y] {z} @w a\\b <c> d/e",
            "*hola #ola +ola",
            "5 $ [1] <b>x</b>",
            "[[",
            "\\",
            "a ~ b",
            "$",
            "^",
            "x\\]y",
            "@x [<STREAMCMD:FLUSH>] x",
        ],
    )
    async def test_what_is_special_to_apertium_is_text(self, apertium: ApertiumTranslator, text: str) -> None:
        made = await translated(apertium, text)
        for character in "^$[]{}@\\<>/*#+~":
            assert made.count(character) == (text.count(character) if any(map(str.isalnum, text)) else 0), made
        assert await translated(apertium, "Hola, mundo.") == "Olá, mundo.", "the next text is not disturbed"

    async def test_nul_and_line_ends_do_not_shift_the_answers(self, apertium: ApertiumTranslator) -> None:
        texts = ["Hola\0\0 mundo", "\0", "La casa\n\0la mesa.\r\nNo.", "\0Hola.\0"]
        made = [await translated(apertium, text) for text in texts]
        assert made == ["Olá mundo", "", "A casa\na mesa.\nNão.", "Olá."]

    @pytest.mark.parametrize(
        "text", ["hola " * 4000, "x" * 20_000, "🙂" * 5000, "?!. " * 5000, "مرحبا بالعالم " * 1500, "\u202eabc\u202c"]
    )
    async def test_hostile_texts_go_through(self, apertium: ApertiumTranslator, text: str) -> None:
        made = await translated(apertium, text)
        if text.startswith(("hola", "x", "م")):
            assert len(made) > 0.7 * len(text.strip())
        assert await translated(apertium, "Hola.") == "Olá."

    async def test_a_hundred_at_once_get_their_own_answers(self, apertium: ApertiumTranslator) -> None:
        texts = [f"La casa {number} es grande." for number in range(100)]
        made = await asyncio.gather(*(translated(apertium, text) for text in texts))
        assert made == [f"A casa {number} é grande." for number in range(100)]

    async def test_a_caller_that_is_cancelled_disturbs_nobody(self, apertium: ApertiumTranslator) -> None:
        leaving = [asyncio.create_task(translated(apertium, "La casa es grande. " * 200)) for _ in range(5)]
        await asyncio.sleep(0.02)
        for task in leaving:
            task.cancel()
        assert await translated(apertium, "Hola, mundo.") == "Olá, mundo."
        assert all(
            isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*leaving, return_exceptions=True)
        )

    async def test_a_pipeline_that_dies_is_started_again_unseen(self, apertium: ApertiumTranslator) -> None:
        assert await translated(apertium, "Hola.") == "Olá."
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        assert await translated(apertium, "La casa.") == "A casa."
        assert apertium.fault is None

    async def test_terms_are_in_the_translation(self, apertium: ApertiumTranslator) -> None:
        terms = (Term("Casa Blanca", "White House"), Term("casa", "lar"))
        made = await translated(apertium, "La Casa Blanca no es mi casa, dice XQ1.", "es", "en", *terms)
        assert (made.count("White House"), made.count("lar"), "XQ1" in made) == (1, 1, True)

    async def test_only_the_pairs_that_are_named_are_used(self) -> None:
        engine = create("es-pt+spa-eng", {})
        assert engine.pairs() == (("es", "en"), ("es", "pt"))
        wrong = create("es-pt+xx-yy", {})
        with pytest.raises(EngineUnavailable, match="xx-yy"):
            await wrong.open()

    async def test_what_is_too_long_is_refused(self, apertium: ApertiumTranslator) -> None:
        with pytest.raises(EngineRefused) as error:
            await translated(apertium, "x" * 100_001)
        assert error.value.code == "text_too_long"
