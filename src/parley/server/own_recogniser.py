"""The server's own recogniser, for recordings outside of sessions: which pipeline hears a language, and the words of a recording.

Laws: what was heard is not logged.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import Final

from parley.audio.files import Recording
from parley.config import Config
from parley.engines.ports import STT
from parley.library.pipeline import Pipeline
from parley.library.recordings import frames
from parley.library.transcription import atranscribed
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.text.language_tags import primary_tag

PIECE_MS: Final = 500.0


class OwnRecogniser:
    """The recognisers of the pipelines that are served."""

    def __init__(self, config: Config, engines: LoadedEngines) -> None:
        self._config = config
        self._engines = engines

    def hearing(self, language: str) -> LoadedPipeline | None:
        """A pipeline whose recogniser understands the language, the default one first; None where there is none."""
        served = self._engines.pipelines
        first = [name for name in (self._config.default_pipeline,) if name in served]
        for name in dict.fromkeys((*first, *served)):
            known = served[name].engines[STT].info.languages
            if served[name].hears and (not known or primary_tag(language) in map(primary_tag, known)):
                return replace(served[name], config=replace(served[name].config, language=language))
        return None


async def words_of(loaded: LoadedPipeline, recording: Recording) -> str:
    """The words of a recording, as the pipeline's recogniser writes them. Raises `EngineError`."""
    pipeline = Pipeline.around(loaded)
    try:
        pieces = frames(recording, PIECE_MS)
        async with aclosing(atranscribed(pipeline, pieces, recording.sample_rate)) as segments:
            return " ".join([segment.text async for segment in segments])
    finally:
        await pipeline.aclose()
