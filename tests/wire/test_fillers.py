"""What a client is sent of a filler is what the official types say a response is, in both dialects."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from parley.core.words.events import ClauseStarted, GenerationFinished, SpeechGenerated
from parley.wire.dialect import Dialect
from parley.wire.dialects import BETA, GA
from tests.core.scene import notices
from tests.core.test_responses_fillers import waiting
from tests.wire.sdk import parse_beta_event, parse_server_event


@pytest.mark.parametrize(
    ("dialect", "parse"), [(GA, parse_server_event), (BETA, parse_beta_event)], ids=lambda one: getattr(one, "name", "")
)
def test_every_event_of_a_filler_is_the_officials(dialect: Dialect, parse: Callable[[str], Any]) -> None:
    scene, attempt = waiting()
    scene.happens(
        ClauseStarted(attempt, "One moment."), SpeechGenerated(attempt, bytes(48_000)), GenerationFinished(attempt)
    )
    encoder = dialect.encoder(event_seed=b"", wall_s=lambda: 0.0)
    frames = [frame for notice in notices(scene.effects) if (frame := encoder.encode(notice)) is not None]
    for frame in frames:
        parse(frame)
    done = [json.loads(frame)["response"] for frame in frames if json.loads(frame)["type"] == "response.done"]
    (filler,) = (one for one in done if one["metadata"] == {"parley": "filler"})
    assert filler["status"] == "completed"
    assert filler["output"][0]["content"][0]["transcript"] == "One moment."
