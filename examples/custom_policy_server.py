"""A server with manners of its own: it answers only when it is asked a question or spoken to by name.

    python examples/custom_policy_server.py [PORT]

Any Realtime client can connect. A policy is asked of each finished turn; everything else is the usual server.
"""

import os
import sys

from parley.config import load
from parley.server.app import serve

QUESTIONS = {"what", "who", "when", "where", "why", "how", "which", "is", "are", "can", "do", "does", "will"}


class WhenAsked:
    """Answers questions, and whatever holds its name."""

    speaks = True

    def __init__(self, name: str) -> None:
        self._name = name

    def wants_reply(self, transcript: str) -> bool:
        words = transcript.lower().replace("?", " ?").split()
        first = words[0].partition("'")[0] if words else ""  # "what's" asks too
        return first in QUESTIONS or "?" in words or self._name in words

    def may_guess(self, transcript: str) -> bool:
        return self.wants_reply(transcript)


def main(port: str) -> None:
    serve(load(None, {"port": port}, os.environ), policy=WhenAsked("parley"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "8765")
