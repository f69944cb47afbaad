"""docs/clients.md names every test of a stock client, and the versions that are tried."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "tests/clients"
PAGE = (ROOT / "docs/clients.md").read_text(encoding="utf-8")


def test_every_test_of_a_client_is_in_the_table_and_every_one_named_there_exists() -> None:
    named = set(re.findall(r"`((?:clients|web|server|examples)/[\w/]+)`", PAGE))
    tests = {
        path.relative_to(ROOT / "tests").with_suffix("").as_posix()
        for path in CLIENTS.rglob("test_*.py")
        if "node" not in path.parts
    }
    assert tests <= named
    assert [name for name in named if not (ROOT / "tests" / f"{name}.py").exists()] == []


def test_the_versions_are_those_that_are_installed() -> None:
    pinned = re.findall(r"^([\w-]+)(?:\[.*\])?==([\d.]+)$", (CLIENTS / "requirements.txt").read_text(), re.MULTILINE)
    beta = re.findall(r"^(openai)(?:\[.*\])?==([\d.]+)$", (CLIENTS / "beta/requirements.txt").read_text(), re.MULTILINE)
    node = json.loads((CLIENTS / "node/package.json").read_text())["dependencies"]
    shown = {*pinned, *beta, *((name, version) for name, version in node.items() if name not in ("ws", "esbuild"))}
    assert len(shown) >= 8
    assert [(name, version) for name, version in shown if version not in PAGE] == []
