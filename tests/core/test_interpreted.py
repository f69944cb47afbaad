"""Translation sessions: speech in, speech in another language out while the speaker goes on; closed by the client."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley.core.words.effects import CloseLink, StartGeneration
from parley.core.words.errors import Fault
from parley.core.words.events import (
    AudioArrived,
    ClauseStarted,
    CommitRequested,
    GenerationFailed,
    GenerationFinished,
    PartialTranscribed,
    SessionCloseRequested,
    SessionUpdateRequested,
    SpeechGenerated,
    Transcribed,
    VoiceScored,
)
from parley.core.words.ids import ClientEventId
from parley.core.words.interpreting import LAGS, Interpreting, SameLanguage
from parley.core.words.limits import INTERPRETED_ITEMS, MERGE_AFTER_NS
from parley.core.words.notices import (
    ClauseTranslated,
    ErrorRaised,
    OutputAudioDelta,
    OutputTranscriptDelta,
    ResponseDone,
    SessionUpdated,
    TranscriptionDelta,
    TranslationClosed,
)
from parley.core.words.settings import CLAUSES, Capabilities, OwnerSettings, ServerVad, Settings, Transcription
from parley.core.words.work import Translation, Utterance
from tests.core.scene import MS, Scene

SETTINGS = Settings(
    kind="translation",
    model="m",
    target_language="pt",
    turn_detection=ServerVad(silence_duration_ms=400, interrupt_response=False),
    transcription=Transcription(),
    include=(CLAUSES,),
)


def opened(settings: Settings = SETTINGS, same: SameLanguage = "silent", language: str = "") -> Scene:
    owner = OwnerSettings(language=language, interpreting=Interpreting(same_language=same))
    return Scene(settings, owner, Capabilities(targets=("pt", "es")))


def words(scene: Scene, stable: str, text: str = "", language: str = "") -> None:
    scene.hears(64, 0.9)
    scene.happens(PartialTranscribed(scene.turn(), text or stable, stable, None, language, 1.0 if language else None))


def translates(scene: Scene, text: str, ms: int = 500) -> None:
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, text), SpeechGenerated(attempt, bytes(48 * ms)), GenerationFinished(attempt))


def sources(scene: Scene) -> list[str]:
    return [one.work.text.strip() for one in scene.all(StartGeneration) if isinstance(one.work, Translation)]


def shown(scene: Scene) -> str:
    return "".join(one.delta for one in scene.notices(OutputTranscriptDelta))


def test_clauses_are_translated_while_the_speaker_goes_on_and_both_texts_only_grow() -> None:
    scene = opened()
    scene.hears(640, 0.9)
    words(scene, "We leave at nine. Bring")
    assert sources(scene) == ["We leave at nine."]
    translates(scene, "Saímos às nove.")
    assert scene.notices(OutputAudioDelta), "heard while the speaker goes on"
    words(scene, "We leave at nine. Bring your coat, it is")
    scene.hears(480, 0.0)
    scene.happens(Transcribed(scene.turn(), "We leave at nine. Bring your coat, it is cold.", flush=scene.flush()))
    translates(scene, "Traga o casaco, está frio.")
    assert sources(scene) == ["We leave at nine.", "Bring your coat, it is cold."]
    assert (
        "".join(one.delta for one in scene.notices(TranscriptionDelta))
        == "We leave at nine. Bring your coat, it is cold."
    )
    assert shown(scene) == "Saímos às nove. Traga o casaco, está frio."
    scene.says("Good.")
    translates(scene, "Bom.")
    assert "".join(one.delta for one in scene.notices(TranscriptionDelta)).endswith("it is cold. Good.")
    assert shown(scene).endswith("está frio. Bom.")
    records = scene.notices(ClauseTranslated)
    assert [one.clause for one in records] == [1, 2, 3]
    assert [one.at.elapsed_ms for one in scene.notices(OutputAudioDelta)] == [one.end_ms for one in records]


def test_stable_words_without_an_end_are_translated_after_the_longest_wait() -> None:
    scene = opened()
    scene.hears(640, 0.9)
    words(scene, "and then we went on to the")
    assert sources(scene) == []
    scene.hears(LAGS["normal"].max_wait_ms, 0.9)
    scene.hears(300, 0.9)
    assert sources(scene) == ["and then we went on to the"]
    words(scene, "and then we went on to the station.")
    translates(scene, "e depois fomos à")
    assert sources(scene) == ["and then we went on to the", "station."]


def test_a_client_that_stops_sending_has_not_paused() -> None:
    scene = opened()
    scene.hears(640, 0.9)
    words(scene, "and then we went")
    scene.passes(20_000)
    assert not scene.session.closed
    assert sources(scene) == []
    scene.hears(640, 0.9)
    scene.happens(PartialTranscribed(scene.turn(), "and then we went home.", "and then we went home."))
    assert sources(scene) == ["and then we went home."], "one turn, one clause"


def test_closing_in_mid_clause_finishes_it_exactly_once_and_then_ends_the_session() -> None:
    scene = opened()
    scene.hears(640, 0.9)
    words(scene, "We leave at nine. Bring")
    translates(scene, "Saímos às nove.")
    scene.happens(AudioArrived(bytes(1536)), SessionCloseRequested(), SessionCloseRequested())
    assert not scene.notices(TranslationClosed), "the last audio has not been heard yet"
    scene.position += 768
    scene.happens(VoiceScored(scene.position, 0.9))
    scene.happens(AudioArrived(bytes(48), ClientEventId("late")))
    assert [(one.code, one.client_event_id) for one in scene.notices(ErrorRaised)] == [("session_closing", "late")]
    scene.happens(Transcribed(scene.turn(), "We leave at nine. Bring your coat."))
    assert sources(scene) == ["We leave at nine.", "Bring your coat."]
    assert not scene.notices(TranslationClosed)
    translates(scene, "Traga o casaco.")
    assert len(scene.notices(TranslationClosed)) == 1
    assert scene.session.closed
    assert scene.effects[-1] == CloseLink("session_closed") or CloseLink("session_closed") in scene.effects
    assert shown(scene) == "Saímos às nove. Traga o casaco."


def test_closing_an_idle_session_ends_it_at_once_and_other_sessions_are_not_closed_that_way() -> None:
    scene = opened()
    scene.hears(320, 0.0)
    scene.happens(SessionCloseRequested())
    assert len(scene.notices(TranslationClosed)) == 1
    other = Scene()
    other.happens(SessionCloseRequested(ClientEventId("c")))
    (error,) = other.notices(ErrorRaised)
    assert (error.code, error.client_event_id, other.session.closed) == ("invalid_value", "c", False)


def test_audio_that_is_never_scored_does_not_keep_a_session_from_closing() -> None:
    scene = opened()
    scene.happens(AudioArrived(bytes(48_000)), SessionCloseRequested())
    scene.passes(4_000)
    assert scene.session.closed


@pytest.mark.parametrize(
    ("same", "spoken"), [("silent", []), ("repeat", [Utterance("Está tudo bem.", "pt", 1120)]), ("pass", [])]
)
def test_speech_in_the_target_language_already(same: SameLanguage, spoken: list[Utterance]) -> None:
    scene = opened(same=same)
    scene.hears(640, 0.9)
    scene.hears(480, 0.0)
    scene.happens(
        Transcribed(scene.turn(), "Está tudo bem.", flush=scene.flush(), language="pt", language_confidence=1.0)
    )
    works = [one.work for one in scene.all(StartGeneration)]
    assert [(type(one), getattr(one, "text", "")) for one in works] == [(Utterance, one.text) for one in spoken]
    heard = sum(len(one.audio) for one in scene.notices(OutputAudioDelta)) // 48
    assert (heard > 600) is (same == "pass"), "only then the speaker is heard"
    assert shown(scene) == ("Está tudo bem." if same == "pass" else "")


@pytest.mark.parametrize("text", ["Um.", "Hahaha!", "[laughter]", "uh, hmm..."])
def test_hesitation_and_laughter_alone_speak_nothing(text: str) -> None:
    scene = opened(language="en")
    scene.says(text)
    assert not scene.all(StartGeneration)


def test_a_loop_of_the_recogniser_is_not_spoken() -> None:
    scene = opened(language="en")
    scene.says("Thank you very much. " * 12)
    assert len(" ".join(sources(scene))) < 12 * len("Thank you very much.")


def test_a_failed_translation_shows_the_source_and_the_session_goes_on() -> None:
    scene = opened(language="en")
    scene.says("Good morning.")
    scene.happens(GenerationFailed(scene.attempt(), Fault("translation_drift", "It answered.")))
    assert shown(scene) == "Good morning."
    assert scene.notices(ClauseTranslated)[-1].outcome == "shown"
    assert scene.notices(ResponseDone)[-1].response.status == "failed"
    scene.says("Are you there?")
    translates(scene, "Está aí?")
    assert shown(scene) == "Good morning. Está aí?"


def test_late_clauses_are_merged_into_one_request_and_spoken_faster_and_closer() -> None:
    scene = opened(language="en")
    scene.says("One is here.")
    for text in ("Two is here.", "Three is here.", "Four is here."):
        scene.says(text)
    assert sources(scene) == ["One is here."]
    scene.now += MERGE_AFTER_NS
    translates(scene, "Um está aqui.", 5_000)
    assert sources(scene) == ["One is here.", "Two is here. Three is here. Four is here."]
    late = scene.last(StartGeneration)
    assert (late.speed, late.tight) == (1.25, True)
    translates(scene, "Dois, três e quatro.")
    assert [(one.clause, one.clauses) for one in scene.notices(ClauseTranslated)] == [(1, 1), (4, 3)]
    scene.passes(10_000)
    scene.says("Five is here.")
    assert (scene.last(StartGeneration).speed, scene.last(StartGeneration).tight) == (1.0, False)


def test_a_change_of_the_target_holds_for_what_has_not_been_decided() -> None:
    scene = opened(language="en")
    scene.hears(640, 0.9)
    words(scene, "We leave at nine. Bring")
    scene.happens(SessionUpdateRequested({"target_language": "es"}))
    assert scene.notices(SessionUpdated)[-1].settings.target_language == "es"
    words(scene, "We leave at nine. Bring your coat. And")
    translates(scene, "Saímos às nove.")
    translated = [one.work for one in scene.all(StartGeneration) if isinstance(one.work, Translation)]
    assert [(one.text.strip(), one.to_language) for one in translated] == [
        ("We leave at nine.", "pt"),
        ("Bring your coat.", "es"),
    ]


def test_a_target_that_the_pipeline_lacks_and_another_model_are_refused_by_name() -> None:
    scene = opened()
    scene.happens(SessionUpdateRequested({"target_language": "ja"}), SessionUpdateRequested({"model": "other"}))
    errors = scene.notices(ErrorRaised)
    assert [one.field for one in errors] == ["session.target_language", "session.model"]
    assert "'pt', 'es'" in errors[0].message
    assert scene.session.settings.target_language == "pt"


def test_a_long_session_keeps_few_items() -> None:
    scene = opened(language="en")
    for number in range(2 * INTERPRETED_ITEMS):
        scene.says(f"This is sentence {number}.")
        translates(scene, f"Frase {number}.", 100)
        scene.passes(200)
    assert len(scene.session.items) <= INTERPRETED_ITEMS + 2
    assert len(sources(scene)) == 2 * INTERPRETED_ITEMS
    assert not scene.notices(ErrorRaised)


def test_a_session_without_transcription_sends_no_words_of_the_speaker() -> None:
    scene = opened(replace(SETTINGS, transcription=None), language="en")
    scene.says("Good morning.")
    assert not scene.notices(TranscriptionDelta)
    assert sources(scene) == ["Good morning."]


def test_a_manual_commit_is_no_part_of_it() -> None:
    scene = opened()
    scene.hears(640, 0.9)
    scene.happens(CommitRequested())
    assert not scene.session.closed
    assert scene.now > 1_000 * MS
