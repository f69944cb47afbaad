"""Which stages a pipeline goes without because another one takes their place.

Laws: pure; a stage for which the pipeline names an engine is never left out, and a setting that changes nothing gets a warning.
"""

from __future__ import annotations

from collections.abc import Mapping

from parley.config.errors import ConfigError
from parley.config.layers import KeyPath
from parley.config.schema import ConfigSchema, PipelineSection
from parley.engines.ports import LLM, replaced, stages


def left_out_of(section: PipelineSection) -> frozenset[str]:
    """The stages whose default engine another stage of the pipeline replaces."""
    return replaced(stage.name for stage in stages() if getattr(section, stage.name)) - section.model_fields_set


def check_compaction(settings: ConfigSchema, places: Mapping[KeyPath, str]) -> None:
    """Raises `ConfigError` for a pipeline that wants summaries and has no language model to write them."""
    for name, section in settings.pipelines.items():
        if section.compaction == "on" and LLM.name in left_out_of(section):
            key = ("pipelines", name, "compaction")
            raise ConfigError(
                f"{places.get(key, 'default')}: {'.'.join(key)} needs a language model, and the pipeline {name} has a speech model in its "
                "place.",
                remedy=f"Name a language model too (pipelines.{name}.llm), or set compaction to off.",
            )


def options_of_nobody(settings: ConfigSchema, places: Mapping[KeyPath, str]) -> list[str]:
    """A warning for each table of options whose stage is left out."""
    return [
        f"{place}: {'.'.join(key)} changes nothing: the pipeline {name} has a speech model in place of {stage}. "
        f"Set pipelines.{name}.{stage} to use both."
        for name, section in settings.pipelines.items()
        for stage in sorted(left_out_of(section))
        for key, place in places.items()
        if key[:3] == ("pipelines", name, f"{stage}_options")
    ]
