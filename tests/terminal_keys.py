"""Keys of a screen that is driven by Textual's pilot."""

from __future__ import annotations

from functools import partial

import pytest
from textual._wait import wait_for_idle


def keys_need_no_idle_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual waits after each key until the process is idle, for two seconds at most; with a server in the process, or on a busy machine,
    it never is. A test waits for what a key causes instead."""
    monkeypatch.setattr("textual.app.wait_for_idle", partial(wait_for_idle, max_sleep=0))
    monkeypatch.setattr("textual.pilot.wait_for_idle", partial(wait_for_idle, max_sleep=0))
