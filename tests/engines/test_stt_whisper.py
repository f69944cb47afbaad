"""What a user of Whisper would notice: a start that hangs without a network, a choice without its reason, a language mistaken."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.audio import pcm
from parley.audio.resampling import resample
from parley.audio.types import Samples
from parley.engines import model_threads
from parley.engines.ports import (
    STT,
    EngineError,
    EngineRefused,
    EngineSpec,
    EngineUnavailable,
    NeedsModels,
    Partial,
    RecognitionSpec,
    Transcript,
    Word,
)
from parley.engines.registry import create
from parley.engines.stt.agreement import agreed
from parley.engines.stt.auto import AutoRecognizer
from parley.engines.stt.turn_stream import new_backlog
from parley.engines.stt.whisper import WhisperOptions, WhisperRecognizer
from parley.engines.stt.whisper_model import Decoding, Task, WhisperModel, _without_silence, sayable, window
from parley.engines.stt.whisper_queue import DecodingQueue
from parley.engines.stt.whisper_stream import WhisperStream
from parley.models.catalogue import ModelFile, catalogue
from tests.engines.tiny_models import languages, whisper_folder

Speech = Callable[[str], tuple[NDArray[np.int16], int]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper_folder(tmp_path_factory.mktemp("whisper") / "tiny")


@pytest.fixture(scope="module")
def model(weights: Path) -> WhisperModel:
    return WhisperModel.load(weights, "cpu", "int8", 1, 1)


@pytest.fixture
async def recognizer(weights: Path) -> AsyncIterator[WhisperRecognizer]:
    engine = create(STT, EngineSpec("whisper", str(weights), {"device": "cpu", "threads": 1}))
    assert isinstance(engine, WhisperRecognizer)
    await engine.open()
    yield engine
    await engine.close()


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine whose cache is empty and whose hub refuses every connection: port 9 (discard) of this machine."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))


def a_tone() -> Samples:
    return (0.3 * np.sin(np.arange(48000) / 9)).astype(np.float32)


def test_forced_tokens_begin_the_result_and_change_nothing_before_them(model: WhisperModel) -> None:
    audio = a_tone()
    free = model.decode(Task(audio, "en"))
    assert len(free.tokens) > 8
    assert model.decode(Task(audio, "en", kept=free.tokens[:5])).tokens[:5] == free.tokens[:5]
    forced = model.decode(Task(audio, "en", kept=(300, 400, 500)))
    assert forced.tokens[:3] == (300, 400, 500)
    assert forced.tokens != free.tokens


def test_a_prompt_reaches_the_model(model: WhisperModel) -> None:
    audio = a_tone()
    plain = model.decode(Task(audio, "en"))
    assert model.decode(Task(audio, "en")).tokens == plain.tokens
    assert model.decode(Task(audio, "en", prompt=" abad obed")).tokens != plain.tokens
    # a prompt of any length leaves room for the answer
    assert model.decode(Task(audio, "en", prompt=" abad obed" * 900)).tokens


def test_a_temperature_samples_the_words_and_none_does_not(model: WhisperModel) -> None:
    audio = a_tone()
    likeliest = model.decode(Task(audio, "en")).tokens
    assert model.decode(Task(audio, "en", temperature=0.0)).tokens == likeliest
    sampled = [model.decode(Task(audio, "en", temperature=1.0, beam_size=5)).tokens for _ in range(4)]
    assert len({likeliest, *sampled}) > 3
    assert all(model.decode(Task(audio, "en", kept=(300, 400), temperature=1.0)).tokens[:2] == (300, 400) for _ in "12")


async def test_a_turns_temperature_is_that_of_its_pauses_and_not_of_its_partials(weights: Path) -> None:
    engine = WhisperRecognizer(WhisperOptions(str(weights), device="cpu", threads=1))
    await engine.open()
    try:
        finals = []
        for temperature in (None, 0.0, 1.0, 1.0, 1.0):
            stream = engine.open_stream(RecognitionSpec("en", temperature=temperature, live=False), lambda _: None)
            stream.feed(a_tone())
            finals.append((await stream.finish()).text)
        live = engine.open_stream(RecognitionSpec("en", temperature=1.0), lambda _: None)
        live.feed(a_tone())
        partial = live.partial_task()
        assert partial is None or partial.temperature == 0
        live.close()
    finally:
        await engine.close()
    assert finals[0] == finals[1]
    assert len(set(finals)) > 2


def test_words_are_timed_in_order_within_their_audio_and_are_those_of_the_text(model: WhisperModel) -> None:
    audio = a_tone()
    assert model.decode(Task(audio, "en")).words == (), "an alignment that nobody asked for is not made"
    timed = model.decode(Task(audio, "en", timed=True))
    assert len(timed.words) > 3
    times = [time for word in timed.words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= audio.size / 16
    assert "".join(word.text for word in timed.words) == "".join(model.text(timed.tokens).split())


def test_silence_beside_a_sentence_is_not_part_of_its_words() -> None:
    words = [Word("Well.", 0, 2000), Word("this", 2000, 2200), Word("is", 2200, 2400), Word("it.", 2400, 4000)]
    trimmed = _without_silence(words)
    assert trimmed[1:3] == tuple(words[1:3])
    assert (trimmed[3].start_ms, trimmed[3].end_ms) == (2400, 3800), "twice the median of 700 ms, at the most"
    within = [Word("a", 0, 100), Word("long", 100, 1100), Word("word.", 1100, 1200)]
    assert _without_silence(within) == tuple(within), "a long word within a sentence is a long word"
    assert _without_silence([]) == ()


async def test_a_turns_words_are_timed_from_its_start_over_pauses_that_end_a_window(
    recognizer: WhisperRecognizer,
) -> None:
    stream = recognizer.open_stream(RecognitionSpec("en", live=False), lambda _: None)
    stream.feed(np.tile(a_tone(), 4))
    first = await stream.flush()
    stream.feed(np.tile(a_tone(), 2))
    last = await stream.finish()
    assert last.words[: len(first.words)] == first.words
    later = last.words[len(first.words) :]
    assert later
    assert first.words[-1].end_ms <= 12_000 <= later[0].start_ms + 1
    assert later[-1].end_ms <= 18_000


def test_a_result_is_never_longer_than_speech_can_be(model: WhisperModel) -> None:
    assert len(model.decode(Task(a_tone()[:8000], "en")).tokens) <= 10 + 24
    assert len(model.decode(Task(np.tile(a_tone(), 10), "en")).tokens) <= 224


@pytest.mark.parametrize("seconds", [0.5, 3, 12, 29])
def test_a_quick_result_could_have_been_said_or_is_that_of_the_whole_window(
    model: WhisperModel, seconds: float
) -> None:
    audio = np.tile(a_tone(), 10)[: int(seconds * 16_000)]
    quick, whole = model.decode(Task(audio, "en", quick=True)), model.decode(Task(audio, "en"))
    assert quick.tokens == whole.tokens or sayable(model.text(quick.tokens), seconds)
    forced = model.decode(Task(audio, "en", kept=(300, 400, 500), quick=True))
    assert forced.tokens[:3] == (300, 400, 500)


def test_what_no_one_can_have_said_is_told_from_what_someone_can() -> None:
    assert sayable("The captain was 26 years old, and he had never been so far from home.", 4.5)
    assert sayable("Yes.", 0.3)
    assert sayable("", 5.0)
    assert not sayable("It was the age of wisdom. " * 8, 20.0), "in circles"
    assert not sayable("one two three four five six seven eight nine ten", 1.0)


def test_a_quick_decoding_looks_at_the_speech_and_a_little_more() -> None:
    assert [window(np.zeros(int(s * 16_000), np.float32)) for s in (0.5, 4.9, 6.2, 25, 29)] == [10, 10, 12, 30, 30]


class Unreadable:
    """A turn that its result cannot be given to."""

    closed = busy = False
    share: object = None
    live = True
    error: EngineError | None = None

    def pause_task(self) -> Task | None:
        return Task(a_tone())

    def paused(self, decoding: Decoding) -> None:
        raise ValueError("no such word")

    def partial_task(self) -> Task | None:
        return None

    def partially_decoded(self, decoding: Decoding, took_s: float) -> None:
        raise AssertionError("no partial was asked for")

    def fail(self, error: EngineError) -> None:
        self.error = error


async def test_a_result_that_cannot_be_delivered_fails_its_turn_and_leaves_the_others_their_model(
    model: WhisperModel,
) -> None:
    queue, turn = DecodingQueue(model.decode, 1), Unreadable()
    try:
        queue.want_pause(turn)
        stream = WhisperStream(
            RecognitionSpec("en"), lambda _: None, model, queue, 1, False, new_backlog(), lambda _: None
        )
        stream.feed(a_tone())
        await asyncio.wait_for(stream.finish(), 30)
    finally:
        await queue.stop()
    assert turn.error is not None


@pytest.mark.parametrize("live", [True, False])
async def test_a_busy_model_decodes_the_last_of_the_pauses_that_wait_in_a_live_turn(
    model: WhisperModel, live: bool
) -> None:
    goes_on, begun = threading.Event(), threading.Event()
    lengths: list[int] = []

    def slow(task: Task) -> Decoding:
        begun.set()
        goes_on.wait()
        lengths.append(len(task.audio))
        return model.decode(task)

    queue = DecodingQueue(slow, 1)
    stream = WhisperStream(
        RecognitionSpec("en", live=live), lambda _: None, model, queue, 1, False, new_backlog(), lambda _: None
    )
    asked: list[asyncio.Task[Transcript]] = []
    try:
        for pause in range(4):
            stream.feed(np.concatenate([a_tone()[:16_000], np.zeros(3_200, np.float32)]))
            asked.append(asyncio.create_task(stream.flush()))
            await asyncio.sleep(0)
            await asyncio.to_thread(begun.wait)
            if pause == 0:
                stream.feed(np.zeros(3_200, np.float32))
                asked.append(asyncio.create_task(stream.flush()))
                await asyncio.sleep(0)
        goes_on.set()
        first, silent, *later, last = await asyncio.wait_for(asyncio.gather(*asked), 60)
    finally:
        goes_on.set()
        await queue.stop()
    assert first == silent, "silence needs no decoding of its own"
    assert lengths[0] == 19_200
    if live:
        assert later == [last, last]
        assert len(lengths) == 2
    else:
        assert len(lengths) == 4
    assert lengths[-1] == 4 * 19_200 + 3_200


class Turn:
    """A turn that wants its text, and remembers when it got it."""

    closed = busy = False

    def __init__(self, name: str, done: list[str], *, live: bool = True) -> None:
        self.name, self.live, self.done = name, live, done
        self.share: object = name[0]
        self.error: EngineError | None = None

    def pause_task(self) -> Task | None:
        return Task(np.zeros(1600, np.float32), prompt=self.name)

    def paused(self, decoding: Decoding) -> None:
        self.done.append(self.name)

    def partial_task(self) -> Task | None:
        return Task(np.zeros(1600, np.float32), prompt=self.name)

    def partially_decoded(self, decoding: Decoding, took_s: float) -> None:
        self.done.append(f"{self.name} partial")

    def fail(self, error: EngineError) -> None:
        self.error = error
        self.done.append(f"{self.name} {error.code}")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a thread does it
            await asyncio.sleep(0.001)


async def test_sessions_take_turns_live_turns_first_and_items_and_partials_in_turns() -> None:
    begun, goes_on, done = threading.Event(), threading.Event(), list[str]()

    def decode(task: Task) -> Decoding:
        begun.set()
        goes_on.wait()
        return Decoding((), "en")

    queue = DecodingQueue(decode, 1)
    try:
        for name in ("greedy 1", "greedy 2", "greedy 3"):
            queue.want_pause(Turn(name, done))
        await until(begun.is_set)
        for name in ("a item", "b item"):
            queue.want_pause(Turn(name, done, live=False))
        for name in ("c", "d"):
            queue.want_partial(Turn(name, done))
        queue.want_pause(Turn("newcomer", done))
        goes_on.set()
        await until(lambda: len(done) == 8)
    finally:
        await queue.stop()
    assert done[:4] == ["greedy 1", "newcomer", "greedy 2", "greedy 3"]
    assert done[4:] == ["a item", "c partial", "b item", "d partial"]


async def test_a_decoding_that_hangs_fails_its_turn_and_by_name_all_that_wait_until_it_returns() -> None:
    hangs, goes_on, done = threading.Event(), threading.Event(), list[str]()

    def decode(task: Task) -> Decoding:
        if task.prompt == "hangs":
            hangs.set()
            goes_on.wait()
        return Decoding((), "en")

    queue = DecodingQueue(decode, 1, limit_s=0.05)
    try:
        queue.want_pause(Turn("hangs", done))
        await until(hangs.is_set)
        queue.want_pause(Turn("waits", done))
        await until(lambda: len(done) == 2)
        assert done == ["hangs recognizer_stuck", "waits recognizer_stuck"]
        assert str(queue.fault).startswith("Speech recognition is down")
        queue.want_pause(Turn("comes", done))
        assert done[2] == "comes recognizer_stuck"
        goes_on.set()
        await until(lambda: queue.fault is None)
        queue.want_pause(Turn("later", done))
        await until(lambda: len(done) == 4)
        assert done[3] == "later"
    finally:
        goes_on.set()
        await queue.stop()


@pytest.mark.slow
async def test_a_second_worker_goes_on_while_one_hangs() -> None:
    hangs, goes_on, done = threading.Event(), threading.Event(), list[str]()

    def decode(task: Task) -> Decoding:
        if task.prompt == "hangs":
            hangs.set()
            goes_on.wait()
        return Decoding((), "en")

    queue = DecodingQueue(decode, 2, limit_s=0.05)
    try:
        queue.want_pause(Turn("hangs", done))
        await until(lambda: bool(done))
        assert queue.fault is None
        queue.want_pause(Turn("other", done))
        await until(lambda: len(done) == 2)
        assert done == ["hangs recognizer_stuck", "other"]
        # a thread that never returns keeps no server from closing
        await queue.stop()
    finally:
        goes_on.set()


async def test_stopping_does_not_wait_for_a_decoding_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_threads, "STOP_LIMIT_S", 3600.0)
    goes_on, done = threading.Event(), list[str]()

    def decode(task: Task) -> Decoding:
        goes_on.wait()
        return Decoding((), "en")

    queue = DecodingQueue(decode, 1, limit_s=0.05)
    try:
        queue.want_pause(Turn("hangs", done))
        await until(lambda: bool(done))
        async with asyncio.timeout(60):
            await queue.stop()
    finally:
        goes_on.set()


async def test_the_language_is_detected_or_the_prescribed_one(recognizer: WhisperRecognizer) -> None:
    for asked in ("", "es-MX"):
        stream = recognizer.open_stream(RecognitionSpec(language=asked), lambda partial: None)
        stream.feed(a_tone())
        final = await stream.finish()
        assert final.language == "es" if asked else final.language in languages()
        assert final.language_confidence is not None
        assert final.language_confidence == 1 if asked else 0 < final.language_confidence < 1
    with pytest.raises(EngineRefused, match="'tlh'"):
        recognizer.open_stream(RecognitionSpec(language="tlh"), lambda partial: None)


async def test_the_language_is_one_of_those_that_may_be_spoken(recognizer: WhisperRecognizer) -> None:
    async def heard(*among: str) -> Transcript:
        stream = recognizer.open_stream(RecognitionSpec(languages=among), lambda partial: None)
        stream.feed(a_tone())
        return await stream.finish()

    async def detected(*among: str) -> str:
        return (await heard(*among)).language

    anything = await heard()
    likeliest = anything.language
    others = [language for language in languages() if language != likeliest][:2]
    assert await detected(*others, "tlh") in others
    among_three = await heard(f"{likeliest.upper()}-XX", *others)
    assert among_three.language == likeliest
    # the probability is that among the languages which may be spoken
    assert (among_three.language_confidence or 0) > (anything.language_confidence or 0) > 0
    with pytest.raises(EngineRefused, match="'tlh', 'qya'"):
        recognizer.open_stream(RecognitionSpec(languages=("tlh", "qya")), lambda partial: None)


@pytest.mark.slow
async def test_words_are_promised_while_someone_speaks(recognizer: WhisperRecognizer, speech: Speech) -> None:
    ints, rate = speech("beckett")
    audio = resample(pcm.to_float(ints), rate, 16000)
    partials: list[Partial] = []
    news = asyncio.Event()

    def listen(partial: Partial) -> None:
        partials.append(partial)
        news.set()

    stream = recognizer.open_stream(RecognitionSpec(language="en"), listen)
    for start in range(0, len(audio), 16000):
        news.clear()
        stream.feed(audio[start : start + 16000])
        try:
            async with asyncio.timeout(2):
                await news.wait()
        except TimeoutError:
            continue  # the hypothesis did not change
    final = await stream.finish()
    # a random model changes its mind all the time, yet a promise once made must have been kept
    for before, after in itertools.pairwise(partials):
        assert after.stable.startswith(before.stable)
    assert len(partials) > 3
    assert final.text.startswith(partials[-1].stable)


def test_two_hypotheses_agree_on_whole_words_only() -> None:
    letters = dict(enumerate(" the weather in paris today"))

    def text(tokens: tuple[int, ...]) -> str:
        return "".join(letters[t] for t in tokens)

    the_weather_in = list(range(15))
    so_far = list(range(12))
    assert text(tuple(so_far[: agreed(the_weather_in, [*so_far, 12, 17], 0, text, spaced=True)])) == " the weather"
    assert agreed([0, 1, 2], [0, 1, 2], 0, text, spaced=True) == 0  # " th": the word may go on
    assert agreed([0, 1, 9], [0, 2, 9], 0, text, spaced=True) == 0
    assert agreed([0, 1], [0, 1, 2], 1, text, spaced=True) == 1  # never less than was promised


async def test_unspaced_scripts_are_promised_by_whole_characters() -> None:
    pieces = {0: b"\xe4\xbd", 1: b"\xa0", 2: b"\xe5\xa5\xbd", 3: b"\xe5\x90\x97"}

    def text(tokens: tuple[int, ...]) -> str:
        return b"".join(pieces[t] for t in tokens).decode(errors="replace")

    assert agreed([0, 1, 2], [0, 1, 3], 0, text, spaced=False) == 2
    assert agreed([0, 2], [0, 1, 3], 0, text, spaced=False) == 0  # half a character


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("tiny.en", "whisper:tiny.en"),
        ("distil-small.en", "hub:Systran/faster-distil-whisper-small.en"),
        ("someone/faster-whisper-dialect", "hub:someone/faster-whisper-dialect"),
    ],
)
async def test_without_weights_a_named_model_is_refused_with_the_command_that_fetches_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str, name: str
) -> None:
    monkeypatch.setenv("PARLEY_MODELS_DIR", str(tmp_path))
    engine = create(STT, EngineSpec("whisper", model))
    assert isinstance(engine, NeedsModels)
    assert engine.missing_models() == (name,)
    with pytest.raises(EngineUnavailable) as caught:
        await engine.open()
    assert caught.value.code == "missing_weights"
    assert f"parley models pull {name}" in caught.value.remedy
    assert "pocketsphinx" in caught.value.remedy


async def test_a_mistyped_model_and_a_folder_name_nothing_to_fetch() -> None:
    for model in ("smal.en", "./nowhere", "/"):
        engine = create(STT, EngineSpec("whisper", model))
        assert isinstance(engine, NeedsModels)
        assert engine.missing_models() == ()


@pytest.mark.slow
@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize(
    ("model", "advice"), [("", "parley models pull whisper:tiny.en"), ("tiny.en", "The model whisper:tiny.en")]
)
async def test_auto_falls_back_and_says_so(
    speech: Speech, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str, advice: str
) -> None:
    monkeypatch.setenv("PARLEY_MODELS_DIR", str(tmp_path))
    ints, rate = speech("hello_world")
    engine = create(STT, EngineSpec("auto", model))
    assert isinstance(engine, AutoRecognizer)
    assert engine.notice == ""
    await engine.open()
    try:
        assert "PocketSphinx" in engine.notice
        assert advice in engine.notice
        assert engine.info.name == "pocketsphinx"
        stream = engine.open_stream(RecognitionSpec(), lambda partial: None)
        stream.feed(resample(pcm.to_float(ints), rate, 16000))
        assert (await stream.finish()).text == "hello world"
    finally:
        await engine.close()


def install_as_tiny_en(weights: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Put the weights where `parley models pull whisper:tiny.en` would put the real ones."""
    files = tuple(ModelFile(path.name, path.stat().st_size, "") for path in weights.iterdir())
    known = replace(catalogue()["whisper:tiny.en"], files=files)
    monkeypatch.setitem(catalogue(), known.name, known)
    monkeypatch.setenv("PARLEY_MODELS_DIR", str(folder))
    shutil.copytree(weights, folder / "whisper" / "tiny.en")


