"""A long conversation is summed up before it exceeds the context; prompts show the summary in place of what it covers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley.core.policy.transcriber import Transcriber
from parley.core.words.effects import AbandonSummary, Effect, StartGeneration, Summarize, UsePipeline
from parley.core.words.errors import Fault
from parley.core.words.events import (
    CancelRequested,
    GenerationFinished,
    ItemCreateRequested,
    ItemDeleteRequested,
    ItemTruncateRequested,
    LinkClosed,
    ResponseRequested,
    SessionUpdateRequested,
    Summarized,
    SummaryFailed,
    WindDownRequested,
    WorkAbandoned,
)
from parley.core.words.ids import CallId, ClientEventId, ItemId
from parley.core.words.items import (
    FunctionCall,
    FunctionCallOutput,
    InputText,
    Item,
    ItemReference,
    Message,
    OutputText,
)
from parley.core.words.limits import MAX_SUMMARY_DELAYS, MAX_SUMMARY_TOKENS, SUMMARY_WAIT_NS
from parley.core.words.notices import ErrorRaised
from parley.core.words.pipeline_events import PipelineFound
from parley.core.words.settings import Capabilities, FunctionTool, OwnerSettings, Settings, Truncation
from parley.core.words.work import AwaitedSummary, Prompt, ResponseParams
from tests.core.scene import Scene, of

TEXT = Settings(modality="text", turn_detection=None, instructions="Be brief.", model="parley")
COMPACTING = OwnerSettings(context_tokens=1_000, compaction=True)
PARAGRAPH = "word " * 80
ONE_MODEL = Capabilities(models=("parley",))
FAULT = Fault("server_error", "The model's server went away.")
SUMMARY = "Ada told her life up to the war."


def said(name: str, text: str = PARAGRAPH, role: str = "user") -> Message:
    part = OutputText(text) if role == "assistant" else InputText(text)
    return Message(ItemId(name), role, (part,))  # type: ignore[arg-type]


def create(scene: Scene, *items: Item) -> list[Effect]:
    return [effect for item in items for effect in scene.happens(ItemCreateRequested(item))]


def talk(scene: Scene, turns: int, begin: int = 0) -> list[Effect]:
    """So many questions and answers of about 100 tokens each."""
    caused: list[Effect] = []
    for number in range(begin, begin + turns):
        caused += create(scene, said(f"q{number}"), said(f"a{number}", role="assistant"))
    return caused


def long_conversation(owner: OwnerSettings = COMPACTING, settings: Settings = TEXT) -> Scene:
    """One in which a summary is being written."""
    scene = Scene(settings, owner, ONE_MODEL)
    talk(scene, 4)
    return scene


def prompted(scene: Scene, params: ResponseParams | None = None) -> Prompt:
    """The prompt of a response that is asked for now, and ends at once."""
    caused = scene.happens(ResponseRequested(params) if params else ResponseRequested())
    (started,) = of(caused, StartGeneration)
    scene.happens(GenerationFinished(started.attempt))
    return started.prompt


def summarized(scene: Scene, text: str = SUMMARY) -> None:
    scene.happens(Summarized(scene.last(Summarize).summary, text))


def ids(prompt: Prompt) -> list[str]:
    return [item.id for item in prompt.items]


# --- when, and of what -----------------------------------------------------------------------------------------------------------


def test_without_the_setting_nothing_is_summed_up() -> None:
    scene = Scene(TEXT, replace(COMPACTING, compaction=False), ONE_MODEL)
    assert of(talk(scene, 10), Summarize) == []


def test_a_short_conversation_is_not_summed_up() -> None:
    scene = Scene(TEXT, COMPACTING)
    assert of(talk(scene, 3), Summarize) == []


def test_the_older_items_are_summed_up_before_the_context_is_full() -> None:
    scene = Scene(TEXT, COMPACTING)
    (effect,) = of(talk(scene, 4), Summarize)
    assert ids(effect.prompt) == ["q0", "a0", "q1", "a1", "q2"]
    assert (effect.prompt.instructions, effect.prompt.tool_choice, effect.prompt.summary) == ("Be brief.", "none", "")
    assert (effect.words, effect.prompt.max_output_tokens, effect.modality) == (66, 396, "text")


def test_a_summary_takes_the_place_of_what_it_covers() -> None:
    scene = long_conversation()
    summarized(scene)
    prompt = prompted(scene)
    assert prompt.summary == SUMMARY
    assert ids(prompt) == ["a2", "q3", "a3"]
    assert len(scene.session.items) == 8, "the client's conversation is whole"


def test_later_items_are_summed_up_with_the_earlier_summary() -> None:
    scene = long_conversation()
    summarized(scene)
    (second,) = of(talk(scene, 4, begin=4), Summarize)
    assert second.prompt.summary == SUMMARY
    assert "q0" not in ids(second.prompt)
    scene.happens(Summarized(second.summary, "All of it."))
    prompt = prompted(scene)
    assert prompt.summary == "All of it."
    assert not {"q0", "a0", *ids(second.prompt)} & set(ids(prompt))


def test_a_summary_of_a_large_context_is_bounded() -> None:
    scene = Scene(TEXT, replace(COMPACTING, context_tokens=100_000))
    (effect,) = of(create(scene, said("long", "word " * 60_000), said("more", "word " * 30_000)), Summarize)
    assert effect.prompt.max_output_tokens == 4 * MAX_SUMMARY_TOKENS
    summarized(scene, "word " * 3_000)
    assert 2_000 < len(prompted(scene).summary) <= 4 * MAX_SUMMARY_TOKENS


def test_items_that_no_longer_fit_are_summed_up_too() -> None:
    scene = Scene(TEXT, replace(COMPACTING, compaction=False), ONE_MODEL)
    talk(scene, 9)
    assert "q0" not in ids(prompted(scene)), "left out of the prompt"
    found = replace(COMPACTING, context_tokens=2_000)
    scene.happens(SessionUpdateRequested({"model": "other"}, ClientEventId("e")))
    caused = scene.happens(PipelineFound("other", replace(TEXT, model="other"), found, Capabilities()))
    (effect,) = of(caused, Summarize)
    assert ids(effect.prompt)[:2] == ["q0", "a0"]


def test_what_is_too_long_for_the_model_is_shortened_for_its_summary() -> None:
    scene = Scene(TEXT, replace(COMPACTING, compaction=False), ONE_MODEL)
    create(scene, said("book", "word " * 5_000), said("next"))
    scene.happens(SessionUpdateRequested({"model": "other"}, ClientEventId("e")))
    caused = scene.happens(PipelineFound("other", replace(TEXT, model="other"), COMPACTING, Capabilities()))
    (effect,) = of(caused, Summarize)
    (book,) = effect.prompt.items
    assert isinstance(book, Message)
    assert "characters are left out here" in str(book.content)


def test_instructions_that_fill_the_context_leave_nothing_to_sum_up() -> None:
    scene = Scene(replace(TEXT, instructions="word " * 1_000), COMPACTING)
    assert of(talk(scene, 4), Summarize) == []


def test_too_little_is_not_worth_a_summary() -> None:
    """The question alone fills the context: what is older is shorter than its summary would be."""
    scene = Scene(TEXT, COMPACTING)
    assert of(create(scene, said("hello", "Hello."), said("book", "word " * 900)), Summarize) == []


def test_a_client_that_limits_the_prompt_has_it_summed_up_sooner() -> None:
    limited = replace(TEXT, truncation=Truncation("retention_ratio", 0.8, 500))
    scene = Scene(limited, COMPACTING)
    assert len(of(talk(scene, 2), Summarize)) == 1


def test_a_client_that_disabled_truncation_is_not_refused_once_the_summary_is_there() -> None:
    scene = long_conversation(settings=replace(TEXT, truncation=Truncation("disabled")))
    summarized(scene)
    talk(scene, 2, begin=4)
    assert prompted(scene).summary == SUMMARY


def test_a_transcription_session_is_not_summed_up() -> None:
    scene = Scene(replace(TEXT, kind="transcription"), COMPACTING, policy=Transcriber())
    assert of(talk(scene, 6), Summarize) == []


def test_nothing_is_begun_while_the_server_stops() -> None:
    scene = Scene(TEXT, COMPACTING)
    scene.happens(ResponseRequested(), WindDownRequested())
    assert of(talk(scene, 4), Summarize) == []


# --- what stays word for word --------------------------------------------------------------------------------------------------------


def test_the_systems_messages_stay_word_for_word() -> None:
    scene = Scene(TEXT, COMPACTING)
    create(scene, said("rule", "Never speak of the war.", role="system"))
    talk(scene, 4)
    assert "rule" in ids(scene.last(Summarize).prompt), "the model may know it"
    summarized(scene)
    assert ids(prompted(scene)) == ["rule", "a2", "q3", "a3"]


def test_a_call_without_outcome_stays_and_one_with_its_outcome_goes() -> None:
    scene = Scene(replace(TEXT, tools=(FunctionTool("read"),)), COMPACTING)
    done, open_ = (FunctionCall(ItemId(name), CallId(name), "read", "{}") for name in ("done", "open"))
    create(scene, done, FunctionCallOutput(ItemId("out"), CallId("done"), "sunny"), open_)
    talk(scene, 4)
    summarized(scene)
    assert ids(prompted(scene)) == ["open", "a2", "q3", "a3"]


def test_a_reply_that_is_still_heard_stays() -> None:
    scene = Scene(Settings(), COMPACTING)
    scene.says("Tell me a story.")
    scene.answers((PARAGRAPH, 60_000))
    talk(scene, 4)
    summarized(scene)
    reply = next(item.id for item in scene.session.items if item.id[:1] not in "qa" and item.role == "assistant")  # type: ignore[union-attr]
    scene.happens(CancelRequested())
    assert reply in ids(prompted(scene))


def test_a_response_with_its_own_input_has_no_summary() -> None:
    scene = long_conversation()
    summarized(scene)
    own = ResponseParams(in_conversation=False, input=(ItemReference(ItemId("q0")),))
    prompt = prompted(scene, own)
    assert (ids(prompt), prompt.summary) == (["q0"], "")


# --- it stands only as long as what it covers --------------------------------------------------------------------------------------


def test_a_deleted_message_takes_the_summary_with_it() -> None:
    scene = long_conversation()
    summarized(scene)
    scene.happens(ItemDeleteRequested(ItemId("q1")))
    prompt = prompted(scene)
    assert prompt.summary == ""
    assert "q0" in ids(prompt)
    assert "q1" not in ids(prompt)


def test_a_message_that_is_deleted_meanwhile_makes_the_summary_void() -> None:
    scene = long_conversation()
    scene.happens(ItemDeleteRequested(ItemId("q1")))
    summarized(scene)
    assert prompted(scene).summary == ""


def test_a_reply_that_is_cut_afterwards_takes_the_summary_with_it() -> None:
    scene = Scene(Settings(), replace(COMPACTING, context_tokens=2_000))
    scene.says("Tell me a story.")
    scene.answers((PARAGRAPH, 2_000))
    scene.passes(3_000)
    talk(scene, 8)
    summarized(scene)
    reply = next(item.id for item in scene.session.items if item.id[:1] not in "qa" and item.role == "assistant")  # type: ignore[union-attr]
    assert reply in ids(scene.last(Summarize).prompt)
    scene.happens(ItemTruncateRequested(reply, 0, 500))
    assert prompted(scene).summary == ""


# --- its outcome -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_summary_changes_nothing(text: str) -> None:
    scene = long_conversation()
    summarized(scene, text)
    prompt = prompted(scene)
    assert (prompt.summary, ids(prompt)[0]) == ("", "q0")


def test_a_summary_that_fails_changes_nothing_and_is_tried_again_when_the_conversation_grows() -> None:
    scene = long_conversation()
    caused = scene.happens(SummaryFailed(scene.last(Summarize).summary, FAULT))
    assert caused == [], "neither an error nor another attempt at once"
    assert len(of(create(scene, said("next")), Summarize)) == 1


def test_a_summary_that_never_comes_is_abandoned() -> None:
    scene = long_conversation()
    summary = scene.last(Summarize).summary
    assert scene.session.next_deadline() == scene.now + SUMMARY_WAIT_NS
    caused = scene.passes(SUMMARY_WAIT_NS // 1_000_000)
    assert of(caused, AbandonSummary) == [AbandonSummary(summary)]
    assert scene.notices(ErrorRaised) == []
    assert scene.happens(Summarized(summary, SUMMARY)) == []
    assert scene.session.late_events == 1


def test_a_shell_may_abandon_it() -> None:
    scene = long_conversation()
    work = AwaitedSummary(scene.last(Summarize).summary)
    assert scene.session.outstanding() == (work,)
    assert of(scene.happens(WorkAbandoned(work)), AbandonSummary) == [AbandonSummary(work.summary)]
    assert scene.session.outstanding() == ()
    scene.happens(WorkAbandoned(work))
    assert scene.session.late_events == 1


def test_a_reply_does_not_wait_for_a_summary() -> None:
    scene = long_conversation()
    for _ in range(MAX_SUMMARY_DELAYS):
        first = scene.last(Summarize).summary
        caused = scene.happens(ResponseRequested())
        assert of(caused, AbandonSummary) == [AbandonSummary(first)]
        assert of(caused, Summarize) == [], "not while the model works"
        assert len(of(scene.happens(GenerationFinished(scene.attempt())), Summarize)) == 1
    assert of(scene.happens(ResponseRequested()), AbandonSummary) == [], "it would never be written"
    summarized(scene)
    scene.happens(GenerationFinished(scene.attempt()))
    assert prompted(scene).summary == SUMMARY


def test_it_is_abandoned_at_the_end_of_the_session() -> None:
    scene = long_conversation()
    summary = scene.last(Summarize).summary
    assert AbandonSummary(summary) in scene.happens(LinkClosed())
    assert scene.session.outstanding() == ()


def test_it_is_abandoned_when_the_pipeline_changes() -> None:
    scene = long_conversation()
    scene.happens(SessionUpdateRequested({"model": "other"}, ClientEventId("e")))
    caused = scene.happens(PipelineFound("other", replace(TEXT, model="other"), COMPACTING, Capabilities()))
    kinds = [type(effect) for effect in caused]
    assert kinds.index(AbandonSummary) < kinds.index(UsePipeline)
