"""The owner's judgements about the voice, as the core calls them: functions, objects or plain numbers behind the session's border.

Laws: a judgement that fails is reported as `Failed`, and the built-in one replaces it; audio is copied only for a function that has a
parameter for it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, get_args

import numpy as np

from parley.audio import pcm
from parley.audio.resampling import resample
from parley.audio.types import Samples
from parley.core.policy.assistant import Assistant
from parley.core.policy.policy import Answer, Decided, OverOutput, Policy, Said, Say, Translate
from parley.core.policy.turn_rules import Endpointing, FloorRule, PauseSeen, PreRoll, RuleTable
from parley.core.words.limits import JUDGE_AUDIO_MS, SAMPLE_RATE
from parley.core.words.settings import TurnDetection
from parley.engines.ports import EngineError
from parley.library.functions import asked_for, name_of
from parley.library.own_code import OwnCode

AUDIO_RATE = 16_000
"""The sample rate of audio for judgements, as for turn judges, in Hz."""

NOT_FINISHED_MS = 60_000
"""How long a pause must last after "not finished". The judgement is called again with the next frame."""

_TABLE = RuleTable()
_BUILT_IN = Assistant()


class ObservedSession(Protocol):
    """What a judgement may read besides its arguments."""

    @property
    def speaking(self) -> bool: ...

    def turn_audio(self, longest_ms: int) -> bytes: ...


class JudgementContext:
    """The conversation, for functions with parameters for it. Set `conversation` before the first call."""

    conversation: ObservedSession | None = None

    def of(self, names: frozenset[str]) -> Mapping[str, Any]:
        """`audio`: the turn's last 8 seconds, float32 `[n]` at 16 kHz; `playing`: whether the listener hears a reply."""
        found: dict[str, Any] = {}
        if "playing" in names:
            found["playing"] = self.conversation is not None and self.conversation.speaking
        if "audio" in names:
            found["audio"] = self._audio()
        return found

    def _audio(self) -> Samples:
        heard = b"" if self.conversation is None else self.conversation.turn_audio(JUDGE_AUDIO_MS)
        return resample(pcm.to_float(heard), SAMPLE_RATE, AUDIO_RATE, "LQ")


class Asked:
    """One judgement: the function, its name in messages, and the parameters it has for the view."""

    def __init__(
        self, part: str, function: Callable[..., Any], own: OwnCode, view: JudgementContext, *, name: str = ""
    ) -> None:
        self._part = part
        self._function = function
        self._name = f"{part}={name or name_of(function)}"
        self._own = own
        self._view = view
        self._wants = asked_for(function, ("audio", "playing"))

    def ask(self, otherwise: Callable[[], Any], understand: Callable[[str, Any], Any], *arguments: Any) -> Any:
        """The answer as `understand` reads it; `otherwise()` where it fails."""
        return self._own.ask(self._part, self._name, lambda: self._answer(understand, arguments), otherwise)

    def _answer(self, understand: Callable[[str, Any], Any], arguments: tuple[Any, ...]) -> Any:
        answer = self._function(*arguments, **self._view.of(self._wants))
        if inspect.isawaitable(answer):
            if inspect.iscoroutine(answer):
                answer.close()
            raise _useless(self._name, answer, "Its answer is wanted at once: give a plain function.")
        return understand(self._name, answer)


def _useless(name: str, answer: object, remedy: str) -> EngineError:
    return EngineError(f"{name} gave {answer!r}.", code="invalid_answer", remedy=remedy)


def _milliseconds(name: str, answer: Any) -> int:
    if isinstance(answer, bool | np.bool_):
        return 0 if answer else NOT_FINISHED_MS
    if isinstance(answer, int | float | np.integer | np.floating) and math.isfinite(answer) and answer >= 0:
        return min(int(answer), NOT_FINISHED_MS)
    raise _useless(name, answer, "Give milliseconds of silence, or whether the turn is finished.")


def _truth(name: str, answer: Any) -> bool:
    if answer is None or isinstance(answer, bool | int | float | np.bool_):
        return bool(answer)
    raise _useless(name, answer, "Give True or False.")


def _decided(name: str, answer: Any) -> tuple[Decided, ...]:
    if isinstance(answer, tuple | list) and all(isinstance(one, Answer | Translate | Say) for one in answer):
        return tuple(answer)
    raise _useless(name, answer, "Give a tuple of Answer, Translate and Say.")