@pytest.mark.usefixtures("no_hub")
async def test_auto_uses_a_model_of_the_folder_without_a_word_of_configuration(
    weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_as_tiny_en(weights, monkeypatch, tmp_path)
    engine = create(STT, EngineSpec("auto", "", {"device": "cpu"}))
    assert isinstance(engine, AutoRecognizer)
    await engine.open()
    try:
        assert engine.info.name == "whisper"
        assert engine.missing_models() == ()
        assert "tiny.en" in engine.info.summary
        assert engine.notice == ""
    finally:
        await engine.close()


async def test_auto_prefers_weights_that_are_here(weights: Path) -> None:
    engine = create(STT, EngineSpec("auto", str(weights), {"device": "cpu"}))
    assert isinstance(engine, AutoRecognizer)
    await engine.open()
    assert engine.info.name == "whisper"
    assert engine.notice == ""
    await engine.close()


async def test_a_mistyped_model_is_a_mistake_not_a_reason_to_fall_back() -> None:
    for name in ("whisper", "auto"):
        with pytest.raises(EngineUnavailable, match=r"whisper:small\.en") as caught:
            await create(STT, EngineSpec(name, "smal.en")).open()
        assert caught.value.code == "model_not_found"


async def test_a_folder_without_its_tokenizer_does_not_ask_the_hub(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(EngineUnavailable, match=r"lack config\.json, tokenizer\.json"):
        await create(STT, EngineSpec("whisper", str(tmp_path))).open()
    with pytest.raises(EngineUnavailable, match="no folder"):
        await create(STT, EngineSpec("whisper", "./nowhere")).open()


@pytest.mark.parametrize("damaged", [b"{", b"\xff\xfe", b"{}"])
async def test_a_damaged_tokenizer_is_an_error_with_a_remedy(tmp_path: Path, damaged: bytes) -> None:
    folder = whisper_folder(tmp_path / "tiny")
    (folder / "tokenizer.json").write_bytes(damaged)
    with pytest.raises(EngineUnavailable, match="cannot be loaded") as raised:
        await create(STT, EngineSpec.parse(f"whisper:{folder}", {"device": "cpu"})).open()
    assert raised.value.code == "load_failed"
    assert raised.value.remedy
