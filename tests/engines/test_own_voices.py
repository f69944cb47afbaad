"""The folder of own voices, and synthesizers that speak with them."""

from __future__ import annotations

import errno
import gc
import json
import os
import stat
import subprocess
import sys
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from parley.audio.files import Recording
from parley.engines.fallback import ChainMember, FallbackLimits
from parley.engines.ports import TTS, EngineError, EngineRefused, EngineSpec, Samples, SpeechRequest, SpeechSynthesizer
from parley.engines.registry import create
from parley.engines.tts import openai
from parley.engines.tts.chain import VoiceChain
from parley.engines.tts.phonon_model import MAX_LENT
from parley.engines.voices import clips
from parley.engines.voices.records import OwnVoice, VoiceRefused
from parley.engines.voices.shelf import VoiceShelf, engines_for
from parley.engines.voices.speaking import OwnVoiceSynthesizer
from parley.engines.voices.store import VoiceStore
from parley.testing.fakes import FakeSynthesizer
from tests.engines.tiny_kokoro import folder as kokoro_folder
from tests.engines.tiny_kokoro import style
from tests.engines.tiny_phonon import phonon_folder

TEXT = "How is the weather in Berlin?"


def tone(hertz: float, seconds: float = 4.0, rate: int = 24_000) -> Recording:
    times = np.arange(round(rate * seconds)) / rate
    return Recording((0.3 * np.sin(2 * np.pi * hertz * times)).astype(np.float32), rate)


@pytest.fixture
def store(tmp_path: Path) -> VoiceStore:
    return VoiceStore(tmp_path / "own")


def code_of(error: pytest.ExceptionInfo[VoiceRefused]) -> str:
    assert error.value.remedy
    return error.value.code


# --- the folder --------------------------------------------------------------------------------------------------------


def test_voices_are_private_files_that_another_look_finds(store: VoiceStore) -> None:
    assert store.voices() == ()
    clip = store.add_clip("Carol", tone(150), "The kettle  is on.")
    tensor = store.add_tensor("af_mine", style(3))
    mix = store.add_mix("evening", "af_bella(2)+af_mine(1)")
    again = VoiceStore(store.folder)
    assert again.voices() == (clip, tensor, mix)
    assert again.voice("carol") == again.voice(clip.id) == clip
    assert (clip.text, clip.seconds) == ("The kettle is on.", 4.0)
    sample = again.sample(clip)
    assert (sample.sample_rate, sample.sha256, sample.text) == (24_000, clip.sha256, clip.text)
    assert float(np.abs(sample.audio - tone(150).audio).max()) < 1e-3
    assert np.array_equal(again.tensor(tensor).style, style(3, rank=2))
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in store.folder.iterdir()} == {0o600}


def test_a_removed_voice_leaves_nothing_but_its_consent(store: VoiceStore) -> None:
    consent = store.add_consent("Carol", "en", tone(200))
    one, two = (store.add_clip(name, tone(150), consent=consent.id) for name in ("one", "two"))
    store.remove_voice("one", with_consent=True)
    assert store.consents() == (consent,), "another voice has it too"
    with pytest.raises(VoiceRefused) as refused:
        store.sample(one)
    assert code_of(refused) == "voice_not_found"
    store.remove_voice(two.id)
    assert {path.stem for path in store.folder.iterdir()} == {".lock", consent.id}
    store.remove_consent(consent.id)
    assert [path.name for path in store.folder.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "invalid_name"), ("  ", "invalid_name"), ("x" * 65, "invalid_name"), ("a\x00b", "invalid_name"),
        ("a+b", "invalid_name"), ("a(1)", "invalid_name"), ("voice_1", "invalid_name"), ("cons_1", "invalid_name"),
        ("alloy", "voice_reserved"), ("Marin", "voice_reserved"), ("CAROL", "name_taken"), (" carol ", "name_taken"),
    ],
)  # fmt: skip
def test_names_are_for_people_and_for_one_voice_each(store: VoiceStore, name: str, code: str) -> None:
    store.add_mix("carol", "a+b")
    with pytest.raises(VoiceRefused) as refused:
        store.add_mix(name, "a+b")
    assert (code_of(refused), refused.value.field) == (code, "name")
    assert store.add_mix("../../Käthe Groß", "a+b").name == "../../Käthe Groß", "a name is no path"
    assert sorted(path.suffix for path in store.folder.iterdir() if path.suffix) == [".json", ".json"]


