"""Checks a client's request against the settings that the session's owner has pinned (`settings.PinnedSettings`).

Laws: changes nothing; repeating a pinned value is not a change; a refusal is a `PeerError` that names the field.
"""

from __future__ import annotations

from dataclasses import replace

from parley.core.words.errors import PeerError
from parley.core.words.items import Item, ItemReference, Message
from parley.core.words.settings import PinnedSettings, Settings, ToolSource
from parley.core.words.work import ResponseParams


def check_model(pinned: PinnedSettings) -> None:
    """Raises `PeerError` if the client asks for another model and the model is pinned."""
    if pinned.model is not None:
        raise _fixed("session.model")


def check_session(pinned: PinnedSettings, new: Settings) -> Settings:
    """The settings `new`, with the fixed tools in place of the client's copies of them. Raises `PeerError`."""
    if pinned.kind is not None and new.kind != pinned.kind:
        raise PeerError(
            "The type of this session was chosen when it was opened and cannot be changed; open a session of the other type.",
            code="field_pinned",
            field="session.kind",
        )
    if pinned.instructions is not None and new.instructions != pinned.instructions:
        raise _fixed("session.instructions")
    limit = pinned.max_output_tokens
    if limit is not None and (new.max_output_tokens is None or new.max_output_tokens > limit):
        raise _above(limit, "session.max_output_tokens")
    if pinned.tools is None:
        return new
    return replace(new, tools=_fixed_tools(pinned.tools, new.tools, "session.tools"))


def check_response(pinned: PinnedSettings, params: ResponseParams) -> ResponseParams:
    """As `check_session`, for the settings of one response and the items that come with it."""
    if pinned.instructions is not None:
        if params.instructions not in (None, pinned.instructions):
            raise _fixed("response.instructions")
        for index, item in enumerate(params.input or ()):
            check_item(pinned, item, f"response.input[{index}]")
    limit, wanted = pinned.max_output_tokens, params.max_output_tokens
    if limit is not None and wanted is not None and (wanted == 0 or wanted > limit):
        raise _above(limit, "response.max_output_tokens")
    if pinned.tools is None or params.tools is None:
        return params
    return replace(params, tools=_fixed_tools(pinned.tools, params.tools, "response.tools"))


def check_item(pinned: PinnedSettings, item: Item | ItemReference, field: str) -> None:
    """Raises `PeerError` for a system message while the instructions are pinned."""
    if pinned.instructions is not None and isinstance(item, Message) and item.role == "system":
        raise PeerError(
            "The owner of this session has fixed its instructions; items of the role 'system' are not accepted.",
            code="field_pinned",
            field=f"{field}.role",
        )


def _fixed_tools(fixed: tuple[ToolSource, ...], wanted: tuple[ToolSource, ...], field: str) -> tuple[ToolSource, ...]:
    """The fixed tools that `wanted` names. A client does not know the credentials of a fixed server of tools and need not send them."""
    known = {_shown(tool): tool for tool in fixed}
    found = []
    for index, tool in enumerate(wanted):
        if (one := known.get(_shown(tool))) is None or tool not in (one, _shown(one)):
            raise _fixed(f"{field}[{index}]")
        found.append(one)
    return tuple(found)


def _shown(tool: ToolSource) -> ToolSource:
    """The tool as its client may see it."""
    return tool.without_credentials()


def _fixed(field: str) -> PeerError:
    return PeerError(
        f"The owner of this session has fixed its {_name(field)}; leave it out, or repeat its value.",
        code="field_pinned",
        field=field,
    )


def _above(limit: int, field: str) -> PeerError:
    return PeerError(
        f"The owner of this session allows {limit} output tokens at the most.",
        code="field_pinned",
        field=field,
    )


def _name(field: str) -> str:
    return field.partition(".")[2].partition("[")[0]
