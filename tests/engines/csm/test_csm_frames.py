"""What cannot run here, a CUDA device, would find its functions ready: nothing in a frame waits for the device, and a batch that is
filled up to a captured size gives what it gives by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parley.engines.tts.csm.frames import FrameMaker, Row
from parley.engines.tts.csm.graphs import Key
from parley.engines.tts.csm.mimi_stream import MimiStream
from parley.engines.tts.csm.speech_loop import SpeechLoop
from tests.engines.csm.tiny_csm import BEGIN, CODEBOOKS, CODES, tiny_network

torch: Any = pytest.importorskip("torch")
pytest.importorskip("transformers")

SLOTS, CONTEXT = 5, 512


class Recorded:
    """`Replays` without a device: a key's function is called again, on inputs of the shapes that were captured."""

    def __init__(self) -> None:
        self.captured: dict[Key, tuple[Callable[..., Any], list[Any]]] = {}
        self.replayed: set[Key] = set()

    def capture(self, key: Key, function: Callable[..., Any], *inputs: Any) -> Any:
        self.captured[key] = function, [tensor.clone() for tensor in inputs]
        return function(*inputs)

    def replay(self, key: Key, *inputs: Any) -> Any:
        function, held = self.captured[key]
        for kept, given in zip(held, inputs, strict=True):
            assert (kept.shape, kept.dtype) == (given.shape, given.dtype)
            kept.copy_(given)
        self.replayed.add(key)
        return function(*held)


def maker(replays: Recorded | None) -> FrameMaker:
    network = tiny_network()
    with torch.inference_mode():
        return FrameMaker(
            SpeechLoop(network, SLOTS + 1, CONTEXT),
            MimiStream(network.codec_model, SLOTS + 1),
            slots=SLOTS,
            max_context=CONTEXT,
            device=torch.device("cpu"),
            graphs=replays,
        )


def row(slot: int, position: int, frame: int, inputs: Any, *, text: bool = False) -> Row:
    return Row(slot, position, text, frame, seed=slot + 1, top_k=5, temperature=0.8, eos_bias=0.0, inputs=inputs)


def spoken(made: FrameMaker, members: list[list[int]]) -> list[Any]:
    """What the slots of each step say: 300 positions are there in slot 0, none in the others."""
    rng = np.random.default_rng(1)
    made.prefill(rng.integers(0, CODES, (300, CODEBOOKS)), np.zeros(300, np.bool_), 0, 0)
    first = np.zeros(CODEBOOKS, np.int64)
    first[0] = BEGIN
    state = {slot: (300 if slot == 0 else 0, 0, first) for slot in range(SLOTS)}
    said = []
    for slots in members:
        codes, audio = made.make([row(slot, *state[slot], text=state[slot][1] == 0) for slot in slots])
        for slot, own in zip(slots, codes, strict=True):
            position, frame, _ = state[slot]
            state[slot] = position + 1, frame + 1, own
        said.append((codes, audio))
    return said


def test_a_batch_filled_up_to_a_captured_size_is_the_batch_by_itself() -> None:
    members = [[1], [1, 2, 3], [3, 1, 0], [0, 1, 2, 3, 4], [4], [1, 4]]
    replays = Recorded()
    filled = spoken(maker(replays), members)
    for (codes, audio), (own_codes, own_audio) in zip(filled, spoken(maker(None), members), strict=True):
        assert (codes == own_codes).all()
        assert np.abs(audio - own_audio).max() < 1e-4
    assert {("frame", size) for size in (1, 2, 4, 5)} < replays.replayed
    assert {key for key in replays.replayed if key[0] == "step"} >= {
        ("step", 4, 512),
        ("step", 4, 256),
        ("step", 5, 512),
    }


def test_no_value_is_read_back_from_the_device_within_a_frame() -> None:
    """On torch's device `meta`, which has shapes and no values, whatever needed a value would raise."""
    network = tiny_network().to("meta")
    with torch.inference_mode():
        loop, stream = SpeechLoop(network, 3, 64), MimiStream(network.codec_model, 3)
        made = FrameMaker(loop, stream, slots=2, max_context=64, device=torch.device("meta"), graphs=None)
        sound = made.compute(*made.batch((), 2), 64)
    assert sound.shape == (2, CODEBOOKS + 1920)
    assert sound.device.type == "meta"
