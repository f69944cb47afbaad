"""Voices that a server makes of recordings, as OpenAI has them: `POST /audio/voice_consents`, then `POST /audio/voices`.

Laws:
- Both are named after what they were made of (`parley-` and 16 hexadecimal digits), and looked for in the server's lists before anything
  is sent: a process that starts anew uploads nothing twice. A server without lists is sent the recordings once by each process.
- Those who want one voice at the same time wait for one upload, which goes on when they leave.
- A request that makes something is sent again only where the server has done nothing: 429, 503, and connections that never were.
- Bounded: `MAX_KEPT` voices, consents and refusals are remembered, `MAX_PAGES` pages of a list are read. What a server has refused is not
  sent again for `REST_S`. A voice that is lost within that time of its upload, or of its last loss, is not made for `LOST_RESTS` times as
  long.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar

from parley.audio.files import Recording, to_wav
from parley.engines.openai_api.client import EndpointClient, Form
from parley.engines.openai_api.errors import Endpoint, StatusError, failure_of, said_by
from parley.engines.openai_api.retries import Retries
from parley.engines.openai_api.voices import is_voice_unknown
from parley.engines.ports import (
    VOICE_LOST,
    ConsentRecording,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    VoiceSample,
)
from parley.invocation import command

T = TypeVar("T")

MAX_KEPT: Final = 256
MAX_PAGES: Final = 10
PAGE: Final = 100
MAX_ID_CHARS: Final = 200

MAKE_S: Final = 60.0
"""For a voice with its consent: two uploads of some MB, and the server's own work on them."""

REST_S: Final = 60.0
LOST_RESTS: Final = 10

VOICES, CONSENTS = "/audio/voices", "/audio/voice_consents"

_OWN: Final = "own-"
NAME_DIGITS: Final = 32

_NO_LIST: Final = frozenset({400, 403, 404, 405, 422, 501})
_NO_API: Final = frozenset({404, 405, 501})
_UNDONE: Final = frozenset({429, 503})


