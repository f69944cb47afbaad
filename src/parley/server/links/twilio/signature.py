"""Twilio's signature of a request: that whoever sent it knows the account's auth token.

Laws: compared in constant time; neither the token nor a signature is logged.
Source: Twilio, "Security": HMAC-SHA1 over the URL as Twilio was given it, followed by each parameter of a form and its value, in the order
of their names. Of a WebSocket, the URL begins with wss, and some have been signed with a slash at the end that was not in the TwiML.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from parley.server.refusals import Refusal

HEADER: Final = "x-twilio-signature"

UNSIGNED: Final = Refusal(
    403,
    "invalid_signature",
    "The header X-Twilio-Signature does not match this request. Check telephony.twilio_auth_token and telephony.public_url: the URL must "
    "be the one that Twilio has for this server, such as https://voice.example.com.",
)


def sign(token: str, url: str, form: Iterable[tuple[str, str]] = ()) -> str:
    """The signature of a request to `url` with these parameters in its body."""
    text = url + "".join(name + value for name, value in sorted(set(form)))
    return b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode("ascii")


class Signatures:
    """Judges requests. `token` "": none is configured. `public_url` "": the request's own host, over TLS."""

    def __init__(self, token: str, public_url: str) -> None:
        self._token = token
        self._public_url = public_url.rstrip("/")

    @property
    def checked(self) -> bool:
        return bool(self._token)

    def public_host(self, host: str | None) -> str:
        """What addresses of this server begin with, without the scheme."""
        return self._public_url.partition("://")[2] or host or "localhost"

    def refusal(
        self,
        target: str,
        headers: Mapping[str, str],
        form: Sequence[tuple[str, str]] = (),
        *,
        schemes: Sequence[str] = ("https", "http"),
    ) -> Refusal | None:
        """Why this request for `target` (path and query) is not believed to be Twilio's. `headers` has lower-case names."""
        given = headers.get(HEADER, "").encode()
        path, question, query = target.partition("?")
        paths = (path.rstrip("/"), path.rstrip("/") + "/")
        host = self.public_host(headers.get("host"))
        found = False
        for scheme in schemes:
            for one in paths:
                signature = sign(self._token, f"{scheme}://{host}{one}{question}{query}", form)
                found |= hmac.compare_digest(given, signature.encode())
        return None if found and self._token else UNSIGNED
