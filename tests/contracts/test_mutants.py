"""Every fault that an engine may have is caught, each by the test of the contract that names it, and the engine without it passes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from parley.engines.llm.bench import BenchModel
from parley.engines.llm.responder import Responder
from parley.engines.moderation.words import WordList
from parley.engines.mt.bench import BenchTranslator
from parley.engines.mt.llm import LlmTranslator
from parley.engines.ports import Translator
from parley.engines.speech.bench import BenchSpeechModel
from parley.engines.tts.espeak import EspeakSynthesizer
from parley.engines.tts.hibari import HibariSynthesizer
from parley.engines.turn.rules import RuleJudge
from parley.engines.vad.silero import SileroVad
from parley.engines.vc.bench import BenchConverter
from parley.testing.contracts import (
    ConverterContract,
    EngineContract,
    LanguageModelContract,
    ModeratorContract,
    RecognizerContract,
    SpeechModelContract,
    Subject,
    SynthesizerContract,
    TranslatorContract,
    TurnJudgeContract,
    VoiceActivityContract,
)
from parley.testing.contracts.watching import LIMIT_S
from tests.contracts import mutants
from tests.engines.bursts import BurstRecognizer
from tests.engines.translating_model import TranslatingModel

Make = Callable[[], Any]


OPTIONS: dict[type, tuple[object, ...]] = {
    BenchTranslator: (5, 0),
    BenchConverter: (20, 0),
    BenchSpeechModel: (5, 20),
    BenchModel: (5, 1, "Yes."),
}


def bench(kind: type) -> Make:
    """Makes a bench engine, or a mutant of it, that answers at once."""
    return partial(kind, *next(options for base, options in OPTIONS.items() if issubclass(kind, base)))


def guarded(kind: type[LlmTranslator]) -> Make:
    """Makes a translator, or a mutant of it, that asks a model in this process."""
    return _Guarded(kind)


@dataclass(frozen=True)
class _Guarded:
    """`func` as a `partial` has it, with a model of its own for each engine."""

    func: type[LlmTranslator]

    def __call__(self) -> LlmTranslator:
        return self.func(TranslatingModel(), "translating")


class GuardedTranslatorContract(TranslatorContract):
    """Of translators whose model drifts when it is told to."""

    async def drift(self, engine: Translator, times: int) -> str:
        assert isinstance(engine, LlmTranslator)
        assert isinstance(engine._inner, TranslatingModel)
        return engine._inner.drift(times)


NOTHING_KEPT = "test_nothing_of_the_context_or_of_another_caller_is_in_a_translation"
ODD_HALF = "half a surrogate pair"


class Words(ModeratorContract):
    """What the word list of these tests flags."""

    refused = "holy cow"


CAUGHT: list[tuple[type[EngineContract[Any, Any]], Make, Make, str, tuple[Any, ...]]] = [
    *(
        (SynthesizerContract, EspeakSynthesizer, mutant, test, (ODD_HALF,) if "odd_texts" in test else ())
        for mutant, test in (
            (mutants.WrongRate, "test_a_sentence_is_audio_as_declared"),
            (mutants.WrongType, "test_a_sentence_is_audio_as_declared"),
            (mutants.Integers, "test_a_sentence_is_audio_as_declared"),
            (mutants.NotANumber, "test_a_sentence_is_audio_as_declared"),
            (mutants.TooLoud, "test_a_sentence_is_audio_as_declared"),
            (mutants.Inaudible, "test_a_sentence_is_audio_as_declared"),
            (mutants.LosesAWord, "test_words_grow_in_order_within_the_audio_and_cover_the_text"),
            (mutants.TimesNothing, "test_words_grow_in_order_within_the_audio_and_cover_the_text"),
            (mutants.ReportsWordsAhead, "test_words_grow_in_order_within_the_audio_and_cover_the_text"),
            (mutants.TimesBackwards, "test_words_grow_in_order_within_the_audio_and_cover_the_text"),
            (mutants.TimesPastTheEnd, "test_words_grow_in_order_within_the_audio_and_cover_the_text"),
            (mutants.ReusesItsMemory, "test_a_chunk_stays_as_it_was_given"),
            (mutants.SharesTheSpeed, "test_each_request_keeps_its_voice_and_speed_among_others"),
            (mutants.HoldsTheInterpreter, "test_answering_leaves_the_event_loop_alone"),
            (mutants.LeaksAFileAnAnswer, "test_answers_leave_nothing_behind"),
            (mutants.BlocksTheLoop, "test_answering_leaves_the_event_loop_alone"),
            (mutants.BusyOnTheLoop, "test_answering_leaves_the_event_loop_alone"),
            (mutants.OpensOnTheLoop, "test_opening_and_closing_leave_the_event_loop_alone"),
            (mutants.IgnoresItsText, "test_another_input_gives_another_output"),
            (mutants.IgnoresTheSpeed, "test_faster_speech_is_shorter"),
            (mutants.DeclaresAVoiceTooMany, "test_voices_resolve_as_declared_and_speak"),
            (mutants.TakesAnyMix, "test_mixes_of_its_voices_are_voices_if_it_declares_so"),
            (mutants.SpeaksAnyVoice, "test_an_unknown_voice_is_refused_by_name"),
            (mutants.SwallowsACancel, "test_a_caller_that_is_cancelled_leaves_at_once_and_disturbs_nobody"),
            (mutants.LateChunk, "test_the_iterator_can_be_closed_and_gives_nothing_afterwards"),
            (mutants.LeaksAThread, "test_closing_gives_back_what_opening_took"),
            (mutants.LeaksATask, "test_closing_gives_back_what_opening_took"),
            (mutants.LeaksAFile, "test_closing_gives_back_what_opening_took"),
            (mutants.LeaksMemory, "test_two_hundred_openings_leave_nothing_behind"),
            (mutants.WorksOn, "test_the_engine_stops_working_for_an_answer_that_is_closed"),
            (mutants.NeverAnswersAfterClose, "test_closing_ends_what_is_running"),
            (mutants.RaisesWhatItLikes, "test_odd_texts_are_spoken_or_refused"),
        )
    ),
    *(
        (SynthesizerContract, HibariSynthesizer, mutant, test, ())
        for mutant, test in (
            (mutants.ClonesNobody, "test_voices_of_recordings_are_told_apart_and_not_listed_if_it_clones"),
            (mutants.ReadsNoTensor, "test_voices_of_tensors_are_told_apart_and_not_listed_if_it_reads_them"),
            (mutants.SpeaksForAnother, "test_sixteen_at_once_get_what_each_gets_alone"),
            (mutants.DropsTheLastSound, "test_words_grow_in_order_within_the_audio_and_cover_the_text"),
        )
    ),
    *(
        (LanguageModelContract, Responder, mutant, test, ())
        for mutant, test in (
            (mutants.TwoFinals, "test_a_reply_is_words_and_one_end"),
            (mutants.NoFinal, "test_a_reply_is_words_and_one_end"),
            (mutants.TextAfterTheEnd, "test_a_reply_is_words_and_one_end"),
            (mutants.IgnoresMaxTokens, "test_max_tokens_ends_a_reply_early_and_says_so"),
            (mutants.SharesTheLastQuestion, "test_sixteen_at_once_get_what_each_gets_alone"),
        )
    ),
    (
        LanguageModelContract,
        bench(BenchModel),
        bench(mutants.SwallowsACancelledReply),
        "test_a_caller_that_is_cancelled_leaves_at_once_and_disturbs_nobody",
        (),
    ),
    (LanguageModelContract, Responder, bench(BenchModel), "test_another_input_gives_another_output", ()),
    *(
        (RecognizerContract, BurstRecognizer, mutant, test, ())
        for mutant, test in (
            (mutants.ShrinkingStableText, "test_a_turn_without_pauses_is_transcribed_to_its_end_without_holding_the_event_loop"),
            (mutants.LatePartial, "test_partials_come_before_the_final_and_never_after_it"),
            (mutants.IgnoresItsAudio, "test_another_input_gives_another_output"),
            (mutants.HearsWordsInSilence, "test_a_turn_without_sound_has_no_words"),
            (mutants.SharesItsAudio, "test_sixteen_at_once_get_what_each_gets_alone"),
            (mutants.ScoresUndeclared, "test_logprobs_come_as_declared"),
            (mutants.HearsAnotherLanguage, "test_speech_has_a_text_and_words_within_its_time"),
            (mutants.RemembersTheLastTurn, "test_the_same_again_gives_the_same_if_it_declares_so"),
            (mutants.WordsBackwards, "test_speech_has_a_text_and_words_within_its_time"),
            (mutants.TimesNoWord, "test_speech_has_a_text_and_words_within_its_time"),
            (mutants.WordsBehindTheAudio, "test_speech_has_a_text_and_words_within_its_time"),
            (mutants.TakesAnyLanguage, "test_a_language_that_it_does_not_declare_is_refused_by_name"),
        )
    ),
    *(
        (VoiceActivityContract, SileroVad, mutant, test, ())
        for mutant, test in (
            (mutants.SharedSlots, "test_streams_in_any_mixture_are_scored_as_if_alone"),
            (mutants.LogOdds, "test_speech_scores_higher_than_silence"),
            (mutants.DoubleScores, "test_speech_scores_higher_than_silence"),
            (mutants.NeverReset, "test_a_slot_that_is_reset_or_reused_remembers_nothing"),
        )
    ),
    *(
        (TurnJudgeContract, RuleJudge, mutant, test, ())
        for mutant, test in (
            (mutants.Percent, "test_the_longest_pause_is_judged_without_holding_the_event_loop"),
            (mutants.Undecided, "test_another_input_gives_another_output"),
            (mutants.Undecided, "test_a_finished_sentence_is_likelier_over_than_one_that_goes_on"),
        )
    ),
    *(
        (contract, bench(good), bench(mutant), test, ())
        for contract, good, mutant, test in (
            (TranslatorContract, BenchTranslator, mutants.LosesTheLastWord, "test_a_longer_text_has_a_longer_translation"),
            (TranslatorContract, BenchTranslator, mutants.TranslatesTheContext, "test_context_is_not_translated_again"),
            (TranslatorContract, BenchTranslator, mutants.DropsATerm, "test_terms_stand_in_the_translation_as_they_were_given"),
            (TranslatorContract, BenchTranslator, mutants.LeavesAPlaceholder, "test_terms_stand_in_the_translation_as_they_were_given"),
            (TranslatorContract, BenchTranslator, mutants.TakesAShortContextOnly, "test_a_context_of_any_length_is_taken"),
            (TranslatorContract, BenchTranslator, mutants.RepeatsTheLastCaller, NOTHING_KEPT),
            (TranslatorContract, BenchTranslator, mutants.LeaksItsContext, NOTHING_KEPT),
            (TranslatorContract, BenchTranslator, mutants.ListsAPairTooMany, "test_the_pairs_that_it_lists_are_those_that_it_translates"),
            (ConverterContract, BenchConverter, mutants.HoldsBackTooMuch, "test_silence_stays_where_it_was"),
            (ConverterContract, BenchConverter, mutants.RepeatsContext, "test_context_is_heard_and_not_repeated"),
            (ConverterContract, BenchConverter, mutants.ConvertsAfterClose, "test_closing_is_safe_at_any_time_and_ends_the_stream"),
            (ConverterContract, BenchConverter, mutants.OneConversion, "test_sixteen_at_once_get_what_each_gets_alone"),
            (SpeechModelContract, BenchSpeechModel, mutants.SilentAnswer, "test_an_answer_is_audio_with_its_words_and_one_end"),
            (SpeechModelContract, BenchSpeechModel, mutants.DeafAnswer, "test_the_sound_of_the_user_matters"),
        )
    ),
    (
        TranslatorContract,
        bench(BenchTranslator),
        bench(mutants.LosesWhatItCannotSay),
        "test_what_has_words_is_not_lost_in_silence",
        ("Chinese",),
    ),
    *(
        (GuardedTranslatorContract, guarded(LlmTranslator), guarded(mutant), test, ())
        for mutant, test in (
            (mutants.NeverAsksAgain, "test_a_guard_asks_again_and_gives_nothing_of_the_drift"),
            (mutants.SpeaksBeforeItJudges, "test_a_guard_asks_again_and_gives_nothing_of_the_drift"),
            (mutants.CountsNoDrift, "test_a_guard_asks_again_and_gives_nothing_of_the_drift"),
            (mutants.SpeaksTheSecondDrift, "test_what_drifts_twice_is_refused_by_name_and_nothing_of_it_is_given"),
            (mutants.LosesTheSource, "test_what_drifts_twice_is_refused_by_name_and_nothing_of_it_is_given"),
            (mutants.PutsAllContextIntoThePrompt, "test_a_context_of_any_length_is_taken"),
        )
    ),
    *(
        (Words, partial(WordList, None, ["holy cow"]), partial(mutant, None, ["holy cow"]), test, arguments)
        for mutant, test, arguments in (
            (mutants.ReadsTheBeginning, "test_a_long_text_is_judged_to_its_end_without_holding_the_event_loop", ()),
            (mutants.TrustsTheAssistant, "test_a_harmless_text_passes_and_a_refused_one_is_flagged", ("assistant",)),
            (mutants.ForgetsTheClauseBefore, "test_what_two_clauses_share_is_flagged_with_the_second", ()),
            (mutants.RemembersTheLast, "test_sixteen_at_once_get_what_each_gets_alone", ()),
        )
    ),
]  # fmt: skip


def named(one: object) -> str:
    kind = one.func if isinstance(one, partial | _Guarded) else one
    return getattr(kind, "__name__", "")


PASSED: set[tuple[type[EngineContract[Any, Any]], str, str, tuple[Any, ...]]] = set()
"""What the engines without a fault have passed: the contract, the engine, the test, its arguments. They pass each test once."""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A mutant that hangs, or gives nothing back, is waited for as long as a good engine of these needs; what it left is given back."""
    monkeypatch.setattr("parley.testing.contracts.watching.LIMIT_S", LIMIT_S / 20)
    monkeypatch.setattr("parley.testing.contracts.watching._SETTLING", 50)
    yield
    for give_back in mutants.LEFT_BEHIND:
        give_back()
    mutants.LEFT_BEHIND.clear()


