"""The client's side of a session: what it sends, and which updates it reports."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from parley.client.playback import PlayedSpan
from parley.client.session import ClientSession
from parley.client.session_setup import SessionOptions
from parley.client.tool_consent import ToolConsent, described
from parley.client.updates import (
    ClientUpdate,
    ConsentAsked,
    ConsentedCallEnded,
    ConsentSettled,
    ResponseAudio,
    ResponseCut,
    ResponseText,
    SessionConfigured,
    SessionStarted,
    StatusMessage,
    ToolListing,
    UserTranscript,
    UserTurnEnded,
    UserTurnLost,
    UserTurnStarted,
)

VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "silence_duration_ms": 500,
    "idle_timeout_ms": None,
    "interrupt_response": True,
}


class Wire:
    """A session with a clock that moves only by assignment."""

    def __init__(self, options: SessionOptions | None = None, *, is_parley: bool = False, **heard: Any) -> None:
        self.session = ClientSession(options or SessionOptions(), is_parley=is_parley)
        self.now_s = 100.0
        audio = {"input": {"turn_detection": VAD, "transcription": None, **heard}, "output": {"voice": "alloy"}}
        self.began = self.receive("session.created", session={"id": "sess_1", "model": "default", "audio": audio})

    def receive(self, kind: str, **fields: Any) -> list[ClientUpdate]:
        return self.session.received(json.dumps({"type": kind, "event_id": "e", **fields}), self.now_s)

    def sent(self) -> list[dict[str, Any]]:
        return [json.loads(message) for message in self.session.outgoing()]

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.sent()]

    def reply(self, text: str, audio_ms: int) -> None:
        """A reply under way: its words and so much audio have come."""
        self.receive("response.created", response={"id": "resp_1"})
        common = {"response_id": "resp_1", "item_id": "item_r", "content_index": 0, "output_index": 0}
        self.receive("response.output_audio_transcript.delta", **common, delta=text)
        audio = base64.b64encode(bytes(48 * audio_ms)).decode()
        self.receive("response.output_audio.delta", **common, delta=audio)


def test_a_session_begins_with_what_the_server_lacks_and_leaves_the_rest_alone() -> None:
    wire = Wire()
    assert wire.began == [SessionStarted("sess_1", "default", "alloy", "gpt-4o-mini-transcribe", configuring=True)]
    (update,) = wire.sent()
    assert update["session"] == {
        "type": "realtime",
        "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}},
    }
    assert wire.receive("session.updated", session={}) == [SessionConfigured()]
    assert wire.receive("session.updated", session={}) == [], "that was something else"
    whole = Wire(transcription={"model": "whisper"})
    assert whole.sent() == []
    assert whole.began == [SessionStarted("sess_1", "default", "alloy", "whisper", configuring=False)]


def test_the_session_options_are_asked_for() -> None:
    options = SessionOptions(voice="verse", instructions="Be brief.", language="es", turn_detection="semantic_vad")
    (update,) = Wire(options).sent()
    assert update["session"]["instructions"] == "Be brief."
    assert update["session"]["audio"] == {
        "input": {
            "turn_detection": {"type": "semantic_vad"},
            "transcription": {"model": "gpt-4o-mini-transcribe", "language": "es"},
        },
        "output": {"voice": "verse"},
    }


def test_microphone_audio_goes_out_once_the_session_is_there() -> None:
    early = ClientSession(SessionOptions())
    early.appended(b"\x01\x02" * 480, 1.0)
    assert early.outgoing() == []
    wire = Wire(transcription={"model": "x"})
    wire.session.appended(b"\x01\x02" * 480, 100.0)
    (append,) = wire.sent()
    assert append["type"] == "input_audio_buffer.append"
    assert base64.b64decode(append["audio"]) == b"\x01\x02" * 480


def test_talking_over_a_reply_reports_exactly_what_was_heard_to_the_server() -> None:
    wire = Wire()
    wire.reply("One two three four", 2000)
    wire.sent()
    assert wire.receive("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0) == [
        UserTurnStarted("item_u", over_reply=True)
    ]
    (cut,) = wire.session.silenced([PlayedSpan("item_r", 0, 1234, 2000)])
    (truncate,) = wire.sent()
    assert truncate["type"] == "conversation.item.truncate"
    assert (truncate["item_id"], truncate["content_index"], truncate["audio_end_ms"]) == ("item_r", 0, 1234)
    assert cut == ResponseCut("item_r", "One two", " three four", 1234, exact=False, settling=False)


def test_a_reply_goes_on_where_the_server_says_that_speech_does_not_interrupt() -> None:
    wire = Wire(turn_detection={**VAD, "interrupt_response": False})
    assert wire.receive("input_audio_buffer.speech_started", item_id="item_u") == [
        UserTurnStarted("item_u", over_reply=False)
    ]


def test_a_parley_server_is_asked_for_the_exact_words_that_were_heard() -> None:
    wire = Wire(is_parley=True)
    wire.reply("One two three four", 2000)
    wire.sent()
    (cut,) = wire.session.silenced([PlayedSpan("item_r", 0, 1234, 2000)])
    assert cut == ResponseCut("item_r", "One two", " three four", 1234, exact=False, settling=True)
    assert wire.kinds() == ["conversation.item.truncate", "conversation.item.retrieve"]
    item = {
        "id": "item_r",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_audio", "transcript": "One"}],
    }
    assert wire.receive("conversation.item.retrieved", item=item) == [
        ResponseCut("item_r", "One", " two three four", 1234, exact=True)
    ]


def test_where_the_server_has_other_words_the_estimate_stands_and_nothing_more_is_awaited() -> None:
    wire = Wire(is_parley=True)
    wire.reply("One two three four", 2000)
    wire.session.silenced([PlayedSpan("item_r", 0, 1234, 2000)])
    item = {"id": "item_r", "type": "message", "content": [{"type": "output_audio", "transcript": "Something else"}]}
    assert wire.receive("conversation.item.retrieved", item=item) == [
        ResponseCut("item_r", "One two", " three four", 1234, exact=False, by_user=False, settling=False)
    ]


def test_the_talk_key_ends_the_turn_and_asks_for_a_reply() -> None:
    wire = Wire(SessionOptions(hands_free=False))
    (update,) = wire.sent()
    assert update["session"]["audio"]["input"]["turn_detection"] is None
    wire.session.appended(bytes(960), 100.0)
    assert wire.sent() == [], "nothing is sent while the key is up"
    assert wire.session.press(100.0) == [UserTurnStarted("", over_reply=True)]
    wire.session.appended(bytes(48 * 500), 100.5)
    assert wire.session.release(100.6) == [UserTurnEnded("", 100.6, 100.6)]
    assert wire.kinds() == [
        "input_audio_buffer.clear",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "response.create",
    ]


def test_a_tap_on_the_talk_key_is_no_turn() -> None:
    wire = Wire(SessionOptions(hands_free=False))
    wire.sent()
    wire.session.press(100.0)
    wire.session.appended(bytes(48 * 60), 100.05)
    (lost,) = wire.session.release(100.06)
    assert isinstance(lost, UserTurnLost)
    assert wire.kinds() == ["input_audio_buffer.clear", "input_audio_buffer.append", "input_audio_buffer.clear"]


def test_the_talk_key_over_a_reply_cancels_it() -> None:
    wire = Wire(SessionOptions(hands_free=False))
    wire.reply("One", 100)
    wire.sent()
    wire.session.press(100.0)
    assert wire.kinds() == ["input_audio_buffer.clear", "response.cancel"]


def test_changing_to_hands_free_puts_the_servers_own_turn_detection_back() -> None:
    wire = Wire(SessionOptions(hands_free=False))
    wire.sent()
    wire.session.set_hands_free(True)
    update = wire.sent()[-1]
    detection = update["session"]["audio"]["input"]["turn_detection"]
    assert detection == {name: value for name, value in VAD.items() if value is not None}


def test_each_transcript_delta_gives_the_whole_text_so_far() -> None:
    wire = Wire()
    kind = "conversation.item.input_audio_transcription"
    assert wire.receive(f"{kind}.delta", item_id="item_u", delta="what ") == [
        UserTranscript("item_u", "what ", final=False)
    ]
    assert wire.receive(f"{kind}.delta", item_id="item_u", delta="is") == [
        UserTranscript("item_u", "what is", final=False)
    ]
    assert wire.receive(f"{kind}.completed", item_id="item_u", transcript="What is?") == [
        UserTranscript("item_u", "What is?", final=True)
    ]
    common = {"response_id": "resp_1", "item_id": "item_r"}
    wire.receive("response.created", response={"id": "resp_1"})
    wire.receive("response.output_audio_transcript.delta", **common, delta="It ")
    assert wire.receive("response.output_audio_transcript.delta", **common, delta="is") == [
        ResponseText("resp_1", "item_r", "It is", final=False)
    ]


def test_the_end_of_speech_is_where_the_voice_ended_and_not_when_the_event_came() -> None:
    wire = Wire()
    # Three seconds of microphone, recorded from 100.0 to 103.0; the voice ended at 2.1, the server waited half a second.
    for chunk in range(150):
        wire.session.appended(bytes(960), 100.0 + (chunk + 1) * 0.02)
    wire.now_s = 103.4
    (ended,) = wire.receive("input_audio_buffer.speech_stopped", item_id="item_u", audio_end_ms=2600)
    assert isinstance(ended, UserTurnEnded)
    assert ended.turn_end_s == pytest.approx(102.6, abs=0.001)
    assert ended.voice_end_s == pytest.approx(102.1, abs=0.001)


def test_an_odd_byte_of_audio_does_not_reach_the_loudspeaker() -> None:
    wire = Wire()
    common = {"response_id": "r", "item_id": "i", "content_index": 0}
    (sounded,) = wire.receive("response.output_audio.delta", **common, delta=base64.b64encode(bytes(5)).decode())
    assert isinstance(sounded, ResponseAudio)
    assert len(sounded.audio) == 4


@pytest.mark.parametrize(
    "message",
    ["", "nonsense", "[]", "3", '{"type": 3}', '{"type": "never.heard.of"}', '{"type": "session.created", "session": null}',
     '{"type": "response.output_audio.delta", "delta": "%%%"}', '{"type": "error", "error": "oh"}',
     '{"type": "conversation.item.retrieved", "item": {"id": "x", "content": "y"}}', '{"type": "response.done"}'],
)  # fmt: skip
def test_nonsense_from_a_server_does_not_end_the_conversation(message: str) -> None:
    wire = Wire()
    wire.session.received(message, 100.0)
    assert wire.receive(
        "conversation.item.input_audio_transcription.completed", item_id="i", transcript="still here"
    ) == [UserTranscript("i", "still here", final=True)]


def test_errors_are_reported_in_the_servers_words_and_harmless_ones_are_not() -> None:
    wire = Wire()
    assert wire.receive("error", error={"type": "invalid_request_error", "code": "x", "message": "No such voice."}) == [
        StatusMessage("warning", "No such voice."),
        SessionConfigured(),
    ]
    assert wire.receive("error", error={"type": "invalid_request_error", "code": "response_cancel_not_active"}) == []
    done = {"id": "resp_1", "status": "failed", "status_details": {"type": "failed", "error": {"message": "no key"}}}
    assert StatusMessage("error", "The reply failed: no key") in wire.receive("response.done", response=done)


def test_a_filler_is_played_and_is_not_the_reply() -> None:
    wire = Wire(is_parley=True)
    wire.receive("response.created", response={"id": "resp_1", "conversation_id": "conv_1"})
    filler: dict[str, Any] = {"id": "resp_f", "conversation_id": None, "status": "completed", "output": []}
    assert wire.receive("response.created", response=filler) == []
    common = {"response_id": "resp_f", "item_id": "item_f", "content_index": 0, "output_index": 0}
    audio = base64.b64encode(bytes(4_800)).decode()
    assert wire.receive("response.output_audio.delta", **common, delta=audio) == [
        ResponseAudio("resp_f", "item_f", 0, bytes(4_800))
    ]
    assert wire.receive("response.done", response=filler) == []
    wire.sent()
    wire.session.silenced([PlayedSpan("item_f", 0, 50, 100)])
    assert wire.kinds() == ["conversation.item.truncate"], "there is no item of the conversation to be looked at"
    wire.session.interrupt()
    (cancel,) = wire.sent()
    assert (cancel["type"], cancel["response_id"]) == ("response.cancel", "resp_1")


def test_a_tool_that_needs_consent_is_asked_for_and_answered() -> None:
    wire = Wire()
    wire.sent()
    assert wire.receive("mcp_list_tools.in_progress", item_id="l") == [ToolListing("l", over=False)]
    assert wire.receive("mcp_list_tools.failed", item_id="l") == [ToolListing("l", over=True)]
    request = {"id": "r", "type": "mcp_approval_request", "server_label": "s", "name": "t", "arguments": "{}"}
    assert wire.receive("conversation.item.done", item=request) == [ConsentAsked("r", "s", "t", "{}")]
    wire.session.decide("r", False, "Nobody is here.")
    (answer,) = wire.sent()
    assert answer["type"] == "conversation.item.create"
    item = answer["item"]
    assert (item["type"], item["approval_request_id"], item["approve"]) == ("mcp_approval_response", "r", False)
    assert item["reason"] == "Nobody is here."
    assert wire.receive("conversation.item.done", item=item) == [ConsentSettled("r", approved=False)]
    call = {"id": "c", "type": "mcp_call", "approval_request_id": "r", "output": "1"}
    assert wire.receive("conversation.item.done", item=call) == [ConsentedCallEnded("r")]
    assert wire.receive("conversation.item.done", item={"id": "c", "type": "mcp_call"}) == []


def test_what_was_allowed_ends_with_the_session_and_nothing_hidden_is_shown() -> None:
    consent = ToolConsent()
    first, second = ConsentAsked("1", "s", "t", '{"a": "\u202e\x1b[2J"}'), ConsentAsked("2", "s", "u", "")
    for asked in (first, second):
        consent.on_update(asked)
    assert consent.next == first
    consent.allow(first)
    assert consent.allows(ConsentAsked("3", "s", "t", '{"a": 1}'))
    assert not consent.allows(second)
    consent.on_update(ConsentSettled("1", approved=True))
    assert consent.next == second
    consent.on_update(SessionStarted("sess_2", "default", "alloy"))
    assert [consent.next] == [None]
    assert not consent.allows(first)
    assert described(first) == 't of s with {"a": "\\u202e\\x1b[2J"}'
    assert described(second) == "u of s"


def test_a_parley_is_asked_for_words_that_may_still_change_and_they_stand_behind_the_deltas() -> None:
    wire = Wire(is_parley=True)
    (update,) = wire.sent()
    assert update["session"]["include"] == ["parley.unstable_words"]
    unstable, delta = "parley.input_transcript.unstable", "conversation.item.input_audio_transcription.delta"
    assert wire.receive(unstable, item_id="item_u", text="tell me") == [UserTranscript("item_u", "tell me", False)]
    assert wire.receive(delta, item_id="item_u", delta="tell") == [UserTranscript("item_u", "tell", False)]
    assert wire.receive(unstable, item_id="item_u", text=" me a") == [UserTranscript("item_u", "tell me a", False)]
    wire.receive("conversation.item.input_audio_transcription.completed", item_id="item_u", transcript="Tell me.")
    assert wire.receive(unstable, item_id="item_u", text=" late") == []


@pytest.mark.parametrize("ms", [50, 200])
def test_a_turn_that_a_key_began_has_its_item_from_the_first_words_on(ms: int) -> None:
    wire = Wire(SessionOptions(hands_free=False), is_parley=True)
    assert wire.session.press(wire.now_s) == [UserTurnStarted("", over_reply=True)]
    wire.session.appended(bytes(48 * ms), wire.now_s)
    wire.receive("parley.input_transcript.unstable", item_id="item_u", text="tell")
    (ended,) = wire.session.release(wire.now_s)
    assert isinstance(ended, UserTurnEnded if ms >= 100 else UserTurnLost)
    assert ended.item_id == "item_u"
    wire.session.press(wire.now_s)
    assert wire.receive("parley.input_transcript.unstable", item_id="item_c", text="") == [], "cleared by another"
    wire.session.appended(bytes(48 * 200), wire.now_s)
    (again,) = wire.session.release(wire.now_s)
    assert isinstance(again, UserTurnEnded)
    assert again.item_id == "", "another turn is another item"
