"""`make interpret`: the call interpreter on virtual cables, on a sound server of its own, with somebody who speaks into the call.

Nothing of this machine's own sound is touched: PulseAudio runs in a folder of its own. The other party reads a recording (or `--speech`) in
English, you (where a recogniser for Portuguese is here, or `--you`) answer in Portuguese. With a terminal the dashboard is shown; Q leaves.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from parley import write_audio

TOOLS = {"pulseaudio": "pulseaudio", "pactl": "pulseaudio-utils", "paplay": "pulseaudio-utils"}
MODELS = ("moonshine:tiny-v1",)
ACCEPTED = ("bergamot:en-pt", "bergamot:pt-en")
LISTENER = "whisper:base"
SPOKEN = (
    "Bom dia. Quero falar sobre a entrega de terça-feira. Somos vinte e cinco pessoas. Você pode vir às nove horas?"
)
PARTNER = (
    "Good morning. I am calling about the delivery on Tuesday. We can be there at nine o'clock, if the road is open. "
    "How many boxes do you need, and where should we leave them? The last time nobody was at the door."
)
START_S = 120
QUIET = 200
"""Of a sample: below it there is no sound yet."""


def main() -> int:
    asked = parse_arguments()
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if missing:
        print(
            f"The demonstration needs {' and '.join(missing)}: apt-get install {' '.join(missing)} libasound2-plugins"
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="parley-call-") as name, sound_server(Path(name)) as environment:
        parley(environment, "models", "pull", *MODELS, check=False)
        parley(environment, "models", "pull", "--accept", *ACCEPTED, check=False)
        both = asked.you is not None or (
            asked.both and parley(environment, "models", "pull", LISTENER, check=False) == 0
        )
        parley(environment, "cables", "create")
        folder = Path(name)
        speech = asked.speech or reading() or spoken(environment, PARTNER, "en", folder / "partner.wav")
        answer = asked.you or (spoken(environment, SPOKEN, "pt", folder / "you.wav") if both else None)
        configuration = folder / "parley.toml"
        configuration.write_text(settings(asked.stt_mine or LISTENER, both=both), encoding="utf-8")
        ended = interpret(environment, configuration, speech, answer, asked)
    if asked.heard is not None and ended == 0:
        write_heard(asked.record, asked.heard)
    return ended


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, help="what the other party says, in English: a WAV [default: made here]")
    parser.add_argument("--you", type=Path, help="what you say, in Portuguese: a WAV [default: made here]")
    parser.add_argument(
        "--both", action="store_true", help=f"both directions: fetches {LISTENER} to understand Portuguese"
    )
    parser.add_argument("--stt-mine", metavar="ENGINE:MODEL", help="the recogniser of your Portuguese")
    parser.add_argument("--record", type=Path, help="keep the call in this folder")
    parser.add_argument("--original", type=float, help="the speaker's own voice beneath the translation, 0 to 1")
    parser.add_argument("--heard", type=Path, help="write what you heard to this file (.wav, .ogg); needs --record")
    parser.add_argument("--plain", action="store_true", help="lines instead of the dashboard")
    parser.add_argument("--seconds", type=float, help="leave by itself after so long")
    asked = parser.parse_args()
    if asked.heard is not None and asked.record is None:
        parser.error("--heard is made from the recording: name its folder with --record")
    return asked


def settings(stt_mine: str, *, both: bool) -> str:
    lines = ["[interpret]", 'mine = "pt"', 'theirs = "en"', f'mode = "{"both" if both else "listen"}"']
    lines += ['microphone = "room_microphone"', 'headphones = "room_headphones"', 'pipeline_reverse = "theirs"']
    if both:
        lines += ['pipeline_forward = "mine"', "[pipelines.mine]", f'stt = "{stt_mine}"']
    return "\n".join([*lines, "[pipelines.theirs]", 'stt = "moonshine:tiny-v1"', ""])


@contextlib.contextmanager
def sound_server(folder: Path) -> Iterator[dict[str, str]]:
    """A PulseAudio with a microphone and headphones that do not exist; yields the environment of its clients."""
    runtime = folder / "r"
    runtime.mkdir(mode=0o700)
    socket = runtime / "native"
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "PULSE_SERVER": f"unix:{socket}"}
    environment |= {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_STATE_HOME": str(folder / "state")}
    phones = "sink_properties=\"device.description='Headphones' device.form_factor='headphone'\""
    loads = (
        "module-null-sink sink_name=room_voice rate=48000",
        "module-remap-source source_name=room_microphone master=room_voice.monitor",
        f"module-null-sink sink_name=room_headphones rate=48000 {phones}",
        f"module-native-protocol-unix socket={socket} auth-anonymous=1",
    )
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-target=null"]
    daemon = subprocess.Popen([*command, *(f"--load={load}" for load in loads)], env=environment)
    try:
        for _ in range(100):
            if subprocess.run(["pactl", "info"], env=environment, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        else:
            raise SystemExit("PulseAudio did not start.")
        # A sink without a device works in blocks of up to two seconds, unless somebody wants them shorter: real headphones are not so.
        common = ["--device=room_headphones", "--latency-msec=20", "--rate=48000", "--channels=1", "/dev/zero"]
        quiet = subprocess.DEVNULL
        silence = subprocess.Popen(["pacat", *common], env=environment, stdout=quiet, stderr=quiet)
        yield environment
        silence.kill()
        silence.wait()
    finally:
        daemon.terminate()
        daemon.wait()


def parley(environment: dict[str, str], *arguments: str, check: bool = True) -> int:
    return subprocess.run(
        [sys.executable, "-m", "parley.cli.main", *arguments], env=environment, check=check, stdin=subprocess.DEVNULL
    ).returncode


def reading() -> Path | None:
    """A recorded reading, which the package of the recogniser brings along."""
    package = importlib.util.find_spec("moonshine_voice")
    folders = (package.submodule_search_locations or ()) if package is not None else ()
    found = (Path(folder) / "assets" / "two_cities.wav" for folder in folders)
    return next((path for path in found if path.exists()), None)


def spoken(environment: dict[str, str], text: str, language: str, path: Path) -> Path:
    parley(environment, "say", text, "--tts", "espeak", "--language", language, "-o", str(path))
    return path


def interpret(
    environment: dict[str, str], configuration: Path, speech: Path, answer: Path | None, asked: argparse.Namespace
) -> int:
    """The call: the interpreter in this terminal, and both people speaking as soon as it listens."""
    command = [sys.executable, "-m", "parley.cli.main", "interpret", "--config", str(configuration)]
    command += ["--plain"] if asked.plain else []
    command += ["--record", str(asked.record)] if asked.record is not None else []
    command += ["--original-reverse", str(asked.original)] if asked.original is not None else []
    call = subprocess.Popen(command, env=environment)
    talking = threading.Thread(target=talk, args=(environment, call, speech, answer), daemon=True)
    talking.start()
    try:
        if asked.seconds is None:
            return call.wait()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return call.wait(asked.seconds)
        call.send_signal(signal.SIGINT)
        return call.wait(30)
    except KeyboardInterrupt:
        return call.wait(30)


def talk(environment: dict[str, str], call: subprocess.Popen[bytes], speech: Path, answer: Path | None) -> None:
    """Speak, again and again, once the interpreter records from the cable."""
    for _ in range(START_S * 2):
        if call.poll() is not None:
            return
        shown = subprocess.run(
            ["pactl", "list", "short", "source-outputs"], env=environment, capture_output=True, check=False
        )
        if shown.stdout.strip():
            break
        time.sleep(0.5)
    people = [("parley_call", speech)] + ([("room_voice", answer)] if answer is not None else [])
    while call.poll() is None:
        for sink, path in people:
            subprocess.run(["paplay", f"--device={sink}", "--latency-msec=20", str(path)], env=environment, check=False)
            time.sleep(2)


def write_heard(folder: Path, out: Path) -> None:
    """The last of the recording's four tracks, from the first sound on."""
    with wave.open(str(folder / "audio.wav"), "rb") as file:
        frames = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
        rate = file.getframerate()
    heard = frames[:, -1].astype(np.int16)
    begin = max(0, int(np.argmax(np.abs(heard) > QUIET)) - rate // 4)
    write_audio(out, heard[begin:], rate)
    print(f"{out}: what you heard, {(len(heard) - begin) / rate:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