def run(contract: type[EngineContract[Any, Any]], make: Make, test: str, arguments: tuple[Any, ...]) -> None:
    subject = Subject[Any](make)
    try:
        getattr(contract(), test)(subject, *arguments)
    finally:
        subject.close()


@pytest.mark.parametrize(
    ("contract", "good", "mutant", "test", "arguments"),
    CAUGHT,
    ids=[f"{named(mutant)}-{number}" for number, (_, _, mutant, _, _) in enumerate(CAUGHT)],
)
def test_a_fault_is_caught_by_the_test_that_names_it(
    contract: type[EngineContract[Any, Any]], good: Make, mutant: Make, test: str, arguments: tuple[Any, ...]
) -> None:
    if (passed := (contract, named(good), test, arguments)) not in PASSED:
        run(contract, good, test, arguments)
        PASSED.add(passed)
    with pytest.raises((AssertionError, pytest.fail.Exception, UnicodeError)):
        run(contract, mutant, test, arguments)


def test_every_mutant_is_tried() -> None:
    tried = {named(mutant) for _, _, mutant, _, _ in CAUGHT}
    own = {
        name for name, kind in vars(mutants).items() if inspect.isclass(kind) and kind.__module__ == mutants.__name__
    }
    assert {name for name in own if not name.startswith("_")} - tried == {"Reworked", "Streamed"}
