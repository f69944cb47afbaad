"""`parley config init` writes a file that changes nothing, and whose lines are settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parley.cli.main import run
from parley.config import load
from parley.config.schema import ConfigSchema
from scripts.commented_config import EXAMPLES, TARGET, made

WRITTEN = TARGET.read_text(encoding="utf-8")
SETTING = re.compile(r"^# (?P<key>[a-z_]+) = ", re.M)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def values() -> dict[str, object]:
    return {setting.key: setting.value for setting in load(None, {}, {}).explain()}


def test_the_file_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = values()
    assert run(["config", "init"]) == 0
    assert "Wrote parley.toml." in capsys.readouterr().out
    assert values() == before
    assert load(None, {}, {}).path == Path("parley.toml")
    assert run(["config"]) == 0


def test_each_line_is_a_setting_with_its_default() -> None:
    before = values()
    text = (
        WRITTEN.split("# Options of an engine")[0]
        + "[pipelines.default.fillers]"
        + WRITTEN.split("[pipelines.default.fillers]")[1]
    )
    kept = "\n".join(line for line in text.splitlines() if not any(line.startswith(f"# {key} = ") for key in EXAMPLES))
    Path("parley.toml").write_text(SETTING.sub(r"\g<key> = ", kept), encoding="utf-8")
    found = values()
    assert {key: value for key, value in found.items() if key in before or value != ""} == before, (
        "an empty stage is none"
    )
    sources = {setting.key: setting.source for setting in load(None, {}, {}).explain()}
    assert sum(source.startswith("parley.toml:") for source in sources.values()) > 80


def test_the_examples_of_settings_without_a_default_can_be_used() -> None:
    for match in SETTING.finditer(WRITTEN):
        if match["key"] in EXAMPLES:
            line = WRITTEN[match.start() + 2 :].split("\n")[0]
            section = re.findall(r"^\[(.+)\]$", WRITTEN[: match.start()], re.M)[-1]
            Path("parley.toml").write_text(f"[{section}]\n{line}\n", encoding="utf-8")
            assert load(None, {}, {}).path is not None


def test_every_section_is_there_and_the_file_is_up_to_date() -> None:
    for name in ConfigSchema.model_fields:
        assert re.search(rf"^\[{name}[\].]|^# {name} = ", WRITTEN, re.M), name
    assert made() == WRITTEN


def test_a_file_that_is_there_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Path("parley.toml").write_text("[server]\nport = 9000\n", encoding="utf-8")
    assert run(["config", "init"]) == 2
    assert "parley: parley.toml is there already" in capsys.readouterr().err
    assert "9000" in Path("parley.toml").read_text(encoding="utf-8")


def test_it_goes_where_it_is_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "init", "-o", "new/folder/mine.toml"]) == 0
    assert Path("new/folder/mine.toml").read_text(encoding="utf-8") == WRITTEN
    capsys.readouterr()
    assert run(["config", "init", "-o", "-"]) == 0
    assert capsys.readouterr().out == WRITTEN


def test_flags_of_the_configuration_are_not_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--port", "9", "init"]) == 2
    assert "--port is not for `init`" in capsys.readouterr().err
    assert not Path("parley.toml").exists()


def test_a_wrong_setting_of_the_environment_does_not_keep_it_from_being_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PARLEY_PORT", "x")
    assert run(["config", "init"]) == 0
    assert Path("parley.toml").is_file()
