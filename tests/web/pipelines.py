"""The pipelines of the server that the tests of the page share, and the page with one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.web.browser import Tab, page
from tests.web.server import Server

PIPELINES = """
[pipelines.default]
stt = "pocketsphinx"
llm = "responder"
tts = "hibari"

[pipelines.beeps]
stt = "pocketsphinx"
llm = "bench"
tts = "bench"

[pipelines.brief]
stt = "pocketsphinx"
llm = "bench"
llm_options = { text = "Fine." }
tts = "hibari"

[pipelines.longer]
stt = "pocketsphinx"
llm = "bench"
llm_options = { text = "You asked me something, and this is what I say to it." }
tts = "hibari"

[pipelines.early]
stt = "bench"
llm = "bench"
tts = "bench"
speculation = "on"
speculate_after_ms = 100
"""
"""The default needs no network. `beeps` thinks for a fifth of a second and sounds for one; `brief` says a word, `longer` a sentence of
three seconds; `early`, all of it for benchmarks and so shown only to who asks for it, answers in the pause."""

CHOSEN = "document.querySelector('#pipeline').value === new URLSearchParams(location.search).get('pipeline')"
"""The page knows the pipeline that its address names."""


@asynccontextmanager
async def talking_to(
    pipeline: str, server: Server, microphone: Path | None = None, **options: Any
) -> AsyncIterator[Tab]:
    """`page`, with another pipeline than the default."""
    async with page(f"{server.url}/?pipeline={pipeline}", microphone, **options) as tab:
        await tab.until(CHOSEN)
        yield tab
