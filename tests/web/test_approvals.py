"""Calls of MCP tools that need the user's consent: asked in the conversation, answered once, and accounted for whatever happens."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.chat_endpoint import ChatEndpoint, chat_endpoint
from tests.clients.mcp_library import Library, mcp_library
from tests.web.browser import Tab, eventually, page
from tests.web.quick import line, quick_pipeline
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CARD = "document.querySelector('.entry.approval[data-state=asking]')"
CARDS = "document.querySelectorAll('.entry.approval[data-state=asking]').length"
ASKS = "parley.talk.approvals.asking.length"


@pytest.fixture(scope="module")
def chat() -> Iterator[ChatEndpoint]:
    with chat_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def server(chat: ChatEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "parley.toml").write_text(quick_pipeline(chat.base_url))
    running = Server(cwd=folder)
    yield running
    running.end()


@pytest.fixture(scope="module")
def shelves() -> Iterator[Library]:
    with mcp_library() as books:
        yield books


@pytest.fixture
def library(chat: ChatEndpoint, shelves: Library) -> Library:
    """Of which nothing was asked yet; the model calls it once."""
    chat.calls = 1
    shelves.calls.clear()
    return shelves


@asynccontextmanager
async def talking(url: str, library: Library, microphone: Path | None = None, **chosen: Any) -> AsyncIterator[Tab]:
    """The page, whose user has named the library in the settings, and wants to be asked."""
    preferences = json.dumps({"connection": "websocket", "tools": False} | chosen)
    before = (
        "if (!('tools' in JSON.parse(localStorage.getItem('parley.preferences'))))"
        f" localStorage.setItem('parley.preferences', {json.dumps(preferences)});"
    )
    async with page(url, microphone, before=before) as tab:
        await tab.until("parley.settings.pipelines.length > 0")
        await tab.js("parley.settings.open(); document.querySelector('#tool-server-form').open = true")
        for name, value in (("label", "library"), ("url", library.url)):
            await tab.js(f"document.querySelector('#tool-server-{name}').value = {value!r}")
        assert await tab.js("document.querySelector('#tool-server-approval').checked"), "to be asked is the default"
        await tab.js("document.querySelector('#tool-server-add').click(); parley.settings.dialog.close()")
        yield tab


async def ready(tab: Tab) -> None:
    """A session that knows the library's tools."""
    await tab.js("parley.connect()", gesture=True)
    await tab.until(
        "parley.talk.askable && document.querySelector('#tool-server-list > li').dataset.state === 'listed'"
    )


async def say(tab: Tab, text: str) -> None:
    await tab.js(f"parley.say({json.dumps(text)})", gesture=True)


async def asked(tab: Tab, text: str = "Where is it?", cards: int = 1) -> None:
    """The user says something, and the model wants to call the tool."""
    await ready(tab)
    await say(tab, text)
    await tab.until(f"{CARDS} === {cards}")


async def answer(tab: Tab, label: str) -> None:
    """Press a button of the oldest card, once it may be pressed."""
    await tab.js("new Promise((resolve) => setTimeout(resolve, 600))")
    found = f"[...{CARD}.querySelectorAll('button')].find((one) => one.textContent.startsWith({label!r}))"
    await tab.js("document.querySelectorAll('[data-pressed]').forEach((one) => delete one.dataset.pressed)")
    await tab.js(f"{found}.scrollIntoView()")
    await tab.js(f"{found}.dataset.pressed = ''")
    await tab.click("button[data-pressed]")


async def heard_out(tab: Tab, text: str) -> None:
    await tab.until(
        f"[...document.querySelectorAll('.entry.assistant .words')].at(-1)?.innerText.includes({json.dumps(text)})"
    )
    await tab.until("parley.talk.phase === 'idle'")


@pytest.mark.parametrize("connection", ["websocket", "webrtc"])
async def test_a_call_is_made_once_the_user_allows_it(server: Server, library: Library, connection: str) -> None:
    if connection == "webrtc":
        pytest.importorskip("aiortc", reason="the extra `webrtc` is not installed")
    async with talking(server.url, library, connection=connection) as tab:
        await asked(tab)
        words = await tab.text(".entry.approval .words")
        assert all(part in words for part in ("Let Parley use find of library?", '"title": "Paris"'))
        await tab.until("document.querySelector('#heart-state').innerText === 'Waiting'")
        assert await tab.text("#heart-hint") == "for your answer"
        assert not library.calls
        await answer(tab, "Allow")
        await heard_out(tab, "The tool says: Paris is on the third shelf.")
        assert library.calls == ["Paris"]
        assert await tab.js("document.querySelector('.entry.approval').dataset.state") == "allowed"
        assert "Allowed" in await tab.text(".entry.approval .words")
        assert "Paris is on the third shelf" in await tab.text(".entry.tool .words")
        assert await tab.text("#heart-state") != "Waiting"
        assert tab.told("error") == []
        assert tab.errors == []
        assert len(tab.asked("response.create")) == 1, "the server goes on by itself"
        await eventually(lambda: len(tab.told("response.done")) == 2, "one reply follows the call", tab)


