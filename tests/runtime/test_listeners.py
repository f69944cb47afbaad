"""Listeners of a session join and leave while it runs."""

from __future__ import annotations

from parley.core.words.effects import CloseReason
from parley.core.words.events import ClearRequested, CommitRequested
from parley.core.words.notices import ConversationCreated, ErrorRaised, Notice, ResponseDone, SessionCreated
from parley.runtime.listeners import Listeners
from tests.runtime.rig import Client, Rig, pipeline


def error(code: str) -> ErrorRaised:
    return ErrorRaised(code, "A message.")


def codes(client: Client) -> list[str]:
    return [notice.code for notice in client.all(ErrorRaised)]


async def test_a_listener_joins_a_running_session_and_leaves_it() -> None:
    rig, late = Rig(pipeline()), Client()
    rig.say("hello")
    await rig.client.heard(ResponseDone)
    assert rig.driver.join(late)
    assert [type(notice) for notice in late.notices] == [SessionCreated, ConversationCreated]
    created, first = late.all(SessionCreated)[0], rig.client.all(SessionCreated)[0]
    assert created.session_id == first.session_id
    assert created.expires_in_ms <= first.expires_in_ms
    assert len(rig.client.all(SessionCreated)) == 1
    rig.driver.post(CommitRequested(), late)
    assert codes(late) == ["input_audio_buffer_commit_empty"]
    rig.driver.leave(late)
    told = len(late.notices)
    rig.driver.post(CommitRequested(), late)
    rig.driver.post(ClearRequested())
    assert len(late.notices) == told, "who has left is told nothing, not even of an error of its own"
    assert not codes(rig.client)
    await rig.over()
    assert not rig.driver.join(Client()), "the session is over"


def test_listeners_may_join_and_leave_while_a_notice_is_told() -> None:
    first, changes, leaves, stays, joins = (Client() for _ in range(5))
    listeners = Listeners([first, changes, leaves, stays])

    def change(_: Notice) -> None:
        listeners.leave(leaves)
        if joins not in listeners.all:
            listeners.join(joins)

    changes.reaction = change
    listeners.tell(error("one"))
    listeners.tell(error("two"))
    assert [codes(one) for one in (first, leaves, stays, joins)] == [["one", "two"], [], ["one", "two"], ["two"]]


def test_who_joined_last_is_closed_first() -> None:
    closed: list[str] = []

    class Closing(Client):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def on_close(self, reason: CloseReason) -> None:
            closed.append(self.name)

    listeners = Listeners([Closing("link")])
    listeners.join(Closing("one"), Closing("two"))
    listeners.close("session_expired")
    assert closed == ["two", "one", "link"]
