"""The progress of a command that works its way through a recording.

Laws: shown on stderr, only on a terminal, and only for a recording that takes long; results on stdout are not disturbed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parley.audio.files import Recording
    from parley.audio.types import Samples

LONG_S = 20.0
"""A file this long gets a progress bar."""

PIECE_MS = 500.0


@contextmanager
def frames_with_progress(recording: Recording, name: str) -> Iterator[Iterable[Samples]]:
    """The frames of a recording; as they are taken, a bar called `name` moves on."""
    from parley.library.recordings import frames

    pieces = frames(recording, PIECE_MS)
    if not (sys.stderr.isatty() and recording.seconds >= LONG_S):
        yield pieces
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns,
        console=Console(stderr=True, emoji=False),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=False,
    ) as progress:
        yield progress.track(pieces, total=recording.seconds * 1000 / PIECE_MS, description=name)