def test_a_voice_of_another_file_or_a_damaged_one_is_refused(
    store: VoiceStore, caplog: pytest.LogCaptureFixture
) -> None:
    voice, other = store.add_clip("carol", tone(150)), store.add_clip("dora", tone(700))
    (store.folder / f"{voice.id}.wav").write_bytes((store.folder / f"{other.id}.wav").read_bytes())
    with pytest.raises(VoiceRefused) as refused:
        store.sample(voice)
    assert code_of(refused) == "voice_damaged"
    (store.folder / f"{other.id}.json").write_text('{"id": "voice_')
    assert store.voices() == (voice,)
    assert "passed over" in caplog.text
    (store.folder / f"{other.id}.json").write_text(
        json.dumps({"id": voice.id, "name": "x", "kind": "mix", "added_ns": 1})
    )
    assert store.voices() == (voice,)


def test_what_a_crash_left_behind_is_not_found_and_goes_with_the_next_writer(store: VoiceStore) -> None:
    voice = store.add_clip("carol", tone(150))
    orphan = store.folder / f"voice_{24 * 'a'}.wav"
    half = store.folder / ".abc.unfinished"
    foreign = store.folder / "notes.wav"
    for path in (orphan, half, foreign):
        path.write_bytes(b"half a file")
    assert store.voices() == (voice,)
    store.rename_voice(voice.id, "carola")
    assert not orphan.exists()
    assert not half.exists()
    assert foreign.exists(), "what is not ours is left alone"
    assert store.sample(voice).sample_rate == 24_000


