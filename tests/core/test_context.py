"""Prompts that exceed the context: the question stays, older items are dropped, a call stays with its output."""

from __future__ import annotations

from typing import Literal

import pytest

from parley.core.regions.context import PromptBudget, Shown, fit, older, shortened, tokens_of
from parley.core.words.effects import CallTool, StartGeneration
from parley.core.words.errors import PeerError
from parley.core.words.events import (
    AudioArrived,
    CancelRequested,
    CommitRequested,
    GenerationFinished,
    ItemCreateRequested,
    ItemDeleteRequested,
    ResponseRequested,
    SessionUpdateRequested,
    ToolAnswered,
    ToolArgumentsGenerated,
    ToolCallStarted,
    Transcribed,
)
from parley.core.words.ids import CallId, ItemId
from parley.core.words.items import (
    Content,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    ItemReference,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpError,
    McpListTools,
    McpTool,
    Message,
    OutputAudio,
    OutputText,
    text_of,
)
from parley.core.words.notices import ResponseDone
from parley.core.words.settings import (
    Approval,
    McpServer,
    OwnerSettings,
    Settings,
    ToolFilter,
    Truncation,
)
from parley.core.words.work import ResponseParams
from tests.core.scene import MCP_ALLOWED, Scene, of

TEXT = Settings(modality="text")
SMALL = OwnerSettings(context_tokens=1_000)
LONG = "word " * 8_000
CUTTING = {
    "auto": Truncation(),
    "retention_ratio": Truncation("retention_ratio", 0.5),
    "token_limits": Truncation("retention_ratio", 0.8, 500),
    "nothing kept": Truncation("retention_ratio", 0.0),
}


def said(name: str, text: str = "what does the page say") -> Message:
    return Message(ItemId(name), "user", (InputText(text),))


def called(name: str, arguments: str = "{}") -> FunctionCall:
    return FunctionCall(ItemId(name), CallId(f"call_{name}"), "read", arguments)


def returned(name: str, output: str, *, of: str) -> FunctionCallOutput:
    return FunctionCallOutput(ItemId(name), CallId(f"call_{of}"), output)


def having(*items: Item, settings: Settings = TEXT, owner: OwnerSettings = SMALL) -> Scene:
    scene = Scene(settings, owner, MCP_ALLOWED)
    for item in items:
        scene.happens(ItemCreateRequested(item))
    return scene


def prompted(scene: Scene, params: ResponseParams | None = None) -> tuple[Item, ...]:
    """The items of a new response's prompt; `()` if none was generated."""
    caused = scene.happens(ResponseRequested() if params is None else ResponseRequested(params))
    started = of(caused, StartGeneration)
    return started[0].prompt.items if started else ()


def ids(items: tuple[Item, ...]) -> list[str]:
    return [item.id for item in items]


def failure(scene: Scene) -> str:
    error = scene.notices(ResponseDone)[-1].response.error
    return "" if error is None else error.code


# --- the question stays ------------------------------------------------------------------------------------------------------


def test_with_default_settings_a_long_tool_output_is_shortened_and_the_question_stays() -> None:
    scene = having(said("asked"), called("c"), returned("out", LONG, of="c"), owner=OwnerSettings(context_tokens=8_192))
    asked, call, output = prompted(scene)
    assert (asked, call) == (said("asked"), called("c"))
    assert isinstance(output, FunctionCallOutput)
    assert output.output.startswith("word word")
    assert output.output.endswith("word word ")
    assert "characters are left out here" in output.output
    assert 8_000 < sum(map(tokens_of, (asked, call, output))) <= 8_192


@pytest.mark.parametrize("truncation", CUTTING.values(), ids=CUTTING)
def test_every_truncation_mode_that_cuts_keeps_the_question_within_the_context(truncation: Truncation) -> None:
    settings = Settings(modality="text", truncation=truncation)
    old = [said(f"old{index}", "word " * 50) for index in range(10)]
    scene = having(*old, said("asked"), called("c"), returned("out", LONG, of="c"), settings=settings)
    items = prompted(scene)
    assert ids(items) == ["asked", "c", "out"]
    assert sum(map(tokens_of, items)) <= (truncation.post_instructions or 1_000)


