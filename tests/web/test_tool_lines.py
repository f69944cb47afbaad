"""Tools in the transcript, also those of MCP servers: a name and a sentence; arguments and answers folded, set as data, bounded."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from mcp.server.mcpserver import MCPServer

from tests.web.browser import Tab, page
from tests.web.server import Server
from tests.web.test_mcp_settings import add
from tests.web.test_small_screens import fits, sized

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

BOOKS = 400
EVIL = "<img src=x onerror='globalThis.evil = 1'>"


def catalogue(shelf: str) -> str:
    """All books of a shelf."""
    return json.dumps([{"title": f"Book {number} 🦜 {EVIL}", "shelf": shelf} for number in range(BOOKS)])


def breakage() -> str:
    """Fails."""
    raise ValueError("the shelf fell down")


@contextmanager
def books() -> Iterator[str]:
    """The address of an MCP server with a tool that answers much, and one that fails."""
    tools = MCPServer("books")
    tools.tool()(catalogue)
    tools.tool()(breakage)
    listener = socket.create_server(("127.0.0.1", 0))
    app = tools.streamable_http_app()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def talked(quick: Server) -> AsyncIterator[Tab]:
    """A page on which tools of its own and of an MCP server were called."""
    with books() as address:
        async with page(quick.url) as tab:
            await tab.until("parley.settings.pipelines.length > 0")
            await add(tab, "books", address)
            await tab.js("parley.say('Hello')", gesture=True)
            await tab.until("document.querySelector('.entry.listing[data-state=done]') && parley.talk.phase === 'idle'")
            for number, text in enumerate(
                ("Please get the time for me.", "Please call catalogue now.", "Please call breakage now."), 1
            ):
                await tab.js(f"parley.say({text!r})", gesture=True)
                await tab.until(
                    f"document.querySelectorAll('.entry.tool:is([data-state=done], [data-state=failed])').length === {number}"
                )
                await tab.press("Escape")
                await tab.until("parley.talk.phase === 'idle' && parley.talk.response === null")
            await tab.media(prefers_reduced_motion="reduce")
            yield tab


async def lines(tab: Tab) -> dict[str, dict[str, Any]]:
    """Each tool's line by its name."""
    return {
        line["name"]: line
        for line in await tab.js(
            "[...document.querySelectorAll('.entry:is(.tool, .listing)')].map((one) => ({ name: one.querySelector('.name').textContent, "
            "state: one.dataset.state, line: one.querySelector('.line').textContent, "
            "folds: [...one.querySelectorAll('summary')].map((part) => part.textContent), "
            "pre: one.querySelectorAll('pre').length }))"
        )
    }


async def opened(tab: Tab, name: str, part: str) -> str:
    """The data of a fold, as it is shown."""
    fold = (
        f"[...document.querySelectorAll('.entry:is(.tool, .listing)')].find((one) => one.querySelector('.name').textContent === {name!r})"
        f".querySelector('[data-part={part}]')"
    )
    await tab.js(f"{fold}.open || {fold}.querySelector('summary').click()")
    await tab.until(f"{fold}.querySelector('pre')")
    return str(await tab.js(f"{fold}.querySelector('pre').textContent"))


async def test_a_line_has_a_name_and_a_sentence_and_the_rest_is_folded(talked: Tab) -> None:
    seen = await lines(talked)
    assert list(seen) == ["books", "get_time", "catalogue", "breakage"]
    assert seen["books"]["line"] == "books offers 2 tools: catalogue and breakage."
    assert seen["books"]["folds"] == ["Tools"]
    assert seen["get_time"]["line"].startswith("get_time It is ")
    assert seen["get_time"]["folds"] == ["Answer"], "without arguments there are none to see"
    assert seen["catalogue"]["line"].startswith("catalogue of books answered with ")
    assert seen["catalogue"]["folds"] == ["Arguments", "Answer"]
    assert seen["breakage"]["state"] == "failed"
    assert seen["breakage"]["line"] == "breakage of books Error executing tool breakage"
    assert seen["breakage"]["folds"] == [], "the line says it all"
    assert all(line["pre"] == 0 for line in seen.values()), "what is folded is not made"
    assert talked.errors == []


