"""Which pipeline serves a model's name, and on which terms.

Laws: one judgement for the handshake, for REST and for a session that changes its model; a refusal names what there is instead.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from parley.config import Config, UnknownModel
from parley.core.words.errors import Fault
from parley.core.words.settings import Capabilities, OwnerSettings, PinnedSettings
from parley.engines.ports import Stage
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.server.refusals import Refusal, Refused


def find_pipeline(config: Config, engines: LoadedEngines, model: str) -> LoadedPipeline | Refusal:
    """The pipeline that serves `model`, or why none does."""
    try:
        name = config.pipeline_for(model).name
    except UnknownModel as error:
        return Refusal(404, "model_not_found", str(error), param="model")
    if name in engines.failures:
        return Refusal(404, "model_not_found", f"The pipeline {name!r} could not be loaded.", param="model")
    return engines.pipeline(name)


def pipeline_with(
    config: Config, engines: LoadedEngines, model: str, stage: Stage[Any], what: str, code: str
) -> LoadedPipeline:
    """The pipeline that serves `model`, which must have an engine of that stage: `what` names it in the message of the refusal. Raises
    `Refused`."""
    found = find_pipeline(config, engines, model)
    if isinstance(found, Refusal):
        raise Refused(found)
    if stage not in found.engines:
        able = [name for name, pipeline in engines.pipelines.items() if stage in pipeline.engines]
        others = f" These have one: {', '.join(able)}." if able else ""
        message = f"The pipeline {found.name!r} has no {what}: set `{stage}` in [pipelines.{found.name}] of parley.toml.{others}"
        raise Refused(Refusal(400, code, message, "model"))
    return found


class ServedPipelines:
    """The pipelines that one session may use (see `runtime.session_engines.Pipelines`), within what its owner has fixed.

    `tool_server_urls` are the MCP servers that the session may name, as `Capabilities` has them; `owners_tool_server_urls` those
    that its owner may name where it attaches to the session.
    """

    def __init__(
        self,
        config: Config,
        engines: LoadedEngines,
        *,
        pinned: PinnedSettings,
        session_ms: int,
        tool_server_urls: tuple[str, ...],
        owners_tool_server_urls: tuple[str, ...],
    ) -> None:
        self._config = config
        self._engines = engines
        self._pinned = pinned
        self._session_ms = session_ms
        self._tool_server_urls = tool_server_urls
        self._owners_tool_server_urls = owners_tool_server_urls

    def find(self, model: str) -> LoadedPipeline | Fault:
        found = find_pipeline(self._config, self._engines, model)
        return Fault(found.code, found.message) if isinstance(found, Refusal) else found

    def terms(self, pipeline: LoadedPipeline) -> tuple[OwnerSettings, Capabilities]:
        owner = replace(
            pipeline.owner_settings(),
            session_ms=self._session_ms,
            responses_per_minute=self._config.server.responses_per_minute,
            pinned=self._pinned,
            tool_server_urls=self._owners_tool_server_urls,
        )
        return owner, replace(pipeline.capabilities(), tool_server_urls=self._tool_server_urls)
