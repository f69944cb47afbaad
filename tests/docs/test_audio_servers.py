"""The page about audio servers is correct: its examples load, and it names every option of the two engines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from parley.cli.options import PIPELINE_FLAGS
from parley.config import load
from parley.engines.ports import STT, TTS
from parley.engines.stt import openai as stt
from parley.engines.tts import openai as tts

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "audio-servers.md").read_text(encoding="utf-8")
SHARED = {"base_url", "api_key", "api_key_env", "connect_timeout_s", "headers"}


@pytest.mark.parametrize(("stage", "create"), [("tts", tts.create), ("stt", stt.create)])
def test_every_option_is_documented_and_no_other(
    stage: str, create: Callable[[str, Mapping[str, object]], object]
) -> None:
    section = PAGE.split(f'## `{stage} = "openai:MODEL"`')[1].split("\n## ")[0]
    with pytest.raises(ValueError, match="knows no option") as caught:
        create("m", {"no_such_option": 1})
    known = set(str(caught.value).rpartition("It has: ")[2].rstrip(".").split(", "))
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == known - SHARED
    assert known >= SHARED


def test_the_file_loads(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert example
    path = tmp_path / "parley.toml"
    path.write_text(example[1], encoding="utf-8")
    engines = load(path, {}, {}).pipelines["default"].engines
    assert (engines[STT].name, engines[TTS].name) == ("openai", "openai")
    stt.create(engines[STT].model, engines[STT].options)
    assert tts.create(engines[TTS].model, engines[TTS].options).resolve_voice("") == "af_heart"


def test_the_commands_are_understood() -> None:
    commands = [shlex.split(block.replace("\\\n", " ")) for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)]
    assert len(commands) == 2
    for words in commands:
        start = words.index("parley")
        environ = dict(word.split("=", 1) for word in words[:start])
        assert words[start + 1] == "serve"
        flags = dict(zip(words[start + 2 :: 2], words[start + 3 :: 2], strict=True))
        given = {flag.removeprefix("--").replace("-", "_"): value for flag, value in flags.items()}
        assert given.keys() <= set(PIPELINE_FLAGS)
        config = load(None, given, environ)
        assert not config.warnings
        engines = config.pipelines["default"].engines
        stt.create(engines[STT].model, engines[STT].options)
        tts.create(engines[TTS].model, engines[TTS].options)