def _over_output(name: str, answer: Any) -> OverOutput:
    if answer in get_args(OverOutput):
        chosen: OverOutput = answer
        return chosen
    raise _useless(name, answer, f"Give one of {', '.join(map(repr, get_args(OverOutput)))}.")


def _method(part: str, judge: object, name: str, own: OwnCode, view: JudgementContext) -> Asked:
    return Asked(part, getattr(judge, name), own, view, name=f"{type(judge).__name__}.{name}()")


class OwnEndpointing:
    """Milliseconds, a function of `PauseSeen`, or an `Endpointing`."""

    def __init__(self, judge: Endpointing | Callable[..., Any] | int, own: OwnCode, view: JudgementContext) -> None:
        self._takes_detection = hasattr(judge, "pause_needed_ms")
        if isinstance(judge, int | np.integer):
            ms = int(judge)
            self._asked = Asked("endpointing", lambda _: ms, own, view)
        elif self._takes_detection:
            self._asked = _method("endpointing", judge, "pause_needed_ms", own, view)
        else:
            self._asked = Asked("endpointing", judge, own, view)  # type: ignore[arg-type]

    def pause_needed_ms(self, detection: TurnDetection, pause: PauseSeen) -> int:
        built_in = partial(_TABLE.pause_needed_ms, detection, pause)
        given = (detection, pause) if self._takes_detection else (pause,)
        ms: int = self._asked.ask(built_in, _milliseconds, *given)
        return ms


class OwnPreRoll:
    """Milliseconds, or a `PreRoll`."""

    def __init__(self, judge: PreRoll | int, own: OwnCode, view: JudgementContext) -> None:
        if isinstance(judge, int | np.integer):
            ms = int(judge)
            self._asked = Asked("pre_roll", lambda detection, before: ms, own, view)
        else:
            self._asked = _method("pre_roll", judge, "pre_roll_ms", own, view)

    def pre_roll_ms(self, detection: TurnDetection, before: tuple[float, ...]) -> int:
        built_in = partial(_TABLE.pre_roll_ms, detection, before)
        ms: int = self._asked.ask(built_in, _milliseconds, detection, before)
        return ms


class OwnFloor:
    """A function of the words and the milliseconds of voice, or a `FloorRule`. One that fails stops no reply."""

    def __init__(self, judge: FloorRule | Callable[..., Any], own: OwnCode, view: JudgementContext) -> None:
        if hasattr(judge, "takes_floor"):
            self._asked = _method("barge_in", judge, "takes_floor", own, view)
        else:
            self._asked = Asked("barge_in", judge, own, view)

    def takes_floor(self, text: str, voice_ms: int) -> bool:
        stops: bool = self._asked.ask(lambda: False, _truth, text, voice_ms)
        return stops


class OwnPolicy:
    """A function from the transcript to whether it is answered, or a `Policy`. One that fails decides on no work."""

    def __init__(self, judge: Policy | Callable[[str], Any], own: OwnCode, view: JudgementContext) -> None:
        self.speaks = bool(getattr(judge, "speaks", True))
        self._ask: Callable[[str], Asked] | None = None
        self._function: Asked | None = None
        if hasattr(judge, "turn_ended"):
            self._ask = lambda name: _method("policy", judge, name, own, view)
        else:
            self._function = Asked("policy", judge, own, view)

    def words_became_stable(self, said: Said) -> tuple[Decided, ...]:
        return () if self._ask is None else self._work("words_became_stable", said)

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        return self._answers(said.text) if self._function is not None else self._work("turn_ended", said)

    def may_speculate(self, said: Said) -> bool:
        if self._ask is None:
            return _BUILT_IN.may_speculate(said) and bool(self._answers(said.text))
        may: bool = self._ask("may_speculate").ask(lambda: False, _truth, said)
        return may

    def voice_over_output(self) -> OverOutput:
        if self._ask is None:
            return _BUILT_IN.voice_over_output()
        chosen: OverOutput = self._ask("voice_over_output").ask(_BUILT_IN.voice_over_output, _over_output)
        return chosen

    def _answers(self, text: str) -> tuple[Decided, ...]:
        if self._function is None or not text.strip():
            return ()
        wants: bool = self._function.ask(lambda: False, _truth, text)
        return (Answer(),) if wants else ()

    def _work(self, name: str, said: Said) -> tuple[Decided, ...]:
        if self._ask is None:
            return ()
        work: tuple[Decided, ...] = self._ask(name).ask(tuple, _decided, said)
        return work
