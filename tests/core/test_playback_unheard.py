"""How far the listener is behind."""

from __future__ import annotations

from parley.core.regions.playback import RemotePlayback
from parley.core.words.ids import ItemId, ResponseId
from tests.core.scene import MS


def test_the_audio_that_is_still_to_be_heard() -> None:
    playback = RemotePlayback()
    assert playback.unheard_ms(0) == 0
    playback.queue(ItemId("i"), ResponseId("r"), 0, 24_000, 0)
    assert playback.unheard_ms(400 * MS) == 600
