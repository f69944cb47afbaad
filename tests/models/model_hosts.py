"""A Hub, a mirror and a package index on this machine: they speak the protocols of the real ones, over HTTP, and can be told to fail."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import tarfile
import threading
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

Answer = tuple[int, dict[str, str], bytes]
COMMIT = "5f" * 20

POLL_S = 0.01
"""How often the server looks whether it is to end."""


class ModelHosts:
    """Serves `files` of the repository `org/model` at `/ORG/MODEL/resolve/REVISION/PATH`, with ranges, `mirrored` at
    `/mirror/PATH`, with ranges, `wheels` at `/simple/PROJECT/`, and `tarballs` (version 1.0.0) at `/npm/PACKAGE`.

    `break_after`: a download ends after so many bytes, once. `stall_after`: it then waits for `release`, once. `ignore_ranges`: the mirror
    sends whole files. `licence` is that of the repository's card. `requests` are the paths that were asked, `ranges` the ranges.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.wheels: dict[str, bytes] = {}
        self.mirrored: dict[str, bytes] = {}
        self.tarballs: dict[str, bytes] = {}
        self.break_after: int | None = None
        self.stall_after: int | None = None
        self.release = threading.Event()
        self.stalled = threading.Event()
        self.ignore_ranges = False
        self.licence = "mit"
        self.on_download: Callable[[], None] = lambda: None
        self.requests: list[str] = []
        self.ranges: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), daemon=True)

    def __enter__(self) -> ModelHosts:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str) -> Answer | None:
        if path.startswith("/api/models/org/model/tree/"):
            tree = [{"type": "file", "path": name, "size": len(data), "oid": ""} for name, data in self.files.items()]
            return 200, {"Content-Type": "application/json"}, json.dumps(tree).encode()
        if path.startswith("/api/models/"):
            siblings = [{"rfilename": name} for name in self.files]
            answer: dict[str, Any] = {"id": "org/model", "modelId": "org/model", "sha": COMMIT, "siblings": siblings}
            answer["cardData"] = {"license": self.licence}
            return (200, {"Content-Type": "application/json"}, json.dumps(answer).encode()) if self.files else None
        if match := re.fullmatch(r"/org/model/resolve/[^/]+/(.+)", path):
            data = self.files.get(match[1])
            if data is None:
                return 404, {"X-Error-Code": "EntryNotFound"}, b""
            etag = hashlib.sha256(data).hexdigest()
            return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}, data
        if path.startswith("/mirror/") and (data := self.mirrored.get(path.removeprefix("/mirror/"))) is not None:
            return 200, {}, data
        if path.startswith("/simple/"):
            links = "".join(f'<a href="/wheels/{name}">{name}</a>' for name in self.wheels)
            return 200, {"Content-Type": "text/html"}, f"<html><body>{links}</body></html>".encode()
        if path.startswith("/npm/"):
            return self._npm(path.removeprefix("/npm/"))
        if path.startswith("/wheels/"):
            return 200, {}, self.wheels[path.removeprefix("/wheels/")]
        return None

    def _npm(self, path: str) -> Answer | None:
        if path.endswith(".tgz"):
            return 200, {}, self.tarballs[path.removesuffix(".tgz")]
        data = self.tarballs.get(path)
        if data is None:
            return None
        digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
        dist = {"tarball": f"{self.url}/npm/{path}.tgz", "integrity": f"sha512-{digest}"}
        versions = {"1.0.0": {"name": path, "version": "1.0.0", "dist": dist}}
        answer = {"name": path, "dist-tags": {"latest": "1.0.0"}, "versions": versions}
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hosts = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._serve(body=False)

            def do_GET(self) -> None:
                self._serve(body=True)

            def _serve(self, body: bool) -> None:
                hosts.requests.append(self.path)
                status, headers, data = hosts._answer(self.path) or (404, {}, b"")
                download = "/resolve/" in self.path or self.path.startswith("/mirror/")
                if body and download:
                    hosts.on_download()
                wanted = None if hosts.ignore_ranges else self.headers.get("Range")
                if wanted and status == 200 and body:
                    hosts.ranges.append(wanted)
                    first = int(wanted.removeprefix("bytes=").split("-")[0])
                    headers = {**headers, "Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
                    status, data = 206, data[first:]
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if not body:
                    return
                cut, hosts.break_after = (hosts.break_after, None) if download else (None, hosts.break_after)
                stall, hosts.stall_after = (hosts.stall_after, None) if download else (None, hosts.stall_after)
                if stall is not None:
                    self.wfile.write(data[:stall])
                    self.wfile.flush()
                    hosts.stalled.set()
                    hosts.release.wait(60)
                    return
                self.wfile.write(data if cut is None else data[:cut])
                if cut is not None:
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


def wheel(name: str, members: dict[str, bytes]) -> bytes:
    """A wheel `name` 1.0 that pip accepts, with these members."""
    info = f"{name}-1.0.dist-info"
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, data in members.items():
            archive.writestr(path, data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return packed.getvalue()


def tarball(name: str, members: dict[str, bytes]) -> bytes:
    """A package `name` 1.0.0 that npm accepts, with these members."""
    packed = BytesIO()
    manifest = json.dumps({"name": name, "version": "1.0.0"}).encode()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, data in {"package/package.json": manifest, **members}.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, BytesIO(data))
    return packed.getvalue()
