"""The tab's title while another one is looked at; one tab listens at a time; the copy of a tab has a conversation of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.web.browser import Tab, page
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ALERT = "document.querySelector('#alert')"
SILENCE = 60.0

TITLES = """globalThis.titles = [];
new MutationObserver(() => titles.push(document.title)).observe(document.querySelector("title"), { childList: true });"""
"""Notes them all: pages in the background are looked at once a second."""


async def answered(tab: Tab, text: str) -> None:
    before = await tab.js("document.querySelectorAll('.entry.assistant').length")
    await tab.js(f"parley.say({text!r})", gesture=True)
    await tab.until(f"document.querySelectorAll('.entry.assistant').length > {before}")
    await tab.until("['idle', 'listening'].includes(parley.talk.phase)")


async def press(tab: Tab, label: str) -> None:
    """A button of the alert, in the tab that is looked at."""
    await tab.look()
    await tab.until(f"[...{ALERT}.querySelectorAll('button')].some((one) => one.textContent === {label!r})")
    await tab.js(
        f"[...{ALERT}.querySelectorAll('button')].find((one) => one.textContent === {label!r}).dataset.pressed = ''"
    )
    await tab.click("button[data-pressed]")


async def test_the_title_of_a_tab_in_the_background_says_what_goes_on(
    quick: Server, microphone: Callable[..., Path]
) -> None:
    async with page(quick.url, microphone(SILENCE)) as tab:
        assert await tab.js("document.title") == "Parley"
        await tab.click("#heart")
        await tab.until("parley.talk.phase === 'listening'")
        assert await tab.js("document.title") == "Parley"
        other = await tab.duplicate()
        await other.look()
        await tab.until("document.hidden && document.title === 'Listening · Parley'")
        await tab.js(TITLES)
        await tab.js("parley.say('Thanks')", gesture=True)
        await tab.until("titles.includes('Speaking · Parley') && document.title === 'Listening · Parley'")
        await tab.js(
            "parley.talk.transcript.approval({ id: 'a', server: 'library', address: '', name: 'find', args: '{}' })"
        )
        await tab.until("document.title === 'Needs you · Parley'")
        await tab.look()
        await tab.until("!document.hidden && document.title === 'Parley'")
        await tab.js("location.hash = '#interpreter'")
        await tab.until("document.title === 'Interpreter · Parley'")
        assert tab.errors == []


async def beside_a_listening(tab: Tab) -> Tab:
    """Another tab, in front of this one, which listens."""
    await tab.click("#heart")
    await tab.until("parley.talk.listening")
    other = await tab.duplicate()
    await other.look()
    await other.until("globalThis.parley?.settings.pipelines.length > 0")
    return other


async def test_one_tab_listens_at_a_time_and_the_user_chooses_which(
    quick: Server, microphone: Callable[..., Path]
) -> None:
    async with page(quick.url, microphone(SILENCE)) as tab:
        other = await beside_a_listening(tab)
        await other.click("#heart")
        await other.until(f"{ALERT}.innerText.includes('Parley listens in another tab')")
        assert not await other.js("parley.talk.listening || parley.microphone.open")
        assert await tab.js("parley.talk.listening && parley.microphone.open"), "the first one is left alone"

        await press(other, "Listen here")
        await other.until("parley.talk.listening && parley.microphone.open")
        await tab.until("!parley.talk.listening && !parley.microphone.open")
        assert "Another tab listens now" in await tab.text("#alert")
        assert await other.js(f"{ALERT}.hidden")

        await press(tab, "Listen here")
        await tab.until("parley.talk.listening && parley.microphone.open")
        await other.until("!parley.talk.listening && !parley.microphone.open")

        # Whoever pauses lets the other listen; so does a tab that is closed.
        await tab.click("#pause")
        await other.look()
        await press(other, "Listen here")
        await other.until("parley.talk.listening")
        await tab.call("Target.closeTarget", targetId=other.target)
        await tab.look()
        await tab.click("#heart")
        await tab.until("parley.talk.listening")
        assert tab.errors == []


async def test_the_interpreter_does_not_listen_beside_a_conversation_in_another_tab(
    quick: Server, microphone: Callable[..., Path]
) -> None:
    async with page(quick.url, microphone(SILENCE)) as tab:
        other = await beside_a_listening(tab)
        await other.js("location.hash = '#interpreter'")
        refused = await other.js("parley.interpreter.microphone.start().catch((error) => error.reason)")
        assert refused == "elsewhere"
        await other.js("parley.interpreter.microphone.start({ take: true })", gesture=True)
        await tab.until("!parley.talk.listening")
        assert await other.js("parley.interpreter.microphone.open")


async def test_the_copy_of_a_tab_says_so_and_goes_on_by_itself(quick: Server) -> None:
    name = "sessionStorage.getItem('parley.conversation.name')"
    kept = "sessionStorage.getItem('parley.conversation')"
    async with page(quick.url) as tab:
        await answered(tab, "My name is Ada")
        await tab.until(kept)
        copy = await tab.duplicate()
        await copy.look()
        await copy.until(f"{ALERT}.innerText.includes('open in another tab')")
        assert await copy.js("document.querySelectorAll('.entry.user').length") == 1
        assert await copy.js(name) == await tab.js(name)
        await press(copy, "Go on with the copy")
        await copy.until(f"{ALERT}.hidden")
        assert await copy.js(name) != await tab.js(name)
        await answered(copy, "In the copy")
        await copy.js("parley.conversation.save()")
        assert "In the copy" not in await tab.js(kept)
        assert "In the copy" in await copy.js(kept)
        assert await tab.js(f"{ALERT}.hidden"), "the other tab is left alone"

        # Reloaded, each finds its own, and nobody in its way.
        for one in (tab, copy):
            await one.look()
            await one.goto(f"{quick.url}/?again")
            await one.until("document.querySelector('.entry.note')")
            await one.until("parley.conversation.claim.end !== null")
            assert await one.js(f"{ALERT}.hidden")

        # Who goes on without choosing has chosen; a new conversation is the other choice.
        second = await tab.duplicate()
        await second.look()
        await second.until(f"{ALERT}.innerText.includes('open in another tab')")
        await answered(second, "I go on")
        assert await second.js(f"{ALERT}.hidden")
        assert await second.js(name) != await tab.js(name)
        third = await tab.duplicate()
        await third.look()
        await press(third, "New conversation")
        await third.until(f"{ALERT}.hidden && {kept} === null")
        assert "Ada" in await tab.js(kept)
        assert tab.errors + copy.errors + second.errors + third.errors == []


async def test_a_browser_without_locks_listens_and_keeps_as_ever(
    quick: Server, microphone: Callable[..., Path]
) -> None:
    without = "delete Navigator.prototype.locks;"
    async with page(quick.url, microphone(SILENCE), before=without) as tab:
        assert await tab.js("navigator.locks === undefined")
        await tab.click("#heart")
        await tab.until("parley.talk.listening")
        await answered(tab, "Hello")
        await tab.goto(f"{quick.url}/?again")
        await tab.until("document.querySelectorAll('.entry').length > 2")
        assert await tab.js(f"{ALERT}.hidden")
        assert tab.errors == []


async def test_what_was_chosen_in_another_tab_stays_chosen(quick: Server) -> None:
    async with page(quick.url) as tab:
        other = await tab.duplicate()
        await other.until("globalThis.parley")
        change = "import('/assets/js/preferences.js').then(({{ prefer }}) => prefer({}))"
        await tab.js(change.format("{ speed: 1.25 }"))
        await other.js(change.format("{ interruptible: false }"))
        stored = await tab.js("JSON.parse(localStorage.getItem('parley.preferences'))")
        assert (stored["speed"], stored["interruptible"]) == (1.25, False)
