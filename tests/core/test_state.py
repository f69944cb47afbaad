"""The state outside the regions, and the queries over several regions."""

from __future__ import annotations

import pytest

from parley.core.regions.entry import Entry
from parley.core.regions.open_responses import Replaying
from parley.core.regions.response import Response
from parley.core.regions.turn_taking import UserTurn
from parley.core.state import State
from parley.core.words.effects import StopPlayback, Tell
from parley.core.words.ids import ItemId, ResponseId, TurnId
from parley.core.words.items import Message
from parley.core.words.notices import InputCleared, ItemDeleted
from parley.core.words.settings import OwnerSettings, PinnedSettings
from tests.core.scene import Scene

ITEM = ItemId("i")


@pytest.fixture
def state() -> State:
    return Scene().session._st


def response(state: State, *, in_conversation: bool = True) -> Response:
    conversation = state.conversation.id if in_conversation else None
    return Response.begin(ResponseId("r"), conversation, state.settings)


def test_effects_and_notices_leave_in_the_order_in_which_they_were_caused(state: State) -> None:
    state.tell(InputCleared())
    state.do(StopPlayback())
    state.tell_all([ItemDeleted(ITEM), InputCleared()])
    state.do_all([StopPlayback()])
    assert state.out == [
        Tell(InputCleared()),
        StopPlayback(),
        Tell(ItemDeleted(ITEM)),
        Tell(InputCleared()),
        StopPlayback(),
    ]


def test_audio_was_exchanged_once_any_arrived_or_was_in_an_engine(state: State) -> None:
    before = state.audio_exchanged
    state.input.append(bytes(480))
    assert (before, state.audio_exchanged) == (False, True)
    other = Scene().session._st
    other.engines_used = True
    assert other.audio_exchanged


def test_output_is_active_during_generation_and_playback(state: State) -> None:
    heard = [state.output_heard]
    state.responses.begin(made := response(state), Replaying())
    heard.append(state.output_heard)
    state.responses.end(made)
    heard.append(state.output_heard)
    state.playback.queue(ITEM, made.id, 0, 24, state.now)
    heard.append(state.output_heard)
    state.now += 1_000_000
    heard.append(state.output_heard)
    assert heard == [False, True, False, True, False]


def test_an_out_of_band_response_is_not_heard_and_adds_nothing_to_the_conversation(state: State) -> None:
    state.responses.begin(aside := response(state, in_conversation=False), Replaying())
    assert not state.output_heard
    assert state.place(aside, Entry(Message(ITEM, "assistant", ()))) is None
    assert len(state.conversation) == 0


def test_an_item_of_a_response_is_added_at_the_end_of_the_conversation(state: State) -> None:
    made = response(state)
    assert state.place(made, Entry(Message(ITEM, "assistant", ()))) is None
    assert state.place(made, Entry(Message(ItemId("j"), "assistant", ()))) == ITEM
    assert [entry.item.id for entry in state.conversation.entries()] == [ITEM, "j"]


def test_a_provisional_turn_does_not_hold_the_floor(state: State) -> None:
    turn = UserTurn(TurnId(1), ITEM, 0, 0, 0, provisional=True)
    holders = [state.user_turn()]
    state.turns.speak(turn)
    holders.append(state.user_turn())
    turn.claim()
    holders.append(state.user_turn())
    state.turns.rest()
    holders.append(state.user_turn())
    assert holders == [None, None, turn, None]


def test_the_owner_is_bound_by_less_than_the_client() -> None:
    fixed = PinnedSettings(kind="realtime", instructions="Be brief.")
    state = Scene(owner=OwnerSettings(pinned=fixed)).session._st
    assert state.rights("client").pinned == fixed
    assert state.rights("owner").pinned == PinnedSettings(kind="realtime")


def test_the_audio_of_a_turn_is_what_was_scored_of_it_and_no_longer_than_asked() -> None:
    scene = Scene()
    state = scene.session._st
    assert state.turn_audio(100) == b""
    scene.hears(640, 0.9)
    assert len(state.turn_audio(100)) == 48 * 100
