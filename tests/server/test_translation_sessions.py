"""Translation sessions with the stock client: speech in, speech in another language out, and every refusal."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
import websockets
from openai.lib.realtime_translation import AsyncTranslationSession, TranslationSession
from openai.types.realtime import RealtimeTranslationClientSecretCreateResponse, RealtimeTranslationServerEvent
from pydantic import TypeAdapter
from websockets.exceptions import ConnectionClosedOK, InvalidStatus
from websockets.typing import Subprotocol

from parley.config import Config
from parley.engines.mt.bench import BenchTranslator
from parley.engines.ports import MT, EngineSet
from parley.testing.fakes import FakeRecognizer
from tests.library.rig import silence, voice
from tests.server.harness import PATIENCE_S, Engines, Running, configured, loaded, running, running_in_thread

STRICT: TypeAdapter[Any] = TypeAdapter(RealtimeTranslationServerEvent)
TALK = [*[bytes(voice(200).tobytes()) for _ in range(5)], *[bytes(silence(200).tobytes()) for _ in range(5)]]
"""A second of voice and a second of silence, in chunks of 200 ms."""


@dataclass
class Translating(Engines):
    """The scripted engines and a translator that reverses words: `Good day.` becomes `dooG yad.`"""

    mt: BenchTranslator | None = field(default_factory=lambda: BenchTranslator(0, 0))

    def as_set(self) -> EngineSet:
        engines = super().as_set()
        return engines if self.mt is None else engines.replaced({MT: self.mt})


def engines(*answers: str) -> Translating:
    return Translating(stt=FakeRecognizer(*answers))


def with_original(config: Config, volume: float) -> Config:
    """The configuration with a listener who hears the speaker too."""
    pipelines = {name: replace(pipeline, original_volume=volume) for name, pipeline in config.pipelines.items()}
    return replace(config, pipelines=pipelines)


@asynccontextmanager
async def serving(*answers: str, **server: Any) -> AsyncIterator[Running]:
    async with running(configured(**server), loaded(configured(**server), engines(*answers))) as server_there:
        yield server_there


def append(audio: bytes) -> Any:
    return {"type": "session.input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}


UPDATE: Any = {
    "type": "session.update",
    "session": {"audio": {"output": {"language": "x-bench"}, "input": {"transcription": {"model": "whisper-1"}}}},
}
CLOSE: Any = {"type": "session.close"}


def joined(events: list[Any], kind: str) -> str:
    return "".join(event.delta for event in events if event.type == kind)


def audio_of(events: list[Any]) -> bytes:
    return b"".join(base64.b64decode(one.delta) for one in events if one.type == "session.output_audio.delta")


def check(events: list[Any], *, original: bool = False) -> None:
    """Every event parses strictly, and positions of the input only grow. `original`: some audio is the speaker's own."""
    for event in events:
        STRICT.validate_python(json.loads(event.to_json()), strict=False)
    for kind in ("session.output_audio.delta", "session.output_transcript.delta", "session.input_transcript.delta"):
        positions = [event.elapsed_ms for event in events if event.type == kind and event.elapsed_ms is not None]
        assert positions == sorted(positions)
        assert all(at % 200 == 0 for at in positions)
        assert all(event.elapsed_ms is not None for event in events if event.type == kind) or original


@pytest.mark.proves("session.created", state="sent", dialect="translations")
@pytest.mark.proves("session.closed", state="sent", dialect="translations")
@pytest.mark.proves("session.input_transcript.delta", state="sent", dialect="translations")
@pytest.mark.proves("session.output_transcript.delta", state="sent", dialect="translations")
@pytest.mark.proves("session.output_audio.delta", state="sent", dialect="translations")
async def test_the_stock_client_hears_the_translation_and_everything_pending_before_the_close() -> None:
    async with serving("Good day.", "Bye now.", "Bye now.") as server, asyncio.timeout(PATIENCE_S):
        opened = server.client().realtime.translations.connect(model="gpt-realtime-translate")
        async with opened as connection:
            events: list[Any] = [await connection.recv()]
            assert events[0].type == "session.created"
            assert events[0].session.type == "translation"
            await connection.send(UPDATE)
            for chunk in [*TALK, *TALK[:6]]:
                await connection.send(append(chunk))
            await connection.send(CLOSE)
            while events[-1].type != "session.closed":
                events.append(await connection.recv())
            with pytest.raises(ConnectionClosedOK):
                await connection.recv()
    check(events)
    assert [event.type for event in events].count("session.closed") == 1
    assert joined(events, "session.input_transcript.delta") == "Good day. Bye now."
    assert joined(events, "session.output_transcript.delta") == "dooG yad. eyB won."
    audio = [event for event in events if event.type == "session.output_audio.delta"]
    assert {(one.format, one.sample_rate, one.channels) for one in audio} == {("pcm16", 24_000, 1)}
    assert not [event for event in events if event.type == "error"]


