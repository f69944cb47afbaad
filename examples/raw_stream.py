"""Talk to a Parley server in raw audio: binary frames are PCM16 both ways, text frames say what goes on.

python examples/raw_stream.py ws://127.0.0.1:8765/v1/audio/stream?key=KEY     # wear headphones; pip install sounddevice
python examples/raw_stream.py ws://127.0.0.1:8765/v1/audio/stream question.wav answer.wav
"""

import argparse
import asyncio
import json
import wave

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

RATE = 16_000


def shown(frame: str | bytes) -> str:
    event = json.loads(frame)
    if said := event.get("transcript") or event.get("error", {}).get("message"):
        print({"c": "you:  ", "r": "agent:", "e": "error:"}[event["type"][0]], said, flush=True)
    return str(event["type"])


async def live(stream: ClientConnection) -> None:
    import sounddevice

    loop, heard = asyncio.get_running_loop(), bytearray()

    def sound(microphone: memoryview, loudspeaker: memoryview, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(stream.send(bytes(microphone)), loop)
        loudspeaker[:] = bytes(heard[: len(loudspeaker)]).ljust(len(loudspeaker), b"\0")
        del heard[: len(loudspeaker)]

    with sounddevice.RawStream(RATE, blocksize=RATE // 50, channels=1, dtype="int16", callback=sound):
        async for frame in stream:
            if isinstance(frame, bytes):
                heard += frame
            elif shown(frame) == "output_audio_buffer.cleared":
                heard.clear()  # interrupted: what was not heard yet is never to be


async def recorded(stream: ClientConnection, question: str, answer: str) -> None:
    with wave.open(question) as file, wave.open(answer, "wb") as out:
        out.setparams(file.getparams())
        await stream.send(file.readframes(file.getnframes()) + bytes(2 * RATE))  # and a second in which the turn ends
        async for frame in stream:
            if isinstance(frame, bytes):
                out.writeframes(frame)
            elif shown(frame) in ("output_audio_buffer.stopped", "error"):
                break


async def main(url: str, question: str | None, answer: str) -> None:
    async with connect(f"{url}{'&' if '?' in url else '?'}rate={RATE}") as stream:
        await (recorded(stream, question, answer) if question else live(stream))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("url")
parser.add_argument("question", nargs="?", help="a WAV of 16 bits, one channel, 16 kHz")
parser.add_argument("answer", nargs="?", default="answer.wav", help="what to write, such a WAV, too")
try:
    asyncio.run(main(**vars(parser.parse_args())))
except (OSError, WebSocketException, wave.Error) as error:
    parser.error(str(error))
