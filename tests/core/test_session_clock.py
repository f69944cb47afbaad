"""A clock that runs backwards changes nothing that has already happened."""

from __future__ import annotations

from parley.core.words.events import CancelRequested, ItemRetrieveRequested, ResponseRequested, TimePassed
from parley.core.words.ids import ItemId
from parley.core.words.items import Message, OutputAudio
from parley.core.words.notices import OutputItemAdded
from parley.core.words.settings import OwnerSettings
from tests.core.scene import MS, Scene, kinds


def test_heard_audio_stays_heard_when_the_clock_runs_backwards() -> None:
    scene = Scene()
    scene.says("hello")
    scene.answers(("This is a reply of two seconds.", 2_000), finish=False)
    reply = scene.notices(OutputItemAdded)[-1].item.id
    scene.now += 1_000 * MS
    scene.happens(ItemRetrieveRequested(ItemId("nothing")))
    scene.now -= 900 * MS
    scene.happens(CancelRequested())
    item = scene.item(reply)
    assert isinstance(item, Message)
    (part,) = item.content
    assert isinstance(part, OutputAudio)
    assert len(part.audio or b"") == 48 * 1_000


def test_allowed_responses_stay_allowed_when_the_clock_runs_backwards() -> None:
    scene = Scene(owner=OwnerSettings(responses_per_minute=2))
    scene.happens(ResponseRequested(), CancelRequested(), ResponseRequested(), CancelRequested())
    scene.now += 30_000 * MS
    scene.happens(TimePassed())
    scene.now -= 30_000 * MS
    assert "ResponseCreated" in kinds(scene.happens(ResponseRequested()))