async def test_the_helper_of_the_package_finishes_a_session() -> None:
    async with serving("Good day.", "Good day.") as server, asyncio.timeout(PATIENCE_S):
        client = server.client()
        async with AsyncTranslationSession(client.realtime.translations, model="gpt-realtime-translate") as session:
            await session.send(UPDATE)
            for chunk in TALK[:6]:
                await session.send(append(chunk))
            await session.send(CLOSE)
            await session.send(CLOSE)
            events: list[Any] = []
            while not events or events[-1].type != "session.closed":
                events.append(await session.recv())
    assert joined(events, "session.output_transcript.delta") == "dooG yad."


async def test_a_listener_who_hears_the_speaker_too_gets_the_translation_over_it_in_the_time_of_the_input() -> None:
    config = with_original(configured(), 0.0)
    async with (
        running(config, loaded(config, engines("Good day."))) as server,
        asyncio.timeout(PATIENCE_S),
        server.client().realtime.translations.connect(model="gpt-realtime-translate") as connection,
    ):
        await connection.recv()
        await connection.send(UPDATE)
        await connection.recv()
        events: list[Any] = []
        sent, heard = [], b""
        for chunk in [*TALK, *[TALK[-1]] * 100]:
            await connection.send(append(chunk))
            sent.append(chunk)
            while len(heard) < len(b"".join(sent)):
                events.append(await connection.recv())
                heard = audio_of(events)
            if any(heard[-len(chunk) :]) and not any(chunk):
                break
        for _ in range(10):
            await connection.send(append(TALK[-1]))
            sent.append(TALK[-1])
        await connection.send(CLOSE)
        while events[-1].type != "session.closed":
            events.append(await connection.recv())
    check(events, original=True)
    assert joined(events, "session.output_transcript.delta") == "dooG yad."
    heard = audio_of(events)
    assert heard.startswith(b"".join(TALK[:5])), "the speaker, as loud as it was"
    assert any(heard[len(b"".join(TALK)) :]), "the translation"
    assert len(heard) == len(b"".join(sent)), "which takes no time of its own"


@pytest.mark.filterwarnings("ignore:connect:DeprecationWarning")
def test_the_blocking_clients_do_the_same() -> None:
    async def make(config: Any) -> Any:
        return loaded(config, engines("Good day.", "Good day."))

    with running_in_thread(configured(), make) as server:
        client = server.sync_client()
        with TranslationSession(client.realtime.translations, model="gpt-realtime-translate") as session:
            session.send(UPDATE)
            for chunk in TALK[:6]:
                session.send(append(chunk))
            session.send(CLOSE)
            events: list[Any] = []
            while not events or events[-1].type != "session.closed":
                events.append(session.recv(timeout=PATIENCE_S))
        assert joined(events, "session.output_transcript.delta") == "dooG yad."
        with client.realtime.translations.connect(model="gpt-realtime-translate") as connection:
            assert connection.recv().type == "session.created"
        client.close()


