"""How this installation's commands are spelt, for notices that tell a person what to run.

Laws: standard library only, imports nothing of Parley; what it returns runs as it stands in the shell that started this process.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Final

NAME: Final = "parley"
"""The command and the import."""

DISTRIBUTION: Final = "parley-voice"
"""The name of this project as pip knows it: the package index has another `parley`."""


def command(*arguments: str) -> str:
    """The shell command that runs this installation's `parley` with `arguments`.

    It is `parley ...` where the PATH leads to this installation, else the path of its script: as it was typed where it was, relative to
    the current folder where it lies below that.
    """
    return shlex.join([_script(), *arguments])


def install(extra: str) -> str:
    """The shell command that installs what the extra `extra` of this project demands, into the environment of this process.

    It names the packages themselves, which every package index has.
    """
    demanded = _requirements(extra)
    return install_packages(*(demanded or ["--editable", f".[{extra}]"]))


def install_packages(*requirements: str) -> str:
    """The shell command that has pip install `requirements` into the environment of this process."""
    return shlex.join([_shown(Path(sys.executable or "python")), "-m", "pip", "install", *requirements])


def _requirements(extra: str) -> list[str]:
    """What this installation's metadata says of an extra; nothing where it is not installed."""
    try:
        demanded = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    pattern = re.compile(rf"(.+?)\s*;.*\bextra == ['\"]{re.escape(extra)}['\"]")
    return [match[1] for line in demanded if (match := pattern.fullmatch(line))]


def _script() -> str:
    script = _started() or _installed()
    if script is None:
        return NAME
    found = shutil.which(NAME)
    if found is not None and _same(Path(found), script):
        return NAME
    return _shown(script)


def _shown(path: Path) -> str:
    """Relative to the current folder where it lies below that."""
    if not path.is_absolute():
        return str(path)
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _started() -> Path | None:
    """The script that this process was started with; None where that is another program that imports Parley."""
    script = Path(sys.argv[0]) if sys.argv and sys.argv[0] else Path()
    return script if script.stem == NAME and script.is_file() else None


def _installed() -> Path | None:
    """The script beside this process's interpreter; None where there is none."""
    folders = (os.path.dirname(sys.executable), sysconfig.get_path("scripts"))
    candidates = (Path(folder) / f"{NAME}{suffix}" for folder in folders if folder for suffix in ("", ".exe"))
    return next((path for path in candidates if path.is_file()), None)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
