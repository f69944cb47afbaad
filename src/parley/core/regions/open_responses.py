"""The responses that are not done, in the default conversation and out of band, and the position of each.

Laws: at most one response in the default conversation; a response is in exactly one position until it is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from parley.core.regions.attempt import Plan
from parley.core.regions.response import Response
from parley.core.words.errors import InvariantBroken
from parley.core.words.ids import AttemptId, ResponseId
from parley.core.words.notices import Usage


@dataclass(frozen=True, slots=True)
class AwaitingInput:
    """It cannot start before transcripts, or the outcome of approved calls, have come."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Generating:
    """An attempt works on it."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class AwaitingCalls:
    """Its generation is over, the calls of its tools are not: it is done when they are."""

    plan: Plan
    usage: Usage


@dataclass(frozen=True, slots=True)
class Replaying:
    """It repeats audio that was made before."""


ResponsePosition = AwaitingInput | Generating | AwaitingCalls | Replaying


class OpenResponses:
    """The region. `begin` a response, `move` it, `end` it."""

    def __init__(self) -> None:
        self.main: Response | None = None
        """The response in the default conversation."""
        self.sides: dict[ResponseId, Response] = {}
        """The out-of-band responses."""
        self.any_ended = False
        """Whether any response in the default conversation has ended."""
        self.positions: dict[ResponseId, ResponsePosition] = {}
        """How far each has come; only this region changes it."""

    def __iter__(self) -> Iterator[Response]:
        main = () if self.main is None else (self.main,)
        return iter((*main, *self.sides.values()))

    def get(self, response_id: ResponseId) -> Response | None:
        if self.main is not None and self.main.id == response_id:
            return self.main
        return self.sides.get(response_id)

    def begin(self, response: Response, position: ResponsePosition) -> None:
        """It has begun: in the default conversation where it has one, else beside it."""
        if response.conversation_id is None:
            self.sides[response.id] = response
        elif self.main is not None:
            raise InvariantBroken(f"1: {response.id} begins while {self.main.id} holds the conversation")
        else:
            self.main = response
        self.positions[response.id] = position

    def position(self, response: Response) -> ResponsePosition:
        return self.positions[response.id]

    def move(self, response: Response, position: ResponsePosition) -> None:
        self.positions[response.id] = position

    def awaiting_input(self) -> list[tuple[Response, Plan]]:
        """Those that cannot start yet, and what they are to be made from; in the order in which they began."""
        found = ((self.get(key), position) for key, position in self.positions.items())
        return [
            (response, position.plan)
            for response, position in found
            if response is not None and isinstance(position, AwaitingInput)
        ]

    def awaiting_calls(self) -> list[Response]:
        return [response for response in self if isinstance(self.positions[response.id], AwaitingCalls)]

    def end(self, response: Response) -> ResponsePosition:
        """It is done; returns the position it was in."""
        if response is self.main:
            self.main = None
            self.any_ended = True
        else:
            self.sides.pop(response.id, None)
        return self.positions.pop(response.id)

    def clear(self) -> None:
        self.main = None
        self.sides.clear()
        self.positions.clear()
