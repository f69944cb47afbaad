"""Requests for the user's consent to call a tool of an MCP server: which wait, and which tools are allowed without asking again.

Laws: pure; follows the client updates; a request is answered once. What was allowed ends with the session. Does not know how a user is
asked.
"""

from __future__ import annotations

from parley.client.event_fields import Json, text_of
from parley.client.updates import ClientUpdate, ConsentAsked, ConsentedCallEnded, ConsentSettled, SessionStarted

REFUSED_UNASKED = "Nobody could be asked."
"""The reason that the model is given where there is no user to ask."""


class ToolConsent:
    """Call `on_update()` for each update, and answer what is `next`."""

    def __init__(self) -> None:
        self._waiting: dict[str, ConsentAsked] = {}
        self._allowed: set[tuple[str, str]] = set()

    def on_update(self, update: ClientUpdate) -> None:
        match update:
            case SessionStarted():
                self._waiting.clear()
                self._allowed.clear()
            case ConsentAsked(request_id=request_id):
                self._waiting[request_id] = update
            case ConsentSettled(request_id=request_id):
                self._waiting.pop(request_id, None)
            case _:
                pass

    @property
    def next(self) -> ConsentAsked | None:
        """The oldest request that waits; None where none does."""
        return next(iter(self._waiting.values()), None)

    def take(self, asked: ConsentAsked) -> None:
        """It is answered now."""
        self._waiting.pop(asked.request_id, None)

    def allow(self, asked: ConsentAsked) -> None:
        """Its tool is allowed until the session ends, whatever its arguments."""
        self._allowed.add((asked.server, asked.tool))

    def allows(self, asked: ConsentAsked) -> bool:
        return (asked.server, asked.tool) in self._allowed


def consent_updates(item: Json) -> list[ClientUpdate]:
    """What an item of the conversation says of a call that needs the user's consent."""
    match item.get("type"):
        case "mcp_approval_request":
            server, tool, arguments = (text_of(item, name) for name in ("server_label", "name", "arguments"))
            return [ConsentAsked(text_of(item, "id"), server, tool, arguments)]
        case "mcp_approval_response":
            return [ConsentSettled(text_of(item, "approval_request_id"), item.get("approve") is True)]
        case "mcp_call" if request_id := text_of(item, "approval_request_id"):
            return [ConsentedCallEnded(request_id)]
        case _:
            return []


def described(asked: ConsentAsked) -> str:
    """The call, with its arguments as the model wrote them, on one line; what a terminal would obey or hide is spelled out."""
    return _harmless(f"{asked.tool} of {asked.server}{_given(asked.arguments)}")


def refused_unasked(asked: ConsentAsked) -> str:
    """What is said where a request was refused because there is no terminal to ask at."""
    tool = _harmless(f"{asked.tool} of {asked.server}")
    return f"The tool {tool} needs your consent, and there is no terminal to ask at: it was not called."


def _given(arguments: str) -> str:
    return "" if arguments.strip() in ("", "{}") else f" with {arguments.strip()}"


def _harmless(text: str) -> str:
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
