"""What stands in front of an engine is, for everybody else, that engine."""

from __future__ import annotations

from typing import Generic, TypeVar

from parley.engines.ports import Engine, EngineError, EngineInfo, Makeshift, NeedsModels, Supervised

E = TypeVar("E", bound=Engine)


class EngineFront(Generic[E]):
    """Says of itself what the engine behind it says, and opens and closes it."""

    def __init__(self, engine: E) -> None:
        self.engine = engine

    @property
    def info(self) -> EngineInfo:
        return self.engine.info

    @property
    def notice(self) -> str:
        """What the engine wants said once it is ready."""
        notice: str = getattr(self.engine, "notice", "")
        return notice

    @property
    def makeshift(self) -> bool:
        """Whether the engine stands in for something better."""
        engine: Engine = self.engine
        return isinstance(engine, Makeshift) and engine.makeshift

    @property
    def fault(self) -> EngineError | None:
        """Why the engine cannot work at this moment; None while it can."""
        engine: Engine = self.engine
        return engine.fault if isinstance(engine, Supervised) else None

    def missing_models(self) -> tuple[str, ...]:
        engine: Engine = self.engine
        return engine.missing_models() if isinstance(engine, NeedsModels) else ()

    async def open(self) -> None:
        await self.engine.open()

    async def close(self) -> None:
        await self.engine.close()
