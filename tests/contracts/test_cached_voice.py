"""A synthesizer with the speech cache in front of it keeps every promise of the one behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from parley.engines import registry
from parley.engines.ports import TTS, EngineSpec, SpeechSynthesizer
from parley.runtime.speech_cache import CachedSynthesizer, SpeechCache
from parley.runtime.speech_files import SpeechFiles
from parley.testing.contracts import SynthesizerContract


class OneVoice(CachedSynthesizer):
    """A cached synthesizer whose cache ends with it."""

    async def close(self) -> None:
        await super().close()
        await self._cache.close()
        await asyncio.sleep(0)


class TestCachedHibari(SynthesizerContract):
    @pytest.fixture
    def make_engine(self, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], SpeechSynthesizer]:
        folder: Path = tmp_path_factory.mktemp("speech") / "kept"
        spec = EngineSpec("hibari")

        def make() -> SpeechSynthesizer:
            engine = registry.create(TTS, spec)
            assert isinstance(engine, SpeechSynthesizer)
            return OneVoice(engine, spec, SpeechCache(SpeechFiles(folder, 1 << 26)))

        return make