async def test_a_call_that_is_denied_is_never_made_and_the_model_learns_of_it(
    server: Server, library: Library, chat: ChatEndpoint
) -> None:
    async with talking(server.url, library) as tab:
        await asked(tab)
        await answer(tab, "Deny")
        await heard_out(tab, "The tool says: The user did not approve this call.")
        assert not library.calls
        assert await tab.js("document.querySelector('.entry.approval').dataset.state") == "denied"
        assert "Denied" in await tab.text(".entry.approval .words")
        assert await tab.js("document.querySelector('.entry.tool')") is None
        # A later session is told of it as of a call that was not made.
        await tab.goto(f"{server.url}/?again")
        await tab.until("document.querySelector('.entry.approval')?.dataset.state === 'denied'")
        taken = await tab.js("parley.actions.text")
        assert all(part in taken for part in ("Asked to call find of library", '{"title": "Paris"}\n→ not allowed'))
        chat.calls = 0
        await say(tab, "And now?")
        await heard_out(tab, "You said: And now?")
        told = next(message for message in chat.last_messages if message["role"] == "tool")
        assert told["content"] == "The user did not approve this call."
        assert chat.requests[-1]["tools"], "the first message of a session waits for its tools"
        assert tab.told("error") == []
        assert tab.errors == []


async def test_several_requests_are_answered_one_by_one_with_the_keyboard_alone(
    server: Server, library: Library, chat: ChatEndpoint
) -> None:
    async with talking(server.url, library) as tab:
        chat.calls = 2
        await ready(tab)
        await tab.js("document.querySelector('#message').focus()")
        await tab.type("Where are they?")
        await tab.press("Enter")
        await tab.type("I am still wri")
        await tab.until(f"{CARDS} === 2")
        await tab.until("document.querySelector('#heart-hint').innerText === 'for 2 answers'")
        assert await tab.js("document.activeElement.id") == "message", "who types goes on typing"
        await tab.type("ting")
        assert await tab.js("document.querySelector('#message').value") == "I am still writing"
        said = await tab.js("document.querySelector('#said').textContent")
        assert all(words in said for words in ("Let Parley use find of library", "London"))

        await tab.js("document.activeElement.blur()")
        await tab.press("a")
        assert "Paris" in await tab.js("document.activeElement.textContent")
        assert await tab.js("document.activeElement.getAttribute('aria-label')") == "find of library"
        await tab.js("new Promise((resolve) => setTimeout(resolve, 600))")
        for _ in range(3):  # the arguments' summary, the arguments, Allow
            await tab.press("Tab")
        assert await tab.js("document.activeElement.textContent") == "Allow"
        await tab.press("Tab")
        await tab.press("Enter")
        await tab.until(f"{CARDS} === 1")
        assert "London" in await tab.js("document.activeElement.textContent"), "the focus is at the next request"
        for _ in range(3):
            await tab.press("Tab")
        await tab.press("Enter")
        await tab.until(f"{CARDS} === 0")
        await eventually(lambda: library.calls == ["London"], "only what was allowed is called", tab)
        await tab.until("document.querySelector('.entry.tool .words')?.innerText.includes('London is on')")
        said = await tab.js("document.querySelector('#said').textContent")
        assert all(f"find of library: {outcome}" in said for outcome in ("Denied", "Allowed"))
        assert tab.told("error") == []
        assert tab.errors == []


async def test_a_press_at_the_moment_when_the_card_comes_counts_for_nothing(server: Server, library: Library) -> None:
    async with talking(server.url, library) as tab:
        await ready(tab)
        await tab.js(
            "parley.talk.transcript.addEventListener('entry', ({ detail }) => detail.state === 'asking' && "
            "document.querySelector('.answers .solid')?.click())"
        )
        await say(tab, "Where is it?")
        await tab.until(f"{CARDS} === 1")
        assert tab.asked("conversation.item.create")[-1]["item"]["type"] == "message"
        await answer(tab, "Allow")
        await eventually(lambda: library.calls == ["Paris"], "a later press counts", tab)


