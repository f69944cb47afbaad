"""CSM as a synthesizer: each clause is spoken in view of the words and the sound of the conversation so far.

Laws:
- A clause is spoken a frame of 80 ms at a time, together with those of other sessions (`scheduler`); it is at most `MAX_AHEAD_S` ahead of
  its consumer, and stops within a frame where the consumer leaves.
- Nothing of a conversation is computed twice (`conversation`), and nothing of it reaches another one (`conversations`).
- A clause ends: by the model, by a silence, or by a length that no speaker needs (`endings`).
- The model has one speed; other speeds are made of its audio (`tempo`).
- Nothing is downloaded here, and only safetensors are read. Clients name voices; recordings to clone come from the owner, or from the
  store of own voices.

Source: https://github.com/SesameAILabs/csm (Apache-2.0).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parley.engines import fingerprints
from parley.engines.ports import (
    EngineError,
    EngineInfo,
    EngineRefused,
    EngineUnavailable,
    SpeechChunk,
    SpeechRequest,
    VoiceSample,
)
from parley.engines.tts.csm import settings as csm_settings
from parley.engines.tts.csm import weights
from parley.engines.tts.csm.faults import error_of
from parley.engines.tts.csm.model import FRAMES_PER_S, SAMPLE_RATE, CsmModel
from parley.engines.tts.csm.scheduler import FrameScheduler, probe
from parley.engines.tts.csm.settings import CsmSettings
from parley.engines.tts.csm.speech import CsmSpeech
from parley.engines.tts.csm.spoken_text import pieces_of, plain_text
from parley.engines.tts.csm.voices import CsmVoice, CsmVoices
from parley.engines.tts.tempo import Tempo
from parley.text.language_tags import primary_tag

log = logging.getLogger(__name__)

LANGUAGE: Final = "en"
"""The published weights were trained on English."""


def create(model: str, options: Mapping[str, object]) -> CsmSynthesizer:
    """`csm:FOLDER`, or `csm:OWNER/NAME` of the Hub; the options are listed in docs/csm.md."""
    return CsmSynthesizer(model, csm_settings.read(options))


@dataclass(slots=True)
class _Opened:
    """What an open engine has. `real_time_factor` is of one request alone."""

    scheduler: FrameScheduler
    voices: CsmVoices
    device: str
    real_time_factor: float


class CsmSynthesizer:
    """CSM as a `SpeechSynthesizer`. Any number of requests may run at once; they share each step of the model."""

    def __init__(self, model: str, settings: CsmSettings) -> None:
        self._model = model
        self._settings = settings
        self._opened: _Opened | None = None

    @property
    def info(self) -> EngineInfo:
        summary = "CSM: speech that takes up the tone of the conversation, and cloned voices; wants a GPU."
        if self._opened is not None:
            summary += f" Measured on {self._opened.device}: a real-time factor of {self._opened.real_time_factor:.2g}."
        return EngineInfo(
            stage="tts",
            name="csm",
            summary=summary,
            needs=("torch", "transformers", "weights"),
            sample_rate=SAMPLE_RATE,
            languages=(LANGUAGE,),
            voices=self._opened.voices.names if self._opened else (),
            batch=self._settings.batch,
            licence="Apache-2.0, weights under the licence of their publisher",
            conversational=True,
        )

    @property
    def notice(self) -> str:
        """What a user should know: which voices are cloned, and a machine that is too slow."""
        if self._opened is None:
            return ""
        said = []
        if cloned := self._opened.voices.cloned:
            said.append(
                f"Cloned voices: {', '.join(cloned)}. Use a person's voice with the consent of that person only, and tell listeners that "
                "the speech is made by a machine."
            )
        if self._opened.real_time_factor > 1:
            said.append(self._too_slow(self._opened.real_time_factor, self._opened.device))
        return " ".join(said)

    @property
    def fault(self) -> EngineError | None:
        """Why nothing can be spoken at this moment; None while something can."""
        return self._opened.scheduler.fault if self._opened else None

    @property
    def scheduler(self) -> FrameScheduler | None:
        """What an open engine makes its frames with; its `counts` tell what contexts have cost."""
        return self._opened.scheduler if self._opened else None

    def missing_models(self) -> tuple[str, ...]:
        """The repository of the Hub that is named, where it is not on this machine."""
        return weights.missing(self._model)

    async def open(self) -> None:
        if self._opened is not None:
            return
        try:
            model, voices, frame_s = await asyncio.to_thread(self._open_blocking)
        except EngineUnavailable:
            raise
        except Exception as error:  # whatever torch raises for a device or for memory
            log.warning("csm:%s cannot be opened", self._model, exc_info=error)
            why = error_of(error, f"csm:{self._model}")
            raise EngineUnavailable.of(why) from error
        factor = frame_s * FRAMES_PER_S
        self._opened = _Opened(
            FrameScheduler(f"csm:{self._model}", model, self._load, self._settings), voices, model.device, factor
        )
        if factor > 1:
            log.warning("%s", self._too_slow(factor, model.device))
        else:
            log.info("csm:%s on %s: a real-time factor of %.2g", self._model, model.device, factor)

    def _open_blocking(self) -> tuple[CsmModel, CsmVoices, float]:
        folder = weights.locate(self._model)
        model = self._load(folder)
        made_with = f"csm {fingerprints.versions('parley', 'torch', 'transformers')} {weights.revision_of(folder)}"
        voices = CsmVoices(self._settings, model.encode, made_with)
        probe(model)
        return model, voices, probe(model)

    def _load(self, folder: Path | None = None) -> CsmModel:
        settings = self._settings
        return CsmModel(
            folder or weights.locate(self._model),
            device=settings.device,
            dtype=settings.dtype,
            graphs=settings.graphs,
            slots=settings.slots,
        )

    def _too_slow(self, factor: float, device: str) -> str:
        return (
            f"csm:{self._model} takes {factor:.1f} s on {device} for a second of speech: that is too slow to talk with. "
            "Use a GPU, or another synthesizer, such as kokoro."
        )

    async def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.scheduler.close()

    def resolve_voice(self, voice: str, language: str = "") -> str | None:
        if self._opened is None or (language and primary_tag(language) != LANGUAGE):
            return None
        found = self._opened.voices.find(voice)
        return None if found is None else found.name

    @property
    def clones(self) -> bool:
        return True

    @property
    def needs_text(self) -> bool:
        return True

    async def clone_voice(self, sample: VoiceSample) -> str:
        """The engine's name of the voice of a recording whose words are known. Raises `EngineRefused` (`invalid_sample`)."""
        if self._opened is None:
            raise EngineUnavailable("CSM is not open.", code="not_open")
        return await asyncio.to_thread(self._opened.voices.lend, sample)

    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechChunk]:
        """Stream the text's audio at 24,000 Hz.

        Raises `EngineRefused` for an unknown voice (`unknown_voice`) or language (`unsupported_language`), where too much waits
        (`overloaded`), or where the voice's recording leaves no room (`context_full`); `EngineError` (`out_of_memory`, `engine_error`).
        """
        opened = self._opened
        if opened is None:
            raise EngineUnavailable("CSM is not open.", code="not_open")
        voice = self._voice_for(opened.voices, request)
        pieces = pieces_of(plain_text(request.text))
        if not pieces:
            return
        speed = min(4.0, max(0.25, request.speed))
        tempo = None if speed == 1.0 else await asyncio.to_thread(Tempo, SAMPLE_RATE, speed)
        speech = CsmSpeech(request, pieces, voice, opened.scheduler.wake)
        opened.scheduler.submit(speech)
        try:
            async with aclosing(speech.audio()) as made:
                async for audio in made:
                    if tempo is not None:
                        audio = tempo.feed(audio)
                    if audio.size:
                        yield SpeechChunk(audio, SAMPLE_RATE)
            if tempo is not None and (rest := tempo.end()).size:
                yield SpeechChunk(rest, SAMPLE_RATE)
        finally:
            opened.scheduler.leave(speech)

    def _voice_for(self, voices: CsmVoices, request: SpeechRequest) -> CsmVoice:
        if request.language and primary_tag(request.language) != LANGUAGE:
            raise EngineRefused(
                f"CSM does not speak the language {request.language!r}.",
                "It speaks English. Use another synthesizer for other languages, such as --tts auto.",
                code="unsupported_language",
            )
        voice = voices.find(request.voice)
        if voice is None:
            raise EngineRefused(
                f"CSM has no voice {request.voice!r}.",
                f"It has {', '.join(voices.names)}, and OpenAI's voice names.",
                code="unknown_voice",
            )
        return voice
