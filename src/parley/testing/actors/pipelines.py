"""The pipelines of a server: a session may go on with any of them, and asks for some that are not there."""

from __future__ import annotations

from dataclasses import replace

from parley.core.words.effects import FindPipeline
from parley.core.words.errors import Fault
from parley.core.words.events import Event
from parley.core.words.pipeline_events import PipelineFound, PipelineNotFound
from parley.core.words.settings import Capabilities, OwnerSettings, Settings
from parley.testing.actors.world import SimulatedWorld

PIPELINES = ("parley", "other", "mute")
"""The last has no voice that a client could have chosen."""


class SimulatedPipelines:
    """Finds what the session asks for, at once or after a moment."""

    def __init__(
        self, world: SimulatedWorld, settings: Settings, owner: OwnerSettings, capabilities: Capabilities
    ) -> None:
        self._world = world
        self._settings = settings
        self._owner = owner
        self._capabilities = capabilities

    def find(self, effect: FindPipeline) -> None:
        answer = self._answer(effect)
        delay = self._world.rng.choice([0.0, 0.0, 40.0])
        self._world.at(delay, lambda: self._world.post(answer))

    def _answer(self, effect: FindPipeline) -> Event:
        model = effect.model
        if model not in PIPELINES:
            return PipelineNotFound(Fault("model_not_found", f"There is no {model}."))
        voice = "alloy" if model != "mute" else "nothing"
        settings = Settings(kind=effect.kind, model=model, instructions=f"You are {model}.", voice=voice)
        can = replace(
            self._capabilities, models=(model,), voices=(voice,) if model == "mute" else self._capabilities.voices
        )
        return PipelineFound(model, settings, self._owner, can)
