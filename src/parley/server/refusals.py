"""Why a client is refused: one value, written in OpenAI's error shape on REST and on the WebSocket handshake alike.

Laws: always `{"error":{"message","type","param","code"}}`; the message says what is wrong and how to fix it, and holds no secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from parley.errors import ParleyError

RefusalType = Literal["invalid_request_error", "server_error", "rate_limit_error"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """`retry_after_s` 0: trying again will not help."""

    status: int
    code: str
    message: str
    param: str | None = None
    type: RefusalType = "invalid_request_error"
    retry_after_s: int = 0

    def body(self) -> bytes:
        """The JSON text."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": error})

    def headers(self) -> dict[str, str]:
        """What belongs beside the body, content type included."""
        headers = {"content-type": "application/json"}
        if self.retry_after_s:
            headers["retry-after"] = str(self.retry_after_s)
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return headers


BETA_REFUSED = Refusal(
    400,
    "beta_api_shape_disabled",
    "The beta Realtime API is switched off on this server (server.beta). Leave out 'OpenAI-Beta: realtime=v1' and use the GA events.",
)
"""OpenAI's code for it."""


class Refused(ParleyError):
    """Raised inside a REST endpoint; answered once, by the application."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
