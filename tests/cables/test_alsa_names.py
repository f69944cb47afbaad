"""The sound server's devices by name in PortAudio, on a real PulseAudio; PortAudio runs in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from parley.cables import alsa_names
from parley.cables.alsa_names import VARIABLE, AlsaPluginMissing, NoSuchDevice, expose_devices, find_exposed
from parley.cables.folders import FolderRefused
from parley.cables.sound_server import SoundDevice, SoundServer
from tests.cables.conftest import load_sink, pactl
from tests.talk.virtual_room import Room

HOSTILE = 'Zoë\'s: 2.0 "Kopfhörer" {a} # ; $x \\ 日本'


@pytest.fixture(autouse=True)
def own_process_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test names devices anew."""
    monkeypatch.setattr(alsa_names, "_given", {})
    monkeypatch.setenv(VARIABLE, "")


def run_with_portaudio(program: str) -> Any:
    """What a program prints as JSON; `exposed`, `sd`, `server()` and `pactl()` are at hand."""
    head = """
        import json, subprocess, threading
        from parley.cables.alsa_names import expose_devices
        from parley.cables.pulse import read_sound_server as server
        exposed = expose_devices()
        from parley.talk.devices import sounddevice_library
        sd = sounddevice_library()
        def pactl(*command):
            return subprocess.run(["pactl", *command], check=True, capture_output=True, text=True).stdout.strip()
        def play(name, rate, level=8000):
            def wanted(out, frames, times, status):
                out[:] = level.to_bytes(2, "little") * frames
            stream = sd.RawOutputStream(device=name, samplerate=rate, channels=1, dtype="int16", latency=0.04, callback=wanted)
            stream.start()
            return stream
        def playing_on():
            return sorted(stream.device for stream in server().streams_of() if stream.direction == "output")
    """
    code = textwrap.dedent(head) + textwrap.dedent(program)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def devices(*described: tuple[str, str], direction: str = "output") -> SoundServer:
    made = tuple(
        SoundDevice(number, name, description, direction, 48_000, 2)  # type: ignore[arg-type]
        for number, (name, description) in enumerate(described)
    )
    return SoundServer("pulseaudio", "16", "1", "", "", made, ())


def test_portaudio_lists_each_device_by_its_description(room: Room) -> None:
    load_sink("headset", "Kopfhörer von Zoë", rate=22_050)
    found = run_with_portaudio("""
        listed = {d["name"]: (d["max_input_channels"] > 0, d["max_output_channels"] > 0) for d in sd.query_devices()}
        print(json.dumps([[e.name, e.device.name, e.direction, e.rate, listed[e.name]] for e in exposed]))
    """)
    assert ["Kopfhörer von Zoë", "headset", "output", 22_050, [False, True]] in found
    assert ["Monitor of Kopfhörer von Zoë", "headset.monitor", "input", 22_050, [True, False]] in found
    # Two sinks are called "Null Output": their names tell them apart.
    assert ["Null Output (mic)", "mic", "output", 48_000, [False, True]] in found
    assert ["Null Output (speakers)", "speakers", "output", 48_000, [False, True]] in found
    assert len(found) == 6


def test_a_loudspeaker_and_a_microphone_of_one_description_are_one_device_with_both(room: Room) -> None:
    load_sink("both_out", "Both ways")
    properties = "source_properties=device.description='Both\\ ways'"
    pactl("load-module", "module-remap-source", "master=both_out.monitor", "source_name=both_in", properties)
    found = run_with_portaudio("""
        listed = [d for d in sd.query_devices() if d["name"] == "Both ways"]
        stream = play("Both ways", 48_000)
        recorded = sd.RawInputStream(device="Both ways", samplerate=48_000, channels=1, dtype="int16")
        recorded.start()
        streams = sorted((stream.direction, stream.device) for stream in server().streams_of())
        print(json.dumps([[(d["max_input_channels"] > 0, d["max_output_channels"] > 0) for d in listed], streams]))
    """)
    assert found == [[[True, True]], [["input", "both_in"], ["output", "both_out"]]]


def test_each_device_plays_and_records_at_its_own_rate_and_nowhere_else(room: Room) -> None:
    for name, rate in (("first", 16_000), ("second", 44_100)):
        load_sink(name, f"The {name}", rate=rate)
    levels = run_with_portaudio("""
        import array
        heard = {}
        def record(name, rate):
            peaks = heard.setdefault(name, [])
            def recorded(data, frames, times, status):
                peaks.append(max(map(abs, array.array("h", bytes(data)))))
            stream = sd.RawInputStream(device=name, samplerate=rate, channels=1, dtype="int16", latency=0.04, callback=recorded)
            stream.start()
            return stream
        streams = [record(e.name, e.rate) for e in exposed if e.name.startswith("Monitor of The")]
        streams.append(play("The first", 16_000))
        for _ in range(200):
            if max(heard["Monitor of The first"], default=0) > 7000:
                break
            threading.Event().wait(0.05)
        where = playing_on()
        for stream in streams:
            stream.close()
        print(json.dumps([where, {name: max(peaks, default=0) for name, peaks in heard.items()}]))
    """)
    assert levels[0] == ["first"]
    assert levels[1]["Monitor of The first"] > 7000
    assert levels[1]["Monitor of The second"] == 0


