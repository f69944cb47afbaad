"""The dialect of translation sessions: what its clients write is read, what they get is what the `openai` package's types accept."""

from __future__ import annotations

import base64
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import RealtimeTranslationClientEvent
from pydantic import TypeAdapter

from parley.core.words import events as e
from parley.core.words import notices as n
from parley.core.words.events import AudioArrived, ClientErred, ClientEvent
from parley.core.words.ids import ClientEventId
from parley.core.words.settings import (
    CLAUSES,
    UNSTABLE_WORDS,
    NoiseReduction,
    Settings,
    SettingsPatch,
    Transcription,
)
from parley.core.words.translation_notices import TranslationPlaying, UnstableWordsChanged
from parley.wire.dialects import DIALECTS, GA
from tests.wire import samples
from tests.wire.samples import AT, ITEM, SESSION
from tests.wire.surface import server_events

TRANSLATIONS = DIALECTS["translations"]
SDK: TypeAdapter[Any] = TypeAdapter(RealtimeTranslationClientEvent)
KINDS = get_args(ClientEvent)
APPEND = "session.input_audio_buffer.append"
AT_END = n.PartAt(AT.response_id, AT.item_id, 0, 0, elapsed_ms=1_399)
CLAUSE = n.ClauseTranslated(4, 2, "Good day.", "Bom dia.", "en", "pt", 1_399, 320, 1.1, differences=("day",))
SPOKEN: dict[str, n.Notice] = {
    "session.created": n.SessionCreated(SESSION, Settings(kind="translation", model="m", target_language="pt"), 1_000),
    "session.updated": n.SessionUpdated(
        SESSION,
        Settings(
            kind="translation",
            model="m",
            target_language="pt-BR",
            transcription=Transcription("whisper-1"),
            noise_reduction=NoiseReduction("far_field"),
        ),
        1_000,
    ),
    "session.closed": n.TranslationClosed(),
    "session.input_transcript.delta": n.TranscriptionDelta(ITEM, 0, "Good ", 1_399),
    "session.output_transcript.delta": n.OutputTranscriptDelta(AT_END, 'Bom "dia"\n😀'),
    "session.output_audio.delta": n.OutputAudioDelta(AT_END, bytes(range(256))),
    "error": n.ErrorRaised("invalid_value", "No.", "session.target_language"),
}
OWN = {
    "parley.translation.clause": CLAUSE,
    "parley.translation.playing": TranslationPlaying(1_399, 5_230),
    "parley.input_transcript.unstable": UnstableWordsChanged(" my frie", 1_399),
}

OPTIONS = (
    "session",
    "session.audio.input.noise_reduction",
    "session.audio.input.noise_reduction.type",
    "session.audio.input.noise_reduction.strength",
    "session.audio.input.transcription",
    "session.audio.input.transcription.model",
    "session.audio.output.language",
)
PATCHES: list[SettingsPatch] = [
    {},
    {"target_language": "pt-BR"},
    {"voice": "marin"},
    {"voice": ""},
    {"transcription": Transcription("whisper-1")},
    {"transcription": Transcription("whisper-1", "es-MX")},
    {"transcription": None},
    {"noise_reduction": NoiseReduction("near_field", 0.25)},
    {"noise_reduction": NoiseReduction("far_field", None)},
    {"noise_reduction": None},
    {"include": (CLAUSES,)},
    {"include": (CLAUSES, UNSTABLE_WORDS)},
    {"include": ()},
    {"model": "default"},
]


def encoded(notice: n.Notice) -> dict[str, Any]:
    frame = TRANSLATIONS.encoder(event_seed=b"t", wall_s=lambda: 1_767_000_000.0).encode(notice)
    assert frame is not None
    event = json.loads(frame)
    assert isinstance(event, dict)
    return event


def read(session: object) -> ClientEvent:
    return TRANSLATIONS.decode(json.dumps({"type": "session.update", "event_id": "mine", "session": session}))


def output(language: object) -> dict[str, Any]:
    return {"audio": {"output": {"language": language}}}


def test_the_examples_are_all_events_of_the_sdk_and_of_the_dialect() -> None:
    assert set(SPOKEN) == set(server_events("translations"))
    assert {kind: type(notice) for kind, notice in (SPOKEN | OWN).items()} == TRANSLATIONS.server_events


