"""The two moderators: a list of words, and OpenAI's endpoint over real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from parley.engines.moderation import openai, words
from parley.engines.ports import EngineError, EngineUnavailable, ModerationRequest, ModerationVerdict
from tests.engines.chat_server import Answer, ChatServer, Request

LIST = """\
# blocked
darn
café*      # with its plural
holy   cow
ばか
ภาษา
"""


async def listed(tmp_path: Path, text: str = LIST) -> words.WordList:
    path = tmp_path / "blocked.txt"
    path.write_text(text, encoding="utf-8")
    engine = words.create(str(path), {})
    await engine.open()
    return engine


async def flagged(engine: Any, text: str) -> bool:
    verdict: ModerationVerdict = await engine.judge(ModerationRequest(text, "user"))
    return verdict.flagged


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Darn!", True),
        ("(DARN)", True),
        ("dárn it", True),
        ("darning socks", False),
        ("undarn", False),
        ("d-a-r-n", False),
        ("Two CAFES, please", True),
        ("caf", False),
        ("Holy, holy cow", True),
        ("holy... COW!", True),
        ("holy brown cow", False),
        ("the cow is holy", False),
        ("おまえはばかだ", True),
        ("ば・か", True),
        ("นี่คือภาษาไทย", True),
        ("ｄａｒｎ", True),
        ("", False),
        ("a kind word", False),
    ],
)
async def test_entries_find_words_beginnings_phrases_and_letters(tmp_path: Path, text: str, found: bool) -> None:
    assert await flagged(await listed(tmp_path), text) is found


@pytest.mark.parametrize(
    ("before", "text", "verdict"),
    [
        ("", "That is holy", "text"),
        ("", "That is holy, ", "text"),
        ("", "That is holy.", "text"),
        ("That is holy,", " cow!", True),
        ("That is holy,", " ...", "before"),
        ("That is holy,", " moly.", ""),
        ("That is holy,", " very holy", "text"),
        ("That is dear ", "cow", ""),
        ("", "a kind word", ""),
        ("", "that is unholy", ""),
        ("", "これはば", "text"),
        ("これはば", "・か", True),
        ("これはば", "・", "before"),
        ("これはば", "。はい", ""),
        ("นี่คือภา", "", "before"),
        ("one " * 50 + "holy ", "cow", True),
        ("", "", ""),
    ],
)
async def test_what_a_clause_and_the_one_before_it_share(
    tmp_path: Path, before: str, text: str, verdict: object
) -> None:
    engine = await listed(tmp_path)
    judged = await engine.judge(ModerationRequest(text, "assistant", before=before))
    assert (True if judged.flagged else judged.open_from) == verdict


@pytest.mark.parametrize("entry", ["darn", "holy cow", "caf\u00e9 au lait"])
@pytest.mark.parametrize("before", [0, words.SLICE_CHARS - 3, 2 * words.SLICE_CHARS + 1, 50_000])
async def test_a_long_text_is_judged_in_slices_and_an_entry_across_two_is_found(
    tmp_path: Path, entry: str, before: int
) -> None:
    engine = await listed(tmp_path, "darn\nholy cow\ncafe au lait\n")
    text = ("a kind word " * 5_000)[:before].rpartition(" ")[0]
    assert not await flagged(engine, text)
    assert await flagged(engine, f"{text} {entry} {text}")
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(count())
    await flagged(engine, text)
    others.cancel()
    assert turns >= len(text) // (2 * words.SLICE_CHARS)


async def test_the_option_adds_entries(tmp_path: Path) -> None:
    engine = words.create("", {"words": ["blast", "drat*"]})
    await engine.open()
    assert await flagged(engine, "Blast")
    assert await flagged(engine, "dratted")
    assert not await flagged(engine, "blasted")


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (None, "missing_file", "cannot be read"),
        (b"\xff\xfe\x00\xd8", "invalid_file", "UTF-8"),
        (b"# nothing\n\n", "invalid_file", "no entry"),
        (b"x" * (words.MAX_FILE_BYTES + 1), "invalid_file", "larger than 4 MiB"),
    ],
)
async def test_a_list_that_cannot_be_used_says_why(tmp_path: Path, data: bytes | None, code: str, said: str) -> None:
    path = tmp_path / "list.txt"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(EngineUnavailable, match=said) as caught:
        await words.create(str(path), {}).open()
    assert caught.value.code == code


async def test_without_any_entry_it_does_not_open() -> None:
    with pytest.raises(EngineUnavailable, match=r"No word is listed.*words:FILE"):
        await words.create("", {}).open()


def test_a_mistyped_option_is_named() -> None:
    with pytest.raises(ValueError, match=r"knows no option 'wrods'\. Did you mean 'words'"):
        words.create("a.txt", {"wrods": ["a"]})


# --- OpenAI's endpoint ---


class ModerationServer:
    """Flags what contains "bomb", as violence. `script` answers instead, where one is given."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.failures: list[tuple[int, object]] = []

    async def __call__(self, request: Request, answer: Answer) -> None:
        assert request.path == "/v1/moderations"
        self.requests.append(request)
        if self.failures:
            await answer.json(*self.failures.pop(0))
            return
        violent = "bomb" in request.body["input"]
        result = {
            "flagged": violent,
            "categories": {"violence": violent, "hate": False},
            "category_scores": {"violence": 0.9, "hate": 0.0},
        }
        await answer.json(200, {"id": "modr_1", "model": openai.MODEL, "results": [result]})


