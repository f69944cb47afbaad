from __future__ import annotations

import re

from parley.core.ids import Minter


def test_ids_look_like_openais_and_differ() -> None:
    minter = Minter(b"a")
    ids = [minter.item(), minter.item(), minter.response(), minter.session(), minter.conversation(), minter.call()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"(item|resp|sess|conv|call)_[A-Za-z0-9]{21}", name) for name in ids)


def test_a_replay_names_everything_alike_and_another_session_otherwise() -> None:
    assert [Minter(b"a").item(), Minter(b"a").item()] == [Minter(b"a").item()] * 2
    assert Minter(b"a").item() != Minter(b"b").item()
