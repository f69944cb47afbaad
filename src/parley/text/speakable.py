"""The form of a written clause for a synthesizer: the words, without marks that are only meant to be read.

Laws: pure and linear; looks at one clause (plus whether it begins a line), so it strips marks without needing their partners.
What holds a letter, a digit or a sign with a name is never without a spoken form: what a transcript shows as spoken is spoken. Only marks
have none (rules, tags, emoji, punctuation): they come out as "".

Headings, bullets, quotes, emphasis, backticks, table bars and HTML tags go; a link is its label; a bare URL is its host name; HTML entities
and LaTeX become what they stand for; emoji go; arrows become pauses; white space folds; digits of every script, in circles too, become
0 to 9, and so do superscripts that begin a word (a note's number); fractions that few voices have a name for become two numbers.
Powers, other numbers, dates, units and e-mail addresses stay: reading them depends on the language, and is the business of the
synthesizer, or of `spoken_form` where that does not do it.
Long runs without a space are opened at their punctuation, and a run of letters that is longer than any word is said by its beginning.

A library does not serve here: markdown parsers (markdown-it-py, mistune) want whole documents and would take half an emphasis
for text; the `emoji` package brings 4 MB of names to answer a question of code point ranges.
"""

from __future__ import annotations

import html
import re
import unicodedata
from fractions import Fraction
from typing import Final

from parley.text.tex import without_tex

_MAX_WORD_CHARS: Final = 80
"""Longer runs without a space are lists, numbers, paths, keys or base64."""

_BEGINNING_CHARS: Final = 20
"""Letters spoken of a long run without meaning to a listener (a key, base64, a stretched "no")."""

_IMAGE_OR_LINK: Final = re.compile(r"!?\[([^\]\n]{0,500})\]\(([^)\s]{0,2000})(?:\s[^)\n]{0,300})?\)")
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
_NUMBER: Final = re.compile(r"[-+]?[0-9]+(?:[.,][0-9]*)?[.]?")
_NUMBERS: Final = re.compile(r"(?<![\w.,])(?!\d{1,3}(?:,\d{3})+(?!,?\d))\d+(?:,\d+){2,}(?![\w.])")
"""Three numbers or more without spaces, unless they may be the thousands of one."""

_LISTED: Final = re.compile(r"(?<=[,;|/&=?])(?=\w)")
_JOINED: Final = re.compile(r"(?<=[^A-Za-z0-9])(?=[A-Za-z0-9])")
_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_OTHER_NUMBER: Final = re.compile(r"[^\x00-\x7f\W]")
_RAISED: Final = re.compile(r"(?<!\S)[\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089]+")
_NAMED_FRACTIONS: Final = frozenset("½⅓⅔¼")
_NAMES_THREE_QUARTERS: Final = frozenset(["", *"af cs da de en fr hu it kn lt ltg lv nl pl pt sk ta ti".split()])  # noqa: SIM905
"""Languages in which espeak-ng says "¾"; every one has names for the other three."""

_WORD: Final = re.compile(r"[^\W_]+")
_NAMED_SIGNS: Final = frozenset("%±×÷√∞≈≠≤≥")
"""Signs that a synthesizer says by name, as it says those of currencies; "=", "+" and "#" alone are marks of markdown."""


def speakable(text: str, *, line_start: bool = True, language: str = "") -> str:
    """The spoken form of a clause; "" where there is nothing to say. `line_start`: whether the clause begins a line; `language`: a
    BCP-47 tag, "" where it is unknown."""
    line = text.lstrip()
    if line_start or "\n" in text[: len(text) - len(line)]:
        if _RULE.match(line.rstrip()):
            return ""
        mark = _LINE_MARK.match(line)
        if mark:
            line = line[mark.end() :]
    spoken = _without_marks(line, language)
    if not has_sound(spoken) and has_sound(shown := _TAG.sub(" ", _entities(text))):
        # Only marks were found (a lone "[1]", an image without a name): the words are spoken unchanged.
        spoken = " ".join(_WORD.findall(_LONG.sub(_open, _numbers(shown, language)))) or shown.strip()
    if not has_sound(spoken):
        return ""
    return spoken + "," if text.rstrip().endswith(",") and not spoken.endswith(",") else spoken


def has_sound(text: str) -> bool:
    """Whether there is anything in the text that can be said: a letter, a digit, a sign with a name."""
    return any(
        character.isalnum() or character in _NAMED_SIGNS or unicodedata.category(character) == "Sc"
        for character in text
    )


def _without_marks(line: str, language: str) -> str:
    line = _IMAGE_OR_LINK.sub(lambda link: link.group(1) if link.group(1).strip() else f" {link.group(2)} ", line)
    line = _REFERENCE.sub("", line)
    line = _URL.sub(_host, line)
    line = without_tex(line)
    line = _entities(_TAG.sub(" ", line))
    line = _numbers(line, language)
    line = _LONG.sub(_open, line)
    line = _NUMBERS.sub(lambda numbers: numbers.group().replace(",", ", "), line)
    line = _EMOJI.sub(" ", line)
    line = _ARROW.sub(", ", line)
    line = _EMPHASIS.sub("", line).replace("`", "")
    if "|" in line:
        line = _BAR.sub(", ", line.strip().strip("|"))
    return _SPACE_BEFORE_STOP.sub(r"\1", _SPACE.sub(" ", line)).strip(" \t\n,")


def _numbers(text: str, language: str) -> str:
    """Numbers of other scripts and forms in the digits 0 to 9, where a voice may have no name for them."""
    if text.isascii():
        return text
    named = _NAMED_FRACTIONS
    if language.lower().partition("-")[0] in _NAMES_THREE_QUARTERS:
        named |= {"¾"}
    text = _RAISED.sub(lambda run: unicodedata.normalize("NFKC", run.group()), text)
    return _OTHER_NUMBER.sub(lambda found: _number(found, named), text)


def _number(found: re.Match[str], named: frozenset[str]) -> str:
    character, category = found.group(), unicodedata.category(found.group())
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category != "No" or character in named or unicodedata.decomposition(character).startswith(("<super>", "<sub>")):
        return character
    number = Fraction(unicodedata.numeric(character)).limit_denominator(1_000)
    before, after = found.string[: found.start()][-1:], found.string[found.end() :][:1]
    return f"{' ' * before.isalnum()}{number}{' ' * after.isalnum()}"


def _host(match: re.Match[str]) -> str:
    return match.group(1).rpartition("@")[2].partition(":")[0]


def _entities(text: str) -> str:
    """Replaces `&amp;` and other entities by their characters; text that only looks like one stays."""
    return _ENTITY.sub(lambda entity: html.unescape(entity.group()), text) if "&" in text else text


def _open(run: re.Match[str]) -> str:
    """A long run without a space, in words: a list in its parts, digits whole, letters by their beginning."""
    words: list[str] = []
    for part in _LISTED.split(run.group()):
        words += [part] if len(part) <= _MAX_WORD_CHARS or _is_number(part) else _JOINED.split(part)
    return " ".join(
        word if len(word) <= _MAX_WORD_CHARS or _is_number(word) else word[:_BEGINNING_CHARS] for word in words
    )


def _is_number(word: str) -> bool:
    return _NUMBER.fullmatch(word.strip(",;:!?)(")) is not None
