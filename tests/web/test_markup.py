"""The light markup of models, shown as what it means; and what is not markup, left as it was written."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.web.browser import Tab, page
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tab(server: Server) -> AsyncIterator[Tab]:
    async with page(server.url) as tab:
        yield tab
        assert tab.errors == []


async def reply(tab: Tab, text: str, *, heard: str | None = None) -> str:
    """The inner HTML of a reply of this text; `heard`: it was cut off after this."""
    await tab.js("parley.talk.transcript.forget('reply')")
    said = f"parley.talk.transcript.said('reply', 'r', {json.dumps(text)})"
    if heard is None:
        return str(
            await tab.js(
                f"(() => {{ const entry = {said}; parley.talk.transcript.changed(Object.assign(entry, {{ state: 'done' }})); "
                "return document.querySelector('.entry.assistant .words').innerHTML })()"
            )
        )
    return str(
        await tab.js(
            f"(() => {{ {said}; parley.talk.transcript.kept('reply', {json.dumps(heard)}); "
            "return document.querySelector('.entry.assistant .words').innerHTML })()"
        )
    )


CODE = "x = 1\n  y"


def whole(inside: str) -> str:
    return f'<span class="heard">{inside}</span>'


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("Plain words.", "Plain words."),
        ("Run `parley serve` now.", "Run <code>parley serve</code> now."),
        ("It is **very** *good*.", "It is <strong>very</strong> <em>good</em>."),
        ("__Both__ _ways_.", "<strong>Both</strong> <em>ways</em>."),
        (
            "**Bold with *slant* in it**",
            "<strong>Bold with </strong><strong><em>slant</em></strong><strong> in it</strong>",
        ),
        ("**`code` in bold**", "<strong><code>code</code></strong><strong> in bold</strong>"),
        ("`**not bold**`", "<code>**not bold**</code>"),
        ("2 * 3 * 4 = 24 and 2*3*4", "2 * 3 * 4 = 24 and 2*3*4"),
        ("snake_case_name and a_b", "snake_case_name and a_b"),
        ("_snake_case_", "<em>snake_case</em>"),
        ("An **unclosed marker", "An **unclosed marker"),
        ("A ` alone", "A ` alone"),
        (
            "See [the page](https://example.com/a).",
            'See the page<span class="address">(https://example.com/a)</span>.',
        ),
        ("[no](javascript:alert(1))", "[no](javascript:alert(1))"),
        ("<b onclick=x>& </b>", "&lt;b onclick=x&gt;&amp; &lt;/b&gt;"),
        ("`<script>`", "<code>&lt;script&gt;</code>"),
    ],
)
async def test_markup_in_a_line(tab: Tab, text: str, inside: str) -> None:
    assert await reply(tab, text) == whole(inside)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("One.\n\nTwo.", f"<p>{whole('One.')}</p><p>{whole('Two.')}</p>"),
        ("Say:\n- a\n- **b**\n", f"<p>{whole('Say:')}</p><ul><li>{whole('a')}</li><li>{whole('<strong>b</strong>')}</li></ul>"),
        ("1. a\n2. b", f"<ol><li>{whole('a')}</li><li>{whole('b')}</li></ol>"),
        ("3) c\n\n4) d", f'<ol start="3"><li>{whole("c")}</li><li>{whole("d")}</li></ol>'),
        ("# Title\nText", f"<p><strong>{whole('Title')}</strong></p><p>{whole('Text')}</p>"),
        ("So:\n```python\nx = 1\n  y\n```\nDone.", f'<p>{whole("So:")}</p><pre class="code">{whole(CODE)}</pre><p>{whole("Done.")}</p>'),
        ("A verse\nof two lines", whole("A verse\nof two lines")),
        ("-5 degrees", whole("-5 degrees")),
        ("1999. It was long ago", whole("1999. It was long ago")),
    ],
)  # fmt: skip
async def test_markup_of_paragraphs(tab: Tab, text: str, html: str) -> None:
    assert await reply(tab, text) == html


@pytest.mark.parametrize(
    ("text", "heard", "kept", "struck"),
    [
        ("It is **very good** and *cheap*.", "It is **very", "It is very", "good and cheap."),
        ("Run `parley serve` now.", "Run `parley serve`", "Run parley serve", "now."),
        ("Say:\n- one thing\n- another", "Say:\n- one", "Say:one", "thinganother"),
        ("[A link](https://example.com) here.", "[A", "A", "link(https://example.com) here."),
        ("One.\n\nTwo.", "", "", "One.Two."),
        ("One.\n\nTwo.", "One.", "One.", "Two."),
    ],
)
async def test_a_reply_is_cut_at_any_place_of_its_markup(
    tab: Tab, text: str, heard: str, kept: str, struck: str
) -> None:
    html = await reply(tab, text, heard=heard)
    parts = await tab.js(
        "['.heard', 'del'].map((one) => [...document.querySelectorAll(`.entry.assistant .words ${one}`)]"
        ".map((at) => at.textContent).join(''))"
    )
    assert parts == [kept, struck], html


async def test_what_is_read_aloud_has_no_markers(tab: Tab) -> None:
    await tab.js("document.querySelector('#said').replaceChildren()")
    await reply(tab, "Run `parley serve`, see [the page](https://example.com):\n- **one**\n- two")
    said = await tab.js("document.querySelector('#said').textContent")
    assert said == "Parley: Run parley serve, see the page:\none\ntwo"


async def test_commands_in_alerts_are_code_and_have_no_backticks(tab: Tab) -> None:
    shown = await tab.js(
        "import('/assets/js/states.js').then(({ serverTrouble }) => { "
        "parley.alerts.show('server', serverTrouble({ code: 'unreachable' })); "
        "const { innerText, innerHTML } = document.querySelector('#alert p'); "
        "parley.alerts.clear('server'); return [innerText, innerHTML] })"
    )
    assert "`" not in shown[0]
    assert "<code>parley serve</code>" in shown[1]


async def test_a_typed_message_is_shown_as_it_was_typed(tab: Tab) -> None:
    await tab.js("parley.talk.transcript.user('typed', { text: '**a** `b` <i>c</i>', partial: false, typed: true })")
    assert await tab.text(".entry.user .words") == "**a** `b` <i>c</i>"
