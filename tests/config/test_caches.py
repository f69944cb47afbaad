"""The settings of caches and fillers."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley.config import ConfigError, load
from parley.core.words.filler_phrases import FillerPhrases


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nothing_is_kept_unless_the_owner_wants_it() -> None:
    config = load(None, {}, {})
    assert not config.speech_cache.enabled
    assert not config.response_cache.enabled
    assert config.pipelines["default"].fillers.phrases == ()
    assert config.speech_cache.folder.name == "speech-cache"


def test_caches_are_set_in_the_file_and_the_environment() -> None:
    Path("parley.toml").write_text('[speech_cache]\nenabled = true\nfolder = "~/kept"\nvarying = ["openai"]\n')
    config = load(None, {}, {"PARLEY_SPEECH_CACHE_MAX_MIB": "8", "PARLEY_RESPONSE_CACHE_ENABLED": "on"})
    assert config.speech_cache.enabled
    assert config.speech_cache.folder == Path("~/kept").expanduser()
    assert (config.speech_cache.max_mib, config.speech_cache.varying) == (8, ("openai",))
    assert config.response_cache.enabled


def test_fillers_and_phrases_are_a_pipelines() -> None:
    Path("parley.toml").write_text(
        '[pipelines.default]\nprewarm = ["Good morning, this is the bakery."]\n'
        '[pipelines.default.fillers]\nphrases = ["One moment."]\nafter_ms = 900\n'
        '[pipelines.default.fillers.languages]\nde = ["Einen Moment."]\n'
    )
    pipeline = load(None, {}, {}).pipelines["default"]
    assert pipeline.prewarm == ("Good morning, this is the bakery.",)
    assert (pipeline.fillers.phrases, pipeline.fillers.after_ms) == (("One moment.",), 900)
    assert pipeline.fillers.languages == (("de", ("Einen Moment.",)),)
    assert FillerPhrases(*pipeline.fillers.languages[0]).language == "de"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[speech_cache]\nfolders = 'x'\n", "folder"),
        ("[speech_cache]\nmax_mib = 0\n", "speech_cache.max_mib"),
        ("[response_cache]\nlifetime_s = 0\n", "response_cache.lifetime_s"),
        ("[response_cache]\nlifetime = 5\n", "lifetime_s"),
        ("[pipelines.default.fillers]\nafter = 5\n", "after_ms"),
        ("[pipelines.default.fillers]\nafter_ms = 5\n", "fillers.after_ms"),
        ("[pipelines.default.fillers]\nphrases = ['']\n", "fillers.phrases"),
        ("[pipelines.default.fillers.languages]\n'not a language' = ['x']\n", "fillers.languages"),
        ("[pipelines.default]\nprewarm = 'Hello'\n", "prewarm"),
    ],
)
def test_a_wrong_setting_is_named_with_its_line(text: str, named: str) -> None:
    Path("parley.toml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(None, {}, {})
    assert named in str(raised.value)
    assert "parley.toml:" in str(raised.value)
