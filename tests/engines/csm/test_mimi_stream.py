"""Mimi in frames is Mimi as a whole, for each of many voices at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.engines.ports import EngineUnavailable
from parley.engines.tts.csm.mimi_stream import MimiStream
from parley.engines.tts.csm.model import FRAME_SAMPLES
from tests.engines.csm.tiny_csm import CODEBOOKS, CODES, tiny_network

torch: Any = pytest.importorskip("torch")
pytest.importorskip("transformers")

FRAMES = 60
"""120 steps of the decoder's transformer, whose window is 16."""

TOLERANCE = 2e-4
"""Of sounds whose root mean square is 2 to 4: the rounding of float32."""


@pytest.fixture(scope="module")
def codec() -> Any:
    return tiny_network(3).codec_model


def chance(frames: int, seed: int) -> Any:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, CODES, (frames, CODEBOOKS)))


def whole(codec: Any, codes: Any) -> NDArray[np.float32]:
    with torch.inference_mode():
        return np.asarray(codec.decode(codes.T[None]).audio_values[0, 0])


def streamed(stream: MimiStream, codes: Any, row: int = 0) -> NDArray[np.float32]:
    pieces = []
    with torch.inference_mode():
        for frame in range(len(codes)):
            sound = stream.decode(codes[frame : frame + 1], torch.tensor([row]), torch.tensor([frame]))
            assert sound.shape == (1, FRAME_SAMPLES)
            pieces.append(np.asarray(sound[0]))
    return np.concatenate(pieces)


def test_frames_one_after_the_other_sound_as_the_whole_does(codec: Any) -> None:
    codes = chance(FRAMES, 1)
    expected = whole(codec, codes)
    assert expected.std() > 1
    assert np.abs(streamed(MimiStream(codec, 1), codes) - expected).max() < TOLERANCE


@pytest.mark.parametrize("codebook", [0, 1, CODEBOOKS - 1])
def test_another_code_is_another_sound_from_its_frame_on(codec: Any, codebook: int) -> None:
    codes = chance(FRAMES, 1)
    other = codes.clone()
    other[20, codebook] = (other[20, codebook] + 1) % CODES
    stream = MimiStream(codec, 1)
    sound, changed = streamed(stream, codes), streamed(stream, other)
    at = 20 * FRAME_SAMPLES
    assert (sound[:at] == changed[:at]).all()
    assert np.abs(sound[at : at + FRAME_SAMPLES] - changed[at : at + FRAME_SAMPLES]).max() > 0.1
    assert np.abs(changed - whole(codec, other)).max() < TOLERANCE


def test_some_frames_of_left_context_would_not_do(codec: Any) -> None:
    """Why there is state: decoding the last 8 frames anew, half the transformer's window and far more than convolutions reach, differs."""
    codes = chance(FRAMES, 1)
    anew = whole(codec, codes[-8:])[-FRAME_SAMPLES:]
    assert np.abs(anew - whole(codec, codes)[-FRAME_SAMPLES:]).max() > 100 * TOLERANCE


def test_voices_that_join_and_leave_at_any_frame_sound_as_they_do_alone(codec: Any) -> None:
    stream = MimiStream(codec, 4)
    codes = [chance(FRAMES, seed) for seed in range(3)]
    heard: list[list[NDArray[np.float32]]] = [[], [], []]
    # Voice v has row 3 - v, begins at step 7 v, and is left out of every fifth step after that.
    for step in range(FRAMES * 2):
        present = [v for v in range(3) if step >= 7 * v and (step + v) % 5 and len(heard[v]) < FRAMES]
        if not present:
            continue
        with torch.inference_mode():
            given = torch.stack([codes[v][len(heard[v])] for v in present])
            rows, frames = torch.tensor([3 - v for v in present]), torch.tensor([len(heard[v]) for v in present])
            sound = stream.decode(given, rows, frames)
        for v, piece in zip(present, sound, strict=True):
            heard[v].append(np.asarray(piece))
    for v in range(3):
        assert np.abs(np.concatenate(heard[v]) - whole(codec, codes[v])).max() < TOLERANCE


def test_a_row_that_begins_again_remembers_nothing(codec: Any) -> None:
    stream = MimiStream(codec, 1)
    fresh = streamed(stream, chance(9, 5))
    streamed(stream, chance(FRAMES, 6))
    assert (streamed(stream, chance(9, 5)) == fresh).all()


def test_a_layer_that_is_not_known_is_refused_rather_than_decoded_without_its_past() -> None:
    codec = tiny_network().codec_model
    half = codec.decoder if hasattr(codec.decoder, "decoder_seanet") else codec
    seanet = half.decoder_seanet if half is not codec else codec.decoder
    seanet.layers[1] = torch.nn.Conv1d(64, 64, 3, padding=1)
    with pytest.raises(EngineUnavailable, match="Conv1d") as refused:
        MimiStream(codec, 1)
    assert refused.value.code == "wrong_architecture"


@pytest.mark.parametrize(
    ("name", "value"), [("pad_mode", "replicate"), ("trim_right_ratio", 0.5), ("use_causal_conv", False)]
)
def test_a_codec_that_cannot_be_streamed_is_refused_by_the_name_of_its_setting(name: str, value: object) -> None:
    codec = tiny_network().codec_model
    setattr(codec.config, name, value)
    with pytest.raises(EngineUnavailable, match=name) as refused:
        MimiStream(codec, 1)
    assert refused.value.code == "wrong_architecture"
