"""What may be sent to the endpoints that take a recording, how large, how slowly, and what a file made to do harm achieves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from parley.audio.files import Recording, write
from parley.audio.pcm import to_float
from parley.server import audio_upload
from parley.server.app import create_app
from parley.server.audio_upload import MAX_REQUESTS, MAX_UPLOAD_BYTES
from parley.server.http_connection import Patience
from parley.server.lifetime import listen
from tests.audio.containers import CONTAINERS, HOSTILE, container
from tests.library.rig import silence
from tests.server.harness import PATIENCE_S, Running, configured, loaded, running
from tests.server.recordings import SECONDS, TALK, form, head, wav
from tests.server.test_audio_translations import Translating

PATHS = ("/v1/audio/transcriptions", "/v1/audio/translations")

HEADERS = {"content-type": "multipart/form-data; boundary=x"}

pytestmark = pytest.mark.parametrize("path", PATHS)


@asynccontextmanager
async def plain(**server: Any) -> AsyncIterator[tuple[Running, httpx.AsyncClient]]:
    async with (
        running(configured(**server), Translating()) as started,
        httpx.AsyncClient(base_url=started.http, trust_env=False, timeout=PATIENCE_S) as client,
    ):
        yield started, client


async def sent(client: httpx.AsyncClient, path: str, file: bytes, **fields: str) -> httpx.Response:
    return await client.post(path, files={"file": ("a.bin", file)}, data={"model": "whisper-1", **fields})


async def test_a_container_of_any_kind_is_heard(path: str) -> None:
    """`tests/audio` reads all of them."""
    async with plain() as (_, client):
        for suffix in ("mp3", "m4a", "webm", "amr") if path == PATHS[0] else ("ogg",):
            data = container(TALK, 24_000, *CONTAINERS[suffix])
            answer = await sent(client, path, data, response_format="verbose_json")
            assert answer.status_code == 200, (suffix, answer.text)
            assert answer.json()["duration"] == pytest.approx(SECONDS, abs=0.15), suffix


async def test_a_file_made_to_do_harm_is_refused_and_the_next_one_is_served(path: str) -> None:
    async with plain() as (server, client):
        for kind, made in HOSTILE.items() if path == PATHS[0] else list(HOSTILE.items())[:2]:
            answer = await sent(client, path, made())
            assert answer.status_code == 400, kind
            error = answer.json()["error"]
            assert (error["code"], error["param"]) == ("invalid_file", "file"), kind
        assert (await sent(client, path, wav())).status_code == 200
        assert len(server.app.audio) == 0


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recording in the server's own folder."""
    monkeypatch.chdir(tmp_path)
    Path("secret.wav").write_bytes(wav())
    return "secret.wav"


async def test_a_list_cannot_make_the_server_open_other_files_or_addresses(path: str, secret: str) -> None:
    """FFmpeg reads a `concat` script, and the files that it names, wherever it reads audio."""
    called = asyncio.Event()

    async def answer_call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        writer.close()

    async with plain() as (_, client), await asyncio.start_server(answer_call, "127.0.0.1", 0) as elsewhere:
        url = f"http://127.0.0.1:{elsewhere.sockets[0].getsockname()[1]}/a.wav"
        for named in (secret, url):
            for text in (f"ffconcat version 1.0\nfile '{named}'\n", f"#EXTM3U\n#EXTINF:1,\n{named}\n#EXT-X-ENDLIST\n"):
                answer = await sent(client, path, text.encode())
                assert "cannot be read as audio" in answer.json()["error"]["message"]
        assert not called.is_set()


