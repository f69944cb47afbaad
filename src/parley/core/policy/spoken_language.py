"""Whether the language that a recogniser reports for a turn is believed.

Laws: pure. A recogniser that finds the language out by itself errs on a word or two, and a wrong language changes the voice of the reply:
so the expected language stays until there is evidence for another one.
"""

from __future__ import annotations

from parley.text.language_tags import primary_tag

CONFIDENT = 0.8
"""Probability of a language that is evidence by itself. faster-whisper accepts 0.5 for a file; here a false switch is heard as another
voice, while a language that is kept for one turn too long is corrected by the next."""

LONG_TURN_MS = 3_000
"""A turn of so much audio is evidence where the recogniser is not confident, or does not say: about two clauses of speech."""


def believed_language(reported: str, confidence: float | None, turn_ms: int, expected: str) -> str:
    """The language of a turn of `turn_ms`: `reported`, or `expected` where there is no evidence for it.

    `expected` is the language that the recogniser was given, else that of the turns before, "" where neither is known. `confidence` is the
    probability of `reported` in 0..1, None where the recogniser gives none. A report of "" is taken as it is: the recogniser knows no
    language. Languages are BCP 47 tags.
    """
    if not reported or primary_tag(reported) == primary_tag(expected):
        return reported
    confident = confidence is not None and confidence >= CONFIDENT
    return reported if confident or turn_ms >= LONG_TURN_MS else expected