async def test_a_tool_is_allowed_for_the_conversation_until_that_is_taken_back(
    server: Server, library: Library, chat: ChatEndpoint
) -> None:
    async with talking(server.url, library) as tab:
        chat.calls = 2
        await asked(tab, cards=2)
        await answer(tab, "Allow find for this conversation")
        await tab.until(f"{CARDS} === 0")
        await eventually(lambda: sorted(library.calls) == ["London", "Paris"], "both are called", tab)
        await heard_out(tab, "The tool says")
        chat.calls = 1
        await say(tab, "Once more")
        await eventually(lambda: len(library.calls) == 3, "it is not asked again", tab)
        await tab.until("document.querySelectorAll('.entry.tool').length === 3")
        shown = "[...document.querySelectorAll('.entry.approval')].map((one) => one.innerText)"
        assert "Allowed for this conversation" in (await tab.js(shown))[-1]
        assert await tab.js("[...document.querySelectorAll('.outcome button')].length") == 1, "it is ended in one place"

        # It outlives a reload, and not the conversation.
        await heard_out(tab, "The tool says")
        await tab.goto(f"{server.url}/?again")
        await ready(tab)
        settings = "document.querySelector('#tool-server-list .allowed')"
        assert "Allowed in this conversation: find" in await tab.js(f"{settings}.textContent")
        await say(tab, "After the reload")
        await eventually(lambda: len(library.calls) == 4, "it is still allowed", tab)
        await heard_out(tab, "The tool says")
        await tab.js("document.querySelector('.outcome button').scrollIntoView()")
        await tab.click(".outcome button")
        assert await tab.js("document.querySelector('.outcome button')") is None
        assert await tab.js(settings) is None
        await say(tab, "And now?")
        await tab.until(f"{CARDS} === 1")
        await answer(tab, "Allow find for this conversation")
        await heard_out(tab, "The tool says")
        assert await tab.js(f"{settings} !== null")
        await tab.click("#anew")
        assert await tab.js(settings) is None
        await ready(tab)
        await say(tab, "Anew")
        await tab.until(f"{CARDS} === 1")
        assert len(library.calls) == 5
        assert tab.told("error") == []
        assert tab.errors == []


async def test_a_request_that_a_reload_ends_is_said_so_and_can_be_made_again(
    server: Server, library: Library, chat: ChatEndpoint
) -> None:
    async with talking(server.url, library) as tab:
        await asked(tab)
        await tab.goto(f"{server.url}/?again")
        await tab.until("document.querySelector('.entry.approval')?.dataset.state === 'gone'")
        assert "reloaded before you answered, and nothing was called" in await tab.text(".entry.approval .trouble")
        assert await tab.js("document.querySelector('.answers')") is None
        await ready(tab)
        created = [event["item"]["type"] for event in tab.asked("conversation.item.create")]
        assert "mcp_approval_request" not in created
        await tab.js("document.querySelector('.trouble button').scrollIntoView()")
        await tab.click(".trouble button")
        await tab.until(f"{CARDS} === 1")
        assert not library.calls
        assert [message["role"] for message in chat.last_messages if message["role"] != "system"] == ["user"]
        await answer(tab, "Allow")
        await heard_out(tab, "The tool says: Paris is on the third shelf.")
        assert library.calls == ["Paris"]
        assert tab.told("error") == []
        assert tab.errors == []


async def test_a_request_that_a_lost_server_ends_is_said_so_and_the_model_is_told(
    server: Server, library: Library, chat: ChatEndpoint
) -> None:
    async with line(server) as way, talking(way.url, library) as tab:
        await asked(tab)
        way.cut()
        await tab.until("document.querySelector('.entry.approval')?.dataset.state === 'gone'")
        says = "The connection ended before you answered, and nothing was called."
        assert says in await tab.text(".entry.approval .trouble")
        assert says in await tab.js("document.querySelector('#said').textContent")
        await way.mend()
        await tab.until("parley.talk.askable")
        assert await tab.text("#heart-state") != "Waiting"
        chat.calls = 0
        await say(tab, "Hello?")
        await heard_out(tab, "You said: Hello?.")
        told = [message["content"] for message in chat.last_messages if message["role"] == "tool"]
        assert told == ["Not called: the user was asked, and the conversation was interrupted before the answer."]
        assert not library.calls
        assert tab.told("error") == []


