"""The page at other addresses than localhost: over plain http from another machine, below a path of a proxy, and where nothing is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.web.browser import Tab, eventually, page
from tests.web.quick import KEY, pass_on, quick_server
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ELSEWHERE = "192.0.2.7"
"""Set aside for documentation; the browser is told to look for it, and for a name, on this machine."""

NAME = "voice.test"
FLAGS = (f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1, MAP {NAME} 127.0.0.1",)


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on every address, without a key."""
    running = quick_server(tmp_path_factory.mktemp("exposed"), "--host", "0.0.0.0", "--insecure")
    yield running
    running.end()


def own_errors(tab: Tab) -> list[str]:
    """Without the browser's remark that a header counts only over https."""
    return [error for error in tab.errors if not error.startswith("The Cross-Origin-Opener-Policy header")]


async def test_over_plain_http_the_page_says_that_it_cannot_listen_and_answers_aloud_what_is_typed(
    exposed: Server,
) -> None:
    url = f"http://{ELSEWHERE}:{exposed.port}"
    async with page(url, flags=FLAGS, connection="automatic") as tab:
        assert not await tab.js("isSecureContext")
        await tab.until("!document.querySelector('#alert').hidden")
        said = await tab.text("#alert")
        assert "You can type here, but not talk" in said
        assert f"ssh -L 8765:localhost:{exposed.port} {ELSEWHERE}" in said
        assert await tab.text("#heart-state") == "Type"
        await tab.click("#heart")
        await tab.until("!parley.starting")
        assert "not talk" in await tab.text("#alert"), "and nothing is said to unplug"
        await tab.click("#alert .dismiss")
        await tab.js(
            "globalThis.phases = []; parley.talk.addEventListener('phase', ({ detail }) => phases.push(detail))"
        )
        await tab.js("parley.say('Hello there')", gesture=True)
        await tab.until("parley.talk.phase === 'idle' && document.querySelector('details.figures')")
        assert "speaking" in await tab.js("phases")
        assert await tab.js("parley.loudspeaker.player.constructor.name") == "BufferedPlayback"
        heard = await tab.js("document.querySelector('.entry.assistant .heard').textContent")
        assert heard == await tab.text(".entry.assistant .words"), "all of it was heard, and is shown so"
        assert await tab.js("document.querySelector('#alert').hidden")
        assert own_errors(tab) == []


async def test_a_reply_over_plain_http_is_cut_to_what_was_heard(exposed: Server) -> None:
    async with page(f"http://{ELSEWHERE}:{exposed.port}/?pipeline=slow", flags=FLAGS) as tab:
        await tab.js("parley.say('What can you do? Please help me.')", gesture=True)
        await tab.until("Number(document.querySelector('.entry.assistant')?.dataset.heard) > 20")
        await tab.press("Escape")
        await eventually(lambda: bool(tab.told("conversation.item.truncated")), "the server cuts it", tab)
        end_ms = tab.told("conversation.item.truncated")[0]["audio_end_ms"]
        assert end_ms > 0
        await tab.until("document.querySelector('.entry.assistant[data-state=cut] del')")
        assert await tab.js("[...parley.talk.transcript.entries.values()].at(-1).played / 24") >= end_ms
        assert own_errors(tab) == []


BUFFERED = """(async () => {
  const { BufferedPlayback } = await import("/assets/js/buffered-playback.js");
  const context = new OfflineAudioContext(1, 2 * RATE, RATE);
  const reports = [];
  const player = new BufferedPlayback(context, context.destination, (report) => reports.push({ now: context.currentTime, ...report }));
  const pcm = (samples) => new Int16Array(samples).fill(16384);
  const step = async (time, act) => { await context.suspend(time); act(); context.resume(); };
  const take = (...messages) => () => messages.forEach((message) => player.postMessage(message));
  const steps = [[0.1, take({ push: "a", pcm: pcm(12000) }, { push: "a", pcm: pcm(6001) }, { end: "a" })],
    [0.6, () => player.look()], [1.0, take({ push: "b", pcm: pcm(24000) }, { end: "b" })],
    [1.4, take({ stop: "token" })]].map(([time, act]) => step(time, act));
  const rendered = (await context.startRendering()).getChannelData(0);
  await Promise.all(steps);
  const runs = [];
  rendered.forEach((sample, index) => {
    if (Math.abs(sample) <= 1e-6) return;
    if (runs.at(-1)?.[1] === index - 1) runs.at(-1)[1] = index;
    else runs.push([index, index]);
  });
  return { reports, runs };
})()"""


async def test_timed_buffers_play_without_a_gap_and_count_to_the_sample(quick: Server) -> None:
    async with page(quick.url) as tab:
        for rate in (24_000, 48_000):
            found = await tab.js(BUFFERED.replace("RATE", str(rate)))
            (first, last), (again, cut) = found["runs"]
            scale = rate // 24_000
            assert abs((last - first + 1) - 18_001 * scale) <= 8 * scale, "two pushes, one stretch of sound"
            kinds = {
                next(key for key in ("started", "playing", "finished", "silent", "stopped") if key in one): one
                for one in found["reports"]
            }
            assert kinds["finished"] == {**kinds["finished"], "finished": "a", "played": 18_001}
            stopped = kinds["stopped"]
            assert stopped["stopped"] == "token"
            assert abs(stopped["played"]["b"] - (cut - again + 1) / scale) <= 8, "what sounded is what is told"
            assert cut / rate <= stopped["now"] + 0.0151, "and then it is quiet"


