"""The Chromium of the tests: one process for all tests that start it with the same flags, with a context of its own for each.

Laws: a context keeps nothing of another (storage, permissions, downloads), and everything in it ends with its test. A process that has
crashed is replaced. A recording for a microphone is a flag: each page that opens the microphone hears it from its beginning.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--mute-audio",
    "--hide-scrollbars",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
    "--use-fake-device-for-media-stream",
)

ALLOW = "--use-fake-ui-for-media-stream"

PATIENCE_S = 60.0
"""Until it is ready, or has ended."""

LISTENING = "DevTools listening on "


def chromium() -> str | None:
    """The browser's path, None where there is none."""
    return os.environ.get("PARLEY_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


class Chromium:
    """A running browser; `url` is where it is driven from. `end` it."""

    def __init__(self, flags: Sequence[str]) -> None:
        program = chromium()
        assert program is not None
        self._profile = tempfile.TemporaryDirectory(prefix="parley-chromium-", ignore_cleanup_errors=True)
        self._said = Path(self._profile.name, "said")
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [program, *FLAGS, *flags, f"--user-data-dir={self._profile.name}", "about:blank"],
                stdout=subprocess.DEVNULL,
                stderr=said,
                env={**os.environ, "no_proxy": "*"},
            )
        self.url = self._listening()

    def _listening(self) -> str:
        end = time.monotonic() + PATIENCE_S
        while self.running and time.monotonic() < end:
            for line in self._said.read_text(errors="replace").splitlines(keepends=True):
                if line.startswith(LISTENING) and line.endswith("\n"):
                    return line.removeprefix(LISTENING).strip()
            time.sleep(0.02)
        self._process.kill()
        raise AssertionError(f"the browser was not ready:\n{self._said.read_text(errors='replace')}")

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        self._profile.cleanup()


KEPT = 3
"""Browsers that run at once in one process of tests: those that were used last."""

_shared: dict[tuple[str, ...], Chromium] = {}


def shared(flags: tuple[str, ...]) -> Chromium:
    """The browser of this process of tests that was started with these flags."""
    browser = _shared.pop(flags, None)
    if browser is None or not browser.running:
        browser = Chromium(flags)
    _shared[flags] = browser
    while len(_shared) > KEPT:
        _shared.pop(next(iter(_shared))).end()
    return browser


@atexit.register
def end_shared() -> None:
    for browser in _shared.values():
        browser.end()
    _shared.clear()
