"""Smart Turn judges the sound of the turn's last eight seconds: the features it reads, graphs that cannot be it, and the true weights."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from parley.audio import pcm
from parley.audio.resampling import resample
from parley.core.words.settings import SemanticVad
from parley.engines.ports import TURN, EngineError, EngineSpec, EngineUnavailable, PauseContext, Samples
from parley.engines.registry import create
from parley.engines.turn import smart_weights
from parley.engines.turn.rules import weigh
from parley.engines.turn.smart import OFFSET, SHARE, SmartTurn
from parley.engines.turn.smart import create as smart
from parley.engines.turn.smart_features import FRAMES, MELS, WINDOW_SAMPLES, log_mel
from parley.library import Pipeline, TurnEnded, VoiceSession
from parley.models import store

Speech = Callable[[str], tuple[NDArray[np.int16], int]]

SILENCE: Samples = np.zeros(16_000, dtype=np.float32)


def voice(seconds: float, seed: int = 0) -> Samples:
    """Noise whose loudness changes: no two places sound alike."""
    rng = np.random.default_rng(seed)
    count = round(seconds * 16_000)
    noise: Samples = (rng.normal(0, 0.1, count) * (1 + np.sin(np.arange(count) / 700))).astype(np.float32)
    return noise


def spoken(speech: Speech, name: str) -> Samples:
    ints, rate = speech(name)
    return resample(pcm.to_float(ints), rate, 16_000)


# --- features -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.05, 1.0, 7.9, 8.0, 11.0])
def test_features_are_whispers_of_the_normalised_window(seconds: float) -> None:
    """Against faster-whisper's extractor, which computes them by other means; it neither normalises nor pads in front."""
    from faster_whisper.feature_extractor import FeatureExtractor

    audio = voice(seconds)
    window = np.zeros(WINDOW_SAMPLES)
    window[-min(len(audio), WINDOW_SAMPLES) :] = audio[-WINDOW_SAMPLES:]
    window = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
    expected = FeatureExtractor(chunk_length=8)(window.astype(np.float32), padding=0, chunk_length=8)
    found = log_mel(audio)
    assert found.shape == (MELS, FRAMES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected[:, :FRAMES], rtol=0, atol=2e-3)


def test_a_tone_lies_in_the_filter_of_its_pitch() -> None:
    """1 kHz is mel 15 of Slaney's 45.2 up to 8 kHz: the filter whose centre is nearest, in 81 steps."""
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    loudest = int(np.argmax(log_mel(tone)[:, -50]))
    top = 15 + 27 * np.log(8) / np.log(6.4)
    assert loudest == round(15 / (top / (MELS + 1))) - 1


def test_silence_and_an_empty_turn_have_the_lowest_level_everywhere() -> None:
    assert np.all(log_mel(SILENCE) == -1.5)
    assert np.all(log_mel(SILENCE[:0]) == -1.5)


# --- a graph of the real names and shapes -------------------------------------------------------------------------------


def graph(path: Path, last: str = "Sigmoid", inputs: tuple[str, int, int] = ("input_features", MELS, FRAMES)) -> Path:
    """A linear model of every feature with random weights, then `last`."""
    name, mels, frames = inputs
    weights = np.random.default_rng(5).normal(0, 0.02, (mels * frames, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", [name], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["score"]),
        helper.make_node(last, ["score"], ["logits"]),
    ]
    made = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", mels, frames])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(weights, "weights")],
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


def loud_only(path: Path) -> Path:
    """0 for silence, and more than 1 for anything that is heard: a model that fails once there is speech."""
    made = helper.make_graph(
        [
            helper.make_node("Flatten", ["input_features"], ["flat"]),
            helper.make_node("ReduceMax", ["flat", "axis"], ["loudest"], keepdims=1),
            helper.make_node("Relu", ["loudest"], ["positive"]),
            helper.make_node("Mul", ["positive", "nine"], ["logits"]),
        ],
        "fails",
        [helper.make_tensor_value_info("input_features", TensorProto.FLOAT, ["batch", MELS, FRAMES])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])],
        [
            numpy_helper.from_array(np.array([1], np.int64), "axis"),
            numpy_helper.from_array(np.array(9, np.float32), "nine"),
        ],
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


