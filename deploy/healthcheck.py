"""The health check of the container: 0 where the server, found by the settings of the file and the environment, answers GET /health.

Flags of `parley serve` are not seen here: in a container, set the port by PARLEY_PORT or in parley.toml.
"""

from __future__ import annotations

import os
import ssl
import sys
import urllib.error
import urllib.request

from parley.config import ConfigError, load

TIMEOUT_S = 8.0
EVERYWHERE = ("0.0.0.0", "::")


def main() -> int:
    try:
        server = load(None, {}, os.environ).server
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    # The certificate is for the public name, and this asks 127.0.0.1: whether it is valid is not this check's concern.
    context = ssl._create_unverified_context() if server.tls_cert is not None else None
    host = "127.0.0.1" if server.host in EVERYWHERE else f"[{server.host}]" if ":" in server.host else server.host
    url = f"http{'s' if context else ''}://{host}:{server.port}/health"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=TIMEOUT_S) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        print(f"{url} answers {error.code}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{url} does not answer: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
