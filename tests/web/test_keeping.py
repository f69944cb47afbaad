"""A conversation outlives its sessions: a reload, a restarted server, another voice or pipeline.

What was typed is never lost, what failed is tried again, and what was cleared is gone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.chat_endpoint import ChatEndpoint, chat_endpoint
from tests.engines.audio_server import AudioServer, transcribe
from tests.engines.chat_server import Answer, Request
from tests.web.browser import Tab, eventually, page
from tests.web.quick import KEY, Mortal, line, quick_pipeline
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Microphone = Callable[..., Path]

STORED = "sessionStorage.getItem('parley.conversation')"


@pytest.fixture(scope="module")
def chat() -> Iterator[ChatEndpoint]:
    with chat_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def folder(chat: ChatEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where servers start that answer with the endpoint's words; `slow` is for replies that something happens to meanwhile."""
    path = tmp_path_factory.mktemp("server")
    pipelines = [quick_pipeline(chat.base_url, name) for name in ("default", "other")]
    (path / "parley.toml").write_text("".join(pipelines) + quick_pipeline(chat.base_url, "slow", seconds=2))
    return path


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Mortal]:
    running = Mortal(folder)
    yield running
    running.end()


@asynccontextmanager
async def talking(url: str, microphone: Path | None = None, **chosen: Any) -> AsyncIterator[Tab]:
    """The page, with preferences; without its tools, unless they are chosen."""
    preferences = json.dumps({"connection": "websocket", "tools": False} | chosen)
    before = f"localStorage.setItem('parley.preferences', {json.dumps(preferences)});"
    async with page(url, microphone, before=before) as tab:
        yield tab


async def say(tab: Tab, text: str) -> None:
    await tab.js(f"parley.say({json.dumps(text)})", gesture=True)


def words(of: str) -> str:
    """An expression: what the last entry of a kind shows."""
    return f"[...document.querySelectorAll('.entry.{of} .words')].at(-1)?.innerText"


async def heard_out(tab: Tab, text: str) -> None:
    """The last reply says this, and was heard to its end."""
    await tab.until(f"{words('assistant')}?.includes({json.dumps(text)})")
    await tab.until(
        "((last) => last.dataset.state === 'done' && last.querySelector('.heard') && !last.querySelector('.ahead'))"
        "([...document.querySelectorAll('.entry.assistant')].at(-1)) && parley.talk.phase === 'idle'"
    )


def told(chat: ChatEndpoint) -> list[tuple[str, str]]:
    """What the model was last sent, without its instructions."""
    return [
        (message["role"], message.get("content") or "")
        for message in chat.last_messages
        if message["role"] not in ("system", "developer")
    ]


async def test_a_reload_keeps_the_conversation_and_the_model_is_told_of_it(server: Mortal, chat: ChatEndpoint) -> None:
    async with talking(server.url) as tab:
        await say(tab, "My name is Ada")
        await heard_out(tab, "You said: My name is Ada.")
        await tab.until("document.querySelector('details.figures')")
        await tab.goto(f"{server.url}/?again")
        await tab.until("document.querySelectorAll('.entry').length === 3")
        assert await tab.text(".entry.note") == "Above: from before the reload"
        assert await tab.js("document.querySelector('#empty').hidden && !document.querySelector('#said-head').hidden")
        assert await tab.js("document.querySelector('.entry.assistant details.figures strong').innerText")
        assert await tab.js("document.querySelector('#said').textContent") == "", "nothing of it is read aloud again"
        assert await tab.js("!parley.talk.listening && parley.talk.link.state.name") == "closed"

        await say(tab, "What is my name?")
        await heard_out(tab, "You said: What is my name?")
        assert told(chat) == [
            ("user", "My name is Ada"),
            ("assistant", "You said: My name is Ada."),
            ("user", "What is my name?"),
        ]
        assert await tab.js("document.querySelectorAll('.entry.note').length") == 1, "all is as it was"
        assert tab.told("error") == []
        assert tab.errors == []


