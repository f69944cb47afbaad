"""The conversation is copied and downloaded: as text, as JSON, and as sound with both sides on one time line."""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.web.browser import PATIENCE_S, Tab, eventually, page, sounding
from tests.web.pipelines import talking_to
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Microphone = Callable[..., Path]
RATE = 24_000


def files_in(folder: Path) -> set[Path]:
    """Those that are complete."""
    folder.mkdir(exist_ok=True)
    return {path for path in folder.iterdir() if path.suffix != ".crdownload"}


async def downloaded(tab: Tab, folder: Path, button: str) -> Path:
    """The file that the button saves."""
    before = files_in(folder)
    await tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    await tab.js(f"document.querySelector('{button}').click()", gesture=True)
    async with asyncio.timeout(PATIENCE_S):
        while not (new := files_in(folder) - before):
            await tab.js("new Promise((resolve) => setTimeout(resolve, 30))")
    return new.pop()


def both_sides(path: Path) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """The user's and the assistant's sound."""
    with wave.open(str(path)) as wav:
        assert (wav.getnchannels(), wav.getframerate(), wav.getsampwidth()) == (2, RATE, 2)
        both = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)
    return both[:, 0], both[:, 1]


async def test_text_and_json_say_who_when_what_was_heard_and_what_was_not(server: Server, tmp_path: Path) -> None:
    async with page(server.url) as tab:
        await tab.js("parley.say('Please roll the dice.')", gesture=True)
        await tab.until(
            "document.querySelector('.entry.assistant[data-state=done] .heard') && !document.querySelector('.ahead')"
        )
        await tab.until("document.querySelector('details.figures') && parley.talk.phase === 'idle'")
        await tab.js("parley.say('Who are you?')", gesture=True)
        await tab.until("document.querySelectorAll('.entry.assistant .heard')[1]?.textContent.length > 20")
        await tab.press("Escape")
        await tab.until("document.querySelectorAll('.entry.assistant')[1].querySelector('del')")
        await tab.until("[...parley.talk.transcript.entries.values()].at(-1).kept")
        heard = (await tab.js("[...document.querySelectorAll('.entry.assistant .heard')].at(-1).textContent")).strip()
        struck = (await tab.js("[...document.querySelectorAll('del')].at(-1).textContent")).strip()

        file = await downloaded(tab, tmp_path / "downloads", "#take-text")
        text = file.read_text("utf-8")
        assert file.name.startswith("parley-20")
        assert file.suffix == ".txt"
        assert f"{heard} [not heard: {struck}]" in text
        assert text.startswith(f"Conversation with Parley at {server.url.removeprefix('http://')}\n")
        assert "Pipeline default, voice alloy" in text
        assert ", typed\nPlease roll the dice.\n" in text
        assert "\nTool roll_dice, " in text

        data = json.loads((await downloaded(tab, tmp_path / "downloads", "#take-json")).read_text("utf-8"))
        assert (data["format"], data["version"], data["pipeline"]) == ("parley.conversation", 1, "default")
        entries: list[dict[str, Any]] = data["entries"]
        assert [entry["role"] for entry in entries] == ["user", "tool", "assistant", "user", "assistant"]
        assert entries[0]["text"] == "Please roll the dice."
        assert entries[0]["typed"] is True
        assert entries[1]["name"] == "roll_dice"
        assert json.loads(entries[1]["output"])["message"].startswith("The ")
        assert entries[2]["heard"] == entries[2]["text"]
        assert entries[2]["figures"]["totalMs"] > 0
        assert {"tool", "voice"} <= {stage["name"] for stage in entries[2]["figures"]["stages"]}
        assert entries[4]["heard"].strip() == heard
        assert entries[4]["text"].startswith(entries[4]["heard"])
        assert entries[4]["text"].split() == f"{heard} {struck}".split()
        assert all(entry["at"].endswith("Z") for entry in entries)

        await tab.call(
            "Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"], origin=server.url
        )
        await tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
        await tab.click("#copy")
        await tab.until("document.querySelector('#copy').title === 'Copied'")
        assert await tab.js("navigator.clipboard.readText()") == text
        # A page of plain http from elsewhere has no clipboard.
        await tab.js(
            "Object.defineProperty(navigator, 'clipboard', { value: undefined }); "
            "document.addEventListener('copy', () => { globalThis.taken = document.activeElement.value })"
        )
        await tab.click("#copy")
        await tab.until("globalThis.taken")
        assert await tab.js("taken") == text
        assert tab.errors == []


