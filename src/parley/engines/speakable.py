"""What a synthesizer is given of a written clause: the words, without the marks that only an eye can use.

Laws: pure and linear; looks at one clause (plus whether it begins a line), so it strips marks without needing their partners.
What has no sound comes out as "".

Headings, bullets, quotes, emphasis, backticks, table bars and HTML tags go; a link is its label; a bare URL is its host name;
emoji go; arrows become pauses; white space folds. Numbers, dates, units and e-mail addresses stay: reading them is the
synthesizer's business, as it depends on the language.

A library does not serve here: markdown parsers (markdown-it-py, mistune) want whole documents and would take half an emphasis
for text; the `emoji` package brings 4 MB of names to answer a question of code point ranges.
"""

from __future__ import annotations

import re
from typing import Final

_MAX_WORD_CHARS: Final = 80
"""Longer runs of Latin letters and digits are keys, hashes or base64, which nobody wants to hear."""

_IMAGE_OR_LINK: Final = re.compile(r"!?\[([^\]\n]{0,500})\]\([^)\s]{0,2000}(?:\s[^)\n]{0,300})?\)")
_REFERENCE: Final = re.compile(r"\[\^?\d{1,3}\]")
_URL: Final = re.compile(
    r"<?(?:https?|ftp)://(?:www\.)?([^\s/?#<>()\[\]\"]{1,255})[^\s<>\"]*?(?=[.,;:!?)\]*_]*(?:[\s<>\"]|$))>?"
)
_TAG: Final = re.compile(r"</?[A-Za-z][A-Za-z0-9-]{0,30}(?:\s[^<>\n]{0,300})?/?>")
_LINE_MARK: Final = re.compile(r"[ \t]*(?:#{1,6}[ \t]+|>[> \t]*|[-*+•‣◦][ \t]+(?:\[[ xX]\][ \t]+)?)")
_RULE: Final = re.compile(r"[ \t]*(?:[-*_=|:+][ \t]*){3,}$")
_EMPHASIS: Final = re.compile(r"(?<![^\W_])[*_~]{1,3}(?=[^\s*_~])|(?<=[^\s*_~])[*_~]{1,3}(?![^\W_])|\*\*|~~|^[*_]+$")
_EMOJI: Final = re.compile(
    "[\u200d\u20e3\ufe0e\ufe0f\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001faff\U000e0020-\U000e007f]+"
)
_ARROW: Final = re.compile(r"\s*(?:[\u2190-\u21ff]|->|=>|<-)\s*")
_BAR: Final = re.compile(r"\s*\|\s*")
_SPACE: Final = re.compile(r"\s+")
_SPACE_BEFORE_STOP: Final = re.compile(r"\s+([,.!?;:])(?=\s|$)")
_LONG: Final = re.compile(rf"[!-~]{{{_MAX_WORD_CHARS + 1},}}")


def speakable(text: str, *, line_start: bool = True) -> str:
    """The spoken form of a clause; "" where there is nothing to say. `line_start`: whether the clause begins a line."""
    line = text.lstrip()
    if line_start or "\n" in text[: len(text) - len(line)]:
        if _RULE.match(line.rstrip()):
            return ""
        mark = _LINE_MARK.match(line)
        if mark:
            line = line[mark.end() :]
    line = _IMAGE_OR_LINK.sub(r"\1", line)
    line = _REFERENCE.sub("", line)
    line = _URL.sub(_host, line)
    line = _TAG.sub(" ", line)
    line = _LONG.sub(" ", line)
    line = _EMOJI.sub(" ", line)
    line = _ARROW.sub(", ", line)
    line = _EMPHASIS.sub("", line).replace("`", "")
    if "|" in line:
        line = _BAR.sub(", ", line.strip().strip("|"))
    line = _SPACE_BEFORE_STOP.sub(r"\1", _SPACE.sub(" ", line)).strip(" \t\n,")
    if not any(character.isalnum() for character in line):
        return ""
    return line + "," if text.rstrip().endswith(",") else line


def _host(match: re.Match[str]) -> str:
    return match.group(1).rpartition("@")[2].partition(":")[0]
