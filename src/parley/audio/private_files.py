"""Files that hold people's voices or words: only the user that runs Parley may read them.

Laws: a folder made here has the mode 0700 and a file 0600 from its first byte on; the mode of a folder that exists is left as it is.
"""

from __future__ import annotations

import os
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def make_private_folder(folder: Path) -> None:
    """Create `folder`, and the folders above it that are missing, for this user only. Raises `OSError`."""
    if not folder.is_dir():
        if folder.parent != folder:
            make_private_folder(folder.parent)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)


def private_opener(path: str, flags: int) -> int:
    """For `open(..., opener=private_opener)`: a new file gets `FILE_MODE`, and so does one that is overwritten.

    Raises `OSError`.
    """
    descriptor = os.open(path, flags, FILE_MODE)
    if flags & os.O_TRUNC and hasattr(os, "fchmod"):
        try:
            os.fchmod(descriptor, FILE_MODE)
        except OSError:
            os.close(descriptor)
            raise
    return descriptor