@pytest.mark.parametrize("connection", ["websocket", "webrtc"])
async def test_the_sound_has_both_sides_as_they_were_heard(
    server: Server, tmp_path: Path, microphone: Microphone, connection: str
) -> None:
    mic = microphone(1.0, "weather_question", 60.0)
    async with talking_to("longer", server, mic, connection=connection) as tab:
        assert await tab.js("document.querySelector('#take-audio').disabled || parley.conversation.recording.empty")
        await tab.click("#heart")
        await tab.until(
            "document.querySelector('.entry.assistant[data-state=done] .heard') && !document.querySelector('.ahead')"
        )
        await tab.until("parley.talk.phase === 'listening'")
        await tab.click("#take")
        assert "s" in await tab.text("#sound-length")
        assert not await tab.js("document.querySelector('#take-audio').disabled")
        user, assistant = both_sides(await downloaded(tab, tmp_path / "downloads", "#take-audio"))
        said, answered = sounding(user), sounding(assistant)
        assert len(said) > RATE, "the question is more than a second long"
        assert len(answered) > 2 * RATE
        asked_at = int(np.flatnonzero(np.abs(user) > 100)[0])
        answered_at = int(np.flatnonzero(np.abs(assistant) > 100)[0])
        assert answered_at > asked_at + len("weather") * 1000, "the answer comes after the question"
        if connection == "websocket":
            sent = sounding(np.frombuffer(bytes(tab.received_audio), "<i2"))
            assert abs(len(answered) - len(sent)) <= RATE / 10, "it is as long as what was sent"
            assert answered.astype(float) @ answered > 0.9 * (sent.astype(float) @ sent)
        assert tab.errors == []

        await tab.js("document.querySelector('#keep-sound').click()")
        assert await tab.js("document.querySelector('#take-audio').disabled && parley.conversation.recording.empty")


async def test_what_was_not_heard_is_not_in_the_sound(server: Server, tmp_path: Path) -> None:
    async with page(server.url) as tab:
        await tab.js("parley.say('Who are you?')", gesture=True)
        await tab.until("document.querySelector('.entry.assistant .heard')?.textContent.length > 20")
        await tab.press("Escape")
        # What was heard is counted, and all of it is in the recording, once the server has said what it keeps.
        await eventually(lambda: bool(tab.asked("conversation.item.truncate")), "the reply is cut", tab)
        await tab.until("[...parley.talk.transcript.entries.values()].at(-1).kept")
        _, assistant = both_sides(await downloaded(tab, tmp_path / "downloads", "#take-audio"))
        (truncate, *_) = tab.asked("conversation.item.truncate")
        sent = np.frombuffer(bytes(tab.received_audio), "<i2")
        played = truncate["audio_end_ms"] * RATE // 1000
        assert len(sent) > played
        assert np.array_equal(assistant[:played], sent[:played]), "to the sample"
        assert len(assistant) - played <= RATE // 1000


async def test_only_the_last_half_hour_of_sound_is_kept_and_the_file_says_so(server: Server, tmp_path: Path) -> None:
    async with page(server.url) as tab:
        await tab.js("parley.say('Thanks')", gesture=True)
        await tab.until(
            "document.querySelector('.entry.assistant[data-state=done] .heard') && !document.querySelector('.ahead')"
        )
        await tab.until("parley.talk.phase === 'idle'")
        await tab.js(
            "(() => { const { recording } = parley.conversation; recording.clear(); const second = new Int16Array(24000).fill(1000); "
            "for (let at = 1; at <= 1900; at += 1) recording.add(at % 2 ? 'user' : 'assistant', second, 1000 * at); })()"
        )
        assert await tab.js("parley.conversation.recording.seconds") == 1800
        kept = "Object.values(parley.conversation.recording.sides).map(({ blocks }) => blocks.size)"
        assert sum(await tab.js(kept)) <= 1801
        file = await downloaded(tab, tmp_path / "downloads", "#take-audio")
        user, assistant = both_sides(file)
        assert len(user) == len(assistant) == 1800 * RATE
        assert b"The first 100 s are missing" in file.read_bytes()[:400]
        # Where nothing happens for an hour, the file has two seconds of silence.
        await tab.js("parley.conversation.recording.add('user', new Int16Array(24000).fill(5), 1000 * 5600)")
        assert await tab.js("parley.conversation.recording.end") == 1903 * RATE
