"""One loaded synthesizer of sherpa-onnx: text in, audio out. Synchronous; the only file that calls its synthesizers.

Text becomes phonemes by espeak-ng where the model takes phonemes, in pieces that are synthesized one by one: a sentence each, the first
piece up to its first comma, so that its sound comes early. A model that takes text cuts it itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from parley.audio.types import Samples
from parley.engines.ports import EngineError, EngineUnavailable
from parley.engines.sherpa import library
from parley.engines.tts import espeak_library, espeak_voices

_FIRST_PHONEMES: Final = 12
"""Of a first piece that ends at a comma: half a second of speech at least."""

_MAX_PHONEMES: Final = 400
"""Models were trained on sentences of up to some hundred."""

_LANGUAGE_SWITCH: Final = re.compile(r"\([a-z-]+\)")
"""What espeak-ng writes where it reads a word as another language's."""

_SENTENCE_ENDS: Final = frozenset(".!?")


@dataclass(frozen=True, slots=True)
class SherpaPiece:
    """What is synthesized at once: code points of phonemes, or a text."""

    phonemes: tuple[int, ...] = ()
    text: str = ""


def build(family: str, files: Mapping[str, Any], threads: int, provider: str, rules: str = "") -> Any:
    """Load a synthesizer. Blocks for seconds, and ends the process for a model that the library cannot use (see `trial`)."""
    package = library.load()
    name = f"OfflineTts{family.capitalize()}ModelConfig"
    config = package.OfflineTtsConfig(
        model=package.OfflineTtsModelConfig(
            **{family: getattr(package, name)(**files)}, num_threads=threads, provider=provider
        ),
        rule_fsts=rules,
    )
    if not config.validate():
        raise EngineUnavailable("The files of the voice are not complete.", code="load_failed")
    return package.OfflineTts(config)


def load_once(recipe: Mapping[str, Any], phonemes: str, text: str, language: str) -> None:
    """Load a synthesizer and speak once: what `trial` does in a child process."""
    speech = SherpaSpeech(build(**recipe), known_symbols(recipe["files"]) if phonemes else None)
    try:
        speech.speak(SherpaPiece(speech.known(phonemes), text), 0, 1.0, language, lambda audio: True)
    except EngineError as error:
        if phonemes or error.code != "unreadable_text":  # the text may be in another script than the voice's
            raise


def known_symbols(files: Mapping[str, Any]) -> frozenset[int]:
    """The code points that a model's tokens.txt has."""
    found = set()
    for line in Path(files["tokens"]).read_text(encoding="utf-8").splitlines():
        symbol, _, number = line.rpartition(" ")
        if number.isdigit() and len(symbol or " ") == 1:
            found.add(ord(symbol or " "))
    return frozenset(found)


class SherpaSpeech:
    """A loaded model. `symbols` are its phonemes, None where it takes text."""

    def __init__(self, model: Any, symbols: frozenset[int] | None) -> None:
        self._model = model
        self._symbols = symbols
        self._package = library.load()
        self.sample_rate: int = model.sample_rate

    def known(self, phonemes: str) -> tuple[int, ...]:
        """Those of the phonemes that the model has; it would write each of the others to standard error."""
        symbols = self._symbols or frozenset()
        return tuple(code for code in map(ord, phonemes) if code in symbols)

    def pieces(self, text: str, reader: str) -> list[SherpaPiece]:
        """The text, cut into what is synthesized at once. `reader` is the espeak-ng voice of a model that takes phonemes."""
        if not any(character.isalnum() for character in text):
            return []
        if self._symbols is None:
            return [SherpaPiece(text=text)]
        catalogue = espeak_voices.catalogue()
        tag = catalogue.language_tag(reader)
        if tag is None:
            raise EngineError(
                f"espeak-ng has no voice {reader!r}, which reads text for this model.",
                "Install it again: pip install --force-reinstall espeakng-loader",
                code="synthesizer_failed",
            )
        clauses = espeak_library.load().phonemes(text, catalogue.identifier(tag))
        return [SherpaPiece(codes) for phonemes in _joined(clauses) if any(map(_sounds, codes := self.known(phonemes)))]

    def speak(
        self, piece: SherpaPiece, speaker: int, speed: float, language: str, emit: Callable[[Samples], bool]
    ) -> None:
        """Synthesize; `emit(audio)` gets each sentence as it is ready, and returns False to stop. Blocks."""
        config = self._package.GenerationConfig()
        config.sid = speaker
        config.speed = speed
        if piece.phonemes:
            config.phoneme_codepoints = [list(piece.phonemes)]
        config.extra = {"lang": language} if language else {}
        sounded = False

        def on_audio(audio: Samples, progress: float) -> int:
            nonlocal sounded
            sounded = sounded or len(audio) > 0
            if not np.isfinite(audio).all():
                raise EngineError("The voice gave audio that holds NaN.", code="synthesizer_failed")
            return int(emit(np.clip(audio, -1.0, 1.0)))

        self._model.generate(piece.text, config, on_audio)
        if not sounded:
            raise EngineError(
                "The voice cannot read this text: it has none of its characters.",
                "Use a voice of the text's language.",
                code="unreadable_text",
            )


def _joined(clauses: list[tuple[str, str]]) -> Iterator[str]:
    """Clauses as sentences; the first one is given at its first comma where it is long enough."""
    sentence, first = "", True
    for spoken, mark in clauses:
        phonemes = unicodedata.normalize("NFD", _LANGUAGE_SWITCH.sub("", spoken))
        if len(sentence) + len(phonemes) > _MAX_PHONEMES and sentence:
            yield sentence
            sentence, first = "", False
        sentence += f"{' ' if sentence else ''}{phonemes}{mark}"
        if (mark in _SENTENCE_ENDS and mark) or (first and mark and len(sentence) >= _FIRST_PHONEMES):
            yield sentence
            sentence, first = "", False
    if sentence:
        yield sentence


def _sounds(code: int) -> bool:
    return chr(code).isalpha()
