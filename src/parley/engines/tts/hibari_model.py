"""One voice of hibari: its graph, and audio from phonemes.

The graph (int8, ONNX Runtime) turns phoneme ids into a spectrum; the package's own signal processing turns the spectrum into samples. How
many steps of 25 ms each phoneme takes is a value inside the graph, which is made an output here: so words have exact times.

Laws: a graph is loaded only if its SHA-256 is the one expected. The same phonemes at the same speed give the same audio. The model begins
each text with a quarter of a second of silence, by which every reply would be late: it is cut, and so is
the silence at the end, for a pause of its own.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from parley.engines.onnx_session import open_session
from parley.engines.ports import EngineUnavailable, Samples, Word
from parley.engines.tts.hibari_text import Phonemizer, Piece
from parley.engines.tts.hibari_voices import Voice, assets

SAMPLE_RATE: Final = 24_000
REMEDY: Final = 'Install it again: pip install --force-reinstall "hibari-tts>=0.2.1,<0.3"'

MIN_SPEED: Final = 0.5
MAX_SPEED: Final = 2.0
"""What the model can do."""

GAIN: Final = 2.0
"""The model speaks at -27 dBFS; so its voice is as loud as espeak-ng's and a recording's. Its peaks stay below 0.8."""

_NOISE_SEED: Final = 0

_SILENCE: Final = 1e-3
"""-60 dBFS: quieter than the quietest consonant."""

_LEAD_SAMPLES: Final = SAMPLE_RATE * 30 // 1000
"""Kept of the silence before the first sound."""

_SENTENCE_PAUSE: Final = SAMPLE_RATE * 300 // 1000
_CLAUSE_PAUSE: Final = SAMPLE_RATE * 120 // 1000
"""The silence after the last sound."""


class HibariModel:
    """One loaded voice. May be called on several threads at once. Raises `EngineUnavailable` where it cannot be loaded."""

    def __init__(self, voice: Voice, path: Path) -> None:
        folder = assets()
        if folder is None:
            raise missing()
        try:
            self._session, self._frames_output = _load(path, voice.sha256)
            self._ids: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
            g2p = importlib.import_module("hibari.g2p")
            normalize = importlib.import_module("hibari.g2p.normalize").normalize
            split = importlib.import_module("hibari.tts").Hibari.split_sentences
            self._synthesize: Any = importlib.import_module("hibari.dsp").synth
            self._phonemizer = Phonemizer(g2p.G2P(british=voice.british), normalize, split)
        except (ImportError, AttributeError, OSError, ValueError, KeyError) as error:
            raise EngineUnavailable(f"hibari cannot be loaded: {error}.", REMEDY, code="invalid_package") from error
        self._g2p_lock = threading.Lock()  # the front end keeps caches

    def pieces(self, text: str) -> list[Piece]:
        """The text, cut into what is synthesized at once."""
        with self._g2p_lock:
            return list(self._pieces(text))

    def _pieces(self, text: str) -> Iterator[Piece]:
        first = True
        for sentence in self._phonemizer.sentences(text):
            for piece in self._phonemizer.pieces(sentence, first=first):
                yield piece
                first = first and not piece.phonemes

    def speak(self, piece: Piece, speed: float, start_ms: float) -> tuple[Samples, tuple[Word, ...]]:
        """A piece's audio (24 kHz) and its words, which begin `start_ms` after those of the text."""
        known = [self._ids.get(character) for character in piece.phonemes]
        ids = [0, *(one for one in known if one is not None), 0]
        if len(ids) == 2:
            return np.zeros(0, np.float32), tuple(Word(word, start_ms, start_ms) for word in piece.words)
        inputs = {
            "ids": np.asarray([ids], np.int64),
            "speed": np.asarray([min(MAX_SPEED, max(MIN_SPEED, speed))], np.float32),
        }
        *spectrum, steps = self._session.run(None, inputs)
        audio = self._synthesize(*(part[0] for part in spectrum), np.random.default_rng(_NOISE_SEED))
        np.clip(audio * np.float32(GAIN), -1.0, 1.0, out=audio)
        start, end = _sounding(audio)
        pause = np.zeros(_SENTENCE_PAUSE if piece.ends_sentence else _CLAUSE_PAUSE, np.float32)
        step_ends = np.cumsum(np.ravel(steps)) * (len(audio) / np.sum(steps))  # in samples
        times = [min(end, max(start, sample)) - start for sample in _phoneme_starts(known, step_ends)]
        words = tuple(
            Word(word, start_ms + times[first] * 1000 / SAMPLE_RATE, start_ms + times[after] * 1000 / SAMPLE_RATE)
            for word, (first, after) in zip(piece.words, piece.spans, strict=True)
        )
        return np.concatenate([audio[start:end], pause]), words


def _phoneme_starts(known: list[int | None], step_ends: Any) -> list[float]:
    """The sample at which each character of a piece's phonemes begins, and that of their end. Ids stand for the characters that are
    known, after one for the silence before and before one for the silence after."""
    starts = [float(step_ends[0])]
    spoken = 0
    for one in known:
        spoken += one is not None
        starts.append(float(step_ends[spoken]))
    return starts


def _sounding(audio: Samples) -> tuple[int, int]:
    """Where the audio begins and ends without the silence around it."""
    loud = np.flatnonzero(np.abs(audio) > _SILENCE)
    return (max(0, int(loud[0]) - _LEAD_SAMPLES), int(loud[-1]) + 1) if len(loud) else (0, 0)


def missing() -> EngineUnavailable:
    """The package is not installed."""
    return EngineUnavailable(
        "hibari is not installed.", 'Install it: pip install "hibari-tts>=0.2.1,<0.3"', code="missing_package"
    )


def _load(path: Path, sha256: str) -> tuple[Any, str]:
    """The graph, with the frames of each phoneme as its last output, and that output's name."""
    import onnx

    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise EngineUnavailable(
            f"The voice in {path} is not the one expected: its SHA-256 differs.", REMEDY, code="wrong_checksum"
        )
    model = onnx.load_from_string(data)
    (summed,) = (node.input[0] for node in model.graph.node if node.op_type == "CumSum")
    model.graph.output.append(onnx.helper.make_tensor_value_info(summed, onnx.TensorProto.INT64, None))
    return open_session(model.SerializeToString()), summed