def test_a_prompt_that_fits_is_not_shortened() -> None:
    scene = having(said("old", LONG), said("asked", "word " * 300), settings=TEXT)
    assert prompted(scene) == (said("asked", "word " * 300),)


def test_with_truncation_disabled_nothing_is_shortened_and_the_response_fails() -> None:
    settings = Settings(modality="text", truncation=Truncation("disabled"))
    scene = having(said("asked"), called("c"), returned("out", LONG, of="c"), settings=settings)
    assert prompted(scene) == ()
    assert failure(scene) == "context_length_exceeded"


def test_a_question_that_does_not_fit_even_shortened_fails_the_response() -> None:
    calls: list[Item] = []
    for index in range(20):
        calls += [called(f"c{index}"), returned(f"o{index}", LONG, of=f"c{index}")]
    scene = having(said("asked"), *calls)
    assert prompted(scene) == ()
    assert failure(scene) == "context_length_exceeded"
    scene.happens(ItemCreateRequested(said("again")))
    assert ids(prompted(scene)) == ["again"], "the next question is answered"


def test_instructions_that_fill_the_context_fail_the_response() -> None:
    scene = having(said("asked"), settings=Settings(modality="text", instructions="x" * 4_000))
    assert prompted(scene) == ()
    assert failure(scene) == "context_length_exceeded"


def test_several_long_texts_are_cut_to_one_length_and_short_ones_are_kept() -> None:
    scene = having(
        said("asked", LONG),
        called("c"),
        returned("out", LONG, of="c"),
        said_by_assistant("mine", "One moment, please."),
    )
    asked, _, output, mine = prompted(scene)
    assert isinstance(asked, Message)
    assert isinstance(output, FunctionCallOutput)
    (text,) = (part.text for part in asked.content if isinstance(part, InputText))
    assert abs(len(text) - len(output.output)) <= 1
    assert mine == said_by_assistant("mine", "One moment, please.")


def said_by_assistant(name: str, text: str) -> Message:
    return Message(ItemId(name), "assistant", (OutputText(text),))


def test_without_a_user_message_the_newest_item_stays() -> None:
    system = Message(ItemId("news"), "system", (InputText(LONG),))
    scene = having(said_by_assistant("old", "word " * 500), system)
    (item,) = prompted(scene)
    assert item.id == "news"


def test_a_side_response_with_its_own_input_is_cut_in_the_same_way() -> None:
    scene = having(said("kept", LONG), said("other"))
    given = (said("", LONG), ItemReference(ItemId("kept")))
    items = prompted(scene, ResponseParams(in_conversation=False, input=given))
    assert ids(items) == ["kept"]
    assert sum(map(tokens_of, items)) <= 1_000
    items = prompted(scene, ResponseParams(in_conversation=False, input=(said("", LONG), called("c"))))
    assert len(items) == 2


def test_items_that_a_side_response_left_out_are_available_to_the_next_reply() -> None:
    scene = having(said("old"), said("asked"))
    crowded = ResponseParams(in_conversation=False, instructions="x" * 3_960)
    assert ids(prompted(scene, crowded)) == ["asked"]
    assert ids(prompted(scene)) == ["old", "asked"]


def test_the_output_of_an_mcp_call_is_shortened_and_the_question_stays() -> None:
    server = McpServer("library", "http://library.example/mcp", approval=Approval(never=ToolFilter()))
    scene = having(settings=Settings(modality="text", tools=(server,)))
    scene.lists(McpTool("find"))
    scene.happens(ItemCreateRequested(said("asked")), ResponseRequested())
    attempt = scene.attempt()
    scene.happens(ToolCallStarted(attempt, 0, CallId("c"), "find"), ToolArgumentsGenerated(attempt, 0, "{}"))
    scene.happens(GenerationFinished(attempt, "tool_calls"))
    scene.happens(ToolAnswered(scene.last(CallTool).call, LONG))
    scene.passes(400)
    asked, outcome = scene.last(StartGeneration).prompt.items
    assert asked.id == "asked"
    assert isinstance(outcome, McpCall)
    assert "left out" in (outcome.output or "")


