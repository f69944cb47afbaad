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
from pathlib import Path
from typing import Any, Final

import numpy as np

from parley.engines.onnx_session import open_session
from parley.engines.ports import EngineUnavailable, Samples, Word
from parley.engines.tts import hibari_text
from parley.engines.tts.hibari_text import REMEDY, missing
from parley.engines.tts.hibari_voices import Voice, assets
from parley.engines.tts.phoneme_pieces import Piece, known_ids, silent, timed

MIN_SPEED: Final = 0.5
MAX_SPEED: Final = 2.0
"""What the model can do."""

GAIN: Final = 2.0
"""The model speaks at -27 dBFS; so its voice is as loud as espeak-ng's and a recording's. Its peaks stay below 0.8."""

_NOISE_SEED: Final = 0


class HibariModel:
    """One loaded voice. May be called on several threads at once. Raises `EngineUnavailable` where it cannot be loaded."""

    def __init__(self, voice: Voice, path: Path) -> None:
        folder = assets()
        if folder is None:
            raise missing()
        try:
            self._session, self._frames_output = _load(path, voice.sha256)
            self._ids: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
            self._synthesize: Any = importlib.import_module("hibari.dsp").synth
            self._phonemizer = hibari_text.load(voice.british)
        except (ImportError, AttributeError, OSError, ValueError, KeyError) as error:
            raise EngineUnavailable(f"hibari cannot be loaded: {error}.", REMEDY, code="invalid_package") from error

    def pieces(self, text: str) -> list[Piece]:
        """The text, cut into what is synthesized at once."""
        return self._phonemizer.pieces(text)

    def speak(self, piece: Piece, speed: float, start_ms: float) -> tuple[Samples, tuple[Word, ...]]:
        """A piece's audio (24 kHz) and its words, which begin `start_ms` after those of the text."""
        known = known_ids(piece, self._ids)
        ids = [0, *(one for one in known if one is not None), 0]
        if len(ids) == 2:
            return silent(piece, start_ms)
        inputs = {
            "ids": np.asarray([ids], np.int64),
            "speed": np.asarray([min(MAX_SPEED, max(MIN_SPEED, speed))], np.float32),
        }
        *spectrum, steps = self._session.run(None, inputs)
        audio = self._synthesize(*(part[0] for part in spectrum), np.random.default_rng(_NOISE_SEED))
        np.clip(audio * np.float32(GAIN), -1.0, 1.0, out=audio)
        return timed(piece, known, audio, steps, start_ms)


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
