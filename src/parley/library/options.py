"""The options of a `VoiceSession`, and what the core makes a session from.

Laws: every value is checked here, when the session is made; the pipeline supplies what is not given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from parley.core.policy.policy import Policy
from parley.core.policy.transcriber import Transcriber
from parley.core.policy.turn_rules import MAX_PRE_ROLL_MS, Endpointing, FloorRule, PauseSeen, PreRoll, Rules, RuleTable
from parley.core.words.items import Item
from parley.core.words.settings import (
    LOGPROBS,
    Modality,
    OwnerSettings,
    SemanticVad,
    ServerVad,
    Settings,
    Transcription,
    TurnDetection,
)
from parley.engines.ports import STT
from parley.library import checks
from parley.library.errors import LibraryError
from parley.library.events import Turn
from parley.library.function_synthesizer import Chunker
from parley.library.function_tools import FUNCTIONS
from parley.library.judgements import NOT_FINISHED_MS, JudgementContext, OwnEndpointing, OwnFloor, OwnPolicy, OwnPreRoll
from parley.library.own_code import OwnCode
from parley.library.pipeline import Pipeline
from parley.library.tools import FunctionAsTool

SESSION_MS = 366 * 24 * 3600 * 1000
"""A library session ends when its owner ends it."""

MIN_SPEED, MAX_SPEED = 0.25, 1.5
"""What the protocol allows."""

MAX_IDLE_MS = 24 * 3600 * 1000
MAX_TIMEOUT_S = 24 * 3600.0
"""A day: a longer wait is a mistake."""

DetectionChoice = TurnDetection | Literal["auto", "silence", "manual"]
PolicyChoice = Policy | Callable[[str], bool] | None
EndpointingChoice = Endpointing | Callable[[PauseSeen], int | bool] | Callable[..., int | bool] | int | None
PreRollChoice = PreRoll | int | None
BargeInChoice = (
    FloorRule | Callable[[str, int], bool] | Callable[..., bool] | Literal["immediate", "confirmed", "never"] | None
)


@dataclass(frozen=True, slots=True)
class Judgements:
    """The options about turns, each as it was given."""

    turn_detection: DetectionChoice = "auto"
    policy: PolicyChoice = None
    endpointing: EndpointingChoice = None
    pre_roll: PreRollChoice = None
    barge_in: BargeInChoice = None
    chunker: Chunker | None = None
    on_first_play: Callable[[Turn], object] | None = None

    def check(self) -> None:
        """Raises `LibraryError` for impossible values."""
        _check_detection(self.turn_detection)
        if self.policy is not None:
            checks.judgement(
                "policy",
                self.policy,
                ("turn_ended", "words_became_stable", "may_speculate", "voice_over_output", "speaks"),
                "Give a function, or a Policy; parley.Assistant is one to derive from.",
            )
        if isinstance(self.endpointing, int | float | np.number):
            checks.whole("endpointing", self.endpointing, 0, NOT_FINISHED_MS, "ms")
        elif self.endpointing is not None:
            checks.judgement(
                "endpointing",
                self.endpointing,
                ("pause_needed_ms",),
                "Give milliseconds, a function, or an Endpointing.",
            )
        if isinstance(self.pre_roll, int | float | np.number):
            checks.whole("pre_roll", self.pre_roll, 0, MAX_PRE_ROLL_MS, "ms")
        elif self.pre_roll is not None and (
            isinstance(self.pre_roll, type) or not hasattr(self.pre_roll, "pre_roll_ms")
        ):
            checks.no_class("pre_roll", self.pre_roll)
            raise checks.refused("pre_roll", self.pre_roll, "Give milliseconds, or an object with pre_roll_ms().")
        if isinstance(self.barge_in, str):
            checks.choice("barge_in", self.barge_in, ("immediate", "confirmed", "never"))
        elif self.barge_in is not None:
            remedy = "Choose 'immediate', 'confirmed' or 'never', or give a function or a FloorRule."
            checks.judgement("barge_in", self.barge_in, ("takes_floor",), remedy)
        for name, function in (("chunker", self.chunker), ("on_first_play", self.on_first_play)):
            if function is not None:
                checks.asked_at_once(name, function)

    def rules(self, own: OwnCode, view: JudgementContext) -> Rules:
        table = Rules()
        floor = None if self.barge_in is None or isinstance(self.barge_in, str) else self.barge_in
        return Rules(
            table.endpointing if self.endpointing is None else OwnEndpointing(self.endpointing, own, view),
            table.pre_roll if self.pre_roll is None else OwnPreRoll(self.pre_roll, own, view),
            None if floor is None else OwnFloor(floor, own, view),
        )

    def detection(self, pipeline: Pipeline) -> TurnDetection | None:
        """How turns are found. `barge_in`, if given, says whether a voice interrupts."""
        found: TurnDetection
        match self.turn_detection:
            case "manual":
                return None
            case "silence":
                found = ServerVad()
            case "auto":
                found = SemanticVad() if pipeline.judges else ServerVad()
            case SemanticVad() | ServerVad() as given:
                found = given
        return found if self.barge_in is None else replace(found, interrupt_response=self.barge_in != "never")

    def parts(self) -> dict[str, object]:
        """Each as it was given, or the built-in one that stands in its place."""
        table = RuleTable()
        return {
            "policy": self.policy,
            "endpointing": table if self.endpointing is None else self.endpointing,
            "pre_roll": table if self.pre_roll is None else self.pre_roll,
            "barge_in": self.barge_in,
            "turn_detection": self.turn_detection,
            "chunker": self.chunker,
        }


@dataclass(frozen=True, slots=True)
class VoiceSessionOptions:
    """The checked options of a session."""

    settings: Settings
    owner: OwnerSettings
    policy: Policy | None
    rules: Rules
    tools: Mapping[str, FunctionAsTool]
    history: Sequence[Item]
    sample_rate: int
    engine_timeout_s: float
    own: OwnCode
    chunker: Chunker | None = None
    on_first_play: Callable[[Turn], object] | None = None
    trace_dir: Path | None = None
    view: JudgementContext = field(default_factory=JudgementContext)

    @property
    def answers(self) -> bool:
        """Whether the session ever replies."""
        return self.policy is None or self.policy.speaks


def options_for(
    pipeline: Pipeline,
    *,
    instructions: str | None,
    voice: str | None,
    speed: float,
    modality: Modality | None,
    judgements: Judgements,
    tools: Mapping[str, FunctionAsTool],
    history: Sequence[Item],
    sample_rate: int,
    engine_timeout_s: float,
    raises: bool,
    trace_dir: str | os.PathLike[str] | None,
    transcription: Transcription | None,
    logprobs: bool,
) -> VoiceSessionOptions:
    """The checked options. Raises `LibraryError` for impossible values, or values that contradict the pipeline."""
    for name, value in (("instructions", instructions), ("voice", voice)):
        if value is not None:
            checks.text(name, value)
    checks.number("speed", speed, MIN_SPEED, MAX_SPEED)
    checks.choice("modality", modality, (None, "audio", "text"))
    checks.number("engine_timeout_s", engine_timeout_s, 0.001, MAX_TIMEOUT_S, "seconds")
    checks.flag("raises", raises)
    checks.flag("logprobs", logprobs)
    if trace_dir is not None and not isinstance(trace_dir, str | os.PathLike):
        raise checks.refused("trace_dir", trace_dir, "Give the path of a folder.")
    judgements.check()
    config = pipeline.config
    own, view, barge_in = OwnCode(raises=raises), JudgementContext(), judgements.barge_in
    policy = _policy(pipeline, judgements.policy, own, view)
    return VoiceSessionOptions(
        settings=Settings(
            model=config.name,
            instructions=config.instructions if instructions is None else instructions,
            voice=config.voice if voice is None else voice,
            speed=speed,
            modality=_modality(pipeline, modality),
            turn_detection=judgements.detection(pipeline),
            transcription=_transcription(pipeline, transcription),
            include=(LOGPROBS,) if logprobs else (),
            tools=(FUNCTIONS,) if tools else (),
        ),
        owner=OwnerSettings(
            # For a reply that may begin early the recogniser is asked in pauses, which costs work and may cost words: not without replies.
            speculation=config.speculation and (policy is None or policy.speaks),
            speculate_after_ms=config.speculate_after_ms,
            barge_in=barge_in if barge_in in ("immediate", "confirmed") else config.barge_in,
            context_tokens=config.context_tokens,
            compaction=config.compaction,
            language=config.language,
            responses_per_minute=None,
            session_ms=SESSION_MS,
            follow_up_wait_ns=0,
        ),
        policy=policy,
        rules=judgements.rules(own, view),
        tools=tools,
        history=history,
        sample_rate=sample_rate,
        engine_timeout_s=engine_timeout_s,
        own=own,
        chunker=judgements.chunker,
        on_first_play=judgements.on_first_play,
        trace_dir=None if trace_dir is None else Path(trace_dir),
        view=view,
    )


def _modality(pipeline: Pipeline, given: Modality | None) -> Modality:
    if given == "audio" and not pipeline.speaks:
        raise LibraryError("The pipeline has no synthesizer.", remedy="Give it a tts engine, or use modality='text'.")
    return given or ("audio" if pipeline.speaks else "text")


def _transcription(pipeline: Pipeline, given: object) -> Transcription:
    if given is not None and not isinstance(given, Transcription):
        raise checks.refused("transcription", given, "Give a parley.Transcription.")
    return replace(given or Transcription(), model=pipeline.config.engines[STT].name)


def _policy(pipeline: Pipeline, policy: Any, own: OwnCode, view: JudgementContext) -> Policy | None:
    if policy is None:
        return None if pipeline.answers else Transcriber()
    return OwnPolicy(policy, own, view)


def _check_detection(detection: object) -> None:
    match detection:
        case ServerVad():
            checks.number("ServerVad.threshold", detection.threshold, 0.0, 1.0)
            checks.whole("ServerVad.prefix_padding_ms", detection.prefix_padding_ms, 0, MAX_PRE_ROLL_MS, "ms")
            checks.whole("ServerVad.silence_duration_ms", detection.silence_duration_ms, 0, NOT_FINISHED_MS, "ms")
            if detection.idle_timeout_ms is not None:
                checks.whole("ServerVad.idle_timeout_ms", detection.idle_timeout_ms, 1, MAX_IDLE_MS, "ms")
        case SemanticVad():
            checks.choice("SemanticVad.eagerness", detection.eagerness, ("low", "medium", "high", "auto"))
        case _:
            checks.no_class("turn_detection", detection)
            if detection not in ("auto", "silence", "manual"):
                remedy = "Use 'auto', 'silence', 'manual', ServerVad(...) or SemanticVad(...)."
                raise LibraryError(f"turn_detection={detection!r} is not known.", remedy=remedy)
            return
    for flag in ("create_response", "interrupt_response"):
        checks.flag(f"{type(detection).__name__}.{flag}", getattr(detection, flag))
