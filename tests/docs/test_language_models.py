"""The page about language models is correct: its examples load, and it names every option of the engines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from parley.config import load
from parley.engines import registry
from parley.engines.llm import chain, llama, ollama, openai, responses
from parley.engines.ports import LLM

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "language-models.md").read_text(encoding="utf-8")
Create = Callable[[str, Mapping[str, object]], object]


def options_of(create: Create, model: str = "m") -> set[str]:
    with pytest.raises(ValueError, match="knows no option") as caught:
        create(model, {"no_such_option": 1})
    return set(str(caught.value).rpartition("It has: ")[2].rstrip(".").split(", "))


def documented(title: str) -> set[str]:
    section = PAGE.split(f"## {title}")[1].split("\n## ")[0].split("| Option |")[1].split("\n\n")[0]
    return {name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}


@pytest.mark.parametrize(
    ("title", "known"),
    [
        ('`llm = "llama:PATH.gguf"`', options_of(llama.create, "model.gguf")),
        ('`llm = "ollama:MODEL"`', options_of(ollama.create)),
        ('`llm = "responses:MODEL"`', options_of(responses.create) - options_of(openai.create)),
        ("Several in order", options_of(chain.create, "openai:a, responder") - {"openai", "openai:a", "responder"}),
    ],
)
def test_every_option_is_documented_and_no_other(title: str, known: set[str]) -> None:
    assert documented(title) == known


def test_the_file_loads(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert example
    path = tmp_path / "parley.toml"
    path.write_text(example[1], encoding="utf-8")
    config = load(path, {"pipeline": "both"}, {})
    specs = {name: config.pipelines[name].engines[LLM] for name in ("local", "hosted", "both")}
    assert [spec.name for spec in specs.values()] == ["ollama", "responses", "chain"]
    for spec in specs.values():
        registry.create(LLM, spec)
    both = registry.create(LLM, specs["both"])
    assert isinstance(both, chain.ModelChain)
    assert [member.name for member in both.members] == ["openai:gpt-5-mini", "ollama:qwen3:4b-instruct"]
    assert "192.168.1.20" in both.members[1].engine.info.summary


def test_the_commands_are_understood() -> None:
    block = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert block
    named = [shlex.split(line)[-1] for line in block[1].splitlines()]
    specs = [load(None, {"llm": name}, {}).pipelines["default"].engines[LLM] for name in named]
    assert [spec.name for spec in specs] == ["llama", "ollama", "responses", "chain"]
    for spec in specs:
        registry.create(LLM, spec)
