"""The response object of the GA protocol: status, output without audio, usage.

Laws: `status_details`, `usage`, `metadata` and `conversation_id` may be null; inside them nothing is, and every token count is a
number; the voice is a string.
"""

from __future__ import annotations

from parley.core.words.notices import ResponseView, Usage
from parley.wire.encoding import Json
from parley.wire.ga.encode_items import item_object
from parley.wire.ga.encode_session import format_object, token_limit


def response_object(view: ResponseView) -> Json:
    return {
        "object": "realtime.response",
        "id": view.id,
        "status": view.status,
        "status_details": _status_details(view),
        "output": [item_object(item) for item in view.output],
        "conversation_id": view.conversation_id,
        "output_modalities": [view.modality],
        "max_output_tokens": token_limit(view.max_output_tokens),
        "audio": {"output": {"format": format_object(view.output_format), "voice": view.voice}},
        "usage": None if view.usage is None else usage_object(view.usage),
        "metadata": None if view.metadata is None else dict(view.metadata),
    }


def _status_details(view: ResponseView) -> Json | None:
    if view.status in ("in_progress", "completed"):
        return None
    details: Json = {"type": view.status}
    if view.reason is not None:
        details["reason"] = view.reason
    if view.error is not None:
        details["error"] = {"type": view.error.type, "code": view.error.code, "message": view.error.message}
    return details


def usage_object(usage: Usage) -> Json:
    """Totals are sums of the parts. Cached tokens are told apart by no engine: they count as text."""
    taken = usage.input_text + usage.input_audio + usage.input_image
    given = usage.output_text + usage.output_audio
    return {
        "total_tokens": taken + given,
        "input_tokens": taken,
        "output_tokens": given,
        "input_token_details": {
            "text_tokens": usage.input_text,
            "audio_tokens": usage.input_audio,
            "image_tokens": usage.input_image,
            "cached_tokens": usage.input_cached,
            "cached_tokens_details": {"text_tokens": usage.input_cached, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": usage.output_text, "audio_tokens": usage.output_audio},
    }