async def opened(path: Path, alone: bool = True) -> SmartTurn:
    judge = smart(str(path), {"alone": alone})
    await judge.open()
    return judge


async def test_the_probability_is_the_graphs_for_these_sounds(tmp_path: Path) -> None:
    path = graph(tmp_path / "tiny.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    judge = await opened(path)
    sounds = [voice(0.5 * seed, seed) for seed in range(1, 6)]
    found = [await judge.judge(PauseContext("", each)) for each in sounds]
    expected = [session.run(None, {"input_features": log_mel(each)[None]})[0].item() for each in sounds]
    assert found == expected
    assert len(set(found)) == len(found)
    await judge.close()


async def test_alone_the_model_does_not_read(tmp_path: Path) -> None:
    judge = await opened(graph(tmp_path / "tiny.onnx"))
    sound = voice(1)
    assert await judge.judge(PauseContext("yes", sound, "en", 1.0)) == await judge.judge(PauseContext("and", sound))
    await judge.close()


async def test_by_default_the_words_count_as_in_rules_and_the_sound_as_the_model_hears_it(tmp_path: Path) -> None:
    judge = await opened(graph(tmp_path / "tiny.onnx"), alone=False)
    questions = [PauseContext(text, voice(1, seed), "en") for text in ("thank you", "and the") for seed in (1, 2)]
    found = [log_odds(await judge.judge(each)) - weigh(each).log_odds for each in questions]
    await judge.close()
    alone = await opened(graph(tmp_path / "tiny.onnx"))
    heard = [log_odds(await alone.judge(each)) for each in questions]
    await alone.close()
    assert found == pytest.approx([OFFSET + SHARE * each for each in heard], abs=1e-4)
    assert found[0] == pytest.approx(found[2], abs=1e-4)
    assert abs(found[0] - found[1]) > 0.01


def log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


async def test_sessions_that_ask_at_once_get_their_own_answers_while_the_loop_runs(tmp_path: Path) -> None:
    judge = await opened(graph(tmp_path / "tiny.onnx"))
    sounds = [voice(1, seed) for seed in range(16)]
    alone = [await judge.judge(PauseContext("", each)) for each in sounds]
    together = asyncio.gather(*(judge.judge(PauseContext("", each)) for each in sounds))
    turns = 0
    while not together.done():
        await asyncio.sleep(0)
        turns += 1
    assert await together == alone
    assert turns > 2 * len(sounds)  # a judgement on the event loop's own thread takes one turn of it
    await judge.close()


async def test_a_folder_names_the_graph_in_it(tmp_path: Path) -> None:
    graph(tmp_path / smart_weights.FILE)
    judge = create(TURN, EngineSpec.parse(f"smart:{tmp_path}"))
    await judge.open()
    assert isinstance(judge, SmartTurn)
    assert 0 <= await judge.judge(PauseContext("", SILENCE)) <= 1
    await judge.close()


async def test_a_path_without_a_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable) as refused:
        await opened(tmp_path)
    assert refused.value.code == "missing_weights"


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"not a graph"),
        lambda path: graph(path, inputs=("input_features", MELS, 3000)),
        lambda path: graph(path, inputs=("audio", MELS, FRAMES)),
        lambda path: graph(path, last="Cosh"),  # more than 1
    ],
    ids=["bytes", "Whisper's 30 s", "another input", "no probability"],
)
async def test_a_graph_that_is_not_smart_turn_is_refused_when_it_is_opened(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    path = tmp_path / "wrong.onnx"
    write(path)
    with pytest.raises(EngineUnavailable) as refused:
        await opened(path)
    assert refused.value.code == "bad_weights"
    assert smart_weights.FILE in refused.value.remedy


async def test_a_judgement_that_is_no_probability_is_an_error_of_that_judgement(tmp_path: Path) -> None:
    judge = await opened(loud_only(tmp_path / "fails.onnx"))
    with pytest.raises(EngineError) as failed:
        await judge.judge(PauseContext("", voice(1)))
    assert failed.value.code == "invalid_judgement"
    assert await judge.judge(PauseContext("", SILENCE)) == 0
    await judge.close()


async def test_a_judge_that_is_not_open_says_so(tmp_path: Path) -> None:
    judge = await opened(graph(tmp_path / "tiny.onnx"))
    await judge.close()
    await judge.close()
    with pytest.raises(EngineError) as failed:
        await judge.judge(PauseContext("", SILENCE))
    assert failed.value.code == "engine_closed"


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(ValueError, match="threads"):
        smart("", {"thread": 2})


def test_a_session_whose_judge_fails_goes_on_with_the_longest_wait(tmp_path: Path, speech: Speech) -> None:
    judge = smart(str(loud_only(tmp_path / "fails.onnx")), {})
    audio = spoken(speech, "hello_world")
    with Pipeline(turn=judge, stt="pocketsphinx", llm=None, tts=None, language="en") as pipeline:
        session = VoiceSession(pipeline, sample_rate=16_000, turn_detection=SemanticVad("high"))
        events = session.step(np.concatenate([audio, np.zeros(3 * 16_000, np.float32)]))
        session.close()
    heard = [event.turn.heard for event in events if isinstance(event, TurnEnded)]
    assert len(heard) == 1
    assert heard[0]


async def test_without_weights_the_refusal_names_the_command_and_every_other_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PARLEY_MODELS_DIR", str(tmp_path / "models"))
    judge = smart("", {})
    assert judge.missing_models() == (smart_weights.MODEL,)
    assert smart(str(tmp_path), {}).missing_models() == ()
    with pytest.raises(EngineUnavailable, match="smart-turn") as refused:
        await judge.open()
    assert refused.value.code == "missing_weights"
    for way in (f"parley models pull {smart_weights.MODEL}", "smart:PATH", "rules"):
        assert way in refused.value.remedy


# --- the published weights ----------------------------------------------------------------------------------------------


def published() -> str:
    """The path of the published graph; skips where it is not on this machine."""
    named = os.environ.get("PARLEY_TEST_SMART_TURN", "")
    folder = store.installed(smart_weights.MODEL)
    if not named and folder is None:
        pytest.skip(
            f"The published Smart Turn graph is not on this machine: `parley models pull {smart_weights.MODEL}` and set "
            f"PARLEY_TEST_MODELS_DIR, or PARLEY_TEST_SMART_TURN to the path of {smart_weights.FILE}."
        )
    return named or str(folder)


@pytest.fixture
def weights() -> str:
    return published()


async def test_the_published_graph_knows_whole_sentences_from_halves(weights: str, speech: Speech) -> None:
    judge = await opened(Path(weights))
    sentence = spoken(speech, "weather_question")
    whole = await judge.judge(PauseContext("", sentence))
    half = await judge.judge(PauseContext("", sentence[: len(sentence) // 2]))
    await judge.close()
    assert whole > 0.9
    assert half < 0.5


async def test_the_published_graph_hears_only_the_last_eight_seconds(weights: str, speech: Speech) -> None:
    judge = await opened(Path(weights))
    sentence = spoken(speech, "beckett")[-WINDOW_SAMPLES:]
    longer = np.concatenate([voice(4), sentence])
    same = [await judge.judge(PauseContext("", each)) for each in (sentence, longer)]
    await judge.close()
    assert len(sentence) == WINDOW_SAMPLES
    assert same[0] == same[1]
