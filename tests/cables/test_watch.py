"""Removed devices, moved streams and a dead server, on a real PulseAudio."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from parley.cables.sound_server import SoundServer, SoundServerUnavailable, SoundStream
from parley.cables.watch import (
    LONGEST,
    DeviceBack,
    DeviceGone,
    DeviceWatch,
    ServerBack,
    ServerGone,
    StreamMoved,
    WatchReport,
)
from tests.cables.conftest import load_sink, pactl, playing
from tests.talk.virtual_room import Room

SOON_S = 0.2


async def within(watch: DeviceWatch, seconds: float = 5.0) -> WatchReport:
    return await asyncio.wait_for(watch.next_report(), seconds)


@pytest.fixture
async def quiet_loop() -> None:
    """The sound server's commands block the loop of these tests for some tenths of a second."""
    asyncio.get_running_loop().slow_callback_duration = 10


async def test_a_stream_that_was_moved_is_reported_at_once(room: Room, quiet_loop: None) -> None:
    module = load_sink("for_the_call", "For the call")
    with playing("for_the_call") as process:
        async with DeviceWatch({"for_the_call"}, process) as watch:
            await asyncio.to_thread(pactl, "unload-module", module)
            done_s = time.monotonic()
            moved = await within(watch)
            late_s = time.monotonic() - done_s
            assert isinstance(moved, StreamMoved)
            assert (moved.opened_on, moved.stream.process, moved.astray) == ("for_the_call", process, True)
            assert moved.now_on in ("speakers", "mic")
            assert await within(watch) == DeviceGone("for_the_call")
            assert late_s < SOON_S
            await asyncio.to_thread(load_sink, "for_the_call", "For the call")
            assert await within(watch) == DeviceBack("for_the_call")
            await asyncio.to_thread(pactl, "move-sink-input", str(moved.stream.index), "for_the_call")
            back = await within(watch)
            assert isinstance(back, StreamMoved)
            assert not back.astray


async def test_streams_of_other_programs_and_devices_that_were_not_named_are_not_reported(
    room: Room, quiet_loop: None
) -> None:
    module = load_sink("other", "Other")
    with playing("other"):
        async with DeviceWatch({"mic"}, os.getpid()) as watch:
            await asyncio.to_thread(pactl, "unload-module", module)
            await asyncio.to_thread(load_sink, "mic2", "Another")
            with pytest.raises(asyncio.TimeoutError):
                await within(watch, 0.5)


async def test_a_device_that_is_recreated_in_one_moment_is_reported(room: Room, quiet_loop: None) -> None:
    module = load_sink("quick", "Quick")
    async with DeviceWatch({"quick"}) as watch:
        await asyncio.to_thread(
            subprocess.run,
            f"pactl unload-module {module}; pactl load-module module-null-sink sink_name=quick",
            shell=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        reports = [await within(watch)]
        if reports[0] == DeviceGone("quick"):
            reports.append(await within(watch))
        assert reports[-1] == DeviceBack("quick")


async def test_the_end_and_the_return_of_the_sound_server_are_reported(room: Room, quiet_loop: None) -> None:
    async with DeviceWatch({"mic"}) as watch:
        for _ in range(2):
            began_s = time.monotonic()
            await asyncio.to_thread(room.stop)
            assert isinstance(await within(watch), ServerGone)
            assert time.monotonic() - began_s < 2
            await asyncio.to_thread(room.start)
            assert await within(watch) == ServerBack()
            assert await within(watch) == DeviceBack("mic")


async def test_a_watch_may_begin_before_the_sound_server(room: Room, quiet_loop: None) -> None:
    room.stop()
    async with DeviceWatch({"mic"}) as watch:
        assert isinstance(await within(watch), ServerGone)
        await asyncio.to_thread(room.start)
        assert await within(watch) == ServerBack()


async def test_leaving_ends_the_thread_at_once(room: Room, quiet_loop: None) -> None:
    for _ in range(20):
        async with DeviceWatch():
            pass
    assert "device-watch" not in [thread.name for thread in threading.enumerate()]


async def test_reports_that_nobody_reads_are_bounded_and_counted(room: Room, quiet_loop: None) -> None:
    async with DeviceWatch() as watch:
        for number in range(LONGEST + 3):
            watch._report(DeviceGone(str(number)))
        assert watch.lost == 3
        assert await within(watch) == DeviceGone("3")


async def test_without_the_library_entering_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(SoundServerUnavailable, match="on Linux only"):
        async with DeviceWatch():
            pass


async def test_a_stream_that_is_without_a_device_for_a_moment_is_reported_as_moved(own_folders: Path) -> None:
    """PipeWire takes a stream from its device first; these are the states that it shows."""
    watch = DeviceWatch(process=7)
    for device in ("for_the_call", "", "", "headphones", "for_the_call"):
        stream = SoundStream(3, "output", device, 7)
        watch._compare_streams(SoundServer("PulseAudio (on PipeWire 1.0)", "15", "1", "", "", (), (stream,)))
    reports = [await within(watch) for _ in range(2)]
    assert [(type(each), each.opened_on, each.now_on) for each in reports if isinstance(each, StreamMoved)] == [
        (StreamMoved, "for_the_call", "headphones"),
        (StreamMoved, "for_the_call", "for_the_call"),
    ]
    with pytest.raises(asyncio.TimeoutError):
        await within(watch, 0.05)
