"""How soon the words of a held turn (push to talk) are there: `python -m benchmarks.held_turns`.

Starts `parley serve` in a process of its own and, with `turn_detection: null`, says four stretches of ten seconds of read speech
(`two_cities` of `tests/speech.py`) into its input buffer as a microphone delivers them: 20 ms of audio every 20 ms. It commits each as soon
as it is said. Measured are the time from the commit to the final transcript, and from the voice's onset to the first words that may still
change (`parley.unstable_words`). Writes `results/held_turns.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.offline_turns import CHUNK_MS, append
from benchmarks.realtime import machine, server
from benchmarks.round_trip import distance, words_of
from parley.load.recording import SAMPLE_RATE, SpeechRecording, find_speech, load_recording
from tests.speech import clip

RESULTS = Path(__file__).resolve().parent / "results" / "held_turns.json"
SPEECH = "two_cities"
HOLD_S = 10
HOLDS = 4
LIMIT_S = 30.0
SESSION = {
    "type": "realtime",
    "include": ["parley.unstable_words"],
    "audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}},
}
REFERENCE = words_of(
    "it was the best of times it was the worst of times it was the age of wisdom it was the age of foolishness "
    "it was the epoch of belief it was the epoch of incredulity it was the season of light it was the season of darkness "
    "it was the spring of hope it was the winter of despair we had everything before us we had nothing before us"
)
"""How the clip begins; a stretch is compared with the words that it can hold."""


def main() -> int:
    arguments = parse_arguments()
    recording = load_recording(clip(SPEECH))
    found: list[dict[str, Any]] = []
    for stt in arguments.stt.split(","):
        with server("--stt", stt, "--llm", "responder") as (url, _):
            found.append({"stt": stt, **asyncio.run(hold_all(url, stretches(recording)))})
    result = {"machine": machine(), "hold_s": HOLD_S, "runs": found}
    if not arguments.no_write:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        show(found)
    return 0


def stretches(recording: SpeechRecording) -> list[SpeechRecording]:
    """The recording from its onset on, in pieces of `HOLD_S`."""
    size = HOLD_S * SAMPLE_RATE
    begins = range(recording.onset_sample, recording.onset_sample + HOLDS * size, size)
    return [find_speech(recording.pcm[at : at + size]) for at in begins]


async def hold_all(url: str, recordings: Sequence[SpeechRecording]) -> dict[str, Any]:
    console = Console(stderr=True)
    firsts: list[float] = []
    finals: list[float] = []
    heard: list[str] = []
    async with connect(f"{url}/v1/realtime?model=gpt-realtime", max_size=None) as socket:
        await socket.send(json.dumps({"type": "session.update", "session": SESSION}))
        for recording in recordings:
            first_s, final_s, text = await hold(socket, recording)
            shown = "-" if first_s is None else f"{1000 * first_s:5.0f} ms"
            console.print(f"  first {shown}, final {1000 * final_s:5.0f} ms  {text}", markup=False)
            finals.append(1000 * final_s)
            heard.append(text)
            if first_s is not None:
                firsts.append(1000 * first_s)
    said = words_of(" ".join(heard))
    return {
        "holds": len(recordings),
        "first_words_ms": [round(first) for first in firsts],
        "commit_to_final_p50_ms": round(median(finals)),
        "commit_to_final_max_ms": round(max(finals)),
        "wer_of_the_beginning": round(distance(REFERENCE, said[: len(REFERENCE)]) / len(REFERENCE), 4),
    }


async def hold(socket: ClientConnection, recording: SpeechRecording) -> tuple[float | None, float, str]:
    """Hold, speak, let go: seconds from the voice's onset to the first words (None: there were none before the commit), from the commit to
    the transcript, and the transcript."""
    began = time.perf_counter()
    committed: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    microphone = asyncio.create_task(speak(socket, recording, began, committed))
    first_s: float | None = None
    try:
        async with asyncio.timeout(HOLD_S + LIMIT_S):
            while True:
                event = json.loads(await socket.recv())
                match event["type"]:
                    case "parley.input_transcript.unstable" if (
                        first_s is None and event["text"] and not committed.done()
                    ):
                        first_s = time.perf_counter() - began - recording.onset_sample / SAMPLE_RATE
                    case "conversation.item.input_audio_transcription.completed":
                        return first_s, time.perf_counter() - committed.result(), event["transcript"]
                    case "error":
                        raise SystemExit(f"the server reports: {event['error']['message']}")
    finally:
        microphone.cancel()


async def speak(
    socket: ClientConnection, recording: SpeechRecording, began: float, committed: asyncio.Future[float]
) -> None:
    """Every chunk when a microphone would have finished it, then the commit."""
    size = SAMPLE_RATE * CHUNK_MS // 1000
    for sent, at in enumerate(range(0, len(recording.pcm), size), 1):
        await asyncio.sleep(began + sent * CHUNK_MS / 1000 - time.perf_counter())
        await socket.send(append(np.asarray(recording.pcm[at : at + size])))
    committed.set_result(time.perf_counter())
    await socket.send(json.dumps({"type": "input_audio_buffer.commit"}))


def show(found: Sequence[dict[str, Any]]) -> None:
    table = Table("recogniser", "first words", "commit to final: p50", "max", "WER")
    for run in found:
        firsts = f"{min(run['first_words_ms'])} to {max(run['first_words_ms'])} ms" if run["first_words_ms"] else "-"
        finals = (f"{run[f'commit_to_final_{name}_ms']} ms" for name in ("p50", "max"))
        table.add_row(run["stt"], firsts, *finals, f"{run['wer_of_the_beginning']:.3f}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Time from the commit of a held turn to its transcript, and to its first words."
    )
    parser.add_argument("--stt", default="pocketsphinx", help="recognisers, one run each (pocketsphinx)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--no-write", action="store_true", help="leave results/held_turns.json alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
