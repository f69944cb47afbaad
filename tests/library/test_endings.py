"""What ends a session: code of its owner's that ends the program, `close()`, its pipeline's end. Nothing waits for ever."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from parley.library import (
    CallFunction,
    Failed,
    LibraryError,
    Pipeline,
    ReplyAudio,
    ReplyText,
    SessionClosed,
    VoiceSession,
)
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeSynthesizer, FakeVoiceActivity
from tests.library.own import PARTS, TALK, part
from tests.library.rig import RATE, of, pipeline, silence, voice
from tests.programs import run_program

pytestmark = pytest.mark.slow

HANGS_AFTER_S = 100
"""No call of these tests takes so long, on any machine: one that does waits for ever."""


class Abort(BaseException):
    """Like those of test frameworks: no error that anybody should catch."""


ENDINGS = [SystemExit(3), KeyboardInterrupt(), Abort("enough")]


def outcome(call: Callable[[], Any]) -> BaseException | None:
    """What a call raises. Fails where it never comes back."""
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            call()
            raised.append(None)
        except BaseException as error:  # noqa: BLE001 - what the test is about
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(HANGS_AFTER_S)
    assert raised, "the call never came back"
    return raised[0]


def ending(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize("error", ENDINGS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", PARTS)
def test_an_exception_that_ends_a_program_reaches_the_caller_of_step_and_the_session_is_closed(
    name: str, error: BaseException
) -> None:
    engines, options = part(name, ending(error))
    with pipeline(**engines) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, **options)
        assert outcome(lambda: list(session.run([TALK]))) is error
        assert session.closed
        with pytest.raises(SessionClosed, match="The session is closed: "):
            session.step(silence(20))
        with pytest.raises(SessionClosed):
            session.say("hello")
    assert not [thread for thread in threading.enumerate() if thread.name == "parley"], "the loop has ended"


@pytest.mark.parametrize("error", ENDINGS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "name", ["llm generator", "stt async", "tts object", "vad object", "policy function", "tool async"]
)
def test_an_exception_that_ends_a_program_reaches_the_caller_of_astep(name: str, error: BaseException) -> None:
    engines, options = part(name, ending(error))
    sessions: list[VoiceSession] = []

    async def main() -> None:
        async with pipeline(**engines) as pipe:
            sessions.append(VoiceSession(pipe, sample_rate=RATE, **options))
            await sessions[0].astep(TALK)
            await sessions[0].aflush()

    assert outcome(lambda: asyncio.run(main())) is error
    assert sessions[0].closed


@pytest.mark.parametrize("error", ENDINGS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "name", ["llm function", "stt generator", "tts async", "endpointing function", "tool function"]
)
def test_an_exception_that_ends_a_program_reaches_the_caller_of_a_live_session(name: str, error: BaseException) -> None:
    engines, options = part(name, ending(error))
    sessions: list[VoiceSession] = []

    async def main() -> None:
        async with pipeline(**engines) as pipe:
            sessions.append(VoiceSession(pipe, sample_rate=RATE, **options))
            async for _ in sessions[0].live([voice(400), silence(900), silence(400)], []):
                pass

    assert outcome(lambda: asyncio.run(main())) is error
    assert sessions[0].closed


def test_a_source_can_end_the_program() -> None:
    async def main() -> None:
        async with pipeline() as pipe:
            async for _ in VoiceSession(pipe, sample_rate=RATE).live(source()):
                pass

    async def source() -> AsyncIterator[bytes]:
        yield bytes(960)
        raise SystemExit(4)

    error = outcome(lambda: asyncio.run(main()))
    assert isinstance(error, SystemExit)
    assert error.code == 4


def test_an_exception_that_ends_the_loop_between_two_calls_is_raised_by_the_next() -> None:
    pipe = pipeline()
    with pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        session.step(silence(40))
        assert pipe._thread is not None
        stopped = threading.Event()

        def stop() -> None:
            asyncio.get_running_loop().call_soon(stopped.set)
            raise SystemExit(5)

        pipe._thread.loop.call_soon_threadsafe(stop)
        assert stopped.wait(HANGS_AFTER_S)
        assert isinstance(outcome(lambda: session.step(silence(40))), SystemExit)
        assert session.closed
        with pytest.raises(SessionClosed, match="its pipeline was closed"):
            session.step(silence(40))


def test_two_sessions_that_wait_in_two_threads_both_come_back() -> None:
    both = threading.Barrier(2)

    def quits(messages: list[dict[str, Any]]) -> str:
        both.wait(HANGS_AFTER_S)
        sys.exit(6)

    with pipeline(llm=quits) as pipe:
        sessions = [VoiceSession(pipe, sample_rate=RATE) for _ in range(2)]
        errors: list[BaseException | None] = []
        callers = [
            threading.Thread(target=lambda one=one: errors.append(outcome(lambda: one.say("hello"))))
            for one in sessions
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(2 * HANGS_AFTER_S)
        assert [type(error) for error in errors] == [SystemExit, SystemExit]
        assert all(session.closed for session in sessions)


def test_engines_are_closed_when_a_program_ends_itself() -> None:
    vad, tts = FakeVoiceActivity(), FakeSynthesizer()
    pipe = pipeline(vad=vad, tts=tts, llm=lambda messages: sys.exit(7))
    session = VoiceSession(pipe, sample_rate=RATE)
    with pytest.raises(SystemExit):
        session.say("hello")
    assert (vad.closed, tts.closed, vad.slots) == (1, 1, set())


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit(), StopIteration(), StopAsyncIteration()])
@pytest.mark.parametrize("name", ["llm function", "llm async", "stt function", "stt async", "tts async", "tool async"])
def test_exceptions_that_python_uses_itself_do_not_hang_a_caller(name: str, error: BaseException) -> None:
    engines, options = part(name, ending(error))
    with pipeline(**engines) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, **options)
        raised = outcome(lambda: list(session.run([TALK])))
        assert raised is (error if isinstance(error, GeneratorExit) else None)


EXITS = """
import sys, parley
def reply(messages):
    sys.exit(8)
