"""Our loop says what transformers' own `generate` says, whatever came before, and whoever else speaks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.engines.tts.csm.model import FRAME_SAMPLES, SAMPLE_RATE, Codes, CsmModel, Frame, Piece, Sampling, Sequence
from tests.engines.csm.tiny_csm import AUDIO, AUDIO_EOS, CODEBOOKS, CODES

torch: Any = pytest.importorskip("torch")
pytest.importorskip("transformers")

GREEDY = Sampling(temperature=0)
FRAMES = 24


def sound(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(round(seconds * SAMPLE_RATE)) * 0.2).astype(np.float32)


def chance_codes(frames: int, seed: int = 0) -> Codes:
    return np.random.default_rng(seed).integers(1, CODES, (frames, CODEBOOKS))


@contextmanager
def opened(model: CsmModel, sampling: Sampling, *pieces: Piece) -> Iterator[Sequence]:
    sequence = model.open(sampling)
    try:
        model.append(sequence, pieces)
        yield sequence
    finally:
        model.close(sequence)


def speak(model: CsmModel, sequence: Sequence, frames: int = FRAMES) -> list[Frame]:
    model.begin(sequence)
    return [model.step([sequence])[0] for _ in range(frames)]


def codes_of(frames: Iterable[Frame]) -> Codes:
    return np.array([frame.codes for frame in frames])


def audio_of(frames: Iterable[Frame]) -> NDArray[np.float32]:
    return np.concatenate([frame.audio for frame in frames])


def alone(model: CsmModel, sampling: Sampling, *pieces: Piece, frames: int = FRAMES) -> list[Frame]:
    with opened(model, sampling, *pieces) as sequence:
        return speak(model, sequence, frames)


def generated(reference: Any, tokens: list[int], *clips: NDArray[np.float32], frames: int = FRAMES) -> Codes:
    """What transformers generates, greedily."""
    audio = {}
    if clips:
        ends = np.cumsum([len(clip) for clip in clips])
        audio = {
            "input_values": torch.from_numpy(np.concatenate(clips))[None, None],
            "input_values_cutoffs": torch.tensor(ends)[None],
        }
    ids = torch.tensor(tokens)[None]
    with torch.no_grad():
        made = reference.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            **audio,
            max_new_tokens=frames,
            do_sample=False,
            depth_decoder_do_sample=False,
        )
    return np.asarray(made[0])


def audio_tokens(clip: NDArray[np.float32]) -> list[int]:
    return [AUDIO] * -(-len(clip) // FRAME_SAMPLES) + [AUDIO_EOS]


@pytest.mark.parametrize("text", ["hello there", "I have never been to Spain, have you?", "x" * 300])
def test_a_text_is_spoken_with_the_codes_that_generate_chooses(model: CsmModel, reference: Any, text: str) -> None:
    tokens = model.tokenize(text, 0)
    mine = codes_of(alone(model, GREEDY, tokens))
    assert (mine == generated(reference, tokens)).all()
    assert len(np.unique(mine)) > 10


def test_after_turns_with_sound_the_codes_are_those_that_generate_chooses(model: CsmModel, reference: Any) -> None:
    clips = [sound(0.97, 1), sound(0.4, 2)]
    said = [model.tokenize("how are you", 0), model.tokenize("fine", 1)]
    last = model.tokenize("good to hear", 0)
    mine = codes_of(alone(model, GREEDY, said[0], model.encode(clips[0]), said[1], model.encode(clips[1]), last))
    tokens = [*said[0], *audio_tokens(clips[0]), *said[1], *audio_tokens(clips[1]), *last]
    assert (mine == generated(reference, tokens, *clips)).all()
    assert (mine != codes_of(alone(model, GREEDY, last))).any()


def test_a_past_turn_is_encoded_as_transformers_encodes_it(model: CsmModel, reference: Any) -> None:
    clip = sound(1.03)
    with torch.no_grad():
        whole = reference.codec_model.encode(torch.from_numpy(clip)[None, None]).audio_codes[0].T
    mine = model.encode(clip)
    assert mine.shape == (13, CODEBOOKS)
    assert (mine == np.asarray(whole)).all()
    assert len(np.unique(mine)) > 5


def test_the_sound_is_what_transformers_decodes_from_the_codes(model: CsmModel, reference: Any) -> None:
    with opened(model, GREEDY, model.tokenize("first", 0)) as sequence:
        turns = [speak(model, sequence, 40)]
        model.append(sequence, [model.tokenize("and another thing", 0)])
        turns.append(speak(model, sequence, 20))
    for frames in turns:
        with torch.no_grad():
            whole = reference.codec_model.decode(torch.from_numpy(codes_of(frames).T)[None]).audio_values[0, 0]
        assert np.abs(audio_of(frames) - np.asarray(whole)).max() < 1e-4 < np.asarray(whole).std()


def test_what_was_spoken_is_the_context_of_what_comes_next(model: CsmModel) -> None:
    first, second = model.tokenize("first", 0), model.tokenize("second", 0)
    with opened(model, GREEDY, first) as sequence:
        spoken = codes_of(speak(model, sequence, 10))
        assert model.length(sequence) == len(first) + 10
        model.append(sequence, [second])
        assert model.length(sequence) == len(first) + 10 + 1 + len(second)
        went_on = codes_of(speak(model, sequence))
    assert (went_on == codes_of(alone(model, GREEDY, first, spoken, second))).all()


def test_a_prefix_in_pieces_is_the_prefix_at_once(model: CsmModel) -> None:
    pieces: list[Piece] = [model.tokenize("one", 0), chance_codes(7), model.tokenize("two", 1), chance_codes(300, 1)]
    last = model.tokenize("three", 0)
    with opened(model, GREEDY) as sequence:
        for piece in [*pieces, last]:
            model.append(sequence, [piece])
        assert model.length(sequence) == sum(map(len, pieces)) + 2 + len(last)
        in_pieces = codes_of(speak(model, sequence))
    assert (in_pieces == codes_of(alone(model, GREEDY, *pieces, last))).all()


@pytest.mark.parametrize("heard", [0, 4, 9])
def test_what_was_not_heard_leaves_no_trace(model: CsmModel, heard: int) -> None:
    text, after = model.tokenize("a long story", 0), model.tokenize("sorry", 0)
    sampled = Sampling(seed=3)
    with opened(model, sampled, text) as sequence:
        spoken = codes_of(speak(model, sequence, 9))
        model.truncate(sequence, len(text) + heard)
        model.append(sequence, [after])
        cut = codes_of(speak(model, sequence))
    assert (cut == codes_of(alone(model, sampled, text, spoken[:heard], after))).all()


def test_a_text_that_was_taken_back_leaves_no_trace(model: CsmModel) -> None:
    start, wrong, right = (model.tokenize(text, 0) for text in ("so", "this is much longer", "that"))
    with opened(model, GREEDY, start, wrong) as sequence:
        model.truncate(sequence, len(start))
        model.append(sequence, [right])
        cut = codes_of(speak(model, sequence))
    assert (cut == codes_of(alone(model, GREEDY, start, right))).all()


def test_voices_in_a_batch_speak_as_they_do_alone_however_they_join_and_leave(model: CsmModel) -> None:
    voices: list[tuple[Sampling, list[Piece]]] = [
        (Sampling(seed=1), [model.tokenize("short", 0)]),
        (
            Sampling(seed=2, temperature=1.5, top_k=0),
            [model.tokenize("with sound", 1), chance_codes(40), model.tokenize("yes", 0)],
        ),
        (Sampling(temperature=0), [model.tokenize("a text of some length before it is spoken", 0)]),
    ]
    expected = [alone(model, sampling, *pieces, frames=20) for sampling, pieces in voices]
    sequences = [model.open(sampling) for sampling, _ in voices]
    for sequence, (_, pieces) in zip(sequences, voices, strict=True):
        model.append(sequence, pieces)
        model.begin(sequence)
    heard: list[list[Frame]] = [[], [], []]
    # The second joins after 5 frames and speaks until its 20th; the order in the batch changes.
    present = [[0, 2]] * 5 + [[1, 0, 2]] * 10 + [[2, 1, 0]] * 5 + [[1]] * 5
    for members in present:
        for member, frame in zip(members, model.step([sequences[member] for member in members]), strict=True):
            heard[member].append(frame)
    for sequence in sequences:
        model.close(sequence)
    for mine, wanted in zip(heard, expected, strict=True):
        assert (codes_of(mine) == codes_of(wanted)).all()
        assert np.abs(audio_of(mine) - audio_of(wanted)).max() < 1e-4


def test_one_seed_is_one_reading_and_another_seed_is_another_one(model: CsmModel) -> None:
    text = model.tokenize("hello there", 0)
    one, again, other = (codes_of(alone(model, Sampling(seed=seed), text)) for seed in (7, 7, 8))
    assert (one == again).all()
    assert (one != other).mean() > 0.5


def test_without_a_seed_each_reading_is_another_one(model: CsmModel) -> None:
    text = model.tokenize("hello there", 0)
    one, other = (codes_of(alone(model, Sampling(), text)) for _ in range(2))
    assert (one != other).any()


def test_a_slot_that_another_conversation_had_is_as_good_as_new(model: CsmModel) -> None:
    text = model.tokenize("who was here before", 0)
    fresh = alone(model, GREEDY, text)
    alone(model, GREEDY, chance_codes(100), model.tokenize("me", 0), frames=3)
    again = alone(model, GREEDY, text)
    assert (codes_of(again) == codes_of(fresh)).all()
    assert (audio_of(again) == audio_of(fresh)).all()
