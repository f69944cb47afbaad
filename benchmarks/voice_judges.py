"""What a machine says about a voice: how natural it sounds (DNSMOS), and whose it is (a speaker encoder).

Both models come out of wheels of the package index, pinned by their hashes; nothing of the packages is installed or run:

- DNSMOS P.835 (Microsoft, MIT; `speechmos`): one graph from 9 s of audio at 16 kHz to three grades from 1 to 5 that listeners would give:
  the speech (SIG), the background (BAK), the whole (OVRL). It was trained on noisy telephone speech: a floor under damage, no judge of
  beauty.
- The GE2E speaker encoder (Resemblyzer, Apache-2.0; Wan et al., arXiv:1710.10467): an LSTM from mel frames to a vector of length 1. The
  cosine of two vectors is near 0.9 for two recordings of one speaker, and 0.5 to 0.7 for two speakers. It is computed with NumPy here,
  and silence is cut by energy in place of the package's voice detector.

Neither replaces a listener.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from parley.audio.mel_scale import slaney_filters
from parley.audio.resampling import resample
from parley.engines.onnx_session import open_session
from parley.engines.ports import Samples
from parley.models import packages, store
from parley.models.catalogue import ModelFile, WheelSource

RATE: Final = 16_000

_DNSMOS: Final = (
    WheelSource(requirement="speechmos==0.0.1.1", folder="speechmos/dnsmos_models"),
    ModelFile(
        path="sig_bak_ovr.onnx",
        size=1157965,
        sha256="269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
    ),
)
_ENCODER: Final = (
    WheelSource(requirement="resemblyzer==0.1.4", folder="resemblyzer"),
    ModelFile(
        path="pretrained.pt",
        size=17090379,
        sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
    ),
)

_DNSMOS_S: Final = 9.01
_EVERY_S: Final = 4
"""A window begins so often; with one each second, as Microsoft's own script has it, the means differ by hundredths."""

_SIG, _BAK, _OVRL = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)
"""The polynomials of DNSMOS from what its graph gives to grades."""


def _fetched(source: WheelSource, file: ModelFile) -> Path:
    folder = store.root() / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file.path
    if not path.is_file() or store.fault_of(path, file):
        packages.fetch(source, [file], folder, lambda count: None)
    return path


