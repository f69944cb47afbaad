"""`/v1/audio/voices` and `/v1/audio/voice_consents` with the stock client, and sessions that speak with what they made: a tiny Phonon
that clones, and a tiny Kokoro that cannot."""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openai import APIStatusError, AsyncOpenAI
from openai.types.audio import Voice, VoiceConsent

from parley.config import Config
from parley.engines import registry
from parley.engines.ports import LLM, STT, TTS, TURN, VAD, Engine, EngineSpec, Samples, Stage
from parley.engines.voices.store import VoiceStore
from parley.runtime.engines import LoadedEngines
from parley.testing.fakes import FakeModel, FakeRecognizer, FakeTurnJudge, FakeVoiceActivity
from parley.text.consent import PHRASES
from tests.engines.tiny_kokoro import folder as kokoro_folder
from tests.engines.tiny_kokoro import style
from tests.engines.tiny_phonon import phonon_folder
from tests.library.rig import silence, voice
from tests.server.harness import Running, Talk, configured, running, talking
from tests.server.recordings import wav
from tests.server.test_conversation import write

pytest.importorskip("ptts", reason="ptts (the extra `phonon`) is not installed")

READ = PHRASES["en"].text
KEY = "sk-the-owner"


def tone(hertz: float, seconds: float = 4.0) -> bytes:
    """A recording of a 'person': a tone of that height."""
    times = np.arange(round(24_000 * seconds)) / 24_000
    return wav((9_000 * np.sin(2 * np.pi * hertz * times)).astype("<i2"))


READING = wav(np.concatenate([silence(300), voice(3_000), silence(900)]))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of both engines."""
    made = tmp_path_factory.mktemp("weights")
    phonon_folder(made / "phonon-31m")
    kokoro_folder(made / "kokoro")
    return made


class Rig:
    """A server of two pipelines: `default` speaks with Phonon, `tensors` with Kokoro. `heard` is what the recogniser hears next."""

    def __init__(self, weights: Path, store: Path, **server: Any) -> None:
        self.recognizer = FakeRecognizer()
        self.store = VoiceStore(store)
        self._weights = weights
        base = configured(**server)
        default = base.pipelines["default"]
        speaking = {
            "default": EngineSpec("phonon", str(weights / "phonon-31m"), {"threads": 1}),
            "tensors": EngineSpec("kokoro", str(weights / "kokoro"), {"threads": 1}),
        }
        self.config: Config = replace(
            base,
            pipelines={
                name: replace(default, name=name, engines=self._engines(tts), voice="alloy", speculation=False)
                for name, tts in speaking.items()
            },
        )

    def _engines(self, tts: EngineSpec) -> dict[Stage[Any], EngineSpec]:
        return {**{stage: EngineSpec("fake") for stage in (VAD, TURN, STT, LLM)}, TTS: tts}

    def _create(self, stage: Stage[Any], spec: EngineSpec) -> Engine:
        fakes: dict[Stage[Any], Engine] = {
            VAD: FakeVoiceActivity(),
            TURN: FakeTurnJudge(),
            STT: self.recognizer,
            LLM: FakeModel(["Good day to you."]),
        }
        return fakes[stage] if stage in fakes else registry.create(stage, spec)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Running]:
        engines = await LoadedEngines.open_all(self.config.pipelines.values(), create=self._create, voices=self.store)
        assert not engines.failures, engines.failures
        async with running(self.config, engines) as server:
            yield server

    async def consent(self, client: AsyncOpenAI, heard: str = READ, **fields: Any) -> VoiceConsent:
        self.recognizer.answers.append(heard)
        asked: dict[str, Any] = {"name": "Carol", "language": "en-GB", "recording": ("read.wav", READING)} | fields
        return await client.audio.voice_consents.create(**asked)

    async def voice(self, client: AsyncOpenAI, name: str = "carol", hertz: float = 150.0, **fields: Any) -> Voice:
        consent = await self.consent(client)
        asked: dict[str, Any] = {"name": name, "consent": consent.id, "audio_sample": ("c.wav", tone(hertz))} | fields
        return await client.audio.voices.create(**asked)


@pytest.fixture
def rig(weights: Path, tmp_path: Path) -> Rig:
    return Rig(weights, tmp_path / "own")


async def refused(request: Any) -> tuple[int, str, str | None, str]:
    """The status of an error in OpenAI's shape, its code, its param and its message."""
    with pytest.raises(APIStatusError) as error:
        await request
    body = error.value.response.json()["error"]
    assert set(body) == {"message", "type", "param", "code"}
    return error.value.status_code, body["code"], body["param"], body["message"]