def test_a_pending_transcript_is_waited_for_and_is_the_question() -> None:
    scene = having(said("old", LONG), settings=Settings(modality="text", turn_detection=None))
    scene.happens(AudioArrived(bytes(48 * 400)), CommitRequested())
    assert prompted(scene) == ()
    caused = scene.happens(Transcribed(scene.turn(), "how are you"))
    (started,) = (effect for effect in caused if isinstance(effect, StartGeneration))
    (item,) = started.prompt.items
    assert isinstance(item, Message)
    assert item.content == (InputAudio("how are you"),)


# --- a call and its output ---------------------------------------------------------------------------------------------------


def test_an_output_is_never_kept_without_its_call() -> None:
    filler = [said(f"f{index}", "word " * 60) for index in range(4)]
    for apart in range(len(filler) + 1):
        call, output = called("c", "x" * 400), returned("out", "y" * 400, of="c")
        chat: list[Item] = [call, *filler[:apart], output, *filler[apart:]]
        for limit in range(100, 800, 25):
            shown = ids(fit((*chat, said("asked")), PromptBudget(0, limit, Truncation())).items)
            assert ("c" in shown) == ("out" in shown), (apart, limit, shown)
            assert shown[-1] == "asked"


def test_an_output_after_the_question_includes_its_call() -> None:
    scene = having(called("c"), said("old", LONG), said("asked"), returned("out", "sun", of="c"))
    assert ids(prompted(scene)) == ["c", "asked", "out"]
    scene.happens(CancelRequested(), ItemCreateRequested(said("next")))
    assert ids(prompted(scene)) == ["c", "asked", "out", "next"], "and it stays with it"


def test_an_output_stays_after_the_client_deleted_its_call() -> None:
    scene = having(called("c"), returned("out", "sun", of="c"), said("asked"))
    scene.happens(ItemDeleteRequested(ItemId("c")))
    assert ids(prompted(scene)) == ["out", "asked"]


def test_an_approval_request_stays_with_its_answer() -> None:
    request = McpApprovalRequest(ItemId("r"), "library", "lend", "{}")
    answer = McpApprovalResponse(ItemId("a"), ItemId("r"), approve=False, reason="no")
    shown = fit((request, said("old", LONG), said("asked"), answer), PromptBudget(0, 1_000, Truncation()))
    assert ids(shown.items) == ["r", "asked", "a"]


def test_left_out_items_stay_left_out() -> None:
    scene = having(*(said(f"i{index}", "word " * 80) for index in range(20)))
    first = ids(prompted(scene))[0]
    scene.happens(CancelRequested(), SessionUpdateRequested({"instructions": ""}))
    assert ids(prompted(scene))[0] == first


# --- shortening --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("longest", [100, 101, 399, 400, 2_000])
def test_a_shortened_text_keeps_its_ends_and_says_how_much_is_missing(longest: int) -> None:
    text = "".join(chr(0x4E00 + index % 5_000) for index in range(40_000))
    short = shortened(text, longest)
    assert len(short) <= longest
    head, note, tail = short.partition(" [... ")[0], short, short.rpartition(" ...] ")[2]
    missing = int(note.split("[... ")[1].split()[0])
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(head) + len(tail) + missing == len(text)


def test_a_short_text_is_unchanged() -> None:
    assert shortened("x" * 400, 400) == "x" * 400


def test_images_and_failed_calls_are_counted_and_kept() -> None:
    photo = Message(ItemId("p"), "user", (InputText(LONG), InputImage("data:image/png;base64,AAAA")))
    failed = McpCall(ItemId("m"), "library", "find", "{}", error=McpError("http_error", LONG, 500))
    items = fit((photo, failed), PromptBudget(0, 2_000, Truncation())).items
    assert sum(map(tokens_of, items)) <= 2_000
    assert isinstance(items[0], Message)
    assert items[0].content[1] == InputImage("data:image/png;base64,AAAA")


@pytest.mark.parametrize("part", [InputText(LONG), OutputText(LONG), InputAudio(LONG), OutputAudio(LONG)])
def test_texts_of_every_item_kind_are_shortened(part: Content) -> None:
    beside = InputAudio(None), InputImage("data:image/png;base64,AAAA")
    item = Message(ItemId("m"), "user", (part, *beside))
    (shown,) = fit((item,), PromptBudget(0, 2_000, Truncation())).items
    assert isinstance(shown, Message)
    assert type(shown.content[0]) is type(part)
    text = text_of(shown.content[0])
    assert len(text) < len(LONG)
    assert text.startswith("word word")
    assert "characters are left out here" in text
    assert shown.content[1:] == beside


