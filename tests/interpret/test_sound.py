"""The sound of a direction between two devices whose clocks differ, with pieces of 10 ms as devices give and take them."""

from __future__ import annotations

import numpy as np
import pytest

from parley.interpret.sound import MARGIN_MS, PIECE_MS, DirectionSound, MixedOriginal, SoundPiece

RATE = 48_000
PIECE = round(RATE * PIECE_MS / 1000)


def simulated(mix: MixedOriginal, seconds: float, ppm: float = 0.0) -> tuple[DirectionSound, np.ndarray, list[float]]:
    """A direction that records noise on a clock that is `ppm` faster than the one that plays; what was played, and the fill by seconds."""
    sound = DirectionSound(mix, lambda piece: None, lambda at_s, until_s: None)
    sound.connect(RATE, RATE)
    random = np.random.default_rng(1)
    heard: list[np.ndarray] = []
    fills: list[float] = []
    recorded = played = 0
    while played * PIECE_MS < 1000 * seconds:
        record_s = (recorded + 1) * PIECE_MS / 1000 / (1 + ppm * 1e-6)
        play_s = (played + 1.5) * PIECE_MS / 1000
        if record_s <= play_s:
            sound.record(0.1 * random.standard_normal(PIECE).astype(np.float32), record_s)
            recorded += 1
            continue
        heard.append(sound.play(PIECE, play_s))
        played += 1
        if played % 100 == 0:
            fills.append(sound.original_ms)
    return sound, np.concatenate(heard), fills


@pytest.mark.parametrize("ppm", [-100.0, 100.0])
def test_the_original_stays_at_its_delay_between_two_clocks(ppm: float) -> None:
    sound, heard, fills = simulated(MixedOriginal(raw=True), 60, ppm)
    assert max(fills[10:]) - min(fills[10:]) < 20
    assert abs(fills[-1] - fills[20]) < 10
    assert np.abs(heard[RATE:]).max() > 0.1
    # No gap: nowhere is it silent for a whole piece.
    pieces = np.abs(heard[RATE : len(heard) // PIECE * PIECE].reshape(-1, PIECE)).max(axis=1)
    assert pieces.min() > 0.01
    assert sound.gaps == 0


def test_the_client_adds_at_most_sixty_milliseconds_to_a_raw_voice() -> None:
    _, _, fills = simulated(MixedOriginal(raw=True), 20)
    # What waits between the devices, and the piece that a device collects before it gives it.
    assert max(fills[5:]) + PIECE_MS <= 60
    assert 2 * PIECE_MS + MARGIN_MS <= 40


def test_the_original_is_silent_unless_it_is_wanted_and_soft_beneath_a_translation() -> None:
    _, heard, _ = simulated(MixedOriginal(), 3)
    assert not heard.any()
    _, heard, _ = simulated(MixedOriginal(full=1.0, ducked=0.1), 3)
    loud = float(np.abs(heard[-RATE:]).mean())
    assert loud > 0.05
    mix = MixedOriginal(full=1.0, ducked=0.1)
    sound = DirectionSound(mix, lambda piece: None, lambda at_s, until_s: None)
    sound.connect(RATE, RATE)
    random = np.random.default_rng(2)
    levels = []
    sound.push(np.zeros(24_000 * 4, np.int16) + 1, 0.0, None)
    for number in range(200):
        at_s = number * PIECE_MS / 1000
        sound.record(0.1 * random.standard_normal(PIECE).astype(np.float32), at_s)
        levels.append(float(np.abs(sound.play(PIECE, at_s)).mean()))
    assert np.mean(levels[-50:]) == pytest.approx(0.1 * loud, rel=0.3)


def test_nothing_of_a_muted_speaker_is_heard_even_raw() -> None:
    _, heard, _ = simulated(MixedOriginal(raw=True, closed=True), 3)
    assert float(np.abs(heard).max()) < 1e-6


def test_while_the_raw_voice_is_on_translations_are_dropped() -> None:
    sound = DirectionSound(MixedOriginal(raw=True), lambda piece: None, lambda at_s, until_s: None)
    sound.connect(RATE, RATE)
    sound.push(np.full(2_400, 9_000, np.int16), 0.0, None)
    assert not sound.speaking


def test_captured_sound_is_handed_over_at_the_rate_of_the_wire_in_order() -> None:
    import asyncio

    got: list[SoundPiece] = []

    async def main() -> None:
        sound = DirectionSound(MixedOriginal(), got.append, lambda at_s, until_s: None)
        sound.connect(RATE, None)
        sound.listen_on(asyncio.get_running_loop())
        ramp = np.linspace(-0.5, 0.5, PIECE * 20, dtype=np.float32)
        for number in range(20):
            sound.record(ramp[number * PIECE : (number + 1) * PIECE], (number + 1) * PIECE_MS / 1000)
        await asyncio.sleep(0.05)

    asyncio.run(main())
    audio = np.concatenate([piece.audio for piece in got])
    assert {piece.kind for piece in got} == {"captured"}
    assert len(audio) == pytest.approx(PIECE * 10, abs=40)
    assert np.all(np.diff(audio[20:].astype(int)) >= 0)
    assert [piece.at_s for piece in got] == sorted(piece.at_s for piece in got)


def test_pieces_that_nobody_takes_are_bounded_and_counted() -> None:
    sound = DirectionSound(MixedOriginal(), lambda piece: None, lambda at_s, until_s: None)
    sound.connect(RATE, RATE)
    for number in range(600):
        sound.record(np.zeros(PIECE, np.float32), number * PIECE_MS / 1000)
    assert sound.pieces_lost > 50
