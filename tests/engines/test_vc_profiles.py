"""Voice profiles: what a clip becomes, which clips are refused and why, and what is on the disk."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from parley.engines.ports import EngineRefused, EngineUnavailable, Samples
from parley.engines.vc import profiles
from parley.engines.vc.envelope import BANDS
from parley.engines.vc.profiles import BUILT_IN, VoiceProfile
from parley.testing.contracts.material import SENTENCES, noise, speech
from tests.conftest import clip_path
from tests.speech import load

RATE = 24_000
ENVELOPE = tuple(np.linspace(9, -9, len(BANDS)).round(2).tolist())


@pytest.fixture(autouse=True)
def voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARLEY_VOICES_DIR", str(tmp_path / "voices"))
    return tmp_path / "voices"


def clip(rate: int = RATE) -> Samples:
    return np.concatenate([speech(text, rate) for text in SENTENCES[:9]])


def tone(pitch_hz: float, seconds: float, rate: int = RATE) -> Samples:
    """A buzz of that pitch."""
    times = np.arange(round(seconds * rate)) / rate
    made = np.zeros(len(times))
    for k in range(1, int(rate / 2 / pitch_hz)):
        made += 0.1 * np.cos(2 * np.pi * pitch_hz * k * times) / k
    return made.astype(np.float32)


def profile(name: str = "ada") -> VoiceProfile:
    return VoiceProfile(name, 200, 160, 260, 1.1, ENVELOPE, 8.0, 12.0, "2026-11-29", "ab")


class TestLearning:
    def test_the_pitch_of_a_voice_is_found(self) -> None:
        swept = np.concatenate([tone(hz, 1.0) for hz in np.geomspace(100, 200, 15)])
        learned = profiles.learn("sweep", swept, RATE)
        assert learned.median_hz == pytest.approx(100 * 2**0.5, rel=0.02)
        assert learned.low_hz == pytest.approx(100 * 2**0.1, rel=0.03)
        assert learned.high_hz == pytest.approx(100 * 2**0.9, rel=0.03)
        assert learned.clip_s == 15.0
        assert learned.voiced_s > 12

    def test_the_mean_envelope_does_not_depend_on_the_pitch(self) -> None:
        """Each buzz falls by 6 dB an octave, whatever its pitch."""
        low, high = (np.array(profiles.learn("x", tone(hz, 11), RATE).envelope) for hz in (110, 180))
        usable = BANDS > 300
        assert np.abs((low - high)[usable] - (low - high)[usable].mean()).max() < 1.5
        slope = np.polyfit(np.log2(BANDS[usable]), low[usable], 1)[0]
        assert slope == pytest.approx(-6, abs=0.7)

    @pytest.mark.parametrize("rate", [16_000, 44_100])
    def test_the_rate_of_the_clip_hardly_matters(self, rate: int) -> None:
        one, other = profiles.learn("x", clip(), RATE), profiles.learn("x", clip(rate), rate)
        assert one.median_hz == pytest.approx(other.median_hz, rel=0.02)
        assert np.abs(np.array(one.envelope) - other.envelope).max() < 2.0

    def test_loudness_does_not_matter(self) -> None:
        one, other = profiles.learn("x", clip(), RATE), profiles.learn("x", clip() * np.float32(0.3), RATE)
        assert np.abs(np.array(one.envelope) - other.envelope).max() < 1.0

    def test_a_clip_is_known_again_by_its_digest(self) -> None:
        one, again, other = (profiles.learn("x", audio, RATE) for audio in (clip(), clip(), clip() * np.float32(0.9)))
        assert one.sha256 == again.sha256 != other.sha256

    def test_recorded_speech(self) -> None:
        ints, rate = load(clip_path("two_cities"))
        learned = profiles.learn("reader", ints.astype(np.float32) / np.float32(32768), rate)
        assert 105 < learned.median_hz < 125  # by the autocorrelation of its vowels: 115
        assert learned.low_hz < 100
        assert learned.high_hz > 140
        assert 12 < learned.voiced_s < 25


def with_nan() -> Samples:
    audio = clip()
    audio[5] = np.nan
    return audio


@pytest.mark.parametrize(
    ("code", "audio"),
    [
        ("clip_too_short", clip()[: 9 * RATE]),
        ("clip_too_short", np.zeros(0, np.float32)),
        ("clip_silent", np.zeros(12 * RATE, np.float32)),
        ("clip_without_voice", noise(12, RATE)),
        ("clip_without_voice", np.concatenate([clip()[: 3 * RATE], np.zeros(9 * RATE, np.float32)])),
        ("clip_clipped", np.clip(clip() * 30, -1, 1)),
        ("clip_not_audio", with_nan()),
        ("clip_not_audio", np.zeros((12 * RATE, 2), np.float32)),
    ],
)
def test_a_clip_of_no_use_is_refused_with_a_reason_and_a_remedy(code: str, audio: Samples) -> None:
    with pytest.raises(EngineRefused) as caught:
        profiles.learn("x", audio, RATE)
    assert caught.value.code == code
    assert caught.value.remedy


def test_telephone_audio_is_refused() -> None:
    with pytest.raises(EngineRefused) as caught:
        profiles.learn("x", clip(8_000), 8_000)
    assert caught.value.code == "clip_rate"


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.b", "a b", "é", "x" * 65, "..", "a\0", "x\n"])
def test_a_name_cannot_leave_the_folder(name: str) -> None:
    for use in (profiles.load, profiles.remove, lambda name: profiles.learn(name, clip(), RATE)):
        with pytest.raises(EngineRefused) as caught:
            use(name)
        assert caught.value.code == "invalid_voice_name"


class TestFiles:
    def test_a_saved_profile_is_loaded_listed_and_removed(self, voices: Path) -> None:
        assert profiles.profiles() == BUILT_IN
        assert profiles.save(profile()) == voices / "ada.json"
        profiles.save(profile("Zoe_2-b"))
        assert profiles.load("ada") == profile()
        assert profiles.names() == ("low", "high", "Zoe_2-b", "ada")
        assert profiles.profiles()[2:] == (profile("Zoe_2-b"), profile())
        profiles.remove("ada")
        assert profiles.names() == ("low", "high", "Zoe_2-b")
        assert sorted(path.name for path in voices.iterdir()) == ["Zoe_2-b.json"]

    @pytest.mark.skipif(sys.platform == "win32", reason="no modes of files")
    def test_only_its_user_can_read_it(self, voices: Path) -> None:
        old = os.umask(0)
        try:
            path = profiles.save(profile())
        finally:
            os.umask(old)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(voices.stat().st_mode) == 0o700

    def test_a_save_that_fails_leaves_the_old_profile(self, voices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        profiles.save(profile())

        def fail(*paths: object) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="disk full"):
            profiles.save(profile())
        assert [path.name for path in voices.iterdir()] == ["ada.json"]
        assert profiles.load("ada") == profile()

    def test_an_unknown_one_is_named_with_the_command_that_makes_it(self) -> None:
        profiles.save(profile())
        with pytest.raises(EngineUnavailable) as caught:
            profiles.load("eve")
        assert caught.value.code == "unknown_voice"
        assert "parley voice profile eve clip.wav" in caught.value.remedy
        assert "low, high, ada" in caught.value.remedy
        with pytest.raises(EngineUnavailable) as caught:
            profiles.remove("eve")
        assert caught.value.code == "unknown_voice"

    @pytest.mark.parametrize("name", ["low", "high"])
    def test_built_in_profiles_stay(self, name: str) -> None:
        assert profiles.load(name).name == name
        for use in (lambda: profiles.remove(name), lambda: profiles.save(profile(name))):
            with pytest.raises(EngineRefused) as caught:
                use()
            assert caught.value.code == "voice_built_in"

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"[]",
            b"\xff\xfe",
            b'{"median_hz": 100}',
            b'{"format": "parley-voice-profile", "version": 1}',
            b'{"format": "parley-voice-profile", "version": 0, "profile": {}}',
            b'{"format": "parley-voice-profile", "version": 1, "profile": {"name": "ada"}}',
            b" " * 100_000,
        ],
    )
    def test_a_file_that_is_no_profile_is_damaged(self, voices: Path, content: bytes) -> None:
        voices.mkdir()
        (voices / "ada.json").write_bytes(content)
        with pytest.raises(EngineUnavailable) as caught:
            profiles.load("ada")
        assert caught.value.code == "damaged_voice_profile"
        assert str(voices / "ada.json") in caught.value.message

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("median_hz", 30),
            ("median_hz", 1e9),
            ("median_hz", "120"),
            ("low_hz", 240),
            ("formant", 0),
            ("envelope", [0.0] * 5),
            ("envelope", [1e9] * len(BANDS)),
            ("name", "eve"),
        ],
    )
    def test_numbers_that_no_voice_has_are_damage(self, field: str, value: object) -> None:
        path = profiles.save(profile())
        whole = json.loads(path.read_text())
        whole["profile"][field] = value
        path.write_text(json.dumps(whole))
        with pytest.raises(EngineUnavailable) as caught:
            profiles.load("ada")
        assert caught.value.code == "damaged_voice_profile"

    def test_a_newer_format_is_not_called_damaged(self) -> None:
        path = profiles.save(profile())
        path.write_text(json.dumps({"format": profiles.FORMAT, "version": 2, "profile": "something else"}))
        with pytest.raises(EngineUnavailable) as caught:
            profiles.load("ada")
        assert caught.value.code == "newer_voice_profile"
        assert "version 2" in caught.value.message


def test_the_folder_is_beside_that_of_the_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PARLEY_VOICES_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert profiles.folder() == tmp_path / "parley" / "voices"
