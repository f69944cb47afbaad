"""The answer to a path that does not exist, for a person who opened it in a browser: a small page that leads to the real one.

Laws: everything else gets the error in JSON (`rest.py`); addresses are relative to the path, so that they hold behind a proxy that strips a
prefix, too.
"""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import Response

from parley.server.refusals import Refusal
from parley.server.web import GUARD

_PAGE = """<!doctype html>
<html lang="en" data-theme="auto">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Not found · Parley</title>
<link rel="icon" href="{root}assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{root}assets/css/tokens.css">
<link rel="stylesheet" href="{root}assets/css/page.css">
<link rel="stylesheet" href="{root}assets/css/captions.css">
<script src="{root}assets/js/first-paint.js"></script>
</head>
<body>
<main class="scroll">
  <div class="empty">
    <h1 class="lead">There is nothing at this address.</h1>
    <p class="aside">{message}</p>
    <p class="tries"><a class="solid" href="{root}">Open Parley</a></p>
  </div>
</main>
</body>
</html>
"""


def wants_page(request: Request) -> bool:
    """Whether a browser asks for something to show."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def nothing_here(request: Request, refusal: Refusal) -> Response:
    """The page that says `refusal` and leads to the server's root."""
    root = "../" * (request.url.path.count("/") - 1) or "./"
    page = _PAGE.format(root=root, message=escape(refusal.message))
    headers = {**GUARD, "cache-control": "no-store"}
    return Response(page, refusal.status, headers, "text/html; charset=utf-8")
