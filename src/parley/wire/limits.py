"""The numbers that bound one client event's members, with their reasons; what bounds a session is in `parley.core.words.limits`."""

from __future__ import annotations

MAX_EVENT_ID = 512
"""Characters of a client's `event_id`: the hosted service's own limit."""

MAX_ID = 64
"""Characters of an item's or call's id. Clients send up to 32; twice that is generous and keeps ids small."""

MAX_NAME = 256
"""Characters of a model's or voice's name: longer than any in use."""

MAX_TOOL_NAME = 64
"""Characters of a function's name: the limit of the models that will be given it."""

MAX_TOOL_DESCRIPTION = 32_768
"""Characters of a function's description; clients put whole manuals there."""

MAX_TOOL_PARAMETERS = 256 * 1024
"""Characters of one function's JSON Schema."""

MAX_TOOLS_TEXT = 1024 * 1024
"""Characters of all functions of a session: more than any model's context, and each update of the session sends them back."""

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

MAX_INPUT_ITEMS = 512
"""Items in a response's own `input`: with its own instructions beside it, far more than a hosted model's hour of talk; each is checked and
given an id in one go, some 50 us. A longer past belongs into the conversation, item by item."""

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

SALVAGED = 64 * 1024
"""Characters of an unreadable frame read once more, for its `event_id` or with its half characters replaced; a larger one isn't worth the
time of others. Strings kept apart (`long_message`) are not counted."""

MAX_VALUES = 16_384
"""JSON values of one long message: 2,000 items of one part, or 128 functions with their schemas; some 15 ms to build and read."""

MAX_OUTSIDE_BYTES = 1024 * 1024
"""Bytes of one long message outside of its strings: 64 for each of its values, indentation included."""

MAX_DIGITS = 400
"""Digits in a row: a 64-bit number has 20, and a number's cost grows with the square of its length."""

MAX_ESCAPES = 1024 * 1024
"""Backslashes in the strings of one long message: a text of `MAX_ITEM_TEXT` in which every character is escaped; 15 ms."""

MAX_BEYOND_ASCII_BYTES = 4 * 1024 * 1024
"""Bytes of one long message that are not ASCII: `MAX_ITEM_TEXT` characters of four; 10 ms."""

LIFTED_BYTES = 64 * 1024
"""A string this long is audio, an image or a whole book; handled apart from the values, it costs them nothing."""

LIFTED_SLICE = 256 * 1024
"""Characters of such a string decoded or joined in one go (a multiple of four): half a millisecond."""
