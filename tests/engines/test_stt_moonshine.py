"""Moonshine: what is heard while it is said and after pauses, several turns at once, and what goes wrong."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from parley.engines.ports import (
    EngineRefused,
    EngineUnavailable,
    Partial,
    RecognitionSpec,
    RecognizerStream,
    Samples,
    Transcript,
)
from parley.engines.stt.moonshine import WHOLE_COMMIT_SAMPLES, MoonshineRecognizer, create
from parley.engines.stt.offline_turns import COMMIT_SAMPLES
from tests.engines.installed_models import as_model
from tests.engines.tiny_moonshine import moonshine_folder
from tests.engines.tiny_moonshine_whole import BASE, TINY, whole_moonshine_folder

pytest.importorskip("moonshine_voice", reason="moonshine-voice has no wheel here", exc_type=ImportError)

RATE = 16_000
LIVE, COMPLETE = RecognitionSpec("en"), RecognitionSpec("en", live=False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moonshine_folder(tmp_path_factory.mktemp("moonshine") / "small-streaming-en")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the first generation."""
    return whole_moonshine_folder(tmp_path_factory.mktemp("moonshine-v1"))


def melody(*hertz: float) -> Samples:
    """0.4 s of each tone."""
    times = np.arange(round(0.4 * RATE)) / RATE
    return np.concatenate([0.3 * np.sin(2 * np.pi * one * times) for one in hertz]).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


UP, DOWN = melody(200, 400, 900, 1500, 3000), melody(3000, 1500, 900, 400, 200)


async def heard(
    engine: MoonshineRecognizer,
    audio: Samples,
    spec: RecognitionSpec = LIVE,
    on_partial: Callable[[Partial], None] = lambda _: None,
) -> Transcript:
    stream = engine.open_stream(spec, on_partial)
    stream.feed(audio)
    return await stream.finish()


def assert_promises_kept(partials: list[Partial]) -> None:
    for earlier, later in pairwise(partials):
        assert later.stable.startswith(earlier.stable)
        assert later.text.startswith(later.stable)


async def failure(engine: MoonshineRecognizer) -> EngineUnavailable:
    with pytest.raises(EngineUnavailable) as raised:
        await engine.open()
    assert raised.value.remedy
    return raised.value


async def test_another_sound_is_another_text_and_complete_audio_is_heard_the_same(weights: Path) -> None:
    engine = create(str(weights), {})
    await engine.open()
    up, down = await heard(engine, UP), await heard(engine, DOWN)
    assert up.text
    assert up.text != down.text
    assert (up.language, up.language_confidence) == ("en", 1.0)
    assert await heard(engine, UP, COMPLETE) == up
    await engine.close()


