"""A translation session cuts the words of a speaker into clauses, each of which is decided on once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley.core.policy.assistant import Assistant
from parley.core.policy.policy import Decided, PassOn, Said, Say, Skip, Translate
from parley.core.words.effects import OpenTranscription, StartGeneration
from parley.core.words.errors import Fault
from parley.core.words.events import (
    Transcribed,
    TranscriptionFailed,
)
from parley.core.words.interpreting import LAGS, SameLanguage
from parley.core.words.notices import (
    ClauseTranslated,
    OutputAudioDelta,
    TranscriptionDelta,
    TranscriptionFailedNotice,
)
from parley.core.words.settings import AudioFormat, Settings
from parley.core.words.work import Utterance
from tests.core.interpreting import SETTINGS, opened, shown, sources, translates, words
from tests.core.scene import Scene


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


@pytest.mark.parametrize("text", ["Um.", "Hahaha!", "[laughter]", "uh, hmm..."])
def test_hesitation_and_laughter_alone_speak_nothing(text: str) -> None:
    scene = opened(language="en")
    scene.says(text)
    assert not scene.all(StartGeneration)


def test_a_loop_of_the_recogniser_is_not_spoken() -> None:
    scene = opened(language="en")
    scene.says("Thank you very much. " * 12)
    assert len(" ".join(sources(scene))) < 12 * len("Thank you very much.")


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
