"""The page about Ollama: what it says that Parley says, Parley says; its settings are the engine's."""

from __future__ import annotations

import re
from pathlib import Path

from parley.config import load
from parley.engines import registry
from parley.engines.llm.ollama import OllamaModel
from parley.engines.ports import LLM
from tests.docs.commands import ROOT, blocks, commands, page

PAGE = page("docs/ollama.md")
SOURCE = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/parley/engines/llm").glob("ollama*.py"))


def test_each_message_is_one_of_the_engine() -> None:
    table = PAGE.split("## When it does not work")[1]
    quoted = re.findall(r'^\| "([^"]+)"', table, re.MULTILINE)
    assert len(quoted) > 5
    assert [text for text in quoted if text not in SOURCE] == []


def test_its_file_makes_the_engine(tmp_path: Path) -> None:
    (text,) = blocks(PAGE, "toml")
    path = tmp_path / "parley.toml"
    path.write_text(text, encoding="utf-8")
    engine = registry.create(LLM, load(path, {}, {}).pipelines["default"].engines[LLM])
    assert isinstance(engine, OllamaModel)
    assert f"ollama pull {engine.model}" in PAGE


def test_the_address_of_another_machine_reaches_the_engine() -> None:
    (elsewhere,) = [command for command in commands(PAGE) if command.variables]
    spec = load(None, {"llm": elsewhere.words[-1]}, elsewhere.variables).pipelines["default"].engines[LLM]
    engine = registry.create(LLM, spec)
    assert isinstance(engine, OllamaModel)
    assert engine.shown_url == elsewhere.variables["PARLEY_LLM_BASE_URL"]
