"""Text that can be encoded as UTF-8, from any text of an engine.

Laws: pure; a character that came in two halves (UTF-16 surrogates, as some model servers stream emoji) is joined again, a half that
stays alone becomes U+FFFD. Everything else passes unchanged.
"""

from __future__ import annotations

_HIGH = "\ud800", "\udbff"
"""The first halves, from the first to the last."""


def writable(text: str) -> str:
    """The text with its halves joined or replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class WholeCharacters:
    """One stream of text in pieces: a half at the end of one piece waits for the next."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = ""

    def push(self, text: str) -> str:
        """The next piece, as far as its characters are whole ("" where there is none yet)."""
        text, self._half = self._half + text, ""
        if text and _HIGH[0] <= text[-1] <= _HIGH[1]:
            text, self._half = text[:-1], text[-1]
        return writable(text)
