"""Writes docs/openapi.json, the OpenAPI document of the HTTP API, from the routes of the server; `--check` fails when it is out of date.

A server serves the same document at `/openapi.json`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from parley.config import load
from parley.runtime.engines import LoadedEngines
from parley.server.app import create_app
from parley.server.openapi.document import document

PAGE = Path(__file__).resolve().parents[1] / "docs" / "openapi.json"


def main() -> int:
    config = load(None, {}, {})
    app = create_app(config, LoadedEngines({}, dict.fromkeys(config.pipelines, ()), []))
    text = msgspec.json.format(msgspec.json.encode(document(app.routes)), indent=2).decode() + "\n"
    if "--check" in sys.argv[1:]:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print("docs/openapi.json is out of date: python scripts/openapi.py", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
