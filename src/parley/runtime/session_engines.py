"""The pipeline that one session uses, and the one it may go on with.

Laws: the server finds a pipeline (`Pipelines`), the core decides whether the session uses it; engines stay open and shared, only the
session's streams are made anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from parley.core.effects import FindPipeline
from parley.core.errors import Fault
from parley.core.events import Event
from parley.core.pipeline_events import PipelineFound, PipelineNotFound
from parley.core.settings import Capabilities, Conduct, SessionKind
from parley.runtime.listening import Listening
from parley.runtime.pipeline import Pipeline
from parley.runtime.speaking import Speaking

NO_OTHER = Fault("invalid_value", "This session has one pipeline; its model cannot be changed.")


class Pipelines(Protocol):
    """The pipelines that a session may go on with."""

    def find(self, model: str) -> Pipeline | Fault:
        """The pipeline that serves `model`, or why none does."""
        ...

    def terms(self, pipeline: Pipeline) -> tuple[Conduct, Capabilities]:
        """How sessions of this pipeline behave, and what they can do."""
        ...


class SessionEngines:
    """One session's engines. `listening` and `speaking` make what it hears and speaks with; `post` takes the answer to `find`."""

    __slots__ = ("_found", "_listening", "_pipelines", "_post", "_speaking")

    def __init__(
        self,
        pipeline: Pipeline,
        pipelines: Pipelines | None,
        listening: Callable[[Pipeline], Listening],
        speaking: Callable[[Pipeline], Speaking],
        post: Callable[[Event], None],
    ) -> None:
        self._found = pipeline
        self._pipelines = pipelines
        self._listening = listening
        self._speaking = speaking
        self._post = post

    def find(self, effect: FindPipeline) -> None:
        self._post(self._answer(effect.model, effect.kind))

    def _answer(self, model: str, kind: SessionKind) -> PipelineFound | PipelineNotFound:
        if self._pipelines is None:
            return PipelineNotFound(NO_OTHER)
        pipeline = self._pipelines.find(model)
        if isinstance(pipeline, Fault):
            return PipelineNotFound(pipeline)
        self._found = pipeline
        conduct, capabilities = self._pipelines.terms(pipeline)
        return PipelineFound(pipeline.name, pipeline.default_settings(kind, model), conduct, capabilities)

    def use(self) -> tuple[Listening, Speaking]:
        return self._listening(self._found), self._speaking(self._found)
