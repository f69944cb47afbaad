"""What each section of a validated configuration comes to: the frozen values that the rest of the program reads.

Laws: pure, but for what the process may ask of its user's home; sections are valid when they come here. Options of engines hide their
secrets wherever they are printed.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from parley.config.exposure import exposed
from parley.config.replaced_stages import left_out_of
from parley.config.schema import (
    FillersSection,
    InterpretSection,
    PipelineSection,
    ResponseCacheSection,
    ServerSection,
    SpeechCacheSection,
)
from parley.config.shown import mask
from parley.config.values import (
    FillersConfig,
    InterpretConfig,
    PipelineConfig,
    ResponseCacheConfig,
    ServerConfig,
    SpeechCacheConfig,
)
from parley.engines.ports import stages


def server(
    section: ServerSection, keys: tuple[str, ...], keys_file: Path | None, trace_dir: Path | None
) -> ServerConfig:
    values = section.model_dump(exclude={"api_key_env", "api_keys", "keys_file", "tls_cert", "tls_key", "trace_dir"})
    if values["allowed_mcp_servers"] is None:
        # A client could have the server reach hosts of its own network. A client on this machine can reach them anyway.
        values["allowed_mcp_servers"] = () if exposed(section.host, section.public_url) else ("*",)
    return ServerConfig(
        **values,
        api_keys=keys,
        keys_file=keys_file,
        tls_cert=Path(section.tls_cert).expanduser() if section.tls_cert else None,
        tls_key=Path(section.tls_key).expanduser() if section.tls_key else None,
        trace_dir=trace_dir,
    )


def interpret(section: InterpretSection, path: Path | None) -> InterpretConfig:
    """The section, its files beside the configuration file where they are not absolute."""
    values = section.model_dump(exclude={"beta", "push_to_talk", "prompt", "record"})
    folder = Path() if path is None else path.parent
    prompt, record = (folder / Path(name).expanduser() if name else None for name in (section.prompt, section.record))
    return InterpretConfig(
        **values, beta=section.beta == "on", push_to_talk=section.push_to_talk == "on", prompt=prompt, record=record
    )


def speech_cache(section: SpeechCacheSection) -> SpeechCacheConfig:
    folder = Path(section.folder).expanduser() if section.folder else SpeechCacheConfig().folder
    return SpeechCacheConfig(section.enabled == "on", folder, section.max_mib, section.varying)


def response_cache(section: ResponseCacheSection) -> ResponseCacheConfig:
    return ResponseCacheConfig(section.enabled == "on", section.lifetime_s, section.max_replies)


class _Options(dict[str, object]):
    """An engine's options, whose secrets stay out of logs and tracebacks."""

    def __repr__(self) -> str:
        shown = {key: mask((key,), value, "") for key, value in self.items()}
        return repr({key: _Options(value) if isinstance(value, dict) else value for key, value in shown.items()})


def pipeline(name: str, section: PipelineSection) -> PipelineConfig:
    left_out = left_out_of(section)
    named = {
        stage: stage.spec(getattr(section, stage.name), _Options(getattr(section, f"{stage.name}_options")))
        for stage in stages()
        if stage.name not in left_out
    }
    return PipelineConfig(
        name=name,
        engines=MappingProxyType({stage: spec for stage, spec in named.items() if spec.name}),
        voice=section.voice,
        instructions=section.instructions,
        language=section.language,
        speculation=section.speculation == "on",
        speculate_after_ms=section.speculate_after_ms,
        barge_in=section.barge_in,
        context_tokens=section.context_tokens,
        compaction=section.compaction == "on",
        lag=section.lag,
        original_volume=section.original_volume,
        same_language=section.same_language,
        terms=tuple(section.terms.items()),
        prewarm=section.prewarm,
        fillers=_fillers(section.fillers),
    )


def _fillers(section: FillersSection) -> FillersConfig:
    languages = tuple(section.languages.items())
    return FillersConfig(section.phrases, languages, section.after_ms, section.interval_ms, section.most)
