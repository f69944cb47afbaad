"""The voices of CSM: recordings with their texts, bare speakers, and recordings that give no voice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from parley.audio import files
from parley.engines.ports import EngineRefused, EngineUnavailable, Samples, SpeechRequest, VoiceSample
from tests.engines.csm.talking import Calls, csm, opened, ours, quickened, say, sound, user

pytest.importorskip("torch", reason="torch (the extra `csm`) is not installed")
pytest.importorskip("transformers", reason="transformers (the extra `csm`) is not installed")

TEXT = "This is my voice, and nobody else has it."


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quickened(monkeypatch, tmp_path / "data")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


def clip(path: Path, audio: Samples, text: str = TEXT, rate: int = 24_000) -> Path:
    path.parent.mkdir(exist_ok=True)
    files.write(path, files.Recording(audio, rate))
    if text:
        path.with_suffix(".txt").write_text(text, encoding="utf-8")
    return path


async def refused(folder: object, **options: object) -> EngineUnavailable:
    engine = csm(folder, **options)
    with pytest.raises(EngineUnavailable) as raised:
        await engine.open()
    assert raised.value.remedy
    return raised.value


async def test_a_recording_with_its_text_is_a_voice(folder: Path, tmp_path: Path) -> None:
    anna = clip(tmp_path / "anna.wav", sound(2, 1))
    ben = clip(tmp_path / "ben.wav", sound(2, 2, 44_100), "", 44_100)
    voices = {"anna": str(anna), "ben": {"clip": str(ben), "text": TEXT, "speaker": 1}}
    async with opened(folder, voices=voices) as engine:
        assert engine.info.voices == ("anna", "ben", "speaker-0", "speaker-1", "speaker-2", "speaker-3")
        assert engine.resolve_voice("") == engine.resolve_voice("alloy") == "anna"
        said = [await say(engine, voice=voice, share=voice) for voice in ("", "anna", "ben", "speaker-0", "speaker-1")]
        assert np.array_equal(said[0], said[1])
        assert len({one.tobytes() for one in said[1:]}) == 4
        assert "anna, ben" in engine.notice
        assert "consent" in engine.notice
        with pytest.raises(EngineRefused) as unknown:
            await say(engine, voice=str(anna))
        assert unknown.value.code == "unknown_voice", "a client may not name files"


async def test_a_voice_stands_first_and_is_encoded_once_for_all(folder: Path, tmp_path: Path, calls: Calls) -> None:
    anna = clip(tmp_path / "anna.wav", sound(2, 1))
    voices = {"anna": str(anna), "again": str(anna)}
    async with opened(folder, voices=voices) as engine:
        assert len(calls.encoded) == 1
        calls.appended.clear()
        one = await say(engine, share=1, id="r", context=(user("u"),))
        assert [len(pieces) for pieces in calls.appended] == [2, 2, 1], "the voice, the user's turn, the text"
        assert len(calls.appended[0][1]) == 25, "2 s"
    async with opened(folder, voices=voices) as engine:
        assert len(calls.encoded) == 2, "the user's turn; the codes of the voice were kept"
        assert np.array_equal(one, await say(engine, share=1, id="r", context=(user("u"),)))
    for kept in (tmp_path / "data").rglob("*.state"):
        kept.write_bytes(b"damaged")
    async with opened(folder, voices=voices) as engine:
        assert len(calls.encoded) == 4, "the user's turn once more, and the clip"
        assert np.array_equal(one, await say(engine, share=1, id="r", context=(user("u"),)))


async def test_a_voice_may_change_within_a_conversation(folder: Path, tmp_path: Path) -> None:
    voices = {"anna": str(clip(tmp_path / "anna.wav", sound(2, 1)))}
    async with opened(folder, voices=voices) as engine:
        anna = await say(engine, share="s", id="r1", voice="anna")
        other = await say(engine, share="s", id="r2", voice="speaker-2", context=(ours("r1", "Yes.", anna),))
        assert np.array_equal(other, await say(engine, share="t", voice="speaker-2")), "no turn in another voice"
        again = (user("u"), ours("r2", "Yes.", other))
        one = await say(engine, share="s", id="r3", voice="anna", context=again)
        assert np.array_equal(one, await say(engine, share="t", voice="anna", context=again[:1]))


async def test_a_folder_of_recordings_gives_a_voice_for_each(folder: Path, tmp_path: Path) -> None:
    for name in ("carol", "dora"):
        clip(tmp_path / "clips" / f"{name}.wav", sound(1.5, len(name)))
    async with opened(folder, voices=str(tmp_path / "clips"), voice="dora") as engine:
        assert engine.info.voices[:2] == ("carol", "dora")
        assert engine.resolve_voice("shimmer") == "dora"


async def test_what_can_be_no_voice_is_refused_by_the_name_of_its_option(folder: Path, tmp_path: Path) -> None:
    cases = {
        "is silent": clip(tmp_path / "silent.wav", np.zeros(48_000, np.float32)),
        "longer than 30 seconds": clip(tmp_path / "long.wav", np.tile(sound(10, rate=8_000), 60), rate=8_000),
        "lasts 0.5 s": clip(tmp_path / "short.wav", sound(0.5)),
        "cannot be read (No such file": tmp_path / "missing.wav",
        "cannot be read (Is a directory": tmp_path,
        "holds no audio": clip(tmp_path / "empty.wav", sound(0)),
        "cannot be read from": clip(tmp_path / "textless.wav", sound(2), ""),
        "has 0 characters": clip(tmp_path / "marks.wav", sound(2), "..."),
        "characters for 2.0 s": clip(tmp_path / "other.wav", sound(2), "word " * 100),
    }
    (tmp_path / "broken.wav").write_bytes(b"RIFF\0\0\0\0no audio at all")
    cases["broken.wav"] = tmp_path / "broken.wav"
    for said, path in cases.items():
        error = await refused(folder, voices={"anna": str(path)})
        assert error.code == "invalid_clip", said
        assert "voices.anna" in error.message
        assert said in error.message, error.message


async def test_a_folder_without_recordings_and_an_unknown_voice_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert (await refused(folder, voices=str(tmp_path / "none"))).code == "no_clips"
    assert (await refused(folder, voices=str(tmp_path / "away"))).code == "no_clips"
    assert (await refused(folder, voice="dora")).code == "unknown_voice"


async def test_a_text_beside_a_recording_must_be_text(folder: Path, tmp_path: Path) -> None:
    path = clip(tmp_path / "anna.wav", sound(2))
    path.with_suffix(".txt").write_bytes(b"\xff\xfe\x00")
    error = await refused(folder, voices={"anna": str(path)})
    assert "UTF-8" in error.message


async def test_weights_that_are_not_there_are_named_with_the_way_to_get_them(tmp_path: Path) -> None:
    error = await refused(tmp_path / "away")
    assert error.code == "missing_weights"
    error = await refused("sesame/csm-1b")
    assert error.code == "missing_weights"
    assert "hub:sesame/csm-1b" in error.remedy
    assert csm("sesame/csm-1b").missing_models() == ("hub:sesame/csm-1b",)
    assert csm(tmp_path).missing_models() == ()
    assert (await refused("")).code == "missing_weights"


async def test_a_device_that_is_not_there_is_refused(folder: Path) -> None:
    assert (await refused(folder, device="cuda:7")).code == "no_device"


async def test_english_only(folder: Path) -> None:
    async with opened(folder) as engine:
        assert len(await say(engine, language="en-GB"))
        with pytest.raises(EngineRefused) as error:
            _ = [chunk async for chunk in engine.speak(SpeechRequest("Hallo.", language="de"))]
        assert error.value.code == "unsupported_language"


def brought(audio: Samples, text: str = TEXT, sha256: str = 64 * "a") -> VoiceSample:
    return VoiceSample(audio, 24_000, sha256, text)


async def test_a_voice_that_a_user_brings_stands_first_and_is_encoded_once_for_all(folder: Path, calls: Calls) -> None:
    async with opened(folder) as engine:
        assert engine.clones
        name = await engine.clone_voice(brought(sound(2, 1)))
        assert await engine.clone_voice(brought(sound(2, 1))) == name
        assert name not in engine.info.voices
        assert engine.resolve_voice(name) == name
        assert calls.encoded == [], "only a conversation needs its codes"
        calls.appended.clear()
        first = await say(engine, voice=name, share=1, id="r")
        assert np.array_equal(first, await say(engine, voice=name, share=2, id="r"))
        assert len(calls.encoded) == 1
        assert len(calls.appended[0][1]) == 25, "2 s stand first"
    async with opened(folder) as engine:
        again = await engine.clone_voice(brought(sound(2, 1)))
        assert np.array_equal(first, await say(engine, voice=again, share=1, id="r"))
        assert len(calls.encoded) == 1, "its codes were kept"


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        (brought(sound(2, 1), ""), "needs the words"),
        (brought(sound(0.2, 1)), "lasts 0.2 s"),
        (brought(np.zeros(48_000, np.float32)), "silent"),
        (brought(sound(1, 1), "Far more words than anybody says in one second of speech."), "has 57 characters"),
    ],
)
async def test_what_a_user_brings_and_is_no_voice_is_refused(folder: Path, sample: VoiceSample, said: str) -> None:
    async with opened(folder) as engine:
        with pytest.raises(EngineRefused) as refused:
            await engine.clone_voice(sample)
    assert refused.value.code == "invalid_sample"
    assert said in str(refused.value)
    assert refused.value.remedy
