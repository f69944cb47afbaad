"""What is heard of the user: which audio makes a turn, what the recogniser and the judge are given of it, and when a turn is over."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.core.policy.assistant import Assistant
from parley.core.policy.endpointing import pause_needed_ms
from parley.core.policy.policy import OverOutput
from parley.core.policy.turn_rules import MAX_PRE_ROLL_MS, PauseSeen, Rules
from parley.core.session import Session
from parley.core.spec import SessionSpec
from parley.core.words.effects import (
    DropTranscription,
    Effect,
    FinishTranscription,
    FlushTranscription,
    JudgePause,
    OpenTranscription,
    ScoreVoice,
    StartGeneration,
    Tell,
    Transcribe,
)
from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioArrived,
    ClearRequested,
    CommitRequested,
    ItemCreateRequested,
    PartialTranscribed,
    PauseJudged,
    ResponseRequested,
    SessionUpdateRequested,
    TimePassed,
    Transcribed,
    TranscriptionFailed,
    VoiceScored,
    WindDownRequested,
)
from parley.core.words.ids import ClientEventId, FlushId, ItemId, JudgementId, TurnId
from parley.core.words.items import InputAudio, InputText, Message
from parley.core.words.limits import MAX_APPEND_BYTES, MAX_BUFFERED_MS, MAX_TURN_MS, MAX_WAITING_MS
from parley.core.words.notices import (
    ErrorRaised,
    IdleTimeoutTriggered,
    InputCleared,
    InputCommitted,
    ItemAdded,
    ItemDone,
    ResponseCreated,
    ResponseDone,
    SpeechStarted,
    SpeechStopped,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionFailedNotice,
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
from parley.core.words.work import ResponseParams
from tests.core.scene import MS, Scene, cancelled, kinds, notices

FRAME = 768
CONFIRMED = OwnerSettings(barge_in="confirmed")
GUESSING = OwnerSettings(speculation=True, speculate_after_ms=200)
MANUAL = Settings(turn_detection=None, transcription=Transcription())
ID = ClientEventId("of the client")


def sound(start: int, end: int) -> bytes:
    """Samples that each say where they stand, so that a test sees which ones it was given."""
    return array("h", (position % 30_011 for position in range(start, end))).tobytes()


def arrives(scene: Scene, samples: int) -> list[Effect]:
    """The microphone goes on; nothing is scored."""
    received, scene.position = scene.position, scene.position + samples
    return scene.happens(AudioArrived(sound(received, scene.position)))


def frames(scene: Scene, *voices: float) -> list[Effect]:
    """A frame for each of these voice probabilities."""
    caused: list[Effect] = []
    for voice in voices:
        scene.now += 32 * MS
        caused += arrives(scene, FRAME) + scene.happens(VoiceScored(scene.position, voice))
    return caused


def of(effects: list[Effect], kind: type[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, kind)]


def given_to_recogniser(scene: Scene, turn: TurnId) -> bytes:
    return b"".join(e.audio for e in scene.effects if isinstance(e, Transcribe) and e.turn == turn)


def audio_of(scene: Scene, item: ItemId) -> bytes | None:
    message = scene.item(item)
    assert isinstance(message, Message)
    (part,) = message.content
    assert isinstance(part, InputAudio)
    return part.audio


def played_reply(owner: OwnerSettings = CONFIRMED, detection: TurnDetection | None = None) -> Scene:
    """A session of which a long reply is heard; no turn is open."""
    scene = Scene(Settings(turn_detection=detection or ServerVad(), transcription=Transcription()), owner)
    scene.happens(ResponseRequested())
    scene.answers(("Once upon a time there was a king who talked and talked.", 60_000))
    scene.passes(500)
    return scene


def ruled(rules: Rules, settings: Settings | None = None, owner: OwnerSettings | None = None) -> Scene:
    """A session with judgements of its own."""
    scene = Scene(settings or Settings(), owner or OwnerSettings())
    scene.session = Session(
        SessionSpec(
            seed=b"ruled",
            settings=scene.settings,
            owner=scene.owner,
            capabilities=scene.capabilities,
            playback="remote",
            now_ns=scene.now,
            rules=rules,
        )
    )
    scene.effects = scene.session.start()
    return scene


# --- audio ---------------------------------------------------------------------------------------------------------------------


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


# --- turns ---------------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.9]), st.integers(1, 30)), min_size=1, max_size=8), st.booleans())
def test_an_item_holds_the_microphone_from_speech_started_to_speech_stopped_and_so_does_its_recogniser(
    runs: list[tuple[float, int]], speculating: bool
) -> None:
    scene = Scene(owner=GUESSING if speculating else OwnerSettings())
    for voice, count in runs:
        frames(scene, *[voice] * count)
    frames(scene, *[0.0] * 20)
    started, stopped, committed = scene.told(SpeechStarted), scene.told(SpeechStopped), scene.told(InputCommitted)
    turns = [effect.turn for effect in scene.effects if isinstance(effect, OpenTranscription)]
    assert len(started) == len(stopped) == len(committed) == len(turns)
    for turn, begin, end, item in zip(turns, started, stopped, committed, strict=True):
        assert begin.item_id == end.item_id == item.item_id
        audio = sound(begin.audio_start_ms * 24, end.audio_end_ms * 24)
        assert audio_of(scene, item.item_id) == audio
        assert given_to_recogniser(scene, turn) == audio


@dataclass
class OwnPreRoll:
    """Wants this much before a voice; remembers what it was asked."""

    ms: int
    asked: list[tuple[TurnDetection, tuple[float, ...]]] = field(default_factory=list)

    def pre_roll_ms(self, detection: TurnDetection, before: tuple[float, ...]) -> int:
        self.asked.append((detection, before))
        return self.ms


@pytest.mark.parametrize(
    ("quiet", "padding_ms", "start_ms"),
    [(100, 300, 2900), (100, 0, 3200), (100, 2_000, 1200), (3, 300, 0), (100, 3_000, 200)],
)
def test_a_turn_begins_as_long_before_the_voice_as_the_client_says(quiet: int, padding_ms: int, start_ms: int) -> None:
    scene = Scene(Settings(turn_detection=ServerVad(prefix_padding_ms=padding_ms)))
    frames(scene, *[0.0] * quiet, 0.9, 0.9)
    start_ms = max(start_ms, quiet * 32 - MAX_PRE_ROLL_MS)
    assert [started.audio_start_ms for started in scene.told(SpeechStarted)] == [start_ms]
    assert given_to_recogniser(scene, scene.turn()) == sound(start_ms * 24, scene.position)


@pytest.mark.parametrize(("wanted_ms", "given_ms"), [(-100, 0), (0, 0), (1_000, 1_000), (2_000, 2_000), (9_000, 2_000)])
def test_a_pre_roll_of_ones_own_gets_what_it_asks_for_within_its_bounds(wanted_ms: int, given_ms: int) -> None:
    own, detection = OwnPreRoll(wanted_ms), ServerVad(prefix_padding_ms=0)
    scene = ruled(Rules(pre_roll=own), Settings(turn_detection=detection))
    frames(scene, *[0.0] * 199, 0.2, 0.9, 0.9)
    (started,) = scene.told(SpeechStarted)
    assert started.audio_start_ms == 6_400 - given_ms
    assert given_to_recogniser(scene, scene.turn()) == sound(started.audio_start_ms * 24, scene.position)
    ((asked, before),) = own.asked
    assert (asked, before[:2]) == (detection, (0.2, 0.0))


def test_a_turn_takes_no_audio_that_an_earlier_one_has_had() -> None:
    scene = Scene(Settings(turn_detection=ServerVad(silence_duration_ms=64)))
    frames(scene, *[0.0] * 20, *[0.9] * 10, 0.0, 0.0)
    end = scene.told(SpeechStopped)[0].audio_end_ms
    frames(scene, 0.9, 0.9)
    assert [started.audio_start_ms for started in scene.told(SpeechStarted)] == [640 - 300, end]


@pytest.mark.parametrize(
    ("detection", "threshold"), [(ServerVad(threshold=0.8), 0.8), (ServerVad(threshold=0.2), 0.2), (SemanticVad(), 0.5)]
)
def test_a_voice_below_the_clients_threshold_begins_no_turn(detection: TurnDetection, threshold: float) -> None:
    scene = Scene(Settings(turn_detection=detection))
    frames(scene, *[threshold - 0.01] * 5)
    assert scene.told(SpeechStarted) == []
    frames(scene, threshold, threshold)
    assert len(scene.told(SpeechStarted)) == 1


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
    assert scene.told(SpeechStarted) == [], "one frame was voiced, however often it was told"


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
    assert scene.told(SpeechStarted) == []
    frames(scene, 0.9)
    assert [started.audio_start_ms for started in scene.told(SpeechStarted)] == [4 * 32]


def test_a_turn_is_committed_by_force_at_its_longest_and_not_a_frame_before() -> None:
    scene = Scene(Settings(turn_detection=ServerVad(prefix_padding_ms=0)))
    begins = 10 * FRAME + 5  # whole milliseconds are told, rounded down
    end = begins + MAX_TURN_MS * 24
    scene.happens(AudioArrived(bytes(2 * end)), VoiceScored(begins, 0.0))
    scene.happens(VoiceScored(begins + FRAME, 0.9), VoiceScored(begins + 2 * FRAME, 0.9))
    assert "SpeechStopped" not in kinds(scene.happens(VoiceScored(end - 1, 0.9)))
    caused = scene.happens(VoiceScored(end, 0.9))
    assert [notice.audio_end_ms for notice in notices(caused) if isinstance(notice, SpeechStopped)] == [end // 24]
    assert of(caused, FinishTranscription) == [FinishTranscription(scene.turn())]


def test_the_end_of_a_turn_is_told_in_order_and_the_words_are_asked_for() -> None:
    scene = Scene()
    scene.happens(ItemCreateRequested(Message(ItemId("typed"), "user", (InputText("hello"),))))
    frames(scene, *[0.0] * 20, *[0.9] * 10)
    *_, before, last = (frames(scene, 0.0) for _ in range(16))
    assert kinds(before) == []
    item = scene.told(SpeechStarted)[0].item_id
    stopped, committed, added, done = notices(last)
    assert stopped == SpeechStopped(item, scene.position // 24)
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


# --- pauses --------------------------------------------------------------------------------------------------------------------


@dataclass
class OwnEndpointing:
    """Ends a turn after `ms` of silence; remembers what it was asked."""

    ms: int
    asked: list[PauseSeen] = field(default_factory=list)

    def pause_needed_ms(self, detection: TurnDetection, pause: PauseSeen) -> int:
        assert isinstance(detection, ServerVad | SemanticVad)
        self.asked.append(pause)
        return self.ms


def test_an_endpointing_of_ones_own_is_told_the_pause_the_turn_and_the_words() -> None:
    own = OwnEndpointing(200)
    scene = ruled(Rules(endpointing=own), Settings(turn_detection=SemanticVad()))
    arrives(scene, 24 * 10_000)
    for frame in range(20):
        scene.happens(VoiceScored((frame + 1) * FRAME, 0.9 if frame >= 10 else 0.0))
    scene.happens(PartialTranscribed(scene.turn(), "how are"))
    since = 20 * FRAME + 5  # whole milliseconds are told, rounded down
    scene.happens(VoiceScored(since + FRAME, 0.0), VoiceScored(since + 24 * 100, 0.0))
    judged = scene.last(JudgePause)
    scene.happens(PauseJudged(judged.turn, judged.judgement, 0.25))
    assert "SpeechStopped" not in kinds(scene.happens(VoiceScored(since + 24 * 200 - 1, 0.0)))
    turn_ms = 20 * 32 - (10 * 32 - 300)
    assert own.asked == [
        PauseSeen(32, turn_ms, "how are", None),
        PauseSeen(100, turn_ms, "how are", None),
        PauseSeen(199, turn_ms, "how are", 0.25),
    ]
    assert "SpeechStopped" in kinds(scene.happens(VoiceScored(since + 24 * 200, 0.0)))


@pytest.mark.parametrize(
    ("owner", "detection", "after_ms"),
    [
        (OwnerSettings(speculation=True, speculate_after_ms=200), ServerVad(), 200),
        (OwnerSettings(speculation=True, speculate_after_ms=0), ServerVad(), 0),
        (OwnerSettings(speculation=True, speculate_after_ms=200), SemanticVad(), 64),
        (OwnerSettings(speculate_after_ms=200), SemanticVad(), 64),
        (OwnerSettings(speculate_after_ms=200), ServerVad(), None),
    ],
)
def test_the_words_are_asked_for_once_in_a_pause_as_soon_as_they_are_of_use(
    owner: OwnerSettings, detection: TurnDetection, after_ms: int | None
) -> None:
    scene = Scene(Settings(turn_detection=detection), owner)
    arrives(scene, 24 * 10_000)
    scene.happens(*(VoiceScored((frame + 1) * FRAME, 0.9) for frame in range(20)))
    voice_end = 20 * FRAME
    asked: list[int] = []
    for ms in (32, 63, 64, 65, 199, 200, 201, 300):
        caused = scene.happens(VoiceScored(voice_end + ms * 24, 0.0))
        asked += [ms for effect in caused if isinstance(effect, FlushTranscription)]
        assert (len(of(caused, JudgePause)) == 1) == (isinstance(detection, SemanticVad) and ms == 64)
    assert asked == ([] if after_ms is None else [max(32, after_ms)])


def judging(transcription: Transcription | None = None) -> Scene:
    """A session with a judge; the user has spoken for three tenths of a second, after a second of silence."""
    scene = Scene(Settings(turn_detection=SemanticVad("high"), transcription=transcription))
    frames(scene, *[0.0] * 30, *[0.9] * 10)
    return scene


def test_the_judge_hears_the_turn_up_to_now_but_no_more_than_eight_seconds() -> None:
    scene = judging()
    frames(scene, 0.0, 0.0)
    start = scene.told(SpeechStarted)[0].audio_start_ms * 24
    first = scene.last(JudgePause)
    assert first == JudgePause(
        scene.turn(), first.judgement, "", sound(start, scene.position), AudioFormat.PCM16, "", None
    )
    frames(scene, *[0.9] * 400, 0.0, 0.0)
    assert scene.last(JudgePause).audio == sound(scene.position - 8_000 * 24, scene.position)


@pytest.mark.parametrize(
    ("text", "confidence", "again"),
    [("how are you", None, False), ("how are you", 0.9, True), ("how are", None, True)],
)
def test_a_pause_is_judged_again_where_more_is_known(text: str, confidence: float | None, again: bool) -> None:
    scene = judging()
    scene.happens(PartialTranscribed(scene.turn(), "how are you"))
    frames(scene, 0.0, 0.0)
    caused = scene.happens(Transcribed(scene.turn(), text, scene.flush(), language="en", confidence=confidence))
    assert [(e.text, e.language, e.confidence) for e in caused if isinstance(e, JudgePause)] == (
        [(text, "en", confidence)] if again else []
    )


@pytest.mark.parametrize("transcription", [None, Transcription(), Transcription(language="de")])
def test_the_judges_language_is_the_clients_or_else_the_one_heard(transcription: Transcription | None) -> None:
    scene = judging(transcription)
    frames(scene, 0.0, 0.0)
    named = "de" if transcription is not None and transcription.language else ""
    assert scene.last(JudgePause).language == named
    scene.happens(Transcribed(scene.turn(), "hello", scene.flush(), language="en"))
    assert scene.last(JudgePause).language == (named or "en")


def test_only_the_judgement_that_was_asked_for_last_counts() -> None:
    scene = judging()
    frames(scene, 0.0, 0.0)
    first = scene.last(JudgePause)
    scene.happens(Transcribed(scene.turn(), "how are you", scene.flush()))
    second = scene.last(JudgePause)
    late = scene.session.late_events
    scene.happens(
        PauseJudged(first.turn, first.judgement, 1.0),
        PauseJudged(TurnId(99), second.judgement, 1.0),
        PauseJudged(second.turn, JudgementId(99), 1.0),
    )
    assert scene.session.late_events == late + 3
    unjudged = pause_needed_ms(SemanticVad("high"), None)
    assert "SpeechStopped" not in kinds(frames(scene, *[0.0] * (unjudged // 32 - 3)))
    scene.happens(PauseJudged(second.turn, second.judgement, 1.0))
    assert scene.session.late_events == late + 3
    assert "SpeechStopped" in kinds(frames(scene, 0.0))
    scene.happens(PauseJudged(second.turn, second.judgement, 1.0))
    assert scene.session.late_events == late + 4, "the pause is over"


@pytest.mark.parametrize("flush", [None, FlushId(99)], ids=["final", "another flush"])
def test_words_that_were_not_asked_for_in_this_pause_are_dropped(flush: FlushId | None) -> None:
    scene = Scene(owner=GUESSING)
    frames(scene, *[0.9] * 10, *[0.0] * 8)
    late = scene.session.late_events
    assert scene.happens(Transcribed(scene.turn(), "hello", flush)) == []
    assert scene.session.late_events == late + 1
    known = scene.flush()
    frames(scene, 0.9)
    assert scene.happens(Transcribed(scene.turn(), "hello", known)) == []
    assert scene.session.late_events == late + 2, "that pause is over"


def test_words_asked_for_in_the_pause_that_ends_the_turn_are_its_words_when_they_come_late() -> None:
    scene = Scene(Settings(transcription=Transcription()), GUESSING)
    frames(scene, *[0.9] * 10, *[0.0] * 16)
    assert of(scene.effects, FinishTranscription) == [], "nothing was said since they were asked for"
    turn = scene.turn()
    assert scene.happens(Transcribed(turn, "of another pause", FlushId(99))) == []
    caused = scene.happens(Transcribed(turn, "hello", scene.flush()))
    assert DropTranscription(turn) in caused
    assert "TranscriptionCompleted" in kinds(caused)
    assert "ResponseCreated" in kinds(caused)


def test_words_of_a_finished_turn_need_no_recogniser_any_more() -> None:
    scene = Scene(Settings(transcription=Transcription()))
    caused = scene.says("hello")
    assert of(caused, DropTranscription) == []
    scene = Scene(Settings(transcription=Transcription()), GUESSING)
    frames(scene, *[0.9] * 10, *[0.0] * 8)
    scene.happens(Transcribed(scene.turn(), "hello", scene.flush()))
    caused = frames(scene, *[0.0] * 8)
    assert of(caused, DropTranscription) == [DropTranscription(scene.turn())]
    assert of(caused, FinishTranscription) == []


@pytest.mark.parametrize(
    ("owner", "detection", "guessed"),
    [
        (GUESSING, ServerVad(), True),
        (GUESSING, ServerVad(create_response=False), False),
        (OwnerSettings(), SemanticVad(), False),
        (GUESSING, SemanticVad(), True),
        (GUESSING, SemanticVad(create_response=False), False),
    ],
)
def test_a_reply_is_made_ahead_only_where_the_turn_would_get_one(
    owner: OwnerSettings, detection: TurnDetection, guessed: bool
) -> None:
    scene = Scene(Settings(turn_detection=detection), owner)
    frames(scene, *[0.9] * 10, *[0.0] * 8)
    caused = scene.happens(Transcribed(scene.turn(), "how are you", scene.flush()))
    assert bool(of(caused, StartGeneration)) == guessed


# --- the floor -----------------------------------------------------------------------------------------------------------------


@dataclass
class OwnFloor:
    """Gives the floor to a voice that says "stop"; remembers what it was asked."""

    asked: list[tuple[str, int]] = field(default_factory=list)

    def takes_floor(self, text: str, voice_ms: int) -> bool:
        self.asked.append((text, voice_ms))
        return text == "stop"


@pytest.mark.parametrize(
    ("owner", "detection", "told"),
    [
        (OwnerSettings(), ServerVad(), True),
        (CONFIRMED, ServerVad(), False),
        (CONFIRMED, SemanticVad(), False),
        (CONFIRMED, ServerVad(interrupt_response=False), True),
        (CONFIRMED, SemanticVad(interrupt_response=False), True),
    ],
)
def test_a_voice_over_a_reply_is_told_at_once_unless_it_must_show_that_it_wants_the_floor(
    owner: OwnerSettings, detection: TurnDetection, told: bool
) -> None:
    scene = played_reply(owner, detection)
    assert kinds(frames(scene, 0.9, 0.9)) == (["SpeechStarted"] if told else [])


def test_a_voice_over_a_reply_that_is_made_but_not_heard_yet_must_show_that_it_wants_the_floor_too() -> None:
    scene = Scene(owner=CONFIRMED)
    scene.happens(ResponseRequested())
    assert kinds(frames(scene, 0.9, 0.9)) == []


def test_a_voice_that_has_not_shown_it_gets_the_floor_when_the_reply_ends() -> None:
    scene = Scene(owner=CONFIRMED)
    scene.happens(ResponseRequested())
    scene.answers(("Yes.", 200))
    frames(scene, 0.9, 0.9)
    scene.happens(PartialTranscribed(scene.turn(), "how", stable="how"))
    assert kinds(frames(scene, 0.9)) == []
    scene.passes(200)
    assert kinds(frames(scene, 0.9)) == ["SpeechStarted"]
    assert scene.told(ResponseDone)[0].response.status == "completed"


def over_reply(scene: Scene, *scores: tuple[float, float]) -> list[Effect]:
    """Scores, each at so many milliseconds after the beginning of a voice over the reply."""
    if scene.position == 0:
        arrives(scene, 24 * 20_000)
        scene.happens(VoiceScored(24 * 1_000, 0.0), VoiceScored(24 * 1_000 + FRAME, 0.9))
    return scene.happens(*(VoiceScored(24 * 1_000 + round(24 * ms), voice) for ms, voice in scores))


def test_a_voice_of_seven_tenths_of_a_second_takes_the_floor_and_a_shorter_one_does_not() -> None:
    scene = played_reply()
    assert kinds(over_reply(scene, (64, 0.9), (699, 0.9))) == []
    assert kinds(over_reply(scene, (700, 0.9))) == ["SpeechStarted"]
    assert scene.told(SpeechStarted)[0].audio_start_ms == 700


def test_a_pause_of_three_tenths_ends_a_voice_that_did_not_take_the_floor() -> None:
    scene = played_reply()
    over_reply(scene, (64, 0.9), (96, 0.0))
    assert over_reply(scene, (64 + 299, 0.0))[1:] == []
    turn = scene.turn()
    caused = over_reply(scene, (64 + 300, 0.0))
    assert caused[-1] == DropTranscription(turn)
    assert kinds(caused) == []
    over_reply(scene, (500, 0.9), (532, 0.9), (1_300, 0.9))
    assert [started.audio_start_ms for started in scene.told(SpeechStarted)] == [1_000 + 64 + 300], (
        "no audio of the cough"
    )
    assert scene.turn() != turn


def test_silence_after_a_voice_does_not_make_it_longer() -> None:
    scene = played_reply()
    over_reply(scene, (64, 0.9), (650, 0.9))
    assert kinds(over_reply(scene, (682, 0.0), (710, 0.0))) == []
    assert kinds(over_reply(scene, (740, 0.9))) == ["SpeechStarted"]


def test_words_in_a_pause_take_the_floor_and_the_turn_goes_on_to_its_end() -> None:
    scene = played_reply(CONFIRMED, ServerVad(silence_duration_ms=200))
    over_reply(scene, (64, 0.9), (320, 0.9), (352, 0.0))
    scene.happens(PartialTranscribed(scene.turn(), "please stop", stable="please"))
    caused = over_reply(scene, (320 + 200, 0.0))
    assert kinds(caused)[:2] == ["SpeechStarted", "TranscriptionDelta"]
    assert "SpeechStopped" in kinds(caused), "its pause has been long enough already"


def test_a_floor_rule_of_ones_own_is_told_the_words_and_how_long_the_voice_lasted() -> None:
    own = OwnFloor()
    scene = ruled(Rules(floor=own), Settings(transcription=Transcription()))
    scene.happens(ResponseRequested())
    scene.answers(("Once upon a time.", 60_000))
    over_reply(scene, (64, 0.9), (2_000.5, 0.9), (2_032.5, 0.0))  # whole milliseconds are told, rounded down
    scene.happens(PartialTranscribed(scene.turn(), "two more words"))
    assert kinds(over_reply(scene, (2_100, 0.0), (2_132, 0.9))) == []
    scene.happens(PartialTranscribed(scene.turn(), "stop", stable="stop"))
    caused = over_reply(scene, (2_164, 0.9))
    assert [type(notice) for notice in notices(caused)] == [SpeechStarted, TranscriptionDelta]
    assert own.asked == [
        ("", 64),
        ("", 2_000),
        ("", 2_000),
        ("two more words", 2_000),
        ("two more words", 2_132),
        ("stop", 2_164),
    ]


def test_a_turn_without_the_floor_that_must_end_gets_it_first() -> None:
    scene = played_reply()
    over_reply(scene, (64, 0.9))
    scene.passes(3_100)
    assert [kind for kind in kinds(scene.effects) if kind.startswith("Speech")] == ["SpeechStarted", "SpeechStopped"]


def test_a_voice_over_a_reply_cuts_it_only_where_it_may() -> None:
    for interrupt in (True, False):
        scene = Scene(Settings(turn_detection=ServerVad(interrupt_response=interrupt)))
        scene.happens(ResponseRequested())
        frames(scene, 0.9, 0.9)
        assert [done.response.reason for done in scene.told(ResponseDone)] == (["turn_detected"] if interrupt else [])


# --- what the client ends itself -----------------------------------------------------------------------------------------------


def test_a_commit_needs_a_tenth_of_a_second_and_says_how_much_there_is() -> None:
    scene = Scene(MANUAL)
    arrives(scene, 2_399)
    (error,) = notices(scene.happens(CommitRequested(ID)))
    assert isinstance(error, ErrorRaised)
    assert (error.code, error.field, error.client_event_id) == ("input_audio_buffer_commit_empty", None, ID)
    assert "at least 100ms" in error.message
    assert "99.96ms" in error.message
    arrives(scene, 1)
    caused = scene.happens(CommitRequested())
    assert kinds(caused) == ["InputCommitted", "ItemAdded", "ItemDone"]
    assert audio_of(scene, scene.told(InputCommitted)[0].item_id) == sound(0, 2_400)
    assert caused[-1] == FinishTranscription(scene.turn())


@pytest.mark.parametrize("wire", AudioFormat)
def test_a_committed_item_holds_its_audio_in_the_encoding_in_which_it_came(wire: AudioFormat) -> None:
    scene = Scene(Settings(turn_detection=None, input_format=wire, transcription=Transcription()))
    scene.happens(AudioArrived(bytes(wire.size(9_600))), CommitRequested())
    message = scene.item(scene.told(InputCommitted)[0].item_id)
    assert isinstance(message, Message)
    assert message.content == (InputAudio(None, bytes(wire.size(9_600)), wire),)
    scene.happens(Transcribed(scene.turn(), "hello"))
    assert scene.told(TranscriptionCompleted)[-1].seconds == 0.4


def test_a_turn_whose_words_are_known_is_waited_for_no_more() -> None:
    scene = Scene(MANUAL)
    arrives(scene, 4_800)
    scene.happens(CommitRequested())
    scene.happens(Transcribed(scene.turn(), "hello"))
    other = Message(ItemId(""), "user", (InputAudio(None, bytes(9_600)),))
    scene.happens(ResponseRequested(ResponseParams(in_conversation=False, input=(other,))))
    assert len(of(scene.happens(ResponseRequested()), StartGeneration)) == 1


def test_a_commit_counts_only_the_audio_since_the_turn_began() -> None:
    scene = Scene(Settings(turn_detection=ServerVad(prefix_padding_ms=0)))
    frames(scene, *[0.0] * 30, 0.9, 0.9)
    (error,) = notices(scene.happens(CommitRequested()))
    assert isinstance(error, ErrorRaised)
    assert "64.00ms" in error.message
    frames(scene, 0.9, 0.9)
    arrives(scene, 5)  # whole milliseconds are told, rounded down
    caused = scene.happens(CommitRequested())
    item = scene.told(SpeechStarted)[0].item_id
    assert notices(caused)[:2] == [SpeechStopped(item, 34 * 32), InputCommitted(item, None)]
    assert audio_of(scene, item) == given_to_recogniser(scene, scene.turn()) == sound(30 * FRAME, 34 * FRAME + 5)


@pytest.mark.parametrize(
    ("rules", "padding_ms", "kept_ms"),
    [(Rules(), 300, 400), (Rules(), 0, 100), (Rules(pre_roll=OwnPreRoll(0)), 0, MAX_PRE_ROLL_MS + 100)],
)
def test_a_commit_in_the_quiet_takes_what_a_turn_might_have_begun_with_and_a_little_more(
    rules: Rules, padding_ms: int, kept_ms: int
) -> None:
    scene = ruled(rules, Settings(turn_detection=ServerVad(prefix_padding_ms=padding_ms)))
    frames(scene, *[0.0] * 100)
    assert kinds(scene.happens(CommitRequested())) == ["InputCommitted", "ItemAdded", "ItemDone"]
    item = scene.told(InputCommitted)[0].item_id
    kept = sound(scene.position - kept_ms * 24, scene.position)
    assert audio_of(scene, item) == given_to_recogniser(scene, scene.turn()) == kept


def test_a_commit_of_a_voice_without_the_floor_commits_it_and_tells_its_words() -> None:
    scene = played_reply()
    over_reply(scene, (64, 0.9), (200, 0.9))
    scene.happens(PartialTranscribed(scene.turn(), "yes please", stable="yes"))
    assert kinds(scene.happens(CommitRequested())) == ["InputCommitted", "ItemAdded", "ItemDone", "TranscriptionDelta"]
    scene.happens(PartialTranscribed(scene.turn(), "yes please", stable="yes please"))
    assert [delta.delta for delta in scene.told(TranscriptionDelta)] == ["yes", " please"]


def test_a_commit_in_a_pause_drops_the_reply_made_ahead() -> None:
    scene = Scene(owner=GUESSING)
    frames(scene, *[0.9] * 10, *[0.0] * 8)
    scene.happens(Transcribed(scene.turn(), "how are you", scene.flush()))
    attempt = scene.attempt()
    caused = scene.happens(CommitRequested())
    assert cancelled(caused) == [attempt]
    frames(scene, *[0.0] * 20)
    assert len(scene.told(InputCommitted)) == 1
    assert scene.told(ResponseCreated) == []


def test_a_committed_turn_whose_recogniser_has_failed_fails_at_once() -> None:
    scene = Scene(MANUAL)
    arrives(scene, 4_800)
    scene.happens(TranscriptionFailed(scene.turn(), Fault("engine", "It broke.")))
    caused = scene.happens(CommitRequested())
    item = scene.told(InputCommitted)[0].item_id
    assert notices(caused)[-1] == TranscriptionFailedNotice(item, 0, "engine", "It broke.")
    assert of(caused, FinishTranscription) == []
    assert of(caused, DropTranscription) == [DropTranscription(scene.turn())]


def test_a_detected_turn_whose_recogniser_has_failed_fails_at_its_end() -> None:
    scene = Scene(Settings(transcription=Transcription()), GUESSING)
    frames(scene, *[0.9] * 10)
    scene.happens(TranscriptionFailed(scene.turn(), Fault("engine", "It broke.")))
    caused = frames(scene, *[0.0] * 16)
    assert kinds(caused)[-1] == "TranscriptionFailedNotice"
    assert of(caused, FinishTranscription) == []


def test_a_clear_ends_the_turn_that_was_told_and_lets_its_recogniser_go() -> None:
    scene = Scene()
    arrives(scene, 5)  # whole milliseconds are told, rounded down
    frames(scene, *[0.0] * 30, *[0.9] * 10)
    arrives(scene, FRAME)
    item = scene.told(SpeechStarted)[0].item_id
    turn = scene.turn()
    assert scene.happens(ClearRequested()) == [
        DropTranscription(turn),
        Tell(SpeechStopped(item, 40 * 32)),
        Tell(InputCleared()),
    ]
    assert scene.session.turn_audio(1_000) == b""
    late = scene.session.late_events
    scene.happens(Transcribed(turn, "hello"))
    assert scene.session.late_events == late + 1


def test_a_clear_of_a_turn_that_was_not_told_is_told_as_a_clear_only() -> None:
    scene = played_reply()
    over_reply(scene, (64, 0.9))
    assert scene.happens(ClearRequested()) == [DropTranscription(scene.turn()), Tell(InputCleared())]
    manual = Scene(MANUAL)
    arrives(manual, 4_800)
    assert manual.happens(ClearRequested()) == [DropTranscription(manual.turn()), Tell(InputCleared())]
    arrives(manual, 4_800)
    manual.happens(CommitRequested())
    assert audio_of(manual, manual.told(InputCommitted)[0].item_id) == sound(4_800, 9_600)


def test_a_clear_in_a_pause_drops_the_reply_made_ahead() -> None:
    scene = Scene(owner=GUESSING)
    frames(scene, *[0.9] * 10, *[0.0] * 8)
    scene.happens(Transcribed(scene.turn(), "how are you", scene.flush()))
    caused = scene.happens(ClearRequested())
    assert cancelled(caused) == [scene.attempt()]


# --- silence -------------------------------------------------------------------------------------------------------------------


def idle() -> Scene:
    """A reply has been heard, and nothing since; the client wants a prompt after five seconds."""
    scene = Scene(Settings(turn_detection=ServerVad(idle_timeout_ms=5_000)))
    arrives(scene, 5)  # whole milliseconds are told, rounded down
    frames(scene, 0.0, 0.0)
    scene.happens(ResponseRequested())
    scene.answers(("Hello.", 100))
    scene.passes(100)
    return scene


def test_a_prompt_after_silence_commits_all_that_was_heard_since_the_reply() -> None:
    scene = idle()
    frames(scene, *[0.0] * 155)
    arrives(scene, 1_000)
    scene.now += 40 * MS
    caused = scene.happens(TimePassed())
    start, end = 2 * FRAME + 5, scene.position
    triggered = notices(caused)[0]
    assert isinstance(triggered, IdleTimeoutTriggered)
    assert triggered == IdleTimeoutTriggered(triggered.item_id, start // 24, end // 24)
    assert kinds(caused) == ["IdleTimeoutTriggered", "InputCommitted", "ItemAdded", "ItemDone"]
    assert audio_of(scene, triggered.item_id) == given_to_recogniser(scene, scene.turn()) == sound(start, end)
    assert caused[-1] == FinishTranscription(scene.turn())
    assert "ResponseCreated" in kinds(scene.happens(Transcribed(scene.turn(), "")))


@pytest.mark.parametrize("idle_timeout_ms", [None, 60_000])
def test_what_is_heard_after_a_reply_is_kept_only_where_a_prompt_may_need_it(idle_timeout_ms: int | None) -> None:
    scene = Scene(Settings(modality="text", turn_detection=ServerVad(idle_timeout_ms=idle_timeout_ms)))
    scene.happens(ResponseRequested())
    scene.answers()
    frames(scene, *[0.0] * 100)
    scene.happens(CommitRequested())
    kept_ms = 100 * 32 if idle_timeout_ms else 400
    kept = sound(scene.position - kept_ms * 24, scene.position)
    assert audio_of(scene, scene.told(InputCommitted)[0].item_id) == kept


def test_a_prompt_after_silence_holds_no_audio_that_the_client_has_committed_meanwhile() -> None:
    scene = idle()
    frames(scene, *[0.0] * 20)
    scene.happens(ClearRequested())
    cleared = scene.position
    frames(scene, *[0.0] * 140)
    (triggered,) = scene.told(IdleTimeoutTriggered) or [
        notice for notice in notices(scene.happens(TimePassed())) if isinstance(notice, IdleTimeoutTriggered)
    ]
    assert triggered.audio_start_ms == cleared // 24


def test_a_voice_ends_the_wait_for_a_prompt() -> None:
    scene = idle()
    frames(scene, *[0.0] * 150, 0.9, 0.9)
    scene.passes(1_000)
    assert scene.told(IdleTimeoutTriggered) == []


def test_a_turn_behind_a_prompt_is_answered_with_it_when_the_words_of_both_have_come() -> None:
    scene = idle()
    scene.passes(5_000)
    assert len(scene.told(IdleTimeoutTriggered)) == 1
    prompt = scene.turn()
    frames(scene, *[0.9] * 10, *[0.0] * 16)
    assert scene.turn() != prompt
    scene.happens(Transcribed(scene.turn(), "hello"))
    assert len(scene.told(ResponseCreated)) == 1
    scene.happens(Transcribed(prompt, ""))
    assert len(scene.told(ResponseCreated)) == 2


# --- a policy that decides about a voice over output ---------------------------------------------------------------------------------


@dataclass
class OwnPolicy(Assistant):
    """An assistant that treats a voice over its output in its own way."""

    over: OverOutput = "cut"

    def voice_over_output(self) -> OverOutput:
        return self.over


@pytest.mark.parametrize(
    ("over", "started", "cut"), [("cut", True, True), ("queue", True, False), ("ignore", False, False)]
)
def test_a_policy_decides_whether_a_voice_over_output_cuts_it_waits_or_is_no_turn(
    over: OverOutput, started: bool, cut: bool
) -> None:
    scene = Scene()
    spec = SessionSpec(
        b"own", scene.settings, scene.owner, scene.capabilities, "remote", scene.now, policy=OwnPolicy(over)
    )
    scene.session = Session(spec)
    scene.happens(ResponseRequested())
    scene.answers(("Once upon a time.", 10_000))
    caused = scene.hears(960, 0.9)
    assert ("SpeechStarted" in kinds(caused)) is started
    assert scene.session.speaking is not cut


def test_a_commit_behind_audio_that_waits_for_its_words_is_refused_where_both_are_too_much() -> None:
    scene = Scene(Settings(turn_detection=None))
    arrives(scene, MAX_WAITING_MS * 24)
    scene.happens(CommitRequested())
    arrives(scene, 24 * 100)
    (error,) = notices(scene.happens(CommitRequested()))
    assert isinstance(error, ErrorRaised)
    assert error.code == "transcription_backlog"
