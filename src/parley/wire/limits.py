"""The numbers that bound one client event's members, with their reasons; what bounds a session is in `parley.core.limits`."""

from __future__ import annotations

MAX_EVENT_ID = 512
"""Characters of a client's `event_id`: the hosted service's own limit."""

MAX_ID = 64
"""Characters of an item's or call's id. Clients send up to 32; twice that leaves room and keeps ids cheap to carry."""

MAX_NAME = 256
"""Characters of a model's or voice's name: longer than any in use."""

MAX_TOOL_NAME = 64
"""Characters of a function's name: the limit of the models that will be given it."""

MAX_TOOL_DESCRIPTION = 32_768
"""Characters of a function's description; clients put whole manuals there."""

MAX_TOOL_PARAMETERS = 256 * 1024
"""Characters of one function's JSON Schema."""

MAX_URL = 2_048
"""Characters of an MCP server's address."""

MAX_HEADERS = 32
"""HTTP headers given for one MCP server."""

MAX_HEADER = 8_192
"""Characters of one such header or of a bearer token: what common servers accept at the most."""

MAX_LANGUAGE = 35
"""Characters of a language tag: the longest that RFC 5646 asks implementations to hold."""

MAX_LANGUAGES = 32
"""Languages guessed for one session's audio."""

MAX_KEYWORDS = 1_000
"""Words or phrases that guide a transcription."""

MAX_KEYWORD = 128
"""Characters of one of them."""

MAX_TRACING = 16 * 1024
"""Characters of the `tracing` object, which is only echoed."""

MAX_CONTENT_PARTS = 256
"""Content parts of one message."""

MAX_INPUT_ITEMS = 2_000
"""Items in a response's own `input`: as many as a conversation may have."""

MAX_IMAGE_LINK = 8_192
"""Characters of an `https` image URL; a data URI may be `core.limits.MAX_IMAGE_BYTES` long."""

MAX_PREFIX_PADDING_MS = 5_000
"""Audio kept from before speech was detected: five seconds reach back over any onset."""

MAX_SILENCE_DURATION_MS = 60_000
"""A pause longer than a minute ends no turn; a client that wants one should commit by hand."""

MAX_OUTPUT_TOKENS = 4_096
"""The documented bound of `max_output_tokens`; more is "inf"."""

MIN_SPEED, MAX_SPEED = 0.25, 1.5
"""The documented range of `speed`."""

MAX_CLOCK_MS = 2**53 - 1
"""Indices and offsets: the largest integer that every JSON reader holds exactly."""

SHOWN = 80
"""Characters of a client's own value repeated in an error."""
"""What an error repeats stays readable, and no client can make the server send its own megabytes back."""

REPAIRED = 512 * 1024
"""Bytes of a message that is read once more for halves of characters, which takes many times as long as reading it once."""

SALVAGED = 64 * 1024
"""Characters of an unreadable frame searched once more for its `event_id`; a larger one isn't worth the time of others."""
