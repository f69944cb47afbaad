"""What a PersonaPlex server is told in its text prompt, when a conversation begins.

Laws: pure. The standing prompt is the instructions: a session whose instructions change begins a new conversation. What was said before,
and what was typed, goes into the opening one only.
"""

from __future__ import annotations

from collections.abc import Sequence

from parley.engines.ports import ChatMessage, DialogueRequest
from parley.engines.speech.moshi_errors import text_unsupported

_SPEAKERS = {"user": "User", "assistant": "You"}


def standing_prompt(messages: Sequence[ChatMessage], usual: str) -> str:
    """The instructions of a session; `usual` where it has none."""
    given = (message.text.strip() for message in messages if message.role == "system")
    return "\n".join(filter(None, given)) or usual


def opening_prompt(request: DialogueRequest, usual: str, history_chars: int, *, reads: bool) -> tuple[str, bool]:
    """The prompt of a new conversation, and whether one must be begun: for a message that was typed.

    `reads`: whether the server takes prompts. Raises `EngineRefused` (`text_unsupported`) for a typed message where it does not.
    """
    said = [message for message in request.messages if message.role in _SPEAKERS and message.text.strip()]
    typed = not len(request.audio) and bool(said) and request.messages[-1] is said[-1] and said[-1].role == "user"
    if typed and not reads:
        raise text_unsupported()
    before = " ".join(
        f"{_SPEAKERS[message.role]}: {_plain(message.text)}" for message in (said[:-1] if typed else said)
    )
    parts = [standing_prompt(request.messages, usual)]
    if history_chars and before:
        parts.append(f"The conversation so far: {before[-history_chars:]}")
    if typed:
        parts.append(f"The user has just written: {_plain(said[-1].text)} Answer it now.")
    return "\n".join(filter(None, parts)), typed


def _plain(text: str) -> str:
    """In one line, without the mark that ends a prompt for PersonaPlex."""
    return " ".join(text.replace("<system>", " ").split())