async def test_a_killed_server_comes_back_and_the_conversation_goes_on_with_what_was_heard(
    server: Mortal, chat: ChatEndpoint
) -> None:
    try:
        async with talking(f"{server.url}/?pipeline=slow", instructions="Tell a STORY.") as tab:
            await say(tab, "Tell me something long.")
            await tab.until("document.querySelector('.entry.assistant .heard')?.textContent.split(' ').length > 3")
            server.kill()
            await tab.until("document.querySelector('#alert').innerText.includes('goes on as soon as it is back')")
            await tab.until(
                "document.querySelector('.entry.assistant .trouble')?.innerText.includes('connection broke')"
            )
            heard = (await tab.text(".entry.assistant .heard")).strip()
            assert heard
            assert "sentence number 12" not in heard
            await say(tab, "Are you there?")
            assert "not sent yet" in await tab.js("[...document.querySelectorAll('.entry.user')].at(-1).textContent")

            server.live()
            await tab.until("parley.talk.connected && document.querySelector('#alert').hidden")
            await tab.until(
                "document.querySelectorAll('.entry.assistant')[1]?.innerText.includes('sentence number 1 ')"
            )
            notes = await tab.js("[...document.querySelectorAll('.entry.note')].map((note) => note.innerText)")
            assert notes == ["Reconnected; the conversation goes on."]
            assert told(chat) == [
                ("user", "Tell me something long."),
                ("assistant", heard),
                ("user", "Are you there?"),
            ]
            assert "not sent yet" not in await tab.text("#entries")
            assert tab.told("error") == []
    finally:
        server.live()


async def test_another_voice_and_another_pipeline_go_on_with_the_conversation(
    server: Mortal, chat: ChatEndpoint
) -> None:
    async with talking(server.url) as tab:
        await say(tab, "One")
        await heard_out(tab, "You said: One.")
        await tab.js("parley.settings.chooseVoice('echo')")
        await tab.until("document.querySelectorAll('.entry.note').length === 1")
        assert await tab.text(".entry.note") == "Now with the voice echo; the conversation goes on."
        await say(tab, "Two")
        await heard_out(tab, "You said: Two.")
        await tab.js(
            "(() => { const select = document.querySelector('#pipeline'); select.value = 'other'; "
            "select.dispatchEvent(new Event('change')) })()"
        )
        await tab.until("document.querySelectorAll('.entry.note').length === 2")
        await say(tab, "Three")
        await heard_out(tab, "You said: Three.")
        assert told(chat) == [
            ("user", "One"), ("assistant", "You said: One."),
            ("user", "Two"), ("assistant", "You said: Two."),
            ("user", "Three"),
        ]  # fmt: skip
        notes = await tab.js("[...document.querySelectorAll('.entry.note')].map((note) => note.innerText)")
        assert notes[1] == "Now with other; the conversation goes on."
        assert len(tab.told("session.created")) == 3
        assert tab.told("error") == []
        assert tab.errors == []


async def test_tools_are_told_with_their_answers_and_a_refused_item_does_not_stop_the_rest(
    server: Mortal, chat: ChatEndpoint
) -> None:
    async with talking(server.url, tools=True) as tab:
        await say(tab, "What time is it?")
        await heard_out(tab, "The tool says:")
        await tab.goto(f"{server.url}/?again")
        await tab.until("document.querySelectorAll('.entry').length === 4")
        assert "get_time" in await tab.text(".entry.tool .name")
        # An entry whose id the server refuses: longer than an id may be.
        await tab.js(
            "parley.talk.transcript.restore([{ id: 'x'.repeat(70), at: 1, kind: 'user', text: 'Lost', partial: false, "
            "typed: true, sending: '', failed: '', retry: '' }])"
        )
        await tab.js("parley.settings.dialog.querySelector('#with-tools').click()")
        await say(tab, "Thank you")
        await heard_out(tab, "You said: Thank you.")
        messages = chat.last_messages
        roles = [message["role"] for message in messages if message["role"] != "system"]
        assert roles == ["user", "assistant", "tool", "assistant", "user"]
        called = next(message for message in messages if message.get("tool_calls"))
        answered = next(message for message in messages if message["role"] == "tool")
        assert called["tool_calls"][0]["function"]["name"] == "get_time"
        assert called["tool_calls"][0]["id"] == answered["tool_call_id"]
        assert "time_zone" in answered["content"]
        assert "The server did not accept 1 of its 5 parts." in await tab.text("#entries")
        assert len(tab.told("error")) == 1


async def test_a_long_conversation_is_told_as_far_as_it_fits(server: Mortal, chat: ChatEndpoint) -> None:
    async with talking(server.url) as tab:
        records = [
            {
                "id": f"item_{number}",
                "role": "user",
                "at": "2026-01-01T10:00:00Z",
                "text": f"Line {number}",
                "typed": True,
            }
            for number in range(520)
        ]
        await tab.js(f"{STORED.replace('getItem', 'setItem')[:-1]}, {json.dumps(json.dumps(records))})")
        await tab.js("parley.conversation.restore()")
        await say(tab, "The last")
        await heard_out(tab, "You said: The last.")
        assert told(chat) == [("user", f"Line {number}") for number in range(20, 520)] + [("user", "The last")]
        assert "the server does not know its first 20 entries" in await tab.text("#entries")
        assert tab.told("error") == []


