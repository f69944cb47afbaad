"""The schemas of answers, and of the bodies that are handed on: the components of the document that no struct of the code is."""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

TEXT: Final[Json] = {"type": "string"}
COUNT: Final[Json] = {"type": "integer", "minimum": 0}
SECONDS: Final[Json] = {"type": "number", "minimum": 0}
FLAG: Final[Json] = {"type": "boolean"}
TEXT_OR_NULL: Final[Json] = {"type": ["string", "null"]}


def listed(item: Json) -> Json:
    """A list of them."""
    return {"type": "array", "items": item}


def record(properties: Json, optional: Json | None = None, *, more: bool = False) -> Json:
    """An object with all of `properties`, perhaps the `optional` ones, and others only with `more`."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": list(properties),
        "additionalProperties": more,
    }


def page(item: str) -> Json:
    """A page of a list."""
    return record(
        {
            "object": {"const": "list"},
            "data": listed(ref(item)),
            "first_id": TEXT_OR_NULL,
            "last_id": TEXT_OR_NULL,
            "has_more": FLAG,
        }
    )


def ref(name: str) -> Json:
    """A component."""
    return {"$ref": f"#/components/schemas/{name}"}


_ERROR: Final = record(
    {
        "error": record(
            {
                "message": TEXT,
                "type": {"enum": ["invalid_request_error", "server_error", "rate_limit_error"]},
                "param": TEXT_OR_NULL,
                "code": TEXT,
            }
        )
    }
)

_SEGMENT: Final = record(
    {
        "id": COUNT,
        "seek": COUNT,
        "start": SECONDS,
        "end": SECONDS,
        "text": TEXT,
        "tokens": listed({"type": "integer"}),
        "temperature": {"type": "number"},
        "avg_logprob": {"type": "number"},
        "compression_ratio": {"type": "number"},
        "no_speech_prob": {"type": "number"},
    },
    more=True,
)

_FORWARDED: Final[Json] = {"model": TEXT, "stream": {"type": ["boolean", "null"]}}
_TOOLS: Final[Json] = {
    "type": ["array", "null"],
    "items": {"type": "object", "properties": {"type": {"enum": ["function", "custom"]}}, "required": ["type"]},
}
_NONE: Final[Json] = {"enum": [None, False]}

COMPONENTS: Final[dict[str, Json]] = {
    "Error": _ERROR,
    "Model": record(
        {"id": TEXT, "object": {"const": "model"}, "created": COUNT, "owned_by": TEXT},
        {"capabilities": {"type": "object", "description": "What can be done with it here."}},
    ),
    "Models": record({"object": {"const": "list"}, "data": listed(ref("Model"))}),
    "Health": record(
        {
            "parley": TEXT,
            "status": {"enum": ["ok", "degraded", "unavailable"]},
            "pipelines": {
                "type": "object",
                "additionalProperties": record({"state": {"enum": ["ready", "degraded", "failed"]}}, more=True),
            },
            "default_pipeline": TEXT,
            "sessions": COUNT,
        },
        more=True,
    ),
    "ClientSecret": record(
        {"value": {"type": "string", "pattern": "^ek_"}, "expires_at": COUNT, "session": {"type": "object"}}
    ),
    "BetaSession": record(
        {"client_secret": record({"value": {"type": "string", "pattern": "^ek_"}, "expires_at": COUNT})}, more=True
    ),
    "BetaSessionBody": {
        "type": "object",
        "description": "A session as the beta dialect has it, and how long its client secret is valid.",
        "properties": {"client_secret": {"type": ["object", "null"]}},
    },
    "Transcript": record(
        {"text": TEXT},
        {
            "languages": listed(record({"code": TEXT}, more=True)),
            "usage": {"type": "object"},
            "logprobs": {"type": ["array", "null"]},
            "task": TEXT,
            "language": TEXT,
            "duration": SECONDS,
            "segments": listed(_SEGMENT),
            "words": listed(record({"word": TEXT, "start": SECONDS, "end": SECONDS}, more=True)),
        },
        more=True,
    ),
    "Voice": record(
        {
            "id": TEXT,
            "object": {"const": "audio.voice"},
            "type": {"const": "audio_sample"},
            "name": TEXT,
            "created_at": COUNT,
            "kind": TEXT,
            "text": TEXT,
            "text_heard": FLAG,
        }
    ),
    "Voices": page("Voice"),
    "VoiceConsent": record(
        {"id": TEXT, "object": {"const": "audio.voice_consent"}, "name": TEXT, "language": TEXT, "created_at": COUNT}
    ),
    "VoiceConsents": page("VoiceConsent"),
    "Deleted": record({"id": TEXT, "object": TEXT, "deleted": {"const": True}}),
    "ChatCompletionBody": {
        "type": "object",
        "description": "OpenAI's body of a chat completion, which goes on to the language model but for what is named here.",
        "properties": {
            **_FORWARDED,
            "messages": {"type": "array", "minItems": 1},
            "tools": _TOOLS,
            "store": _NONE,
            "web_search_options": _NONE,
        },
        "required": ["messages"],
    },
    "ResponseBody": {
        "type": "object",
        "description": "OpenAI's body of a response, which goes on to the language model but for what is named here.",
        "properties": {
            **_FORWARDED,
            "input": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1}]},
            "tools": _TOOLS,
            **dict.fromkeys(("store", "background", "previous_response_id", "conversation", "prompt"), _NONE),
        },
        "required": ["input"],
    },
    "ForwardedAnswer": {"type": "object", "description": "What the language model's endpoint answered."},
    "Pipelines": record(
        {
            "pipelines": listed(
                record(
                    {
                        "name": TEXT,
                        "engines": {"type": "object"},
                        "measures": {"type": "boolean"},
                        "answers": record({"by": {"enum": ["model", "rules", ""]}, "engine": TEXT, "model": TEXT}),
                        "voices": listed(
                            record(
                                {
                                    "name": TEXT,
                                    "of": {"enum": ["engine", "openai", "user"]},
                                    "language": TEXT,
                                    "sex": {"enum": ["female", "male", ""]},
                                    "character": TEXT,
                                    "sounds_as": TEXT,
                                }
                            )
                        ),
                        "understands": listed(TEXT),
                        "speaks": listed(TEXT),
                    },
                    more=True,
                )
            ),
            "tool_servers": listed(TEXT),
        },
        more=True,
    ),
    "Calls": record(
        {
            "state": {"enum": ["ready", "off", "not_installed"]},
            "configuration": record({"iceServers": listed({"type": "object"})}),
        }
    ),
    "Admission": record({"open": {"const": True}}),
    "ConsentPhrases": record({"phrases": {"type": "object", "additionalProperties": TEXT}}),
    "Turns": record({"session_id": TEXT, "turns": listed({"type": "object"})}),
}
