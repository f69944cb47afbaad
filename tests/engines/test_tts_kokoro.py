"""Kokoro on a graph of the real interface: what is spoken depends on the text, the voice, the mix, the speed and the language."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from parley.engines.ports import (
    TTS,
    EngineError,
    EngineRefused,
    EngineSpec,
    EngineUnavailable,
    Samples,
    SpeechRequest,
    Word,
)
from parley.engines.registry import create
from parley.engines.tts import hibari_text, kokoro_text, kokoro_voices
from parley.engines.tts.hibari_text import Phonemizer
from parley.engines.tts.kokoro import KokoroSynthesizer
from parley.engines.tts.kokoro_text import VOCABULARY
from parley.engines.tts.phoneme_pieces import MAX_PHONEMES, SAMPLE_RATE
from parley.models import store
from tests.engines import tiny_kokoro
from tests.engines.tiny_kokoro import style, torch_file, torch_voice

TEXT = "Hello there, my friend."


@pytest.fixture(scope="module", autouse=True)
def phonemizer() -> Phonemizer:
    """What all voices of American English share, held from test to test: it takes longer to load than a voice does."""
    return hibari_text.load()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_kokoro.folder(tmp_path_factory.mktemp("kokoro"))


async def speak(
    engine: KokoroSynthesizer, text: str = TEXT, voice: str = "", language: str = "", speed: float = 1.0
) -> Samples:
    return (await speak_timed(engine, text, voice, language, speed))[0]


async def speak_timed(
    engine: KokoroSynthesizer, text: str, voice: str = "", language: str = "", speed: float = 1.0
) -> tuple[Samples, tuple[Word, ...]]:
    audio: list[Samples] = [np.zeros(0, np.float32)]
    words: tuple[Word, ...] = ()
    async for chunk in engine.speak(SpeechRequest(text, voice, language, speed)):
        assert chunk.sample_rate == SAMPLE_RATE
        audio.append(chunk.audio)
        words = chunk.words
    return np.concatenate(audio), words


async def opened(model: str | Path, voice: str = "") -> KokoroSynthesizer:
    engine = KokoroSynthesizer(str(model), voice)
    await engine.open()
    return engine


def alike(one: Samples, other: Samples) -> bool:
    return len(one) == len(other) and bool(np.abs(one - other).max() < 1e-3)


async def test_the_audio_depends_on_text_voice_mix_and_speed(folder: Path) -> None:
    engine = await opened(folder)
    try:
        spoken = await speak(engine)
        assert alike(spoken, await speak(engine, voice="af_heart"))
        others = [
            await speak(engine, "Hello there, my fiend."),
            await speak(engine, voice="af_bella"),
            await speak(engine, voice="af_heart+af_bella"),
            await speak(engine, voice="af_heart(3)+af_bella"),
            await speak(engine, voice="bf_emma"),
            await speak(engine, speed=1.3),
        ]
        for at, other in enumerate(others):
            assert not any(alike(other, one) for one in [spoken, *others[:at]]), at
        assert alike(others[2], await speak(engine, voice="af_bella(2)+AF_Heart(2)"))
        assert len(others[5]) < len(spoken)
    finally:
        await engine.close()


async def test_a_text_of_n_phonemes_is_spoken_with_row_n_less_one(tmp_path: Path) -> None:
    """The graph's pitch follows the mean of the row: a voice whose other rows are zero changes nothing but a text of that length."""
    folder = tiny_kokoro.folder(tmp_path, voices=("af_heart",))
    plain = np.zeros((tiny_kokoro.ROWS, tiny_kokoro.WIDTH), np.float32)
    (folder / "af_plain.bin").write_bytes(plain.tobytes())
    (piece,) = kokoro_text.reader("en-us").pieces("Hello.")
    count = sum(character in VOCABULARY for character in piece.phonemes)
    for name, row in (("af_before", count - 2), ("af_at", count - 1), ("af_after", count)):
        marked = plain.copy()
        marked[row] = 0.5
        (folder / f"{name}.bin").write_bytes(marked.tobytes())
    engine = await opened(folder)
    try:
        said = await speak(engine, "Hello.", "af_plain")
        assert alike(said, await speak(engine, "Hello.", "af_before"))
        assert alike(said, await speak(engine, "Hello.", "af_after"))
        assert not alike(said, await speak(engine, "Hello.", "af_at"))
    finally:
        await engine.close()


@pytest.mark.parametrize("durations", ["inside", "output"])
async def test_words_are_timed_by_the_graphs_own_durations(tmp_path: Path, durations: str) -> None:
    engine = await opened(tiny_kokoro.folder(tmp_path, durations=durations, tokens="input_ids"))
    try:
        assert engine.info.timings
        audio, words = await speak_timed(engine, "One two three.")
        (piece,) = kokoro_text.reader("en-us").pieces("One two three.")
        lengths = [round(VOCABULARY[one] % 7 + 3) * 25 for one in piece.phonemes]
        spans = [(sum(lengths[:first]), sum(lengths[:after])) for first, after in piece.spans]
        # the silence before the first sound is cut to 30 ms
        lead = words[0].start_ms - spans[0][0]
        assert [word.text for word in words] == ["One", "two", "three."]
        assert np.allclose([(word.start_ms - lead, word.end_ms - lead) for word in words], spans, atol=1)
        assert 0 <= lead <= 31
        assert words[-1].end_ms <= 1000 * len(audio) / SAMPLE_RATE
    finally:
        await engine.close()


