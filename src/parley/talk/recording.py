"""A conversation recorded in a folder: the audio of both sides, the events of the wire, the transcript.

    audio.wav         two tracks, 24 kHz: left the user as sent, right the assistant as it left the loudspeaker
    trace.jsonl       every event both ways with its time; audio as its length
    transcript.txt    for reading
    transcript.json   the same with times, what was cut off, and every turn's figures

Laws: audio and trace are written as they come, the rest at the end. Both tracks keep their place in time: where a track has nothing
there is silence. A trace never holds a key. Only this user may read the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from parley.audio.private_files import make_private_folder, private_opener
from parley.audio.types import Int16
from parley.talk.figures import TalkTurn, spreads
from parley.talk.recorded_tracks import RATE, RecordedTracks
from parley.talk.transcript import TranscriptLine

AUDIO_FIELDS = ("audio", "delta")


class _TalkTracks:
    """Left the user, right the assistant, into a WAV. `user()` and `assistant()` as the sound happens, `close()` at the end."""

    def __init__(self, path: Path, began_s: float, played_rate: int) -> None:
        self._tracks = RecordedTracks(path, began_s, 2)
        self._played_rate = played_rate
        self.close = self._tracks.close

    def user(self, audio: Int16, ended_s: float) -> None:
        """What was sent (24 kHz), whose last sample was recorded at `ended_s`."""
        self._tracks.put(0, audio, ended_s - len(audio) / RATE)

    def assistant(self, audio: Int16, at_s: float) -> None:
        """What the loudspeaker got (at the rate named), whose first sample sounds at `at_s`."""
        self._tracks.put(1, audio, at_s, self._played_rate)


class TalkRecording:
    """The folder of one conversation. Raises `OSError` when it cannot be written. Next: `finish()`."""

    def __init__(self, folder: Path, began_s: float, played_rate: int) -> None:
        make_private_folder(folder)
        self.folder = folder
        self._began_s = began_s
        self.tracks = _TalkTracks(folder / "audio.wav", began_s, played_rate)
        self._trace = open(folder / "trace.jsonl", "w", encoding="utf-8", opener=private_opener)  # noqa: SIM115

    def event(self, direction: str, message: str | bytes, now_s: float) -> None:
        """One message of the wire: `direction` is "sent" or "received"."""
        try:
            event = msgspec.json.decode(message)
        except msgspec.DecodeError:
            event = {"unreadable": len(message)}
        self.note(direction, _without_audio(event), now_s)

    def note(self, kind: str, what: Any, now_s: float) -> None:
        """Something that happened here."""
        row = {"at_ms": round((now_s - self._began_s) * 1000, 1), "what": kind, "event": what}
        self._trace.write(json.dumps(row, ensure_ascii=False) + "\n")

    def finish(self, lines: Iterable[TranscriptLine], turns: list[TalkTurn]) -> None:
        """Write the transcript and close everything."""
        self.tracks.close()
        self._trace.close()
        said = [line for line in lines if line.text or line.unheard or line.note]
        text = "\n".join(plain_line(line) for line in said)
        self._write("transcript.txt", text)
        document = {
            "lines": [self._line(line) for line in said],
            "turns": [self._turn(turn) for turn in turns],
            "figures": [
                {"name": each.name, "count": each.count, "p50_ms": round(each.p50, 1), "p95_ms": round(each.p95, 1)}
                for each in spreads(turns)
            ],
        }
        self._write("transcript.json", json.dumps(document, ensure_ascii=False, indent=2))

    def _write(self, name: str, text: str) -> None:
        with open(self.folder / name, "w", encoding="utf-8", opener=private_opener) as file:
            file.write(text + "\n")

    def _line(self, line: TranscriptLine) -> dict[str, Any]:
        written: dict[str, Any] = {
            "speaker": {"you": "user", "reply": "assistant", "note": "note"}[line.speaker],
            "at_ms": round((line.begun_s - self._began_s) * 1000),
            "text": line.text,
        }
        if line.heard_ms is not None:
            written |= {"unheard": line.unheard, "heard_ms": line.heard_ms, "heard_exactly": line.exact}
        if line.note:
            written["note"] = line.note
        return written

    def _turn(self, turn: TalkTurn) -> dict[str, Any]:
        figures = {
            name: {"ms": round(figure.ms, 1), "estimated": figure.estimated} for name, figure in turn.figures().items()
        }
        return {"number": turn.number, "interrupted": turn.interrupted, "figures": figures}


def plain_line(line: TranscriptLine) -> str:
    """A line of the transcript in plain text; what was cut off stands in brackets."""
    name = {"you": "you", "reply": "reply", "note": "note"}[line.speaker]
    text = line.text.strip()
    if line.unheard.strip():
        text = f"{text} [not heard: {line.unheard.strip()}]".strip()
    if line.note:
        text = f"{text} ({line.note})".strip()
    return f"{name}: {text}"


def _without_audio(event: Any) -> Any:
    """The event with its audio as a length."""
    if not isinstance(event, dict):
        return event
    kind = str(event.get("type", ""))
    sound = kind == "input_audio_buffer.append" or kind == "response.output_audio.delta"
    short = {
        name: f"<{len(value) * 3 // 4} bytes of audio>"
        if sound and name in AUDIO_FIELDS and isinstance(value, str)
        else value
        for name, value in event.items()
    }
    item = short.get("item")
    if isinstance(item, dict) and isinstance(item.get("content"), list):
        content = [
            {**part, "audio": "<audio>"} if isinstance(part, dict) and part.get("audio") else part
            for part in item["content"]
        ]
        short["item"] = {**item, "content": content}
    return short
