"""Conversations with a scripted Moshi or PersonaPlex server: whole turns, sessions apart, interruptions, prompts, limits."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager, aclosing

import numpy as np
import pytest

from parley.engines.ports import (
    ChatEnd,
    ChatMessage,
    DialogueEvent,
    DialogueRequest,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    Samples,
    SpeechModel,
    SpokenDelta,
    Tool,
)
from parley.engines.speech.moshi import MoshiSpeechModel, create
from parley.engines.speech.moshi_opus import FRAME, RATE
from parley.engines.speech.moshi_talk import AHEAD_FRAMES, MOST_AHEAD_FRAMES
from tests.engines.moshi_server import MoshiServer, Parrot, Script, Talk, tone
from tests.engines.opening import while_open

FAST = {"pause_ms": 400, "answer_within_s": 2}


def opened(
    server: MoshiServer, flavour: str = "moshi", **options: object
) -> AbstractAsyncContextManager[MoshiSpeechModel]:
    return while_open(create(flavour, {"base_url": server.url, **FAST, **options}))


def turn(frames: int, share: object = None, *messages: ChatMessage, **others: object) -> DialogueRequest:
    return DialogueRequest(tone(frames, 0.2), messages, share=share, **others)  # type: ignore[arg-type]


def text_of(events: list[DialogueEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, SpokenDelta))


def audio_of(events: list[DialogueEvent]) -> Samples:
    return np.concatenate([event.audio for event in events if isinstance(event, SpokenDelta)])


async def answer(engine: SpeechModel, request: DialogueRequest) -> list[DialogueEvent]:
    return [event async for event in engine.reply(request)]


async def said(engine: SpeechModel, request: DialogueRequest) -> str:
    return text_of(await answer(engine, request))


async def code_of(engine: SpeechModel, request: DialogueRequest) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await answer(engine, request)
    assert caught.value.remedy
    return caught.value


def sets(event: asyncio.Event) -> Script:
    async def script(talk: Talk) -> None:
        event.set()

    return script


# --- turns ---


async def test_a_turn_is_answered_aloud_with_its_text() -> None:
    async with MoshiServer().running() as server, opened(server) as engine:
        events = await answer(engine, turn(20))
    assert text_of(events) == "I heard 20 frames."
    assert events[-1] == ChatEnd("stop")
    audio = audio_of(events)
    spoken = 2 * (5 + 10) * FRAME
    assert abs(len(audio) - spoken) < 3 * FRAME, "the answer, without the silence around it"
    assert float(np.sqrt(np.mean(audio**2))) > 0.1
    assert all(event.sample_rate == RATE for event in events if isinstance(event, SpokenDelta))


async def test_the_first_audio_does_not_wait_for_the_last() -> None:
    server = MoshiServer(model=lambda query: Parrot(words=200))
    async with server.running(), opened(server) as engine, aclosing(engine.reply(turn(10))) as events:
        first = await anext(events)
        assert isinstance(first, SpokenDelta)
        assert len(first.audio) < 4 * FRAME
        assert server.talks[-1].frames < 10 + 3 + 2 * AHEAD_FRAMES


async def test_the_turns_of_a_session_are_one_conversation() -> None:
    async with MoshiServer().running() as server, opened(server) as engine:
        session = object()
        assert [await said(engine, turn(frames, session)) for frames in (20, 10, 13)] == [
            "I heard 20 frames.",
            "I heard 10 frames.",
            "I heard 13 frames.",
        ]
        assert len(server.talks) == 2, "one to see that it is there, one for the session"
        frames = server.talks[-1].frames
        await asyncio.wait([asyncio.create_task(server.talks[-1].ended.wait())], timeout=0.1)
        assert server.talks[-1].frames <= frames + AHEAD_FRAMES, "between turns the model stands still"


async def test_what_is_no_session_is_no_conversation() -> None:
    async with MoshiServer().running() as server, opened(server) as engine:
        await answer(engine, turn(10))
        await server.talks[-1].ended.wait()


async def test_a_greeting_over_the_users_voice_is_no_answer() -> None:
    def greets(query: dict[str, str]) -> Parrot:
        return Parrot(greeting=[" Hello,", " who", " are", " you?"], stubborn=True)

    async with MoshiServer(model=greets).running() as server, opened(server) as engine:
        assert await said(engine, turn(25)) == "I heard 25 frames."


async def test_a_server_that_lags_far_behind_is_understood() -> None:
    async with MoshiServer(late=AHEAD_FRAMES + 5).running() as server, opened(server, answer_within_s=5) as engine:
        assert await said(engine, turn(5, 1)) == "I heard 5 frames."
        assert await said(engine, turn(8, 1)) == "I heard 8 frames."


async def test_messages_that_are_cut_anywhere_are_read() -> None:
    server = MoshiServer(cuts=7, metadata=True)
    async with server.running(), opened(server) as engine:
        assert await said(engine, turn(10)) == "I heard 10 frames."


async def test_kinds_that_the_protocol_leaves_open_are_left_out() -> None:
    async def chatter(talk: Talk) -> None:
        await talk.send(6)
        await talk.send(3, b"\1")
        await talk.send(4, b"{}")
        await talk.send(99, b"what?")

    server = MoshiServer(after_frames={5: chatter, 18: chatter})
    async with server.running(), opened(server) as engine:
        assert await said(engine, turn(10)) == "I heard 10 frames."


async def test_an_answer_without_an_end_is_cut() -> None:
    async with (
        MoshiServer(model=lambda query: Parrot(words=2000)).running() as server,
        opened(server, max_answer_s=1) as engine,
    ):
        events = await answer(engine, turn(10, 1))
        assert events[-1] == ChatEnd("length")
        assert RATE <= len(audio_of(events)) < 2 * RATE
        await server.talks[-1].ended.wait()
        assert text_of(await answer(engine, turn(12, 1))).startswith("I heard 12 frames")


# --- sessions ---


async def test_sessions_at_once_do_not_mix() -> None:
    server = MoshiServer(at_once=3)
    async with server.running(), opened(server, max_sessions=3) as engine:

        async def session(number: int) -> list[str]:
            return [await said(engine, turn(10 + 3 * number + at, number)) for at in range(3)]

        heard = await asyncio.gather(*map(session, range(3)))
    assert heard == [[f"I heard {10 + 3 * number + at} frames." for at in range(3)] for number in range(3)]
    assert len(server.talks) == 4


async def test_sessions_take_turns_at_a_server_for_one() -> None:
    server = MoshiServer()
    async with server.running(), opened(server) as engine:
        for frames in (10, 12):
            for number in (0, 1):
                assert await said(engine, turn(frames + number, number)) == f"I heard {frames + number} frames."
        assert await said(engine, turn(9, 1)) == "I heard 9 frames."
    assert len(server.talks) == 5, "one each time that the server changed hands, and one at first"
    assert server.most == 1


async def test_who_waits_too_long_for_a_place_is_told_so() -> None:
    server = MoshiServer(model=lambda query: Parrot(words=50))
    async with (
        server.running(),
        opened(server, handshake_timeout_s=0.2) as engine,
        aclosing(engine.reply(turn(10, 1))) as first,
    ):
        await anext(first)
        error = await code_of(engine, turn(10, 2))
    assert error.code == "server_busy"
    assert "another session" in error.message


async def test_a_connection_that_is_not_used_is_closed() -> None:
    server = MoshiServer()
    async with server.running(), opened(server, keep_s=0) as engine:
        await answer(engine, turn(10, 1))
        await server.talks[-1].ended.wait()


async def test_a_kept_connection_that_broke_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks(talk: Talk) -> None:
        server.after_frames.clear()
        talk.socket.transport.abort()

    server = MoshiServer()
    async with server.running(), opened(server) as engine:
        await answer(engine, turn(10, 1))
        server.after_frames[server.talks[-1].frames + 5] = breaks
        assert await said(engine, turn(30, 1)) == "I heard 30 frames.", "the turn is sent again, whole"
        assert "A new conversation begins" in caplog.text
        assert len(server.talks) == 3


async def test_a_kept_connection_that_was_closed_is_not_used() -> None:
    server = MoshiServer()
    async with server.running(), opened(server) as engine:
        await answer(engine, turn(10, 1))
        await server.talks[-1].socket.close()
        assert await said(engine, turn(12, 1)) == "I heard 12 frames."


# --- interruptions ---


async def test_nothing_of_an_answer_that_was_interrupted_is_in_the_next() -> None:
    server = MoshiServer(model=lambda query: Parrot(words=100, stubborn=True))
    async with server.running(), opened(server) as engine:
        async with aclosing(engine.reply(turn(10, 1))) as events:
            async for event in events:
                if isinstance(event, SpokenDelta) and "again" in event.text:
                    break
        await server.talks[-1].ended.wait()
        assert text_of([event async for event in engine.reply(turn(12, 1))]).startswith("I heard 12 frames again")


async def test_a_turn_that_is_cancelled_while_it_is_sent_leaves_nothing() -> None:
    begun = asyncio.Event()
    server = MoshiServer(after_frames={5: sets(begun)})
    async with server.running(), opened(server) as engine:
        for _ in range(3):
            task = asyncio.create_task(answer(engine, turn(200, 1)))
            await begun.wait()
            task.cancel()
            await asyncio.wait([task])
            await server.talks[-1].ended.wait()
            begun.clear()
        assert await said(engine, turn(10, 1)) == "I heard 10 frames."
    assert len(asyncio.all_tasks()) == 1


async def test_who_takes_the_answer_slowly_slows_the_model() -> None:
    server = MoshiServer(model=lambda query: Parrot(words=300))
    async with server.running(), opened(server) as engine, aclosing(engine.reply(turn(10, 1))) as events:
        await anext(events)
        given = server.talks[-1].frames
        await asyncio.wait([asyncio.create_task(server.talks[-1].ended.wait())], timeout=0.3)
        assert server.talks[-1].frames <= given + MOST_AHEAD_FRAMES


async def test_closing_the_engine_ends_what_runs_and_what_waits() -> None:
    begun = asyncio.Event()
    server = MoshiServer(model=lambda query: Parrot(words=300), after_frames={5: sets(begun)})
    async with server.running(), opened(server) as engine:
        tasks = [asyncio.create_task(answer(engine, turn(10, number))) for number in range(3)]
        await begun.wait()
        await engine.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [getattr(outcome, "code", outcome) for outcome in outcomes] == ["engine_closed"] * 3
        with pytest.raises(EngineError, match="is closed"):
            await answer(engine, turn(10))
        await engine.open()
        async with aclosing(engine.reply(turn(10))) as events:
            assert isinstance(await anext(events), SpokenDelta)


# --- what a server is told ---


async def test_personaplex_is_given_the_voice_and_the_instructions() -> None:
    server = MoshiServer(personaplex=True)
    async with server.running(), opened(server, "personaplex", voices={"alloy": "VARM2.pt"}) as engine:
        assert engine.resolve_voice("") == "NATF2"
        assert engine.resolve_voice("alloy") == "alloy"
        assert engine.resolve_voice("alloy", "de-DE") is None
        instructions = ChatMessage("system", "Sei höflich & kurz.")
        assert await said(engine, turn(10, 1, instructions)) == "I heard 10 frames."
        assert server.talks[-1].query == {"voice_prompt": "NATF2.pt", "text_prompt": "Sei höflich & kurz."}
        await answer(engine, turn(10, 1, instructions, voice="alloy"))
        assert server.talks[-1].query["voice_prompt"] == "VARM2.pt"
        await answer(engine, turn(10, 1, ChatMessage("system", "Be rude."), voice="alloy"))
        assert server.talks[-1].query["text_prompt"] == "Be rude."
    assert len(server.talks) == 4, "other instructions and another voice are another conversation"


async def test_the_usual_prompt_stands_in_for_instructions() -> None:
    server = MoshiServer(personaplex=True)
    async with server.running(), opened(server, "personaplex", prompt="You enjoy talking.", voice="VARF0") as engine:
        await answer(engine, turn(10))
    assert [talk.query["text_prompt"] for talk in server.talks] == ["You enjoy talking."] * 2
    assert server.talks[-1].query["voice_prompt"] == "VARF0.pt"


async def test_a_new_conversation_knows_of_the_old_one_what_it_may() -> None:
    before = (
        ChatMessage("system", "Be brief."),
        ChatMessage("user", "I am <system> Ada."),
        ChatMessage("assistant", "Hello Ada."),
    )
    server = MoshiServer(personaplex=True)
    async with server.running(), opened(server, "personaplex", history_chars=200) as engine:
        await answer(engine, turn(10, 1, *before))
        assert server.talks[-1].query["text_prompt"] == (
            "Be brief.\nThe conversation so far: User: I am Ada. You: Hello Ada."
        )
        later = (*before, ChatMessage("user", "And you?"), ChatMessage("assistant", "I am well."))
        await answer(engine, turn(10, 1, *later))
        assert len(server.talks) == 2, "it remembers by itself"


async def test_a_typed_message_begins_a_conversation_that_answers_it() -> None:
    server = MoshiServer(personaplex=True)
    nothing = np.zeros(0, np.float32)
    async with server.running(), opened(server, "personaplex") as engine:
        await answer(engine, turn(10, 1))
        typed = DialogueRequest(nothing, (ChatMessage("user", "Hello?"),), share=1)
        assert await said(engine, typed) == "Hello there."
        assert "written: Hello?" in server.talks[-1].query["text_prompt"]
        assert await said(engine, turn(12, 1)) == "I heard 12 frames."
        assert len(server.talks) == 3, "and goes on by voice"


async def test_moshi_cannot_read_what_is_typed() -> None:
    server = MoshiServer()
    async with server.running(), opened(server) as engine:
        error = await code_of(engine, DialogueRequest(np.zeros(0, np.float32), (ChatMessage("user", "Hello?"),)))
        assert isinstance(error, EngineRefused)
        assert error.code == "text_unsupported"


async def test_moshi_says_once_that_it_takes_no_instructions(caplog: pytest.LogCaptureFixture) -> None:
    server = MoshiServer()
    async with server.running(), opened(server) as engine:
        for _ in range(2):
            await answer(engine, turn(10, 1, ChatMessage("system", "Be brief.")))
    assert caplog.text.count("takes no instructions") == 1
    assert "text_prompt" not in server.talks[-1].query


async def test_instructions_that_no_address_holds_are_refused() -> None:
    server = MoshiServer(personaplex=True)
    async with server.running(), opened(server, "personaplex") as engine:
        assert (await code_of(engine, turn(10, 1, ChatMessage("system", "long " * 2000)))).code == "prompt_too_long"
        assert await said(engine, turn(10, 1)) == "I heard 10 frames."
    with pytest.raises(EngineUnavailable, match="longer than"):
        await create("personaplex", {"prompt": "long " * 2000}).open()


async def test_kyutais_server_is_given_the_sampling() -> None:
    server = MoshiServer()
    async with server.running(), opened(server, text_temperature=0.7, audio_topk=250, seed=5) as engine:
        await answer(engine, turn(10))
    expected = {"text_temperature": "0.7", "audio_topk": "250", "text_seed": "5", "audio_seed": "5"}
    assert server.talks[-1].query == expected


TOOL = Tool("lookup", "Looks something up.", "{}")


async def test_tools_are_refused_where_a_reply_needs_them_and_named_where_it_may_do_without(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = MoshiServer()
    async with server.running(), opened(server) as engine:
        error = await code_of(engine, turn(10, 1, tools=(TOOL,), tool_choice="required"))
        assert isinstance(error, EngineRefused)
        assert error.code == "tools_unsupported"
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                await answer(engine, turn(10, 1, tools=(TOOL,)))
            await answer(engine, turn(10, 1, tools=(TOOL,), tool_choice="none"))
    assert caplog.text.count("cannot call tools") == 1
