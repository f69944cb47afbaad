"""A translation session cuts the words of a speaker into clauses, each of which is decided on once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley.core.policy.assistant import Assistant
from parley.core.policy.policy import Decided, PassOn, Said, Say, Skip, Translate
from parley.core.words.effects import FlushTranscription, OpenTranscription, StartGeneration
from parley.core.words.errors import Fault
from parley.core.words.events import (
    TimePassed,
    Transcribed,
    TranscriptionFailed,
    WorkAbandoned,
)
from parley.core.words.ids import TurnId
from parley.core.words.interpreting import LAGS, SameLanguage
from parley.core.words.notices import (
    ClauseTranslated,
    OutputAudioDelta,
    TranscriptionDelta,
    TranscriptionFailedNotice,
)
from parley.core.words.settings import UNSTABLE_WORDS, AudioFormat, Settings
from parley.core.words.translation_notices import UnstableWordsChanged
from parley.core.words.work import AwaitedTranscript, Utterance
from tests.core.interpreting import SETTINGS, opened, shown, sources, translates, words
from tests.core.scene import Scene, notices


@pytest.mark.proves("session.input_transcript.delta", state="sent", dialect="translations")
@pytest.mark.proves("session.output_transcript.delta", state="sent", dialect="translations")
@pytest.mark.proves("session.output_audio.delta", state="sent", dialect="translations")
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


UNSTABLE = replace(SETTINGS, include=(UNSTABLE_WORDS,))


def running(scene: Scene) -> list[str]:
    """The speaker's text after each event that changes it; what may still change stands in brackets."""
    shown, text = [], ""
    for notice in notices(scene.effects):
        match notice:
            case TranscriptionDelta(delta=delta):
                text += delta
                shown.append(text)
            case UnstableWordsChanged(text=unstable):
                shown.append(f"{text}[{unstable}]")
            case _:
                pass
    return shown


def test_a_client_that_asks_sees_the_words_that_may_still_change() -> None:
    scene = opened(UNSTABLE)
    scene.hears(640, 0.9)
    words(scene, "", "We live")
    words(scene, "", "We live")
    words(scene, "We", "We leave at nine")
    words(scene, "We leave at nine.", "We leave at nine. Bring")
    words(scene, "We leave at nine.", "We leave at nine.")
    scene.hears(480, 0.0)
    scene.happens(Transcribed(scene.turn(), "We leave at nine. Bring it.", flush=scene.flush()))
    assert running(scene) == [
        "[We live]",
        "We",
        "We[ leave at nine]",
        "We leave at nine.",
        "We leave at nine.[ Bring]",
        "We leave at nine.[]",
        "We leave at nine. Bring it.",
    ]
    (first, *_) = scene.notices(UnstableWordsChanged)
    assert first.elapsed_ms >= 640


def test_unstable_words_that_come_to_nothing_are_taken_away() -> None:
    scene = opened(UNSTABLE)
    scene.hears(640, 0.9)
    words(scene, "We leave.", "We leave. Uh")
    scene.hears(480, 0.0)
    scene.happens(Transcribed(scene.turn(), "We leave.", flush=scene.flush()))
    assert running(scene)[-2:] == ["We leave.[ Uh]", "We leave.[]"]
    scene.hears(640, 0.9)
    words(scene, "", "No")
    turn = scene.turn()
    scene.hears(2_000, 0.0)
    scene.happens(TranscriptionFailed(turn, Fault("server_error", "It broke.")))
    assert running(scene)[-2:] == ["We leave.[ No]", "We leave.[]"]


def test_the_words_of_a_turn_wait_for_those_of_the_one_before() -> None:
    scene = opened(UNSTABLE)
    scene.hears(640, 0.9)
    words(scene, "One.", "One. Tw")
    first = scene.turn()
    scene.hears(2_000, 0.0)
    scene.hears(640, 0.9)
    words(scene, "", "Three")
    assert running(scene)[-1] == "One.[ Tw]"
    scene.happens(Transcribed(first, "One. Two."))
    assert running(scene)[-2:] == ["One. Two.", "One. Two.[ Three]"]


