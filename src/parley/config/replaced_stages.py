"""Which stages a pipeline goes without because another one takes their place.

Laws: pure; a stage for which the pipeline names an engine is never left out, and a setting that changes nothing gets a warning.
"""

from __future__ import annotations

from collections.abc import Mapping

from parley.config.errors import ConfigError
from parley.config.layers import KeyPath
from parley.config.schema import ConfigSchema, PipelineSection
from parley.engines.ports import LLM, TTS, replaced, stages


def left_out_of(section: PipelineSection) -> frozenset[str]:
    """The stages whose default engine another stage of the pipeline replaces."""
    return replaced(stage.name for stage in stages() if getattr(section, stage.name)) - section.model_fields_set


def check_wishes(settings: ConfigSchema, places: Mapping[KeyPath, str]) -> None:
    """Raises `ConfigError` for a pipeline that wants something said or written by an engine that it goes without."""
    for name, section in settings.pipelines.items():
        left_out = left_out_of(section)
        fillers = bool(section.fillers.phrases or section.fillers.languages)
        for key, wanted, stage, off in (
            ("compaction", section.compaction == "on", LLM, "set compaction to off"),
            ("fillers", fillers, TTS, "remove the fillers"),
            ("prewarm", bool(section.prewarm), TTS, "remove prewarm"),
        ):
            if wanted and stage.name in left_out:
                path = ("pipelines", name, key)
                # The place of a table is that of its first key.
                place = next((where for known, where in places.items() if known[:3] == path), "default")
                raise ConfigError(
                    f"{place}: {'.'.join(path)} needs {stage} ({stage.title}), and the pipeline {name} has a speech model in its place.",
                    remedy=f"Name one too (pipelines.{name}.{stage}), or {off}.",
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
