"""A repository of the Hugging Face Hub that the catalogue does not have: fetched as a whole into the Hub's own cache.

Laws: what it holds is known from the Hub alone, so its bytes are what the Hub says; the catalogue's models are verified by their hashes
instead. A Hub that cannot be reached is noticed within `REACH_TIMEOUT_S`, in one attempt, before any download begins.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from parley.models.catalogue import ModelError, licence_refused

PREFIX: Final = "hub:"

_RESTRICTING: Final = re.compile(r"\bnc\b|rail|^gemma|^llama\d", re.IGNORECASE)
"""In identifiers such as `cc-by-nc-4.0`, `openrail`, `bigscience-bloom-rail-1.0`, `gemma`, `llama3.2`."""

REACH_TIMEOUT_S: Final = 4.0
"""A hub that has not answered one small question by then will not deliver hundreds of megabytes either."""


@dataclass(frozen=True, slots=True)
class HubFacts:
    """What the Hub says of a repository: bytes of all its files (0: it does not say), and the licence ("": it names none)."""

    size: int
    licence: str

    @property
    def restricts(self) -> bool:
        """Whether the licence forbids commercial use or lists forbidden uses, by its identifier on the Hub."""
        return _RESTRICTING.search(self.licence) is not None


@dataclass(frozen=True, slots=True)
class HubRepository:
    """`repository` is `owner/name`, or `owner/name@REVISION`: a commit, a tag or a branch of it in place of the newest state."""

    repository: str

    @property
    def _id(self) -> str:
        return self.repository.partition("@")[0]

    @property
    def _revision(self) -> str | None:
        return self.repository.partition("@")[2] or None

    @property
    def name(self) -> str:
        """As `parley models pull` takes it."""
        return PREFIX + self.repository

    def cached(self) -> Path | None:
        """Its folder in the Hub's cache; None where it is not there. Asks nothing of the network. Raises `ImportError`."""
        import huggingface_hub
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            return Path(huggingface_hub.snapshot_download(self._id, revision=self._revision, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError):
            return None

    def facts(self) -> HubFacts:
        """Ask the Hub. Blocks. Raises `ModelError`."""
        info = ask_hub(self._id, self._revision, files=True)
        sizes = [getattr(file, "size", None) or 0 for file in info.siblings or ()]
        card = info.card_data.to_dict() if info.card_data is not None else {}
        return HubFacts(sum(sizes), str(card.get("license") or ""))

    def pull(self, accept: bool = False, on_bytes: Callable[[int], None] = lambda count: None) -> Path:
        """Its folder, fetched if need be; a download that was cut off is resumed. Blocks. Raises `ModelError`, also for a licence that
        restricts use where `accept` is not given."""
        import huggingface_hub

        facts = self.facts()
        if facts.restricts and not accept:
            raise licence_refused(self.name, facts.licence)
        try:
            return Path(
                huggingface_hub.snapshot_download(
                    self._id,
                    revision=self._revision,
                    endpoint=endpoint(),
                    etag_timeout=REACH_TIMEOUT_S,
                    max_workers=2,
                    tqdm_class=progress(on_bytes),
                )
            )
        except Exception as error:  # the Hub's client raises its HTTP library's own errors, whichever that is
            raise ModelError(
                f"{self.name} could not be fetched: {first_line(error)}.",
                "What has come is kept: start again, or set HF_ENDPOINT to a mirror of the Hub.",
            ) from error


def ask_hub(repository: str, revision: str | None = None, files: bool = False) -> Any:
    """The Hub's answer about a repository, asked once: its client asks again for half a minute where nobody answers.

    Raises `ModelError`.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError

    try:
        return huggingface_hub.HfApi(endpoint=endpoint()).model_info(
            repository, revision=revision, timeout=REACH_TIMEOUT_S, files_metadata=files
        )
    except OfflineModeIsEnabled as error:
        raise ModelError("HF_HUB_OFFLINE is set.") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelError(f"it has no repository {repository}, or a private one (`hf auth login`).") from error
    except HfHubHTTPError as error:
        raise ModelError(f"it answered: {first_line(error)}.") from error
    except Exception as error:  # the Hub's client raises its HTTP library's own errors, whichever that is
        raise ModelError(f"it cannot be reached ({first_line(error)}).") from error


def endpoint() -> str | None:
    """The Hub's address, where another is set than its own."""
    return os.environ.get("HF_ENDPOINT") or None


def progress(on_bytes: Callable[[int], None]) -> type[Any]:
    """What the Hub's client reports to, in the place of a bar of its own."""
    from tqdm import tqdm

    class Progress(tqdm):  # type: ignore[misc, unused-ignore]
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            self._counts_bytes = options.get("unit") == "B"
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            if self._counts_bytes:
                on_bytes(int(n or 0))
            return None

    return Progress


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")
