"""How soon a clause sounds with the speech cache: from the core's order to the first audio that a session is sent.

    python -m benchmarks.speech_cache [--tts hibari] [--times 50]

Speaks a clause `--times` times without the cache, once into an empty cache, and `--times` times from it, in a folder of its own, and prints
the milliseconds. The target is a first audio within 20 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from parley.core.words.effects import StartGeneration
from parley.core.words.events import Event, GenerationFailed, GenerationFinished, SpeechGenerated
from parley.core.words.ids import AttemptId
from parley.core.words.settings import AudioFormat
from parley.core.words.work import Utterance
from parley.engines import registry
from parley.engines.ports import TTS, EngineSet, EngineSpec, SpeechSynthesizer
from parley.runtime.engine_caches import MIB, EngineCaches
from parley.runtime.generation.attempts import Generations
from parley.runtime.speech_cache import SpeechCache
from parley.runtime.speech_files import SpeechFiles

TEXT = "Good morning, this is the bakery on the corner."
TARGET_MS = 20


async def first_audio_ms(engine: SpeechSynthesizer) -> float:
    """Milliseconds from the order to the first audio; the whole clause is spoken."""
    done, first = asyncio.Event(), list[float]()

    def post(event: Event) -> None:
        match event:
            case SpeechGenerated() if not first:
                first.append(time.perf_counter())
            case GenerationFinished():
                done.set()
            case GenerationFailed(fault=fault):
                raise SystemExit(fault.message)
            case _:
                pass

    generations = Generations(EngineSet({TTS: engine}), post)
    begun = time.perf_counter()
    generations.start(StartGeneration(AttemptId(1), Utterance(TEXT), "audio", "", 1.0, AudioFormat.PCM16, "en"))
    await done.wait()
    return 1_000 * (first[0] - begun)


def line(name: str, found: list[float]) -> str:
    found = sorted(found)
    return f"{name:<22} {statistics.median(found):7.1f} {found[int(0.99 * (len(found) - 1))]:7.1f} {found[-1]:7.1f}"


async def measure(spec: EngineSpec, times: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = SpeechCache(SpeechFiles(Path(folder) / "speech", 64 * MIB), [spec.name])
        await cache.open()
        engine = registry.create(TTS, spec)
        cached = EngineCaches(cache).create(TTS, spec, lambda *_: engine)
        await cached.open()
        assert isinstance(engine, SpeechSynthesizer)
        assert isinstance(cached, SpeechSynthesizer)
        print(f"{spec.name}: first audio, ms       p50     p99     max")
        print(line("without the cache", [await first_audio_ms(engine) for _ in range(times)]))
        print(line("into an empty cache", [await first_audio_ms(cached)]))
        await cache.settled(10)
        kept = [await first_audio_ms(cached) for _ in range(times)]
        print(line("from the cache", kept))
        print(f"{cache.counts.hits} of {times} came from the cache; the clause takes {cache.usage.bytes} bytes.")
        print(f"The target of {TARGET_MS} ms is {'met' if max(kept) <= TARGET_MS else 'missed'} by every one of them.")
        await cached.close()
        await cache.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tts", default="hibari", metavar="ENGINE[:MODEL]")
    parser.add_argument("--times", type=int, default=50)
    given = parser.parse_args()
    asyncio.run(measure(EngineSpec.parse(given.tts), given.times))


if __name__ == "__main__":
    main()
