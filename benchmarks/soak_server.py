"""`parley serve` that also says what is alive in it: for each line on stdin, a line of JSON on stdout. For `soak.py`.

Laws: nothing is collected before it is counted: what waits for the garbage collector counts as alive.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
from collections import Counter

from parley.cli.main import main
from parley.core.regions.response import Response
from parley.core.session import Session
from parley.runtime.driver import Driver
from parley.runtime.generation.attempts import _Attempt
from parley.runtime.listening import Listening, _Turn
from parley.runtime.trace import Trace
from parley.runtime.voice_worker import VoiceStream
from parley.server.http_connection import HttpConnection
from parley.server.links.websocket.connection import WebSocketLink

KINDS: dict[str, type] = {
    "sessions": Session,
    "drivers": Driver,
    "links": WebSocketLink,
    "http_connections": HttpConnection,
    "listening": Listening,
    "turns": _Turn,
    "voice_streams": VoiceStream,
    "attempts": _Attempt,
    "responses": Response,
    "traces": Trace,
}


def alive() -> dict[str, int]:
    """Objects of each kind, tasks that run, and threads. The server has frozen what was there at its start."""
    kinds: Counter[type] = Counter(map(type, gc.get_objects()))
    found = {
        name: sum(count for kind, count in kinds.items() if issubclass(kind, wanted)) for name, wanted in KINDS.items()
    }
    found["tasks"] = sum(type(one) is asyncio.Task and not one.done() for one in gc.get_objects())
    found["threads"] = threading.active_count()
    return found


def answer() -> None:
    for _ in sys.stdin:
        print(json.dumps(alive()), flush=True)


if __name__ == "__main__":
    threading.Thread(target=answer, name="soak probe", daemon=True).start()
    main()