async def test_requests_that_the_server_or_another_client_ends_are_accounted_for(
    server: Server, library: Library, chat: ChatEndpoint
) -> None:
    send = "parley.talk.send('conversation.item.{}', {})"
    request = "parley.talk.approvals.asking[0].id"
    async with talking(server.url, library) as tab:
        await asked(tab)
        await tab.js(send.format("delete", f"{{ item_id: {request} }}"))
        await tab.until(f"{CARDS} === 0")
        assert "withdrawn, and nothing was called" in await tab.text(".entry.approval .trouble")

        await say(tab, "Again")
        await tab.until(f"{CARDS} === 1")
        decision = f"{{ item: {{ type: 'mcp_approval_response', approval_request_id: {request}, approve: false }} }}"
        await tab.js(send.format("create", decision))
        await tab.until(f"{CARDS} === 0")
        assert "Denied by another client" in await tab.js(
            "[...document.querySelectorAll('.approval .said')].at(-1).innerText"
        )
        await heard_out(tab, "did not approve")

        # The session no longer has the MCP server: allowing is impossible, denying is not.
        await say(tab, "A third time")
        await tab.until(f"{CARDS} === 1")
        await tab.js("document.querySelector('#tool-server-list button').click()")
        await answer(tab, "Allow")
        await tab.until(f"{CARD}?.querySelector('.trouble')?.innerText.includes('no longer among the MCP servers')")
        await answer(tab, "Deny")
        await tab.until(f"{CARDS} === 0")
        await heard_out(tab, "did not approve")
        assert not library.calls
        assert await tab.js("document.querySelector('#alert').hidden")
        assert tab.errors == []


async def test_one_goes_on_talking_while_a_request_is_open(
    server: Server, library: Library, chat: ChatEndpoint, microphone: Any
) -> None:
    async with talking(server.url, library, microphone(1.0, "hello_world", 60.0)) as tab:
        await asked(tab)
        chat.calls = 0
        await tab.click("#heart")
        await tab.until("document.querySelector('.entry.user:nth-of-type(3) .words, .entry.user ~ .entry.user .words')")
        await tab.until("document.querySelector('.entry.assistant .words')?.innerText.includes('You said')")
        waiting = [message["content"] for message in chat.last_messages if message["role"] == "tool"]
        assert waiting == ["(not called: waiting for the user's approval)"]
        assert await tab.js(ASKS) == 1
        await tab.until("document.querySelector('#heart-state').innerText === 'Waiting'")
        await answer(tab, "Allow")
        await tab.until(
            "[...document.querySelectorAll('.entry.assistant .words')].at(-1)?.innerText.includes('third shelf')"
        )
        assert library.calls == ["Paris"]
        assert tab.told("error") == []
        assert tab.errors == []


async def test_arguments_are_shown_as_they_are_sent(server: Server, library: Library) -> None:
    async with talking(server.url, library) as tab:
        shown = (
            "(args) => { const asked = { id: String(Math.random()), server: 'library', address: '', name: 'find' }; "
            "parley.talk.transcript.approval({ ...asked, args }); "
            "const last = [...document.querySelectorAll('.entry.approval')].at(-1).querySelector('details'); "
            "const text = (selector) => last.querySelector(selector).textContent; "
            "return [last.open, text('pre'), text('summary')]; }"
        )
        for args, opened, text, summary in (
            ('{"a": 1}', True, '{\n  "a": 1\n}', "Arguments"),
            ('{"id": 12345678901234567890}', True, '{"id": 12345678901234567890}', "Arguments"),
            ('{"a": 1, "a": 2}', True, '{"a": 1, "a": 2}', "Arguments"),
            ('{"a": "x\u202ey"}', True, '{\n  "a": "x\\u{202e}y"\n}', "Arguments"),
            ('{"a": [1,2,3,4,5,6,7]}', False, None, "Arguments: 11 lines"),
            ("no json", True, "no json", "Arguments"),
        ):
            got = await tab.js(f"({shown})({json.dumps(args)})")
            assert got[0] is opened
            assert text is None or got[1] == text
            assert got[2] == summary


async def test_a_message_waits_for_tools_that_do_not_come_and_then_goes(server: Server, chat: ChatEndpoint) -> None:
    chat.calls = 1
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections, and answers nothing
    try:
        deaf = Library(f"http://127.0.0.1:{silent.getsockname()[1]}/mcp")
        async with talking(server.url, deaf) as tab:
            await say(tab, "Are you there?")
            await heard_out(tab, "You said: Are you there?")
            await say(tab, "Still?")
            await heard_out(tab, "You said: Still?.")
            assert tab.errors == []
    finally:
        silent.close()
