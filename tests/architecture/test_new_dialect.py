"""A new dialect: what it must implement, and that no file of the server, the shell or the core depends on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from parley.core.words import notices as n
from parley.core.words.ids import ItemId, ResponseId
from parley.testing.fakes import FakeModel
from parley.wire.codec import Codec
from parley.wire.decoding import ReadEvent
from parley.wire.dialects import DIALECTS, GA
from parley.wire.encoding import Named
from tests.architecture.test_new_link import ListLink
from tests.runtime.rig import settled
from tests.server.harness import Engines, configured, running

KINDS = {"hello": n.SessionCreated, "begun": n.ResponseCreated, "word": n.OutputTranscriptDelta, "over": n.ResponseDone}


def terse(notice: n.Notice, wall_s: Callable[[], float]) -> Named | None:
    """A dialect of four minimal events."""
    match notice:
        case n.SessionCreated():
            return "hello", {}
        case n.ResponseCreated():
            return "begun", {}
        case n.OutputTranscriptDelta(delta=delta):
            return "word", {"text": delta}
        case n.ResponseDone(response=response):
            return "over", {"how": response.status}
        case n.ErrorRaised(field=field, path=path):
            return "no", {"where": path if field is None else TERSE.path(field)}
        case _:
            return None


assert isinstance(GA, Codec)
reading: ReadEvent = GA.read_event
TERSE: Codec = replace(
    GA,
    name="terse",
    event_writer=terse,
    audio_delta="sound",
    server_events=KINDS,
    path=lambda field: field.rpartition(".")[2],
)


async def test_a_new_dialect_needs_only_a_codec() -> None:
    assert TERSE.name not in DIALECTS
    async with running(configured(), Engines(llm=FakeModel(["Hello."]))) as server:
        link = ListLink()
        link.open(server, TERSE, paced=False)
        link.client_sends(
            type="session.update", session={"type": "realtime", "audio": {"output": {"voice": "unknown"}}}
        )
        link.client_sends(type="response.create")
        await settled(lambda: "over" in link.kinds())
        received = [event for event in link.events if event["type"] != "sound"]
        assert [event["type"] for event in received] == ["hello", "no", "begun", "word", "over"]
        assert received[1]["where"] == "voice"
        assert received[3]["text"] == "Hello."
        assert received[4]["how"] == "completed"
        link.client_sends(type="nonsense")
        assert link.kinds()[-1] == "no"
        link.close("internal_error")


def test_an_event_read_by_the_client_equals_the_notice_that_was_sent() -> None:
    encoder = TERSE.encoder(event_seed=b"seed", wall_s=lambda: 0.0)
    frame = encoder.encode(n.OutputTranscriptDelta(n.PartAt(ResponseId("r"), ItemId("i"), 0, 0), "Hello."))
    assert frame is not None
    event = json.loads(frame)
    assert KINDS[event["type"]] is n.OutputTranscriptDelta
