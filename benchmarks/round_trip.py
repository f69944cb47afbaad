"""How well each recogniser reads each voice, how soon a voice begins, and what both cost: `python -m benchmarks.round_trip`.

Each synthesizer speaks the sentences below, each recogniser transcribes what it said. WER is the word error rate over all sentences:
substitutions, deletions and insertions by the words spoken, without case and punctuation; no sentence has a number or a name with two
spellings. A quarter of a second of silence stands before and after each, as a session's pre-roll and endpointing leave it. First audio
is the wall time from the request to the first chunk of a synthesizer that is open and has spoken before, RTF the processor time of this
process and its children by the length of the audio. On a machine that does other work, `--busy` leaves the wall times out: those of an
earlier run stay, and an engine without one has none. Writes `results/round_trip.json`, of which `docs/engines.md` is made
(`scripts/engines_page.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np
from rich.console import Console
from rich.table import Table

from parley.audio.resampling import Resampler
from parley.engines import registry
from parley.engines.ports import (
    STT,
    TTS,
    EngineSpec,
    RecognitionSpec,
    Samples,
    SpeechChunk,
    SpeechRecognizer,
    SpeechRequest,
    SpeechSynthesizer,
)
from parley.load.process_usage import read_usage

RESULTS = Path(__file__).resolve().parent / "results" / "round_trip.json"
SYNTHESIZERS = ("hibari", "espeak", "kokoro")
RECOGNIZERS = ("pocketsphinx", "whisper:tiny.en", "moonshine:tiny-v1")
"""Kokoro, Whisper and Moonshine need their weights: `parley models pull kokoro:v1.0 whisper:tiny.en moonshine:tiny-v1`."""

SENTENCES = (
    "What is the weather like in Paris today?",
    "Please remind me to call my mother this evening.",
    "I would like to book a table by the window on Friday.",
    "The next train to the city leaves in a few minutes.",
    "Could you turn the lights off in the kitchen?",
    "There are several restaurants near you that are open now.",
    "How long does it take to drive to the airport?",
    "Your meeting with the design team has been moved to the afternoon.",
    "Play some quiet music while I am reading.",
    "The doctor will see you as soon as possible.",
    "I am sorry, I did not understand the question.",
    "Can you tell me where the nearest station is?",
    "It will be cloudy in the morning and sunny later.",
    "Please wake me up before the sun comes out.",
    "My flight was late and I missed the connection.",
    "We should leave before it gets dark.",
    "The library opens early and closes late.",
    "Tell me a short story about the sea.",
    "Do you have this shirt in a larger size?",
    "Thank you very much, that is all I need.",
)


def main() -> int:
    arguments = parse_arguments()
    result = asyncio.run(measure(arguments.tts.split(","), arguments.stt.split(",")))
    if arguments.busy:
        leave_wall_times(result, json.loads(RESULTS.read_text()) if RESULTS.is_file() else {})
    if not arguments.no_write:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)
    return 0


async def measure(synthesizers: Sequence[str], recognizers: Sequence[str]) -> dict[str, Any]:
    console = Console(stderr=True)
    spoken: dict[str, list[tuple[Samples, int]]] = {}
    voices, pairs = [], []
    for name in synthesizers:
        console.print(f"[dim]{name} speaks[/]")
        spoken[name], figures = await speak_all(name)
        voices.append({**figures, "memory_mib": memory_of(name)})
    heard = []
    for name in recognizers:
        costs = []
        for voice, audio in spoken.items():
            console.print(f"[dim]{name} hears {voice}[/]")
            wer, cost = await recognize_all(name, audio, console)
            pairs.append({"tts": voice, "stt": name, "wer": round(wer, 4)})
            costs.append(cost)
        heard.append({
            "engine": name,
            "rtf": round(median(cost["rtf"] for cost in costs), 4),
            "final_p50_ms": round(median(cost["final_p50_ms"] for cost in costs), 1),
        })  # fmt: skip
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()}
    return {"sentences": len(SENTENCES), "on": machine, "voices": voices, "recognizers": heard, "pairs": pairs}


async def speak_all(
    name: str, sentences: Sequence[str] = SENTENCES, voice: str = ""
) -> tuple[list[tuple[Samples, int]], dict[str, Any]]:
    """The sentences as this synthesizer says them, and what they cost."""
    before = memory_mib()
    engine = cast(SpeechSynthesizer, registry.create(TTS, EngineSpec.parse(name)))
    await engine.open()
    try:
        async for _ in engine.speak(SpeechRequest(sentences[0], voice)):
            pass
        spoken, first_ms, seconds, started = [], [], 0.0, cpu_s()
        chunks: list[SpeechChunk]
        for sentence in sentences:
            asked, chunks = time.perf_counter(), []
            async for chunk in engine.speak(SpeechRequest(sentence, voice)):
                if not chunks:
                    first_ms.append(1000 * (time.perf_counter() - asked))
                chunks.append(chunk)
            audio = np.concatenate([chunk.audio for chunk in chunks])
            seconds += len(audio) / chunks[0].sample_rate
            spoken.append((audio, chunks[0].sample_rate))
        figures = {
            "engine": name,
            "first_audio_p50_ms": round(median(first_ms), 1),
            "rtf": round((cpu_s() - started) / seconds, 4),
            "memory_mib": round(memory_mib() - before),
        }
        return spoken, figures
    finally:
        await engine.close()


def memory_of(name: str) -> int:
    """MiB that a synthesizer takes once it has spoken, in a process of its own: what another one has given back does not count."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_memory_of, name).result()


