"""Writes src/parley/config/commented.toml, the file of `parley config init`; `--check` fails when it is out of date.

The keys and defaults are the schema's, the words those of docs/configuration.md and docs/interpreting.md.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from parley.config.schema import PIPELINE_SECTION, ConfigSchema, FillersSection
from parley.engines.ports import stages

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "src/parley/config/commented.toml"
PAGES = (ROOT / "docs/configuration.md", ROOT / "docs/interpreting.md")
WIDTH = 100

HEAD = """\
# The configuration of Parley. Every line that begins with "# " and a key shows the default: remove the "# " to change it.
# `parley config` shows what is in force, and where each value comes from. Environment variables and flags win over this file.

"""

EXAMPLES: dict[str, Any] = {
    "allowed_mcp_servers": ["https://tools.example.com/"],
    "original_volume": 0.15,
    "original_forward": 0.15,
    "original_reverse": 0.15,
    "cost_cap": 5.0,
}
"""Values of settings that have no default."""

NESTED = {"fillers", *(name for name in PIPELINE_SECTION.model_fields if name.endswith("_options"))}
"""Keys that are tables of their own."""


ENGINES = {stage.name for stage in stages()}
"""They come first in a pipeline."""


def main() -> int:
    text = made()
    if "--check" in sys.argv[1:]:
        if TARGET.read_text(encoding="utf-8") != text:
            print(f"{TARGET.relative_to(ROOT)} is out of date: run scripts/commented_config.py", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text, encoding="utf-8")
    return 0


def made() -> str:
    words = meanings()
    sections = [
        HEAD,
        _line("default_pipeline", "default", "the pipeline that serves, unless a client's `model` names another"),
        "\n",
    ]
    sections += [_section("pipelines.default", PIPELINE_SECTION, words["[pipelines.NAME]"])]
    sections += [
        "# Options of an engine, such as the endpoint of its server: docs/configuration.md lists them.\n"
        "# [pipelines.default.llm_options]\n# base_url = \"http://localhost:11434/v1\"\n\n"
    ]  # fmt: skip
    sections += [_section("pipelines.default.fillers", FillersSection, words["[pipelines.NAME.fillers]"])]
    for name, field in ConfigSchema.model_fields.items():
        section = field.annotation
        if name != "pipelines" and isinstance(section, type) and issubclass(section, BaseModel):
            sections.append(_section(name, section, words.get(f"[{name}]", words["interpret"])))
    return "".join(sections).rstrip() + "\n"


def _section(name: str, section: type[BaseModel], words: dict[str, str]) -> str:
    lines = [f"[{name}]\n"]
    for key, field in sorted(section.model_fields.items(), key=lambda one: one[0] not in ENGINES):
        if key not in NESTED:
            default = field.get_default(call_default_factory=True, validated_data={})
            example = default is None
            lines.append(
                _line(key, EXAMPLES[key] if example else default, words[key] + (". An example:" if example else ""))
            )
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any, words: str) -> str:
    comment = "\n".join(
        f"## {line}" for line in textwrap.wrap(words, WIDTH, break_long_words=False, break_on_hyphens=False)
    )
    shown = "{}" if value == {} else json.dumps(value, ensure_ascii=False)
    return f"{comment}\n# {key} = {shown}\n"


def meanings() -> dict[str, dict[str, str]]:
    """By section ("interpret" for the page of calls), what the pages say of each key."""
    found: dict[str, dict[str, str]] = {}
    for page in PAGES:
        section = "interpret" if page.name == "interpreting.md" else ""
        for line in page.read_text(encoding="utf-8").splitlines():
            if heading := re.match(r"#+ `(\[[\w.]+\])`", line):
                section = heading[1]
            row = re.split(r"\s*(?<!\\)\|\s*", line)[1:-1]
            if len(row) == 5 and row[0].startswith("`"):
                for key in row[0].split(","):
                    found.setdefault(section, {})[key.strip(" `")] = _plain(row[4])
    return found


def _plain(text: str) -> str:
    """Markdown as a comment: links as their words or their page."""
    text = re.sub(r"\[([^\]]+\.md)\]\([^)]*\)", r"docs/\1", text)
    text = re.sub(r"\[below\]\([^)]*\)", "docs/configuration.md", text)
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text).replace("\\|", "|")


if __name__ == "__main__":
    sys.exit(main())
