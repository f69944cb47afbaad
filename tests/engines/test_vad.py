"""What a listener would notice if voice activity scoring were wrong: speech missed, or one caller's voice seen in another's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from parley.audio import pcm
from parley.audio.resampling import resample
from parley.engines.ports import VAD, EngineError, EngineSpec, EngineUnavailable, VoiceActivityModel
from parley.engines.registry import create
from parley.engines.vad import silero
from parley.engines.vad.silero import FIRST_SLOTS, FRAME_SAMPLES, SileroVad

Speech = Callable[[str], tuple[NDArray[np.int16], int]]


@pytest.fixture
async def vad() -> AsyncIterator[SileroVad]:
    model = SileroVad()
    await model.open()
    yield model
    await model.close()


def frames_of(speech: Speech, name: str) -> NDArray[np.float32]:
    ints, rate = speech(name)
    audio = resample(pcm.to_float(ints), rate, 16000)
    return audio[: len(audio) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)


def original_scores(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """The published graph, untouched, over the whole sequence of one stream's frames."""
    session = onnxruntime.InferenceSession(str(silero.find_weights()), providers=["CPUExecutionProvider"])
    context = np.zeros((len(frames), silero.CONTEXT_SAMPLES), np.float32)
    context[1:] = frames[:-1, -silero.CONTEXT_SAMPLES :]
    zeros = np.zeros((1, 1, silero.STATE), np.float32)
    scores: NDArray[np.float32] = session.run(
        ["speech_probs"], {"input": np.concatenate([context, frames], 1), "h": zeros, "c": zeros}
    )[0]
    return scores.reshape(-1)


def assert_as_published(scores: NDArray[np.float32], frames: NDArray[np.float32]) -> None:
    """The same sums in another order: rounding alone may differ, and no threshold is crossed by it."""
    np.testing.assert_allclose(scores, original_scores(frames), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["hello_world", "weather_question", "beckett"])
async def test_scores_are_those_of_the_published_graph(vad: SileroVad, speech: Speech, name: str) -> None:
    frames = frames_of(speech, name)
    slot = vad.allocate()
    scores = np.concatenate([vad.score([slot], frame[None]) for frame in frames])
    assert_as_published(scores, frames)
    assert scores.max() > 0.8


async def test_a_batch_scores_each_stream_as_if_alone(vad: SileroVad, speech: Speech) -> None:
    streams = [frames_of(speech, name) for name in ("hello_world", "weather_question", "beckett")]
    slots = [vad.allocate() for _ in streams]
    scores: list[list[float]] = [[] for _ in streams]
    rng = np.random.default_rng(5)
    while any(len(s) < len(f) for s, f in zip(scores, streams, strict=True)):
        # any mix of streams in any order: sessions do not tick together
        left = [i for i in range(3) if len(scores[i]) < len(streams[i])]
        chosen = rng.permutation(left)[: rng.integers(1, len(left) + 1)].tolist()
        batch = np.stack([streams[i][len(scores[i])] for i in chosen])
        for i, score in zip(chosen, vad.score([slots[i] for i in chosen], batch), strict=True):
            scores[i].append(float(score))
    for mine, frames in zip(scores, streams, strict=True):
        slot = vad.allocate()
        assert mine == [float(vad.score([slot], frame[None])[0]) for frame in frames]


async def test_a_score_does_not_depend_on_how_many_are_scored(vad: SileroVad) -> None:
    rng = np.random.default_rng(7)
    steps = rng.normal(0, 0.1, (3, 130, FRAME_SAMPLES)).astype(np.float32)
    slots = [vad.allocate() for _ in range(130)]
    together = [vad.score(slots, frames).tolist() for frames in steps]
    for count in (1, 2, 3, 5, 16, 17, 31, 63, 64, 65, 129):
        for slot in slots[:count]:
            vad.reset(slot)
        fewer = [vad.score(slots[:count], frames[:count]).tolist() for frames in steps]
        assert fewer == [row[:count] for row in together]


async def test_speech_is_heard_and_silence_is_not(vad: SileroVad, speech: Speech) -> None:
    frames = frames_of(speech, "hello_world")
    slot = vad.allocate()
    spoken = [float(vad.score([slot], frame[None])[0]) for frame in frames]
    assert np.mean(np.array(spoken) > 0.5) > 0.5
    vad.reset(slot)
    hum = [float(vad.score([slot], np.zeros((1, FRAME_SAMPLES), np.float32))[0]) for _ in range(30)]
    assert max(hum) < 0.2


async def test_a_reused_slot_remembers_nothing(vad: SileroVad, speech: Speech) -> None:
    frames = frames_of(speech, "hello_world")
    first = vad.allocate()
    before = [float(vad.score([first], f[None])[0]) for f in frames]
    vad.release(first)
    second = vad.allocate()
    assert second == first
    assert [float(vad.score([second], f[None])[0]) for f in frames] == before


async def test_more_streams_than_at_first_keep_their_state(vad: SileroVad, speech: Speech) -> None:
    frames = frames_of(speech, "hello_world")
    early = vad.allocate()
    scores = [float(vad.score([early], f[None])[0]) for f in frames[:10]]
    others = [vad.allocate() for _ in range(3 * FIRST_SLOTS)]
    assert len({early, *others}) == 3 * FIRST_SLOTS + 1
    scores += [float(vad.score([early], f[None])[0]) for f in frames[10:]]
    assert_as_published(np.array(scores, np.float32), frames)
    assert vad.score(others, np.zeros((len(others), FRAME_SAMPLES), np.float32)).shape == (len(others),)


async def test_too_many_streams_are_refused_by_name(vad: SileroVad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silero, "MAX_SLOTS", FIRST_SLOTS)
    for _ in range(FIRST_SLOTS):
        vad.allocate()
    with pytest.raises(EngineError) as caught:
        vad.allocate()
    assert caught.value.code == "too_many_streams"


async def test_the_same_stream_twice_in_a_batch_is_refused(vad: SileroVad) -> None:
    slot = vad.allocate()
    with pytest.raises(ValueError, match="only once"):
        vad.score([slot, slot], np.zeros((2, FRAME_SAMPLES), np.float32))


async def test_wrong_weights_are_named_with_their_remedy(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(EngineUnavailable, match=r"other\.onnx.*pip install"):
        await create(VAD, EngineSpec("silero", options={"weights": str(path)})).open()


def test_the_registry_makes_it() -> None:
    assert isinstance(create(VAD, EngineSpec("silero")), VoiceActivityModel)
