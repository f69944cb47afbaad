"""The shell's answers to a session that asks for another pipeline (`effects.FindPipeline`)."""

from __future__ import annotations

from dataclasses import dataclass

from parley.core.words.errors import Fault
from parley.core.words.settings import Capabilities, OwnerSettings, Settings


@dataclass(frozen=True, slots=True)
class PipelineFound:
    """The pipeline that was asked for: its name, what it can do, and what a session of it is before its client changes anything."""

    pipeline: str
    settings: Settings
    owner: OwnerSettings
    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class PipelineNotFound:
    """No pipeline serves that model, or not this session."""

    fault: Fault
