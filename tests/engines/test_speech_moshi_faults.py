"""What goes wrong with a Moshi server: each fault has a name and a remedy, and the engine serves the next turn."""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.client import connect

from parley.engines.ports import DialogueRequest, EngineError, EngineRefused, EngineUnavailable, SpokenDelta
from parley.engines.speech import moshi_talk
from parley.engines.speech.moshi import MoshiSpeechModel, create
from parley.engines.speech.moshi_answer import AnswerFinder, AnswerLimits
from parley.engines.speech.moshi_ogg import PageWriter
from parley.engines.speech.moshi_opus import FRAME, RATE
from parley.engines.speech.moshi_protocol import MAX_TARGET_BYTES, TokenText, address
from tests.engines.moshi_server import MoshiServer, Parrot, Script, Talk, tone
from tests.engines.opening import while_open
from tests.server.certificates import certificate

KEY = "very-secret-key"
FAST = {"pause_ms": 400, "answer_within_s": 2, "handshake_timeout_s": 0.5, "timeout_s": 0.5, "api_key": KEY}


def opened(
    server: MoshiServer, flavour: str = "moshi", **options: object
) -> AbstractAsyncContextManager[MoshiSpeechModel]:
    return while_open(create(flavour, {"base_url": server.url, **FAST, **options}))


async def said(engine: MoshiSpeechModel, share: object = None) -> str:
    events = [event async for event in engine.reply(DialogueRequest(tone(10, 0.2), share=share))]
    return "".join(event.text for event in events if isinstance(event, SpokenDelta))


async def failure(engine: MoshiSpeechModel) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await said(engine, 1)
    assert caught.value.remedy
    assert KEY not in str(caught.value)
    return caught.value


async def unopened(base_url: str, **options: object) -> EngineUnavailable:
    engine = create("moshi", {"base_url": base_url, **FAST, **options})
    with pytest.raises(EngineUnavailable) as caught:
        await engine.open()
    await engine.close()
    assert caught.value.remedy
    assert KEY not in str(caught.value)
    return caught.value


# --- before a conversation ---


async def test_a_server_that_is_not_there() -> None:
    async with MoshiServer().running() as server:
        url = server.url
    error = await unopened(url)
    assert error.code == "connection_failed"
    assert "refused" in error.message


@pytest.mark.parametrize(
    ("status", "code"), [(404, "invalid_base_url"), (401, "invalid_api_key"), (500, "invalid_base_url")]
)
async def test_an_answer_that_is_no_websocket_has_its_status(status: int, code: str) -> None:
    async with MoshiServer(refuses=(status, "")).running() as server:
        error = await unopened(server.url)
    assert error.code == code
    assert f"HTTP {status}" in error.message


async def test_a_redirect_is_not_followed() -> None:
    async with MoshiServer(refuses=(302, "/elsewhere")).running() as server:
        assert "HTTP 302" in (await unopened(server.url)).message


async def test_what_is_no_http_is_named() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        error = await unopened(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert error.code == "invalid_base_url"
    assert "does not speak WebSocket" in error.message


async def test_tls_that_is_none_is_named() -> None:
    async with MoshiServer().running() as server:
        error = await unopened(server.url.replace("http:", "https:"))
    assert error.code == "connection_failed"
    assert "http:// and https://" in error.remedy


async def test_a_server_with_its_own_certificate_is_reached_where_it_is_trusted(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.cert, made.key)
    server = MoshiServer(tls=tls)
    async with server.running():
        async with opened(server, ca_file=str(made.cert)) as engine:
            assert await said(engine) == "I heard 10 frames."
        error = await unopened(server.url)
    assert error.code == "connection_failed"
    assert "TLS" in error.message


async def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    path.write_text("nothing")
    error = await unopened("https://127.0.0.1:1", ca_file=str(path))
    assert error.code == "invalid_certificate"
    assert str(path) in error.message


async def closes(talk: Talk) -> None:
    await talk.socket.close(1011)


async def reports(talk: Talk) -> None:
    await talk.send(5, b"out of memory at cuda:0, " + KEY.encode())


async def answers_at_once(talk: Talk) -> None:
    await talk.send(1, b"OggS")


async def writes_text(talk: Talk) -> None:
    await talk.socket.send("hello")


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        (closes, "no_handshake", "closed the connection (code 1011)"),
        (reports, "server_error", "out of memory"),
        (answers_at_once, "no_handshake", "before its handshake"),
        (writes_text, "no_handshake", "none of the protocol"),
    ],
)
async def test_a_conversation_that_does_not_begin(script: Script, code: str, said: str) -> None:
    async with MoshiServer(script=script).running() as server:
        error = await unopened(server.url)
    assert error.code == code
    assert said in error.message


