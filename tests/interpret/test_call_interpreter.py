"""Both directions together: each on its own, and what concerns the two of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from parley.engines.vad.silero import SileroVad
from parley.interpret.call import CallInterpreter, CallPlan
from parley.interpret.consent import SPOKEN, spoken_notice
from parley.interpret.cost import CostMeter
from parley.interpret.desk import (
    CableInput,
    CableOutput,
    ForwardDevices,
    HeadphonesOutput,
    MicrophoneInput,
    ReverseDevices,
    SoundDesk,
)
from parley.interpret.device_names import NamedDevice, Use
from parley.interpret.direction import DirectionPlan
from parley.interpret.figures import DirectionAccount
from parley.interpret.ports import WIRE_RATE, CallNote, RouteWishes
from parley.interpret.sound import SoundPiece
from parley.interpret.speech_gate import FRAMES_TO_BEGIN, SpeechGate
from parley.interpret.updates import DirectionName
from parley.talk.devices import DevicesUnavailable
from tests.interpret.played_route import WRONG_KEY, PlayedRoute

LIMIT_S = 20.0


class NoDevices:
    """A machine whose devices are all missing: the directions run without sound."""

    silence_s = 1.0
    opened_by_name = True

    def resolve(self, wanted: str, use: Use) -> NamedDevice:
        raise DevicesUnavailable(f"This machine has no {use}.", "Connect one.")

    def trouble(self, device: NamedDevice) -> str | None:
        return None


class Watching:
    def __init__(self) -> None:
        self.notes: list[CallNote] = []

    def changed(self, name: DirectionName) -> None: ...

    def noted(self, note: CallNote) -> None:
        self.notes.append(note)

    def ticked(self) -> None: ...

    def saw(self, part: str) -> bool:
        return any(part in note.message for note in self.notes)


def plan(forward: PlayedRoute, reverse: PlayedRoute, **more: object) -> CallPlan:
    return replace(
        CallPlan(
            (
                DirectionPlan("forward", forward, RouteWishes("es", "en")),
                ForwardDevices(MicrophoneInput(), CableOutput("cable")),
            ),
            (
                DirectionPlan("reverse", reverse, RouteWishes("en", "es")),
                ReverseDevices(CableInput("call"), HeadphonesOutput()),
            ),
        ),
        **more,  # type: ignore[arg-type]
    )


@asynccontextmanager
async def calling(chosen: CallPlan) -> AsyncIterator[tuple[CallInterpreter, Watching, asyncio.Task[None]]]:
    vad = SileroVad()
    await vad.open()
    view = Watching()
    call = CallInterpreter(chosen, view, vad, SoundDesk(NoDevices()))
    task = asyncio.create_task(call.run())
    try:
        yield call, view, task
    finally:
        call.stop()
        routes = [each[0].route for each in (chosen.forward, chosen.reverse) if each is not None]
        for route in routes:
            assert isinstance(route, PlayedRoute)
            for link in route.links:
                link.break_off()
        async with asyncio.timeout(LIMIT_S):
            await task
        await vad.close()


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not seen():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


def speak(call: CallInterpreter, name: DirectionName, seconds: float, value: int = 100) -> None:
    piece = np.full(WIRE_RATE // 100, value, np.int16)
    for _ in range(round(seconds * 100)):
        call.working[name]._on_piece(SoundPiece("captured", piece, WIRE_RATE, time.monotonic()))


async def test_a_direction_that_fails_leaves_the_other_running() -> None:
    forward, reverse = PlayedRoute(refusals=[WRONG_KEY]), PlayedRoute()
    async with calling(plan(forward, reverse)) as (call, view, task):
        await until(lambda: call.working["forward"].failed != "")
        link = await reverse.link(0)
        speak(call, "reverse", 0.5)
        assert link.seconds == 0.5
        assert not task.done()
        assert any(note.level == "error" and note.direction == "forward" for note in view.notes)


async def test_a_fault_in_one_direction_leaves_the_other_running() -> None:
    forward, reverse = PlayedRoute(refusals=[ZeroDivisionError("a bug")]), PlayedRoute()
    async with calling(plan(forward, reverse)) as (call, view, task):
        await until(lambda: view.saw("ZeroDivisionError"))
        link = await reverse.link(0)
        speak(call, "reverse", 0.5)
        assert link.seconds == 0.5
        assert not task.done()


async def test_missing_devices_are_said_once_and_the_call_goes_on() -> None:
    forward, reverse = PlayedRoute(), PlayedRoute()
    async with calling(plan(forward, reverse)) as (call, view, _):
        await until(lambda: view.saw("no microphone") and view.saw("no from call"))
        await asyncio.sleep(0.05)
        assert sum("no microphone" in note.message for note in view.notes) == 1
        assert call.directions["forward"].state == "no device"


async def test_the_cap_on_the_cost_ends_the_call() -> None:
    forward, reverse = PlayedRoute(), PlayedRoute()
    async with calling(plan(forward, reverse, price_per_minute=6.0, cost_cap=0.3)) as (call, view, task):
        await forward.link(0)
        speak(call, "forward", 2.0)
        assert not view.saw("spent")
        speak(call, "reverse", 0.5)
        assert view.saw("0.24 of at most 0.30 USD spent")
        speak(call, "forward", 0.6)
        for link in (await forward.link(0), await reverse.link(0)):
            link.break_off()
        async with asyncio.timeout(LIMIT_S):
            await task
        assert view.saw("nothing more is translated")


async def test_push_to_talk_the_panic_key_and_mute_open_and_close_the_microphone() -> None:
    forward, reverse = PlayedRoute(), PlayedRoute()
    async with calling(plan(forward, reverse, push_to_talk=True)) as (call, view, _):
        link = await forward.link(0)
        speak(call, "forward", 0.1)
        assert not link.audio.any()
        call.press_key()
        speak(call, "forward", 0.1)
        assert link.audio[-1] == 100
        call.toggle_push_to_talk()
        assert call.talking
        call.toggle_panic()
        mix = call.working["forward"].plan.mix
        assert (call.panic, mix.raw) == (True, True)
        assert view.saw("Your own voice goes to the call.")
        call.toggle_mute("forward")
        assert mix.closed
        call.toggle_mute("forward")
        call.toggle_panic()
        assert (call.panic, mix.raw) == (False, False)
        call.set_languages("de", "fr")
        assert call.directions["reverse"].wishes == RouteWishes("fr", "de")
        call.set_voice("forward", "coral")
        await until(
            lambda: (
                "coral"
                in {voice for each in forward.links for voice in each.voices}
                | {call.directions["forward"].wishes.voice}
            )
        )


async def test_notes_of_the_beginning_and_the_consent_come_first() -> None:
    forward, reverse = PlayedRoute(), PlayedRoute()
    spoken = np.full(WIRE_RATE, 5_000, np.int16)
    async with calling(plan(forward, reverse, notice="Ask them.", spoken_notice=spoken)) as (call, view, _):
        await until(lambda: view.saw("Ask them."))
        assert view.notes[0].message == "Ask them."
        assert call.working["forward"].sound.queue_ms == 1_000
        call.tell("warning", "from anywhere")
        await until(lambda: view.saw("from anywhere"))


def test_the_spoken_notice_is_in_the_language_of_the_other_party() -> None:
    assert spoken_notice("pt-BR") == SPOKEN["pt"]
    assert spoken_notice("tlh") is None


def test_a_cost_meter_warns_once() -> None:
    meter = CostMeter(0.6, 1.0)
    warned = [meter.sent(10) for _ in range(10)]
    assert warned.count(True) == 1
    assert warned[7]
    assert meter.over_cap
    assert CostMeter(0).shown.spent is None


def test_speech_begins_after_three_frames_and_ends_after_the_pause() -> None:
    gate = SpeechGate(32)
    assert [gate.push(0.9) for _ in range(FRAMES_TO_BEGIN)] == [None, None, "began"]
    edges = [gate.push(0.1) for _ in range(20)]
    assert edges.index("ended") * 32 + 32 >= 384
    assert edges.count("ended") == 1
    # What is neither speech nor silence ends nothing.
    gate.push(0.9), gate.push(0.9), gate.push(0.9)
    assert not any(gate.push(0.4) for _ in range(50))
    assert gate.speaking


def test_a_pause_is_charged_with_its_own_translation() -> None:
    account = DirectionAccount()
    account.speech_began(0.0)
    account.speech_ended(2.0)
    account.speech_began(2.5)
    account.speech_ended(5.0)
    # What is heard first translates up to the first pause only, although the second one is over too.
    account.played(5.5, 1.9)
    assert account.figures().pause_p50_ms == 3_500
    account.source_text(5.6)
    account.target_text(5.7)
    account.target_audio(5.8, 5.0)
    account.played(6.0, 5.0)
    figures = account.figures()
    assert figures.last is not None
    assert round(figures.last.played_ms or 0) == 1_000
    assert round(figures.last.audio_ms or 0) == 800
    # Of the first words of each piece: 5.5 s after the beginning, 3.5 s after the second one.
    assert figures.span_p50_ms == 4_500


def test_a_translation_that_was_there_before_the_pause_counts_as_no_wait() -> None:
    account = DirectionAccount()
    account.speech_began(0.0)
    account.played(3.0, 2.9)
    account.speech_ended(3.1)
    assert account.figures().pause_p50_ms == 0


async def test_a_fault_of_a_look_is_noted_once_and_the_next_looks_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def broken(_: Watching) -> None:
        nonlocal looks
        looks += 1
        raise ZeroDivisionError("no such row")

    monkeypatch.setattr(Watching, "ticked", broken)
    async with calling(plan(PlayedRoute(), PlayedRoute())) as (_, view, _):
        await until(lambda: looks > 3)
        assert [note.message for note in view.notes if "no such row" in note.message] == [
            "A fault in the call: ZeroDivisionError: no such row."
        ]
