"""What is said while a reply is awaited: "One moment, please." """

from __future__ import annotations

from dataclasses import dataclass

from parley.text.language_tags import primary_tag


@dataclass(frozen=True, slots=True)
class FillerPhrases:
    """Phrases of one language (BCP 47); those of "" are said in every session whose language has none of its own."""

    language: str
    phrases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fillers:
    """After `after_ms` in which a reply is awaited and nothing is heard, a phrase is said, again after each further `interval_ms`, and at
    most `most` times until the reply comes. Without phrases in the session's language nothing is said."""

    phrases: tuple[FillerPhrases, ...] = ()
    after_ms: int = 1_500
    interval_ms: int = 5_000
    most: int = 2

    def in_language(self, language: str) -> FillerPhrases | None:
        """The phrases of this language."""
        wanted = primary_tag(language)
        return next((one for one in self.phrases if primary_tag(one.language) == wanted and one.phrases), None)