def test_a_recreated_device_is_opened_again_beside_an_open_stream_without_restarting_portaudio(room: Room) -> None:
    load_sink("lasting", "Lasting")
    load_sink("changing", "Changing")
    found = run_with_portaudio("""
        lasting, changing = play("Lasting", 48_000), play("Changing", 48_000)
        module = next(e.device.module for e in exposed if e.name == "Changing")
        pactl("unload-module", str(module))
        moved = playing_on()
        changing.close()
        try:
            play("Changing", 48_000)
            gone = "opened"
        except sd.PortAudioError:
            gone = "refused"
        pactl("load-module", "module-null-sink", "sink_name=changing", "rate=32000", "sink_properties=device.description=New")
        exposed = expose_devices()
        again = next(e for e in exposed if e.device.name == "changing")
        stream = play(again.name, again.rate)
        print(json.dumps([moved, gone, again.name, again.rate, playing_on(), lasting.active]))
    """)
    moved, gone, name, rate, now, active = found
    assert moved[0] != "changing"
    assert "changing" not in moved  # the server moved the stream, and nothing said so
    assert (gone, name, rate, now, active) == ("refused", "Changing", 32_000, ["changing", "lasting"], True)


def test_a_new_device_needs_a_restart_of_portaudio(room: Room) -> None:
    found = run_with_portaudio("""
        pactl("load-module", "module-null-sink", "sink_name=new", "sink_properties=device.description=Brandnew")
        expose_devices()
        def there():
            return "Brandnew" in [device["name"] for device in sd.query_devices()]
        before = there()
        sd._terminate()
        sd._initialize()
        print(json.dumps([before, there()]))
    """)
    assert found == [False, True]


def test_a_hostile_description_is_a_name_that_opens_its_device(room: Room) -> None:
    # PulseAudio takes no quotes from a command line: the name is given to the same code, as of a device that is there.
    found = run_with_portaudio(f"""
        import dataclasses
        from parley.cables import alsa_names
        alsa_names._given.clear()
        described = [dataclasses.replace(d, description={HOSTILE!r}) for d in server().devices if d.name == "speakers"]
        exposed = expose_devices(dataclasses.replace(server(), devices=tuple(described)))
        sd._terminate()
        sd._initialize()
        stream = play(exposed[0].name, 48_000)
        print(json.dumps([exposed[0].name, exposed[0].name in [d["name"] for d in sd.query_devices()], playing_on()]))
    """)
    assert found == ['Zoë\'s_ 2_0 "Kopfhörer" {a} # ; $x \\ 日本', True, ["speakers"]]


def test_the_file_is_private_and_goes_with_the_process(room: Room) -> None:
    left = run_with_portaudio("""
        import os
        path = os.environ["ALSA_CONFIG_PATH"].rsplit(":", 1)[1]
        expose_devices()
        print(json.dumps([path, oct(os.stat(path).st_mode & 0o777), os.environ["ALSA_CONFIG_PATH"].count(path)]))
    """)
    assert left[1:] == ["0o600", 1]
    assert not Path(left[0]).exists()


def test_a_users_own_alsa_configuration_stays_in_use(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own_folders))
    monkeypatch.setenv(VARIABLE, "/etc/mine.conf:/etc/more.conf")
    expose_devices(devices(("a", "A")))
    expose_devices(devices(("a", "A")))
    assert os.environ[VARIABLE] == f"/etc/mine.conf:/etc/more.conf:{own_folders}/parley/alsa-{os.getpid()}.conf"


@pytest.mark.parametrize(
    ("described", "names"),
    [
        ([("a", "Speaker"), ("b", "speaker")], ["Speaker (a)", "speaker (b)"]),
        ([("usb.0", "default"), ("x", "pulse")], ["default (usb_0)", "pulse (x)"]),
        ([("a", ""), ("b", "..::"), ("c", "\n\t")], ["a (a)", "____ (b)", "c (c)"]),
        ([("a", "@args Big"), ("b", "$Money")], ["args Big", "Money"]),
        ([("a", "L" * 500), ("b", "L" * 500)], ["L" * 116 + " (a)", "L" * 116 + " (b)"]),
    ],
)
def test_names_are_unique_and_none_of_alsas_own(
    own_folders: Path, monkeypatch: pytest.MonkeyPatch, described: list[tuple[str, str]], names: list[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own_folders))
    assert [each.name for each in expose_devices(devices(*described))] == names


def test_a_name_once_given_stays_while_others_come_and_go(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own_folders))
    assert [each.name for each in expose_devices(devices(("a", "USB")))] == ["USB"]
    assert [each.name for each in expose_devices(devices(("b", "USB")))] == ["USB (b)"]
    assert [each.name for each in expose_devices(devices(("a", "USB"), ("b", "USB")))] == ["USB", "USB (b)"]


def test_devices_are_found_by_any_of_their_names(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own_folders))
    exposed = expose_devices(devices(("alsa_output.usb", "USB 2.0 Audio"), ("hdmi", "USB")))
    assert find_exposed(exposed, "usb", "output").device.name == "hdmi"
    assert find_exposed(exposed, "2.0", "output").device.name == "alsa_output.usb"
    assert find_exposed(exposed, "ALSA_output.usb", "output").device.name == "alsa_output.usb"
    with pytest.raises(NoSuchDevice, match=r"no input device 'usb'; there are: none"):
        find_exposed(exposed, "usb", "input")


def test_a_missing_plugin_names_the_package(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALSA_PLUGIN_DIR", str(own_folders))
    with pytest.raises(AlsaPluginMissing, match="apt-get install libasound2-plugins"):
        expose_devices(devices(("a", "A")))


def test_a_folder_that_others_may_use_is_refused(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own_folders))
    (own_folders / "parley").mkdir(mode=0o755)
    with pytest.raises(FolderRefused, match="chmod 700"):
        expose_devices(devices(("a", "A")))