async def test_a_server_that_another_client_holds_is_busy(caplog: pytest.LogCaptureFixture) -> None:
    server = MoshiServer()
    async with server.running(), connect(f"ws://127.0.0.1:{server.port}/api/chat") as other:
        await other.recv()
        async with opened(server) as engine:
            assert "is busy" in caplog.text, "it is there, and may be free later"
            error = await failure(engine)
            assert error.code == "server_busy"
            assert "no handshake within 0.5 s" in error.message
            await other.close()
            assert await said(engine) == "I heard 10 frames."


async def test_a_server_that_says_that_it_is_full_is_busy() -> None:
    server = MoshiServer()
    async with server.running(), opened(server) as engine:
        server.refuses = (503, "")
        assert (await failure(engine)).code == "server_busy"
        server.refuses = None
        assert await said(engine) == "I heard 10 frames."


# --- in the middle ---


async def garbage(talk: Talk) -> None:
    await talk.send(1, b"RIFF" + bytes(100))


async def other_head(talk: Talk) -> None:
    await talk.send(1, PageWriter(9).page([b"OpusHead" + bytes(11)], 0))


async def nothing(talk: Talk) -> None:
    await talk.socket.send(b"")


async def stalls(talk: Talk) -> None:
    await talk.socket.wait_closed()


async def chatters(talk: Talk) -> None:
    """Goes on with metadata, and answers no frame."""
    while True:
        await talk.send(4, b"{}")
        await asyncio.sleep(0.01)


async def floods(talk: Talk) -> None:
    while True:
        await talk.send(2, b"word " * 1000)


async def breaks(talk: Talk) -> None:
    talk.socket.transport.abort()


async def too_much(talk: Talk) -> None:
    await talk.send(4, bytes(1 << 20))


FAULTS = [
    (closes, "connection_lost", "code 1011"),
    (breaks, "connection_lost", "without a goodbye"),
    (reports, "server_error", "out of memory"),
    (garbage, "invalid_answer", "no Ogg page"),
    (other_head, "invalid_answer", "header of the Opus stream"),
    (writes_text, "invalid_answer", "is text"),
    (nothing, "invalid_answer", "is empty"),
    (stalls, "timeout", "sent nothing for 0.5 s"),
    (chatters, "timeout", "sent nothing for 0.5 s"),
    (floods, "invalid_answer", "much text"),
    (too_much, "connection_lost", "closed"),
]


@pytest.mark.parametrize("at", [5, 16])
@pytest.mark.parametrize(("script", "code", "words"), FAULTS)
async def test_a_fault_in_the_middle_has_its_name(script: Script, code: str, words: str, at: int) -> None:
    """While the user's turn is sent, and in the middle of the answer."""
    server = MoshiServer(after_frames={at: script})
    async with server.running(), opened(server) as engine:
        error = await failure(engine)
        assert error.code == code, error.message
        assert words in error.message
        server.after_frames.clear()
        assert await said(engine, 1) == "I heard 10 frames.", "the next turn is served"


async def test_what_is_on_its_way_to_a_server_that_does_not_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moshi_talk, "FRAME_S", 0.002)
    given = 0

    async def listens(talk: Talk) -> None:
        nonlocal given
        async for _ in talk.socket:
            given += 1

    server = MoshiServer(after_frames={5: listens})
    async with server.running(), opened(server) as engine:
        assert (await failure(engine)).code == "timeout"
    assert 10 < given <= moshi_talk.MOST_AHEAD_FRAMES


async def test_a_model_that_says_nothing_is_named() -> None:
    server = MoshiServer(model=lambda query: Parrot(hears=2))
    async with server.running(), opened(server) as engine:
        error = await failure(engine)
    assert error.code == "no_answer"
    assert "2 s" in error.message


async def test_a_stream_of_another_codec_is_named() -> None:
    async def speaks_vorbis(talk: Talk) -> None:
        await talk.send(0)
        await talk.send(1, PageWriter(9).page([b"\x01vorbis"], 0))
        await talk.socket.wait_closed()

    server = MoshiServer()
    async with server.running(), opened(server) as engine:
        server.script = speaks_vorbis
        assert "holds Vorbis, not Opus" in (await failure(engine)).message


async def test_infinite_samples_are_refused() -> None:
    server = MoshiServer()
    async with server.running(), opened(server) as engine:
        with pytest.raises(EngineRefused, match="NaN"):
            [event async for event in engine.reply(DialogueRequest(np.full(10, np.nan, np.float32)))]


