"""Parley: a self-hosted real-time voice server and toolkit.

`parley.Pipeline`, `parley.VoiceSession` and everything else that `parley.library` exports are names of this package too; they are
loaded when they are first asked for. Importing this package loads no engine and no heavy library; each is imported by the one file that
wraps it, when it is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parley.library import *  # noqa: F403

__version__ = "0.2.0.dev0"


def __getattr__(name: str) -> object:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    library = import_module("parley.library")
    try:
        if name not in library.__all__:
            raise AttributeError
        value: object = getattr(library, name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    from importlib import import_module

    return sorted({*globals(), *import_module("parley.library").__all__})
