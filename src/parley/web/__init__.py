"""The browser page: static files and where they lie.

Laws: no code but this; the files are served as they are (no build step) and ask nothing of any other host.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""The kinds of file the page is made of; nothing else is served."""


def page_files() -> dict[str, Path]:
    """Each file of the page by its path below `ROOT`, with forward slashes: `index.html`, `js/main.js`."""
    return {
        path.relative_to(ROOT).as_posix(): path
        for path in sorted(ROOT.rglob("*"))
        if path.is_file() and path.suffix in TYPES
    }