async def test_the_key_goes_to_the_server_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    server = MoshiServer()
    with caplog.at_level(logging.DEBUG):
        async with server.running(), opened(server, headers={"X-Team": "blue"}) as engine:
            await said(engine)
    assert server.talks[-1].headers["authorization"] == f"Bearer {KEY}"
    assert server.talks[-1].headers["x-team"] == "blue"
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("parley")]
    assert not any(KEY in message for message in ours)


# --- options ---


@pytest.mark.parametrize(
    ("flavour", "options", "said"),
    [
        ("hibiki", {}, "must be moshi or personaplex"),
        ("moshi", {"base_url": "ftp://x"}, "must begin with http://"),
        ("moshi", {"voice_prompt": "x"}, "knows no option 'voice_prompt'"),
        ("moshi", {"voices": {"a": "b"}}, "option of moshi:personaplex"),
        ("moshi", {"max_sessions": 0}, "max_sessions must be"),
        ("moshi", {"text_temperature": "hot"}, "text_temperature must be"),
        ("personaplex", {"voice": "Ada"}, "'Ada' is none of NATF0"),
        ("personaplex", {"voices": {"a": 3}}, "must map names"),
        ("personaplex", {"text_temperature": 1}, "knows no option 'text_temperature'"),
    ],
)
def test_a_wrong_option_is_named(flavour: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match="speech") as caught:
        create(flavour, options)
    assert said in str(caught.value)


def test_the_address_is_made_of_what_is_given() -> None:
    assert address("http://h:1", ()) == "ws://h:1/api/chat"
    assert address("https://h/moshi/", (("a", "b c&d"),)) == "wss://h/moshi/api/chat?a=b%20c%26d"
    assert address("ws://h/api/chat?worker=1", (("a", ""),)) == "ws://h/api/chat?worker=1&a="
    with pytest.raises(ValueError, match="longer"):
        address("ws://h", (("a", "x" * MAX_TARGET_BYTES),))


def test_a_character_may_come_as_its_bytes() -> None:
    text = TokenText()
    pieces = [b" caf", b"<0xC3>", b"<0xA9>", b" <3", b"<0xE2>", b"x", b"\xff"]
    assert [text.push(piece) for piece in pieces] == [" caf", "", "é", " <3", "", "\ufffdx", "\ufffd"]


# --- where an answer begins ---


def heard(*parts: tuple[float, float], end_s: float, **limits: float) -> tuple[float, str]:
    """How many seconds the answer has, and how it ended, of what a model says: (loudness, seconds) each, the turn ending at `end_s`."""
    finder = AnswerFinder(0, 0, round(end_s * RATE), AnswerLimits(**limits))
    audio = np.concatenate([tone(50, loudness)[: round(seconds * RATE)] for loudness, seconds in parts])
    given = 0
    for at in range(0, len(audio), FRAME):
        if (piece := finder.audio(audio[at : at + FRAME])) is not None:
            given += len(piece.audio)
    return round(given / RATE, 2), finder.state


def test_where_an_answer_begins_and_ends() -> None:
    quiet, loud = 0.0, 0.1
    assert heard((quiet, 2), (loud, 1), (quiet, 2), end_s=1) == (1.02, "done")
    assert heard((loud, 0.6), (quiet, 1.4), (loud, 1), (quiet, 2), end_s=1) == (1.02, "done"), "a remark is left out"
    assert heard((quiet, 0.6), (loud, 1.4), (quiet, 2), end_s=1) == (1.42, "done"), "it began before the turn ended"
    assert heard((quiet, 1), (loud, 1), (quiet, 0.5), (loud, 1), (quiet, 2), end_s=1) == (2.52, "done"), (
        "a pause inside"
    )
    assert heard((quiet, 4), end_s=1, within_s=2) == (0, "nothing")
    assert heard((quiet, 1), (loud, 2), (loud, 2), end_s=1, longest_s=3)[1] == "cut"
    assert heard((quiet, 1), (0.003, 1), (quiet, 2), end_s=1, within_s=2) == (0, "nothing"), "noise is no voice"


def test_what_is_held_of_a_model_that_never_stops_is_bounded() -> None:
    finder = AnswerFinder(0, 0, 100 * RATE, AnswerLimits())
    for _ in range(100 * RATE // FRAME):
        assert finder.audio(tone(1, 0.1)) is None or finder.state == "speaking"
    piece = finder.audio(tone(1, 0.1))
    assert piece is not None
    assert sum(map(len, finder._held)) <= 10 * RATE
