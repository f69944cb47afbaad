from __future__ import annotations

import re

from parley.core.words.ids import Minter


def test_ids_look_like_openais_and_differ() -> None:
    minter = Minter(b"a")
    ids = [minter.item(), minter.item(), minter.response(), minter.session(), minter.conversation(), minter.call()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"(item|resp|sess|conv|call)_[A-Za-z0-9]{21}", name) for name in ids)


def test_a_replay_names_everything_alike_and_another_session_otherwise() -> None:
    assert [Minter(b"a").item(), Minter(b"a").item()] == [Minter(b"a").item()] * 2
    assert Minter(b"a").item() != Minter(b"b").item()


def test_a_trace_of_an_earlier_version_is_replayed_under_the_same_names() -> None:
    assert Minter(b"a").item() == "item_Pt0sPeT50z5CeAQp5wnP4"
    minter = Minter(bytes(range(65)))
    assert [minter.session(), minter.call()] == ["sess_C4XLNDpLkSUz9peB7QTLt", "call_DN1muKbGnjyyTUCe1gqz5"]
    assert Minter(bytes(range(64))).session() == Minter(bytes(range(65))).session(), "a key has 64 bytes at the most"


def test_the_work_of_a_session_is_numbered_in_one_row_whatever_its_kind() -> None:
    minter = Minter(b"a")
    made = [minter.turn, minter.attempt, minter.flush, minter.judgement, minter.listing, minter.tool_call, minter.turn]
    assert [make() for make in made] == [1, 2, 3, 4, 5, 6, 7]
    assert minter.item() == Minter(b"a").item(), "and apart from the names that a client sees"


def test_each_kind_of_name_begins_with_its_kind() -> None:
    minter = Minter(b"a")
    made = [minter.session(), minter.conversation(), minter.item(), minter.response(), minter.call()]
    assert [name.partition("_")[0] for name in made] == ["sess", "conv", "item", "resp", "call"]
    assert len({name.partition("_")[2] for name in made}) == 5
