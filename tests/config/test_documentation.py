"""The configuration page is correct: every key, variable and default, and its example loads."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from parley.cli.interpret import SETTINGS
from parley.cli.serve import serve
from parley.config import load
from parley.config.layers import PREFIX, SHORT_NAMES
from parley.config.schema import (
    PIPELINE_SECTION,
    FillersSection,
    InterpretSection,
    ModelsSection,
    OwnVoicesSection,
    PipelineSection,
    ResponseCacheSection,
    ServerSection,
    SpeechCacheSection,
    TelephonySection,
)
from parley.config.webrtc_schema import WebRtcSection

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "configuration.md").read_text(encoding="utf-8")
CALL_PAGE = (DOCS / "interpreting.md").read_text(encoding="utf-8")


def rows(page: str) -> dict[str, list[str]]:
    return {
        row[0].strip("`"): row
        for line in page.splitlines()
        if line.startswith("| `")
        for row in [re.split(r"\s*\|\s*", line)[1:-1]]
    }


@pytest.mark.parametrize(
    "section",
    [
        ServerSection,
        ModelsSection,
        OwnVoicesSection,
        PIPELINE_SECTION,
        InterpretSection,
        FillersSection,
        SpeechCacheSection,
        ResponseCacheSection,
        TelephonySection,
        WebRtcSection,
    ],
)
def test_every_key_is_documented_with_its_default(
    section: type[ServerSection | ModelsSection | OwnVoicesSection | PipelineSection | InterpretSection],
) -> None:
    documented = rows(CALL_PAGE if section is InterpretSection else PAGE)
    for key, field in section.model_fields.items():
        if key.endswith("_options"):
            assert f"`{key}`" in PAGE
        elif isinstance(field.default, int | float | str) and field.default != "" and key != "instructions":
            shown = str(field.default).lower() if isinstance(field.default, bool) else f"{field.default}"
            assert documented[key][1] == f"`{shown}`", key
        else:
            assert key in documented


def test_every_variable_is_documented_and_no_other() -> None:
    documented = set(re.findall(r"`(PARLEY_[A-Z_]+)`", PAGE + CALL_PAGE)) - {
        "PARLEY_CONFIG",
        "PARLEY_OWN_VOICES_DIR",
        "PARLEY_VOICES_DIR",
        "PARLEY_MODELS_DIR",
    }
    assert documented == {PREFIX + name.upper() for name in SHORT_NAMES}


def test_every_flag_is_documented() -> None:
    flags = {name for option in serve.params for name in option.opts}
    assert flags == set(re.findall(r"(--[a-z][a-z-]+)", PAGE))


def test_every_flag_of_the_interpreter_is_documented() -> None:
    flags = {f"--{name.replace('_', '-')}" for name in SETTINGS}
    assert flags <= set(re.findall(r"`(--[a-z][a-z-]+)`", CALL_PAGE))
    assert {f"interpret_{name}" for name in SETTINGS} <= set(SHORT_NAMES)


def test_the_example_loads(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert example
    path = tmp_path / "parley.toml"
    path.write_text(example[1], encoding="utf-8")
    config = load(path, {}, {"MY_PARLEY_KEYS": "key"})
    assert config.pipeline_for("gpt-realtime").name == "desk"
    assert config.pipeline_for("spanish").language == "es"


def test_every_dependency_is_justified() -> None:
    root = Path(__file__).resolve().parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    groups = project["dependency-groups"].values()
    demanded = [*project["project"]["dependencies"], *chain.from_iterable(groups), *chain.from_iterable(extras)]
    names = {re.split(r"[<>=;\[ ]", requirement)[0] for requirement in demanded}
    rows = [
        line
        for line in (root / "docs/dependencies.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    assert {name for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row.split(" | ")[0])} == names
