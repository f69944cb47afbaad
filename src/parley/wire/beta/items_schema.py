"""The items that clients of the beta dialect create: messages of text and audio, function calls and their outputs."""

from __future__ import annotations

from parley.wire.items_schema import ItemReader, input_audio, input_text, output_audio, output_text

ITEMS = ItemReader(
    {
        "user": {"input_text": input_text, "input_audio": input_audio},
        "assistant": {"text": output_text, "audio": output_audio},
        "system": {"input_text": input_text},
    },
    others={},
    foreign=("GA", {"output_text": "text", "output_audio": "audio"}),
)