async def test_what_is_typed_at_a_locked_server_is_sent_when_it_is_unlocked(locked: Server) -> None:
    async with talking(locked.url) as tab:
        await tab.until("document.querySelector('#key-box').open")
        await tab.js("document.querySelector('#key-box').close()")
        await say(tab, "Let me in")
        await tab.until("document.querySelector('#key-box').open")
        assert "not sent yet" in await tab.js("document.querySelector('.entry.user').textContent")
        await tab.js("document.querySelector('#key').focus()")
        await tab.type(KEY)
        await tab.press("Enter")
        await heard_out(tab, "Let me in")
        assert "sesame" not in await tab.js(f"parley.conversation.save() ?? {STORED}")


async def test_a_message_that_waits_is_kept_over_a_reload_and_counts_from_the_key(server: Mortal) -> None:
    async with line(server) as way, talking(way.url) as tab:
        await tab.until("parley.settings.pipelines.length > 0")
        way.cut()
        await tab.js("document.querySelector('#message').focus()")
        await tab.type("Wait for it")
        await tab.press("Enter")
        await tab.until("document.querySelector('.entry.user')?.dataset.sending === 'waiting'")
        await tab.until("parley.talk.link.state.name === 'waiting'")
        await way.mend()
        await tab.js("parley.talk.disconnect(); dispatchEvent(new Event('pagehide'))")
        await tab.goto(f"{way.url}/?again")
        await tab.until("document.querySelector('.entry.user .trouble')")
        assert "Not sent yet." in await tab.text(".entry.user .trouble")
        assert await tab.js("parley.talk.link.state.name") == "closed", "nothing is sent without the user"
        await tab.click(".entry.user .trouble button")
        await heard_out(tab, "You said: Wait for it.")
        assert await tab.js("document.querySelector('.entry.user .trouble')") is None

        await tab.js("parley.talk.addEventListener('turn', ({ detail }) => { globalThis.turn = detail })")
        await tab.js("parley.talk.disconnect(); globalThis.typedAt = performance.now()")
        await tab.js("parley.talk.asking.type('Later')", gesture=True)
        await tab.js("new Promise((resolve) => setTimeout(resolve, 400))")
        await tab.js("parley.connect()", gesture=True)
        assert (await tab.until("globalThis.turn"))["totalMs"] > 400, "the wait for a session counts"
        assert tab.told("error") == []


async def test_a_new_conversation_during_a_reply_leaves_nothing_and_can_be_undone(
    server: Mortal, chat: ChatEndpoint
) -> None:
    async with talking(f"{server.url}/?pipeline=slow") as tab:
        await say(tab, "Before")
        await heard_out(tab, "You said: Before.")
        await tab.until("document.querySelector('#last table')")
        await tab.js("parley.settings.dialog.querySelector('#instructions').value = 'Tell a STORY.'")
        await tab.js("parley.settings.dialog.querySelector('#instructions').dispatchEvent(new Event('change'))")
        await say(tab, "A long one")
        await tab.until(f"{words('assistant')}?.includes('sentence number 1 ')")
        heard = "[...document.querySelectorAll('.entry.assistant')].at(-1).querySelector('.heard')?.textContent"
        await tab.until(
            f"{heard} && parley.talk.phase === 'speaking'"
        )  # a reply of which nothing was heard is not kept
        await tab.click("#anew")
        empty = "document.querySelectorAll('.entry').length === 0 && !document.querySelector('#empty').hidden"
        await tab.until(f"{empty} && document.querySelector('#said-head').hidden")
        assert await tab.js(STORED) is None, "it is erased at once"
        assert await tab.js("document.querySelector('#last').innerText") == ""
        assert await tab.js("parley.dial.slots.every((slot) => slot === null)")
        assert await tab.js("parley.conversation.recording.empty")
        assert await tab.js("document.activeElement.id") == "undo"
        # The loudspeaker's last account comes after that, and must bring nothing back.
        await tab.js("parley.loudspeaker.stop().then(() => true)")
        assert await tab.js(empty)

        await tab.press("Enter")
        await tab.until("document.querySelectorAll('.entry').length === 4 && document.querySelector('#cleared').hidden")
        assert await tab.js(STORED), "it is kept again"
        assert await tab.js("!parley.conversation.recording.empty")
        await tab.click("#anew")
        await tab.until("!document.querySelector('#cleared').hidden")
        await say(tab, "Afresh")
        await tab.until("document.querySelector('#cleared').hidden")
        await tab.until("document.querySelector('.entry.assistant')")
        assert told(chat) == [("user", "Afresh")]
        assert tab.errors == []