@pytest.mark.parametrize(
    "kind",
    [pytest.param(k, marks=pytest.mark.proves(k, state="sent", dialect="translations")) for k in SPOKEN],
)
def test_every_server_event_is_one_that_stock_clients_accept(kind: str) -> None:
    event = encoded(SPOKEN[kind])
    assert event["type"] == kind
    server_events("translations")[kind].model_validate_json(json.dumps(event), strict=True)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("ms", "shown"), [(0, 0), (199, 0), (200, 200), (399, 200), (1_399, 1_200), (3_600_000, 3_600_000)]
)
def test_positions_are_rounded_down_to_whole_frames(ms: int, shown: int) -> None:
    at = n.PartAt(AT.response_id, AT.item_id, 0, 0, elapsed_ms=ms)
    notices = (
        n.TranscriptionDelta(ITEM, 0, "a", ms),
        n.OutputTranscriptDelta(at, "a"),
        n.OutputTextDelta(at, "a"),
        n.OutputAudioDelta(at, b"ab"),
    )
    assert [encoded(notice)["elapsed_ms"] for notice in notices] == [shown] * 4


def test_the_record_of_a_clause_has_all_its_members() -> None:
    event = encoded(CLAUSE)
    assert event.pop("event_id")
    assert event == {
        "type": "parley.translation.clause",
        "clause": 4,
        "clauses": 2,
        "source": "Good day.",
        "text": "Bom dia.",
        "from_language": "en",
        "to_language": "pt",
        "end_ms": 1_399,
        "waited_ms": 320,
        "speed": 1.1,
        "outcome": "translated",
        "differences": ["day"],
    }


def test_words_that_may_still_change_are_told_with_their_place() -> None:
    event = encoded(UnstableWordsChanged(" my frie", 1_399))
    assert event.pop("event_id")
    assert event == {"type": "parley.input_transcript.unstable", "text": " my frie", "elapsed_ms": 1_200}


def test_what_is_being_played_is_told_with_the_place_of_its_words_and_of_the_speaker() -> None:
    for end_ms in (1_399, None):
        event = encoded(TranslationPlaying(end_ms, 5_230))
        assert event.pop("event_id")
        assert event == {"type": "parley.translation.playing", "end_ms": end_ms, "input_ms": 5_230}


@pytest.mark.parametrize(
    ("code", "told"), [("translation_drift", False), ("mt_unreachable", True), ("server_error", True)]
)
def test_a_failed_translation_is_an_error_unless_it_was_withheld_on_purpose(code: str, told: bool) -> None:
    failed = n.ResponseDone(samples.response("failed", error=n.ResponseError("server_error", code, "No.")))
    frame = TRANSLATIONS.encoder(event_seed=b"", wall_s=lambda: 0.0).encode(failed)
    assert (frame is not None) == told
    assert frame is None or json.loads(frame)["error"]["code"] == code


@pytest.mark.proves(APPEND, state="honoured", dialect="translations")
@pytest.mark.proves(APPEND, "audio", "event_id", state="honoured", dialect="translations")
@pytest.mark.proves("session.close", state="honoured", dialect="translations")
@pytest.mark.proves("session.close", "event_id", state="honoured", dialect="translations")
@pytest.mark.proves("session.update", state="honoured", dialect="translations")
@pytest.mark.proves("session.update", *OPTIONS, "event_id", state="honoured", dialect="translations")
@pytest.mark.parametrize(
    "event",
    [
        AudioArrived(b"\x00\x01", ClientEventId("mine")),
        e.SessionCloseRequested(None),
        e.SessionCloseRequested(ClientEventId("mine")),
        *(e.SessionUpdateRequested({"kind": "translation", **patch}, ClientEventId("mine")) for patch in PATCHES),
    ],
    ids=str,
)
def test_an_event_that_a_client_writes_is_read_as_the_same_event(event: ClientEvent) -> None:
    frame = TRANSLATIONS.write(event)
    assert frame is not None
    SDK.validate_json(frame, strict=True)
    assert TRANSLATIONS.decode(frame) == event
    assert TRANSLATIONS.decode(frame.encode()) == event


@pytest.mark.parametrize("language", ["pt", "pt-BR", "zh-Hant-TW", "x-klingon", "yue"])
def test_a_language_tag_is_taken(language: str) -> None:
    assert read(output(language)) == e.SessionUpdateRequested(
        {"kind": "translation", "target_language": language}, ClientEventId("mine")
    )


