"""`/v1/audio/voices`: voices that are made of a recording, as OpenAI has them; list, retrieve and rename are Parley's own.

Laws:
- A voice needs a consent that was read aloud (`voice_consents_rest.py`). It is there at once for sessions that begin from now on; sessions
  that speak with a deleted one go on with it.
- A recording is tried on the engines before the voice is answered: one that gives no voice, to any of them, leaves nothing
  behind. An engine that fails for another reason does not matter while another one can.
- Where an engine needs the words of the recording and the request has none, the server's recogniser hears them, in the language of the
  consent. They are kept with the voice and shown, never logged. Engines that need none wait for no recogniser.
- Key, origin, room and size are checked as for every recording (`audio_upload.py`).
"""

from __future__ import annotations

import logging
from typing import Final

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.audio.files import Recording
from parley.engines.ports import STT, ClonesVoices, EngineError, EngineRefused
from parley.engines.voices import clips
from parley.engines.voices.records import OwnVoice, key_of
from parley.engines.voices.shelf import VoiceShelf, engines_for
from parley.server.audio_upload import AudioRequests, FormShape, no_file, until_gone
from parley.server.openapi.operation import described, form_body, json_answer, json_body
from parley.server.own_recogniser import OwnRecogniser, words_of
from parley.server.refusals import Refusal, Refused
from parley.server.voice_answers import PAGE_FIELDS, Renamed, answer, new_name, page_of, stored

log = logging.getLogger("parley.server")

FORM: Final = FormShape(
    ("name", "consent", "type", "text", "prompt", "model", "script_hint"),
    file="audio_sample",
    max_bytes=clips.MAX_BYTES + (64 << 10),
    optional=True,
)
"""OpenAI's fields, and `text`: what is said in the recording."""

log = logging.getLogger("parley.server")

_FIELDS: Final = {"clip": "audio_sample", "id": "voice_id"}

NO_PROMPTS: Final = Refusal(
    400,
    "unsupported_voice_type",
    "Voices made from a prompt cannot be had here. Send a recording of the voice (audio_sample, name, consent) as multipart/form-data.",
    "type",
)

REMEDY: Final = "Send what is said in it, word for word, as text."


