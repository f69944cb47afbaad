"""Tools that need the user's consent, at the terminal and without one: a real MCP server, named by a client secret as strangers get it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.cli.test_ask_and_chat import parley, terminal
from tests.clients.chat_endpoint import ChatEndpoint, chat_endpoint, scripted_pipeline
from tests.clients.mcp_library import Library, mcp_library
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KEY = "sk-open-sesame"
UNASKED = "The tool find of library needs your consent, and there is no terminal to ask at: it was not called."
REFUSED = "The tool says: The user did not approve this call. Nobody could be asked.."
FOUND = "The tool says: Paris is on the third shelf."


@pytest.fixture(scope="module")
def chat() -> Iterator[ChatEndpoint]:
    with chat_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def server(chat: ChatEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "parley.toml").write_text(scripted_pipeline(chat.base_url))
    running = Server("--api-key", KEY, cwd=folder)
    yield running
    running.end()


@pytest.fixture
def library(chat: ChatEndpoint) -> Iterator[Library]:
    chat.calls = 1
    with mcp_library() as books:
        yield books


def secret(server: Server, library: Library) -> str:
    """What a client gets that may use the library, with consent, and knows nothing of the server's key."""
    tools = [{"type": "mcp", "server_label": "library", "server_url": library.url}]
    made = httpx2.post(
        f"{server.url}/v1/realtime/client_secrets",
        headers={"Authorization": f"Bearer {KEY}"},
        json={"session": {"type": "realtime", "model": "default", "tools": tools}},
    )
    return str(made.raise_for_status().json()["value"])


@pytest.fixture
def at(server: Server, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options of a command at the server, whose secret names the library."""
    monkeypatch.setenv("SECRET", secret(server, library))
    return ["--url", server.url.replace("http", "ws", 1), "--api-key-env", "SECRET"]


@pytest.mark.parametrize("command", ["ask", "chat"])
async def test_a_pipe_refuses_and_says_so(command: str, at: list[str], library: Library, tmp_path: Path) -> None:
    code, out, err = await parley(tmp_path, command, *at, stdin=b"Where is it?\n")
    assert (code, out) == (1, f"{REFUSED}\n")
    assert f"parley: {UNASKED}" in err
    assert not library.calls


async def test_the_refusal_is_the_error_of_the_json(at: list[str], library: Library, tmp_path: Path) -> None:
    code, out, _ = await parley(tmp_path, "ask", "Where?", "--json", *at)
    told = json.loads(out)
    assert (code, told["answer"], told["error"]) == (1, REFUSED, UNASKED)


async def test_a_terminal_asks_and_the_answer_goes_on(at: list[str], library: Library, tmp_path: Path) -> None:
    async with terminal(tmp_path, "ask", "Where is it?", *at) as shown:
        await shown.until('May it call find of library with {"title": "Paris"}?')
        await shown.until("[N] no: ")
        assert not library.calls
        shown.type("y\n")
        await shown.until(FOUND)
        assert await shown.end() == 0
    assert library.calls == ["Paris"]


async def test_what_is_allowed_for_a_conversation_is_asked_again_in_the_next(
    at: list[str], library: Library, chat: ChatEndpoint, tmp_path: Path
) -> None:
    chat.calls = 2
    async with terminal(tmp_path, "chat", *at) as shown:
        await shown.until("> ")
        shown.type("Where are they?\n")
        await shown.until("[N] no: ")
        shown.type("a\n")
        await shown.until("The tool says: ")
        await shown.until("> ", 2)
        assert sorted(library.calls) == ["London", "Paris"]
        assert shown.shown.count("May it call") == 1

        shown.type("/new\n")
        await shown.until("> ", 3)
        chat.calls = 1
        shown.type("And now?\n")
        await shown.until("[N] no: ", 2)
        shown.type("\x03")  # refuses, and the answer goes on
        await shown.until("The tool says: The user did not approve this call.")
        await shown.until("> ", 4)
        assert len(library.calls) == 2

        chat.calls = 2
        shown.type("Both?\n")
        await shown.until("[N] no: ", 3)
        shown.type("\n")
        await shown.until("[N] no: ", 4)
        shown.type("yes\n")
        await shown.until(" is on the third shelf", 2)
        await shown.until("> ", 5)
        assert library.calls[2:] == ["London"]
        chat.calls = 0
        shown.type("Hello\n")
        await shown.until("You said: Hello.")
        shown.type("/quit\n")
        assert await shown.end() == 0
    assert "Traceback" not in shown.shown


async def test_talk_refuses_in_a_pipe_and_asks_at_a_terminal(at: list[str], library: Library, tmp_path: Path) -> None:
    typed = ["talk", "--plain", "--typed", *at]
    code, out, err = await parley(tmp_path, *typed, stdin=b"Where is it?\n")
    assert code == 0, err
    assert f"note: warning: {UNASKED}" in out
    assert f"reply: {REFUSED}" in out
    assert not library.calls

    async with terminal(tmp_path, *typed) as shown:
        await shown.until("state: type a message")
        shown.type("Where is it?\n")
        await shown.until("state: waits for you (/y allow")
        assert "may it call find of library with" in " ".join(shown.shown.split())
        shown.type("/y\n")
        await shown.until(f"reply: {FOUND}")
        shown.type("Again\n")
        await shown.until("state: waits for you", 2)
        shown.type("/n\n")
        await shown.until("reply: The tool says: The user did not approve")
        shown.type("/q\n")
        assert await shown.end() == 0
    assert library.calls == ["Paris"]


async def test_the_screen_of_talk_answers_by_function_keys(at: list[str], library: Library, tmp_path: Path) -> None:
    async with terminal(tmp_path, "talk", "--typed", *at, TERM="xterm-256color") as shown:
        await shown.until("type a message")
        shown.type("Where is it?\r")
        await shown.until("waits for you")
        await shown.until("F7")
        shown.type("\x1b[18~")
        await shown.until("third shelf")
        shown.type("\x03")
        assert await shown.end() == 0
    assert library.calls == ["Paris"]
