"""The page of the raw-audio example in Chromium: a spoken question is answered aloud, and talking over the answer silences it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.web.browser import browsing
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Microphone = Callable[..., Path]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

WATCH = """
  globalThis.frames = [];
  const Plain = WebSocket;
  globalThis.WebSocket = class extends Plain {
    constructor(...args) {
      super(...args);
      globalThis.socket = this;
      this.addEventListener("message", ({ data }) => frames.push(typeof data === "string" ? JSON.parse(data).type : data.byteLength));
    }
  };
"""
"""Keeps the type of each event and the length of each audio frame, in their order."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def page_url(server: Server) -> Iterator[str]:
    """As the page says that it is opened: served from this machine, with the address of the server."""
    pages = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(EXAMPLES)))
    thread = threading.Thread(target=pages.serve_forever, args=(0.01,))
    thread.start()
    stream = server.url.replace("http", "ws") + "/v1/audio/stream"
    yield f"http://127.0.0.1:{pages.server_port}/raw_page.html?url={stream}"
    pages.shutdown()
    thread.join()
    pages.server_close()


async def test_the_page_talks_and_is_interrupted(page_url: str, microphone: Microphone) -> None:
    mic = microphone(0.5, "weather_question", *(3.0, "hello_world") * 5, 60.0)  # one of them comes into a reply
    async with browsing(mic) as tab:
        await tab.goto(page_url)
        await tab.js(WATCH)
        await tab.click("#talk")
        await tab.until("document.getElementById('log').innerText.includes('weather')")
        assert "rate=" in await tab.js("socket.url")
        await tab.until("document.getElementById('state').innerText === 'the agent speaks'")
        await tab.until("frames.includes('output_audio_buffer.cleared')")
        at = await tab.js("frames.indexOf('output_audio_buffer.cleared')")
        next_audio = await tab.until(
            "frames.findIndex((frame, i) => i > frames.indexOf('output_audio_buffer.cleared') && typeof frame === 'number') + 1"
        )
        started = await tab.js(
            "frames.indexOf('output_audio_buffer.started', frames.indexOf('output_audio_buffer.cleared'))"
        )
        assert at < started < next_audio, "no audio comes between the interruption and the next answer"
        assert "Agent: " in await tab.text("#log")
        await tab.click("#talk")
        await tab.until("socket.readyState === 3")
        assert await tab.text("#talk") == "Talk"
        assert tab.errors == []
