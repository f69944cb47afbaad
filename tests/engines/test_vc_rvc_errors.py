"""What is wrong with the folder of an RVC voice is said at open, with the file and what puts it right."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from parley.engines.onnx_session import GPU_PROVIDERS
from parley.engines.ports import VC, EngineSpec, EngineUnavailable
from parley.engines.registry import create
from tests.engines import tiny_rvc
from tests.engines.tiny_rvc import FLOAT, HALF, INT, node, tensor, voice_folder


async def refused(model: Path | str, **options: Any) -> EngineUnavailable:
    """The error with which it is not opened."""
    engine = create(VC, EngineSpec("rvc", str(model), {"block_ms": 200, "threads": 1, **options}))
    with pytest.raises(EngineUnavailable) as caught:
        await engine.open()
    await engine.close()
    assert caught.value.message.endswith((".", "?"))
    assert caught.value.remedy
    return caught.value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return voice_folder(tmp_path / "alto")


async def test_no_folder_at_all(tmp_path: Path) -> None:
    assert (await refused("")).code == "missing_weights"
    error = await refused(tmp_path / "nothing")
    assert error.code == "missing_weights"
    assert "nothing" in error.message
    assert "generator" in error.remedy


async def test_an_empty_folder_is_told_what_belongs_into_it(tmp_path: Path) -> None:
    error = await refused(tmp_path)
    assert error.code == "missing_weights"
    assert "no generator" in error.message
    assert "content encoder" in error.remedy


async def test_a_folder_without_a_generator_lists_what_it_has(tmp_path: Path) -> None:
    tiny_rvc.rmvpe(tmp_path / "rmvpe.onnx")
    error = await refused(tmp_path)
    assert "rmvpe.onnx: it takes mel_frames float32 [1, 128, ?]" in error.message


async def test_no_content_encoder(folder: Path) -> None:
    (folder / "content.onnx").unlink()
    error = await refused(folder)
    assert error.code == "missing_weights"
    assert "vec-768-layer-12.onnx" in error.remedy


async def test_the_folder_above_is_looked_into(folder: Path) -> None:
    for name in ("content.onnx", "pitch.onnx"):
        (folder / name).rename(folder.parent / name)
    engine = create(VC, EngineSpec("rvc", str(folder), {"block_ms": 200, "threads": 1}))
    await engine.open()
    await engine.close()


@pytest.mark.parametrize(("voice", "encoder", "remedy"), [(256, 768, "v1"), (768, 256, "v2")])
async def test_an_encoder_of_the_other_generation(tmp_path: Path, voice: int, encoder: int, remedy: str) -> None:
    tiny_rvc.generator(tmp_path / "v.onnx", width=voice)
    tiny_rvc.content(tmp_path / "c.onnx", width=encoder)
    error = await refused(tmp_path)
    assert "c.onnx" in error.message
    assert f"no output of {voice} features" in error.message
    assert remedy in error.remedy


async def test_two_encoders_of_which_one_fits_are_no_question(tmp_path: Path) -> None:
    tiny_rvc.generator(tmp_path / "v.onnx", width=256)
    for width in (256, 768):
        tiny_rvc.content(tmp_path / f"c{width}.onnx", width=width)
    engine = create(VC, EngineSpec("rvc", str(tmp_path), {"block_ms": 200, "threads": 1}))
    await engine.open()
    await engine.close()


@pytest.mark.parametrize(
    ("copied", "what", "option"),
    [
        ("voice.onnx", "generator", "rvc:FOLDER/FILE.onnx"),
        ("content.onnx", "content encoder", "`content`"),
        ("pitch.onnx", "pitch tracker", "`pitch_model`"),
    ],
)
async def test_two_of_a_kind_are_listed(folder: Path, copied: str, what: str, option: str) -> None:
    (folder / "other.onnx").write_bytes((folder / copied).read_bytes())
    error = await refused(folder)
    assert f"more than one {what}" in error.message
    assert "other.onnx" in error.message
    assert option in error.remedy


async def test_two_of_a_kind_are_chosen_between_by_option(folder: Path) -> None:
    for name, copy in (("content.onnx", "c2.onnx"), ("pitch.onnx", "p2.onnx")):
        (folder / copy).write_bytes((folder / name).read_bytes())
    assert "more than one" in (await refused(folder)).message
    named = {"content": "c2.onnx", "pitch_model": str(folder / "p2.onnx"), "block_ms": 200}
    engine = create(VC, EngineSpec("rvc", str(folder), named))
    await engine.open()
    await engine.close()


@pytest.mark.parametrize("option", ["content", "pitch_model", "index"])
async def test_a_file_that_an_option_names_is_not_there(folder: Path, option: str) -> None:
    error = await refused(folder, **{option: "lost.onnx"})
    assert error.code == "missing_weights"
    assert "lost.onnx" in error.message


@pytest.mark.parametrize(("option", "kind"), [("content", tiny_rvc.rmvpe), ("pitch_model", tiny_rvc.content)])
async def test_a_file_of_another_kind_that_an_option_names(
    folder: Path, option: str, kind: Callable[[Path], Path]
) -> None:
    error = await refused(folder, **{option: str(kind(folder.parent / "other" / "strange.onnx"))})
    assert error.code == "invalid_weights"
    assert "strange.onnx" in error.message


@pytest.mark.parametrize("name", ["voice.onnx", "content.onnx", "pitch.onnx"])
@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
async def test_a_damaged_graph_is_named(folder: Path, name: str, damage: str) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(
        {"cut": data[: len(data) // 2], "text": b"<html>Not found</html>", "empty": b""}[damage]
    )
    error = await refused(folder)
    assert error.code == "invalid_weights"
    assert name in error.message


async def test_a_graph_whose_weights_are_damaged_is_named(folder: Path) -> None:
    """Its description can be read, and ONNX Runtime cannot load it."""
    path = folder / "voice.onnx"
    path.write_bytes(path.read_bytes().replace(b"CumSum", b"CumXum"))
    error = await refused(folder)
    assert error.code == "invalid_weights"
    assert "voice.onnx" in error.message


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (["phone", "phone_lengths", "pitch", "pitchf", "ds", "rnd", "energy"], "energy"),
        (["feats", "p_len", "pitch", "sid"], "lacks the other"),
    ],
)
async def test_a_generator_with_other_inputs(folder: Path, inputs: list[str], reason: str) -> None:
    kinds = {"phone_lengths": INT, "p_len": INT, "pitch": INT, "ds": INT, "sid": INT}
    taken = [tensor(name, kinds.get(name, FLOAT), 1, "T", 768) for name in inputs]
    tiny_rvc.write(
        folder / "voice.onnx",
        [node("Identity", [inputs[0]], ["audio"])],
        taken,
        [tensor("audio", FLOAT, 1, 1, "S")],
        {},
    )
    error = await refused(folder)
    assert "voice.onnx" in error.message
    assert reason in error.message


async def test_a_generator_that_makes_something_else_than_sound(folder: Path) -> None:
    taken = [tensor("feats", HALF, 1, "T", 768), tensor("p_len", INT, 1), tensor("sid", INT, 1)]
    tiny_rvc.write(
        folder / "voice.onnx", [node("Identity", ["feats"], ["audio"])], taken, [tensor("audio", HALF, 1, "T", "C")], {}
    )
    error = await refused(folder)
    assert "76800 Hz" in error.message


async def test_the_option_and_the_metadata_must_agree_with_what_is_made(folder: Path) -> None:
    error = await refused(folder, sample_rate=48_000)
    assert "48000 Hz" in error.message
    assert "400 samples of each 10 ms" in error.message
    tiny_rvc.generator(folder / "voice.onnx", "vcclient", metadata={"samplingRate": 32_000})
    error = await refused(folder)
    assert "its metadata says 32000 Hz" in error.message


@pytest.mark.parametrize("metadata", ['{"samplingRate": "fast"}', "{", "[1]"])
async def test_metadata_that_cannot_be_read(folder: Path, metadata: str) -> None:
    tiny_rvc.generator(folder / "voice.onnx")
    import onnx

    model = onnx.load(folder / "voice.onnx")
    model.metadata_props.append(onnx.StringStringEntryProto(key="metadata", value=metadata))
    (folder / "voice.onnx").write_bytes(model.SerializeToString())
    assert "metadata" in (await refused(folder)).message


async def test_a_speaker_that_there_is_not(folder: Path) -> None:
    error = await refused(folder, speaker=7)
    assert "speaker 7" in error.message
    assert "`speaker`" in error.remedy


async def test_a_voice_that_gives_no_numbers(folder: Path) -> None:
    tiny_rvc.generator(folder / "voice.onnx", broken_above=0.01)
    error = await refused(folder)
    assert "no numbers" in error.message


async def test_a_pitch_tracker_that_is_none_of_ours(folder: Path) -> None:
    taken = [tensor("mel", FLOAT, 1, 80, "T")]
    nodes = [node("Transpose", ["mel"], ["t"], perm=[0, 2, 1]), node("MatMul", ["t", "w"], ["hidden"])]
    given = [tensor("hidden", FLOAT, 1, "T", 360)]
    tiny_rvc.write(folder / "pitch.onnx", nodes, taken, given, {"w": np.zeros((80, 360), np.float32)})
    error = await refused(folder)
    assert "pitch.onnx" in error.message
    assert "[1, 80, ?]" in error.message
    assert "SwiftF0" in error.remedy


# --- the index ---


@pytest.mark.parametrize("name", ["added.index", "total.npy"])
async def test_a_damaged_index(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"not an index at all")
    error = await refused(folder)
    assert error.code == "invalid_weights"
    assert name in error.message
    assert "index_rate = 0" in error.remedy
    engine = create(VC, EngineSpec("rvc", str(folder), {"index_rate": 0, "block_ms": 200}))
    await engine.open()
    await engine.close()


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        (np.zeros((20, 256), np.float32), "256 channels, and the voice has 768"),
        (np.zeros(768, np.float32), "no matrix"),
        (np.zeros((0, 768), np.float32), "no matrix"),
        (np.full((9, 768), np.nan, np.float32), "no numbers"),
        (np.zeros((9, 768), np.int64), "no matrix"),
    ],
    ids=["other voice", "one row", "no rows", "nan", "whole numbers"],
)
async def test_an_index_that_does_not_fit(folder: Path, matrix: Any, reason: str) -> None:
    np.save(folder / "features.npy", matrix)
    error = await refused(folder)
    assert "features.npy" in error.message
    assert reason in error.message


async def test_a_faiss_index_of_another_voice_and_an_empty_one(folder: Path) -> None:
    import faiss

    index: Any = faiss.index_factory(256, "Flat")
    faiss.write_index(index, str(folder / "trained.index"))
    assert "empty" in (await refused(folder)).message
    index.add(np.zeros((9, 256), np.float32))
    faiss.write_index(index, str(folder / "trained.index"))
    assert "256 channels" in (await refused(folder)).message


async def test_two_indexes(folder: Path) -> None:
    for name in ("a.npy", "b.npy"):
        np.save(folder / name, np.zeros((9, 768), np.float32))
    error = await refused(folder)
    assert "a.npy, b.npy" in error.message
    assert "`index`" in error.remedy


async def test_without_faiss_its_index_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    (folder / "added.index").write_bytes(b"anything")
    error = await refused(folder)
    assert error.code == "missing_package"
    assert "faiss-cpu" in error.remedy
    assert "index_rate = 0" in error.remedy


async def test_without_swift_f0_a_voice_needs_a_tracker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "swift_f0", None)
    (folder / "pitch.onnx").unlink()
    assert (await refused(folder)).code == "missing_package"


# --- devices and options ---


@pytest.mark.skipif(GPU_PROVIDERS[0] in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA")
async def test_a_gpu_that_the_library_does_not_know(folder: Path) -> None:
    error = await refused(folder, device="cuda")
    assert error.code == "missing_device"
    assert "onnxruntime-gpu" in error.remedy
    engine = create(VC, EngineSpec("rvc", str(folder), {"device": "auto", "block_ms": 200}))
    await engine.open()
    await engine.close()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"pitch": 30}, "pitch"),
        ({"formant": -13}, "formant"),
        ({"index_rate": 1.5}, "index_rate"),
        ({"protect": 0.6}, "protect"),
        ({"block_ms": 20}, "block_ms"),
        ({"block_ms": 105}, "block_ms"),
        ({"crossfade_ms": 50}, "crossfade_ms"),
        ({"context_s": 0.1}, "context_s"),
        ({"device": "tpu"}, "device"),
        ({"sample_rate": 44_100}, "sample_rate"),
        ({"speaker": 0.5}, "speaker"),
        ({"silence_db": 3}, "silence_db"),
        ({"semitones": 3}, "semitones"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], named: str) -> None:
    with pytest.raises(EngineUnavailable, match=named):
        create(VC, EngineSpec("rvc", "folder", options))