def test_a_failed_calls_message_is_shortened_and_its_error_kind_stays() -> None:
    failed = McpCall(ItemId("m"), "library", "find", "{}", error=McpError("http_error", LONG, 500))
    (shown,) = fit((failed,), PromptBudget(0, 500, Truncation())).items
    assert isinstance(shown, McpCall)
    assert shown.error is not None
    assert (shown.output, shown.error.type, shown.error.code) == (None, "http_error", 500)
    assert "characters are left out here" in shown.error.message
    assert len(shown.error.message) < len(LONG)


def test_an_image_larger_than_the_context_is_refused() -> None:
    photo = Message(ItemId("p"), "user", (InputImage("data:image/png;base64,AAAA"),))
    with pytest.raises(PeerError) as refused:
        fit((photo,), PromptBudget(0, 700, Truncation()))
    assert refused.value.code == "context_length_exceeded"


@pytest.mark.parametrize("mode", ["disabled", "auto"])
def test_a_conversation_that_fits_exactly_is_shown_whole(mode: Literal["disabled", "auto"]) -> None:
    items = said("old", "word " * 50), said("asked", "word " * 50)
    size = sum(map(tokens_of, items))
    assert fit(items, PromptBudget(30, size + 30, Truncation(mode))) == Shown(items)
    assert fit(items, PromptBudget(30, 9_999, Truncation(mode, 1.0, size))) == Shown(items)


def test_with_truncation_disabled_one_token_too_many_is_refused_with_both_sizes() -> None:
    items = said("old", "word " * 50), said("asked", "word " * 50)
    size = sum(map(tokens_of, items)) + 30
    with pytest.raises(PeerError) as refused:
        fit(items, PromptBudget(30, size - 1, Truncation("disabled")))
    assert (refused.value.code, refused.value.field) == ("context_length_exceeded", "session.truncation")
    assert f"about {size} tokens, the model takes {size - 1};" in refused.value.message


def test_one_token_too_many_drops_only_the_oldest_item() -> None:
    items = said("older"), said("old"), said("asked")
    budget = PromptBudget(30, sum(map(tokens_of, items)) + 29, Truncation())
    assert fit(items, budget) == Shown(items[1:], ItemId("old"))


def test_exactly_as_many_items_are_dropped_as_the_budget_requires() -> None:
    items: list[Item] = [said(f"i{index}", "x") for index in range(10)]
    budget = PromptBudget(0, sum(map(tokens_of, items[-3:])), Truncation())
    assert fit(items, budget) == Shown(tuple(items[-3:]), ItemId("i7"))


def test_a_call_is_dropped_only_together_with_its_output() -> None:
    calls = [called(f"c{index}") for index in range(12)]
    outputs = [returned(f"o{index}", "x", of=f"c{index}") for index in range(12)]
    items: list[Item] = [*calls, *outputs, said("asked")]
    leaves = tokens_of(calls[0]) + tokens_of(outputs[0])
    shown = fit(items, PromptBudget(0, sum(map(tokens_of, items)) - leaves, Truncation())).items
    assert ids(shown) == [item.id for item in items if item.id not in ("c0", "o0")]


def test_a_decision_counts_its_reason_and_a_tool_list_counts_nothing() -> None:
    short, long = (McpApprovalResponse(ItemId("r"), ItemId("q"), False, reason) for reason in ("", "x" * 400))
    assert tokens_of(long) - tokens_of(short) == 100
    assert tokens_of(McpListTools(ItemId("l"), "books", (McpTool("lend", "x" * 400),))) == 0


# --- the older items -----------------------------------------------------------------------------------------------------------


def test_the_older_items_are_those_without_which_the_rest_has_the_wanted_size() -> None:
    items = [said(f"i{number}", "word " * 40) for number in range(4)]
    each = tokens_of(items[0])
    assert older(items, 4 * each) == ()
    assert older(items, 2 * each) == tuple(items[:2])
    assert older(items, 0) == tuple(items[:3]), "never the question"


def test_a_call_is_as_old_as_its_output() -> None:
    items: list[Item] = [called("c"), said("old", "word " * 40), returned("out", "sunny", of="c"), said("asked")]
    assert older(items, 30) == (items[1],)
