"""`parley interpret`, the whole of it, in a call on virtual devices: what is heard where, and what the line does when something breaks.

The other party speaks recorded English, which pocketsphinx writes down; the user's side has a recogniser that writes the same words after
every pause. Both translations are spoken by the same voice, a tone, which lasts longer in one direction: that tells them apart.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.interpret.desk import DEVICE_MS
from parley.interpret.sound import MOST_MARGIN_MS
from tests.conftest import clip_path
from tests.interpret.call_room import (
    FROM_CALL,
    HEADPHONES,
    START_S,
    TO_CALL,
    WAIT_S,
    CallRoom,
    Command,
    call_room,
    eventually,
    running,
)
from tests.talk.virtual_room import RATE, Tap

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

MINE_S, THEIRS_S = 1.5, 2.5
"""How long a translation sounds."""

CONFIGURATION = f"""
default_pipeline = "theirs"

[interpret]
mine = "x-bench"
theirs = "en"
microphone = "Desk microphone"
headphones = "Test headphones"
pipeline_forward = "mine"

[pipelines.theirs]
stt = "pocketsphinx"
mt = "bench"
llm = "bench"
tts = "bench"
tts_options = {{ chunks = {THEIRS_S * 10:.0f} }}

[pipelines.mine]
language = "x-bench"
stt = "bench"
stt_options = {{ text = "olleh ereht" }}
mt = "bench"
llm = "bench"
tts = "bench"
tts_options = {{ chunks = {MINE_S * 10:.0f} }}
"""
"""What the user says is understood as "olleh ereht", which is "hello there" in the language of the test translator."""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CallRoom]:
    folder = tmp_path_factory.mktemp("call")
    (folder / "parley.toml").write_text(CONFIGURATION)
    with call_room(folder) as room:
        room.cables()
        yield room


@pytest.fixture(scope="module")
def call(room: CallRoom) -> Iterator[Command]:
    """One call for all that can be tried in one, in both directions."""
    with running(room, "interpret", "--plain") as call:
        both_listen(call, patience_s=START_S)
        yield call


def both_listen(call: Command, since: int = 0, patience_s: float = 30) -> None:
    for who in ("you", "them"):
        call.wait_for(f"{who}: listening", since=since, patience_s=patience_s)


def heard_s(tap: Tap, from_s: float = 0.0, to_s: float = float("inf")) -> float:
    """How much sound began in that time, the gaps between its parts left out."""
    return sum(end - begin for begin, end in tap.spans() if from_s <= begin < to_s)


def is_heard(tap: Tap, seconds: float, from_s: float = 0.0) -> None:
    """Waits until so much sound has come. A busy machine makes gaps, between which the sound seems to be over."""
    eventually(lambda: heard_s(tap, from_s) > seconds - 0.15, f"not all of it is heard: {tap.spans()}")


def about(seconds: float) -> object:
    """So long, or with the short gaps that a busy machine makes; nothing may be missing."""
    return pytest.approx(seconds + 0.35, abs=0.5)


def loudest(tap: Tap) -> int:
    _, audio = tap.sound()
    assert len(audio) > RATE / 2, "nothing was recorded"
    return int(np.abs(audio.astype(np.int32)).max())


# --- in a call that goes well ------------------------------------------------------------------------------------------------


def test_the_other_party_is_read_and_heard_in_the_headphones_and_not_in_the_call(room: CallRoom, call: Command) -> None:
    since = call.mark()
    with room.tapped(HEADPHONES, TO_CALL) as (headphones, cable):
        room.says(FROM_CALL, clip_path("hello_world")).wait()
        call.wait_for("them, English:", "hello world", since=since)
        call.wait_for("them, x-bench:", "dlrow", since=since)
        call.wait_for_speech("them", since)
        is_heard(headphones, THEIRS_S)
    assert heard_s(headphones) == about(THEIRS_S)
    assert loudest(cable) == 0
    assert call.count("you: speaking", since=since) == 0


def test_both_directions_at_once_in_the_same_voice_reach_only_those_whom_they_are_for(
    room: CallRoom, call: Command
) -> None:
    since = call.mark()
    with room.tapped(HEADPHONES, TO_CALL) as (headphones, cable):
        speaking = [room.says(sink, clip_path("hello_world")) for sink in (FROM_CALL, "mic")]
        for each in speaking:
            each.wait()
        for who in ("you", "them"):
            call.wait_for_speech(who, since)
        call.wait_for("you, English:", "hello there", since=since)
        call.wait_for("them, x-bench:", "dlrow", since=since)
        is_heard(headphones, THEIRS_S)
        is_heard(cable, MINE_S)
    assert heard_s(headphones) == about(THEIRS_S)
    assert heard_s(cable) == about(MINE_S)


def test_the_raw_voice_is_let_through_with_little_delay(room: CallRoom, call: Command, tmp_path: Path) -> None:
    since = call.mark()
    call.type("/p")
    call.wait_for("you: raw voice", since=since)
    with room.tapped("mic", TO_CALL, HEADPHONES) as (said, heard, headphones):
        room.says("mic", bursts(tmp_path / "bursts.wav")).wait()
        eventually(lambda: len(heard.spans(0.05)) >= len(BURSTS), "the raw voice was not heard")
    call.type("/p")
    call.wait_for("raw voice ended", since=since)
    (into_s, into), (out_s, out) = said.sound(), heard.sound()
    delay = 1000 * (out_s - into_s) + delay_ms(into, out)
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)
    assert 0 < delay < 2 * DEVICE_MS + ADDED_MS + (MOST_MARGIN_MS if busy else 0)
    assert loudest(headphones) == 0


ADDED_MS = 60
"""What the client may add to the delay of the two devices, of each of which `DEVICE_MS` is asked. Gaps on a busy machine add to it."""

BURSTS = [(0.3, 0.5), (0.8, 1.0), (1.4, 2.1), (2.3, 2.4), (2.9, 3.3)]
"""From when to when there is sound: nowhere else does the pattern fit."""


def bursts(path: Path) -> Path:
    at_s = np.arange(round(3.4 * RATE)) / RATE
    loud = np.zeros(len(at_s))
    for begin, end in BURSTS:
        loud = np.maximum(loud, np.clip(np.minimum(at_s - begin, end - at_s) / 0.005, 0.0, 1.0))
    noise = np.random.default_rng(1).normal(0, 3_000, len(at_s))
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE)
        wav.writeframes((loud * noise).astype("<i2").tobytes())
    return path


def delay_ms(into: NDArray[np.int16], out: NDArray[np.int16]) -> float:
    """By which one follows the other, sample for sample."""
    size = 1 << (len(into) + len(out)).bit_length()
    fit = np.fft.irfft(np.fft.rfft(out.astype(float), size) * np.conj(np.fft.rfft(into.astype(float), size)))
    at = int(np.argmax(np.abs(fit)))
    return 1000 * (at if at < size / 2 else at - size) / RATE


# --- devices that go and come ------------------------------------------------------------------------------------------------

LEAK_S = 0.12
"""The sound server moves a stream whose device goes, before anybody is told: so long it may be heard elsewhere."""


def unload(room: CallRoom, argument: str) -> None:
    """Remove a device at once."""
    modules = [line.split()[0] for line in room.pactl("list", "short", "modules").splitlines() if argument in line]
    assert len(modules) == 1
    room.pactl("unload-module", modules[0])


def test_a_cable_that_is_removed_while_a_translation_sounds_is_waited_for_and_used_again(
    room: CallRoom, call: Command
) -> None:
    since = call.mark()
    with room.tapped(HEADPHONES) as (headphones,):
        room.says("mic", clip_path("hello_world")).wait()
        call.wait_for("you: speaking", since=since)
        unload(room, "sink_name=parley_mic_sink")
        call.wait_for("warning, you", "parley_mic_sink is gone", since=since)
        call.wait_for("error, you", "`parley cables create`", since=since)
        # Meanwhile the other direction goes on.
        other_s = time.monotonic()
        room.says(FROM_CALL, clip_path("hello_world")).wait()
        call.wait_for_speech("them", since)
        is_heard(headphones, THEIRS_S, other_s)
    assert heard_s(headphones, other_s) == about(THEIRS_S)
    assert heard_s(headphones, 0, other_s) < LEAK_S
    room.cables()
    call.wait_for("note, you: again Desk microphone", since=since, patience_s=8)
    call.wait_for("warning, you: The cable Parley microphone was made again", since=since)
    since = call.mark()
    with room.tapped(TO_CALL) as (cable,):
        room.says("mic", clip_path("hello_world")).wait()
        call.wait_for_speech("you", since)
        is_heard(cable, MINE_S)


def test_headphones_that_are_unplugged_never_put_a_translation_into_the_call(room: CallRoom, call: Command) -> None:
    since = call.mark()
    # The sound server would move the sound to the default device: here that is the cable into the call, the worst one.
    room.pactl("set-default-sink", TO_CALL)
    with room.tapped(TO_CALL) as (cable,):
        room.says(FROM_CALL, clip_path("hello_world")).wait()
        call.wait_for("them: speaking", since=since)
        unload(room, f"sink_name={HEADPHONES}")
        call.wait_for("warning, them", f"{HEADPHONES} is gone", since=since)
        call.wait_for("error, them", "no output device 'Test headphones'", since=since)
        other_s = time.monotonic()
        room.says("mic", clip_path("hello_world")).wait()
        call.wait_for_speech("you", since)
        is_heard(cable, MINE_S, other_s)
    assert heard_s(cable, other_s) == about(MINE_S)
    assert heard_s(cable, 0, other_s) < LEAK_S
    since = call.mark()
    room.plug_in_headphones()
    call.wait_for("note, them: again", "-> Test headphones", since=since, patience_s=8)
    # With its default device the sound server moves what was on the old one, and that is Parley's sound for the call.
    call.wait_for("warning, you: The sound server moved the sound of parley_mic_sink to phones", since=since)
    both_listen(call, since)


def test_a_microphone_that_is_unplugged_is_said_and_used_again_when_it_is_back(room: CallRoom, call: Command) -> None:
    since = call.mark()
    room.unplug_microphone()
    call.wait_for("warning, you", "realmic is gone", since=since, patience_s=3)
    call.wait_for("you: no device", since=since)
    room.plug_in_microphone()
    call.wait_for("note, you: again Desk microphone", since=since, patience_s=5)
    call.wait_for("you: listening", since=since)
    assert call.count("them: no device", since=since) == 0
    since = call.mark()
    room.says("mic", clip_path("hello_world")).wait()
    call.wait_for_speech("you", since)


def test_a_sound_server_that_is_started_again_gets_its_call_back(room: CallRoom, call: Command) -> None:
    since = call.mark()
    room.stop()
    for who in ("you", "them"):
        call.wait_for(f"{who}: no device", since=since)
        call.wait_for(f"warning, {who}", "The sound server is gone", since=since)
    room.start()
    room.cables()
    call.wait_for("note, you: again Desk microphone -> Parley microphone feed", since=since)
    call.wait_for("note, them: again Monitor of Parley call -> Test headphones", since=since)
    both_listen(call, since)
    call.wait_for("warning, them: The cable Parley call was made again", since=since)
    since = call.mark()
    with room.tapped(HEADPHONES, TO_CALL) as (headphones, cable):
        speaking = [room.says(sink, clip_path("hello_world")) for sink in (FROM_CALL, "mic")]
        for each in speaking:
            each.wait()
        for who in ("you", "them"):
            call.wait_for_speech(who, since)
        is_heard(headphones, THEIRS_S)
        is_heard(cable, MINE_S)


def test_a_call_that_went_through_all_that_ends_at_once_with_its_figures(call: Command) -> None:
    since = call.mark()
    assert call.leave() == 0
    call.wait_for("interpreted for", since=since)
    assert "Traceback" not in call.text
    assert call.count("A fault ended") == 0


# --- a server that goes and comes ----------------------------------------------------------------------------------------------


@contextmanager
def serving(room: CallRoom, port: int, *, key: str, sessions: int = 10) -> Iterator[Command]:
    """A server in a process of its own, with both pipelines."""
    room.environment |= {"PARLEY_API_KEY": key, "PARLEY_MAX_SESSIONS": str(sessions), "PARLEY_SHUTDOWN_GRACE_S": "0"}
    try:
        with running(room, "serve", "--port", str(port)) as server:
            server.wait_for("Parley listens on", patience_s=START_S)
            yield server
    finally:
        for name in ("PARLEY_API_KEY", "PARLEY_MAX_SESSIONS", "PARLEY_SHUTDOWN_GRACE_S"):
            room.environment.pop(name)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_a_full_a_frozen_a_killed_and_a_locked_server_are_said_and_nothing_old_is_spoken(room: CallRoom) -> None:
    port, clip = free_port(), clip_path("hello_world")
    there = ("interpret", "--plain", "--url", f"ws://127.0.0.1:{port}", "--api-key-env", "CALL_KEY")
    room.environment["CALL_KEY"] = "right"
    with contextlib.ExitStack() as calls:
        with serving(room, port, key="right", sessions=1) as server:
            call = calls.enter_context(running(room, *there))
            # One direction has the only session, the other one asks for its own again and again.
            call.wait_for("All 1 sessions are taken", "Trying again", patience_s=START_S)
            call.wait_for(": listening")
            served, sink = ("you", "mic") if "you: listening" in call.text else ("them", FROM_CALL)
            room.says(sink, clip).wait()
            call.wait_for(f"{served}: speaking")
            since = call.mark()
            server.process.kill()
            call.wait_for(f"warning, {served}: The session is lost", since=since)
        room.says(sink, clip).wait()
        call.wait_for(f"warning, {served}: Speech is being left out", "there is no connection", since=since)
        with serving(room, port, key="right") as server, room.tapped(HEADPHONES, TO_CALL) as (headphones, cable):
            both_listen(call, since)
            call.wait_for(f"note, {served}: The connection is back.", since=since)
            since = call.mark()
            room.says(sink, clip).wait()
            call.wait_for_speech(served, since)
            expected = MINE_S if served == "you" else THEIRS_S
            answering = cable if served == "you" else headphones
            is_heard(answering, expected)
            # What was said while there was no server is not spoken now: one translation is heard, that of what was said since.
            since = call.mark()
            os.kill(server.process.pid, signal.SIGSTOP)
            room.says(sink, clip).wait()
            call.wait_for(f"warning, {served}: The session is lost", "has not answered for 3 s", since=since)
            os.kill(server.process.pid, signal.SIGCONT)
            for who in ("you", "them"):
                call.wait_for(f"note, {who}: The connection is back.", since=since)
            # Nor is what waited on the way to a server that stood still.
            time.sleep(max(MINE_S, THEIRS_S))
            server.process.kill()
        assert heard_s(answering) == about(expected)
        assert heard_s(headphones if served == "you" else cable) == 0
        since = call.mark()
        with serving(room, port, key="another"):
            for who in ("you", "them"):
                call.wait_for(f"error, {who}", "refuses the key", "--api-key-env", since=since)
            assert call.process.wait(timeout=WAIT_S) == 2
            locked = room.parley(*there)
    assert locked.returncode == 2
    assert "refuses the key" in locked.stderr
    assert "Traceback" not in locked.stderr + call.text


# --- voice conversion ------------------------------------------------------------------------------------------------------------


TONE_HZ, LOW_HZ = 220, 110
"""The voice of the synthesiser, and what the built-in voice `low` makes of it."""


def conversion_child(call: Command) -> int:
    """The process that converts."""
    parent = call.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    [child] = [each for each in children if b"serve" in Path(f"/proc/{each}/cmdline").read_bytes()]
    return int(child)


def frequency(tap: Tap, from_s: float, to_s: float) -> float:
    """The strongest tone in that time of `time.monotonic()`."""
    begin_s, audio = tap.sound()
    part = audio[round((from_s - begin_s) * RATE) : round((to_s - begin_s) * RATE)].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 18))
    return float(np.argmax(spectrum)) * RATE / (1 << 18)


LONG_S = 5.0


@pytest.fixture(scope="module")
def converted_call(room: CallRoom) -> Iterator[Command]:
    """A call in which the user's translations are long and converted, and the other party is heard, too."""
    # Made as fast as it is heard, so that what is heard was converted just now.
    longer = CONFIGURATION.replace(f"chunks = {MINE_S * 10:.0f}", f"chunks = {LONG_S * 10:.0f}, pace = 1.05")
    (room.folder / "long.toml").write_text(longer)
    flags = ("--vc", "process:vocoder:low", "--original-reverse", "0.5", "--config", "long.toml")
    with running(room, "interpret", "--plain", *flags) as call:
        both_listen(call, patience_s=START_S)
        yield call


