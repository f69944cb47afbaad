"""The page itself: typing, settings, keyboard, widths, motion."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from parley.web import page_files
from tests.web.browser import DRAWN, eventually, page
from tests.web.conftest import OFFLINE
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def test_a_typed_message_is_answered_and_escape_stops_the_answer(server: Server) -> None:
    async with page(server.url) as tab:
        await tab.press("/")
        await tab.type("What can you do? Please help me.")
        await tab.press("Enter")
        await tab.until("parley.talk.phase === 'speaking'")
        assert "What can you do?" in await tab.text(".entry.user")
        await tab.press("Escape")
        await tab.until("parley.talk.phase === 'idle'")
        await tab.until("document.querySelector('.entry.assistant[data-state=cut] del')")
        assert tab.asked("input_audio_buffer.append") == [], "the microphone was never opened"
        assert tab.errors == []


async def test_choices_reach_the_server_and_are_remembered(server: Server) -> None:
    async with page(server.url) as tab:
        await tab.press(",")
        await tab.until("document.querySelector('#settings').open && parley.settings.pipelines.length > 0")
        await tab.js("document.querySelector('#voice-choice').open = true")
        await tab.until("document.querySelectorAll('#voice input').length > 13")
        assert await tab.text("#chain") == "pocketsphinx → responder → hibari"
        await tab.js("document.querySelector('#voice input[value=echo]').click()")
        for control, value in (("silence", "800"), ("speed", "1.25")):
            await tab.js(
                f"(() => {{ const control = document.querySelector('#{control}'); control.value = '{value}'; "
                "control.dispatchEvent(new Event('change')) })()"
            )
        await tab.press("Escape")
        await tab.js("parley.say('Hello')", gesture=True)
        await eventually(lambda: bool(tab.told("session.updated")), "the settings are answered", tab)
        audio = tab.told("session.updated")[0]["session"]["audio"]
        assert audio["output"]["voice"] == "echo"
        assert audio["output"]["speed"] == 1.25
        assert audio["input"]["turn_detection"]["silence_duration_ms"] == 800
        await tab.goto(server.url)
        await tab.until(
            "globalThis.parley && document.querySelector('#voice-choice output').textContent.startsWith('echo')"
        )
        assert await tab.js("document.querySelector('#silence').value") == "800"
        assert tab.told("error") == []


async def test_a_tools_answer_is_shown_as_data_and_spoken_as_a_sentence(server: Server) -> None:
    async with page(server.url) as tab:
        await tab.js("parley.say('Set the theme to dark, please.')", gesture=True)
        await tab.until("document.querySelector('.entry.tool[data-state=done]')")
        assert await tab.text(".entry.tool .brief") == "The page is dark now."
        await tab.js("document.querySelector('.entry.tool [data-part=Answer] summary').click()")
        await tab.until("document.querySelector('.entry.tool pre.data')")
        shown = await tab.text(".entry.tool pre.data")
        assert json.loads(shown) == {"message": "The page is dark now.", "theme": "dark"}
        assert len(shown.splitlines()) == 4, "a member a line"
        assert await tab.text(".entry.tool .name") == "set_theme"
        assert await tab.js("document.documentElement.dataset.theme") == "dark"
        await tab.until("document.querySelector('.entry.assistant .words')?.innerText === 'The page is dark now.'")
        assert "{" not in await tab.js("document.querySelector('#said').textContent"), "nor is JSON read to the blind"
        assert tab.errors == []


async def test_every_tool_answers_with_a_sentence_beside_the_data(server: Server) -> None:
    answers: list[tuple[str, dict[str, object], str]] = [
        ("get_time", {"time_zone": "Europe/Paris"}, "It is "),
        ("get_time", {}, "It is "),
        ("set_theme", {"theme": "auto"}, "The page follows your device now."),
        ("set_theme", {"theme": "green"}, "That did not work: "),
        ("roll_dice", {}, "The die shows "),
        ("roll_dice", {"count": 3}, "The dice show "),
        ("fly", {}, "That did not work: "),
    ]
    async with page(server.url) as tab:
        for name, args, begins in answers:
            asked = f"run('{name}', {json.dumps(json.dumps(args))})"
            answer = json.loads(await tab.js(f"import('/assets/js/tools.js').then(({{ run }}) => {asked}.output)"))
            assert answer["message"].startswith(begins), asked
            assert answer["message"].endswith("."), asked
            assert len(answer) > 1, asked


async def test_the_figures_of_a_turn_with_a_tool_count_from_what_the_user_said(server: Server) -> None:
    async with page(server.url) as tab:
        await tab.js("globalThis.seen = []; parley.talk.addEventListener('turn', ({ detail }) => seen.push(detail))")
        await tab.js("parley.say('Please get the time for me.')", gesture=True)
        await tab.until("seen.length > 0 && document.querySelector('details.figures')")
        turn = await tab.js("seen.at(-1)")
        names = [stage["name"] for stage in turn["stages"] if stage["name"] not in ("connect", "call", "ask")]
        assert names == ["send", "model", "tool", "model", "voice", "playback"]
        tool = next(stage for stage in turn["stages"] if stage["name"] == "tool")
        assert turn["kind"] == "typed"
        assert turn["tools"] == ["get_time"]
        assert turn["totalMs"] > tool["to"] > tool["from"] >= turn["stages"][0]["to"] >= 0
        assert "Tool get_time" in await tab.text("#last")
        assert "a tool in between" in await tab.text("#last")
        assert tab.errors == []


async def test_a_reply_that_goes_on_from_a_servers_own_tool_belongs_to_the_turn_before(server: Server) -> None:
    events = [
        {"type": "response.created", "response": {"id": "r1", "conversation_id": "c"}},
        {
            "type": "response.output_item.added",
            "response_id": "r1",
            "item": {"id": "m1", "type": "mcp_call", "name": "look_up"},
        },
        {"type": "response.mcp_call_arguments.delta", "response_id": "r1", "item_id": "m1", "delta": '{"word": "a"}'},
        {
            "type": "response.mcp_call_arguments.done",
            "response_id": "r1",
            "item_id": "m1",
            "arguments": '{"word": "a"}',
        },
        {
            "type": "response.output_item.done",
            "response_id": "r1",
            "item": {"id": "m1", "type": "mcp_call", "output": "first letter"},
        },
        {"type": "response.done", "response": {"id": "r1", "conversation_id": "c", "status": "completed"}},
        {"type": "response.created", "response": {"id": "r2", "conversation_id": "c"}},
    ]
    async with page(server.url) as tab:
        await tab.js("parley.talk.figures.asked('typed')")
        for event in events:
            await tab.js(f"parley.talk.take({json.dumps(event)})")
        figures = "parley.talk.figures"
        assert await tab.js(f"{figures}.turns.get('r2') === {figures}.turns.get('r1')")
        assert await tab.js(f"{figures}.turns.get('r2').rounds.map(({{ tool }}) => tool?.name ?? null)") == [
            "look_up",
            None,
        ]
        assert await tab.text(".entry.tool .brief") == "first letter"
        assert await tab.text(".entry.tool .name") == "look_up"
        await tab.js(f"{figures}.called('r2', 'look_up'); {figures}.asked('typed'); {figures}.answered('r3')")
        assert await tab.js(f"{figures}.turns.get('r3') !== {figures}.turns.get('r2')"), "what is said next is new"
        assert tab.errors == []


async def test_nothing_sticks_out_at_any_width(server: Server) -> None:
    async with page(server.url, width=320) as tab:
        await tab.js("parley.say('Please get the time for me.')", gesture=True)
        await tab.until("document.querySelector('details.figures')")
        for width in (320, 390, 820, 1440):
            await tab.size(width, 844 if width < 600 else 900)
            await tab.js("document.querySelector('details.figures').open = false")
            await tab.js(DRAWN)
            assert await tab.js("document.documentElement.scrollWidth") <= width
            await tab.js("document.querySelector('details.figures').open = true")
            outside = await tab.js(
                "[...document.querySelectorAll('main *, header *')].filter((element) => element.getClientRects().length > 0 && "
                "!element.closest('.hidden') && element.checkVisibility() && !element.closest('.more') && "
                f"element.getBoundingClientRect().right > {width} + 1).map((element) => element.outerHTML)"
            )
            assert outside == []
            for selector in ("#heart", "#message", "#settings-open"):
                top, bottom = await tab.js(
                    f"(({{ top, bottom }}) => [top, bottom])(document.querySelector('{selector}').getBoundingClientRect())"
                )
                assert 0 <= top < bottom <= await tab.js("innerHeight"), f"{selector} is on the screen at {width}"


async def test_the_stage_fits_on_a_laptop_without_scrolling(server: Server) -> None:
    async with page(server.url) as tab:
        await tab.js("parley.say('Please get the time for me.')", gesture=True)
        await tab.until("document.querySelector('details.figures')")
        for width, height in ((1280, 800), (1366, 768), (1280, 720), (1024, 640)):
            await tab.size(width, height)
            await tab.js(DRAWN)
            needed, there = await tab.js(
                "(({ scrollHeight, clientHeight }) => [scrollHeight, clientHeight])(document.querySelector('.stage'))"
            )
            assert needed <= there, f"at {width} by {height}"


async def test_every_control_can_be_reached_and_is_named(server: Server) -> None:
    async with page(server.url) as tab:
        reached: list[str] = []
        for _ in range(20):
            await tab.press("Tab")
            found = await tab.js(
                "(() => { const { activeElement: at } = document; const ring = getComputedStyle(at.matches('.switch input') ? "
                "at.nextElementSibling : at).outlineStyle; "
                "return at === document.body ? null : [at.id || at.className || at.value, ring] })()"
            )
            if found is None:
                break
            reached.append(found[0])
            assert found[1] != "none", f"the focus on {found[0]} can be seen"
        assert {"skip", "theme", "help", "settings-open", "heart", "scroll", "try", "message"} <= set(reached)
        tree = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
        nodes = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
        assert [
            node for node in nodes if node[0] in ("button", "radio", "textbox", "combobox", "slider") and not node[1]
        ] == []
        assert {"banner", "main"} <= {role for role, _ in nodes}


async def test_a_page_at_rest_draws_nothing_and_reduced_motion_is_respected(server: Server) -> None:
    async with page(server.url) as tab:
        assert await tab.js("parley.dial.frame") == 0
        await tab.media(prefers_reduced_motion="reduce")
        assert await tab.js("getComputedStyle(document.querySelector('.lamp')).animationName") == "none"
        await tab.js("parley.say('Hello')", gesture=True)
        await tab.until("parley.talk.phase === 'speaking'")
        drawn = await tab.js(
            "new Promise((resolve) => { const { dial } = parley; const draw = dial.draw; let count = 0; "
            "dial.draw = () => { count += 1; draw.call(dial) }; setTimeout(() => resolve(count), 900) })"
        )
        assert drawn <= 2, "about once a second"


async def test_a_server_without_a_translator_says_how_to_get_one(tmp_path: Path) -> None:
    server = Server(*OFFLINE, cwd=tmp_path)
    try:
        async with page(f"{server.url}/#interpreter") as tab:
            await tab.until("!document.querySelector('#no-translator').hidden")
            assert "parley models pull --accept bergamot:en-pt" in await tab.text("#no-translator")
            assert await tab.js("document.querySelector('#interpreter-heart').disabled")
            assert await tab.js("document.title") == "Interpreter · Parley"
            await tab.press("i")
            await tab.until("!document.querySelector('#conversation').hidden && document.title === 'Parley'")
            assert tab.errors == []
    finally:
        server.end()


async def test_the_browsers_resampling_keeps_pitch_level_and_chunks_together(server: Server) -> None:
    async with page(server.url) as tab:
        for rate in (48_000, 44_100, 16_000):
            pcm = np.array(
                await tab.js(
                    "(async () => { const { Resampler } = await import('/assets/js/resampler.js'); "
                    f"const made = new Resampler({rate}, 24000); const out = []; let at = 0; "
                    "for (const size of [128, 1, 777, 128, 4096, 9000, 3]) { const chunk = Float32Array.from({ length: size }, () => "
                    f"0.5 * Math.sin(2 * Math.PI * 1000 * at++ / {rate})); out.push(...made.push(chunk)) }} return out }})()"
                )
            )
            middle = pcm[200:-200]
            tone = 0.5 * np.exp(-2j * np.pi * 1000 * np.arange(len(middle)) / 24_000)
            assert abs(abs(np.mean(middle * tone)) * 4 - 0.5) < 0.002, "a pure tone of its old level"
            power = float(np.mean(middle**2))
            assert abs(power - 0.125) < 0.001, "and nothing beside it"


def test_every_file_of_the_page_asks_only_its_own_server() -> None:
    for name, path in page_files().items():
        if path.suffix in (".html", ".css", ".js"):
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"http://(?!localhost:|\.\")", text), name
            assert "//cdn" not in text, name


def test_no_member_of_a_class_hides_another_of_the_same_name() -> None:
    for name, path in page_files().items():
        if path.suffix != ".js":
            continue
        for text in re.split(r"(?m)^(?:export )?class ", path.read_text(encoding="utf-8"))[1:]:
            body = text.split("\n}\n")[0]
            members = Counter(re.findall(r"(?m)^  ((?:static )?(?:set )?)(?:async |get |\*)*(#?\w+)\(.*\{$", body))
            assert [member for member, count in members.items() if count > 1] == [], name
