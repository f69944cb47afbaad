"""What the README and the quickstart say that one sees after `make serve` is what the server says, started with nothing configured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.commands import blocks, page
from tests.web.server import Server

PAGES = ("README.md", "docs/quickstart.md")


def shown(name: str) -> list[str]:
    """The lines of the block."""
    (block,) = [text for text in blocks(page(name), "console") if text.startswith("$ make serve\n")]
    return block.splitlines()[1:]


def test_both_pages_show_the_same() -> None:
    assert shown(PAGES[0]) == shown(PAGES[1])


@pytest.mark.slow
def test_each_line_is_one_that_the_server_prints(tmp_path: Path) -> None:
    elsewhere = "[pipelines.default]\nllm_options = { ports = '9' }\n"  # a model's server that this machine may have
    (tmp_path / "parley.toml").write_text(elsewhere, encoding="utf-8")
    server = Server(cwd=tmp_path)
    server.end()
    printed = [re.sub(r":\d{4,5}\b", ":8765", line.rstrip()) for line in server.log]
    begun = next(number for number, line in enumerate(printed) if line.startswith("Parley listens on"))
    rest = iter(printed[begun:])
    for line in shown("README.md"):
        stable = line.removesuffix("...").rstrip()
        assert any(other.startswith(stable) for other in rest), (
            f"{line!r} is not printed, or not in this order:\n{printed}"
        )
