"""Calls a Realtime server over WebRTC: says a recording, writes the answer to answer.wav, prints the events.

    python examples/webrtc_call.py question.wav --url http://127.0.0.1:8765 --key KEY

Needs the package of the extra `webrtc`.
"""

from __future__ import annotations

import argparse
import asyncio
import json

import httpx
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaPlayer, MediaRecorder


async def call(recording: str, url: str, key: str, model: str, seconds: float) -> None:
    """Talk for so long."""
    connection, answer = RTCPeerConnection(), MediaRecorder("answer.wav")
    microphone = MediaPlayer(recording).audio
    if microphone is None:
        raise SystemExit(f"{recording} has no audio.")
    connection.addTrack(microphone)
    connection.on("track", answer.addTrack)
    events = connection.createDataChannel("oai-events")
    events.on("message", lambda text: print(json.loads(text)["type"]))

    await connection.setLocalDescription(await connection.createOffer())
    async with httpx.AsyncClient(timeout=30) as http:
        response = await http.post(
            f"{url}/v1/realtime/calls",
            params={"model": model},
            content=connection.localDescription.sdp,
            headers={"content-type": "application/sdp", "authorization": f"Bearer {key}"},
        )
    if response.status_code != 201:
        raise SystemExit(response.json()["error"]["message"])
    print("call", response.headers["location"])
    await connection.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
    await answer.start()
    await asyncio.sleep(seconds)
    await answer.stop()
    await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", help="a WAV file; what follows it is silence")
    parser.add_argument("--url", default="http://127.0.0.1:8765")
    parser.add_argument("--key", default="none")
    parser.add_argument("--model", default="gpt-realtime")
    parser.add_argument("--seconds", type=float, default=12.0)
    options = parser.parse_args()
    asyncio.run(call(options.recording, options.url, options.key, options.model, options.seconds))


if __name__ == "__main__":
    main()
