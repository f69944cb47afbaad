"""`/v1/audio/voice_consents`: recordings in which a person allows a voice to be made of theirs, as OpenAI has them.

Laws:
- The sentence (`text/consent.py`) must be read word for word, in the language that the request names: the server's own recogniser hears
  the recording, and small mistakes of it are allowed for. Whether it is the person of the voice's recording is not checked.
- What was heard is neither logged nor kept, the recording is.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.audio.files import Recording
from parley.engines.ports import STT, EngineError
from parley.engines.voices import clips
from parley.engines.voices.records import OwnConsent, checked_label
from parley.engines.voices.store import VoiceStore
from parley.runtime.pipeline import LoadedPipeline
from parley.server.audio_upload import AudioRequests, FormShape, until_gone
from parley.server.openapi.operation import described, form_body, json_answer, json_body
from parley.server.own_recogniser import OwnRecogniser, words_of
from parley.server.refusals import Refusal, Refused
from parley.server.voice_answers import PAGE_FIELDS, Renamed, answer, new_name, page_of, stored
from parley.text import consent

FORM: Final = FormShape(("name", "language"), file="recording", max_bytes=clips.MAX_BYTES + (64 << 10))

_FIELDS: Final = {"clip": "recording", "consent": "consent_id"}


class VoiceConsentsRest:
    """The endpoints. `routes()` is what to mount."""

    def __init__(self, recogniser: OwnRecogniser, store: VoiceStore, requests: AudioRequests) -> None:
        self._recogniser = recogniser
        self._store = store
        self._requests = requests

    def routes(self) -> list[Route]:
        return [
            Route("/v1/audio/voice_consents", self.create, methods=["POST"]),
            Route("/v1/audio/voice_consents", self.list_, methods=["GET"]),
            Route("/v1/audio/voice_consents/{consent_id}", self.retrieve, methods=["GET"]),
            Route("/v1/audio/voice_consents/{consent_id}", self.update, methods=["POST"]),
            Route("/v1/audio/voice_consents/{consent_id}", self.delete, methods=["DELETE"]),
        ]

    @described(
        "Bring a consent",
        demand="audio",
        answers={200: json_answer("The consent.", "VoiceConsent")},
        errors=(400, 409, 413, 429, 500, 502, 507),
        body=form_body(FORM, FORM.fields),
    )
    async def create(self, request: Request) -> Response:
        async with self._requests.form(request, FORM) as (file, fields):
            assert file is not None
            for needed in FORM.fields:
                if needed not in fields:
                    message = f"The form has no {needed}."
                    raise Refused(Refusal(400, "missing_required_parameter", message, needed))
            await stored(_FIELDS, checked_label, fields["name"])
            language = fields["language"].strip()
            wanted = consent.phrase(language)
            if wanted is None:
                message = f"There is no sentence of consent in {language[:40]!r}; there is one in {', '.join(consent.PHRASES)}."
                raise Refused(Refusal(400, "unsupported_language", message, "language"))
            pipeline = self._hearing(language)
            recording = await stored(_FIELDS, clips.read_stream, file.file, "The recording", "recording")
            heard = await until_gone(request, _heard(pipeline, recording))
            if fault := consent.fault(wanted, heard):
                name = pipeline.engines[STT].info.name
                message = (
                    f"The recording is not the sentence of consent: {fault} (by the recogniser {name}). "
                    f'Read aloud, word for word: "{wanted.text}"'
                )
                raise Refused(Refusal(400, "consent_not_read", message, "recording"))
            return answer(_shown(await stored(_FIELDS, self._store.add_consent, fields["name"], language, recording)))

    def _hearing(self, language: str) -> LoadedPipeline:
        """Raises `Refused` where no recogniser understands the language."""
        found = self._recogniser.hearing(language)
        if found is None:
            message = f"No recogniser of this server understands {language[:40]!r}, so the consent cannot be checked."
            raise Refused(Refusal(400, "unsupported_language", message, "language"))
        return found

    @described(
        "List the consents",
        demand="audio",
        answers={200: json_answer("A page of them, the newest first.", "VoiceConsents")},
        errors=(400, 500),
        query=PAGE_FIELDS,
    )
    async def list_(self, request: Request) -> Response:
        self._requests.grant(request)
        return page_of(request, await stored(_FIELDS, self._store.consents), _shown)

    @described(
        "Retrieve a consent",
        demand="audio",
        answers={200: json_answer("The consent.", "VoiceConsent")},
        errors=(400, 404, 500),
    )
    async def retrieve(self, request: Request) -> Response:
        self._requests.grant(request)
        return answer(_shown(await stored(_FIELDS, self._store.consent, request.path_params["consent_id"])))

    @described(
        "Rename a consent",
        demand="audio",
        answers={200: json_answer("The consent.", "VoiceConsent")},
        errors=(400, 404, 409, 413, 500, 507),
        body=json_body(Renamed),
    )
    async def update(self, request: Request) -> Response:
        self._requests.grant(request)
        name = await new_name(request)
        identity = request.path_params["consent_id"]
        return answer(_shown(await stored(_FIELDS, self._store.rename_consent, identity, name)))

    @described(
        "Delete a consent, and the voices made with it",
        demand="audio",
        answers={200: json_answer("It is gone.", "Deleted")},
        errors=(400, 404, 500, 507),
    )
    async def delete(self, request: Request) -> Response:
        self._requests.grant(request)
        removed = await stored(_FIELDS, self._store.remove_consent, request.path_params["consent_id"])
        return answer({"id": removed.id, "object": "audio.voice_consent", "deleted": True})


async def _heard(loaded: LoadedPipeline, recording: Recording) -> str:
    try:
        return await words_of(loaded, recording)
    except EngineError as error:
        raise Refused(Refusal(502, error.code, str(error), None, "server_error")) from error


def _shown(one: OwnConsent) -> dict[str, object]:
    return {
        "id": one.id,
        "object": "audio.voice_consent",
        "name": one.name,
        "language": one.language,
        "created_at": one.created_at,
    }
