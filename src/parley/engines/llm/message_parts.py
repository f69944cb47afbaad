"""A chat message as its parts in order: texts, images, sounds.

Laws: pure. To a model that does not hear, a sound is its words.
"""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Iterator

from parley.engines.ports import AudioPart, ChatMessage, ImagePart


def has_parts(message: ChatMessage, *, hears: bool) -> bool:
    """Whether the message is more than one text."""
    return bool(message.images or (hears and message.audio))


def parts_of(message: ChatMessage, *, hears: bool) -> Iterator[str | ImagePart | AudioPart]:
    """The parts in the order in which they stand; no empty text, and none with the line break that joins it to another part."""
    text = message.text
    marks: list[tuple[int, int, ImagePart | AudioPart]] = []
    for image in message.images:
        at = len(text) if image.at is None else image.at
        marks.append((at, at, image))
    for sound in message.audio if hears else ():
        marks.append((sound.start - text[: sound.start].endswith("\n"), sound.end, sound))
    written = 0
    for start, end, part in sorted(marks, key=lambda mark: mark[:2]):
        yield from _text(text, written, start)
        yield part
        written = max(written, end)
    yield from _text(text, written, len(text))


def wav_of(sound: AudioPart) -> str:
    """The base64 of a WAV file of the sound."""
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(sound.sample_rate)
        wav.writeframes(sound.pcm)
    return base64.b64encode(file.getbuffer()).decode()


def _text(text: str, start: int, end: int) -> Iterator[str]:
    piece = text[start:end]
    piece = piece.removeprefix("\n") if start else piece
    if piece:
        yield piece
