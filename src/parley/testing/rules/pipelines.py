"""A session that goes on with another pipeline: asked for by an update, done before any audio was exchanged, answered once.

Laws kept here: 13 for an update that changes the model, whose answer comes when the pipeline was found; the engines are changed only while
none of them works.
"""

from __future__ import annotations

from parley.core.words.effects import FindPipeline, StartGeneration, UsePipeline
from parley.core.words.events import SessionUpdateRequested
from parley.core.words.notices import ErrorRaised, SessionUpdated
from parley.core.words.pipeline_events import PipelineFound, PipelineNotFound
from parley.testing.rules.attempts import AttemptLifecycle
from parley.testing.rules.base import Rule, Step
from parley.testing.rules.input import Arrived
from parley.testing.rules.response_lifecycle import Ledgers


class ChangesOfPipeline(Rule):
    """13, for updates that change the pipeline."""

    law = "13"

    def __init__(self, arrived: Arrived, ledgers: Ledgers, attempts: AttemptLifecycle) -> None:
        self._arrived = arrived
        self._ledgers = ledgers
        self._attempts = attempts
        self._asked: SessionUpdateRequested | None = None

    def after(self, step: Step) -> None:
        found = isinstance(step.event, PipelineFound | PipelineNotFound)
        uses = [effect for effect in step.effects if isinstance(effect, UsePipeline)]
        if found and self._asked is not None:
            self._check_answer(step, self._asked, uses)
            self._asked = None
        else:
            self.require(not uses, "the pipeline is changed, and nobody asked for it")
        if any(isinstance(effect, FindPipeline) for effect in step.effects):
            asked = step.event
            if not isinstance(asked, SessionUpdateRequested):
                self.fail(f"{asked} asks for another pipeline")
            self.require(self._asked is None, "two pipelines are asked for at once")
            self._asked = asked

    def _check_answer(self, step: Step, asked: SessionUpdateRequested, uses: list[UsePipeline]) -> None:
        updated = [notice for notice in step.notices if isinstance(notice, SessionUpdated)]
        errors = [notice for notice in step.notices if isinstance(notice, ErrorRaised)]
        self.require(len(updated) + len(errors) == 1, f"{asked} was answered with {updated + errors}")
        self.require(len(uses) == len(updated), f"{asked} was answered with {step.notices}, and this was done: {uses}")
        for error in errors:
            same = error.client_event_id == asked.event_id
            self.require(same, f"the error names event {error.client_event_id}, the client's was {asked.event_id}")
        for notice in updated:
            self.require(notice.settings.model == asked.patch.get("model"), f"{asked} made {notice.settings}")
            self.require(self._arrived.samples == 0, "the pipeline is changed although audio has come")
            busy = [ledger.id for ledger in self._ledgers.open]
            busy_attempts = [one.id for one in self._attempts.by_id.values() if one.alive]
            started = [effect.attempt for effect in step.effects if isinstance(effect, StartGeneration)]
            idle = not busy and set(busy_attempts) <= set(started)
            self.require(idle, f"the pipeline is changed while {busy} and {busy_attempts} are under way")

    def finish(self, quiet: bool) -> None:
        self.require(not quiet or self._asked is None, f"{self._asked} was never answered")
