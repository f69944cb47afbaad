"""The answers of a session's own policy and rules, for traces: recorded with the event that asked for them, and given again in a replay.

Laws: built-in judgements are not recorded, as they answer alike; a replay imports no code of the session's owner. Recording changes no
answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from parley.core.policy.policy import Decided, OverOutput, Policy, Said
from parley.core.policy.turn_rules import Endpointing, FloorRule, PauseSeen, PreRoll, Rules
from parley.core.spec import SessionSpec
from parley.core.words.settings import TurnDetection

Ask = Callable[[Callable[[], Any]], Any]
"""Given how the owner's own judgement is asked, returns the answer that counts."""


class AnswerLog:
    """Records the answers of one session. Make the session from `watched(spec)`, and `take()` after each step."""

    def __init__(self) -> None:
        self._answers: list[object] = []

    def watched(self, spec: SessionSpec) -> SessionSpec:
        """The spec with its own policy and rules behind this log."""
        return _through(spec, self._ask, spec.policy, spec.rules or Rules())

    def take(self) -> list[object]:
        """The answers since the last call, in the order of the questions."""
        answers, self._answers = self._answers, []
        return answers

    def _ask(self, judgement: Callable[[], Any]) -> Any:
        answer = judgement()
        self._answers.append(answer)
        return answer


class AnswerReplay:
    """Gives recorded answers. Make the session from `watched(spec, ...)`; `load()` the answers of a step before it."""

    def __init__(self) -> None:
        self._answers: deque[object] = deque()

    def watched(self, spec: SessionSpec, speaks: bool | None, own_rules: Iterable[str]) -> SessionSpec:
        """The spec with a policy (`speaks` None: the built-in one) and rules of these names that answer as recorded."""
        policy: Any = None if speaks is None else _Absent(speaks)
        absent: Any = _Absent(True)
        return _through(spec, self._ask, policy, replace(Rules(), **dict.fromkeys(own_rules, absent)))

    def load(self, answers: Iterable[object]) -> None:
        """The answers of the step that follows."""
        self._answers = deque(answers)

    @property
    def left(self) -> int:
        """Answers of the step that were not asked for."""
        return len(self._answers)

    def _ask(self, judgement: Callable[[], Any]) -> Any:
        if not self._answers:
            raise LookupError("a judgement was asked for that is not in the recording")
        return self._answers.popleft()


def own_rules(rules: Rules | None) -> list[str]:
    """The names of those rules that are not the built-in ones."""
    built_in, given = Rules(), rules or Rules()
    return [name for name in Rules.__slots__ if getattr(given, name) is not getattr(built_in, name)]


def _through(spec: SessionSpec, ask: Ask, policy: Policy | None, rules: Rules) -> SessionSpec:
    own = own_rules(rules)
    endpointing = _Endpointing(rules.endpointing, ask) if "endpointing" in own else rules.endpointing
    pre_roll = _PreRoll(rules.pre_roll, ask) if "pre_roll" in own else rules.pre_roll
    floor = None if rules.floor is None else _Floor(rules.floor, ask)
    return replace(
        spec,
        policy=None if policy is None else _Policy(policy, ask),
        rules=Rules(endpointing, pre_roll, floor) if own else spec.rules,
    )


class _Absent:
    """In the place of an owner's judgement in a replay, where the recording answers."""

    def __init__(self, speaks: bool) -> None:
        self.speaks = speaks


class _Policy:
    def __init__(self, policy: Policy, ask: Ask) -> None:
        self.speaks = policy.speaks
        self._policy = policy
        self._ask = ask

    def words_became_stable(self, said: Said) -> tuple[Decided, ...]:
        return tuple(self._ask(lambda: tuple(self._policy.words_became_stable(said))))

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        return tuple(self._ask(lambda: tuple(self._policy.turn_ended(said))))

    def may_speculate(self, said: Said) -> bool:
        return bool(self._ask(lambda: bool(self._policy.may_speculate(said))))

    def voice_over_output(self) -> OverOutput:
        answer: OverOutput = self._ask(lambda: self._policy.voice_over_output())
        return answer


class _Endpointing:
    def __init__(self, rule: Endpointing, ask: Ask) -> None:
        self._rule = rule
        self._ask = ask

    def pause_needed_ms(self, detection: TurnDetection, pause: PauseSeen) -> int:
        return int(self._ask(lambda: int(self._rule.pause_needed_ms(detection, pause))))


class _PreRoll:
    def __init__(self, rule: PreRoll, ask: Ask) -> None:
        self._rule = rule
        self._ask = ask

    def pre_roll_ms(self, detection: TurnDetection, before: tuple[float, ...]) -> int:
        return int(self._ask(lambda: int(self._rule.pre_roll_ms(detection, before))))


class _Floor:
    def __init__(self, rule: FloorRule, ask: Ask) -> None:
        self._rule = rule
        self._ask = ask

    def takes_floor(self, text: str, voice_ms: int) -> bool:
        return bool(self._ask(lambda: bool(self._rule.takes_floor(text, voice_ms))))
