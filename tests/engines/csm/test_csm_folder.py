"""A folder that cannot be used is refused by what is wrong with it, with what to do, and nothing in it is executed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parley.engines.ports import EngineUnavailable
from parley.engines.tts.csm.model import CsmModel, Sampling
from tests.engines.csm.tiny_csm import csm_folder, tiny_network

torch: Any = pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy of the folder, to be damaged."""
    return shutil.copytree(folder, tmp_path / "own")


def refusal(folder: Path, **options: Any) -> EngineUnavailable:
    with pytest.raises(EngineUnavailable) as refused:
        CsmModel(folder, **{"device": "cpu", "slots": 1, **options})
    assert refused.value.remedy
    return refused.value


def configure(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "config.json"
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config))


def greedy(model: CsmModel) -> list[list[int]]:
    sequence = model.open(Sampling(temperature=0))
    model.append(sequence, [model.tokenize("hello", 0)])
    model.begin(sequence)
    return [model.step([sequence])[0].codes.tolist() for _ in range(5)]


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_that_is_missing_is_named(own: Path, name: str) -> None:
    (own / name).unlink()
    error = refusal(own)
    assert error.code == "missing_weights"
    assert name in str(error)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path / "nowhere")
    assert error.code == "missing_weights"
    assert "nowhere" in error.message


def test_weights_in_several_files_are_the_same_weights(own: Path, tmp_path: Path, model: CsmModel) -> None:
    parts = csm_folder(tmp_path / "parts", shard_size="300KB")
    assert len(list(parts.glob("*.safetensors"))) > 2
    assert greedy(CsmModel(parts, device="cpu", slots=1)) == greedy(CsmModel(own, device="cpu", slots=1))
    missing = sorted(parts.glob("*.safetensors"))[1]
    missing.unlink()
    error = refusal(parts)
    assert error.code == "missing_weights"
    assert missing.name in error.message


def test_the_weights_that_the_configuration_names_are_used_as_in_the_published_repository(own: Path) -> None:
    expected = greedy(CsmModel(own, device="cpu", slots=1))
    (own / "model.safetensors").rename(own / "transformers.safetensors")
    (own / "model.safetensors").write_bytes(b"the original's weights, in another format")
    configure(own, lambda config: config.update(transformers_weights="transformers.safetensors"))
    assert greedy(CsmModel(own, device="cpu", slots=1)) == expected


@pytest.mark.parametrize("named", ["../elsewhere.safetensors", "ckpt.pt", 3])
def test_weights_elsewhere_or_in_another_format_are_not_followed(own: Path, named: object) -> None:
    shutil.copy(own / "model.safetensors", own.parent / "elsewhere.safetensors")
    (own / "ckpt.pt").write_bytes(b"x")
    configure(own, lambda config: config.update(transformers_weights=named))
    assert refusal(own).code in ("unsafe_weights", "missing_weights")


class _Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_weights_as_a_pickle_are_refused_and_not_executed(own: Path, tmp_path: Path) -> None:
    (own / "model.safetensors").unlink()
    torch.save({"weight": _Bomb(tmp_path / "executed")}, own / "pytorch_model.bin")
    error = refusal(own)
    assert error.code == "unsafe_weights"
    assert "pytorch_model.bin" in error.message
    assert "safetensors" in error.remedy
    assert not (tmp_path / "executed").exists()


def test_code_that_the_folder_brings_is_not_executed(own: Path, tmp_path: Path) -> None:
    (own / "modeling_own.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'executed')!r}).touch()\n")
    configure(
        own,
        lambda config: config.update(
            auto_map={"AutoModel": "modeling_own.Own", "AutoConfig": "modeling_own.OwnConfig"}
        ),
    )
    assert greedy(CsmModel(own, device="cpu", slots=1)) == greedy(CsmModel(own, device="cpu", slots=1))
    assert not (tmp_path / "executed").exists()


def test_another_architecture_is_named(own: Path) -> None:
    configure(own, lambda config: config.update(model_type="llama"))
    error = refusal(own)
    assert error.code == "wrong_architecture"
    assert "'llama'" in error.message


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda config: config["codec_config"].update(sampling_rate=16_000), "sampling_rate"),
        (lambda config: config["codec_config"].update(pad_mode="replicate"), "pad_mode"),
        (lambda config: config.update(codebook_eos_token_id=5), "codebook_eos_token_id"),
    ],
)
def test_a_network_of_another_shape_is_refused_by_the_setting(
    own: Path, change: Callable[[Any], object], named: str
) -> None:
    configure(own, change)
    error = refusal(own)
    assert error.code == "wrong_architecture"
    assert named in error.message


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff nonsense", b"[]"])
def test_a_damaged_file_is_refused_by_its_folder(own: Path, name: str, content: bytes) -> None:
    (own / name).write_bytes(content)
    error = refusal(own)
    assert error.code == "invalid_weights"
    assert str(own) in error.message


def test_a_file_that_was_cut_off_is_refused(own: Path) -> None:
    weights = own / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert refusal(own).code == "invalid_weights"


def test_weights_that_lack_a_tensor_are_not_filled_with_chance(own: Path) -> None:
    network = tiny_network()
    del network.lm_head.weight
    network.save_pretrained(own)
    error = refusal(own)
    assert error.code == "invalid_weights"
    assert "lm_head.weight" in error.message


def test_the_tokenizer_of_another_model_is_refused(own: Path) -> None:
    file = own / "tokenizer.json"
    file.write_text(file.read_text().replace("<|begin_of_text|>", "<s>"))
    error = refusal(own)
    assert error.code == "invalid_weights"
    assert "tokenizer.json" in error.message


def test_a_cache_that_does_not_fit_is_refused_by_its_size(folder: Path) -> None:
    error = refusal(folder, slots=10**10)
    assert error.code == "out_of_memory"
    assert "slots" in error.message


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"device": "cuda:99"}, "no_device"),
        ({"device": "tpu"}, "no_device"),
        ({"device": "cpu:1"}, "no_device"),
        ({"graphs": True}, "no_device"),
        ({"dtype": "int4"}, "invalid_dtype"),
    ],
)
def test_a_device_or_type_that_is_not_there_is_refused(folder: Path, options: dict[str, Any], code: str) -> None:
    assert refusal(folder, **options).code == code


def test_no_slots_are_a_mistake_of_the_caller(folder: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        CsmModel(folder, slots=0)


def test_half_the_bits_leave_the_codec_and_the_rotations_exact(folder: Path) -> None:
    model = CsmModel(folder, device="cpu", dtype="bfloat16", slots=1)
    sequence = model.open(Sampling(temperature=0))
    model.append(sequence, [model.tokenize("hello", 0)])
    model.begin(sequence)
    frames = [model.step([sequence])[0] for _ in range(5)]
    codec = tiny_network().codec_model
    with torch.inference_mode():
        codes = torch.from_numpy(np.array([frame.codes for frame in frames]).T)[None]
        whole = np.asarray(codec.decode(codes).audio_values[0, 0])
    assert np.abs(np.concatenate([frame.audio for frame in frames]) - whole).max() < 1e-4
