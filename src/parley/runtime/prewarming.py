"""Phrases that are spoken into the speech cache before anyone wants them.

Laws:
- In the background, clause by clause, only while no session is spoken for; a clause is given up at once where one is, and begun again
  later.
- What is asked for is what a session asks for (`generation.voicing`), so that the session finds it. An engine that fails is logged, once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator

from parley.config.values import PipelineConfig
from parley.engines.fallback import Fallback
from parley.engines.ports import TTS, VC, Engine, EngineError, SpeechRequest, SpeechSynthesizer
from parley.runtime.generation.voicing import voice_for
from parley.runtime.pipeline import LoadedPipeline
from parley.runtime.speech_cache import PREPARING, CachedSynthesizer, SpeechCache, spoken
from parley.text.spoken_form import spoken_form

logger = logging.getLogger(__name__)


def requests(pipeline: LoadedPipeline) -> Iterator[SpeechRequest]:
    """What the pipeline's phrases and fillers ask of its synthesizer, clause by clause."""
    config, engine = pipeline.config, pipeline.engines.find(TTS)
    if engine is None:
        return
    known = pipeline.engines.find(VC) is None or engine.resolve_voice(config.voice) is not None
    for phrase, asked in _phrases(config):
        voice, language = voice_for(engine, config.voice if known else "", asked)
        cutter = pipeline.cutter(asked)
        for clause in (*cutter.push(phrase), *cutter.finish()):
            if clause.spoken:
                normalizes = engine.info.normalizes
                text = clause.spoken if normalizes else spoken_form(clause.spoken, language or asked).text
                yield SpeechRequest(text, voice, language, share=PREPARING)


def _phrases(config: PipelineConfig) -> Iterator[tuple[str, str]]:
    """Each phrase with its language."""
    for phrase in (*config.prewarm, *config.fillers.phrases):
        yield phrase, config.language
    for language, phrases in config.fillers.languages:
        for phrase in phrases:
            yield phrase, language


async def prewarm(cache: SpeechCache, pipelines: Iterable[LoadedPipeline]) -> None:
    """Speak the phrases of these pipelines into the cache. Cancel it when the server ends."""
    wanted = [(one.engines[TTS], request) for one in pipelines for request in requests(one) if _keeps(one.engines[TTS])]
    if not wanted:
        return
    logger.info("Speech cache: %d clauses are being prepared.", len(wanted))
    ready = 0
    for engine, request in wanted:
        ready += await _prepared(cache, engine, request)
    logger.info("Speech cache: %d of %d clauses are ready.", ready, len(wanted))


def _keeps(engine: Engine) -> bool:
    """Whether anything that this engine says is kept."""
    if isinstance(engine, Fallback):
        return any(_keeps(member.engine) for member in engine.members)
    return isinstance(engine, CachedSynthesizer) and not engine.why_not()


async def _prepared(cache: SpeechCache, engine: SpeechSynthesizer, request: SpeechRequest) -> bool:
    """Whether the engine has spoken the clause."""
    while True:
        await cache.quiet.quiet.wait()
        speaking = asyncio.create_task(spoken(engine, request))
        busy = asyncio.create_task(cache.quiet.busy.wait())
        try:
            await asyncio.wait([speaking, busy], return_when=asyncio.FIRST_COMPLETED)
        finally:
            given_up = not speaking.done()
            for task in (speaking, busy):
                task.cancel()
            await asyncio.wait([speaking, busy])
        if given_up:
            continue
        error = speaking.exception()
        if error is not None and not isinstance(error, EngineError):
            logger.error("Speech cache: a phrase could not be prepared", exc_info=error)
        elif error is not None:
            logger.warning("Speech cache: a phrase could not be prepared: %s", error)
        return error is None
