"""Helpers for the tests of a client's requests."""

from __future__ import annotations

from parley.core.words.events import (
    Event,
)
from parley.core.words.ids import ClientEventId, ItemId
from parley.core.words.items import (
    InputText,
    Message,
)
from parley.core.words.notices import (
    ErrorRaised,
)
from parley.core.words.settings import (
    Settings,
)
from tests.core.scene import Scene, notices

ID = ClientEventId("event_of_the_client")
TEXT = Message(ItemId("mine"), "user", (InputText("hello"),))
MANUAL = Settings(turn_detection=None)


def refused(scene: Scene, event: Event) -> ErrorRaised:
    """The error, which is the only effect and names the client's event."""
    (effect,) = scene.happens(event)
    (notice,) = notices([effect])
    assert isinstance(notice, ErrorRaised)
    assert notice.client_event_id == ID
    return notice
