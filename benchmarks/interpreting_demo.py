"""A recorded demonstration: `python -m benchmarks.interpreting_demo SPEECH.wav OUT.ogg --to pt`.

Lets a translation session interpret a recording in real time, with the speaker softened beneath (`original_volume`), writes what a listener
hears, and prints when each clause was said and when its translation began. `--stt`, `--mt` and `--from` as in `parley.toml`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
import time
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

import parley
from benchmarks.interpreting import configured
from benchmarks.interpreting_client import speak
from benchmarks.realtime import server
from parley.audio import pcm
from parley.audio.resampling import resample
from parley.load.recording import SAMPLE_RATE

TAIL_MS = 6_000


def main() -> int:
    asked = parse_arguments()
    recording = parley.read_audio(asked.speech)
    sound = pcm.to_bytes(resample(recording.audio, recording.sample_rate, SAMPLE_RATE)) + bytes(48 * TAIL_MS)
    text = (
        f'[pipelines.default]\nstt = "{asked.stt}"\nmt = "{asked.mt}"\ntts = "espeak"\nlanguage = "{asked.source}"\n'
        f'lag = "{asked.lag}"\noriginal_volume = 0.15\n'
    )
    with configured(text) as path, server("--config", path) as (url, _):
        heard, clauses = asyncio.run(interpreted(url, asked.target, sound))
    parley.write_audio(asked.out, parley.Recording(pcm.to_float(heard), SAMPLE_RATE))
    for began_s, clause in clauses:
        print(f"{clause['end_ms'] / 1_000:6.1f} s  {clause['source']}")
        print(f"{began_s:6.1f} s  -> {clause['text']}")
    return 0


async def interpreted(url: str, target: str, sound: bytes) -> tuple[bytes, list[tuple[float, dict[str, Any]]]]:
    """What is heard (PCM16, 24 kHz), and each clause's record with the second at which it begins to be heard."""
    heard = bytearray()
    records: list[dict[str, Any]] = []
    begins: dict[int, float] = {}
    async with connect(f"{url}/v1/realtime/translations?model=default", max_size=None) as socket:
        session = {"audio": {"output": {"language": target}}, "include": ["parley.clauses"]}
        await socket.send(json.dumps({"type": "session.update", "session": session}))
        speaking = asyncio.create_task(speak(socket, sound, time.perf_counter()))
        try:
            async for message in socket:
                event = json.loads(message)
                if event["type"] == "session.output_audio.delta":
                    at = event.get("elapsed_ms")
                    if at is not None:
                        begins.setdefault(at, len(heard) / 2 / SAMPLE_RATE)
                    heard += base64.b64decode(event["delta"])
                elif event["type"] == "parley.translation.clause":
                    records.append(event)
                elif event["type"] == "error":
                    raise SystemExit(event["error"]["message"])
                elif event["type"] == "session.closed":
                    break
        finally:
            speaking.cancel()
    return bytes(heard), [(begins.get(one["end_ms"] - one["end_ms"] % 200, 0.0), one) for one in records]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("speech", type=Path, help="the recording")
    parser.add_argument("out", type=Path, help="what the listener hears: .ogg, .mp3, .wav")
    parser.add_argument("--from", dest="source", default="en", help="the language of the recording (en)")
    parser.add_argument("--to", dest="target", default="pt", help="the language of the listener (pt)")
    parser.add_argument("--stt", default="whisper:base")
    parser.add_argument("--mt", default="bergamot")
    parser.add_argument("--lag", default="normal")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