async def test_a_name_that_the_server_does_not_take_is_said_before_the_first_word(exposed: Server) -> None:
    async with page(f"http://{NAME}:{exposed.port}", flags=FLAGS) as tab:
        await tab.until("document.querySelector('#alert').innerText.includes('does not accept this address')")
        assert "by its IP address" in await tab.text("#alert")
        assert tab.sent == []


async def test_at_an_address_of_the_network_the_page_asks_for_the_key_and_then_answers(locked: Server) -> None:
    async with page(f"http://{ELSEWHERE}:{locked.port}", flags=FLAGS, connection="automatic") as tab:
        await tab.until("document.querySelector('#key-box').open")
        await tab.js("document.querySelector('#key').focus()")
        await tab.type(KEY)
        await tab.press("Enter")
        await tab.until("document.querySelector('#link').title === 'Ready'")
        await tab.js("parley.say('Hello there')", gesture=True)
        await tab.until("parley.talk.phase === 'idle' && document.querySelector('details.figures')")
        assert await tab.js("document.querySelector('.entry.assistant .heard').textContent")
        assert [error for error in own_errors(tab) if "401" not in error] == []


class Proxy:
    """Hands on what is asked below a prefix, without the prefix; all else is 404."""

    def __init__(self, port: int, prefix: str) -> None:
        self._port = port
        self._prefix = prefix.encode()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, rest = head.split(b" ", 2)
            if not path.startswith(self._prefix + b"/"):
                writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                await writer.drain()
                return
            if b"upgrade: websocket" not in rest.lower():
                rest = rest.replace(b"Connection: keep-alive", b"Connection: close")
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
            up_writer.write(b" ".join((method, path.removeprefix(self._prefix), rest)))
            await asyncio.gather(pass_on(reader, up_writer), pass_on(up_reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def proxied(server: Server, prefix: str) -> AsyncIterator[str]:
    """The server's address behind a proxy, below `prefix`."""
    listening = await asyncio.start_server(Proxy(server.port, prefix), "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}{prefix}"


async def test_the_page_works_below_a_path_of_a_proxy(quick: Server) -> None:
    async with proxied(quick, "/my/voice") as url, page(f"{url}/") as tab:
        await tab.until("document.querySelector('#link').title === 'Ready'")
        await tab.js("parley.say('Hello there')", gesture=True)
        await tab.until("document.querySelector('.entry.assistant details.figures')")
        assert (await tab.call("Page.getAppManifest"))["errors"] == []
        assert tab.errors == []
        await tab.goto(f"{url}/no/such/place")
        await tab.click("a.solid")
        await tab.until("globalThis.parley && location.pathname === '/my/voice/'")


async def test_a_browser_at_a_wrong_path_is_led_to_the_page(quick: Server) -> None:
    async with page(quick.url) as tab:
        for path in ("/voice/", "/voice", "/v1/no/such?thing=<b>"):
            await tab.goto(quick.url + path)
            assert "There is nothing at this address" in await tab.text("body")
            assert await tab.js("document.querySelector('a.solid').href") == f"{quick.url}/"
            assert await tab.js("getComputedStyle(document.body).backgroundColor") != "", "it is styled"
        tab.errors.clear()
        await tab.click("a.solid")
        await tab.until("globalThis.parley")
        answer = await tab.js(
            "fetch('/voice/').then(async (answer) => [answer.status, (await answer.json()).error.code])"
        )
        assert answer == [404, "not_found"], "and programs get JSON"


ICONS = """(async () => {
  const place = document.querySelector("link[rel=manifest]").href;
  const { icons } = await (await fetch(place)).json();
  return Promise.all(icons.filter(({ type }) => type === "image/png").map(async ({ src, sizes, purpose }) => {
    const image = new Image();
    image.src = new URL(src, place);
    await image.decode();
    return [sizes, `${image.naturalWidth}x${image.naturalHeight}`, purpose ?? ""];
  }));
})()"""
"""[size as the manifest has it, size as it is, purpose] of each PNG."""

WIDTH = """(async () => {
  const image = new Image();
  image.src = ADDRESS;
  await image.decode();
  return image.naturalWidth;
})()"""


async def test_the_page_can_be_installed_and_has_its_icons(quick: Server) -> None:
    async with page(quick.url) as tab:
        manifest = await tab.call("Page.getAppManifest")
        assert manifest["errors"] == []
        assert json.loads(manifest["data"])["display"] == "standalone"
        errors = (await tab.call("Page.getInstallabilityErrors"))["installabilityErrors"]
        assert [one["errorId"] for one in errors if one["errorId"] != "in-incognito"] == []
        icons = await tab.js(ICONS)
        assert icons == [["192x192", "192x192", ""], ["512x512", "512x512", ""], ["512x512", "512x512", "maskable"]]
        for address, width in (("/favicon.ico", 32), ("/assets/icons/apple-touch-icon.png", 180)):
            assert await tab.js(WIDTH.replace("ADDRESS", json.dumps(address))) == width
        light = await tab.js("document.querySelector('#theme-color').content")
        await tab.press("t")
        await tab.press("t")
        assert await tab.js("document.documentElement.dataset.theme") == "dark"
        assert await tab.js("document.querySelector('#theme-color').content") != light
        assert tab.errors == []