def test_a_voice_converter_that_is_killed_costs_its_voice_for_a_moment_and_no_speech(
    room: CallRoom, converted_call: Command
) -> None:
    call = converted_call
    since = call.mark()
    with room.tapped(TO_CALL) as (cable,):
        room.says("mic", clip_path("hello_world")).wait()
        since = call.wait_for("you: speaking", since=since)
        is_heard(cable, 1.0)
        killed_s = time.monotonic()
        os.kill(conversion_child(call), signal.SIGKILL)
        since = call.wait_for("The voice converter is back", since=since)
        call.wait_for("you: listening", since=since)
        is_heard(cable, LONG_S)
        ended_s = cable.spans()[-1][1]
    before = frequency(cable, killed_s - 0.5, killed_s - 0.1)
    # What was converted before is played first: when the raw voice comes depends on how much that was.
    starts_s = np.arange(killed_s, min(killed_s + 3, ended_s) - 0.25, 0.05)
    heard = [frequency(cable, start_s, start_s + 0.25) for start_s in starts_s]
    raw = min(heard, key=lambda frequency_hz: abs(frequency_hz - TONE_HZ))
    later = frequency(cable, ended_s - 0.5, ended_s - 0.1)
    assert before == pytest.approx(LOW_HZ, rel=0.1)
    assert raw == pytest.approx(TONE_HZ, rel=0.02)
    assert later == pytest.approx(LOW_HZ, rel=0.1)