@pytest.mark.parametrize("settings", [SETTINGS, replace(UNSTABLE, transcription=None)])
def test_without_being_asked_no_unstable_word_is_sent(settings: Settings) -> None:
    scene = opened(settings)
    scene.hears(640, 0.9)
    words(scene, "We", "We leave at nine")
    assert not scene.notices(UnstableWordsChanged)


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


@pytest.mark.parametrize("text", ["Um.", "Hahaha!", "[laughter]", "uh, hmm..."])
def test_hesitation_and_laughter_alone_speak_nothing(text: str) -> None:
    scene = opened(language="en")
    scene.says(text)
    assert not scene.all(StartGeneration)


def test_a_loop_of_the_recogniser_is_not_spoken() -> None:
    scene = opened(language="en")
    scene.says("Thank you very much. " * 12)
    assert len(" ".join(sources(scene))) < 12 * len("Thank you very much.")


@pytest.mark.proves("session.update", "session.audio.input.transcription", state="honoured", dialect="translations")
def test_a_session_without_transcription_sends_no_words_of_the_speaker() -> None:
    scene = opened(replace(SETTINGS, transcription=None), language="en")
    scene.says("Good morning.")
    assert not scene.notices(TranscriptionDelta)
    assert sources(scene) == ["Good morning."]


@pytest.mark.parametrize(("same", "spoken"), [("silent", []), ("repeat", ["Está tudo bem."]), ("pass", [])])
def test_speech_in_the_target_language_already(same: SameLanguage, spoken: list[str]) -> None:
    scene = opened(same=same)
    scene.hears(640, 0.9)
    scene.hears(480, 0.0)
    scene.happens(
        Transcribed(scene.turn(), "Está tudo bem.", flush=scene.flush(), language="pt", language_confidence=1.0)
    )
    assert [one.work.text for one in scene.all(StartGeneration) if isinstance(one.work, Utterance)] == spoken
    heard = sum(len(one.audio) for one in scene.notices(OutputAudioDelta)) // 48
    assert (heard > 600) is (same == "pass"), "only then the speaker is heard"
    assert shown(scene) == ("Está tudo bem." if same == "pass" else "")


def test_words_in_the_target_language_are_passed_on_while_they_are_spoken() -> None:
    scene = opened(same="pass")
    scene.hears(640, 0.9)
    words(scene, "Está tudo bem. E", language="pt")
    first = sum(len(one.audio) for one in scene.notices(OutputAudioDelta)) // 48
    assert first > 300
    scene.hears(480, 0.0)
    scene.happens(
        Transcribed(
            scene.turn(), "Está tudo bem. E agora?", flush=scene.flush(), language="pt", language_confidence=1.0
        )
    )
    whole = sum(len(one.audio) for one in scene.notices(OutputAudioDelta)) // 48
    assert whole <= 640 + 64 + 480 + 320, "no sample is passed on twice"
    assert shown(scene) == "Está tudo bem. E agora?"
    assert not scene.all(StartGeneration)


def test_a_final_that_differs_from_what_was_sent_goes_on_behind_as_many_words() -> None:
    scene = opened(language="en")
    scene.hears(640, 0.9)
    words(scene, "The hat sat. On")
    scene.hears(480, 0.0)
    scene.happens(Transcribed(scene.turn(), "The cat sat. On the mat.", flush=scene.flush()))
    translates(scene, "O chapéu.")
    assert sources(scene) == ["The hat sat.", "On the mat."]
    assert "".join(one.delta for one in scene.notices(TranscriptionDelta)) == "The hat sat. On the mat."


class Scripted(Assistant):
    """Says and passes over what it is told to."""

    def __init__(self, *work: Decided) -> None:
        self._work = work

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        return self._work


def test_a_policy_may_say_pass_over_and_pass_on_words() -> None:
    scene = Scene(policy=Scripted(Skip(3), Say("Hello.", 6), PassOn(9), Translate(9, "pt")))
    scene.says("one two three")
    assert [one.work.text for one in scene.all(StartGeneration) if isinstance(one.work, Utterance)] == ["Hello."]
    translates(scene, "Hello.")
    assert not sources(scene), "nothing is left to translate"


def test_audio_of_another_format_is_not_passed_on() -> None:
    scene = Scene(Settings(output_format=AudioFormat.PCMU), policy=Scripted(PassOn(3)))
    scene.says("one")
    assert not scene.notices(OutputAudioDelta)