async def test_a_failed_reply_says_why_and_is_tried_again(server: Mortal, chat: ChatEndpoint) -> None:
    async with talking(server.url) as tab:
        chat.breaking = 1
        await say(tab, "Once more")
        await tab.until("document.querySelector('.entry.assistant .trouble button')")
        assert (await tab.text(".entry.assistant .trouble span")).startswith("The reply broke off. ")
        assert await tab.js("document.querySelector('#alert').hidden"), "it is said where it happened"
        await tab.click(".entry.assistant .trouble button")
        await heard_out(tab, "You said: Once more.")
        assert told(chat) == [("user", "Once more")], "what had failed is no part of it"
        assert await tab.js("document.querySelector('.entry.assistant .trouble button')") is None
        assert await tab.js("document.querySelector('.entry.assistant').dataset.withdrawn") == "true"

        chat.breaking = 1
        await say(tab, "And again")
        await tab.until("document.querySelectorAll('.entry.assistant .trouble button').length === 1")
        await tab.goto(f"{server.url}/?again")
        await tab.until("document.querySelectorAll('.entry.assistant .trouble button').length === 1")
        await tab.click(".entry.assistant .trouble button")
        await heard_out(tab, "You said: And again.")
        assert told(chat) == [("user", "Once more"), ("assistant", "You said: Once more."), ("user", "And again")]

        await tab.js("parley.talk.transcript.user('item_unanswered', { text: 'Hello?', partial: false })")
        await tab.goto(f"{server.url}/?once-more")
        await tab.until("document.querySelector('.entry.user .trouble button')")
        assert "Not answered." in await tab.text(".entry.user .trouble")
        await tab.click(".entry.user .trouble button")
        await heard_out(tab, "You said: Hello?.")

        chat.breaking = 1
        await say(tab, "This breaks")
        await tab.until("document.querySelectorAll('.entry.assistant .trouble button').length === 1")
        await say(tab, "Never mind")
        await heard_out(tab, "You said: Never mind.")
        assert await tab.js("document.querySelector('.entry.assistant .trouble button')") is None, "it is over"
        assert [error["error"]["message"] for error in tab.told("error")] == []
        assert tab.errors == []


async def test_words_that_were_not_recognised_are_recognised_again(tmp_path: Path, microphone: Microphone) -> None:
    async def fails(request: Request, answer: Answer) -> None:
        await answer.json(400, {"error": {"message": "out of memory"}})

    async def reply(request: Request, answer: Answer) -> None:
        await answer.text("You said: ", request.body["messages"][-1]["content"], ".")

    remote = AudioServer([reply], models=["scripted", "ears"])
    async with remote.running():
        (tmp_path / "parley.toml").write_text(
            quick_pipeline(remote.url, stt="openai:ears") + f'stt_options = {{ base_url = "{remote.url}" }}\n'
        )
        server = await asyncio.to_thread(Server, cwd=tmp_path)
        remote.transcripts[:] = [fails]
        try:
            async with talking(server.url, microphone(1.0, "hello_world", 60.0)) as tab:
                await tab.click("#heart")
                await tab.until("document.querySelector('.entry.user .trouble button')")
                remote.transcripts[:] = [transcribe]
                await tab.click(".entry.user .trouble button")
                await tab.until("document.querySelector('.entry.user .words').innerText.includes('burst')")
                await tab.until(f"{words('assistant')}?.includes('You said: burst')")
                assert await tab.js("document.querySelector('.entry.user .trouble')") is None
                await eventually(lambda: bool(tab.asked("conversation.item.delete")), "the old one is replaced", tab)
        finally:
            server.end()


async def test_a_server_that_refuses_the_settings_is_talked_to_nevertheless(server: Mortal, chat: ChatEndpoint) -> None:
    async with talking(server.url, voice="nobody") as tab:
        await say(tab, "Can you hear me?")
        await heard_out(tab, "You said: Can you hear me?.")
        assert [error["error"]["event_id"] for error in tab.told("error")] == ["configure"]