async def test_what_is_folded_opens_as_data_and_long_answers_are_bounded(talked: Tab) -> None:
    answer = await opened(talked, "get_time", "Answer")
    assert json.loads(answer)["message"].startswith("It is ")
    assert answer.startswith('{\n  "message"'), "a member a line"
    assert list(json.loads(await opened(talked, "catalogue", "Arguments"))) == ["shelf"]
    tools = await opened(talked, "books", "Tools")
    assert '"name": "catalogue"' in tools
    assert "All books of a shelf." in tools
    first = await opened(talked, "catalogue", "Answer")
    assert len(first) < 5000
    more = "document.querySelector('.entry.tool .plain')"
    assert (await talked.js(f"{more}.textContent")).startswith("Show all ")
    await talked.js(f"{more}.click()")
    whole = await talked.js("[...document.querySelectorAll('.entry.tool pre')].at(-1).textContent")
    assert len(json.loads(whole)) == BOOKS
    assert await talked.js("document.querySelectorAll('#entries img').length === 0 && globalThis.evil === undefined")
    for width, height in ((320, 568), (1280, 800)):
        await sized(talked, width, height)
        await fits(talked, width)


async def test_an_open_line_stays_open_while_its_answer_comes(talked: Tab) -> None:
    call = "{ id: 'item_t', kind: 'tool', callId: 'c', name: 'slow', args: '{\"a\": 1}', output: '', state: 'running', ms: 0 }"
    await talked.js(f"globalThis.call = parley.talk.transcript.add({call})")
    assert (await lines(talked))["slow"]["line"] == "slow is at work…"
    assert json.loads(await opened(talked, "slow", "Arguments")) == {"a": 1}
    await talked.js(
        "parley.talk.transcript.changed(Object.assign(call, { output: JSON.stringify({ rows: [1, 2] }), state: 'done' }))"
    )
    assert (await lines(talked))["slow"]["line"] == "slow answered with rows."
    assert json.loads(await opened(talked, "slow", "Arguments")) == {"a": 1}
    assert await talked.js("document.querySelector('[data-part=Arguments][open]') !== null")
    assert json.loads(await opened(talked, "slow", "Answer")) == {"rows": [1, 2]}
    await talked.js("parley.talk.transcript.forget('item_t')")


async def test_they_are_there_after_a_reload_and_the_model_is_told_no_listing(talked: Tab) -> None:
    before = await lines(talked)
    await talked.js("globalThis.old = true; location.reload()")
    await talked.until("!globalThis.old && globalThis.parley && document.querySelectorAll('.entry.tool').length === 3")
    after = await lines(talked)
    assert {name: line["line"] for name, line in after.items()} == {name: line["line"] for name, line in before.items()}
    talked.sent.clear()
    await talked.js("parley.say('Hello again')", gesture=True)
    await talked.until("parley.talk.askable")
    created = [event["item"]["type"] for event in talked.asked("conversation.item.create")]
    assert set(created) <= {"message", "function_call", "function_call_output"}
    assert created.count("function_call") == 3
    assert await talked.js("document.querySelectorAll('.entry.listing').length") == 1, "one line for each server"


async def test_a_server_that_lists_nothing_has_a_line_and_clearing_can_be_undone(quick: Server) -> None:
    async with page(quick.url) as tab:
        await tab.until("parley.settings.pipelines.length > 0")
        await add(tab, "shelf", "http://127.0.0.1:9/mcp")
        await tab.js("parley.say('Hello')", gesture=True)
        await tab.until("document.querySelector('.entry.listing[data-state=failed]')")
        assert (await lines(tab))["shelf"]["line"] == "shelf did not list its tools."
        await tab.until("document.querySelector('.entry.assistant .words') && parley.talk.phase === 'idle'")
        await tab.js("parley.actions.startAnew()")
        await tab.js(
            "parley.talk.transcript.listing('shelf', { itemId: 'x', tools: [], state: 'running', output: '' })"
        )
        assert not await tab.js("document.querySelector('#cleared').hidden"), "a listing is nothing that was said"
        await tab.js("parley.actions.undo()")
        assert await tab.js("document.querySelectorAll('.entry.user').length") == 1
