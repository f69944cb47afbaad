"""Encodings, tool filters, and how updates and other pipelines change the settings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley.core.words.settings import (
    Approval,
    AudioFormat,
    Credentials,
    FunctionTool,
    McpServer,
    NoiseReduction,
    PinnedSettings,
    Settings,
    SettingsPatch,
    ToolFilter,
    Transcription,
    merged,
    rebased,
)


def test_a_24_khz_sample_of_pcm_is_two_bytes() -> None:
    pcm = AudioFormat.PCM16
    assert (pcm.rate, pcm.bytes_per_ms, pcm.frame_bytes) == (24_000, 48, 2)
    assert [pcm.samples(size) for size in (0, 1, 2, 5)] == [0, 0, 1, 2]
    assert [pcm.size(samples) for samples in (0, 1, 5)] == [0, 2, 10]


@pytest.mark.parametrize("law", [AudioFormat.PCMU, AudioFormat.PCMA])
def test_a_byte_of_g711_is_three_24_khz_samples(law: AudioFormat) -> None:
    assert (law.rate, law.bytes_per_ms, law.frame_bytes) == (8_000, 8, 1)
    assert [law.samples(size) for size in (0, 1, 5)] == [0, 3, 15]
    assert [law.size(samples) for samples in (0, 2, 3, 5, 6)] == [0, 0, 1, 1, 2]


READ, WRITE = True, False


@pytest.mark.parametrize(
    ("filter", "passing"),
    [
        (None, [("find", READ), ("find", WRITE), ("lend", READ), ("lend", WRITE)]),
        (ToolFilter(), [("find", READ), ("find", WRITE), ("lend", READ), ("lend", WRITE)]),
        (ToolFilter(("find",)), [("find", READ), ("find", WRITE)]),
        (ToolFilter(read_only=True), [("find", READ), ("lend", READ)]),
        (ToolFilter(read_only=False), [("find", WRITE), ("lend", WRITE)]),
        (ToolFilter(("lend",), False), [("lend", WRITE)]),
        (ToolFilter(()), []),
    ],
)
def test_a_tool_filter_matches_names_and_read_only_hints(
    filter: ToolFilter | None, passing: list[tuple[str, bool]]
) -> None:
    tools = [("find", READ), ("find", WRITE), ("lend", READ), ("lend", WRITE)]
    assert [tool for tool in tools if McpServer("books", allowed=filter).allows(*tool)] == passing
    others = [tool for tool in tools if tool not in passing]
    if filter is not None:
        assert [tool for tool in tools if McpServer("books", approval=Approval(always=filter)).asks(*tool)] == passing
        assert [tool for tool in tools if McpServer("books", approval=Approval(never=filter)).asks(*tool)] == others
    both = Approval(ToolFilter(("find",)), ToolFilter())
    assert [tool for tool in tools if McpServer("books", approval=both).asks(*tool)] == tools[:2]
    assert McpServer("books").asks(*tools[0])
    assert McpServer("books", approval=Approval()).asks(*tools[0])


@pytest.mark.parametrize(
    ("before", "update", "after"),
    [
        (None, NoiseReduction("near_field", None), NoiseReduction("near_field", 1.0)),
        (NoiseReduction("near_field", 0.4), NoiseReduction("far_field", None), NoiseReduction("far_field", 0.4)),
        (NoiseReduction("near_field", 0.4), NoiseReduction("far_field", 0.7), NoiseReduction("far_field", 0.7)),
        (NoiseReduction("near_field", 0.4), None, None),
    ],
)
def test_an_update_of_noise_reduction_keeps_an_unnamed_strength(
    before: NoiseReduction | None, update: NoiseReduction | None, after: NoiseReduction | None
) -> None:
    settings = Settings(noise_reduction=before, voice="alloy", version=4)
    assert merged(settings, {"noise_reduction": update}) == replace(settings, noise_reduction=after, version=5)


OLD = Settings(model="old", instructions="Be old.", voice="o", transcription=Transcription("old-stt", "en"))
NEW = Settings(model="new", instructions="Be new.", voice="n", transcription=Transcription("new-stt", "de"))


def test_on_another_pipeline_unchanged_settings_are_that_pipelines_defaults() -> None:
    assert rebased(replace(OLD, speed=1.2), OLD, NEW) == replace(NEW, model="old", speed=1.2)


@pytest.mark.parametrize(
    ("wished", "becomes"),
    [
        (Transcription("old-stt", "fr"), Transcription("", "fr")),
        (None, None),
        (Transcription("old-stt", "en"), Transcription("new-stt", "de")),
    ],
)
def test_on_another_pipeline_changed_settings_stay_except_the_recognisers_name(
    wished: Transcription | None, becomes: Transcription | None
) -> None:
    mine = replace(OLD, instructions="Be mine.", voice="m", transcription=wished)
    assert rebased(mine, OLD, NEW) == replace(mine, transcription=becomes)


def test_a_servers_credentials_are_not_in_its_visible_settings() -> None:
    secret = Credentials("Bearer sesame", (("X-Key", "sesame"),))
    server = McpServer("books", "https://books.example/mcp", credentials=secret)
    assert str(secret) == "Credentials(***)"
    assert "sesame" not in repr(server)
    assert server.without_credentials() == McpServer("books", "https://books.example/mcp")
    function = FunctionTool("weather")
    assert function.without_credentials() is function


def test_pinned_settings_override_the_clients_and_free_ones_stay() -> None:
    own = Settings(model="small", instructions="mine", tools=(FunctionTool("clock"),), max_output_tokens=10)
    fixed = PinnedSettings(model="large", instructions="fixed", tools=(), max_output_tokens=5)
    assert PinnedSettings().applied(own) == own
    assert fixed.applied(own) == replace(own, instructions="fixed", tools=(), max_output_tokens=5)


def test_what_the_owner_changes_is_fixed_at_its_new_value_and_nothing_else_is() -> None:
    fixed = PinnedSettings(model="large", instructions="fixed")
    changed = Settings(model="large", instructions="new", tools=(), max_output_tokens=5)
    patch: SettingsPatch = {"instructions": "new", "max_output_tokens": 5}
    assert fixed.follow(changed, patch) == PinnedSettings(model="large", instructions="new")
