"""The response object of the GA protocol: status, output without audio, usage.

Laws: `status_details`, `usage`, `metadata` and `conversation_id` may be null; inside them nothing is, and every token count is a
number; the voice is a string.
"""

from __future__ import annotations

from parley.core.words.notices import ResponseView
from parley.wire.encode_events import status_details, usage_object
from parley.wire.encode_settings import token_limit
from parley.wire.encoding import Json
from parley.wire.ga.encode_items import item_object
from parley.wire.ga.encode_session import format_object


def response_object(view: ResponseView) -> Json:
    return {
        "object": "realtime.response",
        "id": view.id,
        "status": view.status,
        "status_details": status_details(view),
        "output": [item_object(item) for item in view.output],
        "conversation_id": view.conversation_id,
        "output_modalities": [view.modality],
        "max_output_tokens": token_limit(view.max_output_tokens),
        "audio": {"output": {"format": format_object(view.output_format), "voice": view.voice}},
        "usage": None if view.usage is None else usage_object(view.usage, detailed=True),
        "metadata": None if view.metadata is None else dict(view.metadata),
    }
