"""The server of an application's page: the files of `node`, and what a test adds to them."""

from __future__ import annotations

import io
import json
import threading
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NODE_DIR = Path(__file__).parent / "node"

Answer = Callable[[], Mapping[str, object]]


class _Files(SimpleHTTPRequestHandler):
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012

    def __init__(self, *arguments: Any, made: Mapping[str, bytes], answers: Mapping[str, Answer]) -> None:
        self._made, self._answers = made, answers
        super().__init__(*arguments, directory=str(NODE_DIR))

    def do_GET(self) -> None:
        if self.path in self._made:
            self._give(self._made[self.path], self.guess_type(self.path))
        else:
            super().do_GET()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._give(json.dumps(self._answers[self.path]()).encode(), "application/json")

    def _give(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def pages(made: Mapping[str, bytes], answers: Mapping[str, Answer] = {}) -> Iterator[str]:
    """Serves them on a port of its own: `made`, files by path; `answers`, what a POST to a path gets. Gives the address, without a path."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, made=made, answers=answers))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def wav(pcm: bytes) -> bytes:
    """A file of PCM16 at 24 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(24_000)
        writer.writeframes(pcm)
    return file.getvalue()
