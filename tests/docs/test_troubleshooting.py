"""The page about what does not work quotes messages as they are: each stands in the source."""

from __future__ import annotations

import re

from tests.docs.commands import ROOT, page

PAGE = page("docs/troubleshooting.md")
TOOLS = {"Connection refused", "underruns", "did you mean"}
"""Of other programs, or a single word."""


def source() -> str:
    """All of it, with the parts of a message that stands on several lines joined."""
    found = [
        path.read_text(encoding="utf-8")
        for folder, pattern in (("src/parley", "*.py"), ("src/parley", "*.js"), ("scripts", "*.sh"))
        for path in (ROOT / folder).rglob(pattern)
    ]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(found))


def test_each_message_that_is_quoted_is_in_the_source() -> None:
    known = source()
    quoted = {text for row in re.findall(r"^\| (.+?) \|", PAGE, re.MULTILINE) for text in re.findall(r'"([^"]+)"', row)}
    assert len(quoted - TOOLS) > 40
    missing = [
        text
        for text in quoted - TOOLS
        for part in text.split("...")
        if len(part.strip()) > 3 and part.strip() not in known and part.strip() not in "Address already in use."
    ]
    assert missing == []


def test_each_code_is_one_of_the_server_or_of_an_engine() -> None:
    codes = re.findall(r"^\| (?:\d{3} )?`([a-z]+(?:_[a-z]+)+)`", PAGE, re.MULTILINE)
    assert len(codes) > 5
    known = source()
    assert [code for code in codes if f'"{code}"' not in known] == []


def test_each_part_of_the_page_is_linked_at_its_head() -> None:
    head = PAGE.split("\n## ")[0]
    titles = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert re.findall(r"\[([^\]]+)\]\(#", head) == titles[:-2]
