"""A loop between the directions is told once, in plain words, and closes the capture while it would come back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from parley.audio.types import Samples
from parley.interpret.loop_guard import TAIL_S, FoundLoop, LoopGuard
from parley.interpret.updates import DirectionName
from tests.interpret.loop_sounds import RATE, Path, returned, voices

PIECE = RATE // 50
BOTH: tuple[DirectionName, ...] = ("forward", "reverse")
DELAY_S = 0.2


@pytest.fixture(scope="module")
def talk() -> Samples:
    found = voices()
    if not found:
        pytest.skip("no recorded speech is on this machine")
    return np.concatenate(found)


class Call:
    """A guard, and the sounds of both directions since the beginning."""

    def __init__(self, guard: LoopGuard, directions: Sequence[DirectionName] = BOTH) -> None:
        self.guard = guard
        self.directions = directions
        self.found: list[FoundLoop] = []
        self.now_s = 500.0

    def run(self, played: dict[DirectionName, Samples], captured: dict[DirectionName, Samples]) -> list[FoundLoop]:
        """Let the devices play and capture this; what a direction lacks is silence. Returns the loops that are found."""
        found: list[FoundLoop] = []
        longest = max(len(each) for each in (*played.values(), *captured.values()))
        silence = np.zeros(longest, dtype=np.float32)
        for begin in range(0, longest - PIECE, PIECE):
            part = slice(begin, begin + PIECE)
            for name in self.directions:
                self.guard.played(name, played.get(name, silence)[part], RATE, self.now_s)
                self.guard.captured(name, captured.get(name, silence)[part], RATE, self.now_s + 0.02)
            self.now_s += 0.02
            found += self.guard.look(self.now_s, {name: name in played for name in self.directions})
        return found

    def quiet(self, seconds: float) -> list[FoundLoop]:
        return self.run({}, {"forward": np.zeros(round(seconds * RATE), dtype=np.float32)})


def seconds(audio: Samples, begin_s: float, end_s: float) -> Samples:
    return audio[round(begin_s * RATE) : round(end_s * RATE)]


def started(directions: tuple[DirectionName, ...] = BOTH) -> Call:
    call = Call(LoopGuard(directions), directions)
    assert call.quiet(3.0) == []
    return call


def echo(audio: Samples, delay_s: float = DELAY_S) -> Samples:
    return returned(np.random.default_rng(1), audio, Path(delay_s, -20))


@pytest.mark.parametrize(
    ("played_by", "captured_by", "remedy"),
    [
        ("reverse", "forward", "Wear headphones"),
        ("forward", "reverse", "Choose another loudspeaker in the call"),
        ("forward", "forward", "Choose your real microphone"),
        ("reverse", "reverse", "Choose your headphones"),
    ],
)
def test_every_loop_is_found_within_two_seconds_and_says_what_to_do(
    talk: Samples, played_by: DirectionName, captured_by: DirectionName, remedy: str
) -> None:
    call = started()
    out = seconds(talk, 0, 2.2)
    found = call.run({played_by: out}, {captured_by: echo(out)})
    assert [(each.played_by, each.captured_by) for each in found] == [(played_by, captured_by)]
    assert remedy in found[0].message
    assert found[0].delay_ms == pytest.approx(1000 * DELAY_S, abs=10)
    assert found[0].level_db == pytest.approx(-20, abs=6)
    assert call.guard.closes(captured_by, call.now_s)
    other: DirectionName = "reverse" if captured_by == "forward" else "forward"
    assert not call.guard.closes(other, call.now_s), "the other direction goes on"


def test_the_capture_opens_when_the_sound_has_come_back_and_closes_for_the_next(talk: Samples) -> None:
    call = started()
    out = seconds(talk, 0, 3)
    call.run({"reverse": out}, {"forward": echo(out)})
    end_s = call.now_s
    assert call.guard.closes("forward", end_s + DELAY_S + TAIL_S - 0.05)
    assert not call.guard.closes("forward", end_s + DELAY_S + TAIL_S + 0.1)
    call.quiet(2.0)
    assert not call.guard.closes("forward", call.now_s), "nothing sounds: the user is heard"
    call.guard.look(call.now_s, {"reverse": True})
    assert call.guard.closes("forward", call.now_s), "a translation is about to be played"


def test_what_sounds_is_measured_too(talk: Samples) -> None:
    """The original voice under the translation is no translation, and comes back all the same."""
    call = started()
    out = seconds(talk, 0, 3)
    call.run({"reverse": out}, {"forward": echo(out)})
    call.quiet(2.0)
    call.guard.played("reverse", seconds(talk, 5, 5.5), RATE, call.now_s)
    assert call.guard.closes("forward", call.now_s + 0.5 + DELAY_S)


def test_a_loop_is_told_once_while_it_lasts(talk: Samples) -> None:
    call = started()
    out = seconds(talk, 0, 30)
    assert len(call.run({"reverse": out}, {"forward": echo(out)})) == 1


def test_with_headphones_put_on_the_capture_opens_again_and_a_new_loop_is_told_anew(talk: Samples) -> None:
    call = started()
    out = seconds(talk, 0, 4)
    assert len(call.run({"reverse": out}, {"forward": echo(out)})) == 1
    noise = (1e-3 * np.random.default_rng(2).standard_normal(20 * RATE)).astype(np.float32)
    assert call.run({"reverse": seconds(talk, 4, 10)}, {"forward": noise[: 6 * RATE]}) == []
    assert call.guard.closes("forward", call.now_s), "six seconds say little"
    call.run({"reverse": seconds(talk, 10, 18)}, {"forward": noise[: 8 * RATE]})
    assert not call.guard.closes("forward", call.now_s)
    again = seconds(talk, 18, 22)
    assert len(call.run({"reverse": again}, {"forward": echo(again)})) == 1
    assert call.guard.closes("forward", call.now_s)


def test_silence_is_no_sign_that_a_loop_has_gone(talk: Samples) -> None:
    call = started()
    out = seconds(talk, 0, 4)
    call.run({"reverse": out}, {"forward": echo(out)})
    call.quiet(60.0)
    more = seconds(talk, 4, 4.5)
    assert call.run({"reverse": more}, {"forward": echo(more)}) == []
    assert call.guard.closes("forward", call.now_s)


def test_two_people_with_headphones_are_never_silenced(talk: Samples) -> None:
    call = started()
    found = call.run(
        {"forward": seconds(talk, 0, 18), "reverse": seconds(talk, 20, 38)},
        {"forward": seconds(talk, 40, 58), "reverse": seconds(talk, 60, 78)},
    )
    assert found == []
    assert not call.guard.closes("forward", call.now_s)
    assert not call.guard.closes("reverse", call.now_s)


def test_the_original_voice_played_underneath_is_no_loop(talk: Samples) -> None:
    call = started()
    theirs = seconds(talk, 0, 10)
    assert (
        call.run({"reverse": returned(np.random.default_rng(3), theirs, Path(0.06, -6, -60))}, {"reverse": theirs})
        == []
    )


def test_a_call_that_only_listens_has_one_pair(talk: Samples) -> None:
    call = started(("reverse",))
    out = seconds(talk, 0, 3)
    (found,) = call.run({"reverse": out}, {"reverse": echo(out)})
    assert (found.played_by, found.captured_by) == ("reverse", "reverse")
    assert not call.guard.closes("forward", call.now_s)