async def test_a_graph_without_durations_speaks_and_declares_no_times(tmp_path: Path) -> None:
    engine = await opened(tiny_kokoro.folder(tmp_path, durations="none"))
    try:
        assert not engine.info.timings
        audio, words = await speak_timed(engine, TEXT)
        assert len(audio) > SAMPLE_RATE
        assert words == ()
    finally:
        await engine.close()


async def test_a_long_text_is_spoken_in_pieces_the_first_of_them_short(folder: Path) -> None:
    engine = await opened(folder)
    try:
        line = "My grandmother, who keeps bees, walked along the river "
        text = line * 12
        audio, words = await speak_timed(engine, text)
        assert [word.text for word in words] == text.split()
        assert len(audio) > 60 * SAMPLE_RATE
    finally:
        await engine.close()
    for reading in ("en-us", "es"):
        pieces = kokoro_text.reader(reading).pieces(line * 40)
        assert all(len(piece.phonemes) <= MAX_PHONEMES for piece in pieces)
        assert len(pieces[0].phonemes) < 70


@pytest.mark.parametrize(
    ("reading", "text", "phonemes", "words"),
    [
        ("es", "Hola, «¿qué tal?»", "ˈola, “kˈe tˈal?”", ["ˈola", "“kˈe", "tˈal"]),
        ("es", "Son las 21.", "sˈon las βˌAntiˈuno.", ["sˈon", "las", "βˌAntiˈuno"]),
        (
            "es",
            "En 1984 no.",
            "en mˈil nˌoβeθjˈɛntos oʧˌɛntaikwˈatɾo nˈo.",
            ["en", "mˈil nˌoβeθjˈɛntos oʧˌɛntaikwˈatɾo", "nˈo"],
        ),
        (
            "fr",
            "Les amis de ce week-end !",
            "lez amˈi də- sə wˈiːkˈɛnd !".replace("-", ""),
            ["lez", "amˈi", "də", "sə", "wˈiːkˈɛnd", ""],
        ),
        ("it", "gli gnocchi", "ʎɪ ɲˈokːɪ", ["ʎɪ", "ɲˈokːɪ"]),
        ("pt-br", "Não sei.", "nˌɐ̃ʊ̃ sˈA.", ["nˌɐ̃ʊ̃", "sˈA"]),
        ("hi", "नमस्ते दुनिया।", "nəmˈʌsteː dˈʊnɪjˌaː.", ["nəmˈʌsteː", "dˈʊnɪjˌaː"]),
        ("en-us", "The water.", "ðə wˈɔTəɹ.", ["ðə", "wˈɔTəɹ"]),
        ("en-gb", "The water.", "ðə wˈɔːtə.", ["ðə", "wˈɔːtə"]),
    ],
)
def test_each_language_is_read_in_kokoros_alphabet(reading: str, text: str, phonemes: str, words: list[str]) -> None:
    pieces = kokoro_text.reader(reading).pieces(text)
    assert " ".join(piece.phonemes for piece in pieces) == phonemes
    assert [piece.phonemes[first:after] for piece in pieces for first, after in piece.spans] == words
    assert [word for piece in pieces for word in piece.words] == text.split()
    assert set(phonemes) <= set(VOCABULARY)


async def test_a_voice_speaks_the_language_of_its_name(folder: Path) -> None:
    engine = await opened(folder)
    try:
        assert engine.info.languages == ("en", "es", "fr")
        assert engine.resolve_voice("ef_dora", "es-MX") == "ef_dora"
        assert engine.resolve_voice("ef_dora", "en") is None
        assert engine.voice_in("am_echo", "es") == "ef_dora"
        assert engine.voice_in("af_bella", "en-GB") == "af_bella"
        assert engine.voice_in("af_bella(2)+af_heart", "en") == "af_bella(2)+af_heart"
        assert engine.voice_in("alloy", "fr") == "ff_siwis"
        assert engine.voice_in("", "de") is None
        english, spanish = await speak(engine, "no", "af_heart"), await speak(engine, "no", "ef_dora", "es")
        assert not alike(english, spanish)
        with pytest.raises(EngineRefused, match="does not speak the language 'de'") as raised:
            await speak(engine, voice="af_bella", language="de")
        assert raised.value.code == "unsupported_language"
    finally:
        await engine.close()


