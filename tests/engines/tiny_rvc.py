"""Folders in the layout of RVC voices: small graphs with the real interfaces, whose output can be computed by hand.

- The content encoder's first feature is the RMS of its frame; the others are fixed parts of it.
- The generator plays a sine at the pitch that it is given, with an amplitude of sqrt(2) times the first feature: a tone becomes a tone as
  loud, at another pitch, and its phase goes on from frame to frame.
- RMVPE and FCPE compare their spectrograms with those of sines at each of their 360 pitches, computed here from the definitions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

FLOAT, HALF, INT = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64
NON_SPEECH_HZ = 1000.0
"""What an unvoiced frame sounds like, where the generator is told to make it heard."""
WAVEFORM_HZ = 220.0
"""What the RMVPE that takes a waveform hears wherever there is sound."""
SPEAKERS = (1.0, 0.5)
"""Their loudness."""


def write(
    path: Path, nodes: Sequence[NodeProto], inputs: Any, outputs: Any, constants: Mapping[str, Any], **metadata: str
) -> Path:
    """Write a graph; constants that are given as Python floats are float32."""
    held = [
        numpy_helper.from_array(np.asarray(value, np.float32 if isinstance(value, float) else None), name)
        for name, value in constants.items()
    ]
    graph = helper.make_graph(list(nodes), path.stem, inputs, outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in metadata.items():
        model.metadata_props.append(onnx.StringStringEntryProto(key=key, value=value))
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def tensor(name: str, kind: int, *shape: int | str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


node = helper.make_node


def content(path: Path, layout: str = "source", width: int = 768) -> Path:
    """An encoder: `layout` is the name of its input. That of vcclient gives both widths."""
    before = {
        "source": [node("Identity", ["source"], ["wave"])],
        "input_values": [node("Unsqueeze", ["input_values", "one"], ["wave"])],
        "audio": [node("Unsqueeze", ["audio", "one"], ["wave"])],
    }[layout]
    inputs = [tensor(layout, FLOAT, 1, 1, "N") if layout == "source" else tensor(layout, FLOAT, 1, "N")]
    if layout == "input_values":
        inputs.append(tensor("attention_mask", INT, 1, "N"))
    named = {
        "source": {"embed": width},
        "input_values": {"hidden_states": width},
        "audio": {"units9": 256, "unit12": 768},
    }[layout]
    nodes = [
        *before,
        node("Mul", ["wave", "wave"], ["squares"]),
        node("Conv", ["squares", "mean"], ["power"], strides=[320]),
        node("Sqrt", ["power"], ["rms"]),
        node("Transpose", ["rms"], ["frames"], perm=[0, 2, 1]),
        *(node("MatMul", ["frames", f"parts{count}"], [name]) for name, count in named.items()),
    ]
    constants: dict[str, Any] = {"one": np.array([1]), "mean": np.full((1, 1, 400), 1 / 400, np.float32)}
    constants |= {f"parts{count}": _parts(count) for count in named.values()}
    return write(path, nodes, inputs, [tensor(name, FLOAT, 1, "F", count) for name, count in named.items()], constants)


def _parts(count: int) -> NDArray[np.float32]:
    parts: NDArray[np.float32] = np.cos(np.arange(count) / 7).astype(np.float32)[None]
    return parts


def generator(
    path: Path,
    dialect: str = "webui",
    rate: int = 40_000,
    width: int = 768,
    *,
    pitched: bool = True,
    half: bool = False,
    unvoiced: bool = False,
    formant_hz: float = 0.0,
    random: bool = False,
    broken_above: float = 0.0,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """A voice. `unvoiced`: such frames are heard, as `NON_SPEECH_HZ`. `formant_hz`: a tone at this frequency is added, whatever the pitch.
    `broken_above`: an amplitude beyond which it gives no numbers. Frames of which it is told another number than there are are silent."""
    webui = dialect == "webui"
    feats, length, speaker = ("phone", "phone_lengths", "ds") if webui else ("feats", "p_len", "sid")
    kind = HALF if half else FLOAT
    inputs = [tensor(feats, kind, 1, "T", width), tensor(length, INT, 1)]
    if pitched:
        inputs += [tensor("pitch", INT, 1, "T"), tensor("pitchf", FLOAT, 1, "T")]
    inputs.append(tensor(speaker, INT, 1))
    if webui:
        inputs.append(tensor("rnd", FLOAT, 1, 192, "T"))
    voiced = [
        node("Greater", ["pitch", "int_one"], ["is_voiced"]),
        node("Where", ["is_voiced", "pitchf", "unvoiced_hz"], ["hz"]),
        node("Greater", ["hz", "zero"], ["is_heard"]),
    ]
    always = [
        node("Mul", ["level", "zero"], ["nothing"]),
        node("Add", ["nothing", "fixed_hz"], ["hz"]),
        node("Greater", ["hz", "zero"], ["is_heard"]),
    ]
    nodes = [
        node("Cast", [feats], ["content"], to=FLOAT),
        node("Gather", ["content", "first"], ["level"], axis=2),
        *(voiced if pitched else always),
        node("Cast", ["is_heard"], ["heard"], to=FLOAT),
        node("Shape", [feats], ["count"], start=1, end=2),
        node("Equal", ["count", length], ["is_told"]),
        node("Cast", ["is_told"], ["told"], to=FLOAT),
        node("Gather", ["speakers", speaker], ["loud"]),
        node("Mul", ["level", "heard"], ["level1"]),
        node("Mul", ["level1", "told"], ["level2"]),
        node("Mul", ["level2", "loud"], ["level3"]),
        node("Mul", ["level3", "root"], ["amplitude"]),
        *_chance(webui=webui, random=random),
        *_breaking(broken_above),
        *(step for name in ("hz", "given") for step in _per_sample(name)),
        node("Mul", ["hz_samples", "turn"], ["turns"]),
        node("CumSum", ["turns", "axis"], ["phase"]),
        node("Sin", ["phase"], ["sine"]),
        *_formant(formant_hz),
        node("Mul", ["tone", "given_samples"], ["sound"]),
        node("Unsqueeze", ["sound", "axis1"], ["sound3"]),
        node("Cast", ["sound3"], ["audio"], to=kind),
    ]
    constants = {
        "first": np.array(0),
        "int_one": np.array(1),
        "zero": 0.0,
        "unvoiced_hz": NON_SPEECH_HZ if unvoiced else 0.0,
        "fixed_hz": 300.0,
        "speakers": np.array(SPEAKERS, np.float32),
        "root": float(np.sqrt(2)),
        "chance_share": 0.01,
        "most": broken_above,
        "hop": np.array([1, 1, rate // 100]),
        "flat": np.array([1, -1]),
        "turn": 2 * np.pi / rate,
        "formant_turn": 2 * np.pi * formant_hz / rate,
        "third": 0.3,
        "axis": np.array(1),
        "axis1": np.array([1]),
        "axis2": np.array([2]),
        "noise_axes": np.array([1]),
    }
    said = {"metadata": json.dumps(dict(metadata))} if metadata is not None else {}
    return write(path, nodes, inputs, [tensor("audio", kind, 1, 1, "S")], constants, **said)


def _chance(*, webui: bool, random: bool) -> list[NodeProto]:
    """The noise moves the amplitude by about 1 %."""
    if webui:
        drawn = [node("ReduceMean", ["rnd"], ["drawn"], axes=[1], keepdims=0)]
    elif random:
        drawn = [node("RandomNormalLike", ["amplitude"], ["drawn"])]
    else:
        return [node("Identity", ["amplitude"], ["moved"])]
    return [
        *drawn,
        node("Mul", ["drawn", "chance_share"], ["little"]),
        node("Mul", ["little", "amplitude"], ["move"]),
        node("Add", ["amplitude", "move"], ["moved"]),
    ]


def _breaking(broken_above: float) -> list[NodeProto]:
    if not broken_above:
        return [node("Identity", ["moved"], ["given"])]
    return [
        node("Sub", ["most", "moved"], ["left"]),
        node("Sqrt", ["left"], ["root_left"]),
        node("Mul", ["root_left", "zero"], ["nan"]),
        node("Add", ["moved", "nan"], ["given"]),
    ]


def _formant(hz: float) -> list[NodeProto]:
    if not hz:
        return [node("Identity", ["sine"], ["tone"])]
    return [
        node("Mul", ["hz_samples", "zero"], ["still"]),
        node("Add", ["still", "formant_turn"], ["formant_turns"]),
        node("CumSum", ["formant_turns", "axis"], ["formant_phase"]),
        node("Sin", ["formant_phase"], ["formant_sine"]),
        node("Mul", ["formant_sine", "third"], ["formant"]),
        node("Add", ["sine", "formant"], ["tone"]),
    ]


def _per_sample(name: str) -> list[NodeProto]:
    """`name` `[1, T]` repeated for each sample of a frame: `name_samples` `[1, S]`."""
    return [
        node("Unsqueeze", [name, "axis2"], [f"{name}_column"]),
        node("Tile", [f"{name}_column", "hop"], [f"{name}_tiled"]),
        node("Reshape", [f"{name}_tiled", "flat"], [f"{name}_samples"]),
    ]


# --- pitch trackers ---


def rmvpe(path: Path) -> Path:
    cents = 1997.3794084376191 + 20 * np.arange(360)
    return _tracker(path, "mel_frames", cents, filters(htk=True, lowest_hz=30), bands_first=True)


def fcpe(path: Path) -> Path:
    cents = np.linspace(1200 * np.log2(3.27), 1200 * np.log2(197.55), 360)
    return _tracker(path, "spectrogram", cents, filters(htk=False, lowest_hz=0), bands_first=False)


def rmvpe_waveform(path: Path) -> Path:
    nodes = [
        node("Unsqueeze", ["waveform", "one"], ["wave"]),
        node("Mul", ["wave", "wave"], ["squares"]),
        node("Conv", ["squares", "mean"], ["power3"], strides=[160], pads=[160, 160]),
        node("Squeeze", ["power3", "one"], ["power"]),
        node("Greater", ["power", "quiet"], ["is_loud"]),
        node("Less", ["threshold", "half"], ["is_told"]),
        node("And", ["is_loud", "is_told"], ["is_voiced"]),
        node("Where", ["is_voiced", "hz", "zero"], ["pitchf"]),
    ]
    constants = {
        "one": np.array([1]),
        "mean": np.full((1, 1, 320), 1 / 320, np.float32),
        "quiet": 1e-5,
        "half": 0.5,
        "hz": WAVEFORM_HZ,
        "zero": 0.0,
    }
    return write(
        path,
        nodes,
        [tensor("waveform", FLOAT, 1, "N"), tensor("threshold", FLOAT, 1)],
        [tensor("pitchf", FLOAT, 1, "T")],
        constants,
    )


def _tracker(
    path: Path, name: str, cents: NDArray[np.floating[Any]], bank: NDArray[np.float64], *, bands_first: bool
) -> Path:
    """How near each frame is to the spectrogram of a sine at each pitch, both counted from their loudest band and cut 6 below it."""
    shapes = np.stack([_cut(log_mel(10 * 2 ** (one / 1200), bank)) for one in cents])
    taken = ["Transpose"] if bands_first else ["Identity"]
    order: Any = {"perm": [0, 2, 1]} if bands_first else {}
    nodes = [
        node(taken[0], [name], ["frames"], **order),
        node("ReduceMax", ["frames"], ["loudest"], axes=[2]),
        node("Sub", ["frames", "loudest"], ["relative"]),
        node("Max", ["relative", "floor"], ["cut"]),
        node("MatMul", ["cut", "shapes"], ["products"]),
        node("Mul", ["cut", "cut"], ["squares"]),
        node("ReduceSum", ["squares", "bands"], ["size"]),
        node("Sub", ["products", "size"], ["less"]),
        node("Sub", ["less", "sizes"], ["nearness"]),
        node("Mul", ["nearness", "sharp"], ["sharpened"]),
        node("Exp", ["sharpened"], ["like"]),
        node("Greater", ["loudest", "quiet"], ["is_loud"]),
        node("Cast", ["is_loud"], ["loud"], to=FLOAT),
        node("Mul", ["like", "loud"], ["hidden"]),
    ]
    constants = {
        "floor": -6.0,
        "shapes": (2 * shapes.T).astype(np.float32),
        "sizes": np.square(shapes).sum(axis=1).astype(np.float32),
        "bands": np.array([2]),
        "sharp": 0.005,
        "quiet": -4.0,
    }
    taken_in = tensor(name, FLOAT, 1, 128, "T") if bands_first else tensor(name, FLOAT, 1, "T", 128)
    return write(path, nodes, [taken_in], [tensor("hidden", FLOAT, 1, "T", 360)], constants)


def _cut(bands: NDArray[np.float64]) -> NDArray[np.float64]:
    cut: NDArray[np.float64] = np.maximum(bands - bands.max(), -6)
    return cut


def log_mel(hz: float, bank: NDArray[np.float64], amplitude: float = 0.5) -> NDArray[np.float64]:
    """The bands `[128]` of a frame of a sine, without the edges."""
    times = np.arange(1024)
    windowed = amplitude * np.sin(2 * np.pi * hz * times / 16_000) * np.sin(np.pi * times / 1024) ** 2
    spectrum = np.abs(np.fft.fft(windowed)[:513])
    bands: NDArray[np.float64] = np.log(np.maximum(bank @ spectrum, 1e-5))
    return bands


def filters(*, htk: bool, lowest_hz: float) -> NDArray[np.float64]:
    """The filters `[128, 513]`, one triangle at a time."""
    low, high = _to_mel(lowest_hz, htk), _to_mel(8000, htk)
    corners = [_to_hz(low + (high - low) * place / 129, htk) for place in range(130)]
    bank = np.zeros((128, 513))
    for band in range(128):
        left, centre, right = corners[band : band + 3]
        for line in range(513):
            hz = line * 16_000 / 1024
            height = (hz - left) / (centre - left) if hz <= centre else (right - hz) / (right - centre)
            bank[band, line] = max(0.0, height) * 2 / (right - left)
    return bank


def _to_mel(hz: float, htk: bool) -> float:
    if htk:
        return float(2595 * np.log10(1 + hz / 700))
    return hz * 3 / 200 if hz < 1000 else float(15 + 27 * np.log(hz / 1000) / np.log(6.4))


def _to_hz(mel: float, htk: bool) -> float:
    if htk:
        return float(700 * (10 ** (mel / 2595) - 1))
    return mel * 200 / 3 if mel < 15 else float(1000 * 6.4 ** ((mel - 15) / 27))


def voice_folder(folder: Path, tracker: str = "rmvpe", **voice: Any) -> Path:
    """A voice, its encoder and its tracker ("" for none: SwiftF0). Returns `folder`."""
    generator(folder / "voice.onnx", **voice)
    content(folder / "content.onnx", width=voice.get("width", 768))
    if tracker:
        {"rmvpe": rmvpe, "fcpe": fcpe, "waveform": rmvpe_waveform}[tracker](folder / "pitch.onnx")
    return folder
