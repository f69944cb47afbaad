"""What requests of either of OpenAI's APIs for text share: the JSON that they hold, and how servers refuse what they do not know. Pure."""

from __future__ import annotations

import json
import re
from typing import Final

from parley.engines.ports import EngineRefused

_UNKNOWN: Final = re.compile(
    r"unsupported|not support|unrecogni|unknown|unexpected|extra|not permitted|instead", re.IGNORECASE
)
"""How servers say that they do not know a parameter, and not that its value is too large."""


def refuses(refusal: str, parameter: str) -> bool:
    """Whether the text of a refusal says that the server does not know this parameter."""
    return parameter in refusal and _UNKNOWN.search(refusal) is not None


def json_of(text: str, what: str) -> object:
    """The JSON value of a text that `what` names in a message. Raises `EngineRefused` where it is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise EngineRefused(f"JSON was expected in {what}: {error}.", code="invalid_value") from None
