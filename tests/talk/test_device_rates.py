"""At which rate a device is opened, and what is missing where the clocks of two devices cannot be followed."""

from __future__ import annotations

import pytest

from parley.engines.vc.bench import BenchConverter
from parley.talk.devices import DevicesUnavailable
from parley.talk.exposed_devices import NO_NAMES
from parley.talk.live_voice import live_voice


@pytest.mark.parametrize(
    ("name", "stated", "rate"),
    [
        ("Headset hands-free", 16_000.0, 16_000),
        ("USB Audio: #1 (hw:1,0)", 44_100.0, 44_100),
        ("pulse", 44_100.0, 48_000),
    ],
)
def test_a_device_is_opened_at_its_own_rate_and_a_sound_server_at_48_khz(name: str, stated: float, rate: int) -> None:
    assert NO_NAMES.own_rate(name, stated) == rate


async def test_a_soxr_without_a_variable_rate_is_reported_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soxr.__version__", "0.5.0.post1")
    with pytest.raises(DevicesUnavailable, match=r"soxr 0\.5\.0\.post1 is installed.*pip install.*soxr>=1\.1"):
        await anext(live_voice(BenchConverter(20, 0), "", ("", "")))
