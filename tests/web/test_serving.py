"""The page's files and answers over HTTP, as a browser or a curious neighbour gets them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from parley.web import ROOT, page_files
from tests.server.harness import Running, configured, running, talking


@asynccontextmanager
async def http(server: Running, key: str = "") -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(base_url=server.http, trust_env=False, headers=headers) as client:
        yield client


async def test_the_page_and_everything_it_names_is_served_without_a_key() -> None:
    async with running(configured(api_keys=("sk-k",))) as server, http(server) as client:
        entrance = await client.get("/")
        assert entrance.headers["content-type"] == "text/html; charset=utf-8"
        named = [f"/{name}" for name in re.findall(r'(?:href|src)="(assets/[^"]*)"', entrance.text)]
        assert "/assets/js/main.js" in named
        assert re.findall(r'(?:href|src)="/[^"]*"', entrance.text) == [], "relative, for proxies that serve a path"
        for name, path in page_files().items():
            for other in re.findall(r'from "\./([^"]+)"', path.read_text("utf-8")) if path.suffix == ".js" else []:
                named.append(f"/assets/js/{other}")
            assert (await client.get(f"/assets/{name}")).content == path.read_bytes()
        for address in set(named):
            answer = await client.get(address)
            assert answer.status_code == 200, address
            if address.endswith(".js"):
                assert answer.headers["content-type"].startswith("text/javascript"), (
                    "browsers refuse modules of another type"
                )


async def test_an_unchanged_file_is_not_sent_again() -> None:
    async with running() as server, http(server) as client:
        for address in ("/", "/assets/js/main.js", "/assets/fonts/newsreader-latin.woff2"):
            first = await client.get(address)
            assert first.headers["cache-control"]
            for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
                again = await client.get(address, headers={"If-None-Match": known})
                assert (again.status_code, again.content) == (304, b"")
                assert again.headers["etag"] == first.headers["etag"]
            assert (await client.get(address, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_nothing_but_the_pages_own_files_can_run_in_it() -> None:
    async with running() as server, http(server) as client:
        answer = await client.get("/")
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == policy["style-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "style=" not in answer.text, "the policy forbids style attributes"
        assert not re.search(r"<script(?![^>]*src=)", answer.text)


@pytest.mark.parametrize(
    "path", ["/assets/../__init__.py", "/assets/%2e%2e/__init__.py", "/assets/__init__.py", "/assets/nothing.js"]
)
async def test_no_other_file_is_served(path: str) -> None:
    assert (ROOT / "__init__.py").exists()
    async with running() as server, http(server) as client:
        answer = await client.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", ["/", "/assets/js/main.js", "/parley/pipelines", "/parley/admission"])
async def test_the_page_can_only_be_read(path: str) -> None:
    async with running() as server, http(server) as client:
        assert (await client.post(path)).status_code == 405


async def test_what_the_page_asks_for_asks_for_the_key() -> None:
    async with (
        running(configured(api_keys=("sk-k",))) as server,
        http(server) as stranger,
        http(server, "sk-k") as owner,
    ):
        for path in ("/parley/pipelines", "/parley/admission", "/parley/sessions/sess_x/turns"):
            refused = await stranger.get(path)
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        assert (await owner.get("/parley/admission")).json() == {"open": True}


async def test_pipelines_are_told_with_their_engines_and_voices() -> None:
    async with running() as server, http(server) as client:
        (pipeline,) = (await client.get("/parley/pipelines")).json()["pipelines"]
        assert pipeline["name"] == "default"
        assert set(pipeline["engines"]) == {"stt", "llm", "tts"}
        assert pipeline["voice"] in [voice["name"] for voice in pipeline["voices"]]
        assert pipeline["instructions"]


async def test_the_door_says_why_a_session_would_be_refused() -> None:
    async with running(configured(max_sessions=1)) as server, http(server) as client:
        for asked, status, code in (
            ({"model": "gpt-9"}, 404, "model_not_found"),
            ({"origin": "https://elsewhere.example"}, 403, "origin_not_allowed"),
            ({"kind": "translation"}, 400, "translation_not_available"),
            ({"kind": "lecture"}, 400, "invalid_value"),
        ):
            answer = await client.get("/parley/admission", params=asked)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        async with talking(server):
            answer = await client.get("/parley/admission", params={"origin": server.http})
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "session_limit_reached")
            assert int(answer.headers["retry-after"]) > 0
        assert server.app.sessions.refused == {}, "a client that only asks is not counted"


async def test_a_sessions_turns_are_told_while_it_is_open() -> None:
    async with running() as server, http(server) as client:
        async with talking(server) as talk:
            session = talk.events[0].session.id
            await talk.send(
                type="conversation.item.create",
                item={
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "What time is it?"}],
                },
            )
            await talk.send(type="response.create")
            done = await talk.until("response.done")
            answer = await client.get(f"/parley/sessions/{session}/turns")
            assert answer.headers["cache-control"] == "no-store"
            (turn,) = answer.json()["turns"]
            assert (turn["ending"], turn["response_id"]) == ("request", done.response.id)
            assert 0 <= turn["requested_ms"] <= turn["first_token_ms"] <= turn["first_audio_ms"] <= turn["sent_ms"]
        async with asyncio.timeout(20):
            while (answer := await client.get(f"/parley/sessions/{session}/turns")).status_code != 404:
                pass
        assert answer.json()["error"]["code"] == "session_not_found"