async def test_words_lie_where_they_are_said(weights: Path) -> None:
    engine = create(str(weights), {"partials": False})
    await engine.open()
    final = await heard(engine, np.concatenate([UP, DOWN]))
    assert "".join(word.text for word in final.words) == final.text.replace(" ", "")
    times = [time for word in final.words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(4_000, abs=250)
    await engine.close()


async def test_a_model_without_the_decoder_that_tells_where_it_looks_has_no_times(tmp_path: Path) -> None:
    engine = create(str(moonshine_folder(tmp_path / "plain", words=False)), {})
    await engine.open()
    final = await heard(engine, UP)
    assert final.text
    assert final.words == ()
    await engine.close()


async def test_what_is_said_after_a_pause_is_heard_together_with_what_came_before(weights: Path) -> None:
    engine = create(str(weights), {"partials": False})
    await engine.open()
    stream = engine.open_stream(LIVE, lambda _: None)
    stream.feed(UP)
    first = await stream.flush()
    stream.feed(silence(0.5))
    assert await stream.flush() == first, "silence adds nothing"
    stream.feed(DOWN)
    final = await stream.finish()
    assert first.text == (await heard(engine, UP)).text
    assert final.text == (await heard(engine, np.concatenate([UP, silence(0.5), DOWN]))).text
    assert final.text != first.text
    await engine.close()


async def test_partials_grow_keep_their_promises_and_a_long_turn_is_promised_by_segments(weights: Path) -> None:
    engine, partials = create(str(weights), {}), list[Partial]()
    await engine.open()
    stream = engine.open_stream(LIVE, partials.append)
    audio = np.tile(np.concatenate([UP, DOWN]), 4)
    assert len(audio) > COMMIT_SAMPLES
    for start in range(0, len(audio), RATE):
        stream.feed(audio[start : start + RATE])
        promised = await stream.flush()
    final = await stream.finish()
    assert final.text == promised.text
    assert_promises_kept(partials)
    assert partials[-1].stable, "ten seconds are promised"
    assert final.text.startswith(partials[-1].stable)
    await engine.close()


async def test_turns_that_are_heard_at_once_are_heard_as_if_alone(weights: Path) -> None:
    engine = create(str(weights), {})
    await engine.open()
    sounds = [np.tile(one, 2) for one in (UP, DOWN, UP[::-1].copy())]
    alone = [(await heard(engine, one, COMPLETE)).text for one in sounds]
    streams: list[RecognizerStream] = [
        engine.open_stream(RecognitionSpec("en", share=index, logprobs=True), lambda _: None)
        for index, _ in enumerate(sounds)
    ]
    for start in range(0, len(sounds[0]), RATE):
        for stream, sound in zip(streams, sounds, strict=True):
            stream.feed(sound[start : start + RATE])
            if start:
                await stream.flush()
    assert [(await stream.finish()).text for stream in streams] == alone
    await engine.close()


async def test_english_only(weights: Path) -> None:
    engine = create(str(weights), {})
    await engine.open()
    for spec in (RecognitionSpec("de"), RecognitionSpec(languages=("fr", "de"))):
        with pytest.raises(EngineRefused) as refused:
            engine.open_stream(spec, lambda _: None)
        assert refused.value.code == "unsupported_language"
    for spec in (RecognitionSpec("en-GB"), RecognitionSpec(), RecognitionSpec(languages=("de", "en"))):
        engine.open_stream(spec, lambda _: None).close()
    await engine.close()


@pytest.mark.parametrize("file", ["decoder_kv.ort", "streaming_config.json", "tokenizer.bin"])
async def test_a_file_that_is_damaged_or_missing_is_refused(weights: Path, tmp_path: Path, file: str) -> None:
    folder = shutil.copytree(weights, tmp_path / "broken")
    (folder / "decoder_kv_with_attention.ort").unlink()
    (folder / file).write_bytes(b"")
    assert (await failure(create(str(folder), {}))).code == "invalid_weights"
    (folder / file).unlink()
    error = await failure(create(str(folder), {}))
    assert (error.code, file in error.message) == ("missing_weights", True)


async def test_both_layouts_of_the_first_network_are_known(weights: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(weights, tmp_path / "newer")
    (folder / "frontend.ort").rename(folder / "frontend.model.ort")
    error = await failure(create(str(folder), {}))
    assert (error.code, "frontend.model.ort and frontend.weights.ort" in error.message) == ("missing_weights", True)
    (folder / "frontend.weights.ort").write_bytes(b"")
    assert (await failure(create(str(folder), {}))).code == "invalid_weights"


@pytest.mark.parametrize("model", ["", "/no/such/folder"])
async def test_a_folder_that_is_not_there_is_refused(model: str) -> None:
    error = await failure(create(model, {}))
    assert (error.code, "moonshine_voice.download" in error.remedy) == ("missing_weights", True)
    assert create(model, {}).missing_models() == ()


async def test_a_model_of_the_catalogue_is_found_by_its_name(
    weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_later = as_model(monkeypatch, tmp_path, "moonshine:small", weights)
    engine = create("small", {})
    assert engine.missing_models() == ("moonshine:small",)
    error = await failure(engine)
    assert (error.code, "parley models pull moonshine:small" in error.remedy) == ("missing_weights", True)
    install_later()
    assert engine.missing_models() == ()
    await engine.open()
    assert (await heard(engine, UP)).text
    await engine.close()
    error = await failure(create("smal", {}))
    assert (error.code, "moonshine:small" in error.remedy) == ("model_not_found", True)


async def test_a_missing_package_is_named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moonshine_voice.transcriber", None)
    error = await failure(create(str(weights), {}))
    assert (error.code, "moonshine-voice" in error.remedy) == ("missing_package", True)


@pytest.mark.parametrize("size", [TINY, BASE], ids=["tiny", "base"])
async def test_both_sizes_of_the_first_generation_hear(tmp_path: Path, size: tuple[int, int]) -> None:
    engine = create(str(whole_moonshine_folder(tmp_path, size=size)), {})
    await engine.open()
    up, down = await heard(engine, UP), await heard(engine, DOWN)
    assert up.text
    assert up.text != down.text
    assert (up.language, up.words) == ("en", ())
    assert await heard(engine, UP, COMPLETE) == up
    await engine.close()


async def test_without_streaming_partials_come_all_the_same_and_a_pause_ends_a_segment_soon(whole: Path) -> None:
    engine, partials = create(str(whole), {}), list[Partial]()
    await engine.open()
    stream = engine.open_stream(LIVE, partials.append)
    audio = np.tile(np.concatenate([UP, DOWN]), 2)
    assert len(audio) // 2 == WHOLE_COMMIT_SAMPLES < COMMIT_SAMPLES
    for start in range(0, len(audio), RATE // 2):
        stream.feed(audio[start : start + RATE // 2])
        await stream.flush()
    whole_text = (await stream.flush()).text
    assert partials[-1].stable == whole_text, "a pause behind so much is the end of a segment"
    stream.feed(np.concatenate([silence(0.5), UP]))
    final = await stream.finish()
    assert final.text.startswith(f"{whole_text} ")
    assert_promises_kept(partials)
    await engine.close()


async def test_turns_of_the_first_generation_at_once_are_heard_as_if_alone(whole: Path) -> None:
    engine = create(str(whole), {})
    await engine.open()
    sounds = (UP, DOWN, UP[::-1].copy())
    alone = [(await heard(engine, one)).text for one in sounds]
    streams = [engine.open_stream(RecognitionSpec("en", share=index), lambda _: None) for index, _ in enumerate(sounds)]
    for stream, sound in zip(streams, sounds, strict=True):
        stream.feed(sound)
    assert [(await stream.finish()).text for stream in streams] == alone
    await engine.close()


@pytest.mark.parametrize("file", ["encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"])
async def test_a_file_of_the_first_generation_that_is_damaged_or_missing_is_refused(
    whole: Path, tmp_path: Path, file: str
) -> None:
    folder = shutil.copytree(whole, tmp_path / "broken")
    (folder / file).write_bytes(b"")
    assert (await failure(create(str(folder), {}))).code == "invalid_weights"
    (folder / file).unlink()
    error = await failure(create(str(folder), {}))
    assert (error.code, error.message) == ("missing_weights", f"{folder} lacks {file}.")
