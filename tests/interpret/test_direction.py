"""A direction between scripted sessions and the sound of no device: sessions replaced in order, nothing stale, nothing lost, nothing that
concerns the other direction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np

from parley.audio.resampling import resample_int16
from parley.audio.types import Int16, Samples
from parley.engines.vad.silero import SileroVad
from parley.engines.vc.bench import BenchConverter
from parley.interpret.direction import CallDirection, DirectionListener, DirectionPlan
from parley.interpret.ports import WIRE_RATE, CaptionLine, RouteWishes
from parley.interpret.sound import SoundPiece
from parley.interpret.updates import ClauseReport, Drifted, SourceText, TargetAudio, TargetText
from tests.interpret.played_route import GONE, WRONG_KEY, PlayedRoute

LIMIT_S = 20.0


class Ear:
    """What a direction tells."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []
        self.heard: list[Int16] = []
        self.lines: list[tuple[str, str]] = []

    def listener(self) -> DirectionListener:
        return DirectionListener(
            note=lambda level, message: self.notes.append((level, message)),
            changed=lambda: None,
            captured=lambda audio, at_s: None,
            heard=lambda audio, at_s: self.heard.append(audio),
            played=lambda piece: None,
            settled=self.settled,
        )

    def settled(self, side: str, line: CaptionLine) -> None:
        self.lines.append((side, line.text))

    def noted(self, part: str) -> bool:
        return any(part in message for _, message in self.notes)


@asynccontextmanager
async def running(route: PlayedRoute, **plan: object) -> AsyncIterator[tuple[CallDirection, Ear, asyncio.Task[None]]]:
    vad = SileroVad()
    await vad.open()
    ear = Ear()
    chosen = DirectionPlan("forward", route, RouteWishes("es", "en"), **plan)  # type: ignore[arg-type]
    direction = CallDirection(chosen, vad, ear.listener())
    direction.device_names = ("microphone", "cable")
    task = asyncio.create_task(direction.run())
    try:
        yield direction, ear, task
    finally:
        direction.stop()
        for link in route.links:
            if not link.ended.is_set():
                link.break_off()
        async with asyncio.timeout(LIMIT_S):
            await asyncio.wait((task,))
        await vad.close()
        task.result()


def speak(direction: CallDirection, seconds: float, at_s: float | None = None, sound: Int16 | int = 1) -> None:
    """So much captured sound, whose last sample is `at_s` (now): `sound`, or a level."""
    end_s = time.monotonic() if at_s is None else at_s
    count = round(seconds * 100)
    piece = WIRE_RATE // 100
    for number in range(count):
        audio = np.full(piece, sound, np.int16) if isinstance(sound, int) else sound[number * piece :][:piece]
        direction._on_piece(SoundPiece("captured", audio, WIRE_RATE, end_s - (count - 1 - number) / 100))


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not seen():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def test_what_is_said_goes_to_the_session_and_what_it_says_is_shown_and_played() -> None:
    route = PlayedRoute()
    async with running(route) as (direction, _, _):
        link = await route.link(0)
        speak(direction, 1.0)
        assert link.seconds == 1.0
        link.say(
            SourceText("Hola. "), TargetText("Hello. ", ends=True), TargetAudio(np.full(2_400, 9_000, np.int16), 400)
        )
        await until(lambda: direction.sound.speaking)
        assert [line.text for line in direction.target] == ["Hello."]
        assert direction.source[0].text.strip() == "Hola."
        assert direction.figures.clauses == 1


async def test_a_lost_session_is_replaced_and_old_speech_is_left_out_aloud(
    speech: Callable[[str], tuple[Int16, int]],
) -> None:
    pcm, rate = speech("beckett")
    said = resample_int16(pcm, rate, WIRE_RATE)
    route = PlayedRoute()
    async with running(route) as (direction, ear, _):
        first = await route.link(0)
        route.refusals.append(GONE)
        first.break_off()
        await first.ended.wait()
        now_s = time.monotonic()
        speak(direction, 4.0, now_s - 4.0, said)
        speak(direction, 2.0, now_s, sound=7)
        second = await route.link(1)
        await until(lambda: bool(second.sent))
        # Nothing older than three seconds, so nothing of the first four.
        assert set(np.unique(second.audio)) <= {7}
        assert 0 < second.seconds <= 2.0
        assert ear.noted("left out")
        assert 2.0 < direction.figures.dropped_s < 4.1
        assert direction.figures.reconnects == 1


async def test_a_refused_key_ends_the_direction_with_its_reason() -> None:
    route = PlayedRoute(refusals=[WRONG_KEY])
    async with running(route) as (direction, ear, task):
        async with asyncio.timeout(LIMIT_S):
            await task
        assert direction.state == "stopped"
        assert ear.notes == [("error", "The server refuses the key. Name another.")]
        assert route.attempts == 1


