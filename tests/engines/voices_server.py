"""A real HTTP server with custom voices as OpenAI has them: what a test scripts of it fails, the rest does as the API says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.engines.audio_server import AudioServer, Form, speak
from tests.engines.chat_server import Answer, Request, Script


def refusing(status: int, body: object = None, headers: dict[str, str] | None = None) -> Script:
    async def script(request: Request, answer: Answer) -> None:
        await answer.json(status, body if body is not None else {"error": {"message": "no"}}, headers)

    return script


def error(message: str, code: str = "", param: str = "") -> dict[str, object]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code, "param": param}}


@dataclass
class VoicesServer(AudioServer):
    """`faults` answer the next requests "METHOD /path" in place of the API; `lists`: whether it has lists; `page` entries are in one."""

    lists: bool = True
    page: int = 100
    faults: dict[str, list[Script]] = field(default_factory=dict)
    consents: dict[str, Form] = field(default_factory=dict)
    made: dict[str, Form] = field(default_factory=dict)
    numbers: int = 0

    def asked(self, method: str, path: str) -> list[Request]:
        return [one for one in self.requests if one.method == method and urlsplit(one.path).path == self.root + path]

    async def _answer(self, request: Request, answer: Answer) -> None:
        parts = urlsplit(request.path)
        path = parts.path.removeprefix(self.root)
        kept, field_name, prefix = {
            "/audio/voices": (self.made, "audio_sample", "voice_"),
            "/audio/voice_consents": (self.consents, "recording", "cons_"),
        }.get(path, (None, "", ""))
        if faults := self.faults.get(f"{request.method} {path}"):
            await faults.pop(0)(request, answer)
        elif kept is not None and request.method == "GET":
            await self._list(kept, parse_qs(parts.query), answer)
        elif kept is not None:
            await self._create(kept, field_name, prefix, request.body, answer)
        elif path == "/audio/speech" and isinstance(request.body["voice"], dict):
            await self._speak(request, answer)
        else:
            await super()._answer(request, answer)

    async def _list(self, kept: dict[str, Form], query: dict[str, list[str]], answer: Answer) -> None:
        if not self.lists:
            await answer.json(404, error("Unknown URL"))
            return
        ids = list(kept)
        after = query.get("after", [""])[0]
        ids = ids[ids.index(after) + 1 :] if after else ids
        data = [
            {"id": one, "object": "audio.voice", "name": kept[one].texts["name"][0]}
            for one in ids[: min(self.page, int(query["limit"][0]))]
        ]
        await answer.json(200, {"object": "list", "data": data, "has_more": len(ids) > len(data)})

    async def _create(self, kept: dict[str, Form], name: str, prefix: str, form: Any, answer: Answer) -> None:
        wanted = {"audio_sample": {"name", "consent"}, "recording": {"name", "language"}}[name]
        assert set(form.texts) == wanted
        assert (form.field, form.file_type, form.file[:4]) == (name, "audio/wav", b"RIFF")
        if name == "audio_sample" and form.texts["consent"][0] not in self.consents:
            await answer.json(400, error("No such consent.", "consent_not_found", "consent"))
            return
        self.numbers += 1
        kept[f"{prefix}{self.numbers}"] = form
        await answer.json(200, {"id": f"{prefix}{self.numbers}", "object": "x", "name": form.texts["name"][0]})

    async def _speak(self, request: Request, answer: Answer) -> None:
        if request.body["voice"]["id"] not in self.made:
            await answer.json(404, error("There is no such voice.", "voice_not_found", "voice"))
        else:
            await speak(request, answer)
