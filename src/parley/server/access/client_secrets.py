"""Client secrets: `ek_...` tokens that open one kind of session for a while, made by a server for a browser or a phone.

Laws:
- Stateless: a token carries its expiry, the key that made it and the session's configuration, encrypted and authenticated (Fernet:
  AES-128-CBC with HMAC-SHA256, compared in constant time). Its holder can neither read nor change them; so the configuration may
  hold the credentials of an MCP server.
- A token that is forged, altered, expired or encrypted with another server's key is read as None: the reasons are not told apart.
- A token is at most `MAX_TOKEN` characters, so that it fits into a line of an HTTP head.
- Where a token may be used once only, the ids of used tokens are kept until they expire, at most `MAX_USED`. They are known to this
  process only, so no other process accepts its tokens.
- Neither keys nor tokens are logged, nor in any `repr`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from parley.core.words.settings import SessionKind
from parley.errors import ParleyError

PREFIX = "ek_"

MIN_SECONDS, MAX_SECONDS, DEFAULT_SECONDS = 10, 7200, 600

MAX_TOKEN = 7 * 1024
"""Characters. `websockets` and common proxies accept header lines of 8 KiB, which hold the subprotocol's name too."""

MAX_CONFIGURATION = 128 * 1024
"""Bytes of a token's content before compression: a bound on the work for one token."""

MAX_USED = 100_000
"""Used tokens that are remembered, some 15 MB: fourteen a second for two hours."""

ID_BYTES = 12


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """The content of a token. `key` is the id of the key that made it ("": made where no key was required); `session` is the session's
    configuration as its maker wrote it at `path` of a request, in the dialect of that name; `kind` is the kind of its sessions, where
    the configuration does not say it."""

    id: str
    expires_at: int
    key: str
    dialect: str
    session: dict[str, object] = field(repr=False)
    kind: SessionKind | None = None
    path: str = ""


class TooLarge(ParleyError):
    """A session's configuration that does not fit into a token; `size` is what the token would have."""

    def __init__(self, size: int) -> None:
        super().__init__(
            f"A client secret of {size} characters would be too long for an HTTP header; it may have {MAX_TOKEN}.",
            "Shorten the instructions or the tools.",
        )
        self.size = size


class _Content(msgspec.Struct, array_like=True):
    id: str
    expires_at: int
    key: str
    dialect: str
    session: dict[str, object]
    kind: SessionKind | None = None
    path: str = ""


class ClientSecrets:
    """Makes and reads tokens. `secret_key` "": a random key of this process. `wall_s` gives Unix seconds."""

    def __init__(self, secret_key: str, *, single_use: bool, wall_s: Callable[[], float]) -> None:
        material = secret_key.encode() if secret_key and not single_use else secrets.token_bytes(32)
        # The setting is a long random text, so one hash suffices to derive 32 bytes; the label separates this use of it from others.
        key = hashlib.sha256(b"parley client secrets v1\0" + material).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(key))
        self._wall_s = wall_s
        self.single_use = single_use
        self._used: dict[str, int] = {}

    def secret(
        self,
        session: dict[str, object],
        *,
        key: str,
        dialect: str,
        seconds: int = DEFAULT_SECONDS,
        kind: SessionKind | None = None,
        path: str = "",
    ) -> ClientSecret:
        """A secret for sessions of that configuration. Next: `token`."""
        return ClientSecret(
            os.urandom(ID_BYTES).hex(), int(self._wall_s()) + seconds, key, dialect, session, kind, path
        )

    def token(self, secret: ClientSecret) -> str:
        """The secret as its holder gets it. Raises `TooLarge`."""
        content = msgspec.json.encode(_Content(*(getattr(secret, name) for name in _Content.__struct_fields__)))
        if len(content) > MAX_CONFIGURATION:
            raise TooLarge(len(content))
        token = PREFIX + self._fernet.encrypt(zlib.compress(content)).decode("ascii").rstrip("=")
        if len(token) > MAX_TOKEN:
            raise TooLarge(len(token))
        return token

    def read(self, token: str) -> ClientSecret | None:
        """The content of a token; None where it is forged, altered, used up or expired."""
        if not token.startswith(PREFIX) or len(token) > MAX_TOKEN or not token.isascii():
            return None
        text = token.removeprefix(PREFIX)
        try:
            packed = self._fernet.decrypt(text + "=" * (-len(text) % 4))
            found = msgspec.json.decode(zlib.decompress(packed), type=_Content)
        except (InvalidToken, zlib.error, msgspec.DecodeError):
            return None
        if found.expires_at <= self._wall_s() or found.id in self._used:
            return None
        return ClientSecret(*(getattr(found, name) for name in _Content.__struct_fields__))

    @property
    def full(self) -> bool:
        """Whether no more used tokens can be remembered; until some expire, no token may be used."""
        if len(self._used) >= MAX_USED:
            now = self._wall_s()
            self._used = {id_: expires_at for id_, expires_at in self._used.items() if expires_at > now}
        return len(self._used) >= MAX_USED

    def spend(self, secret: ClientSecret) -> None:
        """A session of this secret has been opened."""
        if self.single_use:
            self._used[secret.id] = secret.expires_at
