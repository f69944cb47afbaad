"""A real Chromium, headless, driven over its DevTools protocol, with a WAV for a microphone."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.web.chromium import ALLOW, shared

PATIENCE_S = 60.0
"""Longer than anything here takes on a busy machine."""

ANSWER_S = PATIENCE_S + 10
"""The browser's own answers come after a wait inside the page has given up."""

CHANNEL_BINDING = "parleyChannel"

WATCH_CHANNELS = """(() => {
  const { createDataChannel } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.createDataChannel = function (...args) {
    const channel = createDataChannel.apply(this, args);
    const send = channel.send.bind(channel);
    channel.addEventListener("message", ({ data }) => parleyChannel(JSON.stringify(["received", data])));
    channel.send = (data) => { parleyChannel(JSON.stringify(["sent", data])); send(data); };
    return channel;
  };
})()"""
"""Tells what goes over data channels, which the DevTools protocol does not."""

Json = dict[str, Any]


class Tab:
    """One page. Everything that it throws, or writes to its console as an error, is in `errors`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Json]] = {}
        self._session = ""
        self._context = ""
        self._siblings: dict[str, Tab] = {}
        """The other pages of this browser, by their sessions."""
        self.errors: list[str] = []
        self.sent: list[Json] = []
        self.received: list[Json] = []
        self.received_audio = bytearray()

    async def open(self) -> None:
        context = await self.call("Target.createBrowserContext")
        self._context = context["browserContextId"]
        target = await self.call("Target.createTarget", url="about:blank", browserContextId=self._context)
        await self._attach(target["targetId"])

    async def close(self) -> None:
        """And every other page that was opened from it."""
        await self.call("Target.disposeBrowserContext", browserContextId=self._context)

    async def _attach(self, target: str) -> None:
        self.target = target
        attached = await self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Runtime", "Page", "Network", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Runtime.addBinding", name=CHANNEL_BINDING)
        await self.before(WATCH_CHANNELS)

    async def duplicate(self) -> Tab:
        """Another tab with what this one keeps, in front of it, as browsers make it of a tab that is duplicated."""
        before = await self._pages()
        await self.js("void open(location.href)", gesture=True)
        async with asyncio.timeout(PATIENCE_S):
            while not (opened := await self._pages() - before):
                await self.js("new Promise((resolve) => setTimeout(resolve, 20))")
        other = Tab(self._connection)
        other._ids, other._answers, other._context = self._ids, self._answers, self._context
        await other._attach(opened.pop())
        self._siblings[other._session] = other
        return other

    async def _pages(self) -> set[str]:
        targets = await self.call("Target.getTargets")
        return {
            info["targetId"]
            for info in targets["targetInfos"]
            if info["type"] == "page" and info.get("browserContextId") == self._context
        }

    async def look(self) -> None:
        """Bring it to the front; the others are in the background then."""
        await self.call("Target.activateTarget", targetId=self.target)

    async def listen(self) -> None:
        """The connection's reader; a task of its own."""
        async for frame in self._connection:
            message = json.loads(frame)
            if "id" in message:
                answer = self._answers.pop(message["id"], None)
                if answer is not None and not answer.done():
                    answer.set_result(message)
            else:
                noted = self._siblings.get(message.get("sessionId", ""), self)
                noted._note(message["method"], message.get("params", {}))

    def _note(self, method: str, params: Json) -> None:
        match method:
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description") or details["text"])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert"):
                self.errors.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            case "Runtime.bindingCalled" if params["name"] == CHANNEL_BINDING:
                direction, data = json.loads(params["payload"])
                (self.sent if direction == "sent" else self.received).append(json.loads(data))
            case "Network.webSocketFrameSent" if params["response"]["opcode"] == 1:
                self.sent.append(json.loads(params["response"]["payloadData"]))
            case "Network.webSocketFrameReceived" if params["response"]["opcode"] == 1:
                event = json.loads(params["response"]["payloadData"])
                if event["type"] == "response.output_audio.delta":
                    self.received_audio += base64.b64decode(event["delta"])
                self.received.append(event)

    async def call(self, method: str, **params: Any) -> Json:
        number = next(self._ids)
        message: Json = {"id": number, "method": method, "params": params}
        if method.startswith("Browser."):  # a permission, a folder for downloads: of this test alone
            params["browserContextId"] = self._context
        elif self._session and not method.startswith("Target."):
            message["sessionId"] = self._session
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._connection.send(json.dumps(message))
        told = await asyncio.wait_for(answer, ANSWER_S)
        assert "error" not in told, f"{method}: {told['error']}"
        result: Json = told["result"]
        return result

    async def before(self, script: str) -> None:
        """Run this in every page before its own scripts."""
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    async def goto(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def js(self, expression: str, *, gesture: bool = False) -> Any:
        """The value of an expression, awaited if it is a promise. `gesture`: as if the user had done it."""
        told = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=gesture
        )
        assert "exceptionDetails" not in told, f"{expression}: {told['exceptionDetails']}"
        return told["result"].get("value")

    async def until(self, condition: str, patience_s: float = PATIENCE_S) -> Any:
        """The value of `condition` once it is truthy; true in place of an object of the page's own classes."""
        watch = (
            f"new Promise((resolve, reject) => {{ const end = performance.now() + {patience_s * 1000}; "
            f"const look = () => {{ let value; try {{ value = {condition} }} catch (error) {{ value = null }} "
            "if (value) resolve(value.constructor.prototype instanceof Object && ![Array, Map].includes(value.constructor) && "
            "typeof value === 'object' ? true : value); else if (performance.now() > end) reject(new Error('never came')); "
            "else setTimeout(look, 20) }; look() })"
        )
        try:
            told = await self.call("Runtime.evaluate", expression=watch, awaitPromise=True, returnByValue=True)
        except AssertionError as error:
            if "navigated" not in str(error):
                raise
            return await self.until(condition, patience_s)  # the page has been loaded again meanwhile
        if "exceptionDetails" in told:
            raise AssertionError(
                f"never came true: {condition}\npage: {await self.text('body')}\nerrors: {self.errors}"
            )
        return told["result"].get("value")

    async def text(self, selector: str) -> str:
        """What a reader sees there."""
        return str(await self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    async def click(self, selector: str) -> None:
        """With a real pointer, in the middle of the element."""
        x, y = await self.middle(selector)
        await self.pointer("mousePressed", x, y)
        await self.pointer("mouseReleased", x, y)

    async def middle(self, selector: str) -> tuple[float, float]:
        box = await self.js(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect(); "
            "return [box.x + box.width / 2, box.y + box.height / 2] })()"
        )
        return box[0], box[1]

    async def pointer(self, kind: str, x: float, y: float) -> None:
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def key(self, kind: str, key: str, code: str = "", text: str = "") -> None:
        """`kind` is keyDown or keyUp."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}
        await self.call(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            code=code or {" ": "Space"}.get(key, key),
            windowsVirtualKeyCode=codes.get(key, ord(key.upper()) if len(key) == 1 else 0),
            text=text if kind == "keyDown" else "",
        )

    async def press(self, key: str) -> None:
        text = {"Enter": "\r", " ": " "}.get(key, key if len(key) == 1 else "")
        await self.key("keyDown", key, text=text)
        await self.key("keyUp", key)

    async def type(self, text: str) -> None:
        await self.call("Input.insertText", text=text)

    async def size(self, width: int, height: int) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    async def media(self, **features: str) -> None:
        """`prefers_color_scheme="dark"`, `prefers_reduced_motion="reduce"`."""
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.call("Emulation.setEmulatedMedia", features=wanted)

    async def screenshot(self, path: Path) -> None:
        shot = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))

    def told(self, kind: str) -> list[Json]:
        """The server's events of a type."""
        return [event for event in self.received if event["type"] == kind]

    def asked(self, kind: str) -> list[Json]:
        """The page's events of a type."""
        return [event for event in self.sent if event["type"] == kind]


@asynccontextmanager
async def browsing(
    microphone: Path | None = None, *, allow: bool = True, flags: Sequence[str] = ()
) -> AsyncIterator[Tab]:
    """A tab that knows nothing of other tests. `microphone` is played once, from the moment the page opens the microphone."""
    heard = [f"--use-file-for-fake-audio-capture={microphone}%noloop"] if microphone is not None else []
    browser = await asyncio.to_thread(shared, (*([ALLOW] if allow else []), *flags, *heard))
    async with connect(browser.url, max_size=None, proxy=None, compression=None) as connection:
        tab = Tab(connection)
        listening = asyncio.create_task(tab.listen())
        try:
            await tab.open()
            yield tab
        finally:
            with suppress(ConnectionClosed):
                await tab.close()
            listening.cancel()


Condition = Callable[[], bool]


async def eventually(condition: Condition, what: str, tab: Tab) -> None:
    """Wait on something that the tab's traffic will show."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await tab.js("new Promise((resolve) => setTimeout(resolve, 30))")
    assert condition(), what


RECORD = """(async () => {
  await parley.loudspeaker.open();
  const { context, output } = parley.loudspeaker;
  globalThis.recorded = [];
  globalThis.tap = new AudioWorkletNode(context, "parley-capture", { numberOfOutputs: 0 });
  tap.port.onmessage = ({ data }) => recorded.push(data.pcm);
  output.connect(tap);
  return context.sampleRate;
})()"""
"""Keeps everything that goes to the loudspeaker, from the last node before it, on the audio thread."""

PLAYED = """(() => {
  const length = recorded.reduce((sum, chunk) => sum + chunk.length, 0);
  const all = new Int16Array(length);
  let at = 0;
  for (const chunk of recorded) { all.set(chunk, at); at += chunk.length; }
  const bytes = new Uint8Array(all.buffer);
  let text = "";
  for (let from = 0; from < bytes.length; from += 32768) text += String.fromCharCode(...bytes.subarray(from, from + 32768));
  return btoa(text);
})()"""


FEW_FRAMES = """(() => {
  const { requestAnimationFrame } = globalThis;
  const waiting = new Map();
  let last = 0;
  globalThis.requestAnimationFrame = (draw) => {
    waiting.set(++last, setTimeout((number) => { waiting.delete(number); requestAnimationFrame(draw) }, 80, last));
    return last;
  };
  globalThis.cancelAnimationFrame = (number) => clearTimeout(waiting.get(number));
})();"""
"""Ten frames a second: without a graphics card, drawing sixty takes as much of a processor as all the rest of the page."""

DRAWN = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"
"""The page has been laid out and drawn anew."""

CHOOSE = 'localStorage.getItem("parley.preferences") ?? localStorage.setItem("parley.preferences", CHOICE);'


@asynccontextmanager
async def page(
    url: str,
    microphone: Path | None = None,
    *,
    allow: bool = True,
    width: int = 1280,
    connection: str = "websocket",
    before: str = "",
    flags: Sequence[str] = (),
) -> AsyncIterator[Tab]:
    """The page, open. `connection` is chosen in it ("automatic", as its users begin); `before` runs before its own scripts."""
    async with browsing(microphone, allow=allow, flags=flags) as tab:
        await tab.before(
            FEW_FRAMES + CHOOSE.replace("CHOICE", json.dumps(json.dumps({"connection": connection}))) + before
        )
        await tab.size(width, 844 if width < 600 else 900)
        await tab.goto(url)
        await tab.until("globalThis.parley")
        yield tab


async def played(tab: Tab) -> NDArray[np.int16]:
    return np.frombuffer(base64.b64decode(await tab.js(PLAYED)), "<i2")


def sounding(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    """Without the silence before and after."""
    loud = np.flatnonzero(np.abs(pcm) > 100)
    return pcm[loud[0] : loud[-1] + 1] if loud.size else pcm[:0]


async def kept_and_struck(tab: Tab) -> Json:
    """The first item that was read back after a cut: every word of it is either kept or struck out on the page."""
    await eventually(lambda: bool(tab.told("conversation.item.retrieved")), "the item is read back", tab)
    item: Json = tab.told("conversation.item.retrieved")[0]["item"]
    kept = item["content"][0]["transcript"]
    await tab.until(f"document.querySelector('.entry.assistant .heard').textContent === {kept!r}.trimStart()")
    struck = await tab.js("document.querySelector('.entry.assistant del').textContent")
    deltas = tab.told("response.output_audio_transcript.delta")
    whole = "".join(event["delta"] for event in deltas if event["item_id"] == item["id"])
    assert kept
    assert struck.strip()
    assert f"{kept} {struck}".split() == whole.split(), "every word is either kept or struck out"
    return item
