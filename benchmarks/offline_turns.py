"""How soon the offline pipeline answers a spoken question: `python -m benchmarks.offline_turns`.

Starts `parley serve` as a newcomer does, in a process of its own, and speaks the sentences of `round_trip`, in the voice of hibari, as a
microphone delivers them: 20 ms of audio every 20 ms, one turn after the other in one session. Measured is the time from the end of the
speech in the recording (`parley.load.recording`: where its energy falls for good 40 dB below its loudest 10 ms) to the first
`response.output_audio.delta`. A reply that comes before the sentence is over counts as early. Writes `results/offline_turns.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.realtime import machine, server
from benchmarks.round_trip import SENTENCES, distance, speak_all, words_of
from parley.audio.resampling import Resampler
from parley.engines.ports import Samples
from parley.load.recording import SAMPLE_RATE, SpeechRecording, cut_track, find_speech, load_recording

RESULTS = Path(__file__).resolve().parent / "results" / "offline_turns.json"
CHUNK_MS = 20
REPLY_LIMIT_S = 20.0
SESSION = {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}


def main() -> int:
    arguments = parse_arguments()
    recordings = asyncio.run(sentences(arguments.wav))
    found: list[dict[str, Any]] = []
    for stt in arguments.stt.split(","):
        with server("--stt", stt, "--llm", "responder") as (url, _):
            found.append({"stt": stt, **asyncio.run(converse(url, recordings))})
    result = {"machine": machine(), "runs": found}
    if not arguments.no_write:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        show(found)
    return 0


async def sentences(wavs: Sequence[Path]) -> list[tuple[str, SpeechRecording]]:
    """What is said, and its sound."""
    if wavs:
        return [(path.stem, load_recording(path)) for path in wavs]
    spoken, _ = await speak_all("hibari")
    return [
        (sentence, find_speech(pcm16(audio, rate))) for sentence, (audio, rate) in zip(SENTENCES, spoken, strict=True)
    ]


def pcm16(audio: Samples, rate: int) -> NDArray[np.int16]:
    resampler = Resampler(rate, SAMPLE_RATE, "HQ")
    quiet = np.zeros(SAMPLE_RATE // 4, np.float32)
    whole = np.concatenate([quiet, resampler.push(audio), resampler.finish(), quiet])
    scaled: NDArray[np.int16] = (np.clip(whole, -1, 1) * 32767).astype(np.int16)
    return scaled


async def converse(url: str, recordings: Sequence[tuple[str, SpeechRecording]]) -> dict[str, Any]:
    console = Console(stderr=True)
    waits: list[float] = []
    early = wrong = words = 0
    async with connect(f"{url}/v1/realtime?model=gpt-realtime", max_size=None) as socket:
        await socket.send(json.dumps({"type": "session.update", "session": SESSION}))
        for sentence, recording in recordings:
            wait_s, heard = await turn(socket, recording)
            console.print(f"  {1000 * wait_s:5.0f} ms  {sentence} -> {heard}", markup=False)
            if wait_s < 0:
                early += 1
                continue
            waits.append(1000 * wait_s)
            wrong += distance(words_of(sentence), words_of(heard))
            words += len(words_of(sentence))
    cuts = quantiles(waits, n=10)
    return {
        "turns": len(recordings),
        "early": early,
        "wer": round(wrong / max(1, words), 4),
        "first_audio_p50_ms": round(median(waits)),
        "first_audio_p90_ms": round(cuts[-1]),
        "first_audio_max_ms": round(max(waits)),
    }


async def turn(socket: ClientConnection, recording: SpeechRecording) -> tuple[float, str]:
    """Say it; the seconds from the end of the speech to the first audio of the reply, and the transcript."""
    track = cut_track(recording, CHUNK_MS)
    messages = list(chunks(recording))
    silence = append(np.zeros(SAMPLE_RATE * CHUNK_MS // 1000, np.int16))
    ended = time.perf_counter() + (track.end_frame + 1) * CHUNK_MS / 1000 - track.end_lead_s
    microphone = asyncio.create_task(speak(socket, messages, silence))
    first_s, heard, done = 0.0, "", False
    try:
        async with asyncio.timeout(REPLY_LIMIT_S):
            while not (done and heard):
                event = json.loads(await socket.recv())
                match event["type"]:
                    case "response.output_audio.delta" if not first_s:
                        first_s = time.perf_counter()
                    case "conversation.item.input_audio_transcription.completed":
                        heard = event["transcript"]
                    case "response.done":
                        done = True
                    case "error":
                        raise SystemExit(f"the server reports: {event['error']['message']}")
    finally:
        microphone.cancel()
    return first_s - ended, heard


async def speak(socket: ClientConnection, messages: Sequence[str], silence: str) -> None:
    """Every chunk when a microphone would have finished it, then silence until cancelled."""
    began = time.perf_counter()
    sent = 0
    while True:
        sent += 1
        await asyncio.sleep(began + sent * CHUNK_MS / 1000 - time.perf_counter())
        await socket.send(messages[sent - 1] if sent <= len(messages) else silence)


def chunks(recording: SpeechRecording) -> Iterator[str]:
    size = SAMPLE_RATE * CHUNK_MS // 1000
    for at in range(0, len(recording.pcm) - size + 1, size):
        yield append(recording.pcm[at : at + size])


def append(pcm: NDArray[np.int16]) -> str:
    audio = base64.b64encode(pcm.astype("<i2").tobytes()).decode()
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio})


def show(found: Sequence[dict[str, Any]]) -> None:
    table = Table("recogniser", "p50", "p90", "max", "early", "WER")
    for run in found:
        figures = (run[f"first_audio_{name}_ms"] for name in ("p50", "p90", "max"))
        table.add_row(
            run["stt"], *(f"{ms} ms" for ms in figures), f"{run['early']} of {run['turns']}", f"{run['wer']:.3f}"
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time from the end of a spoken sentence to the reply, offline.")
    parser.add_argument("--stt", default="pocketsphinx", help="recognisers, one run each (pocketsphinx)")
    parser.add_argument("--wav", type=Path, action="append", default=[], help="say this instead; repeatable")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--no-write", action="store_true", help="leave results/offline_turns.json alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
