"""A reply that goes on after a false stop: what a continued response may tell is the unheard rest of the one that was cut.

Laws: pure functions; the rest begins where the listening ended, to within a millisecond and the spaces at the cut.
"""

from __future__ import annotations

from parley.core.words.ids import ResponseId
from parley.core.words.limits import SAMPLES_PER_MS
from parley.testing.rules.attempts import ClauseRecord, End, StartedAttempt

_SLACK = SAMPLES_PER_MS


def continuation(
    cut: StartedAttempt, response: ResponseId, sample: int, least: int, most: int, first_words: str
) -> StartedAttempt | None:
    """The attempt that `response` speaks for, if `first_words` continue `cut`, heard up to `sample` of its audio.

    `least` and `most` bound the characters heard. None: these words do not follow there.
    """
    place = cut.text.find(first_words, least, most + len(first_words) + 1)
    if place < 0 or cut.end is not End.FINISHED:
        return None
    rest = StartedAttempt(cut.started, cut.changes, cut.settings_version, response, End.FINISHED, cut.reason)
    rest.text = cut.text[place:]
    position = 0
    for clause in (
        cut.clauses
    ):  # words that begin a later clause begin with its sound: what is left of the one before has no words
        if position == place and clause.start > sample:
            sample = clause.start
        position += len(clause.text)
    rest.audio = cut.audio[cut.started.format.size(sample) :]
    rest.resumed = (cut, sample)
    position = 0
    for clause in cut.clauses:
        text = clause.text[max(0, place - position) :]
        position += len(clause.text)
        end = clause.start + clause.samples
        if text:
            start = max(0, clause.start - sample)
            rest.clauses.append(ClauseRecord(text, start, max(0, end - sample - start)))
    return rest


def align(attempt: StartedAttempt, audio: bytes) -> None:
    """Move the beginning of a continued attempt's audio to where `audio` begins, at most a millisecond away."""
    if attempt.resumed is None or attempt.told_bytes or attempt.audio.startswith(audio):
        return
    cut, sample = attempt.resumed
    size = cut.started.format.size
    for shift in range(-_SLACK, _SLACK + 1):
        start = size(max(0, sample + shift))
        if cut.audio[start : start + len(audio)] == audio:
            attempt.audio = cut.audio[start:]
            return