async def spoken(talk: Talk) -> Samples:
    """What is heard of a reply."""
    await write(talk, "Hello.")
    await talk.send(type="response.create")
    done = await talk.until("response.done")
    assert done.response.status == "completed", done.response.status_details
    audio = b"".join(
        base64.b64decode(event.delta)
        for event in talk.of("response.output_audio.delta")
        if event.response_id == done.response.id
    )
    return np.frombuffer(audio, "<i2").astype(np.float32)


def differ(one: Samples, other: Samples) -> bool:
    return len(one) != len(other) or float(np.abs(one - other).max()) > 300


async def with_voice(server: Running, named: Any, model: str = "default") -> Samples:
    async with talking(server, model) as talk:
        await talk.send(type="session.update", session={"type": "realtime", "audio": {"output": {"voice": named}}})
        await talk.until("session.updated")
        return await spoken(talk)


async def test_a_stock_client_adds_a_voice_and_a_stock_client_speaks_with_it(rig: Rig) -> None:
    async with rig.serving() as server, server.client() as client:
        plain = await with_voice(server, "alloy")
        low, high = await rig.voice(client), await rig.voice(client, "dora", 700.0)
        assert (low.object, low.type, low.name) == ("audio.voice", "audio_sample", "carol")
        assert low.id.startswith("voice_")
        by_id, by_name = await with_voice(server, {"id": low.id}), await with_voice(server, "carol")
        assert not differ(by_id, by_name)
        assert differ(by_id, plain)
        assert differ(by_id, await with_voice(server, {"id": high.id}))


async def test_one_response_and_a_client_secret_can_name_a_voice(rig: Rig) -> None:
    async with rig.serving() as server, server.client() as client:
        made = await rig.voice(client)
        expected = await with_voice(server, {"id": made.id})
        async with talking(server) as talk:
            await write(talk, "Hello.")
            await talk.send(type="response.create", response={"audio": {"output": {"voice": {"id": made.id}}}})
            done = await talk.until("response.done")
            assert done.response.status == "completed"
            audio = b"".join(base64.b64decode(event.delta) for event in talk.of("response.output_audio.delta"))
            assert not differ(np.frombuffer(audio, "<i2").astype(np.float32), expected)
        secret = await client.realtime.client_secrets.create(
            session={"type": "realtime", "audio": {"output": {"voice": {"id": made.id}}}}
        )
        async with talking(server, key=secret.value) as talk:
            assert not differ(await spoken(talk), expected)
        unknown = client.realtime.client_secrets.create(
            session={"type": "realtime", "audio": {"output": {"voice": {"id": "voice_" + 24 * "0"}}}}
        )
        status, _, param, said = await refused(unknown)
        assert (status, param) == (400, "session.audio.output.voice")
        assert "carol" in said


async def test_a_pipeline_that_cannot_clone_names_those_that_can(rig: Rig) -> None:
    async with rig.serving() as server, server.client() as client:
        made = await rig.voice(client)
        async with talking(server, "tensors") as talk:
            for named in ({"id": made.id}, "carol"):
                await talk.send(
                    type="session.update", session={"type": "realtime", "audio": {"output": {"voice": named}}}
                )
                error = (await talk.until("error")).error
                assert error.param == "session.audio.output.voice"
                assert "kokoro cannot speak" in error.message
                assert "default" in error.message


async def test_tensors_and_mixes_of_the_owner_are_spoken_by_kokoro_and_by_no_other(rig: Rig) -> None:
    rig.store.add_tensor("af_mine", style(9, rank=2))
    rig.store.add_mix("evening", "af_bella(2)+af_mine(1)")
    async with rig.serving() as server:
        heard = [
            await with_voice(server, name, "tensors")
            for name in ("af_bella", "af_mine", "evening", "af_bella(2)+af_mine(1)", "af_bella(1)+af_mine(2)")
        ]
        assert differ(heard[0], heard[1])
        assert differ(heard[0], heard[2])
        assert not differ(heard[2], heard[3])
        assert differ(heard[3], heard[4])
        async with talking(server) as talk:
            await talk.send(
                type="session.update", session={"type": "realtime", "audio": {"output": {"voice": "evening"}}}
            )
            assert "tensors" in (await talk.until("error")).error.message


