"""What someone who configures engines would notice: a wrong name or option that is not explained, a plug-in that is not found."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from pathlib import Path

import pytest

from parley.engines import registry
from parley.engines.ports import STT, VAD, EngineSpec, EngineUnavailable, stages


def test_every_built_in_engine_describes_itself_before_it_is_opened() -> None:
    engines = registry.available()
    found = {(info.stage, info.name) for info in engines}
    assert {("vad", "silero"), ("stt", "pocketsphinx"), ("stt", "whisper"), ("stt", "auto")} <= found
    for info in engines:
        assert info.stage in {stage.name for stage in stages()}
        assert info.summary
        assert "cannot be set up" not in info.summary


def test_a_mistyped_engine_gets_a_suggestion_and_the_list() -> None:
    with pytest.raises(EngineUnavailable) as caught:
        registry.create(STT, EngineSpec.parse("wisper:small.en"))
    assert caught.value.code == "unknown_engine"
    assert "Did you mean 'whisper'?" in str(caught.value)
    assert "pocketsphinx" in str(caught.value)


def test_an_engine_of_another_stage_is_not_found() -> None:
    with pytest.raises(EngineUnavailable, match="no vad engine named 'whisper'"):
        registry.create(VAD, EngineSpec("whisper"))


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(EngineUnavailable, match="'wieghts'") as caught:
        registry.create(VAD, EngineSpec("silero", options={"wieghts": "x"}))
    assert caught.value.code == "invalid_engine_option"
    assert "Did you mean 'weights'?" in str(caught.value)


def test_a_third_party_engine_is_found_like_a_built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dist = tmp_path / "acme_voice-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-voice\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text(
        "[parley.engines]\nvad.acme = acme_voice:create\nvad.broken = acme_voice_absent:create\n"
    )
    (tmp_path / "acme_voice.py").write_text(
        "from parley.engines.vad.silero import SileroVad\n\n\ndef create(model, options):\n    return SileroVad()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    try:
        assert "acme" in registry.names(VAD)
        assert registry.create(VAD, EngineSpec("acme")).info.stage == "vad"
        with pytest.raises(EngineUnavailable, match=r"acme-voice.*pip install --force-reinstall acme-voice"):
            registry.create(VAD, EngineSpec("broken"))
        # a broken plug-in must not take the list of the others down with it
        assert any(info.name == "broken" and "cannot" in info.summary for info in registry.available())
    finally:
        sys.modules.pop("acme_voice", None)


def test_the_metadata_of_packages_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, groups = importlib.metadata.entry_points, []

    def counted(*, group: str) -> importlib.metadata.EntryPoints:
        groups.append(group)
        return reading(group=group)

    monkeypatch.setattr(importlib.metadata, "entry_points", counted)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert len(registry.available()) > 20
    assert groups.count(registry.GROUP) == 1


PLUG_IN = """
def at_factory(model, options):
    return options["voice"]


class Undescribed:
    @property
    def info(self):
        raise OSError("no manifest")


def at_info(model, options):
    return Undescribed()
"""


@pytest.mark.parametrize(
    ("name", "raised"),
    [
        ("factory", "its factory raised KeyError: 'voice'"),
        ("info", "its info raised OSError: no manifest"),
        ("import", "its import raised RuntimeError: no GPU"),
    ],
)
def test_a_plug_in_that_raises_is_named_and_the_others_are_listed(
    name: str, raised: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dist = tmp_path / "acme_bad-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-bad\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text(
        "[parley.engines]\nvad.factory = acme_bad:at_factory\nvad.info = acme_bad:at_info\nvad.import = acme_gpu:create\n"
    )
    (tmp_path / "acme_bad.py").write_text(PLUG_IN)
    (tmp_path / "acme_gpu.py").write_text("raise RuntimeError('no GPU')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    try:
        found = {info.name: info.summary for info in registry.available() if info.stage == "vad"}
        assert "cannot" not in found["silero"]
        assert f"The engine 'vad.{name}' cannot be used: {raised}." in found[name]
        if name != "info":
            with pytest.raises(EngineUnavailable, match="a fault of the package 'acme-bad'") as caught:
                registry.create(VAD, EngineSpec(name))
            assert caught.value.code == "engine_broken"
    finally:
        sys.modules.pop("acme_bad", None)
