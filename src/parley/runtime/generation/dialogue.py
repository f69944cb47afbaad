"""From the core's prompt to a request for a speech model.

Laws: pure but for resampling, which runs in a thread. The sound of the turn to be answered is given as audio; everything before it as
text. A voice that the model does not have is left to the model: with a voice converter it is the converter's.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np

from parley.audio.pcm import to_float
from parley.audio.resampling import resample
from parley.core.words.effects import StartGeneration
from parley.engines.ports import AudioPart, ChatMessage, DialogueRequest, Samples, SpeechModel
from parley.runtime.generation.prompt_mapping import chat_request


async def dialogue_request(effect: StartGeneration, model: SpeechModel, share: object) -> DialogueRequest:
    """The whole request for one answer, which is heard or, in the modality "text", read."""
    request = chat_request(effect.prompt, "text", effect.language)
    messages, turn, transcript = _parted(request.messages)
    voice, language = voice_of(model, effect.voice, effect.language)
    return DialogueRequest(
        audio=await asyncio.to_thread(_samples, turn, model.info.sample_rate) if turn else np.zeros(0, np.float32),
        messages=messages,
        tools=request.tools,
        tool_choice=request.tool_choice,
        voice=voice,
        language=language,
        transcript=transcript,
        text_only=effect.modality == "text",
        speed=effect.speed,
        max_tokens=request.max_tokens,
        share=share,
    )


def voice_of(model: SpeechModel, voice: str, language: str) -> tuple[str, str]:
    """The voice and the language to ask the model for; "" for a voice that it does not have, or a language that this one does not speak."""
    for asked in ((voice, language), (voice, ""), ("", language)):
        if model.resolve_voice(*asked) is not None:
            return asked
    return "", ""


def _parted(messages: tuple[ChatMessage, ...]) -> tuple[tuple[ChatMessage, ...], tuple[AudioPart, ...], str]:
    """What came before the turn, the turn's sound and its words. Words that were typed beside it stay a message."""
    before = tuple(replace(message, audio=()) for message in messages)
    if not messages or messages[-1].role != "user" or not messages[-1].audio:
        return before, (), ""
    turn = messages[-1]
    words = "\n".join(turn.text[part.start : part.end] for part in turn.audio)
    typed, at = [], 0
    for part in turn.audio:
        typed.append(turn.text[at : part.start].strip())
        at = part.end
    rest = "\n".join(filter(None, (*typed, turn.text[at:].strip())))
    kept = (ChatMessage("user", rest, turn.images),) if rest or turn.images else ()
    return (*before[:-1], *kept), turn.audio, words


def _samples(turn: tuple[AudioPart, ...], rate: int) -> Samples:
    """The sound of a turn at `rate`, float32 `[n]`."""
    return np.concatenate([resample(to_float(np.frombuffer(part.pcm, "<i2")), part.sample_rate, rate) for part in turn])
