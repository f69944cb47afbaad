"""What the sound server says, asked of a real PulseAudio."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from parley.cables import pulse
from parley.cables.pulse import PulseConnection, read_sound_server
from parley.cables.sound_server import SoundDevice, SoundServerRefused, SoundServerUnavailable
from tests.cables.conftest import load_sink, pactl, playing
from tests.talk.virtual_room import Room


def test_devices_have_their_own_names_rates_and_monitors(room: Room) -> None:
    load_sink("headset", "Kopfhörer von Zoë 日本", rate=22_050)
    server = read_sound_server()
    assert (server.name, server.pipewire, server.default_output, server.default_input) == (
        "pulseaudio", False, "speakers", "mic.monitor",
    )  # fmt: skip
    found = server.device("headset")
    assert found is not None
    assert (found.description, found.rate, found.channels, found.direction) == (
        "Kopfhörer von Zoë 日本",
        22_050,
        2,
        "output",
    )
    assert [device.rate for device in server.devices if device.name in ("mic", "speakers")] == [48_000, 48_000]
    monitor = server.device("headset.monitor")
    assert monitor is not None
    assert (monitor.direction, monitor.monitor_of, monitor.rate) == ("input", "headset", 22_050)
    assert not monitor.own_monitor


def test_streams_name_their_process_and_their_device(room: Room) -> None:
    load_sink("headset", "Headset")
    with playing("headset") as process:
        server = read_sound_server()
        (stream,) = server.streams_of(process)
        assert (stream.direction, stream.device, stream.application) == ("output", "headset", "pacat")
        assert server.streams_of() == []


def test_a_bluetooth_headset_is_told_by_what_the_server_says() -> None:
    def device(**facts: str) -> SoundDevice:
        return SoundDevice(1, facts.pop("name", "x"), "x", "output", 16_000, 1, **facts)  # type: ignore[arg-type]

    headset = device(bus="bluetooth", form_factor="headset", profile="headset_head_unit")
    assert (headset.bluetooth, headset.headphones, headset.headset_profile) == (True, True, True)
    music = device(name="bluez_output.00_11.1", form_factor="headphone", profile="a2dp-sink")
    assert (music.bluetooth, music.headphones, music.headset_profile) == (True, True, False)
    assert device(port="analog-output-headphones").headphones
    assert not device(port="analog-output-speaker", bus="pci").headphones
    assert not device(profile="headset").headset_profile


def test_without_a_server_the_error_says_how_to_start_one(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", f"unix:{own_folders}/nothing")
    with pytest.raises(SoundServerUnavailable, match=r"No sound server can be reached\..*pulseaudio --start"):
        read_sound_server()


def test_a_server_that_hangs_is_an_error_in_time(
    room: Room, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pulse, "ANSWER_S", 0.3)
    process = room._processes[0].pid
    with PulseConnection() as connection:
        connection.state()
        os.kill(process, signal.SIGSTOP)
        try:
            began_s = time.monotonic()
            for ask in (connection.state, read_sound_server):
                with pytest.raises(SoundServerUnavailable, match="does not answer"):
                    ask()
            assert time.monotonic() - began_s < 2
        finally:
            os.kill(process, signal.SIGCONT)
    assert capfd.readouterr().err == ""
    assert read_sound_server().name == "pulseaudio"


def test_a_refusal_is_told_from_an_absent_server(room: Room) -> None:
    with PulseConnection() as connection:
        with pytest.raises(SoundServerRefused, match="loading module-null-sink"):
            connection.load("module-null-sink", "no such argument")
        with pytest.raises(SoundServerRefused, match="unloading module 999"):
            connection.unload(999)
        index = connection.load("module-null-sink", "sink_name=made")
        assert (index, "module-null-sink", "sink_name=made") in [
            (module.index, module.name, module.argument) for module in connection.modules()
        ]
    assert "made" in pactl("list", "short", "sinks")


def test_what_happens_while_the_state_is_asked_for_is_not_missed(room: Room) -> None:
    ended = threading.Event()

    def watch() -> None:
        with PulseConnection() as connection:
            connection.subscribe()
            # The event lies in the connection when the question is asked, and is taken while its answer is waited for.
            pactl("load-module", "module-null-sink", "sink_name=late")
            connection.state()
            connection.wait()
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    assert ended.wait(10)
