"""A server with manners of its own: it answers only when it is asked a question or spoken to by name.

    python examples/custom_policy_server.py [PORT]

Any Realtime client can connect. A policy is asked of each finished turn; everything else is the usual server.
"""

import argparse
import os

import parley
from parley.config import load
from parley.core.policy.policy import Decided
from parley.server.app import serve

QUESTIONS = {"what", "who", "when", "where", "why", "how", "which", "is", "are", "can", "do", "does", "will"}


class WhenAsked(parley.Assistant):
    """Answers questions, and whatever holds its name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def turn_ended(self, said: parley.Said) -> tuple[Decided, ...]:
        return (parley.Answer(),) if self._is_asked(said.text) else ()

    def may_speculate(self, said: parley.Said) -> bool:
        return self._is_asked(said.text)

    def _is_asked(self, transcript: str) -> bool:
        words = transcript.lower().replace("?", " ?").split()
        first = words[0].partition("'")[0] if words else ""  # "what's" asks too
        return first in QUESTIONS or "?" in words or self._name in words


def main(port: str) -> None:
    serve(load(None, {"port": port}, os.environ), policy=WhenAsked("parley"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", nargs="?", default="8765", metavar="PORT")
    try:
        main(parser.parse_args().port)
    except parley.ParleyError as error:
        parser.error(str(error))
