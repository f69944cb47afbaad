"""The pace of a link that plays the output itself: on invented time, what goes out when, and what counts as heard."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from parley.audio import pcm
from parley.audio.even_resampling import EvenResampler
from parley.core.words.effects import Play
from parley.core.words.ids import ResponseId
from parley.core.words.settings import AudioFormat
from parley.server.links.media_format import ENCODINGS, Encoding, MediaFormat
from parley.server.links.pacing import FRAME, ClockedReports, PacedOutput, PacingClock

PCM = MediaFormat("pcm16", 24_000)
MS = 24
"""Samples."""


@dataclass(order=True)
class Ring:
    when: float
    number: int
    callback: Callable[[], object] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.cancelled = True


class HandMovedLoop:
    """Time that stands still until it is moved; `late_s` is how late each alarm rings."""

    def __init__(self, late_s: float = 0.0) -> None:
        self.now = 100.0
        self.late_s = late_s
        self._rings: list[Ring] = []
        self._count = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> Ring:
        self._count += 1
        ring = Ring(when, self._count, callback)
        heapq.heappush(self._rings, ring)
        return ring

    def run(self, seconds: float) -> None:
        """Let so much time pass, and every alarm ring in it."""
        end = self.now + seconds
        while self._rings and self._rings[0].when + self.late_s <= end:
            ring = heapq.heappop(self._rings)
            if not ring.cancelled:
                self.now = max(self.now, ring.when + self.late_s)
                ring.callback()
        self.now = max(self.now, end)

    def stand_still(self, seconds: float) -> None:
        """Nothing rings for so long: a late event loop."""
        self.now += seconds

    @property
    def waits(self) -> bool:
        return any(not ring.cancelled for ring in self._rings)


class Player:
    """A paced output with all that it sends and reports."""

    def __init__(
        self, form: MediaFormat = PCM, lead_ms: int = 100, *, whole: bool = False, late_s: float = 0.0
    ) -> None:
        self.loop = HandMovedLoop(late_s)
        self.sent: list[tuple[float, bytes]] = []
        self.heard = 0
        self.output = PacedOutput(
            form,
            lambda audio: self.sent.append((self.loop.now, audio)),
            ClockedReports(self._played),
            loop=self.loop,
            lead_ms=lead_ms,
            whole_frames=whole,
        )

    def _played(self, samples: int) -> None:
        self.heard += samples

    def say(self, ms: float, format: AudioFormat = AudioFormat.PCM16, value: int = 1) -> None:
        samples = round(ms * MS)
        audio = np.full(samples, value, np.int16).tobytes() if format is AudioFormat.PCM16 else bytes(samples // 3)
        self.output.play(Play(ResponseId("resp_1"), audio, format))

    @property
    def bytes_sent(self) -> int:
        return sum(len(audio) for _, audio in self.sent)

    @property
    def ms_sent(self) -> float:
        return self.bytes_sent / 2 / MS


def test_what_is_ahead_of_the_listener_is_the_lead_and_no_more() -> None:
    player = Player(lead_ms=100)
    player.say(1_000)
    assert player.ms_sent == pytest.approx(100, abs=10), "the lead goes out at once"
    for second in range(1, 10):
        player.loop.run(0.1)
        assert player.heard == pytest.approx(second * 100 * MS, abs=FRAME)
        assert 80 * MS <= player.bytes_sent / 2 - player.heard <= 125 * MS
    player.loop.run(0.2)
    assert player.heard == 1_000 * MS
    assert player.ms_sent == 1_000
    assert not player.loop.waits, "no timer runs where there is nothing to say"


def test_frames_of_20_ms_keep_their_pace_for_a_minute_although_each_tick_is_late() -> None:
    player = Player(lead_ms=60, late_s=0.003)
    player.say(60_000)
    player.loop.run(30.0)
    assert player.heard == pytest.approx(30_000 * MS, abs=2 * FRAME)
    player.loop.run(30.1)
    assert player.heard == 60_000 * MS
    assert {len(audio) for _, audio in player.sent} == {2 * FRAME}
    gaps = np.diff([when for when, _ in player.sent][5:])
    assert gaps.max() < 0.024, "no frame waits for a later tick"


def test_a_late_loop_is_made_up_for_with_a_burst_no_longer_than_the_lead() -> None:
    player = Player(lead_ms=100)
    player.say(5_000)
    player.loop.run(1.0)
    before = player.ms_sent
    player.loop.stand_still(0.06)
    player.loop.run(0.001)
    assert player.ms_sent - before == pytest.approx(60, abs=20), (
        "the listener has not run dry: the ticks are made up for"
    )
    before = player.ms_sent
    player.loop.stand_still(2.0)
    player.loop.run(0.001)
    assert player.ms_sent - before <= 120
    assert player.heard <= 1_200 * MS, "what was not sent was not heard"
    player.loop.run(6.0)
    assert player.heard == 5_000 * MS


def test_an_interruption_sends_nothing_more_and_counts_only_what_was_heard() -> None:
    player = Player(lead_ms=160)
    player.say(1_000)
    player.loop.run(0.5)
    player.output.stop()
    heard, sent = player.heard, player.bytes_sent
    assert heard == pytest.approx(500 * MS, abs=FRAME)
    assert sent / 2 - heard == pytest.approx(160 * MS, abs=FRAME + 1), "the lead that the listener is to drop"
    player.loop.run(1.0)
    assert (player.heard, player.bytes_sent) == (heard, sent)
    player.say(100, value=2)
    player.loop.run(0.2)
    assert player.heard - heard == 100 * MS
    assert set(player.sent[-1][1][::2]) == {2}


def test_a_short_piece_waits_for_the_rest_of_its_frame_as_long_as_the_listener_has_something_to_hear() -> None:
    player = Player(lead_ms=100)
    player.say(50)
    assert player.ms_sent == 40
    player.loop.run(0.015)
    player.say(10)
    assert player.ms_sent == 60
    assert [len(audio) for _, audio in player.sent] == [960, 960, 960]
    player.say(5)
    player.loop.run(0.2)
    assert player.ms_sent == 65, "the end is as short as it is"
    assert player.heard == 65 * MS


def test_whole_frames_are_filled_up_with_silence_that_is_not_speech() -> None:
    player = Player(MediaFormat("pcm16", 8_000), lead_ms=40, whole=True)
    player.say(50, value=1_000)
    player.loop.run(0.3)
    assert [len(audio) for _, audio in player.sent] == [320, 320, 320]
    assert player.heard == 50 * MS
    assert not player.loop.waits


def test_a_listener_that_ran_dry_begins_anew() -> None:
    player = Player(lead_ms=100)
    player.say(50)
    player.loop.run(3.0)
    assert player.heard == 50 * MS
    player.say(500)
    assert player.ms_sent - 50 == pytest.approx(100, abs=10)
    player.loop.run(0.6)
    assert player.heard == 550 * MS


def test_a_client_that_does_not_read_is_sent_nothing() -> None:
    player = Player(lead_ms=100)
    player.say(1_000)
    player.output.hold(True)
    sent = player.ms_sent
    player.loop.run(2.0)
    assert player.ms_sent == sent
    assert player.heard == sent * MS
    player.output.hold(False)
    player.loop.run(1.1)
    assert player.heard == 1_000 * MS


@pytest.mark.parametrize("form", [MediaFormat("pcmu", 8_000), MediaFormat("pcma", 8_000), MediaFormat("pcm16", 24_000)])
def test_audio_in_the_format_of_the_link_goes_out_as_it_is(form: MediaFormat) -> None:
    player = Player(form)
    assert form.native is not None
    audio = bytes(range(256)) * 10
    player.output.play(Play(ResponseId("resp_1"), audio, form.native))
    player.loop.run(1.0)
    assert b"".join(audio for _, audio in player.sent) == audio


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000])
def test_a_tone_goes_out_at_any_rate_as_long_as_it_was(encoding: Encoding, rate: int) -> None:
    form = MediaFormat(encoding, rate)
    player = Player(form)
    tone = np.sin(2 * np.pi * 440 * np.arange(12_000) / 24_000).astype(np.float32) * 0.5
    for at in range(0, len(tone), 1_111):
        player.output.play(Play(ResponseId("resp_1"), pcm.to_bytes(tone[at : at + 1_111]), AudioFormat.PCM16))
    player.loop.run(1.0)
    assert player.heard == 12_000
    heard = form.decode(b"".join(audio for _, audio in player.sent))
    assert rate / 2 <= len(heard) <= rate / 2 + rate * 0.006, "and the rest of the filter"
    middle = heard[rate // 10 : -rate // 10]
    assert float(np.sqrt(np.mean(middle**2))) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    crossings = int(np.sum((middle[:-1] < 0) & (middle[1:] >= 0)))
    assert crossings / (len(middle) / rate) == pytest.approx(440, abs=8)


def test_what_is_said_while_a_report_is_made_goes_out_in_its_order() -> None:
    player = Player(lead_ms=60)

    def answers(samples: int) -> None:
        player.heard += samples
        if player.heard == 40 * MS:
            player.say(20, value=3)

    player.output = PacedOutput(
        PCM, lambda audio: player.sent.append((0.0, audio)), ClockedReports(answers), loop=player.loop, lead_ms=60
    )
    player.say(40)
    player.loop.run(0.2)
    assert b"".join(audio for _, audio in player.sent)[-2:] == b"\3\0"
    assert player.heard == 60 * MS


def test_the_clock_rings_on_its_grid_and_never_twice_for_a_tick() -> None:
    loop = HandMovedLoop(late_s=-0.004)
    rings: list[float] = []
    clock = PacingClock(loop, lambda: rings.append(round(loop.now - 100.0, 3)))
    clock.start()
    loop.run(0.1)
    assert rings == [0.016, 0.036, 0.056, 0.076, 0.096]
    clock.stop()
    loop.run(0.1)
    assert len(rings) == 5


@pytest.mark.parametrize(("rate", "into"), [(24_000, 8_000), (24_000, 44_100), (8_000, 24_000), (24_000, 24_000)])
def test_even_resampling_gives_as_many_milliseconds_as_it_takes(rate: int, into: int) -> None:
    resampler = EvenResampler(rate, into)
    generator = np.random.default_rng(1)
    received = given = 0
    for size in generator.integers(0, 700, 200):
        received += int(size)
        given += len(resampler.push(np.zeros(size, np.float32)))
        assert given == -(-received * into // rate)