def test_a_loudspeaker_that_the_microphone_hears_is_noticed_and_the_microphone_closed(
    room: CallRoom, converted_call: Command
) -> None:
    call = converted_call
    since = call.mark()
    loop = room.pactl("load-module", "module-loopback", f"source={HEADPHONES}.monitor", "sink=mic", "latency_msec=60")
    try:
        speaking = room.says(FROM_CALL, clip_path("beckett"))
        call.wait_for("error, you: Your microphone hears what your loudspeaker plays", since=since, patience_s=6)
        call.wait_for("you: muted", since=since)
        speaking.kill()
        speaking.wait()
    finally:
        room.pactl("unload-module", loop)
    assert call.leave() == 0
    assert "Traceback" not in call.text


# --- before a call ---------------------------------------------------------------------------------------------------------------


def test_the_checks_name_each_device_and_language_and_what_mends_what_is_missing(room: CallRoom) -> None:
    well = room.parley("interpret", "--check")
    assert well.returncode == 0, well.stderr
    assert [line.split(",")[0] for line in well.stdout.splitlines()] == [
        "ok    x-bench to en: bench",
        "ok    en to x-bench: pocketsphinx",
        "ok    microphone: Desk microphone",
        "ok    cable into the call: Parley microphone feed",
        "ok    cable from the call: Monitor of Parley call",
        "ok    headphones: Test headphones",
    ]
    wrong = ("--theirs", "de", "--microphone", "none such", "--headphones", "Parley microphone", "--to-call", "nothing")
    ill = room.parley("interpret", "--check", *wrong)
    assert ill.returncode == 1
    assert ill.stdout.splitlines() == [
        "FAIL  x-bench to de: the translator does not reach 'de' from there; it reaches en",
        "      `parley doctor` names the pairs that are installed; docs/translation.md says how to add one.",
        "FAIL  de to x-bench: its engines cannot be used, as said above",
        "      `parley doctor` checks each engine.",
        "FAIL  microphone: The sound server has no input device 'none such'; there are: 'Desk microphone'.",
        "      Choose one of them: --microphone.",
        "FAIL  cable into the call: There is no cable 'nothing'.",
        "      `parley cables create` makes Parley's own; --to-call names another one.",
        "ok    cable from the call: Monitor of Parley call, 48000 Hz",
        "FAIL  headphones: Parley microphone feed (as you named it) is a cable of ours: what it plays would go into the call.",
        "      Name your headphones: --headphones.",
    ]
    assert "pocketsphinx does not understand 'de'" in ill.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--mine", "en"), "Both parties speak 'en'."),
        (("--mine", "", "--theirs", ""), "Who speaks what is not said: --mine and --theirs."),
        (("--cost-cap", "5"), "A cost cap needs a price."),
    ],
)
def test_what_does_not_belong_together_is_refused_at_once(room: CallRoom, flags: tuple[str, ...], said: str) -> None:
    done = room.parley("interpret", *flags)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_the_files_of_init_are_read_and_are_not_overwritten(room: CallRoom) -> None:
    first, again = room.parley("interpret", "init", "new"), room.parley("interpret", "init", "new")
    assert first.returncode == 0, first.stderr
    assert again.returncode == 2
    assert "--force" in again.stderr
    # Its languages and engines are those of the machine; that nothing in it is refused shows in what is.
    tried = room.parley("interpret", "--config", "new/parley.toml", "--mine", "en")
    assert "Both parties speak 'en'." in tried.stderr, tried.stderr


def test_without_cables_the_call_is_listened_to_through_the_microphone(room: CallRoom) -> None:
    room.cables("remove")
    checked = room.parley("interpret", "--check")
    assert checked.returncode == 0, checked.stdout
    assert "note  cable into the call: There is no cable" in checked.stdout
    assert "`parley cables create`" in checked.stdout
    with running(room, "interpret", "--plain") as call:
        call.wait_for("warning: There is no cable into the call", "`parley cables create`", patience_s=START_S)
        since = call.wait_for("them: listening")
        with room.tapped(HEADPHONES) as (headphones,):
            room.says("mic", clip_path("hello_world")).wait()
            call.wait_for("them, x-bench:", "dlrow", since=since)
            call.wait_for_speech("them", since)
            is_heard(headphones, THEIRS_S)
        assert call.leave() == 0
    refused = room.parley("interpret", "--mode", "forward")
    assert refused.returncode == 2
    assert "cable into the call: There is no cable 'parley_mic_sink'." in refused.stderr
