"""Authorization: keys of the settings and of the key file, client secrets, and what each opens.

| demanded | opened by |
|---|---|
| `session`: a Realtime session | a key with the scope `realtime`, a client secret |
| `realtime`: client secrets, what the page asks | a key with the scope `realtime` |
| `audio`: REST endpoints for audio | a key with the scope `audio` |
| `text`: chat completions and responses of the language model | a key with the scope `text` |
| `admin`: metrics | a key with the scope `admin` |
| `any`: the list of models | any key |

Laws:
- A credential is compared with every key, by digest and in constant time; keys, client secrets and digests are never logged or echoed.
- Without any key in the settings, and as long as there has been no key file, everything is open. A client secret is checked even then.
- A credential that is unknown, forged, altered, expired or revoked gets the same 401; one that is known but does not open what was
  demanded gets a 403 that names the scope.
- A change of the key file takes effect with the next request: the file's identity, size and times are checked for each.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from parley.config import ConfigError
from parley.server.access.client_secrets import PREFIX, ClientSecret, ClientSecrets
from parley.server.access.credentials import KEY_SUBPROTOCOL
from parley.server.access.key_file import SCOPES, Key, Scope, WatchedKeys, digest
from parley.server.refusals import Refusal

log = logging.getLogger("parley.server")

Demand = Scope | Literal["session", "any"]

NO_KEY = Refusal(
    401,
    "invalid_api_key",
    "No API key was given. Send it as 'Authorization: Bearer KEY', "
    f"or from a browser as the WebSocket subprotocol '{KEY_SUBPROTOCOL}KEY'.",
)
WRONG_KEY = Refusal(
    401, "invalid_api_key", "The API key is not one of this server's keys, or the client secret is not valid."
)

OPEN = Key(":open", digest(""), SCOPES)
"""Stands for every client where no key is required."""

SETTINGS_NAME = ":settings"
"""Of all keys of the settings. No key of the file has a colon in its name."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a credential opens: the key behind it, and the client secret where it is one."""

    key: Key = OPEN
    secret: ClientSecret | None = None


class Access:
    """`keys` are those of the settings; `key_file` may be created later; `required`: a key is required even while there is none.

    Raises `ConfigError` for a key file that cannot be used, and for a key that begins as client secrets do.
    """

    def __init__(
        self,
        keys: Iterable[str] = (),
        key_file: Path | None = None,
        *,
        required: bool = False,
        secret_key: str = "",
        single_use: bool = False,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self.secrets = ClientSecrets(secret_key, single_use=single_use, wall_s=wall_s)
        self._required = required
        keys = tuple(keys)
        if any(key.startswith(PREFIX) for key in keys):
            raise ConfigError(
                f"A key of server.api_keys begins with {PREFIX!r}, as client secrets do, and would be taken for one.",
                remedy="Choose another key (server.api_keys, server.api_key_env, PARLEY_API_KEY): `openssl rand -hex 32` makes one.",
            )
        self._settings_keys = tuple(Key(SETTINGS_NAME, digest(key), SCOPES) for key in keys)
        self._file = WatchedKeys(key_file) if key_file is not None else None
        if self._file is not None:
            self._file.refresh()
            if self._file.fault is not None:
                raise self._file.fault

    @property
    def open(self) -> bool:
        """Whether no key is required."""
        return not self._required and not self._settings_keys and (self._file is None or not self._file.seen)

    def key_required(self) -> bool:
        """Whether a key is required now: the key file may have come since the last request."""
        self.keys()
        return not self.open

    def keys(self) -> tuple[Key, ...]:
        """The keys as they are now."""
        if self._file is None:
            return self._settings_keys
        if self._file.refresh():
            if self._file.fault is not None:
                log.error("the keys stay as they were: %s", self._file.fault)
            else:
                log.info("the key file %s was read again: %d keys", self._file.path, len(self._file.keys))
        return (*self._settings_keys, *self._file.keys)

    def grant(self, credential: str | None, demand: Demand) -> Grant | Refusal:
        """The grant of `credential`, where it opens what is demanded; else the refusal."""
        keys = self.keys()
        if credential is not None and credential.startswith(PREFIX):
            return self._secret_grant(credential, keys, demand)
        if self.open:
            return Grant()
        if not credential:
            return NO_KEY
        key = _find(credential, keys)
        if key is None:
            return WRONG_KEY
        scope = "realtime" if demand == "session" else demand
        if scope != "any" and scope not in key.scopes:
            return _missing_scope(scope, f"The key {key.name!r} does not have it.")
        return Grant(key)

    def account(self, name: str) -> Grant | Refusal:
        """The grant of the key with this name, for sessions that a telephone system opens on the owner's behalf; "": the first key of the
        settings, or none where none is required."""
        if self.open and not name:
            return Grant()
        keys = self.keys()
        named = next((key for key in keys if key.name == (name or SETTINGS_NAME)), None)
        if named is None:
            where = f"There is no key {name!r} in the key file" if name else "There is no key in the settings"
            return Refusal(503, "no_account", f"{where}; name one with telephony.key_name.", None, "server_error")
        if "realtime" not in named.scopes:
            return _missing_scope("realtime", f"The key {named.name!r} (telephony.key_name) does not have it.")
        return Grant(named)

    def _secret_grant(self, token: str, keys: tuple[Key, ...], demand: Demand) -> Grant | Refusal:
        secret = self.secrets.read(token)
        key = self._maker(secret, keys) if secret is not None else None
        if secret is None or key is None:
            return WRONG_KEY
        if demand != "session":
            return _missing_scope(demand, "A client secret opens sessions and nothing else.")
        return Grant(key, secret)

    def _maker(self, secret: ClientSecret, keys: tuple[Key, ...]) -> Key | None:
        """The key that made the secret; None where it exists no longer or may not make secrets any more."""
        if not secret.key:
            return OPEN if self.open else None
        return next((key for key in keys if key.id == secret.key and "realtime" in key.scopes), None)

    def session_keys(self) -> Mapping[str, Key]:
        """The keys that may have sessions now, by id."""
        return {key.id: key for key in self.keys() if "realtime" in key.scopes}


def _find(credential: str, keys: tuple[Key, ...]) -> Key | None:
    presented, found = digest(credential), None
    for key in keys:
        if hmac.compare_digest(key.sha256, presented):
            found = key
    return found


def _missing_scope(scope: Scope | Literal["any"], why: str) -> Refusal:
    wanted = "a key" if scope == "any" else f"a key with the scope '{scope}'"
    return Refusal(403, "missing_scope", f"This needs {wanted}. {why}")