def _memory_of(name: str) -> int:
    _, figures = asyncio.run(speak_all(name, SENTENCES[:2]))
    return int(figures["memory_mib"])


async def recognize_all(
    name: str, spoken: Sequence[tuple[Samples, int]], console: Console, sentences: Sequence[str] = SENTENCES
) -> tuple[float, dict[str, float]]:
    """The word error rate of what this recogniser makes of the sentences, and what it cost."""
    engine = cast(SpeechRecognizer, registry.create(STT, EngineSpec.parse(name)))
    await engine.open()
    try:
        errors = words = 0
        finals, seconds, started = [], 0.0, cpu_s()
        for sentence, (audio, rate) in zip(sentences, spoken, strict=True):
            resampler = Resampler(rate, engine.info.sample_rate, "HQ")
            stream = engine.open_stream(RecognitionSpec(), lambda _: None)
            try:
                silence = np.zeros(engine.info.sample_rate // 4, np.float32)
                stream.feed(np.concatenate([silence, resampler.push(audio), resampler.finish(), silence]))
                ended = time.perf_counter()
                text = (await stream.finish()).text
            finally:
                stream.close()
            finals.append(1000 * (time.perf_counter() - ended))
            seconds += len(audio) / rate
            said = words_of(sentence)
            wrong = distance(said, words_of(text))
            if wrong:
                console.print(f"  {sentence} -> {text}", markup=False)
            errors += wrong
            words += len(said)
        return errors / words, {"rtf": (cpu_s() - started) / seconds, "final_p50_ms": median(finals)}
    finally:
        await engine.close()


def leave_wall_times(result: dict[str, Any], earlier: dict[str, Any]) -> None:
    """Put the wall times of an earlier run into this one's place, or None."""
    for group, field in (("voices", "first_audio_p50_ms"), ("recognizers", "final_p50_ms")):
        before = {one["engine"]: one[field] for one in earlier.get(group, ())}
        for figures in result[group]:
            figures[field] = before.get(figures["engine"])


def words_of(text: str) -> list[str]:
    return re.sub(r"[^\w' ]", " ", text.lower()).split()


def distance(said: Sequence[str], heard: Sequence[str]) -> int:
    """The edit distance of two sequences of words."""
    row = list(range(len(heard) + 1))
    for at, word in enumerate(said, 1):
        previous, row[0] = row[0], at
        for index, other in enumerate(heard, 1):
            previous, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, previous + (word != other))
    return row[-1]


def cpu_s() -> float:
    """Of this process and its children: some engines compute in those."""
    return read_usage(os.getpid()).cpu_s


def memory_mib() -> float:
    return read_usage(os.getpid()).rss_bytes / 2**20


def show(result: dict[str, Any]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table("voice", "recogniser", "WER")
    for pair in result["pairs"]:
        table.add_row(pair["tts"], pair["stt"], f"{pair['wer']:.3f}")
    console.print(table)
    for figures in (*result["voices"], *result["recognizers"]):
        console.print(figures)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tts", default=",".join(SYNTHESIZERS), help="synthesizers, ENGINE[:MODEL],...")
    parser.add_argument("--stt", default=",".join(RECOGNIZERS), help="recognisers, ENGINE[:MODEL],...")
    parser.add_argument(
        "--busy", action="store_true", help="the machine does other work: keep the wall times of the last run"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--no-write", action="store_true", help="leave results/round_trip.json as it is")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
