"""The parts of RVC by themselves: spectrograms, trackers, the index, seams, the choice of a block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from parley.engines.onnx_session import open_session
from parley.engines.ports import Samples
from parley.engines.vc import mel
from parley.engines.vc.rvc_block import CANDIDATES_MS, choose_block, p95
from parley.engines.vc.rvc_generator import coarse
from parley.engines.vc.rvc_index import blend, load_index
from parley.engines.vc.rvc_interface import read_interface
from parley.engines.vc.rvc_pitch import PitchTracker, SwiftTracker, decode, load_tracker, rmvpe_window
from parley.engines.vc.sola import BlockSeams
from tests.engines import tiny_rvc


def tone(hz: float, length: int, rate: int = 16_000, phase: float = 0.0) -> Samples:
    samples: Samples = (0.5 * np.sin(2 * np.pi * hz * np.arange(length) / rate + phase)).astype(np.float32)
    return samples


# --- spectrograms ---


@pytest.mark.parametrize(("htk", "lowest_hz"), [(True, 30.0), (False, 0.0)])
def test_the_filters_are_triangles_on_their_scale(htk: bool, lowest_hz: float) -> None:
    made = mel.filters(htk=htk, lowest_hz=lowest_hz).bands(np.eye(513, dtype=np.float32)).T
    assert np.abs(made - tiny_rvc.filters(htk=htk, lowest_hz=lowest_hz)).max() < 1e-12


@pytest.mark.parametrize("hz", [110.0, 440.0, 3_000.0])
def test_a_frame_is_what_the_definition_says(hz: float) -> None:
    audio = tone(hz, 16_000)
    for frames, bank, first in (
        (mel.rmvpe_mel(audio), tiny_rvc.filters(htk=True, lowest_hz=30), 50 * 160 - 512),
        (mel.fcpe_mel(audio), tiny_rvc.filters(htk=False, lowest_hz=0), 50 * 160 + 80 - 512),
    ):
        piece = audio[first : first + 1024].astype(np.float64) * (
            0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
        )
        lines = np.exp(-2j * np.pi * np.outer(np.arange(513), np.arange(1024)) / 1024) @ piece
        wanted = np.log(np.maximum(bank @ np.abs(lines), 1e-5))
        loud = wanted > -6
        assert np.abs(frames[50] - wanted)[loud].max() < 0.01


def test_the_number_of_frames_and_the_floor() -> None:
    silence = np.zeros(4_960, np.float32)
    assert mel.rmvpe_mel(silence).shape == (32, 128)
    assert mel.fcpe_mel(silence).shape == (31, 128)
    assert mel.rmvpe_mel(silence).max() == pytest.approx(np.log(1e-5))
    assert mel.fcpe_mel(silence).max() <= np.log(1e-3)


# --- trackers ---


@pytest.mark.parametrize("kind", ["rmvpe", "fcpe", "swift"])
@pytest.mark.parametrize("hz", [90.0, 220.0, 467.0])
def test_a_tracker_hears_a_tone(tmp_path: Path, kind: str, hz: float) -> None:
    tracker: PitchTracker
    if kind == "swift":
        tracker = SwiftTracker()
    else:
        path = getattr(tiny_rvc, kind)(tmp_path / "t.onnx")
        tracker = load_tracker(read_interface(path), open_session(path))
    audio = tone(hz, 9_600)
    if kind == "swift":  # which takes no sine for a voice
        audio = np.sum([tone(hz * number, 9_600) / number / 2 for number in range(1, 9)], axis=0, dtype=np.float32)
    found = tracker.track(audio)
    assert len(found) == 61
    assert found[8:-8] == pytest.approx(np.full(45, hz), rel=0.015)
    assert not tracker.track(np.zeros(9_600, np.float32)).any()


def test_scores_become_the_weighted_mean_about_the_highest() -> None:
    cents = 1997.3794084376191 + 20 * np.arange(360)
    scores = np.zeros((5, 360), np.float32)
    scores[0, 100] = 1.0
    scores[1, 100:102] = 0.5  # halfway between two
    scores[2, 100], scores[2, 200] = 1.0, 0.9  # far away, so it does not count
    scores[3, 100] = 0.03  # not above the threshold
    scores[4, 359] = 1.0  # at the edge
    found = decode(scores, cents, 0.03)
    assert found[0] == pytest.approx(10 * 2 ** (cents[100] / 1200))
    assert found[1] == pytest.approx(10 * 2 ** ((cents[100] + 10) / 1200))
    assert found[2] == found[0]
    assert found[3] == 0
    assert found[4] == pytest.approx(10 * 2 ** (cents[359] / 1200))


def test_rmvpe_takes_whole_steps() -> None:
    assert rmvpe_window(1_600) == 5_120 - 160
    assert rmvpe_window(4_320) == 5_120 - 160
    assert rmvpe_window(4_321) == 10_240 - 160


def test_coarse_pitch_is_one_to_255() -> None:
    found = coarse(np.array([0, 20, 50, 51, 1_100, 3_000], np.float32))
    assert found.dtype == np.int64
    assert list(found[[0, 1, 2, 4, 5]]) == [1, 1, 1, 255, 255]
    low, high = (1127 * np.log(1 + hz / 700) for hz in (50, 1_100))
    for hz in (90, 200, 450, 800, 1_000):
        step = (1127 * np.log(1 + hz / 700) - low) * 254 / (high - low) + 1
        assert coarse(np.array([hz], np.float32))[0] == round(step)


# --- the index ---


@pytest.fixture
def features() -> mel.Frames:
    return np.random.default_rng(5).standard_normal((500, 256)).astype(np.float32)


def blended(features: mel.Frames, frames: mel.Frames, rate: float) -> mel.Frames:
    """By the definition."""
    rows = []
    for frame in frames.astype(np.float64):
        distances = np.square(features - frame).sum(axis=1)
        nearest = np.argsort(distances)[:8]
        weights = (1 / distances[nearest]) ** 2
        rows.append(rate * (weights @ features[nearest]) / weights.sum() + (1 - rate) * frame)
    return np.array(rows, np.float32)


@pytest.mark.parametrize("kind", ["npy", "flat", "ivf"])
def test_frames_are_drawn_to_the_nearest_features(tmp_path: Path, features: mel.Frames, kind: str) -> None:
    path = tmp_path / ("total.npy" if kind == "npy" else "added.index")
    if kind == "npy":
        np.save(path, features)
    else:
        index: Any = faiss.index_factory(256, "Flat" if kind == "flat" else "IVF1,Flat")
        index.train(features)
        index.add(features)
        faiss.write_index(index, str(path))
    loaded = load_index(path, 256)
    frames = np.random.default_rng(6).standard_normal((11, 256)).astype(np.float32)
    for rate in (0.0, 0.4, 1.0):
        assert np.abs(blend(loaded, frames, rate) - blended(features, frames, rate)).max() < 1e-4
    exact = blend(loaded, features[3:4], 1.0)
    assert np.abs(exact - features[3]).max() < 1e-3, "a frame that is one of the features is that feature"


def test_frames_stay_where_the_index_finds_too_few(tmp_path: Path, features: mel.Frames) -> None:
    index: Any = faiss.index_factory(256, "Flat")
    index.add(features[:5])
    faiss.write_index(index, str(tmp_path / "a.index"))
    frames = features[10:13]
    assert np.array_equal(blend(load_index(tmp_path / "a.index", 256), frames, 1.0), frames)


# --- seams ---


@pytest.mark.parametrize("shift", [-190, -63, 0, 5, 200])
def test_the_place_of_a_seam_is_that_of_the_shift(shift: int) -> None:
    """The same sound, made again from somewhere else: noise, which fits in one place only."""
    sound = np.random.default_rng(2).standard_normal(20_000).astype(np.float32)
    seams = BlockSeams(fade=1_600, search=400)
    seams.join(sound[2_000 : 2_000 + 6_000])  # its block of 4,000 begins at 2,200 and ends at 6,200
    again = sound[6_000 - shift : 6_000 - shift + 6_000]
    assert seams.place(again) == 200 + shift
    assert np.abs(seams.join(again) - sound[6_200:10_200]).max() < 1e-6


@pytest.mark.parametrize("hz", [130.0, 301.0])
def test_a_sine_goes_on_in_phase(hz: float) -> None:
    seams = BlockSeams(fade=400, search=400)
    joined = np.concatenate([seams.join(tone(hz, 4_800, 40_000, phase)) for phase in (0.3, 2.0, 4.4, 5.9, 1.0)])
    assert np.abs(np.diff(joined[400:])).max() < 1.02 * 0.5 * 2 * np.pi * hz / 40_000 + 1e-3
    assert np.abs(joined[400:]).max() < 0.501


def test_where_nothing_was_before_a_block_stands_in_its_place() -> None:
    seams = BlockSeams(fade=40, search=40)
    assert seams.place(tone(500, 1_000)) == 20
    faded = seams.join(tone(500, 1_000))
    assert len(faded) == 920
    assert np.array_equal(faded[40:], tone(500, 1_000)[60:940])


def test_a_fade_keeps_a_constant() -> None:
    seams = BlockSeams(fade=100, search=10)
    seams.join(np.ones(610, np.float32))
    assert seams.join(np.ones(610, np.float32)) == pytest.approx(np.ones(500))
    assert seams.silence(500)[100:].max() == 0


# --- the block ---


def machine(fixed_ms: float, per_ms: float) -> tuple[list[int], object]:
    """Asked blocks, and what takes so long for each."""
    asked: list[int] = []

    def measure(block_ms: int) -> Sequence[float]:
        asked.append(block_ms)
        return [fixed_ms + per_ms * block_ms] * 20

    return asked, measure


@pytest.mark.parametrize(
    ("fixed_ms", "per_ms", "chosen", "asked"),
    [
        (10, 0.1, 100, [100]),
        (70, 0.1, 150, [100, 150]),
        (140, 0.1, 300, [100, 300]),
        (400, 0.1, 1_000, [100, 1_000]),
        (2_000, 1.0, 1_000, [100, 1_000]),
    ],
)
def test_the_shortest_block_that_is_ready_in_time(
    fixed_ms: float, per_ms: float, chosen: int, asked: list[int]
) -> None:
    seen, measure = machine(fixed_ms, per_ms)
    timing = choose_block(measure)  # type: ignore[arg-type]
    assert timing.block_ms == chosen
    assert timing.p95_ms == fixed_ms + per_ms * chosen
    assert timing.live == (timing.p95_ms < 0.6 * chosen)
    assert seen == asked
    assert set(seen) <= set(CANDIDATES_MS)


def test_one_slow_call_in_twenty_decides() -> None:
    assert p95([1.0] * 19 + [9.0]) == 9.0
    assert p95([1.0] * 39 + [9.0]) == 1.0
    assert p95([3.0, 2.0]) == 3.0