async def test_a_removed_voice_goes_on_in_running_sessions_and_is_refused_in_new_ones(rig: Rig) -> None:
    async with rig.serving() as server, server.client() as client:
        made = await rig.voice(client)
        async with talking(server) as talk, talking(server) as beside:
            for one in (talk, beside):
                await one.send(
                    type="session.update",
                    session={"type": "realtime", "audio": {"output": {"voice": {"id": made.id}}}},
                )
                await one.until("session.updated")
            before = await spoken(talk)
            deleted = await client.audio.voices.delete(made.id)
            assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "audio.voice.deleted")
            assert [path.name for path in rig.store.folder.glob("voice_*")] == [], "the recording is deleted too"
            assert not differ(before, await spoken(talk))
            assert (await spoken(beside)).size
        assert (await refused(client.audio.voices.delete(made.id)))[0] == 404
        async with talking(server) as talk:
            await talk.send(
                type="session.update", session={"type": "realtime", "audio": {"output": {"voice": made.id}}}
            )
            assert "Unknown voice" in (await talk.until("error")).error.message


async def test_a_voice_that_another_process_adds_is_there_for_the_next_session(rig: Rig, tmp_path: Path) -> None:
    async with rig.serving() as server, talking(server) as old:
        program = (
            "import sys, pathlib, numpy as np\n"
            "from parley.audio.files import Recording\n"
            "from parley.engines.voices.store import VoiceStore\n"
            "audio = np.sin(np.arange(96_000) / 9).astype(np.float32) / 2\n"
            "VoiceStore(pathlib.Path(sys.argv[1])).add_clip('erin', Recording(audio, 24_000))\n"
        )
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            str(rig.store.folder),
        )
        assert await child.wait() == 0
        assert (await with_voice(server, "erin")).size
        await old.send(type="session.update", session={"type": "realtime", "audio": {"output": {"voice": "erin"}}})
        assert "Unknown voice" in (await old.until("error")).error.message, "what a session can do is fixed"


