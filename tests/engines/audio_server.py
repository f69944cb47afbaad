"""A real HTTP server that speaks as much of OpenAI's audio API as a test scripts: `/audio/speech`, `/audio/transcriptions`, their lists.

It is the other side of the wire (see `chat_server`): forms are parsed, what was uploaded is read as the WAV that it should be.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import io
import wave
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.engines.chat_server import Answer, ChatServer, Request, Script
from tests.engines.scripted_servers import next_of

PCM_RATE = 24_000


@dataclass
class Form:
    """A multipart form: the texts by name, in order, and the file."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    file_name: str = ""
    file_type: str = ""
    file: bytes = b""
    field: str = ""

    def wav(self) -> NDArray[np.int16]:
        """The samples of the file, which must be a 16 kHz 16-bit mono WAV."""
        with wave.open(io.BytesIO(self.file)) as wav:
            assert (wav.getframerate(), wav.getsampwidth(), wav.getnchannels()) == (16_000, 2, 1)
            return np.frombuffer(wav.readframes(wav.getnframes()), "<i2")


def tone(hertz: float, seconds: float, rate: int = PCM_RATE) -> NDArray[np.int16]:
    times = np.arange(round(rate * seconds)) / rate
    return (8_000 * np.sin(2 * np.pi * hertz * times)).astype("<i2")


def wav_bytes(samples: NDArray[np.int16], rate: int, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(channels)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(samples.tobytes())
    return file.getvalue()


async def speak(request: Request, answer: Answer) -> None:
    """Sound that depends on the text: 50 ms of a tone for each character, in PCM or WAV as asked, in odd pieces."""
    pieces = [tone(200 + 8 * (ord(character) % 100), 0.05) for character in request.body["input"]]
    samples = np.concatenate(pieces)
    wav = request.body["response_format"] == "wav"
    data = wav_bytes(samples, PCM_RATE) if wav else samples.tobytes()
    kind = "audio/wav" if wav else "audio/pcm"
    for at in range(0, len(data), 1_777):
        await answer.raw(data[at : at + 1_777], content_type=kind)
    await answer.end()


async def transcribe(request: Request, answer: Answer) -> None:
    """A word for each burst of sound in the upload, numbered by its length in frames of 20 ms, as the form asks for it."""
    samples = request.body.wav().astype(np.float32) / 32_768
    count = len(samples) // 320
    loud = np.sqrt((samples[: 320 * count].reshape(-1, 320) ** 2).mean(axis=1)) > 0.01
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud, [0]]))).reshape(-1, 2)
    words = [{"word": f"burst{end - start}", "start": start * 0.02, "end": end * 0.02} for start, end in edges.tolist()]
    texts = request.body.texts
    body: dict[str, Any] = {"text": " ".join(str(word["word"]) for word in words)}
    if texts["response_format"] == ["verbose_json"]:
        language = texts.get("language", ["english"])[0]
        segments = [{"id": 0, "avg_logprob": -0.25, "tokens": [1, 2]}]
        body |= {"task": "transcribe", "language": language, "duration": len(samples) / 16_000, "segments": segments}
        if "word" in texts.get("timestamp_granularities[]", []):
            body["words"] = words
    if "logprobs" in texts.get("include[]", []):
        tokens = [f"{' ' * (at > 0)}{word['word']}" for at, word in enumerate(words)]
        body["logprobs"] = [{"token": token, "logprob": -0.5, "bytes": list(token.encode())} for token in tokens]
    if texts.get("stream") == ["true"]:
        for at, word in enumerate(words):
            await answer.event({"type": "transcript.text.delta", "delta": f"{' ' * (at > 0)}{word['word']}"})
        await answer.event({"type": "transcript.text.done", **body})
        await answer.end()
    else:
        await answer.json(200, body)


def slowly(script: Script, seconds: float) -> Script:
    """The script of a server that has to load its model first."""

    async def slow(request: Request, answer: Answer) -> None:
        loaded = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, loaded.set)
        await loaded.wait()
        await script(request, answer)

    return slow


@dataclass
class AudioServer(ChatServer):
    """`speech` and `transcripts` answer their requests in turn (the last one goes on); `voices` is what the server lists."""

    scripts: list[Script] = field(default_factory=list)
    speech: list[Script] = field(default_factory=lambda: [speak])
    transcripts: list[Script] = field(default_factory=lambda: [transcribe])
    voices: object = None

    def posted(self, path: str) -> list[Request]:
        """The requests for `/audio/speech` or `/audio/transcriptions` so far."""
        return [request for request in self.requests if request.path.endswith(path)]

    def _parsed(self, headers: dict[str, str], data: bytes) -> Any:
        kind = headers.get("content-type", "")
        if not kind.startswith("multipart/form-data"):
            return super()._parsed(headers, data)
        message = email.message_from_bytes(f"content-type: {kind}\r\n\r\n".encode() + data, policy=email.policy.HTTP)
        form = Form()
        for part in message.iter_parts():
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            name = str(part.get_param("name", header="content-disposition"))
            if part.get_filename() is not None:
                form.file_name, form.file_type = str(part.get_filename()), part.get_content_type()
                form.file, form.field = content, name
            else:
                form.texts.setdefault(name, []).append(content.decode())
        return form

    async def _answer(self, request: Request, answer: Answer) -> None:
        path = request.path.removeprefix(self.root)
        scripts = {"/audio/speech": self.speech, "/audio/transcriptions": self.transcripts}.get(path)
        if scripts is not None:
            script = next_of(scripts)
            await script(request, answer)
        elif path == "/audio/voices" and self.voices is not None:
            await answer.json(200, self.voices)
        else:
            await super()._answer(request, answer)
