"""The simulator's comparison of the two dialects notices when they tell different stories."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from parley.core.words.effects import Tell
from parley.core.words.events import ClearRequested, CommitRequested
from parley.core.words.ids import ItemId
from parley.core.words.notices import InputSpeechStarted, Notice, ResponseDone
from parley.testing import both_dialects
from parley.testing.both_dialects import BothDialects
from parley.testing.rules.base import CheckFailed
from parley.wire.dialects import GA
from tests.wire import samples
from tests.wire.samples import SAMPLES


class Misread:
    """A dialect whose server reads every commit as a clear."""

    name = "misread"
    write = GA.write

    def decode(self, frame: str) -> object:
        return ClearRequested() if "commit" in frame else GA.decode(frame)


class Retold:
    """An encoder that says something else of a notice."""

    def __init__(self, change: Callable[[str], str | None]) -> None:
        self._encoder = GA.encoder(event_seed=b"", wall_s=lambda: 0.0)
        self._change = change

    def encode(self, notice: Notice) -> str | None:
        frame = self._encoder.encode(notice)
        return None if frame is None else self._change(frame)


def test_every_notice_is_one_story() -> None:
    both = BothDialects()
    both.saw(None, [Tell(notice) for notice in SAMPLES])


@pytest.mark.parametrize(
    ("notice", "change"),
    [
        (InputSpeechStarted(ItemId("item_1"), 120), lambda frame: frame.replace("item_1", "item_2")),
        (InputSpeechStarted(ItemId("item_1"), 120), lambda frame: frame.replace("120", "121")),
        (InputSpeechStarted(ItemId("item_1"), 120), lambda frame: None),
        (ResponseDone(samples.response("completed")), lambda frame: frame.replace("completed", "failed")),
    ],
)
def test_another_id_position_or_terminal_is_noticed(notice: Notice, change: Callable[[str], str | None]) -> None:
    both = BothDialects()
    both._beta = Retold(change)
    with pytest.raises(CheckFailed, match="dialects"):
        both.saw(None, [Tell(notice)])


def test_a_client_event_that_comes_back_as_another_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    BothDialects().saw(CommitRequested(), [])
    monkeypatch.setattr(both_dialects, "DIALECTS", {"misread": Misread()})
    with pytest.raises(CheckFailed, match="misread"):
        BothDialects().saw(CommitRequested(), [])