def test_words_do_not_wait_for_a_policy_that_does_not() -> None:
    scene = Scene(policy=Scripted())
    scene.hears(640, 0.9)
    words(scene, "and then we went on")
    scene.hears(4_000, 0.9)
    assert not scene.all(StartGeneration)
    assert scene.last(OpenTranscription).agreement == 2


def test_stable_words_of_a_turn_whose_recogniser_fails_are_translated() -> None:
    scene = opened(language="en")
    scene.hears(640, 0.9)
    words(scene, "We leave at nine. Bring your coat")
    scene.hears(480, 0.0)
    translates(scene, "Saímos às nove.")
    scene.happens(TranscriptionFailed(scene.turn(), Fault("engine_error", "It broke.")))
    scene.passes(100)
    assert sources(scene) == ["We leave at nine.", "Bring your coat"]
    assert len(scene.notices(TranscriptionFailedNotice)) == 1


def two_turns(scene: Scene) -> tuple[TurnId, TurnId]:
    """Two turns whose words have not come."""
    scene.hears(640, 0.9)
    words(scene, "One is")
    first = scene.turn()
    scene.hears(480, 0.0)
    scene.hears(640, 0.9)
    words(scene, "Two is here. And")
    second = scene.turn()
    scene.hears(480, 0.0)
    assert first != second
    return first, second


def shown_words(scene: Scene) -> str:
    return "".join(one.delta for one in scene.notices(TranscriptionDelta))


def test_words_that_come_before_those_of_an_older_turn_wait_for_them() -> None:
    scene = opened(language="en")
    first, second = two_turns(scene)
    flushes = {one.turn: one.flush for one in scene.all(FlushTranscription)}
    scene.happens(Transcribed(second, "Two is here. And three.", flush=flushes[second]))
    assert not sources(scene)
    assert shown_words(scene) == "One is"
    assert [one.turn for one in scene.session.outstanding() if isinstance(one, AwaitedTranscript)] == [first]
    scene.happens(WorkAbandoned(AwaitedTranscript(second)), TimePassed())
    scene.happens(Transcribed(first, "One is here.", flush=flushes[first]))
    for _ in range(3):
        translates(scene, "x")
    assert sources(scene) == ["One is here.", "Two is here.", "And three."]
    assert shown_words(scene) == "One is here. Two is here. And three."


def test_an_older_turn_that_fails_lets_the_others_follow_and_a_newer_one_that_fails_keeps_its_place() -> None:
    for fails in (0, 1):
        scene = opened(language="en")
        turns = two_turns(scene)
        flushes = {one.turn: one.flush for one in scene.all(FlushTranscription)}
        scene.happens(TranscriptionFailed(turns[fails], Fault("engine_error", "It broke.")))
        other = turns[1 - fails]
        scene.happens(Transcribed(other, ("Two is here. And three.", "One is here.")[fails], flush=flushes[other]))
        for _ in range(3):
            translates(scene, "x")
        assert (
            sources(scene) == (["One is", "Two is here.", "And three."], ["One is here.", "Two is here.", "And"])[fails]
        )


def test_the_open_turn_follows_the_one_whose_words_have_come() -> None:
    scene = opened(language="en")
    scene.hears(640, 0.9)
    first = scene.turn()
    scene.hears(480, 0.0)
    flush = scene.flush()
    scene.hears(640, 0.9)
    words(scene, "Two is here. And")
    scene.hears(3_000, 0.9)
    assert not sources(scene)
    scene.happens(Transcribed(first, "One.", flush=flush))
    translates(scene, "x")
    assert sources(scene) == ["One.", "Two is here."]


def test_a_second_turn_waits_for_the_first_of_two_that_are_still_awaited() -> None:
    scene = opened(language="en")
    first, _ = two_turns(scene)
    scene.hears(640, 0.9)
    words(scene, "Three is here. And")
    flushes = {one.turn: one.flush for one in scene.all(FlushTranscription)}
    scene.happens(Transcribed(first, "One is here.", flush=flushes[first]))
    translates(scene, "x")
    assert sources(scene) == ["One is here.", "Two is here."]