async def test_a_recording_that_is_longer_than_the_limit_is_refused(
    path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(audio_upload, "MAX_AUDIO_SECONDS", 1)
    unsaid = tmp_path / "long.mp3"
    write(unsaid, Recording(to_float(TALK), 24_000))
    async with plain() as (_, client):
        for data in (wav(), unsaid.read_bytes()):
            error = (await sent(client, path, data)).json()["error"]
            assert (error["code"], error["param"]) == ("invalid_file", "file")
            assert "longer than" in error["message"]


async def test_too_large_a_body_is_refused_whether_or_not_it_says_so(path: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        for _ in range(MAX_UPLOAD_BYTES // (1024 * 1024) + 1):
            yield bytes(1024 * 1024)

    async with plain() as (server, client):
        error = (await sent(client, path, bytes(MAX_UPLOAD_BYTES))).json()["error"]
        assert (error["code"], error["param"]) == ("file_too_large", "file")
        answer = await client.post(path, content=pieces(), headers=HEADERS)
        assert answer.status_code == 413
        assert len(server.app.audio) == 0


async def test_an_empty_file_and_one_that_is_no_sound_are_refused(path: str) -> None:
    async with plain() as (_, client):
        for data, said in ((b"", "empty"), (b"These are words, not sounds.", "cannot be read as audio")):
            error = (await sent(client, path, data)).json()["error"]
            assert (error["code"], error["param"]) == ("invalid_file", "file")
            assert said in error["message"]
        error = (await sent(client, path, wav(rate=900_000))).json()["error"]
        assert (error["param"], "900000 Hz is not possible" in error["message"]) == ("file", True)


BODIES = (
    (b"{}", {"content-type": "application/json"}, "invalid_content_type", None),
    (b"", {"content-type": "multipart/form-data"}, "invalid_form", None),
    (b"--x\r\nnonsense", HEADERS, "invalid_form", None),
    (form(b"abc")[:-9], HEADERS, "invalid_form", None),
    (
        b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--x--\r\n',
        HEADERS,
        "missing_required_parameter",
        "file",
    ),
    (
        b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nabc\r\n--x--\r\n',
        HEADERS,
        "missing_required_parameter",
        "model",
    ),
    (
        b'--x\r\ncontent-disposition: form-data; name="file"\r\n\r\nabc\r\n--x--\r\n',
        HEADERS,
        "invalid_value",
        "file",
    ),
    (form(b"abc").replace(b'"model"', b'"pitch"'), HEADERS, "unknown_parameter", "pitch"),
    (form(b"abc").replace(b'"file"', b'"picture"'), HEADERS, "invalid_value", "picture"),
)


async def test_a_malformed_form_is_refused_with_openais_shape(path: str) -> None:
    async with plain() as (_, client):
        for body, headers, code, param in BODIES:
            answer = await client.post(path, content=body, headers=headers)
            assert answer.status_code == 400
            assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == (code, param), body


async def test_a_key_needs_the_scope_and_a_foreign_page_gets_nothing(path: str) -> None:
    async with plain(api_keys=("sk-k",)) as (_, client):
        assert (await sent(client, path, wav())).status_code == 401
        client.headers["Authorization"] = "Bearer sk-k"
        assert (await sent(client, path, wav())).status_code == 200
        client.headers["Origin"] = "https://evil.example"
        assert (await sent(client, path, wav())).status_code == 403


async def test_silence_is_an_empty_text(path: str) -> None:
    async with plain() as (_, client):
        assert (await sent(client, path, wav(silence(2_000)))).json()["text"] == ""


@asynccontextmanager
async def impatient(patience: Patience) -> AsyncIterator[int]:
    config = configured()
    engines = loaded(config, Translating())
    started = asyncio.Event()
    server = create_app(config, engines).server(started.set, patience)
    listener = listen(config.server)
    serving = asyncio.create_task(server.serve_on(listener))
    await started.wait()
    try:
        yield listener.getsockname()[1]
    finally:
        server.leave()
        server.leave()
        await serving
        await engines.close()


async def test_a_large_recording_may_take_as_long_as_its_bytes_need(path: str) -> None:
    async with impatient(Patience(request_s=0.2, bytes_per_s=20_000)) as port:
        body = form(wav())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(path, len(body)) + body[:100_000])
        # The limit for a request has long passed; its bytes were worth five seconds.
        await asyncio.wait([waiting := asyncio.ensure_future(reader.readline())], timeout=0.6)
        assert not waiting.done()
        writer.write(body[100_000:])
        assert await asyncio.wait_for(waiting, PATIENCE_S) == b"HTTP/1.1 200 OK\r\n"
        writer.close()


async def test_a_recording_that_comes_too_slowly_ends_its_connection_and_frees_its_place(path: str) -> None:
    async with impatient(Patience(request_s=0.2, bytes_per_s=1e9)) as port:
        body = form(wav())
        writers = []
        for _ in range(MAX_REQUESTS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(writer)
            writer.write(head(path, len(body)) + body[:1_000])
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(path, len(body)) + body)
        assert await asyncio.wait_for(reader.readline(), PATIENCE_S) == b"HTTP/1.1 200 OK\r\n"
        for one in (*writers, writer):
            one.close()


async def test_a_large_compressed_file_is_answered_from_a_file_on_the_disk(path: str) -> None:
    """More than a megabyte of an upload is not kept in memory; its reader is given all of it."""
    noise = (np.random.default_rng(7).normal(0, 9_000, 24_000 * 30)).clip(-32_000, 32_000).astype(np.int16)
    data = container(noise, 24_000, "flac", "flac")
    assert len(data) > 1_100_000
    async with plain() as (_, client):
        answer = await sent(client, path, data, response_format="verbose_json")
    assert answer.json()["duration"] == pytest.approx(30, abs=0.1)
