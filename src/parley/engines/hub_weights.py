"""Weights that are a folder of the user's, or a repository of the Hub in the Hub's own cache.

Laws: nothing is asked of the network; what is missing is named as `hub:owner/name`, which is fetched before engines open.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from parley.engines import weights
from parley.engines.ports import EngineUnavailable
from parley.models.hub_repository import HubRepository


@dataclass(frozen=True, slots=True)
class HubWeights:
    """`what` are the weights ("a checkpoint of Phonon"), `needed` the files that a repository must have brought, `example` names one."""

    what: str
    needed: tuple[str, ...]
    example: str

    def locate(self, model: str) -> Path:
        """The folder of `model`: a path, or `owner/name` in the Hub's cache. Blocks. Raises `EngineUnavailable` (`missing_weights`)."""
        if (found := self.here(model)) is not None:
            return found
        if not _may_be_a_repository(model):
            raise EngineUnavailable(
                f"There is no folder {model} with {self.what}." if model else f"No folder is named with {self.what}.",
                f"Name a folder, or a repository of the Hub such as {self.example}.",
                code="missing_weights",
            )
        raise weights.not_here(HubRepository(model).name)

    def missing(self, model: str) -> tuple[str, ...]:
        """The repository of the Hub that is named, where it is not on this machine."""
        if not _may_be_a_repository(model) or self.here(model) is not None:
            return ()
        return (HubRepository(model).name,)

    def here(self, model: str) -> Path | None:
        """The folder, None where it is not on this machine."""
        folder = Path(model).expanduser()
        if model and folder.is_dir():
            return folder
        if not _may_be_a_repository(model):
            return None
        cached = HubRepository(model).cached()
        return cached if cached is not None and all((cached / name).is_file() for name in self.needed) else None


def _may_be_a_repository(model: str) -> bool:
    return not weights.is_path(model) and model.count("/") == 1
