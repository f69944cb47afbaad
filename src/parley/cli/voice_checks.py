"""What `parley doctor` says of voice conversion: the delay that each pipeline's converter adds, the profiles, and what they need.

Laws: whether a converter opens is said by its own line, as of any engine; nothing here is required, because a server without voice
conversion serves.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from parley.cli.checks import Check
from parley.invocation import install, install_packages

if TYPE_CHECKING:
    from parley.engines.ports import EngineSpec, VoiceConverter

SLOW_MS = 300.0
"""From here on both sides of a call begin to talk over each other (ITU-T G.114 asks for 150 ms, and calls 400 unacceptable)."""


def check_converter(pipelines: Sequence[str], converter: VoiceConverter) -> Check:
    """What an open converter adds to a live voice."""
    info = converter.info
    added_ms = converter.latency_ms + converter.block_ms
    voices = f"; voices: {', '.join(info.voices)}" if info.voices else ""
    seen = (
        f"adds {added_ms:.0f} ms to a live voice ({converter.latency_ms:.0f} ms held back and a block of "
        f"{converter.block_ms:.0f} ms), at {info.sample_rate} Hz{voices}"
    )
    slow = added_ms > SLOW_MS
    remedy = "For a call choose a smaller block, or the converter vocoder." if slow else ""
    return Check(f"voice conversion ({', '.join(pipelines)})", not slow, seen, remedy, required=False)


def check_profiles() -> Iterator[Check]:
    """Which voice profiles there are, and whether another can be learnt."""
    from parley.engines.ports import EngineError
    from parley.engines.vc import profiles

    name, whole, damaged = "voice profiles", [], []
    for each in profiles.names():
        try:
            whole.append(profiles.load(each).name)
        except EngineError as error:
            damaged.append(error)
    yield Check(name, True, f"{', '.join(whole)} (in {profiles.folder()})")
    for fault in damaged:
        yield Check(name, False, fault.message, fault.remedy, required=False)
    if importlib.util.find_spec("swift_f0") is None:
        remedy = install_packages("swift-f0")
        yield Check("swift-f0", False, "not installed; no voice profile can be learnt", remedy, required=False)


def check_index(spec: EngineSpec) -> Check | None:
    """Whether faiss is there for an RVC voice that has an index of it; None where none is named."""
    if spec.name != "rvc":
        return None
    named, folder = str(spec.options.get("index") or ""), Path(spec.model).expanduser()
    if not named and folder.is_dir():
        named = next((str(path) for path in sorted(folder.glob("*.index"))), "")
    if not named.endswith(".index"):
        return None
    if importlib.util.find_spec("faiss") is None:
        remedy = f"{install('rvc')}. Or set the option index_rate = 0."
        return Check("faiss", False, f"not installed; {named} is an index of it", remedy, required=False)
    return Check("faiss", True, f"reads {named}")
