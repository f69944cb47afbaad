"""A real Asterisk, as a program of its own, with the dialplan of docs/telephony.md and callers who play recordings.

A caller is one half of a Local channel, of which the dialplan has the other. It plays files all the time, as a telephone sends audio; in
`Wait` it sends nothing.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from tests.server.harness import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
RATE = 8_000
MODULES = (
    "res_timing_timerfd", "res_audiosocket", "res_clioriginate", "app_audiosocket", "app_dial", "app_exec", "app_mixmonitor",
    "app_playback", "app_senddtmf", "app_verbose", "chan_audiosocket", "codec_resample", "bridge_simple", "pbx_config", "format_wav",
    "func_uuid",
)  # fmt: skip
WIDE_SINCE = {20: 17, 21: 12, 22: 7, 23: 1}
"""The minor version of each major one whose AudioSocket says at which rate its audio is."""

CALLERS = """
[callers]
exten => listens,1,Playback({folder}/quiet)
 same => n,Goto(listens,1)
exten => asks,1,Playback({folder}/question)
 same => n,Goto(listens,1)
exten => asks_and_is_silent,1,Playback({folder}/question)
 same => n,Wait(60)
exten => presses,1,SendDTMF(12#)
 same => n,Goto(listens,1)

[recorded]
exten => _X.,1,MixMonitor({folder}/both.wav,t({folder}/heard.wav))
 same => n,Goto(parley,${{EXTEN}},1)
"""


def missing() -> str:
    """Why no Asterisk can be run here; "" where one can."""
    program = shutil.which("asterisk")
    if program is None:
        return "Asterisk is not installed: no program 'asterisk' on the PATH"
    version = subprocess.run([program, "-V"], capture_output=True, text=True, check=False).stdout.strip()
    numbers = re.match(r"Asterisk (\d+)\.(\d+)", version)
    if numbers and int(numbers[2]) < WIDE_SINCE.get(int(numbers[1]), 99 if int(numbers[1]) < 20 else 0):
        return f"{version} is older than the AudioSocket of docs/telephony.md"
    return ""


def documented(port: int) -> str:
    """The dialplan of docs/telephony.md, for a server on this port."""
    text = (ROOT / "docs" / "telephony.md").read_text()
    blocks = re.findall(r"```ini\n(\[parley\]\n.*?)```", text, re.DOTALL)
    assert len(blocks) == 1, "docs/telephony.md has one dialplan"
    dialplan: str = blocks[0]
    return dialplan.replace("127.0.0.1:9092", f"127.0.0.1:{port}")


class AsteriskDaemon:
    """`folder` holds its configuration and recordings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def command(self, line: str) -> str:
        """What its console answers."""
        process = await asyncio.create_subprocess_exec(
            "asterisk", "-C", str(self.folder / "asterisk.conf"), "-rx", line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )  # fmt: skip
        output, _ = await process.communicate()
        return output.decode(errors="replace")

    async def call(self, number: str, caller: str) -> None:
        """`caller` of `CALLERS` calls a number of the documented dialplan; what is heard is recorded."""
        await self.command(f"channel originate Local/{number}@recorded/n extension {caller}@callers")

    async def channels(self) -> list[str]:
        """The names of the channels that are up."""
        lines = (await self.command("core show channels concise")).splitlines()
        return [line.split("!")[0] for line in lines if "!" in line]

    async def caller_does(self, what: str) -> None:
        """The caller goes on with another extension of `CALLERS`."""
        await self.command(f"channel redirect {await self._caller()} callers,{what},1")

    async def caller_hangs_up(self) -> None:
        await self.command(f"channel request hangup {await self._caller()}")

    async def over(self) -> None:
        """Wait until no channel is up."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.channels():  # noqa: ASYNC110 - another program's state
                await asyncio.sleep(0.05)

    def log(self) -> str:
        return (self.folder / "messages").read_text(errors="replace")

    def heard(self) -> NDArray[np.float32]:
        """What the caller of the last call heard: `[n]` in [-1, 1] at 8 kHz. The call must be over."""
        with wave.open(str(self.folder / "heard.wav")) as file:
            assert file.getframerate() == RATE
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return (samples / 32_768).astype(np.float32)

    async def _caller(self) -> str:
        return next(name for name in await self.channels() if name.startswith("Local/") and name.endswith(";1"))


def spoken_ms(audio: NDArray[np.float32], threshold: float = 0.02) -> int:
    """Milliseconds that are louder than silence."""
    frames = audio[: len(audio) // 160 * 160].reshape(-1, 160)
    return int((np.sqrt((frames**2).mean(axis=1)) > threshold).sum()) * 20


def write_wav(path: Path, audio: NDArray[np.int16], rate: int) -> None:
    """As Asterisk plays it: 8 kHz, with a quiet moment before and after."""
    narrow = soxr.resample(audio.astype(np.float32) / 32_768, rate, RATE)
    quiet = np.zeros(RATE // 2, np.float32)
    samples = np.clip(np.concatenate([quiet, narrow, quiet, quiet, quiet]) * 32_767, -32_768, 32_767)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
        file.writeframes(samples.astype("<i2").tobytes())


@asynccontextmanager
async def asterisk_daemon(port: int, question: NDArray[np.int16], rate: int) -> AsyncIterator[AsteriskDaemon]:
    """An Asterisk whose calls go to a server on `port`, and whose callers ask `question`."""
    with tempfile.TemporaryDirectory(prefix="asterisk-") as name:
        daemon = AsteriskDaemon(Path(name))
        configure(daemon.folder, port)
        write_wav(daemon.folder / "question.wav", question, rate)
        write_wav(daemon.folder / "quiet.wav", np.zeros(8 * rate, np.int16), rate)
        process = await asyncio.create_subprocess_exec(
            "asterisk", "-C", str(daemon.folder / "asterisk.conf"), "-f", "-n", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )  # fmt: skip
        try:
            async with asyncio.timeout(PATIENCE_S):
                while "fully booted" not in await daemon.command("core waitfullybooted"):
                    assert process.returncode is None, "Asterisk has ended"
                    await asyncio.sleep(0.05)
            if "app_audiosocket" not in await daemon.command("module show like audiosocket"):
                pytest.skip("this Asterisk has no AudioSocket")
            yield daemon
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def configure(folder: Path, port: int) -> None:
    """Write the files of an Asterisk that touches nothing outside `folder`."""
    places = "".join(
        f"{key} => {folder}\n" for key in ("astetcdir", "astdbdir", "astkeydir", "astrundir", "astlogdir", "astspooldir")
    )  # fmt: skip
    files = {
        "asterisk.conf": f"[directories]\n{places}",
        "modules.conf": "[modules]\nautoload = no\n" + "".join(f"load = {name}.so\n" for name in MODULES),
        "logger.conf": f"[logfiles]\n{folder}/messages => notice,warning,error,verbose\n",
        "extensions.conf": "[general]\n\n" + documented(port) + CALLERS.format(folder=folder),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
