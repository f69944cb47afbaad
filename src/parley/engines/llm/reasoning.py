"""Takes a model's inline reasoning (`<think>...</think>`) out of its answer while both are being written.

Laws: pure; tags may be torn over any number of pieces; what is certainly not part of a tag goes out at once.

Some chat templates put the opening tag into the prompt, so that the answer begins in the middle of the reasoning and only a
closing tag shows it. `opened=True` begins there: everything is held back up to the closing tag, and, if none comes, given out as
the answer.
"""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = ("think", "thinking", "thought", "reasoning")
_OPENING: Final = re.compile(rf"<(?:{'|'.join(_NAMES)})>", re.IGNORECASE)
_CLOSING: Final = re.compile(rf"</(?:{'|'.join(_NAMES)})>", re.IGNORECASE)
_TAG: Final = re.compile(f"{_OPENING.pattern}|{_CLOSING.pattern}", re.IGNORECASE)
_TAGS: Final = tuple(f"<{slash}{name}>" for name in _NAMES for slash in ("", "/"))

MAX_HELD_CHARS: Final = 1_000_000
"""Held back for a closing tag that may never come: more than any model reasons. Beyond it, it is taken for the answer."""


class ReasoningFilter:
    """`push()` the model's text and speak what comes back; `finish()` gives what was held back.

    `unopened` is set afterwards where a closing tag came without an opening one: ask for `opened=True` next time.
    """

    def __init__(self, opened: bool = False) -> None:
        self._inside = opened
        self._guess = opened  # inside by assumption: what is held may still turn out to be the answer
        self._held: list[str] = []
        self._held_chars = 0
        self._tail = ""  # the beginning of a tag, perhaps
        self._strip = opened  # drop white space between the reasoning and the answer
        self.unopened = False

    def push(self, text: str) -> str:
        """The part of the answer that is certain by now ("" while the model reasons)."""
        out: list[str] = []
        text = self._tail + text
        self._tail = ""
        start = 0
        while tag := (_CLOSING if self._inside and not self._guess else _TAG).search(text, start):
            self._give(text[start : tag.start()], out)
            start = tag.end()
            self._turn(tag.group().startswith("</"), out)
        keep = _torn_tag(text[start:])
        self._give(text[start : len(text) - keep], out)
        self._tail = text[len(text) - keep :]
        return "".join(out)

    def finish(self, *, cut_short: bool = False) -> str:
        """What was held back in case it was reasoning, and was not (nothing if the model was cut short: then it cannot be known)."""
        out: list[str] = []
        tail, self._tail = self._tail, ""
        self._give(tail, out)
        if self._guess:
            return "" if cut_short else "".join(self._held).strip()
        return "".join(out)

    def _give(self, text: str, out: list[str]) -> None:
        if self._inside:
            if not self._guess:
                return
            self._held.append(text)
            self._held_chars += len(text)
            if self._held_chars <= MAX_HELD_CHARS:
                return
            text = "".join(self._held)
            self._inside = self._guess = False
            self._held.clear()
        if self._strip:
            text = text.lstrip()
            self._strip = not text
        out.append(text)

    def _turn(self, closing: bool, out: list[str]) -> None:
        if closing:
            self.unopened = self.unopened or self._guess or not self._inside
        elif self._guess:  # an opening tag of its own: what came before it was no reasoning
            out.append("".join(self._held).lstrip())
        self._guess = False
        self._held.clear()
        self._inside = not closing
        self._strip = True


def _torn_tag(text: str) -> int:
    """How many characters at the end may be the beginning of a tag."""
    start = text.rfind("<", max(0, len(text) - max(map(len, _TAGS))))
    if start < 0:
        return 0
    end = text[start:].lower()
    return len(end) if any(tag.startswith(end) for tag in _TAGS) else 0
