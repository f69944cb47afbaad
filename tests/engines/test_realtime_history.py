"""A conversation as the items of an upstream session: after the changes it is the one that is wanted, whatever it was before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley.engines.ports import ChatMessage, ToolCall
from parley.engines.speech.realtime_history import HeldItem, HistoryPlan, WantedItem, conversation_of, planned, told
from parley.engines.speech.text_along_audio import TextAlongAudio

TEXTS = st.sampled_from(["One two three", "One two", "One", "Other"])


@st.composite
def wanted_items(draw: st.DrawFn) -> WantedItem:
    match draw(st.sampled_from(["user", "assistant", "call", "output"])):
        case "call":
            return WantedItem("call", "{}", call_id=draw(st.sampled_from("ab")), name="f")
        case "output":
            return WantedItem("output", draw(TEXTS), call_id=draw(st.sampled_from("ab")))
        case role:
            heard = draw(st.one_of(st.none(), st.integers(0, 2_000))) if role == "assistant" else None
            return WantedItem("message", draw(TEXTS), role, heard_ms=heard)


@st.composite
def held_items(draw: st.DrawFn) -> HeldItem:
    item = draw(wanted_items())
    spoken = item.role == "assistant" and draw(st.booleans())
    return HeldItem(str(draw(st.integers())), item, 1_500.0 if spoken else 0.0)


@given(st.lists(held_items(), max_size=6), st.lists(wanted_items(), max_size=6))
def test_the_session_holds_what_is_wanted_afterwards(held: list[HeldItem], wanted: list[WantedItem]) -> None:
    plan = planned(held, wanted)
    assert [id(item) for item in held if item in plan.kept or item in plan.deleted] == [id(item) for item in held]
    for item, want, at_ms in plan.cuts:
        assert 0 <= at_ms < item.audio_ms
        item.cut(want, at_ms)
    after = [*(item.item for item in plan.kept), *plan.created]
    assert [(one.kind, one.role, one.text, one.call_id) for one in after] == [
        (one.kind, one.role, one.text, one.call_id) for one in wanted
    ]


def test_what_was_cut_is_not_cut_again() -> None:
    item = HeldItem("a", WantedItem("message", "One two three", "assistant"), 1_500)
    heard = WantedItem("message", "One two", "assistant", heard_ms=900)
    ((_, to, at_ms),) = planned([item], [heard]).cuts
    item.cut(to, at_ms)
    assert planned([item], [heard]) == HistoryPlan((), (), (item,), ())
    shorter = WantedItem("message", "One", "assistant", heard_ms=400)
    assert planned([item], [shorter]).cuts == ((item, shorter, 400),)


def test_words_that_are_not_wanted_are_cut_though_all_of_the_audio_was_heard() -> None:
    item = HeldItem("a", WantedItem("message", "One two three", "assistant"), 1_500)
    want = WantedItem("message", "One two", "assistant", heard_ms=1_600)
    assert planned([item], [want]).cuts == ((item, want, 1_499),)


def test_a_place_that_is_not_known_is_reckoned_from_the_words() -> None:
    item = HeldItem("a", WantedItem("message", "0123456789", "assistant"), 1_000)
    want = WantedItem("message", "01234", "assistant")
    assert planned([item], [want]).cuts == ((item, want, 500),)


def test_the_oldest_may_be_left_out_and_the_rest_stays() -> None:
    held = [HeldItem(str(at), WantedItem("message", text, "user")) for at, text in enumerate("abcd")]
    plan = planned(held, [held[2].item, held[3].item, WantedItem("message", "e", "user")])
    assert [item.id for item in plan.deleted] == ["0", "1"]
    assert [item.id for item in plan.kept] == ["2", "3"]
    assert [item.text for item in plan.created] == ["e"]


def test_messages_become_instructions_and_items() -> None:
    call = ToolCall("c", "f", '{"a": 1}')
    messages = (
        ChatMessage("system", "Be brief."),
        ChatMessage("user", "Do it."),
        ChatMessage("assistant", "Well.", tool_calls=(call,), heard_ms=300),
        ChatMessage("tool", "42", call_id="c"),
        ChatMessage("system", "Now be long."),
    )
    instructions, items = conversation_of(messages)
    assert instructions == "Be brief."
    assert items == (
        WantedItem("message", "Do it.", "user"),
        WantedItem("message", "Well.", "assistant"),
        WantedItem("call", '{"a": 1}', call_id="c", name="f"),
        WantedItem("output", "42", call_id="c"),
        WantedItem("message", "Now be long.", "system"),
    )
    assert items[1].heard_ms == 300
    assert told("Be brief.", items[:2]) == "Be brief.\n\nThe conversation so far:\nuser: Do it.\nassistant: Well."


class TestTextAlongAudio:
    def test_the_words_come_whole_and_with_their_audio(self) -> None:
        text = TextAlongAudio(100)
        text.write("Hello there, my fri")
        pieces = [text.with_audio(500) for _ in range(4)]
        text.write("end.")
        pieces += [text.with_audio(500), text.rest()]
        assert pieces == ["Hello", " there,", " my", " ", "friend.", ""]

    def test_the_pace_is_measured_on_answers_of_some_length(self) -> None:
        text = TextAlongAudio()
        text.write("x" * 39)
        text.with_audio(7_800)
        assert text.pace() == 65
        text.write("y")
        assert text.pace() == 195

    @given(st.lists(st.one_of(st.text("ab c.", max_size=9), st.integers(1, 2_000)), max_size=20))
    def test_nothing_is_lost(self, steps: list[str | int]) -> None:
        text, given_out = TextAlongAudio(), ""
        for step in steps:
            if isinstance(step, str):
                text.write(step)
            else:
                given_out += text.with_audio(step)
        assert given_out + text.rest() == "".join(step for step in steps if isinstance(step, str))
