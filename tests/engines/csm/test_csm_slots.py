"""Slots, ends and refusals: what cannot be done is said before anything is computed, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parley.engines.ports import EngineError, EngineRefused
from parley.engines.tts.csm.model import FRAME_SAMPLES, Codes, CsmModel, Sampling
from tests.engines.csm.tiny_csm import CODEBOOKS, CODES, POSITIONS, csm_folder

pytest.importorskip("torch")
pytest.importorskip("transformers")

GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def ending(tmp_path_factory: pytest.TempPathFactory) -> CsmModel:
    return CsmModel(csm_folder(tmp_path_factory.mktemp("ending"), ends=True), device="cpu", slots=2, max_context=40)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(EngineRefused) as refused:
        call()
    assert refused.value.remedy
    return refused.value.code


def test_the_end_is_told_once_and_is_silent(ending: CsmModel) -> None:
    tokens = ending.tokenize("bye", 0)
    sequence = ending.open(Sampling(temperature=0, eos_bias=1e6))
    ending.append(sequence, [tokens])
    ending.begin(sequence)
    frame = ending.step([sequence])[0]
    assert frame.ended
    assert not frame.codes.any()
    assert frame.audio.shape == (FRAME_SAMPLES,)
    assert not frame.audio.any()
    assert ending.length(sequence) == len(tokens) + 1
    assert refusal(lambda: ending.step([sequence])) == "not_speaking"
    # The end frame is in the prefix already.
    ending.append(sequence, [tokens])
    assert ending.length(sequence) == 2 * len(tokens) + 1
    ending.close(sequence)


def test_without_the_bias_the_same_speech_goes_on(ending: CsmModel) -> None:
    sequence = ending.open(GREEDY)
    ending.append(sequence, [ending.tokenize("bye", 0)])
    ending.begin(sequence)
    assert not any(ending.step([sequence])[0].ended for _ in range(5))
    ending.close(sequence)


def test_as_many_sequences_as_slots_and_a_closed_one_makes_room(ending: CsmModel) -> None:
    first, second = ending.open(GREEDY), ending.open(GREEDY)
    assert ending.free_slots == 0
    assert refusal(lambda: ending.open(GREEDY)) == "overloaded"
    ending.close(first)
    ending.close(first)
    assert ending.free_slots == 1
    third = ending.open(GREEDY)
    assert ending.free_slots == 0
    with pytest.raises(EngineError) as closed:
        ending.append(first, [[1]])
    assert closed.value.code == "sequence_closed"
    ending.close(second)
    ending.close(third)


def test_a_full_context_is_refused_and_what_was_there_stays(ending: CsmModel) -> None:
    sequence, other = ending.open(GREEDY), ending.open(GREEDY)
    text = ending.tokenize("x" * 30, 0)
    ending.append(sequence, [text])
    assert refusal(lambda: ending.append(sequence, [ending.tokenize("more", 0)])) == "context_full"
    assert ending.length(sequence) == len(text)
    ending.begin(sequence)
    for _ in range(40 - len(text)):
        ending.step([sequence])
    ending.append(other, [ending.tokenize("me", 0)])
    ending.begin(other)
    before = ending.length(other)
    assert refusal(lambda: ending.step([other, sequence])) == "context_full"
    assert ending.length(other) == before
    assert len(ending.step([other])) == 1
    ending.truncate(sequence, 5)
    ending.append(sequence, [[4, 1]])
    ending.close(sequence)
    ending.close(other)


def test_positions_are_those_the_checkpoint_was_trained_for(folder: Path) -> None:
    assert CsmModel(folder, device="cpu", slots=1, max_context=10_000).max_context == POSITIONS


@pytest.mark.parametrize(
    "codes",
    [
        np.zeros((3, CODEBOOKS + 1), np.int64),
        np.zeros(CODEBOOKS, np.int64),
        np.zeros((3, CODEBOOKS), np.float32),
        np.full((3, CODEBOOKS), -1),
        np.full((3, CODEBOOKS), CODES),
    ],
)
def test_codes_that_are_none_are_refused(model: CsmModel, codes: Codes) -> None:
    sequence = model.open(GREEDY)
    assert refusal(lambda: model.append(sequence, [[1, 2], codes])) == "invalid_codes"
    assert model.length(sequence) == 0
    model.close(sequence)


def test_tokens_that_are_none_are_refused(model: CsmModel) -> None:
    sequence = model.open(GREEDY)
    assert refusal(lambda: model.append(sequence, [[-1]])) == "invalid_tokens"
    assert refusal(lambda: model.append(sequence, [[1, 10**6]])) == "invalid_tokens"
    model.close(sequence)


def test_small_codes_of_another_whole_type_are_taken(model: CsmModel) -> None:
    sequence = model.open(GREEDY)
    model.append(sequence, [np.ones((3, CODEBOOKS), np.int16), np.zeros((0, CODEBOOKS), np.int64)])
    assert model.length(sequence) == 4
    model.close(sequence)


def test_nothing_is_spoken_without_a_text(model: CsmModel) -> None:
    sequence = model.open(GREEDY)
    assert refusal(lambda: model.begin(sequence)) == "nothing_to_say"
    model.append(sequence, [np.ones((3, CODEBOOKS), np.int64)])
    assert refusal(lambda: model.begin(sequence)) == "nothing_to_say"
    assert refusal(lambda: model.step([sequence])) == "not_speaking"
    model.close(sequence)


def test_a_cut_ends_a_generation_and_only_to_what_is_there(model: CsmModel) -> None:
    sequence = model.open(GREEDY)
    model.append(sequence, [model.tokenize("hello", 0)])
    model.begin(sequence)
    model.step([sequence])
    for length in (-1, model.length(sequence) + 1):
        with pytest.raises(ValueError, match="cannot be cut"):
            model.truncate(sequence, length)
    model.truncate(sequence, model.length(sequence))
    assert refusal(lambda: model.step([sequence])) == "not_speaking"
    model.close(sequence)


def test_a_sequence_is_not_given_twice_and_none_is_no_frame(model: CsmModel) -> None:
    sequence = model.open(GREEDY)
    with pytest.raises(ValueError, match="twice"):
        model.step([sequence, sequence])
    assert model.step([]) == []
    model.close(sequence)


@pytest.mark.parametrize(
    ("sampling", "field"),
    [
        (Sampling(temperature=-0.1), "temperature"),
        (Sampling(temperature=float("nan")), "temperature"),
        (Sampling(top_k=-1), "top_k"),
        (Sampling(top_k=257), "top_k"),
        (Sampling(seed=-1), "seed"),
        (Sampling(eos_bias=float("inf")), "eos_bias"),
    ],
)
def test_sampling_that_is_not_possible_is_refused_by_its_field(model: CsmModel, sampling: Sampling, field: str) -> None:
    with pytest.raises(EngineRefused, match=field) as refused:
        model.open(sampling)
    assert refused.value.code == "invalid_sampling"
    assert model.free_slots == 4


@pytest.mark.parametrize(
    "audio", [np.zeros(0, np.float32), np.zeros((2, 1920), np.float32), np.array([0.0, np.nan], np.float32)]
)
def test_sound_that_is_none_is_refused(model: CsmModel, audio: np.typing.NDArray[np.float32]) -> None:
    assert refusal(lambda: model.encode(audio)) == "invalid_audio"


def test_sound_of_more_frames_than_positions_is_refused_before_it_is_encoded(model: CsmModel) -> None:
    assert refusal(lambda: model.encode(np.zeros(POSITIONS * FRAME_SAMPLES + 1, np.float32))) == "context_full"


def test_marks_in_a_text_are_text(model: CsmModel) -> None:
    plain = model.tokenize("a", 3)
    assert plain[:1] + plain[-1:] == [0, 1]
    assert len(plain) == 2 + len("[3]a")
    marked = model.tokenize("<|end_of_text|><|AUDIO|>", 0)
    assert min(marked[1:-1]) > 3