pipeline = parley.Pipeline(llm=reply, tts=None)
parley.VoiceSession(pipeline, sample_rate=16_000).say("hello")
"""

STUCK = """
import threading, parley
def reply(messages):
    threading.Event().wait()
def main():
    pipeline = parley.Pipeline(llm=reply, tts=None)
    session = parley.VoiceSession(pipeline, sample_rate=16_000, engine_timeout_s=0.1)
    print([event.code for event in session.say("hello") if isinstance(event, parley.Failed)])
main()
"""


@pytest.mark.parametrize(("program", "code", "said"), [(EXITS, 8, ""), (STUCK, 0, "['timeout']")])
def test_a_program_ends_without_closing_anything(program: str, code: int, said: str) -> None:
    done = run_program("-c", program, timeout_s=HANGS_AFTER_S)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (code, said, "")


INTERRUPTED = """
import threading, parley
def reply(messages):
    print("asked", flush=True)
    threading.Event().wait()
with parley.Pipeline(llm=reply, tts=None) as pipeline:
    session = parley.VoiceSession(pipeline, sample_rate=16_000)
    try:
        session.say("hello")
    except KeyboardInterrupt:
        print("interrupted", session.closed, flush=True)
"""


def test_ctrl_c_comes_back_at_once_from_a_step_that_waits() -> None:
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "asked\n"
        program.send_signal(signal.SIGINT)
        assert program.stdout.readline() == "interrupted False\n"
        assert program.wait(HANGS_AFTER_S) == 0


@pytest.mark.parametrize("kind", ["function", "async"])
def test_a_call_from_code_that_the_session_calls_does_not_wait_for_itself(kind: str) -> None:
    sessions: list[VoiceSession] = []

    def reply(messages: list[dict[str, Any]]) -> str:
        sessions[0].say("and you?")
        return "Never."

    async def reply_later(messages: list[dict[str, Any]]) -> str:
        await sessions[0].asay("and you?")
        return "Never."

    with pipeline(llm=reply if kind == "function" else reply_later) as pipe:
        sessions.append(VoiceSession(pipe, sample_rate=RATE, raises=True))
        error = outcome(lambda: sessions[0].say("hello"))
    assert isinstance(error, LibraryError)
    assert "comes from code that the session itself calls" in str(error)


async def test_a_tool_may_call_its_live_session_from_its_thread() -> None:
    sessions: list[VoiceSession] = []

    async def asks() -> AsyncIterator[Any]:
        yield silence(20)
        sessions[0].reply()
        await asyncio.Event().wait()

    def hang_up() -> str:
        """End the call."""
        sessions[0].close()
        return "bye"

    async with pipeline(llm=lambda messages: CallFunction("hang_up")) as pipe:
        sessions.append(VoiceSession(pipe, sample_rate=RATE, tools=[hang_up]))
        async for _ in sessions[0].live(asks(), []):
            pass
        assert sessions[0].closed


def test_closing_a_pipeline_ends_a_step_that_waits() -> None:
    asked, gate = threading.Event(), threading.Event()

    def slowly(messages: list[dict[str, Any]]) -> str:
        asked.set()
        gate.wait(HANGS_AFTER_S)
        return "Yes."

    pipe = pipeline(llm=slowly)
    session = VoiceSession(pipe, sample_rate=RATE)
    outcomes: list[BaseException | None] = []
    caller = threading.Thread(target=lambda: outcomes.append(outcome(lambda: session.say("hello"))))
    caller.start()
    assert asked.wait(HANGS_AFTER_S)
    pipe.close()
    caller.join(HANGS_AFTER_S)
    gate.set()
    assert outcomes == [None] or isinstance(outcomes[0], LibraryError)
    assert session.closed


# --- close --------------------------------------------------------------------------------------------------------------


def test_a_closed_session_refuses_and_says_so() -> None:
    with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        session.step(voice(100))
        session.close()
        session.close()
        assert session.closed
        calls: list[Callable[[], Any]] = [
            lambda: session.step(voice(10)),
            session.flush,
            lambda: session.say("x"),
            lambda: list(session.run([])),
        ]
        for call in calls:
            with pytest.raises(SessionClosed, match="it was closed"):
                call()
        fresh = VoiceSession(pipe, sample_rate=RATE)
        fresh.close()
        with pytest.raises(SessionClosed):
            fresh.step(voice(10))


def test_a_session_of_a_closed_pipeline_says_so_and_only_open_opens_the_pipeline_again() -> None:
    pipe = pipeline()
    session = VoiceSession(pipe, sample_rate=RATE)
    session.step(voice(100))
    pipe.close()
    with pytest.raises(SessionClosed, match="its pipeline was closed"):
        session.step(voice(100))
    with pytest.raises(LibraryError, match=r"The pipeline is closed\. Open it again"):
        VoiceSession(pipe, sample_rate=RATE).step(voice(100))
    with pipe:
        VoiceSession(pipe, sample_rate=RATE).step(voice(100))
        with pytest.raises(SessionClosed, match="its pipeline was closed"):
            session.step(voice(100))


async def test_a_closed_asynchronous_session_refuses_too() -> None:
    async with pipeline() as pipe:
        session, other = VoiceSession(pipe, sample_rate=RATE), VoiceSession(pipe, sample_rate=RATE)
        await session.astep(voice(100))
        await other.astep(voice(100))
        await session.aclose()
        with pytest.raises(SessionClosed):
            await session.astep(voice(100))
        with pytest.raises(SessionClosed):
            await session.live([]).__anext__()
    with pytest.raises(SessionClosed, match="its pipeline was closed"):
        await other.aflush()


async def test_a_pipeline_that_is_open_on_a_loop_is_closed_there() -> None:
    async with pipeline() as pipe:
        with pytest.raises(LibraryError, match=r"await pipeline\.aclose\(\)"):
            pipe.close()
        assert await VoiceSession(pipe, sample_rate=RATE).asay("hello")
    pipe.close()


async def test_closing_a_live_session_ends_it() -> None:
    async with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        async for event in session.live([voice(400), silence(5000)], []):
            if isinstance(event, ReplyAudio):
                session.close()
        assert session.closed
        with pytest.raises(SessionClosed):
            session.say("hello")


# --- nothing is left ------------------------------------------------------------------------------------------------------


OWN: dict[str, Any] = {
    "endpointing": lambda pause, audio: 500,
    "barge_in": lambda words, voice_ms, playing: True,
    "policy": lambda transcript: True,
    "chunker": lambda text: 0,
    "on_first_play": lambda turn: None,
}


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left_of(session: VoiceSession) -> list[weakref.ref[Any]]:
    embedded = session._embedded
    assert embedded is not None
    return [weakref.ref(part) for part in (session, embedded, embedded.driver, embedded.session)]


def talk_and_end(pipe: Pipeline, end: str, options: dict[str, Any]) -> list[weakref.ref[Any]]:
    session = VoiceSession(pipe, sample_rate=RATE, **options)
    session.step(TALK[: 2_000 * 24])
    left = left_of(session)
    if end == "close":
        session.close()
    elif end == "flush":
        session.flush()
    elif end == "pipeline":
        pipe.close()
    return left


@pytest.mark.parametrize("end", ["close", "flush", "pipeline", "forgotten"])
@pytest.mark.parametrize("options", [{}, OWN], ids=["plain", "own"])
def test_a_session_is_freed_with_its_last_reference(no_collector: None, end: str, options: dict[str, Any]) -> None:
    vad = FakeVoiceActivity()
    with pipeline(vad=vad) as pipe:
        left = talk_and_end(pipe, end, options)
        if end != "pipeline":
            for _ in range(3):  # what was forgotten is shut on the pipeline's loop
                pipe._run(asyncio.sleep(0))
        assert [part() for part in left] == [None] * 4
        assert not vad.slots


def test_an_abandoned_reply_is_not_kept(no_collector: None) -> None:
    class Words(str):
        """A prompt that can be referred to weakly."""

        __slots__ = ("__weakref__",)

    kept: list[weakref.ref[Any]] = []

    async def hangs(messages: list[dict[str, Any]]) -> str:
        words = Words("what was asked")
        kept.append(weakref.ref(words))
        await asyncio.Event().wait()
        return words

    with pipeline(llm=hangs) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, engine_timeout_s=0.05)
        for _ in range(3):
            assert [event.code for event in of(Failed, session.say("hello"))] == ["timeout"]
        session.step(silence(40))
        assert [words() for words in kept] == [None] * 3


async def test_a_live_session_is_freed_with_its_last_reference(no_collector: None) -> None:
    async with pipeline() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE, **OWN)
        async for _ in session.live([voice(400), silence(700)], []):
            pass
        left = left_of(session)
        del session
        await asyncio.sleep(0)
        assert [part() for part in left] == [None] * 4


def test_a_pipeline_that_the_collector_finds_on_its_own_loop_is_closed_all_the_same() -> None:
    class App:
        """Keeps its pipeline, and itself: only the collector finds it."""

        def __init__(self, tts: FakeSynthesizer) -> None:
            self.pipe = pipeline(tts=tts).open()
            self.itself = self

    tts = FakeSynthesizer()
    app = App(tts)
    thread = app.pipe._thread
    assert thread is not None
    del app
    thread.loop.call_soon_threadsafe(gc.collect)
    thread._thread.join(HANGS_AFTER_S)
    assert not thread._thread.is_alive()
    assert tts.closed == 1


# --- what was heard -------------------------------------------------------------------------------------------------------

FIFTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen."


def story(**engines: Any) -> Pipeline:
    return pipeline(llm=FakeModel([FIFTEEN]), tts=FakeSynthesizer(word_ms=200), **engines)


def assistant(session: VoiceSession) -> str:
    return " ".join(message["content"] for message in session.history if message["role"] == "assistant")


def test_the_history_holds_the_words_that_were_heard_at_every_moment() -> None:
    with story() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        session.say("count")
        assert session.history == [{"role": "user", "content": "count"}], "nothing was heard yet"
        for heard_ms in range(32, 3_040, 32):
            session.step(silence(32))
            expected = FIFTEEN.split()[: heard_ms // 200]
            assert assistant(session) == " ".join(expected)
            (turn,) = session.turns
            assert turn.answered == " ".join(expected)
        session.flush()
        assert assistant(session) == FIFTEEN


@pytest.mark.parametrize("how", ["session", "pipeline"])
def test_after_the_end_the_history_holds_no_word_that_was_not_heard(how: str) -> None:
    with story() as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        session.say("count")
        audio = of(ReplyAudio, session.step(silence(1020)))
        (session if how == "session" else pipe).close()
        assert sum(len(event.samples) for event in audio) == 31 * 768
        assert assistant(session) == "one two three four"
        assert session.turns[0].answered == "one two three four"


def test_words_that_have_no_sound_yet_were_not_heard() -> None:
    tts = FakeSynthesizer(word_ms=200, script={"three": RuntimeError("no more")})
    with pipeline(llm=FakeModel(["one two three four."]), tts=tts) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        session.say("count")
        session.flush()
        assert assistant(session) == "one two"


async def test_closing_a_live_session_keeps_the_words_that_were_heard() -> None:
    sink: list[Any] = []
    async with story(stt=FakeRecognizer("count")) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        live = session.live([voice(400), silence(8000)], sink)
        async for _ in live:
            if sum(map(len, sink)) >= 24_480:
                break
        await live.aclose()
    words = sum(map(len, sink)) // (200 * 24)
    assert 5 <= words < 15
    assert assistant(session) == " ".join(FIFTEEN.split()[:words])


def test_without_a_synthesizer_the_history_holds_the_whole_text() -> None:
    with pipeline(llm=FakeModel([FIFTEEN]), tts=None) as pipe:
        session = VoiceSession(pipe, sample_rate=RATE)
        assert of(ReplyText, session.say("count"))
        assert assistant(session) == FIFTEEN
