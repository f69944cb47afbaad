"""The glossary is one sorted list, names what the code is made of, and holds no word that nothing uses."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from parley.engines.ports.stages import BUILT_IN

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src/parley"
GLOSSARY = ROOT / "docs/glossary.md"
TRIVIAL = {"cli"}
"""Packages whose name says all: `cli` holds the subcommands."""


def words_of(text: str) -> str:
    """Lower-case words with single spaces between; identifiers and hyphenated words come apart."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def corpus_of(text: str) -> str:
    """Its words with a space on either side of each, so that a search for a whole word is one for a piece of text."""
    return f" {words_of(text)} "


def holds(corpus: str, name: str) -> bool:
    """Whether the words of `name` stand in a row in `corpus`, the last of them in the singular or the plural."""
    words = words_of(name).removesuffix("s")
    return any(f" {words}{ending} " in corpus for ending in ("", "s", "es"))


def terms() -> list[str]:
    return re.findall(r"^\*\*(.+?)\*\* \S", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)


def parts() -> list[str]:
    """Each sub-package by its own name, the core's regions and decisions, and the stages."""
    packages = {file.parent.name for file in SOURCE.rglob("__init__.py") if file.parent != SOURCE}
    modules = {file.stem for storey in ("regions", "decisions") for file in (SOURCE / "core" / storey).glob("*.py")}
    return sorted((packages | modules | {stage.name for stage in BUILT_IN}) - {"__init__"} - TRIVIAL)


def test_each_entry_is_a_term_and_its_meaning_in_alphabetical_order_and_none_comes_twice() -> None:
    _, *entries = GLOSSARY.read_text(encoding="utf-8").strip().split("\n\n")
    assert len(entries) - 1 == len(terms()), "after the introduction, a paragraph is an entry"
    assert terms() == sorted(terms(), key=str.casefold)
    assert [term for term, count in Counter(map(str.casefold, terms())).items() if count > 1] == []


def test_each_term_is_used_in_the_code_or_in_another_page() -> None:
    pages = [page for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] if page != GLOSSARY]
    corpus = corpus_of(" ".join(file.read_text(encoding="utf-8") for file in [*SOURCE.rglob("*.py"), *pages]))
    assert [term for term in terms() if not holds(corpus, term)] == []


@pytest.mark.parametrize("part", parts())
def test_each_package_region_decision_and_stage_is_in_the_glossary(part: str) -> None:
    assert holds(corpus_of(GLOSSARY.read_text(encoding="utf-8")), part)


def test_a_word_is_found_in_either_number_and_not_within_another_word() -> None:
    corpus = corpus_of("The `tool_offer` of MCP; OpenResponse, pre-rolls.")
    assert all(holds(corpus, name) for name in ("tool offer", "tool_offers", "open_responses", "pre-roll"))
    assert not any(holds(corpus, name) for name in ("tool call", "roller", "offering", "pens"))
