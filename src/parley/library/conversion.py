"""Recorded speech in another voice, frame by frame.

Laws: as many samples come out as went in, at the same rate, and each says what the input's sample of that position said.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from parley.audio import pcm
from parley.audio.resampling import Resampler
from parley.audio.types import Samples
from parley.engines.ports import VC, EngineSpec, VoiceConverter
from parley.library.errors import LibraryError
from parley.library.frame_reader import FrameReader, checked_frame
from parley.library.pipeline import Pipeline
from parley.library.recordings import AudioInput, frames_of_audio
from parley.library.speech import no_voice, no_words
from parley.runtime.conversion import ClauseConversion, SpokenBefore


def convert_voice(
    audio: AudioInput,
    *,
    to: str | EngineSpec | VoiceConverter,
    voice: str = "",
    sample_rate: int | None = None,
) -> Generator[NDArray[np.float32], None, None]:
    """The speech of a file, a recording, or frames at `sample_rate`, in the voice of the converter `to` (`"vocoder:ana"`, `"rvc:FOLDER"`).

    Yields float32 `[n]` at the rate of the input, as it is made; in all exactly as much as the input. `voice` is one of the converter's, ""
    its usual one. Raises `EngineUnavailable`, `EngineError` where the converter fails, `LibraryError` for a voice that it does not have,
    `AudioFileError` and `OSError` for a file.
    """
    audio, sample_rate = frames_of_audio(audio, sample_rate, "convert_voice")
    FrameReader(sample_rate, 1)
    with Pipeline(vad=no_voice, turn=None, stt=no_words, llm=None, tts=None, vc=to) as pipeline:
        converting = pipeline._run(_open(pipeline, voice, sample_rate))
        try:
            for frame in audio:
                samples = checked_frame(frame, sample_rate)
                wide = pcm.to_float(samples) if samples.dtype == np.int16 else samples
                if len(made := pipeline._run(converting.push(wide))):
                    yield made
            if len(made := pipeline._run(converting.finish())):
                yield made
        finally:
            converting.close()


async def _open(pipeline: Pipeline, voice: str, rate: int) -> _Converting:
    loaded = await pipeline._here()
    converter = loaded.engines[VC]
    if converter.resolve_voice(voice) is None:
        known = ", ".join(converter.info.voices[:12])
        raise LibraryError(f"The voice converter has no voice {voice!r}.", remedy=f"It has {known}.")
    return _Converting(converter, voice, rate)


class _Converting:
    """One utterance, in and out at `rate`."""

    def __init__(self, converter: VoiceConverter, voice: str, rate: int) -> None:
        self._conversion = ClauseConversion(converter, voice, self, SpokenBefore(converter.info.sample_rate))
        self._back = Resampler(self._conversion.rate, rate, "HQ")
        self._rate = rate
        self._due = 0
        """Samples that were given and have not come back."""

    async def push(self, audio: Samples) -> Samples:
        self._due += len(audio)
        return self._counted(self._back.push(await self._conversion.push(audio, self._rate)))

    async def finish(self) -> Samples:
        last = [self._back.push(await self._conversion.finish()), self._back.finish()]
        rest = self._counted(np.concatenate(last))
        return np.pad(rest, (0, self._due))  # two conversions of the rate may lose a sample

    def close(self) -> None:
        self._conversion.close()

    def _counted(self, audio: Samples) -> Samples:
        kept = audio[: self._due]
        self._due -= len(kept)
        return kept