class CustomVoices:
    """The voices of recordings at one endpoint. `client` and `endpoint` are those of the engine's connection at this moment.

    `name_of()` gives a name, `id_of()` the server's id for it. Call `close()` before the client is closed.
    """

    def __init__(
        self,
        client: Callable[[], EndpointClient],
        endpoint: Callable[[], Endpoint],
        *,
        make_s: float = MAKE_S,
        rest_s: float = REST_S,
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._make_s = make_s
        self._rest_s = rest_s
        self._ids: OrderedDict[str, str] = OrderedDict()
        self._consents: OrderedDict[str, str] = OrderedDict()
        self._fresh: OrderedDict[str, float] = OrderedDict()
        """When a voice was uploaded, or found to be lost, in the loop's time."""
        self._refused: OrderedDict[str, tuple[EngineRefused, float]] = OrderedDict()
        """What is refused without asking, and until when."""
        self._making: dict[str, asyncio.Task[None]] = {}

    async def name_of(self, sample: VoiceSample) -> str:
        """The name of the voice of a recording; it is made where the server does not have it.

        Raises `EngineRefused` (`consent_required`, `consent_refused`, `invalid_sample`, `no_cloning`, `voice_refused`) and `EngineError`.
        """
        if sample.consent is None:
            raise self._no_consent()
        name = _OWN + _digest(sample, sample.consent)[:NAME_DIGITS]
        if name in self._ids:
            self._ids.move_to_end(name)
            return name
        refusal, until = self._refused.get(name, (None, 0.0))
        if refusal is not None and asyncio.get_running_loop().time() < until:
            raise EngineRefused(refusal.message, refusal.remedy, code=refusal.code)
        making = self._making.get(name)
        if making is None:
            making = asyncio.get_running_loop().create_task(self._make(name, sample, sample.consent))
            self._making[name] = making
            making.add_done_callback(lambda task: self._made(name, task))
        try:
            await asyncio.shield(making)
        except asyncio.CancelledError:
            if making.cancelled():  # by `close()`
                raise EngineUnavailable(
                    f"The connection to {self._endpoint().shown_url} was closed.", code="engine_closed"
                ) from None
            raise
        return name

    @staticmethod
    def owns(name: str) -> bool:
        """Whether `name_of()` gives names like this one."""
        return name.startswith(_OWN) and len(name) == len(_OWN) + NAME_DIGITS

    def id_of(self, name: str) -> str | None:
        """The server's id of the voice of this name; None where none is known."""
        return self._ids.get(name)

    def failure(self, error: BaseException, name: str) -> EngineRefused:
        """What is wrong where a server says something against the voice of this name.

        One that it does not know any more is forgotten here too: it is made again when it is asked for, unless it is lost again and again.
        """
        where, words = self._endpoint().shown_url, said_by(getattr(error, "body", None), self._endpoint())[1]
        if not is_voice_unknown(error, self._endpoint()):
            return EngineRefused(
                f"{where} does not speak with the voice of the recording{words}",
                "Choose another voice, or a model that speaks with custom voices.",
                code="unknown_voice",
            )
        self._forget(name)
        return self.lost(words)

    def lost(self, words: str = ".") -> EngineRefused:
        """What is said of a voice that was made, and is known no longer."""
        where = self._endpoint().shown_url
        return EngineRefused(
            f"{where} does not know the voice any more that it made of the recording{words}",
            "It is made again with the next text.",
            code=VOICE_LOST,
        )

    def _forget(self, name: str) -> None:
        self._ids.pop(name, None)
        now = asyncio.get_running_loop().time()
        before = self._fresh.get(name)
        _remember(self._fresh, name, now)
        if before is not None and now - before < self._rest_s:
            where = self._endpoint().shown_url
            refusal = EngineRefused(
                f"{where} has made a voice of the recording, and does not know it when it is to speak.",
                "Does the model speak with custom voices? The server's log may tell.",
                code="unknown_voice",
            )
            _remember(self._refused, name, (refusal, now + LOST_RESTS * self._rest_s))

    async def close(self) -> None:
        """End what is being made; those who wait for it are told. Idempotent."""
        making = tuple(self._making.values())
        for task in making:
            task.cancel()
        if making:
            await asyncio.wait(making)

    # --- one voice ---

    def _made(self, name: str, task: asyncio.Task[None]) -> None:
        self._making.pop(name, None)
        refusal = None if task.cancelled() else task.exception()
        if isinstance(refusal, EngineRefused):
            _remember(self._refused, name, (refusal, asyncio.get_running_loop().time() + self._rest_s))

    async def _make(self, name: str, sample: VoiceSample, consent: ConsentRecording) -> None:
        called = f"parley-{_digest(sample, consent)[:16]}"
        try:
            async with asyncio.timeout(self._make_s) as limit:
                made = await self._listed(VOICES, called) or await self._uploaded(name, called, sample, consent)
        except EngineError:
            raise
        except Exception as error:  # noqa: BLE001 - the engine boundary
            if isinstance(error, TimeoutError) and limit.expired():
                raise EngineError(
                    f"{self._endpoint().shown_url} did not make the voice within {self._make_s:g} s.",
                    "Is it overloaded? The voice is asked for again with the next text.",
                    code="timeout",
                ) from None
            raise failure_of(error, self._endpoint()).error from None  # (the cause may repeat a key)
        self._refused.pop(name, None)
        _remember(self._ids, name, made)

    async def _uploaded(self, name: str, called: str, sample: VoiceSample, consent: ConsentRecording) -> str:
        known = self._consents.get(consent.sha256)
        allowed = known or await self._consented(consent)
        wav = await asyncio.to_thread(to_wav, Recording(sample.audio, sample.sample_rate))
        try:
            made = await self._voice(called, wav, allowed)
        except StatusError as error:
            if error.status == 409:  # another process was quicker
                made = await self._listed(VOICES, called)
                if made:
                    return made
            if known is None or not self._is_about(error, "consent"):
                raise self._refusal(error, "the voice") from None
            # The server has lost the consent that it gave.
            self._consents.pop(consent.sha256, None)
            try:
                made = await self._voice(called, wav, await self._consented(consent))
            except StatusError as again:
                raise self._refusal(again, "the voice") from None
        _remember(self._fresh, name, asyncio.get_running_loop().time())
        return made

    async def _voice(self, called: str, wav: bytes, consent: str) -> str:
        fields = [("name", called), ("consent", consent)]
        return await self._posted(VOICES, Form(fields, "voice.wav", "audio/wav", wav, "audio_sample"))

    async def _consented(self, consent: ConsentRecording) -> str:
        """The server's id of the consent, which is uploaded where the server does not have it."""
        called = f"parley-{consent.sha256[:16]}"
        found = await self._listed(CONSENTS, called)
        if not found:
            fields = [("name", called), ("language", consent.language)]
            form = Form(fields, "consent.wav", "audio/wav", consent.wav, "recording")
            try:
                found = await self._posted(CONSENTS, form)
            except StatusError as error:
                raise self._refusal(error, "the consent") from None
        _remember(self._consents, consent.sha256, found)
        return found

    # --- requests ---

    async def _listed(self, path: str, called: str) -> str:
        """The id of what has this name in the list at `path`; "" where there is none, or no list."""
        query = {"limit": str(PAGE)}
        for _ in range(MAX_PAGES):
            try:
                answer = await self._repeated(partial(self._client().get_json, path, dict(query)))
            except StatusError as error:
                if error.status in _NO_LIST:
                    return ""
                raise
            entries = answer.get("data") or answer.get("voices") if isinstance(answer, dict) else answer
            if not isinstance(entries, list):
                return ""
            for entry in entries:
                if isinstance(entry, dict) and entry.get("name") == called and (found := _id_in(entry)):
                    return found
            last = _id_in(entries[-1]) if entries else ""
            if not (isinstance(answer, dict) and answer.get("has_more") is True and last):
                return ""
            query["after"] = last
        return ""

    async def _posted(self, path: str, form: Form) -> str:
        """The id of what is made of a form. Raises `StatusError`, and whatever the client raises."""

        async def made() -> object:
            async with self._client().post(path, form) as answer:
                return await answer.json()

        answer = await self._repeated(made)
        found = _id_in(answer)
        if not found:
            raise EngineError(
                f"{self._endpoint().shown_url} answered {path} without an id.",
                "Does it have OpenAI's custom voices? Set the option clones to false if not.",
                code="server_error",
            )
        return found

    async def _repeated(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, asked for again where the server has done nothing so far and a pause may help."""
        retries = Retries(self._endpoint().service.title)
        while True:
            try:
                return await ask()
            except Exception as error:
                undone = isinstance(error, StatusError) and error.status in _UNDONE
                if not undone and type(error).__name__ not in ("ConnectError", "ConnectTimeout"):
                    raise
                pause_s = retries.pause_after(failure_of(error, self._endpoint()), begun=False)
            await asyncio.sleep(pause_s)

    # --- refusals ---

    def _no_consent(self) -> EngineRefused:
        where = self._endpoint().shown_url
        added = command("voices", "add", "NAME", "clip.wav", "--consent", "recording.wav")
        return EngineRefused(
            f"{where} wants a recording of the person's consent, and this voice has none.",
            f"Remove the voice, and add it again with one: {added}",
            code="consent_required",
        )

    def _is_about(self, error: StatusError, field: str) -> bool:
        code, _ = said_by(error.body, self._endpoint())
        return error.status in (400, 404, 422) and (
            _param(error.body) == field or code.startswith(f"{field}_not_found")
        )

    def _refusal(self, error: StatusError, what: str) -> EngineError:
        """What a server says against a recording, in words."""
        endpoint = self._endpoint()
        code, words = said_by(error.body, endpoint)
        if error.status in _NO_API and not self._is_about(error, "consent"):
            return EngineRefused(
                f"{endpoint.shown_url} makes no voices of recordings (HTTP {error.status}).",
                "Set the option clones to false, or use an engine that clones voices.",
                code="no_cloning",
            )
        if error.status not in (400, 404, 409, 413, 415, 422):
            return failure_of(error, endpoint).error
        if _param(error.body) == "audio_sample" and code != "cloning_not_available":
            refused, remedy = (
                "invalid_sample",
                "Give about ten seconds of one person who speaks, without noise or music.",
            )
        elif what == "the consent":
            refused = "consent_refused"
            added = command("voices", "add", "NAME", "clip.wav", "--consent", "recording.wav", "--sentence", "TEXT")
            remedy = (
                f"Have the person read the sentence that this server asks for, and add the voice again with it: {added}"
            )
        else:
            refused, remedy = "voice_refused", "Its documentation, or its log, tells which voices it makes."
        return EngineRefused(f"{endpoint.shown_url} refused {what} (HTTP {error.status}){words}", remedy, code=refused)


def _digest(sample: VoiceSample, consent: ConsentRecording) -> str:
    return hashlib.sha256(f"{sample.sha256}\n{consent.sha256}\n{consent.language}".encode()).hexdigest()


def _id_in(answer: object) -> str:
    found = answer.get("id") if isinstance(answer, dict) else None
    return found if isinstance(found, str) and found.isprintable() and len(found) <= MAX_ID_CHARS else ""


def _param(body: Any) -> object:
    error = body.get("error") if isinstance(body, dict) else None
    return error.get("param") if isinstance(error, dict) else None


def _remember(kept: OrderedDict[str, T], key: str, value: T) -> None:
    """Keep it as the newest; of more than `MAX_KEPT` the oldest goes."""
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > MAX_KEPT:
        kept.popitem(last=False)
