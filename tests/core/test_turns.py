"""What is heard of the user: which audio makes a turn, what the recogniser and the judge are given of it, and when a turn is over."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.core.policy.turn_rules import MAX_PRE_ROLL_MS, Rules
from parley.core.words.effects import (
    FinishTranscription,
    OpenTranscription,
    ScoreVoice,
    Transcribe,
)
from parley.core.words.events import (
    AudioArrived,
    ClearRequested,
    CommitRequested,
    ItemCreateRequested,
    PartialTranscribed,
    ResponseRequested,
    SessionUpdateRequested,
    VoiceScored,
    WindDownRequested,
)
from parley.core.words.ids import ClientEventId, ItemId
from parley.core.words.items import InputAudio, InputText, Message
from parley.core.words.limits import MAX_APPEND_BYTES, MAX_BUFFERED_MS, MAX_TURN_MS
from parley.core.words.notices import (
    ErrorRaised,
    InputCommitted,
    InputSpeechStarted,
    InputSpeechStopped,
    ItemAdded,
    ItemDone,
    ResponseCreated,
)
from parley.core.words.settings import (
    LOGPROBS,
    AudioFormat,
    Included,
    OwnerSettings,
    SemanticVad,
    ServerVad,
    Settings,
    Transcription,
    TurnDetection,
)
from tests.core.hearing import FRAME, OwnPreRoll, arrives, audio_of, frames, given_to_recogniser, of, ruled, sound
from tests.core.scene import Scene, kinds, notices

GUESSING = OwnerSettings(speculation=True, speculate_after_ms=200)
MANUAL = Settings(turn_detection=None, transcription=Transcription())
ID = ClientEventId("of the client")


def test_one_append_may_be_as_long_as_documented_and_no_longer() -> None:
    scene = Scene()
    assert len(of(scene.happens(AudioArrived(bytes(MAX_APPEND_BYTES))), ScoreVoice)) == 1
    caused = scene.happens(AudioArrived(bytes(MAX_APPEND_BYTES + 1), ID))
    (error,) = notices(caused)
    assert isinstance(error, ErrorRaised)
    assert (error.code, error.field, error.client_event_id) == ("invalid_value", "audio", ID)
    assert "at most 15 MiB" in error.message
    assert len(caused) == 1


def test_the_buffer_may_be_filled_to_its_last_sample_and_says_when_it_is_full() -> None:
    scene = Scene(Settings(turn_detection=None, input_format=AudioFormat.PCMU))
    scene.happens(AudioArrived(bytes(MAX_BUFFERED_MS * 8)))
    assert scene.told(ErrorRaised) == []
    (error,) = notices(scene.happens(AudioArrived(b"\xff", ID)))
    assert isinstance(error, ErrorRaised)
    assert (error.code, error.field) == ("input_audio_buffer_full", "audio")
    assert "at most 10 minutes" in error.message


@pytest.mark.parametrize("wire", AudioFormat)
def test_every_whole_sample_is_scored_for_voice_where_it_stands_and_in_its_encoding(wire: AudioFormat) -> None:
    scene = Scene(Settings(input_format=wire))
    first = scene.happens(AudioArrived(bytes(480)))
    assert first == [ScoreVoice(0, bytes(480), wire)]
    assert scene.happens(AudioArrived(bytes(480))) == [ScoreVoice(wire.samples(480), bytes(480), wire)]


@pytest.mark.parametrize("settings", [Settings(), MANUAL], ids=["detected", "manual"])
def test_half_a_sample_starts_no_work_and_is_joined_to_its_other_half(settings: Settings) -> None:
    scene = Scene(settings)
    assert scene.happens(AudioArrived(b"\x01")) == []
    caused = scene.happens(AudioArrived(b"\x02" * 9_601))
    (heard,) = of(caused, Transcribe if settings is MANUAL else ScoreVoice)
    assert isinstance(heard, Transcribe | ScoreVoice)
    assert heard.audio == b"\x01" + b"\x02" * 9_601


def test_a_session_that_winds_down_listens_no_more() -> None:
    scene = Scene()
    scene.happens(ResponseRequested(), WindDownRequested())
    assert arrives(scene, 4_800) == []
    assert scene.happens(VoiceScored(FRAME, 0.9), VoiceScored(2 * FRAME, 0.9)) == []


@pytest.mark.parametrize(
    ("transcription", "include", "language", "languages"),
    [
        (None, (), "", ()),
        (Transcription(), (), "", ()),
        (Transcription(language="de", languages=("fr", "it")), (), "de", ()),
        (Transcription(languages=("fr",)), (LOGPROBS,), "fr", ()),
        (Transcription(languages=("fr", "it"), prompt="Names", keywords=("Emma",)), (), "", ("fr", "it")),
    ],
)
@pytest.mark.parametrize("wire", [AudioFormat.PCM16, AudioFormat.PCMA])
def test_the_recogniser_is_told_all_that_the_client_has_said_about_the_words(
    transcription: Transcription | None,
    include: tuple[Included, ...],
    language: str,
    languages: tuple[str, ...],
    wire: AudioFormat,
) -> None:
    scene = Scene(Settings(turn_detection=None, transcription=transcription, include=include, input_format=wire))
    scene.happens(AudioArrived(bytes(4_800)))
    wanted = transcription or Transcription()
    assert scene.last(OpenTranscription) == OpenTranscription(
        scene.turn(), wire, language, wanted.prompt, wanted.keywords, bool(include), languages, True
    )


def test_without_detection_the_recogniser_gets_the_audio_each_fifth_of_a_second() -> None:
    scene = Scene(MANUAL)
    assert len(arrives(scene, 4_799)) == 1, "the recogniser is opened with the first audio"
    assert arrives(scene, 1) == [Transcribe(scene.turn(), sound(0, 4_800))]
    assert arrives(scene, 4_799) == []
    assert arrives(scene, 4_801) == [Transcribe(scene.turn(), sound(4_800, 14_400))]
    assert arrives(scene, 100) == []
    caused = scene.happens(CommitRequested())
    assert of(caused, Transcribe) == [Transcribe(scene.turn(), sound(14_400, 14_500))]
    arrives(scene, 4_800)
    assert of(scene.effects, Transcribe)[-1] == Transcribe(scene.turn(), sound(14_500, 19_300))


def test_no_word_of_the_audio_is_told_before_the_client_has_committed_it() -> None:
    scene = Scene(MANUAL)
    arrives(scene, 4_800)
    assert scene.happens(PartialTranscribed(scene.turn(), "yes please", stable="yes")) == []
    assert kinds(scene.happens(CommitRequested())) == ["InputCommitted", "ItemAdded", "ItemDone", "TranscriptionDelta"]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.9]), st.integers(1, 30)), min_size=1, max_size=8), st.booleans())
def test_an_item_holds_the_microphone_from_speech_started_to_speech_stopped_and_so_does_its_recogniser(
    runs: list[tuple[float, int]], speculating: bool
) -> None:
    scene = Scene(owner=GUESSING if speculating else OwnerSettings())
    for voice, count in runs:
        frames(scene, *[voice] * count)
    frames(scene, *[0.0] * 20)
    started, stopped, committed = (
        scene.told(InputSpeechStarted),
        scene.told(InputSpeechStopped),
        scene.told(InputCommitted),
    )
    turns = [effect.turn for effect in scene.effects if isinstance(effect, OpenTranscription)]
    assert len(started) == len(stopped) == len(committed) == len(turns)
    for turn, begin, end, item in zip(turns, started, stopped, committed, strict=True):
        assert begin.item_id == end.item_id == item.item_id
        audio = sound(begin.audio_start_ms * 24, end.audio_end_ms * 24)
        assert audio_of(scene, item.item_id) == audio
        assert given_to_recogniser(scene, turn) == audio


@pytest.mark.parametrize(
    ("quiet", "padding_ms", "start_ms"),
    [(100, 300, 2900), (100, 0, 3200), (100, 2_000, 1200), (3, 300, 0), (100, 3_000, 200)],
)
def test_a_turn_begins_as_long_before_the_voice_as_the_client_says(quiet: int, padding_ms: int, start_ms: int) -> None:
    scene = Scene(Settings(turn_detection=ServerVad(prefix_padding_ms=padding_ms)))
    frames(scene, *[0.0] * quiet, 0.9, 0.9)
    start_ms = max(start_ms, quiet * 32 - MAX_PRE_ROLL_MS)
    assert [started.audio_start_ms for started in scene.told(InputSpeechStarted)] == [start_ms]
    assert given_to_recogniser(scene, scene.turn()) == sound(start_ms * 24, scene.position)


@pytest.mark.parametrize(("wanted_ms", "given_ms"), [(-100, 0), (0, 0), (1_000, 1_000), (2_000, 2_000), (9_000, 2_000)])
def test_a_pre_roll_of_ones_own_gets_what_it_asks_for_within_its_bounds(wanted_ms: int, given_ms: int) -> None:
    own, detection = OwnPreRoll(wanted_ms), ServerVad(prefix_padding_ms=0)
    scene = ruled(Rules(pre_roll=own), Settings(turn_detection=detection))
    frames(scene, *[0.0] * 199, 0.2, 0.9, 0.9)
    (started,) = scene.told(InputSpeechStarted)
    assert started.audio_start_ms == 6_400 - given_ms
    assert given_to_recogniser(scene, scene.turn()) == sound(started.audio_start_ms * 24, scene.position)
    ((asked, before),) = own.asked
    assert (asked, before[:2]) == (detection, (0.2, 0.0))


def test_a_turn_takes_no_audio_that_an_earlier_one_has_had() -> None:
    scene = Scene(Settings(turn_detection=ServerVad(silence_duration_ms=64)))
    frames(scene, *[0.0] * 20, *[0.9] * 10, 0.0, 0.0)
    end = scene.told(InputSpeechStopped)[0].audio_end_ms
    frames(scene, 0.9, 0.9)
    assert [started.audio_start_ms for started in scene.told(InputSpeechStarted)] == [640 - 300, end]


@pytest.mark.parametrize(
    ("detection", "threshold"), [(ServerVad(threshold=0.8), 0.8), (ServerVad(threshold=0.2), 0.2), (SemanticVad(), 0.5)]
)
def test_a_voice_below_the_clients_threshold_begins_no_turn(detection: TurnDetection, threshold: float) -> None:
    scene = Scene(Settings(turn_detection=detection))
    frames(scene, *[threshold - 0.01] * 5)
    assert scene.told(InputSpeechStarted) == []
    frames(scene, threshold, threshold)
    assert len(scene.told(InputSpeechStarted)) == 1


def test_a_score_of_audio_that_never_came_or_was_scored_before_is_dropped() -> None:
    scene = Scene()
    arrives(scene, 4 * FRAME)
    late = scene.session.late_events
    scene.happens(VoiceScored(4 * FRAME + 1, 0.9))
    assert scene.session.late_events == late + 1
    scene.happens(VoiceScored(4 * FRAME, 0.9))
    assert scene.session.late_events == late + 1
    scene.happens(VoiceScored(4 * FRAME, 0.9))
    scene.happens(VoiceScored(3 * FRAME, 0.9))
    assert scene.session.late_events == late + 3
    assert scene.told(InputSpeechStarted) == [], "one frame was voiced, however often it was told"


def test_a_score_that_comes_after_detection_was_switched_off_is_dropped() -> None:
    scene = Scene()
    frames(scene, 0.9)
    arrives(scene, FRAME)
    scene.happens(SessionUpdateRequested({"turn_detection": None}))
    late = scene.session.late_events
    assert scene.happens(VoiceScored(2 * FRAME, 0.9)) == []
    assert scene.session.late_events == late + 1


def test_the_voice_of_audio_that_was_cleared_begins_no_turn() -> None:
    scene = Scene()
    arrives(scene, 4 * FRAME)
    scene.happens(ClearRequested())
    late = scene.session.late_events
    assert scene.happens(*(VoiceScored(frame * FRAME, 0.9) for frame in (1, 2, 3, 4))) == []
    assert scene.session.late_events == late
    frames(scene, 0.9)
    assert scene.told(InputSpeechStarted) == []
    frames(scene, 0.9)
    assert [started.audio_start_ms for started in scene.told(InputSpeechStarted)] == [4 * 32]


def test_a_turn_is_committed_by_force_at_its_longest_and_not_a_frame_before() -> None:
    scene = Scene(Settings(turn_detection=ServerVad(prefix_padding_ms=0)))
    begins = 10 * FRAME + 5  # whole milliseconds are told, rounded down
    end = begins + MAX_TURN_MS * 24
    scene.happens(AudioArrived(bytes(2 * end)), VoiceScored(begins, 0.0))
    scene.happens(VoiceScored(begins + FRAME, 0.9), VoiceScored(begins + 2 * FRAME, 0.9))
    assert "InputSpeechStopped" not in kinds(scene.happens(VoiceScored(end - 1, 0.9)))
    caused = scene.happens(VoiceScored(end, 0.9))
    assert [notice.audio_end_ms for notice in notices(caused) if isinstance(notice, InputSpeechStopped)] == [end // 24]
    assert of(caused, FinishTranscription) == [FinishTranscription(scene.turn())]


def test_the_end_of_a_turn_is_told_in_order_and_the_words_are_asked_for() -> None:
    scene = Scene()
    scene.happens(ItemCreateRequested(Message(ItemId("typed"), "user", (InputText("hello"),))))
    frames(scene, *[0.0] * 20, *[0.9] * 10)
    *_, before, last = (frames(scene, 0.0) for _ in range(16))
    assert kinds(before) == []
    item = scene.told(InputSpeechStarted)[0].item_id
    stopped, committed, added, done = notices(last)
    assert stopped == InputSpeechStopped(item, scene.position // 24)
    assert committed == InputCommitted(item, ItemId("typed"))
    view = Message(item, "user", (InputAudio(None, None),))
    assert (added, done) == (ItemAdded(view, ItemId("typed")), ItemDone(view, ItemId("typed")))
    assert last[-1] == FinishTranscription(scene.turn())


@pytest.mark.parametrize(
    ("settings", "replies"),
    [
        (Settings(), 1),
        (Settings(turn_detection=ServerVad(create_response=False)), 0),
        (Settings(kind="transcription"), 0),
    ],
)
def test_a_turn_is_answered_where_the_client_wants_it(settings: Settings, replies: int) -> None:
    scene = Scene(settings)
    scene.says("hello")
    assert len(scene.told(ResponseCreated)) == replies