async def test_a_client_secret_opens_its_session_and_no_other() -> None:
    async with serving("Good day.", api_keys=("key-of-the-owner",)) as server, asyncio.timeout(PATIENCE_S):
        owner = server.client("key-of-the-owner")
        secret = await owner.realtime.translations.client_secrets.create(
            session={"model": "gpt-realtime-translate", "audio": {"output": {"language": "x-bench"}}}
        )
        assert isinstance(secret, RealtimeTranslationClientSecretCreateResponse)
        RealtimeTranslationClientSecretCreateResponse.model_validate(json.loads(secret.to_json()))
        assert secret.session.audio.output is not None
        assert secret.session.audio.output.language == "x-bench"
        headers = {"authorization": f"Bearer {secret.value}"}
        async with websockets.connect(f"{server.ws}/v1/realtime/translations", additional_headers=headers) as link:
            assert json.loads(await link.recv())["session"]["audio"]["output"]["language"] == "x-bench"
        assert (await refusal(server, "/v1/realtime", additional_headers=headers))["code"] == "intent_not_allowed"
        other = await owner.realtime.client_secrets.create()
        await owner.close()
        foreign = {"authorization": f"Bearer {other.value}"}
        path = "/v1/realtime/translations?model=gpt-realtime"
        assert (await refusal(server, path, additional_headers=foreign))["code"] == "intent_not_allowed"


async def refusal(server: Running, path: str, **options: Any) -> dict[str, Any]:
    with pytest.raises(InvalidStatus) as refused:
        async with websockets.connect(f"{server.ws}{path}", **options):
            pass
    answer: dict[str, Any] = json.loads(refused.value.response.body or b"{}")["error"]
    return answer


async def test_bad_handshakes_are_refused_with_what_is_wrong() -> None:
    async with serving() as server, asyncio.timeout(PATIENCE_S):
        path = "/v1/realtime/translations"
        assert (await refusal(server, path))["code"] == "missing_required_parameter"
        assert (await refusal(server, f"{path}?model=m&intent=transcription"))["param"] == "intent"
        beta = await refusal(
            server,
            f"{path}?model=gpt-realtime-translate",
            subprotocols=[Subprotocol("realtime"), Subprotocol("openai-beta.realtime-v1")],
        )
        assert beta["message"] == "Translation sessions are only available on the GA API."
        assert (await refusal(server, f"{path}?model=unknown"))["code"] == "model_not_found"


async def test_a_pipeline_without_a_translator_says_how_to_get_one() -> None:
    config = configured()
    async with running(config, loaded(config, Translating(mt=None))) as server, asyncio.timeout(PATIENCE_S):
        error = await refusal(server, "/v1/realtime/translations?model=gpt-realtime-translate")
        assert error["code"] == "translation_not_available"
        assert "models pull" in error["message"]


async def test_updates_are_honoured_or_refused_and_frames_may_be_binary() -> None:
    async with serving("Good day.") as server, asyncio.timeout(PATIENCE_S):
        url = f"{server.ws}/v1/realtime/translations?model=gpt-realtime-translate"
        async with websockets.connect(url) as link:
            await link.recv()

            async def asks(event: Any) -> dict[str, Any]:
                await link.send(json.dumps(event).encode())
                answer: dict[str, Any] = json.loads(await link.recv())
                return answer

            def update(**session: Any) -> Any:
                return {"type": "session.update", "event_id": "mine", "session": session}

            first = await asks(update(audio={"input": {"noise_reduction": {"type": "near_field", "strength": 0.5}}}))
            kept = await asks(update(audio={"input": {"noise_reduction": {"type": "far_field"}}}))
            assert first["session"]["audio"]["input"]["noise_reduction"]["strength"] == 0.5
            assert kept["session"]["audio"]["input"]["noise_reduction"] == {"type": "far_field", "strength": 0.5}
            language = await asks(update(audio={"output": {"language": "ja"}}))
            assert (language["error"]["param"], language["error"]["event_id"]) == (
                "session.audio.output.language",
                "mine",
            )
            assert (await asks(update(model="another")))["error"]["param"] == "session.model"
            assert (await asks(update(voice="alloy")))["error"]["code"] == "unknown_parameter"
            assert (await asks({"type": "response.create"}))["type"] == "error"
            await link.send(json.dumps(CLOSE).encode())
            assert json.loads(await link.recv())["type"] == "session.closed"


async def test_the_page_learns_what_a_pipeline_translates_into() -> None:
    async with serving() as server, httpx.AsyncClient() as client:
        answer = (await client.get(f"{server.http}/parley/pipelines")).json()
        assert answer["pipelines"][0]["translates_into"] == ["x-bench"]


async def test_a_client_secret_without_a_model_is_refused() -> None:
    async with serving() as server, httpx.AsyncClient() as http:
        answer = await http.post(f"{server.http}/v1/realtime/translations/client_secrets", json={"session": {}})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "session.model")
