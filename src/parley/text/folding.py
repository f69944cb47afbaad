"""Text for comparing: small letters without accents, character by character, so that places in it are places in the text.

Laws: pure; the result is as long as the text.
"""

from __future__ import annotations

import unicodedata


def folded(text: str) -> str:
    """In small letters without accents, character by character: as long as the text."""
    return "".join(_plain_letter(letter) for letter in text)


def _plain_letter(letter: str) -> str:
    small = unicodedata.normalize("NFD", letter)[0].lower()
    return small if len(small) == 1 else letter