async def test_consents_are_listed_page_by_page_renamed_and_deleted(rig: Rig) -> None:
    async with rig.serving() as server, server.client() as client:
        made = [await rig.consent(client, name=f"Person {number}") for number in range(5)]
        assert {one.object for one in made} == {"audio.voice_consent"}
        assert all(one.id.startswith("cons_") and one.language == "en-GB" for one in made)
        pages = [one async for one in await client.audio.voice_consents.list(limit=2)]
        assert sorted(one.id for one in pages) == sorted(one.id for one in made)
        page = await client.audio.voice_consents.list(limit=2)
        assert (len(page.data), page.has_more) == (2, True)
        renamed = await client.audio.voice_consents.update(made[0].id, name="Carol")
        assert renamed == await client.audio.voice_consents.retrieve(made[0].id)
        assert renamed.name == "Carol"
        gone = await client.audio.voice_consents.delete(made[0].id)
        assert (gone.id, gone.deleted, gone.object) == (made[0].id, True, "audio.voice_consent")
        assert (await refused(client.audio.voice_consents.retrieve(made[0].id)))[:3] == (
            404,
            "consent_not_found",
            "consent_id",
        )
        for query, param in (({"after": "cons_x"}, "after"), ({"limit": 101}, "limit"), ({"limit": 0}, "limit")):
            assert (await refused(client.audio.voice_consents.list(**query)))[2] == param


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("I like bread and butter in the morning.", "was not heard"),
        (READ.replace("agree", "do not agree"), "'not'"),
        ("", "no words"),
        (PHRASES["de"].text, "was not heard"),
        (f"{READ} But only on Sundays, and only when it rains, and never in winter.", "'never'"),
        (f"{READ} But only on Sundays, and only when it rains.", "or more"),
    ],
)
async def test_a_consent_that_was_not_read_word_for_word_is_refused(
    rig: Rig, heard: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with rig.serving() as server, server.client() as client:
        status, code, param, message = await refused(rig.consent(client, heard))
        assert (status, code, param) == (400, "consent_not_read", "recording")
        assert said in message
        assert READ in message, "the message says what to read"
    assert rig.store.consents() == ()
    assert "bread and butter" not in caplog.text


async def test_small_mistakes_of_the_recogniser_are_no_fault_and_silence_is(rig: Rig) -> None:
    async with rig.serving() as server, server.client() as client:
        await rig.consent(
            client, "i'm the owner of this voice and I agreed that my recording is used to make the synthetic voice"
        )
        quiet = await refused(rig.consent(client, recording=("quiet.wav", wav(silence(4_000)))))
        assert quiet[:3] == (400, "clip_silent", "recording")
        other = await refused(rig.consent(client, language="ja"))
        assert other[:3] == (400, "unsupported_language", "language")
        assert "de, en, es" in other[3]


async def test_what_cannot_be_a_voice_names_the_field(rig: Rig) -> None:
    async with rig.serving() as server, server.client() as client:
        consent = (await rig.consent(client)).id
        await rig.voice(client, "taken")
        cases: list[tuple[dict[str, Any], int, str, str]] = [
            ({"name": "taken"}, 409, "name_taken", "name"),
            ({"name": "TAKEN"}, 409, "name_taken", "name"),
            ({"name": "alloy"}, 400, "voice_reserved", "name"),
            ({"name": "anna"}, 400, "voice_reserved", "name"),
            ({"name": "a(2)+b"}, 400, "invalid_name", "name"),
            ({"name": "x" * 65}, 400, "invalid_name", "name"),
            ({"name": "a\nb"}, 400, "invalid_name", "name"),
            ({"consent": "cons_unknown"}, 404, "consent_not_found", "consent"),
            ({"audio_sample": ("s.wav", wav(silence(4_000)))}, 400, "clip_silent", "audio_sample"),
            ({"audio_sample": ("s.wav", tone(150, 1.0))}, 400, "clip_too_short", "audio_sample"),
            ({"audio_sample": ("s.wav", tone(150, 31.0))}, 400, "clip_too_long", "audio_sample"),
            ({"audio_sample": ("s.wav", b"These are words.")}, 400, "clip_not_audio", "audio_sample"),
            ({"audio_sample": ("s.wav", bytes(11 << 20))}, 413, "file_too_large", "audio_sample"),
            ({"type": "video"}, 400, "invalid_value", "type"),
            ({"extra_body": {"colour": "red"}}, 400, "unknown_parameter", "colour"),
        ]
        for fields, status, code, param in cases:
            asked: dict[str, Any] = {"name": "new", "consent": consent, "audio_sample": ("s.wav", tone(150))} | fields
            found = await refused(client.audio.voices.create(**asked))
            assert found[:3] == (status, code, param), (fields, found)
        assert [one.name for one in rig.store.voices()] == ["taken"]
        for form in ({"type": "prompt"}, {"type": "prompt", "model": "auto"}):
            found = await refused(client.audio.voices.create(name="p", prompt="A calm voice.", **form))  # type: ignore[call-overload]
            assert found[:3] == (400, "unsupported_voice_type", "type")
        bare = await refused(client.post("/audio/voices", body={"type": "prompt", "name": "p"}, cast_to=Voice))
        assert bare[1] == "unsupported_voice_type"
        async with talking(server) as talk:
            prompt = {"type": "prompt", "prompt": "A calm voice."}
            await talk.send(type="session.update", session={"type": "realtime", "audio": {"output": {"voice": prompt}}})
            assert "made from a prompt" in (await talk.until("error")).error.message


async def test_voices_are_listed_retrieved_and_renamed(rig: Rig) -> None:
    async with rig.serving() as server, server.client() as client:
        made = [await rig.voice(client, name) for name in ("one", "two", "three")]
        listed = await client.get("/audio/voices?limit=2", cast_to=object)
        assert [one["name"] for one in listed["data"]] == ["three", "two"]  # type: ignore[index]
        assert listed["has_more"] is True  # type: ignore[index]
        path = f"/audio/voices/{made[0].id}"
        assert (await client.get(path, cast_to=Voice)).name == "one"
        assert (await client.post(path, body={"name": "uno"}, cast_to=Voice)).name == "uno"
        assert (await refused(client.post(path, body={"name": "two"}, cast_to=Voice)))[1] == "name_taken"
        assert (await refused(client.post(path, body={"title": "two"}, cast_to=Voice)))[2] == "name"
        assert (await with_voice(server, "uno")).size


async def test_a_twenty_first_voice_is_refused_with_the_setting(rig: Rig) -> None:
    rig.store.limit = 1
    async with rig.serving() as server, server.client() as client:
        consent = (await rig.consent(client)).id
        asked: dict[str, Any] = {"consent": consent, "audio_sample": ("c.wav", tone(150))}
        await client.audio.voices.create(name="first", **asked)
        status, code, _, said = await refused(client.audio.voices.create(name="second", **asked))
        assert (status, code) == (400, "too_many_voices")
        assert "own_voices.limit" in said


async def test_a_full_disk_leaves_the_voices_as_they_were(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig.serving() as server, server.client() as client:
        await rig.voice(client, "kept")
        consent = (await rig.consent(client)).id

        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        made = client.audio.voices.create(name="new", consent=consent, audio_sample=("c.wav", tone(150)))
        assert (await refused(made))[:2] == (507, "storage_full")
        monkeypatch.undo()
        assert [one.name for one in rig.store.voices()] == ["kept"]
        assert not list(rig.store.folder.glob(".*.unfinished"))


async def test_keys_and_pages_are_checked_as_for_every_recording(weights: Path, tmp_path: Path) -> None:
    rig = Rig(weights, tmp_path / "own", api_keys=(KEY,))
    async with rig.serving() as server:
        async with server.client("sk-wrong") as stranger:
            assert (await refused(rig.consent(stranger)))[0] == 401
            assert (await refused(stranger.audio.voices.delete("voice_x")))[0] == 401
            assert (await refused(stranger.audio.voice_consents.list()))[0] == 401
        async with server.client(KEY) as owner:
            made = await rig.voice(owner)
            secret = await owner.realtime.client_secrets.create(session={"type": "realtime"})
            foreign = {"origin": "https://elsewhere.example"}
            asked = owner.audio.voices.delete(made.id, extra_headers=foreign)
            assert (await refused(asked))[0] == 403
        async with server.client(secret.value) as guest:
            assert (await refused(guest.audio.voice_consents.list()))[0] == 403
    assert json.loads((rig.store.folder / f"{made.id}.json").read_text())["name"] == "carol"


async def test_a_voice_is_deleted_while_it_speaks_and_its_reply_is_heard_to_the_end(rig: Rig) -> None:
    async with rig.serving() as server, server.client() as client, httpx.AsyncClient() as http:
        made = await rig.voice(client)
        whole = await with_voice(server, {"id": made.id})
        async with talking(server) as talk:
            voice = {"type": "realtime", "audio": {"output": {"voice": {"id": made.id}}}}
            await talk.send(type="session.update", session=voice)
            await talk.until("session.updated")
            await write(talk, "Hello.")
            await talk.send(type="response.create")
            await talk.until("response.output_audio.delta")
            url = f"{server.http}/v1/audio/voices/{made.id}"
            assert (await http.delete(url)).json()["deleted"] is True
            assert (await talk.until("response.done")).response.status == "completed"
            audio = b"".join(base64.b64decode(event.delta) for event in talk.of("response.output_audio.delta"))
            assert not differ(np.frombuffer(audio, "<i2").astype(np.float32), whole)
            again = await http.delete(url)
            assert again.status_code == 404
            assert "GET /v1/audio/voices" in again.json()["error"]["message"]
            assert "parley voices" not in again.text, "a client is told nothing of the server's commands and folders"
        assert not [path for path in rig.store.folder.iterdir() if path.name.startswith("voice_")]


async def test_of_two_clients_that_want_one_name_at_the_same_time_one_gets_it(rig: Rig) -> None:
    async with rig.serving() as server, server.client() as client:
        consent = (await rig.consent(client)).id
        asked = [
            client.audio.voices.create(name="carol", consent=consent, audio_sample=("c.wav", tone(hertz)))
            for hertz in (150.0, 700.0, 400.0)
        ]
        made = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(one) for one in made].count(Voice) == 1
        assert {one.status_code for one in made if isinstance(one, APIStatusError)} == {409}
        assert [one.name for one in rig.store.voices()] == ["carol"]
        assert len(list(rig.store.folder.glob("voice_*.wav"))) == 1


async def test_a_recording_that_gives_no_voice_leaves_nothing_behind(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley.engines.voices.clips.MIN_SECONDS", 0.1)
    async with rig.serving() as server, server.client() as client:
        found = await refused(rig.voice(client, audio_sample=("c.wav", tone(150, 0.5))))
        assert found[:3] == (400, "invalid_sample", "audio_sample")
        assert not rig.store.voices()
        assert not list(rig.store.folder.glob("voice_*"))


async def test_a_server_without_an_engine_that_clones_says_which_would(weights: Path, tmp_path: Path) -> None:
    rig = Rig(weights, tmp_path / "own")
    tensors = replace(rig.config.pipelines["tensors"], name="default")
    rig.config = replace(rig.config, pipelines={"default": tensors})
    async with rig.serving() as server, server.client() as client:
        status, code, _, said = await refused(rig.voice(client))
        assert (status, code) == (400, "cloning_not_available")
        assert "phonon" in said
