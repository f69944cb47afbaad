from __future__ import annotations

import re

from parley.core.words.ids import Minter


def test_ids_look_like_openais_and_differ() -> None:
    minter = Minter(b"a")
    ids = [minter.item(), minter.item(), minter.response(), minter.session(), minter.conversation(), minter.call()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"(item|resp|sess|conv|call)_[A-Za-z0-9]{21}", name) for name in ids)


def test_a_replay_generates_the_same_ids_and_another_session_does_not() -> None:
    assert [Minter(b"a").item(), Minter(b"a").item()] == [Minter(b"a").item()] * 2
    assert Minter(b"a").item() != Minter(b"b").item()


def test_a_trace_of_an_earlier_version_replays_with_the_same_ids() -> None:
    assert Minter(b"a").item() == "item_Pt0sPeT50z5CeAQp5wnP4"
    minter = Minter(bytes(range(65)))
    assert [minter.session(), minter.call()] == ["sess_C4XLNDpLkSUz9peB7QTLt", "call_DN1muKbGnjyyTUCe1gqz5"]
    assert Minter(bytes(range(64))).session() == Minter(bytes(range(65))).session(), "a key has at most 64 bytes"


def test_work_of_every_kind_is_numbered_in_one_sequence() -> None:
    minter = Minter(b"a")
    inner = [
        minter.turn,
        minter.attempt,
        minter.flush,
        minter.judgement,
        minter.listing,
        minter.tool_call,
        minter.summary,
    ]
    assert [make() for make in (*inner, minter.turn)] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert minter.item() == Minter(b"a").item(), "and separate from the ids that a client sees"


def test_each_id_begins_with_the_prefix_of_its_kind() -> None:
    minter = Minter(b"a")
    made = [minter.session(), minter.conversation(), minter.item(), minter.response(), minter.call()]
    assert [name.partition("_")[0] for name in made] == ["sess", "conv", "item", "resp", "call"]
    assert len({name.partition("_")[2] for name in made}) == 5
