"""What the caller wants of a session, as the core is told it.

Laws: a function stands for the protocol with one method; what is not said is the pipeline's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, cast

from parley.core.assistant import Assistant
from parley.core.items import Item
from parley.core.policy import Policy
from parley.core.rules import Endpointing, FloorRule, PauseSeen, PreRoll, Rules
from parley.core.settings import (
    Conduct,
    SemanticVad,
    ServerVad,
    Settings,
    Transcription,
    TurnDetection,
)
from parley.core.transcriber import Transcriber
from parley.library.errors import LibraryError
from parley.library.machine import Plan
from parley.library.pipeline import Pipeline
from parley.library.tools import FunctionAsTool

SESSION_MS = 366 * 24 * 3600 * 1000
"""A session of one's own ends when its owner ends it."""

BargeInChoice = FloorRule | Callable[[str, int], bool] | Literal["immediate", "confirmed", "never"] | None


class _Answers(Assistant):
    """The assistant, asking a function which transcripts are answered."""

    def __init__(self, function: Callable[[str], bool]) -> None:
        self._function = function

    def wants_reply(self, transcript: str) -> bool:
        return super().wants_reply(transcript) and bool(self._function(transcript))

    def may_guess(self, transcript: str) -> bool:
        return super().may_guess(transcript) and bool(self._function(transcript))


class _Pauses:
    def __init__(self, function: Callable[[PauseSeen], int]) -> None:
        self._function = function

    def pause_needed_ms(self, detection: TurnDetection, pause: PauseSeen) -> int:
        return self._function(pause)


class _Reach:
    def __init__(self, ms: int) -> None:
        self._ms = ms

    def pre_roll_ms(self, detection: TurnDetection, before: tuple[float, ...]) -> int:
        return self._ms


class _Floor:
    def __init__(self, function: Callable[[str, int], bool]) -> None:
        self._function = function

    def takes_floor(self, text: str, voice_ms: int) -> bool:
        return bool(self._function(text, voice_ms))


def plan_for(
    pipeline: Pipeline,
    *,
    instructions: str | None,
    voice: str | None,
    speed: float,
    modality: Literal["audio", "text"] | None,
    turn_detection: TurnDetection | Literal["auto", "silence", "manual"],
    tools: Mapping[str, FunctionAsTool],
    history: Sequence[Item],
    policy: Policy | Callable[[str], bool] | None,
    endpointing: Endpointing | Callable[[PauseSeen], int] | int | None,
    pre_roll: PreRoll | int | None,
    barge_in: BargeInChoice,
    sample_rate: int,
    engine_timeout_s: float,
) -> Plan:
    """The whole plan. Raises `LibraryError` for wishes that contradict the pipeline."""
    config = pipeline.config
    if modality == "audio" and not pipeline.speaks:
        raise LibraryError("The pipeline has no synthesizer.", mend="Give it a tts engine, or ask for modality='text'.")
    chosen = _policy(pipeline, policy)
    settings = Settings(
        model=config.name,
        instructions=config.instructions if instructions is None else instructions,
        voice=config.voice if voice is None else voice,
        speed=speed,
        modality=modality or ("audio" if pipeline.speaks else "text"),
        turn_detection=_detection(pipeline, turn_detection, barge_in),
        transcription=Transcription(model=config.stt.name, language=config.language),
        tools=tuple(tool.declared for tool in tools.values()),
    )
    conduct = Conduct(
        speculation=config.speculation,
        speculate_after_ms=config.speculate_after_ms,
        barge_in=barge_in if barge_in in ("immediate", "confirmed") else config.barge_in,
        context_tokens=config.context_tokens,
        responses_per_minute=None,
        session_ms=SESSION_MS,
    )
    return Plan(
        settings=settings,
        conduct=conduct,
        policy=chosen,
        rules=_rules(endpointing, pre_roll, barge_in),
        tools=tools,
        history=history,
        sample_rate=sample_rate,
        answers=chosen is None or chosen.speaks,
        engine_timeout_s=engine_timeout_s,
    )


def _policy(pipeline: Pipeline, policy: Policy | Callable[[str], bool] | None) -> Policy | None:
    if policy is None:
        return None if pipeline.answers else Transcriber()
    if not hasattr(policy, "wants_reply"):
        return _Answers(policy)
    return cast(Policy, policy)


def _detection(
    pipeline: Pipeline, detection: TurnDetection | Literal["auto", "silence", "manual"], barge_in: BargeInChoice
) -> TurnDetection | None:
    interrupts = barge_in != "never"
    match detection:
        case "manual":
            return None
        case "silence":
            return ServerVad(interrupt_response=interrupts)
        case "auto":
            if pipeline.judges:
                return SemanticVad(interrupt_response=interrupts)
            return ServerVad(interrupt_response=interrupts)
        case SemanticVad() | ServerVad():
            return detection
        case _:
            raise LibraryError(
                f"turn_detection={detection!r} is not known.",
                mend="Use 'auto', 'silence', 'manual', ServerVad(...) or SemanticVad(...).",
            )


def _rules(
    endpointing: Endpointing | Callable[[PauseSeen], int] | int | None,
    pre_roll: PreRoll | int | None,
    barge_in: BargeInChoice,
) -> Rules:
    table = Rules()
    pauses: Endpointing = table.endpointing
    if isinstance(endpointing, int):
        ms = endpointing
        pauses = _Pauses(lambda _: ms)
    elif endpointing is not None:
        pauses = endpointing if hasattr(endpointing, "pause_needed_ms") else _Pauses(endpointing)
    reach: PreRoll = table.pre_roll
    if pre_roll is not None:
        reach = _Reach(pre_roll) if isinstance(pre_roll, int) else pre_roll
    floor: FloorRule | None = None
    if barge_in is not None and not isinstance(barge_in, str):
        floor = barge_in if hasattr(barge_in, "takes_floor") else _Floor(barge_in)
    return Rules(pauses, reach, floor)
