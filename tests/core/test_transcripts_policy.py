"""The work that a policy decides: translations and utterances, their order, their limits, and the floor."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.core.policy.assistant import Assistant
from parley.core.policy.interpreter import Interpreter
from parley.core.policy.policy import Answer, Decided, OverOutput, Policy, Said, Say, Translate
from parley.core.words.effects import CancelGeneration, DropTranscription, StartGeneration
from parley.core.words.events import (
    ClauseStarted,
    GenerationFinished,
    PartialTranscribed,
    SpeechGenerated,
    Transcribed,
)
from parley.core.words.limits import MAX_PENDING_WORK, TRANSLATION_CONTEXT
from parley.core.words.notices import (
    ErrorRaised,
    InputSpeechStarted,
    ResponseCreated,
    ResponseDone,
    TranscriptionCompleted,
)
from parley.core.words.settings import OwnerSettings, ServerVad, Settings, Transcription
from parley.core.words.work import Reply, Translation, Utterance
from tests.core.scene import Scene


def scene(policy: Policy, settings: Settings | None = None, owner: OwnerSettings | None = None) -> Scene:
    return Scene(settings or Settings(), owner or OwnerSettings(), policy=policy)


def started(scene: Scene) -> list[StartGeneration]:
    return scene.all(StartGeneration)


def works(scene: Scene) -> list[Reply | Translation | Utterance]:
    return [effect.work for effect in started(scene)]


def speaks_on(scene: Scene, text: str, stable: str | None = None) -> None:
    """A partial transcript arrives, and the user continues to speak."""
    scene.hears(64, 0.9)
    scene.happens(PartialTranscribed(scene.turn(), text, text if stable is None else stable))


def finishes(scene: Scene, text: str = "Ja.", ms: int = 100) -> None:
    """The engines complete the work started last."""
    attempt = scene.attempt()
    scene.happens(ClauseStarted(attempt, text), SpeechGenerated(attempt, bytes(48 * ms)), GenerationFinished(attempt))


@dataclass
class Decides(Assistant):
    """A policy with scripted answers."""

    stable: tuple[Decided, ...] = ()
    ended: tuple[Decided, ...] = ()
    over: OverOutput = "cut"
    asked: list[Said] = field(default_factory=list)

    def words_became_stable(self, said: Said) -> tuple[Decided, ...]:
        self.asked.append(said)
        return self.stable

    def turn_ended(self, said: Said) -> tuple[Decided, ...]:
        self.asked.append(said)
        return self.ended

    def voice_over_output(self) -> OverOutput:
        return self.over


# --- an interpreter -------------------------------------------------------------------------------------------------------------


def test_a_clause_is_translated_while_the_speaker_continues_and_the_rest_at_the_end_of_the_turn() -> None:
    interpreted = scene(Interpreter("de", "en", (("ward", "Station"),)))
    interpreted.hears(640, 0.9)
    speaks_on(interpreted, "The nurse is on the ward. She will")
    (first,) = started(interpreted)
    terms = (("ward", "Station"),)
    assert first.work == Translation("The nurse is on the ward.", "en", "de", terms, clause=1, end_ms=704)
    assert (first.language, first.modality, first.held) == ("de", "audio", False)
    assert interpreted.notices(ResponseCreated), "it does not wait for the floor"
    finishes(interpreted)
    interpreted.hears(600, 0.0)
    interpreted.happens(Transcribed(interpreted.turn(), "The nurse is on the ward. She will call you."))
    second = works(interpreted)[1]
    assert isinstance(second, Translation)
    assert (second.text, second.clause, second.terms) == (" She will call you.", 2, terms)
    assert second.context == ("The nurse is on the ward.",)


def test_without_a_configured_language_the_detected_one_is_translated() -> None:
    interpreted = scene(Interpreter("de"))
    interpreted.hears(640, 0.9)
    interpreted.hears(600, 0.0)
    interpreted.happens(Transcribed(interpreted.turn(), "Bonjour.", language="fr", language_confidence=1))
    (work,) = works(interpreted)
    assert isinstance(work, Translation)
    assert (work.text, work.from_language, work.to_language) == ("Bonjour.", "fr", "de")


def test_translations_are_generated_one_at_a_time_even_during_playback() -> None:
    interpreted = scene(Interpreter("de", "en"))
    interpreted.hears(640, 0.9)
    speaks_on(interpreted, "One moment please, I am here. Two things are left. ")
    speaks_on(interpreted, "One moment please, I am here. Two things are left. Three of")
    assert len(started(interpreted)) == 1
    finishes(interpreted, ms=5_000)
    assert interpreted.session.speaking
    assert len(started(interpreted)) == 2
    (done,) = interpreted.notices(ResponseDone)
    assert done.response.status == "completed"


def test_a_speaker_who_continues_over_the_translation_cuts_nothing() -> None:
    interpreted = scene(Interpreter("de", "en"))
    interpreted.says("One moment please.")
    finishes(interpreted, ms=5_000)
    assert interpreted.session.speaking
    interpreted.hears(640, 0.9)
    assert len(interpreted.notices(InputSpeechStarted)) == 2
    assert interpreted.session.speaking
    interpreted.hears(600, 0.0)
    interpreted.happens(Transcribed(interpreted.turn(), "And another."))
    assert [work.text for work in works(interpreted) if isinstance(work, Translation)] == [
        "One moment please.",
        "And another.",
    ]


def test_a_translation_model_sees_the_earlier_texts_within_its_limit() -> None:
    interpreted = scene(Interpreter("de", "en"))
    texts = [f"Number {number}." for number in range(TRANSLATION_CONTEXT + 2)]
    for text in texts:
        interpreted.says(text)
        finishes(interpreted)
    last = works(interpreted)[-1]
    assert isinstance(last, Translation)
    assert last.context == tuple(texts[1:-1])


@given(st.lists(st.sampled_from(["Well, ", "one two three. ", "yes! ", "and so on ", "no"]), min_size=1, max_size=12))
def test_every_word_is_translated_once_and_in_order(pieces: list[str]) -> None:
    interpreted = scene(Interpreter("de", "en"))
    interpreted.hears(640, 0.9)
    text = ""
    for number, piece in enumerate(pieces):
        text += f"{number} {piece}"
        speaks_on(interpreted, text)
    interpreted.hears(600, 0.0)
    interpreted.happens(Transcribed(interpreted.turn(), text))
    for _ in pieces:
        finishes(interpreted)
    translated = [work.text for work in works(interpreted) if isinstance(work, Translation)]
    assert "".join(translated).split() == text.split()


def test_an_unstable_word_causes_no_work_and_each_stable_one_is_considered_once() -> None:
    policy = Decides()
    heard = scene(policy)
    heard.hears(640, 0.9)
    speaks_on(heard, "I would like", stable="I would")
    speaks_on(heard, "I would love", stable="I would")
    assert policy.asked == [Said("I would")]


# --- utterances -----------------------------------------------------------------------------------------------------------------


def test_a_policy_may_have_a_text_spoken_verbatim() -> None:
    heard = scene(Decides(ended=(Say("One moment."), Answer())))
    heard.says("What is the time?")
    assert [work.text for work in works(heard) if isinstance(work, Utterance)] == ["One moment."]
    finishes(heard, "One moment.", ms=320)
    assert len(started(heard)) == 1, "a reply waits for the end of playback"
    heard.passes(320)
    assert isinstance(works(heard)[1], Reply)


def test_texts_without_words_are_not_spoken() -> None:
    heard = scene(Decides(ended=(Say(" "), Translate(2, "de"))))
    heard.says("  ")
    assert works(heard) == []


def test_without_automatic_replies_a_policy_decides_nothing() -> None:
    policy = Decides(stable=(Say("Yes?"),), ended=(Say("Yes?"),))
    heard = scene(policy, Settings(turn_detection=ServerVad(create_response=False), transcription=Transcription()))
    heard.hears(640, 0.9)
    speaks_on(heard, "Hello?")
    heard.hears(600, 0.0)
    heard.happens(Transcribed(heard.turn(), "Hello?"))
    assert (works(heard), policy.asked) == ([], [])
    assert heard.notices(TranscriptionCompleted)


# --- bounds ---------------------------------------------------------------------------------------------------------------------


def test_work_over_the_queue_limit_is_refused_by_name_and_the_session_continues() -> None:
    heard = scene(Decides(ended=(Say("Yes. "),) * (MAX_PENDING_WORK + 1)))
    heard.says("Hello?")
    (error,) = heard.notices(ErrorRaised)
    assert (error.code, error.kind) == ("work_queue_full", "server_error")
    for _ in range(MAX_PENDING_WORK):
        finishes(heard)
    assert len(works(heard)) == MAX_PENDING_WORK


# --- the floor ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["cut", "queue", "ignore"])
def test_a_policy_decides_what_a_voice_over_output_does(over: OverOutput) -> None:
    heard = scene(Decides(ended=(Answer(),), over=over))
    heard.says("Tell me a story.")
    heard.answers(("Once upon a time. ", 5_000), finish=False)
    attempt = heard.attempt()
    heard.hears(320, 0.9)
    assert (CancelGeneration(attempt) in heard.effects) == (over == "cut")
    assert len(heard.notices(InputSpeechStarted)) == (1 if over == "ignore" else 2)
    heard.hears(900, 0.0)
    assert (DropTranscription(heard.turn()) in heard.effects) == (over == "ignore")
    if over == "queue":
        heard.happens(Transcribed(heard.turn(), "And then?"), GenerationFinished(attempt))
        heard.passes(6_000)
        assert len(started(heard)) == 2, "it is answered after the output"


def test_an_ignored_voice_becomes_a_turn_once_the_output_is_over() -> None:
    heard = scene(Decides(ended=(Answer(),), over="ignore"))
    heard.says("Tell me a story.")
    heard.answers(("Once. ", 320))
    heard.hears(640, 0.9)
    assert len(heard.notices(InputSpeechStarted)) == 2


# --- the language ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heard", "wanted", "owners", "spoken"),
    [
        ("de", "", "", "de"),
        ("de", "", "en", "de"),
        ("", "fr", "en", "fr"),
        ("", "", "en", "en"),
        ("", "", "", ""),
        ("de", "fr", "en", "de"),
    ],
)
def test_a_reply_is_spoken_in_the_detected_language_or_else_the_configured_one(
    heard: str, wanted: str, owners: str, spoken: str
) -> None:
    settings = Settings(transcription=Transcription(language=wanted) if wanted else None)
    talk = scene(Assistant(), settings, OwnerSettings(language=owners))
    talk.hears(640, 0.9)
    talk.hears(600, 0.0)
    talk.happens(Transcribed(talk.turn(), "Guten Tag.", language=heard, language_confidence=1))
    assert talk.last(StartGeneration).language == spoken