class VoicesRest:
    """The endpoints. `routes()` is what to mount."""

    def __init__(self, shelf: VoiceShelf, recogniser: OwnRecogniser, requests: AudioRequests) -> None:
        self._shelf = shelf
        self._recogniser = recogniser
        self._store = shelf.store
        self._requests = requests

    def routes(self) -> list[Route]:
        return [
            Route("/v1/audio/voices", self.create, methods=["POST"]),
            Route("/v1/audio/voices", self.list_, methods=["GET"]),
            Route("/v1/audio/voices/{voice_id}", self.retrieve, methods=["GET"]),
            Route("/v1/audio/voices/{voice_id}", self.update, methods=["POST"]),
            Route("/v1/audio/voices/{voice_id}", self.delete, methods=["DELETE"]),
        ]

    @described(
        "Make a voice of a recording",
        demand="audio",
        answers={200: json_answer("The voice.", "Voice")},
        errors=(400, 404, 409, 413, 429, 500, 502, 507),
        body=form_body(FORM, ("name", "consent"), {"type": {"const": "audio_sample"}}),
    )
    async def create(self, request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
            self._requests.grant(request)
            raise Refused(NO_PROMPTS)
        async with self._requests.form(request, FORM) as (file, fields):
            return answer(_shown(await self._created(request, file, fields)))

    async def _created(self, request: Request, file: UploadFile | None, fields: dict[str, str]) -> OwnVoice:
        kind = fields.get("type", "audio_sample")
        if kind == "prompt" or "prompt" in fields:
            raise Refused(NO_PROMPTS)
        if kind != "audio_sample":
            raise Refused(Refusal(400, "invalid_value", f"type {kind[:40]!r} is not known: send audio_sample.", "type"))
        for needed in ("name", "consent"):
            if needed not in fields:
                message = f"The form has no {needed}."
                raise Refused(Refusal(400, "missing_required_parameter", message, needed))
        if file is None:
            raise Refused(no_file(FORM))
        cloning = self._cloning()
        self._refuse_engines_name(await stored(_FIELDS, self._store.check_free, fields["name"]))
        consent = await stored(_FIELDS, self._store.consent, fields["consent"])
        recording = await stored(_FIELDS, clips.read_stream, file.file, "The recording")
        text = fields.get("text", "").strip()
        heard = not text and any(one.needs_text for one in cloning)
        if heard:
            text = await until_gone(request, self._heard(recording, consent.language))
        voice = await stored(
            _FIELDS,
            self._store.add_clip,
            fields["name"],
            recording,
            text,
            consent.id,
            text_heard=heard,
        )
        try:
            await self._try(voice, cloning)
        except BaseException:
            await stored(_FIELDS, self._store.remove_voice, voice.id)
            raise
        return voice

    async def _heard(self, recording: Recording, language: str) -> str:
        """The words of a recording, some at least. Raises `Refused`, which names the field `text`."""
        loaded = self._recogniser.hearing(language)
        if loaded is None:
            message = f"The words of the recording are needed, and no recogniser of this server understands {language!r}. {REMEDY}"
            raise Refused(Refusal(400, "text_needed", message, "text"))
        name = loaded.engines[STT].info.name
        try:
            heard = await words_of(loaded, recording)
        except EngineError as error:
            message = (
                f"The words of the recording are needed, and the recogniser {name} failed: {error.message} {REMEDY}"
            )
            raise Refused(Refusal(502, error.code, message, "text", "server_error")) from error
        if not any(map(str.isalnum, heard)):
            message = f"The words of the recording are needed, and the recogniser {name} heard none. {REMEDY}"
            raise Refused(Refusal(400, "text_needed", message, "text"))
        log.info("The recogniser %s has heard the words of a new voice, as none were given.", name)
        return heard

    def _cloning(self) -> list[ClonesVoices]:
        """The engines that can speak with a recording's voice. Raises `Refused` where there is none."""
        able = self._shelf.cloning()
        if not able:
            message = (
                "No pipeline of this server can speak with the voice of a recording. On the server, set tts to an engine that can: "
                f"{', '.join(engines_for('clip')) or 'none is installed'}."
            )
            raise Refused(Refusal(400, "cloning_not_available", message, "audio_sample"))
        return able

    def _refuse_engines_name(self, name: str) -> None:
        for pipeline, one in self._shelf.synthesizers.items():
            if key_of(name) in map(key_of, one.info.voices):
                message = f"{name!r} is a voice of the pipeline {pipeline!r}; choose another name."
                raise Refused(Refusal(400, "voice_reserved", message, "name"))

    async def _try(self, voice: OwnVoice, cloning: list[ClonesVoices]) -> None:
        """Raises `Refused` for a recording that gives an engine no voice, and where no engine can make one now."""
        sample = await stored(_FIELDS, self._store.sample, voice)
        failures: list[EngineError] = []
        for engine in cloning:
            try:
                await engine.clone_voice(sample)
            except EngineError as error:
                failures.append(error)
        unfit = [error for error in failures if error.code == "invalid_sample"]
        if not unfit and len(failures) < len(cloning):
            for failure in failures:  # a server that is away, say: its sessions meet the same error, and say so
                log.warning("the voice %s was added, and an engine cannot speak with it now: %s", voice.id, failure)
            return
        first = (unfit or failures)[0]
        if isinstance(first, EngineRefused):
            raise Refused(Refusal(400, first.code, str(first), "audio_sample"))
        raise Refused(Refusal(502, first.code, str(first), None, "server_error"))

    @described(
        "List the voices",
        demand="audio",
        answers={200: json_answer("A page of them, the newest first.", "Voices")},
        errors=(400, 500),
        query=PAGE_FIELDS,
    )
    async def list_(self, request: Request) -> Response:
        self._requests.grant(request)
        return page_of(request, await stored(_FIELDS, self._store.voices), _shown)

    @described(
        "Retrieve a voice", demand="audio", answers={200: json_answer("The voice.", "Voice")}, errors=(400, 404, 500)
    )
    async def retrieve(self, request: Request) -> Response:
        self._requests.grant(request)
        return answer(_shown(await stored(_FIELDS, self._store.voice, request.path_params["voice_id"])))

    @described(
        "Rename a voice",
        demand="audio",
        answers={200: json_answer("The voice.", "Voice")},
        errors=(400, 404, 409, 413, 500, 507),
        body=json_body(Renamed),
    )
    async def update(self, request: Request) -> Response:
        self._requests.grant(request)
        name = await new_name(request)
        self._refuse_engines_name(name)
        return answer(_shown(await stored(_FIELDS, self._store.rename_voice, request.path_params["voice_id"], name)))

    @described(
        "Delete a voice",
        demand="audio",
        answers={200: json_answer("It is gone.", "Deleted")},
        errors=(400, 404, 500, 507),
    )
    async def delete(self, request: Request) -> Response:
        self._requests.grant(request)
        voice = await stored(_FIELDS, self._store.remove_voice, request.path_params["voice_id"])
        return answer({"id": voice.id, "object": "audio.voice.deleted", "deleted": True})


def _shown(voice: OwnVoice) -> dict[str, object]:
    """As OpenAI has it. Voices that the server's owner has added may be tensors and mixes; `kind` says so, and `text` what is said in the
    recording, as far as it is known."""
    return {
        "id": voice.id,
        "object": "audio.voice",
        "type": "audio_sample",
        "name": voice.name,
        "created_at": voice.created_at,
        "kind": voice.kind,
        "text": voice.text,
        "text_heard": voice.text_heard,
    }