class Naturalness:
    """DNSMOS P.835."""

    def __init__(self) -> None:
        self._graph = open_session(_fetched(*_DNSMOS))

    def grades(self, audio: Samples, rate: int) -> dict[str, float]:
        """`sig`, `bak` and `ovrl` of speech of any length, the mean over windows of 9 s."""
        heard = np.clip(resample(audio, rate, RATE), -1, 1)
        length = int(_DNSMOS_S * RATE)
        heard = np.tile(heard, -(-length // max(1, len(heard)))) if len(heard) < length else heard
        raw = np.array([
            self._graph.run(None, {"input_1": heard[None, at : at + length]})[0][0]
            for at in range(0, len(heard) - length + 1, _EVERY_S * RATE)
        ])  # fmt: skip
        names = ("sig", "bak", "ovrl")
        return {
            name: round(float(np.polyval(curve, raw[:, index]).mean()), 3)
            for index, (name, curve) in enumerate(zip(names, (_SIG, _BAK, _OVRL), strict=True))
        }


class SpeakerEncoder:
    """The GE2E encoder: `embed()`, then compare by the dot product."""

    _HOP, _WINDOW, _MELS, _FRAMES, _HIDDEN = 160, 400, 40, 160, 256

    def __init__(self) -> None:
        weights = _read_torch(_fetched(*_ENCODER))["model_state"]
        self._layers = [
            tuple(weights[f"lstm.{kind}_l{layer}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            for layer in range(3)
        ]
        self._linear = weights["linear.weight"], weights["linear.bias"]
        self._filters = slaney_filters(RATE, self._WINDOW, self._MELS)

    def embed(self, audio: Samples, rate: int) -> NDArray[np.float64]:
        """The speaker of an utterance of a second or more, float64 `[256]` of length 1."""
        mel = self._mel(_without_silence(_levelled(resample(audio, rate, RATE))))
        if len(mel) < self._FRAMES:
            mel = np.pad(mel, ((0, self._FRAMES - len(mel)), (0, 0)))
        starts = range(0, len(mel) - self._FRAMES + 1, 77)
        parts = self._encoded(np.stack([mel[at : at + self._FRAMES] for at in starts]))
        whole: NDArray[np.float64] = parts.mean(0) / np.linalg.norm(parts.mean(0))
        return whole

    def _mel(self, audio: NDArray[np.float64]) -> NDArray[np.float64]:
        padded = np.pad(audio, self._WINDOW // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self._WINDOW)[:: self._HOP]
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self._WINDOW) / self._WINDOW)
        power = np.abs(np.fft.rfft(frames * window)) ** 2
        mel: NDArray[np.float64] = power @ self._filters
        return mel

    def _encoded(self, mels: NDArray[np.float64]) -> NDArray[np.float64]:
        inputs = mels
        for in_weight, hidden_weight, in_bias, hidden_bias in self._layers:
            hidden = np.zeros((len(mels), self._HIDDEN))
            cell = np.zeros_like(hidden)
            gates_in = inputs @ in_weight.T + in_bias + hidden_bias
            outputs = []
            for step in range(inputs.shape[1]):
                gates = gates_in[:, step] + hidden @ hidden_weight.T
                enter, forget, new, leave = np.split(gates, 4, axis=1)
                cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(new)
                hidden = _sigmoid(leave) * np.tanh(cell)
                outputs.append(hidden)
            inputs = np.stack(outputs, axis=1)
        weight, bias = self._linear
        raw = np.maximum(0, inputs[:, -1] @ weight.T + bias)
        vectors: NDArray[np.float64] = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        return vectors


def _sigmoid(value: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = 1 / (1 + np.exp(-value))
    return result


def _levelled(audio: Samples) -> NDArray[np.float64]:
    """At -30 dB under full scale, where it is quieter."""
    loud = float(np.sqrt(np.mean(audio.astype(np.float64) ** 2)))
    return np.asarray(audio * max(1.0, 10 ** (-30 / 20) / max(loud, 1e-9)), np.float64)


def _without_silence(audio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the stretches of 30 ms that lie 40 dB below the loudest, where three or more neighbour them."""
    size = RATE * 30 // 1000
    blocks = audio[: len(audio) // size * size].reshape(-1, size)
    level = np.sqrt((blocks**2).mean(1))
    loud = level > level.max(initial=0) * 0.01
    kept = np.convolve(loud, np.ones(7), "same") > 0
    return blocks[kept].reshape(-1)


class _Tensor:
    """A tensor whose numbers come later in the file."""

    def __init__(self, storage: tuple[Any, ...], offset: int, shape: tuple[int, ...]) -> None:
        self.key, self.offset, self.shape = storage[2], offset, shape


class _Reader(pickle.Unpickler):
    """Knows tensors of float32 and nothing else. The file's hash is known, and still nothing of it is executed."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, *rest: _Tensor(storage, offset, shape)
        if (module, name) == ("torch", "FloatStorage"):
            return "float32"
        raise pickle.UnpicklingError(f"{module}.{name} is not a part of a tensor")

    def persistent_load(self, pid: Any) -> Any:
        return pid


def _read_torch(path: Path) -> dict[str, dict[str, NDArray[np.float64]]]:
    """The tensors of a file that torch wrote before 1.6: pickles (magic, version, system, objects, keys), then the storages."""
    with path.open("rb") as file:
        _, _, _, objects, keys = (_Reader(file).load() for _ in range(5))
        storages = {key: _storage(file) for key in keys}
    return {
        "model_state": {
            name: _numbers(tensor, storages[tensor.key])
            for name, tensor in objects["model_state"].items()
            if isinstance(tensor, _Tensor)
        }
    }


def _storage(file: BinaryIO) -> NDArray[np.float32]:
    count = int.from_bytes(file.read(8), "little")
    return np.frombuffer(file.read(4 * count), "<f4")


def _numbers(tensor: _Tensor, storage: NDArray[np.float32]) -> NDArray[np.float64]:
    size = int(np.prod(tensor.shape))
    return storage[tensor.offset : tensor.offset + size].reshape(tensor.shape).astype(np.float64)
