"""`/v1/models`: the names that a client may send as `model`, each with what can be done with it here.

Laws: a pipeline that could not be loaded is not listed; OpenAI's own names stand for the default pipeline. Beyond OpenAI's fields a model
has `capabilities`. They are made of what the engines declare: nothing is asked of them, and neither paths nor addresses nor keys are shown.
"""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.config import Config
from parley.config.values import HOSTED_MODEL_PREFIXES
from parley.engines.ports import LLM, MT, SPEECH, STT, TTS, ClonesVoices, EngineInfo
from parley.runtime.engines import LoadedEngines
from parley.runtime.pipeline import LoadedPipeline
from parley.server.access.access import Access
from parley.server.access.credentials import key_of_request
from parley.server.openapi.operation import described, json_answer
from parley.server.pipelines import find_pipeline
from parley.server.refusals import Refusal, Refused
from parley.server.speech_rest import SPEECH_MODELS, is_speech_model

WIRE_RATES: Final = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
"""Hz of the formats of a session."""


class ModelsRest:
    """The endpoints. `routes()` is what to mount."""

    def __init__(self, config: Config, engines: LoadedEngines, access: Access) -> None:
        self._config = config
        self._engines = engines
        self._access = access
        self._started_s = int(time.time())

    def routes(self) -> list[Route]:
        return [Route("/v1/models", self.list_), Route("/v1/models/{model:path}", self.retrieve)]

    @described("List the models", demand="any", answers={200: json_answer("Every name that `model` may be.", "Models")})
    async def list_(self, request: Request) -> Response:
        self._authorize(request)
        described = {name: described_pipeline(pipeline) for name, pipeline in self._engines.pipelines.items()}
        models = {name: described[name] for name in self._config.pipelines if name in described}
        default = self._engines.pipelines.get(self._config.default_pipeline)
        if default is not None:
            models |= {name: described[default.name] for name in HOSTED_MODEL_PREFIXES if name not in models}
            if TTS in default.engines:
                models |= {name: _only_speaks(described[default.name]) for name in SPEECH_MODELS if name not in models}
        return _json({"object": "list", "data": [self._model(name, can) for name, can in models.items()]})

    @described(
        "Retrieve a model", demand="any", answers={200: json_answer("What it can do here.", "Model")}, errors=(404,)
    )
    async def retrieve(self, request: Request) -> Response:
        self._authorize(request)
        name = request.path_params["model"]
        if not name:
            raise HTTPException(404)
        speaks = is_speech_model(self._config, name)
        found = find_pipeline(self._config, self._engines, "" if speaks else name)
        if isinstance(found, Refusal):
            raise Refused(found)
        can = described_pipeline(found)
        return _json(self._model(name, _only_speaks(can) if speaks else can))

    def _model(self, name: str, can: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": self._started_s,
            "owned_by": "parley",
            "capabilities": can,
        }

    def _authorize(self, request: Request) -> None:
        grant = self._access.grant(key_of_request(request.headers), "any")
        if isinstance(grant, Refusal):
            raise Refused(grant)


def described_pipeline(pipeline: LoadedPipeline) -> dict[str, Any]:
    """What can be done with a pipeline. An empty list of languages means any, or that the engine does not say."""
    engines, can = pipeline.engines, pipeline.capabilities()
    answers, speaks = LLM in engines or SPEECH in engines, TTS in engines or SPEECH in engines
    tts = engines.find(TTS)
    sessions = {"realtime": answers, "transcription": True, "translation": bool(pipeline.targets)}
    endpoints = {
        "/v1/realtime": True,
        "/v1/realtime/translations": bool(pipeline.targets),
        "/v1/audio/transcriptions": True,
        "/v1/audio/translations": MT in engines,
        "/v1/audio/speech": tts is not None,
        "/v1/audio/voices": _clones(tts),
    }
    heard = engines[STT].info
    return {
        "pipeline": pipeline.name,
        "sessions": _true(sessions),
        "endpoints": _true(endpoints),
        "engines": {stage.name: engine.info.name for stage, engine in engines.items()},
        "input_modalities": _true({"audio": True, "text": answers, "image": can.images}),
        "output_modalities": _true({"text": True, "audio": speaks}),
        "languages": {
            "heard": list(can.languages),
            "spoken": [] if tts is None else list(tts.info.languages),
            "translated_into": list(can.targets),
        },
        "voice": pipeline.config.voice,
        "voices": list(can.voices),
        "clones_voices": endpoints["/v1/audio/voices"],
        "word_timestamps": heard.timings,
        "logprobs": heard.logprobs,
        "prompt": heard.prompts,
        "keywords": heard.keywords,
        "temperature": heard.temperature,
        "sample_rates": {
            "formats": WIRE_RATES,
            "engines": {stage.name: info.sample_rate for stage, info in _infos(pipeline) if info.sample_rate},
        },
    }


def _clones(engine: object) -> bool:
    return isinstance(engine, ClonesVoices) and engine.clones


def _infos(pipeline: LoadedPipeline) -> list[tuple[Any, EngineInfo]]:
    return [(stage, engine.info) for stage, engine in pipeline.engines.items()]


def _only_speaks(can: dict[str, Any]) -> dict[str, Any]:
    """A pipeline under a name that only `/v1/audio/speech` knows."""
    speech = {"sessions": [], "endpoints": ["/v1/audio/speech"]}
    return {**can, **speech, "input_modalities": ["text"], "output_modalities": ["audio"]}


def _true(named: dict[str, bool]) -> list[str]:
    return [name for name, holds in named.items() if holds]


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
