"""TLS from the files of `server.tls_cert` and `server.tls_key`.

Laws: an error names the setting, the file and the remedy. A certificate that clients will not accept because of its dates is served and
warned of: the clock of this machine may be the one that is wrong.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from parley.config import ConfigError, ServerConfig
from parley.errors import ParleyError

EXPIRES_SOON = timedelta(days=7)


class KeyHasPassword(ParleyError):
    """The private key is encrypted. (OpenSSL would ask for its password on the terminal.)"""


def tls_context(server: ServerConfig) -> ssl.SSLContext | None:
    """The TLS settings of the server's connections; None where it speaks plain HTTP. Raises `ConfigError`."""
    if server.tls_cert is None or server.tls_key is None:
        return None
    _certificate(server.tls_cert)
    _read("tls_key", server.tls_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(server.tls_cert, server.tls_key, password=_no_password)
    except KeyHasPassword:
        raise ConfigError(
            f"server.tls_key: the private key {server.tls_key} has a password.",
            remedy="Name a key without one; `openssl pkey -in KEY -out KEY_WITHOUT_PASSWORD` removes it.",
        ) from None
    except (ssl.SSLError, ValueError) as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"server.tls_key: {server.tls_key} is not the private key of the certificate in {server.tls_cert} (server.tls_cert).",
                remedy="Name the two files that were made together. The server's own certificate is the first in its file.",
            ) from error
        raise ConfigError(
            f"server.tls_key: {server.tls_key} holds no private key in PEM format.",
            remedy="Name the private key of tls_cert.",
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def tls_warning(server: ServerConfig, now: datetime) -> str:
    """What is wrong with the dates of the certificate at `now`; "" where nothing is. Raises `ConfigError`."""
    if server.tls_cert is None:
        return ""
    certificate = _certificate(server.tls_cert)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins:
        fault = f"is not valid before {_date(begins)}; clients refuse it"
    elif now >= ends:
        fault = f"expired on {_date(ends)}; clients refuse it"
    elif ends - now < EXPIRES_SOON:
        fault = f"expires on {_date(ends)}; clients refuse it from then on"
    else:
        return ""
    return f"server.tls_cert: the certificate {server.tls_cert} {fault}. Renew it and restart the server."


def _certificate(path: Path) -> x509.Certificate:
    """The first certificate of the file: the server's own."""
    try:
        return x509.load_pem_x509_certificates(_read("tls_cert", path))[0]
    except ValueError as error:
        raise ConfigError(
            f"server.tls_cert: {path} holds no certificate in PEM format.",
            remedy="Name the file of the server's certificate, followed by those that lead to its root.",
        ) from error


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"server.{name}: {path} cannot be read: {error.strerror}.",
            remedy="Name a PEM file that the server's user may read.",
        ) from error


def _date(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _no_password() -> str:
    raise KeyHasPassword("the private key has a password")