@pytest.mark.parametrize("fails_at", [1, 2, 3, 4])
def test_a_full_disk_leaves_the_folder_as_it_was(
    store: VoiceStore, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    store.add_mix("kept", "a+b")
    before = {path.name: path.read_bytes() for path in store.folder.iterdir()}
    written = 0

    def full(descriptor: int) -> None:
        nonlocal written
        written += 1
        if written == fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        store.add_clip("carol", tone(150))
    assert {path.name: path.read_bytes() for path in store.folder.iterdir()} == before


@pytest.mark.skipif(os.name != "posix", reason="pipes with names are POSIX's")
def test_a_voice_that_is_removed_while_it_is_read_is_said_to_be_removed(store: VoiceStore) -> None:
    """The file is a pipe, which gives the recording once and is gone before its end has been read."""
    voice = store.add_clip("carol", tone(150))
    path = store.folder / f"{voice.id}.wav"
    sound = path.read_bytes()
    path.unlink()
    os.mkfifo(path)

    def removed() -> None:
        with path.open("wb") as pipe:
            pipe.write(sound)
            path.unlink()

    writer = threading.Thread(target=removed)
    writer.start()
    with pytest.raises(VoiceRefused, match="was removed") as caught:
        store.sample(voice)
    writer.join()
    assert caught.value.code == "voice_not_found"


def test_processes_that_add_at_the_same_time_stay_within_the_limit_and_lose_nothing(store: VoiceStore) -> None:
    program = (
        "import sys, pathlib\n"
        "from parley.engines.voices.records import VoiceRefused\n"
        "from parley.engines.voices.store import VoiceStore\n"
        "store = VoiceStore(pathlib.Path(sys.argv[1]), 5)\n"
        "sys.stdin.read()\n"
        "for number in range(4):\n"
        "    try:\n"
        "        store.add_mix(f'{sys.argv[2]}{number}', 'a+b')\n"
        "    except VoiceRefused as error:\n"
        "        assert error.code == 'too_many_voices', error\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(store.folder), name], stdin=subprocess.PIPE)
        for name in ("one", "two", "three")
    ]
    for child in running:
        assert child.stdin is not None
        child.stdin.close()
    assert [child.wait(60) for child in running] == [0, 0, 0]
    assert len(store.voices()) == 5


# --- recordings --------------------------------------------------------------------------------------------------------


def write(path: Path, recording: Recording, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(recording.sample_rate)
        samples = np.repeat((recording.audio * 32_767).astype("<i2"), channels)
        file.writeframes(samples.tobytes())
    return path


def test_a_recording_is_kept_with_one_channel_at_24_khz(tmp_path: Path) -> None:
    read = clips.read(write(tmp_path / "c.wav", tone(150, rate=48_000), channels=2))
    assert (read.sample_rate, round(read.seconds, 2)) == (24_000, 4.0)
    assert clips.read(write(tmp_path / "p.wav", tone(150, rate=16_000))).sample_rate == 16_000


@pytest.mark.parametrize(
    ("seconds", "rate", "level", "code"),
    [
        (600.0, 8_000, 1.0, "clip_too_long"),
        (600.0, 48_000, 1.0, "clip_too_large"),
        (31.0, 24_000, 1.0, "clip_too_long"),
        (1.0, 24_000, 1.0, "clip_too_short"),
        (4.0, 24_000, 0.0, "clip_silent"),
        (4.0, 24_000, 0.002, "clip_silent"),
        (4.0, 4_000, 1.0, "clip_not_audio"),
    ],
)
def test_a_recording_that_gives_no_voice_is_refused(
    tmp_path: Path, seconds: float, rate: int, level: float, code: str
) -> None:
    made = np.resize(tone(150, 1.0, rate).audio, round(seconds * rate))
    with pytest.raises(VoiceRefused) as refused:
        clips.read(write(tmp_path / "c.wav", Recording(np.float32(level) * made, rate)))
    assert code_of(refused) == code
    assert "c.wav" in refused.value.message


# --- speaking ----------------------------------------------------------------------------------------------------------


async def spoken(engine: SpeechSynthesizer, voice: str, language: str = "") -> Samples:
    chunks = [chunk.audio async for chunk in engine.speak(SpeechRequest(TEXT, voice, language))]
    return np.concatenate([np.zeros(0, np.float32), *chunks])


def differ(one: Samples, other: Samples) -> bool:
    return len(one) != len(other) or float(np.abs(one - other).max()) > 1e-2


def kokoro(folder: Path) -> SpeechSynthesizer:
    engine = create(TTS, EngineSpec("kokoro", str(kokoro_folder(folder)), {"threads": 1}))
    assert isinstance(engine, SpeechSynthesizer)
    return engine


async def test_kokoro_speaks_with_own_tensors_and_mixes_in_their_language(store: VoiceStore, tmp_path: Path) -> None:
    store.add_tensor("ef_mia", style(9))
    store.add_mix("evening", "ef_mia(2)+af_bella(1)")
    store.add_clip("carol", tone(150))
    engine = kokoro(tmp_path / "kokoro")
    await engine.open()
    try:
        shelf = VoiceShelf(store)
        shelf.synthesizers["other"] = engine
        own = shelf.around(engine)
        assert isinstance(own, OwnVoiceSynthesizer)
        assert own.info.voices[:2] == ("ef_mia", "evening")
        assert own.mixable == ("ef_mia",)
        for named in ("ef_mia", "evening", "EF_MIA"):
            assert own.resolve_voice(named, "es") is not None
            assert own.resolve_voice(named, "en") is None
            assert own.voice_in(named, "es") == named
        assert own.resolve_voice("carol") is None
        assert own.resolve_voice("af_bella", "en") == "af_bella"
        said = [
            await spoken(own, named) for named in ("ef_mia", "evening", "ef_mia(2)+af_bella", "ef_mia(1)+af_bella(2)")
        ]
        assert differ(said[0], said[1])
        assert not differ(said[1], said[2])
        assert "kokoro cannot speak" in shelf.refusal("carol", engine)
        assert "phonon" in shelf.refusal("carol", engine)
        assert shelf.refusal("ef_mia", engine) == ""
    finally:
        await engine.close()


def test_engines_are_named_that_can_speak_with_a_kind_of_voice() -> None:
    assert "phonon" in engines_for("clip")
    assert engines_for("tensor") == ("kokoro",)
    assert "kokoro" in engines_for("mix")
    assert "chain" not in engines_for("clip")


async def test_a_synthesizer_without_own_voices_is_left_as_it_is(store: VoiceStore) -> None:
    plain = FakeSynthesizer()
    assert VoiceShelf(store).around(plain) is plain
    store.add_clip("alto", tone(150))
    around = VoiceShelf(store).around(plain)
    assert around.info.voices == plain.info.voices
    await spoken(around, "marin")
    assert plain.requests[0].voice == "marin"


class _Phonons:
    """A tiny Phonon and what is needed around it."""

    def __init__(self, folder: Path, *, clones: bool = True) -> None:
        pytest.importorskip("ptts", reason="ptts (the extra `phonon`) is not installed")
        engine = create(TTS, EngineSpec("phonon", str(phonon_folder(folder, clones=clones)), {"threads": 1}))
        assert isinstance(engine, SpeechSynthesizer)
        self.engine = engine


async def test_phonon_clones_a_recording_once_and_keeps_a_bounded_number(store: VoiceStore, tmp_path: Path) -> None:
    engine = _Phonons(tmp_path / "phonon").engine
    store.limit = MAX_LENT + 5
    voices = [store.add_clip(f"v{number}", tone(120 + 20 * number, 3.0)) for number in range(MAX_LENT + 3)]
    await engine.open()
    try:
        own = VoiceShelf(store).around(engine)
        low, high = await spoken(own, "v0"), await spoken(own, "v30")
        assert differ(low, high)
        assert not differ(low, await spoken(own, voices[0].id))
        for voice in voices:
            await spoken(own, voice.name)
        assert not differ(low, await spoken(own, "v0")), "one that was dropped is cloned again"
        assert not differ(high, await spoken(own, "v30"))
        assert engine.info.voices == ("anna", "ben"), "nobody else sees them"
        assert own.resolve_voice("v0", "ja") is None
    finally:
        await engine.close()


async def test_a_list_speaks_an_own_voice_with_the_engine_that_was_given_it(store: VoiceStore, tmp_path: Path) -> None:
    phonon = _Phonons(tmp_path / "phonon").engine
    first = FakeSynthesizer(voices=("", "alloy"))
    chain = VoiceChain([ChainMember("fake", first), ChainMember("phonon", phonon)], FallbackLimits(5.0, 5.0, 5.0))
    store.add_clip("carol", tone(150))
    await chain.open()
    try:
        own = VoiceShelf(store).around(chain)
        in_chain = await spoken(own, "carol")
        assert not first.requests, "the engine before it has no such voice"
        assert not differ(in_chain, await spoken(VoiceShelf(store).around(phonon), "carol"))
        await spoken(own, "")
        assert len(first.requests) == 1, "any other voice is asked for in the order of the list"
        await phonon.close()
        await spoken(own, "carol")
        assert len(first.requests) == 2, "while it fails, the others speak"
    finally:
        await chain.close()


async def test_a_checkpoint_that_cannot_clone_says_so(store: VoiceStore, tmp_path: Path) -> None:
    engine = _Phonons(tmp_path / "phonon", clones=False).engine
    store.add_clip("carol", tone(150))
    await engine.open()
    try:
        own = VoiceShelf(store).around(engine)
        assert own.resolve_voice("carol") is None
        with pytest.raises(EngineRefused) as refused:
            await spoken(own, "carol")
        assert refused.value.code == "unknown_voice"
    finally:
        await engine.close()


async def test_a_list_of_engines_speaks_with_the_one_that_can_and_falls_back(store: VoiceStore, tmp_path: Path) -> None:
    phonon, plain = _Phonons(tmp_path / "phonon").engine, FakeSynthesizer()
    store.add_clip("carol", tone(150))
    chain = VoiceChain(
        [ChainMember("phonon", phonon, is_open=True), ChainMember("fake", plain, is_open=True)], FallbackLimits()
    )
    await phonon.open()
    own = VoiceShelf(store).around(chain)
    assert own.resolve_voice("carol") == "carol"
    await spoken(own, "carol")
    assert not plain.requests, "the first engine has spoken"
    await phonon.close()
    await spoken(own, "carol")
    assert [request.voice for request in plain.requests] == [""], "the other one speaks while the first is away"


async def test_of_a_list_the_first_engine_that_wants_no_consent_speaks_with_a_voice_that_has_none(
    store: VoiceStore, tmp_path: Path
) -> None:
    server, phonon = (
        openai.create("m", {"base_url": "http://localhost:1/v1", "clones": True}),
        _Phonons(tmp_path / "phonon").engine,
    )
    await phonon.open()
    plain = store.add_clip("carol", tone(150))
    given = store.add_clip("dora", tone(700), consent=store.add_consent("Dora", "en", tone(150)).id)
    members = [ChainMember[SpeechSynthesizer]("openai", server, is_open=True)]
    alone = VoiceShelf(store).with_voices(VoiceChain(members, FallbackLimits()), store.voices())
    assert (alone.spoken, alone.unspoken) == ((given,), (plain,))
    assert "--consent" in alone.why_not(plain)
    chain = VoiceChain([*members, ChainMember("phonon", phonon, is_open=True)], FallbackLimits())
    assert VoiceShelf(store).with_voices(chain, store.voices()).spoken == (plain, given)
    name = await chain.clone_voice(store.sample(plain))
    assert phonon.resolve_voice(name) == name
    with pytest.raises(EngineError) as caught:
        await chain.clone_voice(store.sample(given))
    assert caught.value.code == "not_open", "the first engine that can is asked"
    await phonon.close()


async def test_a_record_that_somebody_has_changed_disturbs_no_other_voice(store: VoiceStore, tmp_path: Path) -> None:
    store.add_tensor("af_mine", style(4))
    mix = store.add_mix("evening", "af_bella(2)+af_mine(1)")
    path = store.folder / f"{mix.id}.json"
    path.write_text(path.read_text().replace("af_bella(2)", "af_bella((("))
    engine = kokoro(tmp_path / "kokoro")
    own = VoiceShelf(store).with_voices(engine, store.voices())
    assert [voice.name for voice in own.spoken] == ["af_mine"]
    assert "cannot be used" in VoiceShelf(store).refusal("evening", engine)


async def test_the_sound_of_a_voice_is_let_go_with_the_sessions_that_use_it(store: VoiceStore, tmp_path: Path) -> None:
    engine = kokoro(tmp_path / "kokoro")
    voice: OwnVoice = store.add_tensor("af_mine", style(4))
    await engine.open()
    try:
        shelf = VoiceShelf(store)
        first, second = shelf.around(engine), shelf.around(engine)
        await spoken(first, "af_mine")
        store.remove_voice(voice.id)
        await spoken(second, "af_mine")
        with pytest.raises(EngineRefused):
            await spoken(shelf.around(engine), "af_mine")
        del first, second
        gc.collect()
        assert len(shelf._sounds) == 0
    finally:
        await engine.close()


def test_a_sample_has_the_consent_as_long_as_there_is_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = VoiceStore(tmp_path)
    spoken = Recording(np.linspace(-0.5, 0.5, 96_000, dtype=np.float32), 24_000)
    given = kept.add_consent("Carol", "en-GB", spoken)
    voice, other = kept.add_clip("carol", spoken, consent=given.id), kept.add_clip("dora", spoken)
    consent = kept.sample(voice).consent
    assert consent is not None
    assert (consent.language, consent.sha256) == ("en-GB", given.sha256)
    assert consent.wav == (tmp_path / f"{given.id}.wav").read_bytes()
    assert kept.sample(other).consent is None
    with pytest.raises(AttributeError):
        consent.language = "de"  # type: ignore[misc]
    (tmp_path / f"{given.id}.wav").write_bytes(b"RIFF")
    assert kept.sample(voice).consent is None
    assert "damaged" in caplog.text
    kept.remove_consent(given.id)
    assert kept.sample(voice).consent is None


def test_a_list_of_engines_needs_the_words_of_a_recording_where_one_of_them_does() -> None:
    for engines, needed in (("phonon:a,espeak", False), ("phonon:a,csm:b", True), ("espeak,kokoro:c", False)):
        chain = create(TTS, EngineSpec("chain", engines))
        assert isinstance(chain, VoiceChain)
        assert chain.needs_text is needed, engines
