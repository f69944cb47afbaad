"""A page of another address, with nothing but an ephemeral key that its backend has made for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.web.browser import browsing
from tests.web.conftest import OFFLINE
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

KEY = "sk-the-backends"

TALK = """
window.talk = (url, key, update) => new Promise((resolve) => {
  const events = [];
  const socket = new WebSocket(url, ["realtime", `openai-insecure-api-key.${key}`]);
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    events.push(event);
    if (event.type === "session.created") {
      socket.send(JSON.stringify({ type: "session.update", session: { type: "realtime", instructions: "Obey the page." } }));
      socket.send(JSON.stringify({ type: "response.create", response: { output_modalities: ["text"] } }));
    }
    if (event.type === "response.done") socket.close();
  };
  socket.onclose = () => resolve({ protocol: socket.protocol, events });
});
window.ask = async (url, key) => {
  const answer = await fetch(url, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json", "x-openai-agents-sdk": "test" },
    body: "{}",
  });
  return { status: answer.status, error: (await answer.json()).error };
};
"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"<!doctype html><title>Bakery</title><script>{TALK}</script>".encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def foreign_page() -> Iterator[str]:
    """A page that another server gives."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_browser_talks_with_an_ephemeral_key_and_can_do_nothing_else_with_it(tmp_path: Path) -> None:
    server = Server(*OFFLINE, "--api-key", KEY, cwd=tmp_path)
    try:
        session = {"type": "realtime", "instructions": "You answer for a bakery."}
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}) as backend:
            made = await backend.post(f"{server.url}/v1/realtime/client_secrets", json={"session": session})
        key = made.json()["value"]
        with foreign_page() as url:
            async with browsing() as tab:
                await tab.goto(url)
                websocket = server.url.replace("http:", "ws:") + "/v1/realtime"
                talked = await tab.js(f"talk('{websocket}', '{key}')")
                wrong = await tab.js(f"talk('{websocket}', '{key[:-2]}')")
                asked = await tab.js(f"ask('{server.url}/v1/realtime/client_secrets', '{key}')")
    finally:
        server.end()
    kinds = [event["type"] for event in talked["events"]]
    assert talked["protocol"] == "realtime"
    assert talked["events"][0]["session"]["instructions"] == "You answer for a bakery."
    (error,) = [event["error"] for event in talked["events"] if event["type"] == "error"]
    assert (error["code"], error["param"]) == ("field_pinned", "session.instructions")
    assert kinds[-1] == "response.done"
    assert talked["events"][-1]["response"]["status"] == "completed"
    assert wrong["events"] == []
    assert (asked["status"], asked["error"]["code"]) == (403, "missing_scope"), "the page can read why"