async def test_a_session_that_expires_hands_over_and_nothing_is_heard_out_of_order() -> None:
    route = PlayedRoute(expires_in_s=5.0)
    async with running(route) as (direction, ear, _):
        first = await route.link(0)
        speak(direction, 0.5)
        second = await route.link(1)
        await until(lambda: first.finished)
        speak(direction, 0.5, sound=2)
        assert first.seconds == 0.5
        assert second.seconds == 0.5
        second.say(TargetText("second. ", ends=True))
        first.say(TargetText("first. ", ends=True))
        await until(lambda: bool(direction.target))
        first.break_off("closed")
        await until(lambda: len(direction.target) == 2)
        assert [line.text for line in direction.target] == ["first.", "second."]
        assert direction.figures.reconnects == 0
        assert not any(level != "note" for level, _ in ear.notes)


async def test_mute_sends_silence_and_not_nothing() -> None:
    route = PlayedRoute()
    async with running(route) as (direction, _, _):
        link = await route.link(0)
        direction.close_for("muted", True)
        assert direction.state == "muted"
        speak(direction, 0.5, sound=500)
        assert link.seconds == 0.5
        assert not link.audio.any()
        direction.close_for("muted", False)
        speak(direction, 0.5, sound=500)
        assert link.audio[-1] == 500


async def test_another_source_language_opens_another_session_and_another_target_does_not() -> None:
    route = PlayedRoute()
    async with running(route) as (direction, _, _):
        first = await route.link(0)
        direction.set_languages("es", "fr")
        assert first.targets == ["fr"]
        direction.set_languages("de", "fr")
        second = await route.link(1)
        assert (second.wishes.source, second.wishes.target) == ("de", "fr")
        await until(lambda: first.finished)


async def test_the_end_of_the_call_waits_for_the_last_words() -> None:
    route = PlayedRoute()
    async with running(route) as (direction, ear, task):
        link = await route.link(0)
        speak(direction, 0.3)
        direction.stop()
        await until(lambda: link.finished)
        link.say(TargetText("The last words."))
        link.break_off("closed")
        async with asyncio.timeout(LIMIT_S):
            await task
        assert ("target", "The last words.") in ear.lines


async def test_what_differs_is_marked_and_a_drift_shows_the_source() -> None:
    route = PlayedRoute()
    async with running(route) as (direction, _, _):
        link = await route.link(0)
        link.say(TargetText("We are people. "), ClauseReport("Somos 25.", "We are people.", 10, "translated", ("25",)))
        link.say(Drifted("¿Qué hora es?", "I cannot tell the time.", "an answer", again=False))
        await until(lambda: direction.figures.drifts == 1)
        shown = [(line.text.strip(), line.marks) for line in direction.target]
        assert ("We are people.", ("25",)) in shown
        assert any("¿Qué hora es?" in text and marks for text, marks in shown)


class _Failing(BenchConverter):
    """A converter of one voice whose streams fail at once."""

    def open_stream(self, spec: object) -> object:  # type: ignore[override]
        from parley.engines.ports import EngineError

        class Stream:
            async def convert(self, audio: Samples) -> Samples:
                raise EngineError("It is broken.", code="broken")

            async def finish(self) -> Samples:
                raise EngineError("It is broken.", code="broken")

            def close(self) -> None: ...

        return Stream()


async def test_a_converter_that_fails_costs_the_other_voice_and_not_the_speech() -> None:
    route = PlayedRoute()
    converter = _Failing(50, 0)
    await converter.open()
    async with running(route, converter=converter) as (direction, ear, _):
        link = await route.link(0)
        for _ in range(3):
            link.say(TargetAudio(np.full(12_000, 9_000, np.int16), 400))
        await until(lambda: direction.sound.queue_ms >= 1_499)
        assert len([level for level, _ in ear.notes if level == "warning"]) == 1
    await converter.close()


async def test_captions_alone_play_nothing() -> None:
    route = PlayedRoute()
    async with running(route, spoken=False) as (direction, _, _):
        link = await route.link(0)
        link.say(TargetAudio(np.full(2_400, 9_000, np.int16), 400), TargetText("Hello."))
        await until(lambda: bool(direction.target))
        assert not direction.sound.speaking


async def test_a_translation_that_a_device_did_not_play_in_time_is_counted() -> None:
    route = PlayedRoute()
    async with running(route) as (direction, _, _):
        link = await route.link(0)
        direction.sound.connect(WIRE_RATE, WIRE_RATE)
        link.say(TargetAudio(np.full(WIRE_RATE, 9_000, np.int16), 400))
        await until(lambda: direction.sound.queue_ms > 900)
        began_s = time.monotonic()
        direction.sound.record(np.zeros(240, np.float32), began_s)
        direction.sound.play(240, began_s + 1)
        direction.sound.play(240, began_s + 9)
        link.say(TargetAudio(np.full(WIRE_RATE, 9_000, np.int16), 800))
        await until(lambda: direction.figures.dropped_s > 0.9)
