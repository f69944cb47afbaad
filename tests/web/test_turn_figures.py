"""The figures of a turn: they begin where the user stopped, end where the reply is heard, and add up to what was waited."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import Tab, page
from tests.web.pipelines import talking_to
from tests.web.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

Microphone = Callable[..., Path]
Json = dict[str, Any]

CONNECTIONS = ("websocket", "webrtc")

WATCH = """(() => {
  globalThis.seen = [];
  globalThis.sounds = [];
  globalThis.entered = [];
  globalThis.released = [];
  parley.talk.addEventListener("turn", ({ detail }) => seen.push(detail));
  parley.loudspeaker.addEventListener("started", ({ detail }) => sounds.push(detail.at));
  parley.talk.voice.addEventListener("started", ({ detail }) => sounds.push(detail.at));
  addEventListener("submit", () => entered.push(performance.now()), true);
  addEventListener("keyup", ({ key }) => key === " " && released.push(performance.now()), true);
})()"""
"""Notes the figures, and by itself when messages were sent, keys let go and replies were first heard."""

ENOUGH_MS = 3.0
"""Within rounding: the server tells tenths, the page whole milliseconds."""

NEAR_MS = 30.0
"""Between two readings of the clock on the way through one event, on a busy machine."""


async def finished(tab: Tab, replies: int) -> Json:
    """The final figures of the last turn."""
    await tab.until(
        f"document.querySelectorAll('details.figures').length === {replies} && parley.talk.response === null && "
        "['idle', 'listening'].includes(parley.talk.phase)"
    )
    turn: Json = await tab.js("seen.at(-1)")
    return turn


def adds_up(turn: Json) -> None:
    """The shares are the total, and the stages leave no moment out."""
    stages = turn["stages"]
    assert abs(sum(stage["waitedMs"] for stage in stages) - turn["totalMs"]) < ENOUGH_MS
    assert "other" not in [stage["name"] for stage in stages], "all of it was measured"
    reached = 0.0
    for stage in sorted(stages, key=lambda stage: float(stage["from"])):
        assert 0 <= stage["waitedMs"] <= stage["to"] - stage["from"] + ENOUGH_MS
        assert stage["from"] <= reached + ENOUGH_MS, f"a hole before {stage['name']}"
        reached = max(reached, stage["to"])
    assert abs(reached - turn["totalMs"]) < ENOUGH_MS


async def is_shown_to_add_up(tab: Tab) -> None:
    """What a reader adds up in the table is what stands above it; brackets cost no time."""
    total, *rows = await tab.js(
        "[document.querySelector('#last b').innerText, ...[...document.querySelectorAll('#last .ms')].map((cell) => cell.innerText)]"
    )
    shown = [read(row) for row in rows if not row.startswith("(")]
    rounding = sum(step for _, step in (*shown, read(total)))
    assert abs(sum(ms for ms, _ in shown) - read(total)[0]) <= rounding / 2 + ENOUGH_MS


def read(figure: str) -> tuple[float, float]:
    """Milliseconds, and the step in which they are written."""
    number, unit = re.fullmatch(r"([\d.]+)\s(ms|s)", figure.strip()).groups()  # type: ignore[union-attr]
    if unit == "ms":
        return float(number), 1.0
    return float(number) * 1000, 1000.0 / 10 ** len(number.partition(".")[2])


async def enter(tab: Tab, text: str) -> None:
    await tab.click("#message")
    await tab.type(text)
    await tab.press("Enter")


@pytest.mark.parametrize("connection", CONNECTIONS)
async def test_the_figures_of_typed_turns_add_up_from_the_key_on(server: Server, connection: str) -> None:
    async with page(server.url, connection=connection) as tab:
        await tab.js(WATCH)
        for number, (text, tools) in enumerate(
            (("Thanks", []), ("Goodbye", []), ("Please roll the dice.", ["roll_dice"]))
        ):
            await enter(tab, text)
            turn = await finished(tab, number + 1)
            adds_up(turn)
            await is_shown_to_add_up(tab)
            waited = await tab.js("sounds.at(-1) - entered.at(-1)")
            assert abs(turn["totalMs"] - waited) < NEAR_MS, "from Enter to what was heard"
            assert turn["kind"] == "typed"
            assert turn["tools"] == tools
            names = [stage["name"] for stage in turn["stages"]]
            assert (names[0] == "connect") == (number == 0), "only the first waits for the connection"
            assert "send" in names
        assert tab.errors == []


@pytest.mark.parametrize("connection", CONNECTIONS)
async def test_the_figures_of_a_spoken_turn_add_up(server: Server, microphone: Microphone, connection: str) -> None:
    mic = microphone(1.0, "weather_question", 60.0)
    async with talking_to("brief", server, mic, connection=connection) as tab:
        await tab.js(WATCH)
        await tab.click("#heart")
        turn = await finished(tab, 1)
        adds_up(turn)
        await is_shown_to_add_up(tab)
        assert turn["kind"] == "spoken"
        assert turn["away"] == (connection == "webrtc")
        assert turn["stages"][0]["name"] == "pause"
        assert tab.errors == []


@pytest.mark.parametrize("connection", CONNECTIONS)
async def test_the_figures_of_a_held_turn_add_up_from_letting_go(
    server: Server, microphone: Microphone, connection: str
) -> None:
    mic = microphone("weather_question", 60.0)
    async with talking_to("brief", server, mic, connection=connection) as tab:
        await tab.js(WATCH)
        await tab.press("h")
        await tab.press(" ")
        await tab.until("parley.talk.holdable")
        await tab.key("keyDown", " ", text=" ")
        await tab.until("performance.now() - parley.talk.hold.since > 800")
        await tab.key("keyUp", " ")
        turn = await finished(tab, 1)
        adds_up(turn)
        await is_shown_to_add_up(tab)
        assert abs(turn["totalMs"] - await tab.js("sounds.at(-1) - released.at(-1)")) < NEAR_MS
        assert turn["kind"] == "hold"
        assert [stage["name"] for stage in turn["stages"]][:2] == ["send", "transcript"]
        assert tab.errors == []


async def test_what_ran_in_the_pause_is_in_brackets_and_costs_no_time(server: Server, microphone: Microphone) -> None:
    mic = microphone(1.0, "weather_question", 5.0, "weather_question", 60.0)
    async with talking_to("early", server, mic) as tab:
        await tab.js(WATCH)
        # The longest pause, so that a busy machine is done in it.
        await tab.js(
            "(() => { const silence = document.querySelector('#silence'); silence.value = '2000'; "
            "silence.dispatchEvent(new Event('change')) })()"
        )
        await tab.click("#heart")
        await tab.until("document.querySelector('#last .speculation')?.dataset.outcome === 'won'")
        turn = await tab.js("seen.findLast(({ won }) => won)")
        adds_up(turn)
        await is_shown_to_add_up(tab)
        assert "begun in your pause" in await tab.text("#last")
        assert "what is in brackets cost no time" in await tab.text("#last")
        model = next(stage for stage in turn["stages"] if stage["name"] == "model")
        assert model["to"] > model["from"]
        assert model["waitedMs"] == 0
        row = await tab.js("document.querySelector('#last [data-stage=model]').closest('tr').innerText")
        assert re.search(r"\(\d+ ms\)", row)
        left = await tab.js(
            "[...document.querySelectorAll('#last i')].map((bar) => [bar.dataset.stage, bar.style.left])"
        )
        starts = {stage: float(start.removesuffix("%")) for stage, start in left}
        assert starts["pause"] <= starts["model"] < starts["playback"], "the model began in the pause"


async def test_a_reply_that_nobody_heard_has_no_figures(server: Server) -> None:
    async with page(server.url) as tab:
        await tab.js(WATCH)
        await enter(tab, "Thanks")
        await finished(tab, 1)
        await tab.js("parley.loudspeaker.addEventListener('started', () => parley.interrupt(), { once: true })")
        await enter(tab, "What can you do? Please help me.")
        await tab.until("[...parley.talk.transcript.entries.values()].at(-1).kept === ''")
        await tab.until("seen.length > 1 && seen.at(-1).responseId !== seen[0].responseId")
        await tab.until("parley.talk.phase === 'idle'")
        assert await tab.js("document.querySelectorAll('details.figures').length") == 1, "the first reply has them"
        assert await tab.js("document.querySelector('.entry:last-child .figures')") is None
        assert await tab.text("#last b") == await tab.text(".entry .figures strong"), "those of the turn before"
        shown = await tab.js("parley.dial.answers.map(({ id }) => id)")
        assert shown == [await tab.js("seen[0].responseId")], "nor does the dial say how long it took"
        assert tab.errors == []


async def test_time_that_nobody_measured_has_a_stage_that_says_so(server: Server) -> None:
    turn = {
        "kind": "typed", "byCall": False, "askedAt": 1000, "sentAt": 1040, "endedAt": 1060,
        "rounds": [{"responseId": "r1", "begunAt": 1060, "playedAt": 1500}],
    }  # fmt: skip
    late = {"requested_ms": 30.0, "first_token_ms": 130.0, "first_audio_ms": 430.0, "sent_ms": 460.0}
    measured = json.loads(json.dumps(turn))
    measured["rounds"][0]["measured"] = late
    async with page(server.url) as tab:
        laid_out = (
            "import('/assets/js/turn-stages.js').then(({{ laidOut }}) => "
            "laidOut({}, () => undefined).stages.map(({{ name, waitedMs }}) => [name, waitedMs]))"
        )
        assert await tab.js(laid_out.format(json.dumps(turn))) == [["connect", 40], ["send", 20], ["other", 440]]
        # Heard 440 ms after it was seen to begin, and sent 460 ms after it began: it began 20 ms before it was seen.
        assert await tab.js(laid_out.format(json.dumps(measured))) == [
            ["connect", 40], ["send", 0], ["ask", 30], ["model", 100], ["voice", 300], ["playback", 30],
        ]  # fmt: skip
