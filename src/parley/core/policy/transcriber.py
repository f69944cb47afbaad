"""The transcriber's policy: a finished turn causes only its transcript."""

from __future__ import annotations


class Transcriber:
    """Never answers."""

    speaks = False

    def wants_reply(self, transcript: str) -> bool:
        return False

    def may_guess(self, transcript: str) -> bool:
        return False
