"""Calls a server over WebRTC, as a browser would: plays it a recording, and keeps what it answers.

pip install aiortc httpx
python examples/webrtc_call.py question.wav answer.wav http://127.0.0.1:8765
"""

import argparse
import asyncio
import json
import os
import sys

import httpx
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaPlayer, MediaRecorder

LONGEST_S = 60


async def call(question: str, answer: str, url: str) -> None:
    connection = RTCPeerConnection()
    events = connection.createDataChannel("oai-events")
    heard = MediaRecorder(answer)
    answered = asyncio.Event()

    @events.on("message")
    def take(message: str) -> None:
        event = json.loads(message)
        match event["type"]:
            case "session.created":
                update = {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
                events.send(json.dumps({"type": "session.update", "session": update}))
            case "conversation.item.input_audio_transcription.completed":
                print("you:   ", event["transcript"])
            case "response.output_audio_transcript.done":
                print("server:", event["transcript"])
            case "output_audio_buffer.stopped":
                answered.set()
            case "error":
                print("error: ", event["error"]["message"], file=sys.stderr)

    microphone = MediaPlayer(question).audio
    if microphone is None:
        raise SystemExit(f"{question} has no audio.")
    connection.addTrack(microphone)
    connection.on("track", heard.addTrack)
    await connection.setLocalDescription(await connection.createOffer())
    headers = {"authorization": f"Bearer {os.environ.get('PARLEY_API_KEY', 'none')}", "content-type": "application/sdp"}
    async with httpx.AsyncClient(base_url=url, headers=headers) as server:
        made = await server.post("/v1/realtime/calls", content=connection.localDescription.sdp)
    if made.is_error:
        raise SystemExit(made.json()["error"]["message"])
    await connection.setRemoteDescription(RTCSessionDescription(made.text, "answer"))
    await heard.start()
    try:
        await asyncio.wait_for(answered.wait(), LONGEST_S)
    finally:
        await heard.stop()
        await connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("question", "answer", "url"):
        parser.add_argument(name)
    try:
        asyncio.run(call(**vars(parser.parse_args())))
    except (OSError, httpx.HTTPError) as error:
        parser.error(str(error))