async def judged_with(script: Any, text: str, *, before: str = "", **options: object) -> ModerationVerdict:
    async with ChatServer([script], models=[openai.MODEL], api="/moderations").running() as server:
        engine = openai.create("", {"base_url": server.url, "api_key": "sk-secret", **options})
        await engine.open()
        try:
            return await engine.judge(ModerationRequest(text, "assistant", before=before))
        finally:
            await engine.close()


async def test_the_endpoint_is_asked_and_its_verdict_taken() -> None:
    script = ModerationServer()
    assert await judged_with(script, "a bomb") == ModerationVerdict(True, ("violence",))
    (request,) = script.requests
    assert request.body == {"model": "omni-moderation-latest", "input": "a bomb"}
    assert request.headers["authorization"] == "Bearer sk-secret"
    assert await judged_with(ModerationServer(), "a flower") == ModerationVerdict(False)


async def test_only_the_named_categories_count() -> None:
    assert not (await judged_with(ModerationServer(), "a bomb", categories=["hate"])).flagged
    assert (await judged_with(ModerationServer(), "a bomb", categories="violence, hate")).categories == ("violence",)


async def test_a_clause_is_sent_with_what_was_said_before_it() -> None:
    script = ModerationServer()
    assert (await judged_with(script, " a flower", before="a bomb is")).flagged
    assert script.requests[0].body["input"] == "a bomb is a flower"


async def test_an_empty_text_is_not_sent() -> None:
    script = ModerationServer()
    assert not (await judged_with(script, "  \n")).flagged
    assert not script.requests


async def test_a_failure_that_passes_is_tried_again() -> None:
    script = ModerationServer()
    script.failures = [(500, {"error": {"message": "overloaded"}})]
    assert (await judged_with(script, "a bomb")).flagged
    assert len(script.requests) == 2


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, {"error": {"message": "Incorrect API key provided: sk-secret"}}, "invalid_api_key"),
        (200, {"results": []}, "server_error"),
        (200, {"results": [{"flagged": True}]}, "server_error"),
        (200, {"results": [{"flagged": "false", "categories": {}}]}, "server_error"),
        (200, {"results": [{"flagged": False, "categories": {}}] * 2}, "server_error"),
        (200, {"results": {"flagged": False, "categories": {}}}, "server_error"),
        (200, {"error": {"message": "Overloaded."}}, "server_error"),
        (200, b"\xff\xfe", "invalid_base_url"),
        (200, b"<html><title>Welcome</title></html>", "invalid_base_url"),
    ],
)
async def test_without_a_verdict_the_text_is_withheld_unless_allowed(status: int, body: object, code: str) -> None:
    script = ModerationServer()
    script.failures = [(status, body)] * 9
    with pytest.raises(EngineError) as caught:
        await judged_with(script, "a bomb")
    assert caught.value.code == code
    assert "sk-secret" not in str(caught.value)
    assert not (await judged_with(script, "a bomb", on_error="allow")).flagged


async def test_a_verdict_that_takes_too_long_is_not_waited_for() -> None:
    async def script(request: Request, answer: Answer) -> None:
        await answer.until_client_leaves()

    async with ChatServer([script], models=[openai.MODEL], api="/moderations").running() as server:
        engine = openai.create("", {"base_url": server.url, "timeout_s": 0.05})
        await engine.open()
        with pytest.raises(EngineError, match=r"no verdict within 0\.05 s") as caught:
            await engine.judge(ModerationRequest("a bomb", "user"))
        assert caught.value.code == "timeout"
        await asyncio.wait_for(server.client_left.wait(), 10)
        await engine.close()


async def test_one_session_with_many_texts_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "MAX_REQUESTS", 1)
    order: list[str] = []
    begun, go_on = asyncio.Event(), asyncio.Event()
    verdicts = ModerationServer()

    async def script(request: Request, answer: Answer) -> None:
        order.append(request.body["input"])
        begun.set()
        await go_on.wait()
        await verdicts(request, answer)

    async with ChatServer([script], models=[openai.MODEL], api="/moderations").running() as server:
        engine = openai.create("", {"base_url": server.url})
        await engine.open()
        talkative, brief = object(), object()
        asked = [engine.judge(ModerationRequest(f"{n}", "assistant", "", talkative)) for n in range(5)]
        asked.append(engine.judge(ModerationRequest("brief", "assistant", "", brief)))
        tasks = [asyncio.ensure_future(one) for one in asked]
        await begun.wait()
        go_on.set()
        await asyncio.gather(*tasks)
        await engine.close()
    assert "brief" in order[:3]


async def test_openai_wants_a_key() -> None:
    with pytest.raises(EngineUnavailable, match="wants an API key") as caught:
        await openai.create("", {}).open()
    assert "OPENAI_API_KEY" in caught.value.remedy
    assert "moderation_options.base_url" in caught.value.remedy