@pytest.mark.parametrize(
    ("voice", "why"),
    [("nobody", "no voice 'nobody'"), ("af_bella+nobody", "no voice 'nobody'"), ("af_bella(0)+af_heart", "weight of 'af_bella'"),
     ("af_bella(x)", "'af_bella\\(x\\)' is no voice with a weight")],
)  # fmt: skip
async def test_an_unknown_voice_or_a_malformed_mix_is_refused_with_the_voices(
    folder: Path, voice: str, why: str
) -> None:
    engine = await opened(folder)
    try:
        assert engine.resolve_voice(voice) is None
        with pytest.raises(EngineRefused, match=why) as raised:
            await speak(engine, voice=voice)
        assert raised.value.code == "unknown_voice"
        assert "af_heart, af_bella, am_echo" in raised.value.remedy
        assert "af_bella(2)+af_sky(1)" in raised.value.remedy
    finally:
        await engine.close()
    with pytest.raises(EngineUnavailable, match=why):
        await opened(folder, voice)


async def test_own_voices_of_every_format_speak_and_mix(tmp_path: Path) -> None:
    folder = tiny_kokoro.folder(tmp_path, voices=("af_heart",))
    torch_voice(folder / "Grandma.pt", style(11))
    (folder / "voices").mkdir()
    np.save(folder / "voices" / "em_pablo.npy", style(12))
    np.savez(folder / "many.npz", am_one=style(13), jf_two=style(14))
    (folder / "notes.bin").write_bytes(b"PK\x03\x04 not an archive")
    (folder / "config.json").write_text("{}")
    engine = await opened(folder)
    try:
        assert engine.info.voices == ("af_heart", "am_one", "em_pablo", "grandma")
        assert engine.info.languages == ("en", "es")
        said = [await speak(engine, voice=voice) for voice in (*engine.info.voices[:2], "grandma", "Grandma+am_one")]
        assert not any(alike(one, other) for at, one in enumerate(said) for other in said[:at])
    finally:
        await engine.close()


async def test_a_file_that_holds_no_voice_is_refused_when_it_is_asked_for(tmp_path: Path) -> None:
    folder = tiny_kokoro.folder(tmp_path, voices=("af_heart",))
    trace = tmp_path / "executed"
    torch_file(folder / "evil.pt", b"cos\nsystem\n(S'touch " + str(trace).encode() + b"'\ntR.", b"")
    engine = await opened(folder)
    try:
        with pytest.raises(EngineRefused, match=r"'evil' in .* cannot be used: its pickle names 'os system'") as raised:
            await speak(engine, voice="evil")
        assert raised.value.code == "invalid_voice"
        assert len(await speak(engine)) > SAMPLE_RATE
    finally:
        await engine.close()
    assert not trace.exists()
    with pytest.raises(EngineUnavailable, match="cannot be used"):
        await opened(folder, "evil")


def test_kept_styles_are_bounded(folder: Path) -> None:
    voices = kokoro_voices.listed(folder)
    styles = kokoro_voices.Styles(voices)
    for weight in range(1, 3 * kokoro_voices.MAX_KEPT):
        styles.style(f"af_heart({weight})+af_bella(1)")
    assert len(styles) == kokoro_voices.MAX_KEPT
    mixed = styles.style("af_heart(3)+am_echo(1)")
    assert np.allclose(mixed, 0.75 * style(1, 2) + 0.25 * style(3, 2), atol=1e-6)
    assert styles.style("am_echo(1)+af_heart(3)") is mixed


@pytest.mark.parametrize(
    ("change", "code", "why"),
    [
        (lambda folder: (folder / "kokoro.onnx").unlink(), "missing_weights", "no ONNX graph"),
        (lambda folder: (folder / "other.onnx").write_bytes(b""), "ambiguous_weights", "2 graphs"),
        (lambda folder: (folder / "kokoro.onnx").write_bytes(b"not a graph"), "invalid_model", "cannot be loaded"),
        (lambda folder: (folder / "kokoro.onnx").write_bytes(tiny_kokoro.graph(tokens="words")), "invalid_model", "its inputs"),
        (lambda folder: [path.unlink() for path in folder.glob("*.bin")], "missing_voices", "no voice of Kokoro"),
    ],
)  # fmt: skip
async def test_a_folder_without_a_usable_model_says_so(tmp_path: Path, change: object, code: str, why: str) -> None:
    folder = tiny_kokoro.folder(tmp_path)
    change(folder)  # type: ignore[operator]
    with pytest.raises(EngineUnavailable, match=why) as raised:
        await opened(folder)
    assert raised.value.code == code
    assert raised.value.remedy


async def test_the_catalogue_is_asked_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    with pytest.raises(EngineUnavailable, match="no model 'kokoro:v9' in the catalogue") as raised:
        await opened("v9")
    assert "kokoro:FOLDER" in raised.value.remedy


def test_options_are_read_and_unknown_ones_named(folder: Path) -> None:
    engine = create(TTS, EngineSpec.parse(f"kokoro:{folder}", {"voice": "am_echo", "threads": 2}))
    assert isinstance(engine, KokoroSynthesizer)
    assert engine.resolve_voice("") == "am_echo"
    with pytest.raises((ValueError, EngineError), match="speeed"):
        create(TTS, EngineSpec.parse("kokoro", {"speeed": 1}))