@pytest.mark.parametrize("language", ["pt_BR", "", "p", "pt-", "a" * 1_000, "pt\n", "português", 7, ["pt"], {}])
def test_what_is_no_language_tag_is_refused_by_name(language: object) -> None:
    event = read(output(language))
    assert isinstance(event, ClientErred)
    assert (event.path, event.event_id) == ("session.audio.output.language", "mine")
    assert len(event.message) < 500


def test_an_underscore_is_answered_with_the_right_tag() -> None:
    event = read(output("pt_BR"))
    assert isinstance(event, ClientErred)
    assert "'pt-BR'" in event.message


@pytest.mark.parametrize(
    ("session", "path"),
    [
        ({"voice": "marin"}, "session.voice"),
        ({"instructions": "Hi."}, "session.instructions"),
        ({"audio": {"output": {"voice": 7}}}, "session.audio.output.voice"),
        ({"audio": {"output": {"voice": {"id": 7}}}}, "session.audio.output.voice.id"),
        ({"audio": {"output": {"voice": {"name": "marin"}}}}, "session.audio.output.voice.id"),
        ({"audio": {"output": {"speed": 1.2}}}, "session.audio.output.speed"),
        ({"audio": {"input": {"turn_detection": {}}}}, "session.audio.input.turn_detection"),
        ({"audio": {"input": {"format": {"type": "audio/pcm"}}}}, "session.audio.input.format"),
        ({"audio": {"middle": {}}}, "session.audio.middle"),
        (
            {"audio": {"input": {"transcription": {"model": "m", "x": 1}}}},
            "session.audio.input.transcription.x",
        ),
        (
            {"audio": {"input": {"transcription": {"model": "m", "language": "Spanish!"}}}},
            "session.audio.input.transcription.language",
        ),
        ({"type": "realtime"}, "session.type"),
    ],
)
def test_a_member_that_does_not_exist_is_refused_by_name(session: object, path: str) -> None:
    event = read(session)
    assert isinstance(event, ClientErred)
    assert event.path == path


@pytest.mark.parametrize("kind", ["input_audio_buffer.append", "input_audio_buffer.commit", "response.create", "hello"])
def test_an_event_of_conversations_is_refused_with_what_to_send(kind: str) -> None:
    event = TRANSLATIONS.decode(json.dumps({"type": kind, "event_id": "mine", "audio": "AAEC"}))
    assert isinstance(event, ClientErred)
    assert "session." in event.message
    assert event.event_id == "mine"


@given(frame=st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_get_an_answer(frame: str | bytes) -> None:
    assert isinstance(TRANSLATIONS.decode(frame), KINDS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from(["translation", "pt", "AAEC"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["audio", "input", "output", "language", "model", "include", "type", "strength"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
)


@given(kind=st.sampled_from(["session.update", APPEND, "session.close"]), members=st.dictionaries(st.text(), JSON))
def test_any_members_get_an_answer_in_text_and_binary_frames_alike(kind: str, members: dict[str, Any]) -> None:
    frame = json.dumps(members | {"type": kind, "session": members, "event_id": "mine"})
    event = TRANSLATIONS.decode(frame)
    assert isinstance(event, KINDS)
    assert event == TRANSLATIONS.decode(frame.encode())
    assert event.event_id == "mine"


@given(session=JSON)
def test_any_session_gets_an_answer(session: Any) -> None:
    assert isinstance(read(session), e.SessionUpdateRequested | ClientErred)


@given(audio=st.binary(max_size=64), event_id=st.none() | st.text(max_size=20))
def test_any_append_arrives_as_it_was_sent(audio: bytes, event_id: str | None) -> None:
    frame = json.dumps({"type": APPEND, "audio": base64.b64encode(audio).decode(), "event_id": event_id})
    event = TRANSLATIONS.decode(frame)
    assert getattr(event, "audio", None) == audio
    assert event == TRANSLATIONS.decode(frame.encode())


def test_the_gas_audio_is_written_byte_for_byte_as_before() -> None:
    """The place in the input is for translation sessions: no other client sees it."""
    frame = GA.encoder(event_seed=b"x", wall_s=lambda: 0.0).encode(n.OutputAudioDelta(AT_END, b"abc"))
    assert frame is not None
    event_id = json.loads(frame)["event_id"]
    assert frame == (
        f'{{"type":"response.output_audio.delta","event_id":"{event_id}","response_id":"{AT.response_id}",'
        f'"item_id":"{AT.item_id}","output_index":0,"content_index":0,"delta":"YWJj"}}'
    )
