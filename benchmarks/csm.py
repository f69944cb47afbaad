"""What a frame of CSM costs, how soon its first sound is there and how many sessions keep up: `python -m benchmarks.csm`.

The shape is CSM-1B's and the weights are chance (`--folder` takes a real checkpoint): time and memory do not depend on what the weights
say. A frame is 80 ms of speech. Three ways to make it (`--rows`):

- `generate`: `CsmForConditionalGeneration.generate` of transformers, which encodes all past sound for each call and gives sound at the end.
- `loop`: `parley.engines.tts.csm` without CUDA graphs.
- `graphs`: the same with them; left out where there is no CUDA device.

Each for every batch and context (seconds of conversation before; at most what fits into 2048 positions). Whether `loop` and `graphs` choose
the same codes greedily is told too.

`--tiny` runs the tests' tiny model anywhere, to see that the benchmark works: its figures say nothing. Results go to stdout; `--json` gives
them for a program.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from parley.engines.tts.csm import libraries
from parley.engines.tts.csm.model import FRAMES_PER_S, SAMPLE_RATE, CsmModel, Frame, Piece, Sampling, Sequence
from parley.errors import ParleyError
from tests.engines.csm.tiny_csm import csm_folder, fill_codebooks, tokenizer

FRAME_MS: Final = 1000 / FRAMES_PER_S
TEXT: Final = "I have been thinking about what you said."
TURN_S: Final = 6.0
"""Of the turns that a context is made of."""

ROWS: Final = ("generate", "loop", "graphs")


@dataclass(frozen=True, slots=True)
class Figures:
    """Times in milliseconds. `prefill_ms` is of the whole context, once, for one session; `first_ms` from the text to the first, second and
    third frame of every session, the context being there; `join_ms` until a session more has its first frame, while the others speak;
    `leave_ms` until the others have their next one after a session has left. None where this way does not have it."""

    row: str
    batch: int
    context_s: float
    first_ms: tuple[float, ...]
    p50_ms: float
    p99_ms: float
    rtf: float
    memory_mb: float
    prefill_ms: float | None = None
    join_ms: float | None = None
    leave_ms: float | None = None


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    try:
        return measure_all(options)
    except ParleyError as error:
        print(f"csm: {error}", file=sys.stderr)
        return 2


def measure_all(options: argparse.Namespace) -> int:
    torch = libraries.torch()
    if options.threads:
        torch.set_num_threads(options.threads)
    rows = [row for row in options.rows if row != "graphs" or torch.cuda.is_available()]
    figures: list[Figures] = []
    said: dict[str, list[list[int]]] = {}
    with folder_of(options) as folder:
        for row in rows:
            measure = generate_figures if row == "generate" else loop_figures
            for found in measure(folder, row, options, said):
                figures.append(found)
                print(line(found), file=sys.stderr if options.json else sys.stdout, flush=True)
    report = {
        "conditions": conditions(options),
        "figures": [asdict(found) for found in figures],
        "sessions_within_80_ms": {row: sessions(figures, row) for row in rows},
        "graphs_choose_the_same_codes": said["loop"] == said["graphs"] if {"loop", "graphs"} <= said.keys() else None,
    }
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print_rest(report)
    return 1 if report["graphs_choose_the_same_codes"] is False else 0


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rows", type=lambda text: text.split(","), default=list(ROWS), help="generate,loop,graphs")
    parser.add_argument("--batches", type=numbers, default=[1, 4, 16, 32], help="sessions at once (1,4,16,32)")
    parser.add_argument(
        "--contexts", type=numbers, default=[0, 30, 120], help="seconds of conversation before (0,30,120)"
    )
    parser.add_argument("--frames", type=int, default=50, help="frames measured in each row (50)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=0, help="of torch on the CPU")
    parser.add_argument("--folder", type=Path, help="a checkpoint, instead of chance in the real shape")
    parser.add_argument("--tiny", action="store_true", help="the tests' tiny model")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"--rows knows no {', '.join(sorted(unknown))}; it is of {', '.join(ROWS)}")
    if options.frames < 3:
        parser.error("--frames is 3 or more")
    return options


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


@contextmanager
def folder_of(options: argparse.Namespace) -> Iterator[Path]:
    """The checkpoint that is measured; one of chance is removed at the end."""
    if options.folder:
        yield options.folder
        return
    with tempfile.TemporaryDirectory() as made:
        yield csm_folder(Path(made)) if options.tiny else real_shape(Path(made))


def real_shape(folder: Path) -> Path:
    """CSM-1B's shape with random weights, 3 GB in bfloat16."""
    torch, transformers = libraries.torch(), libraries.transformers()
    torch.manual_seed(1)
    torch.set_default_dtype(torch.bfloat16)
    try:
        network = transformers.CsmForConditionalGeneration(transformers.CsmConfig())
    finally:
        torch.set_default_dtype(torch.float32)
    fill_codebooks(network.codec_model, 1)
    network.save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def loop_figures(
    folder: Path, row: str, options: argparse.Namespace, said: dict[str, list[list[int]]]
) -> Iterator[Figures]:
    model = CsmModel(
        folder,
        device=options.device,
        dtype=options.dtype,
        graphs=row == "graphs",
        slots=max(options.batches) + 1,
    )
    speak(model, [model.open(Sampling(seed=1))], 3, close=True)
    said[row] = speak(model, [model.open(Sampling(temperature=0))], options.frames, close=True)[1]
    for context in options.contexts:
        for batch in options.batches:
            yield loop_row(model, row, batch, context, options.frames)
    del model
    gc.collect()


def loop_row(model: CsmModel, row: str, batch: int, context_s: float, frames: int) -> Figures:
    reset_memory(model.device)
    members = [model.open(Sampling(seed=number)) for number in range(batch + 1)]
    prefix = conversation(model, context_s, frames)
    prefill = [timed(partial(model.append, member, prefix)) for member in members]
    *speaking, joining = members
    times, _ = speak(model, speaking, frames)
    begun = time.perf_counter()
    start(model, joining)
    go_on(model, members)
    join_ms = (time.perf_counter() - begun) * 1000
    model.close(joining)
    leave_ms = timed(partial(go_on, model, speaking))
    for member in speaking:
        model.close(member)
    return Figures(
        row,
        batch,
        context_s,
        *summary(times),
        memory_mb(model.device),
        prefill_ms=min(prefill) if prefix else 0.0,
        join_ms=join_ms,
        leave_ms=leave_ms,
    )


def start(model: CsmModel, sequence: Sequence) -> None:
    model.append(sequence, [model.tokenize(TEXT, 0)])
    model.begin(sequence)


def speak(
    model: CsmModel, members: list[Sequence], frames: int, *, close: bool = False
) -> tuple[list[float], list[list[int]]]:
    """The time of each frame, the first one's from the text on, and the first member's codes."""
    begun = time.perf_counter()
    times, codes = [], []
    for member in members:
        start(model, member)
    for _ in range(frames):
        made = go_on(model, members)
        now = time.perf_counter()
        times.append((now - begun) * 1000)
        begun = now
        codes.append(made[0].codes.tolist())
    if close:
        for member in members:
            model.close(member)
    return times, codes


def go_on(model: CsmModel, members: list[Sequence]) -> list[Frame]:
    """A step; who has ended begins again."""
    made = model.step(members)
    for member, frame in zip(members, made, strict=True):
        if frame.ended:
            start(model, member)
    return made


def conversation(model: CsmModel, seconds: float, frames: int) -> list[Piece]:
    """Turns of text and sound, as much of it as leaves room for what is measured."""
    room = model.max_context - frames - 4 * len(model.tokenize(TEXT, 0)) - 8
    chance = np.random.default_rng(1)
    left, pieces, turn = min(round(seconds * FRAMES_PER_S), room), list[Piece](), 0
    while left > 0:
        words = model.tokenize(TEXT, turn % 2)
        count = min(left, round(TURN_S * FRAMES_PER_S))
        if len(words) + count + 1 > room:
            break
        room -= len(words) + count + 1
        pieces += [words, chance.integers(1, 32, (count, model.codebooks))]
        left, turn = left - count, turn + 1
    return pieces


class Clock:
    """A streamer of transformers, which is given each frame's codes."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._begun = time.perf_counter()

    def put(self, value: Any) -> None:
        if value.ndim == 2 and len(value) and value.shape[1] > 1:
            now = time.perf_counter()
            self.times.append((now - self._begun) * 1000)
            self._begun = now

    def end(self) -> None:
        """Nothing follows."""


def generate_figures(
    folder: Path, row: str, options: argparse.Namespace, said: dict[str, list[list[int]]]
) -> Iterator[Figures]:
    torch, transformers = libraries.torch(), libraries.transformers()
    device = (
        "cuda:0" if options.device == "auto" and torch.cuda.is_available() else options.device.replace("auto", "cpu")
    )
    kind = options.dtype if options.dtype != "auto" else "bfloat16" if device != "cpu" else "float32"
    network = transformers.CsmForConditionalGeneration.from_pretrained(folder, dtype=kind).to(device).eval()
    for context in options.contexts:
        for batch in options.batches:
            reset_memory(device)
            times, whole = generated(network, batch, context, options.frames)
            _, p50_ms, p99_ms, rtf = summary(times)
            # There is no sound before the last code.
            yield Figures(row, batch, context, (whole,) * 3, p50_ms, p99_ms, rtf, memory_mb(device))
    del network
    gc.collect()


def generated(network: Any, batch: int, context_s: float, frames: int) -> tuple[list[float], float]:
    torch = libraries.torch()
    config, device = network.config, network.device
    text = torch.randint(4, 70, (batch, len(TEXT)))
    audio = {}
    if context_s:
        samples = round(context_s * SAMPLE_RATE)
        marks = [config.audio_token_id] * -(-samples // 1920) + [config.audio_eos_token_id]
        text = torch.cat((text, torch.tensor(marks).expand(batch, -1), text), 1)
        audio = {
            "input_values": (torch.randn(batch, 1, samples) * 0.1).to(device, network.dtype),
            "input_values_cutoffs": torch.full((batch, 1), samples, device=device),
        }
    clock = Clock()
    begun = time.perf_counter()
    with torch.inference_mode():
        codes = network.generate(
            input_ids=text.to(device),
            attention_mask=torch.ones_like(text).to(device),
            **audio,
            streamer=clock,
            max_new_tokens=frames,
            do_sample=True,
            depth_decoder_do_sample=True,
        )
        # It chooses codes of the padding too, on which its own decoding fails.
        network.codec_model.decode(
            codes.transpose(1, 2).clamp(max=config.codec_config.codebook_size - 1)
        ).audio_values.cpu()
    return clock.times, (time.perf_counter() - begun) * 1000


def summary(times: list[float]) -> tuple[tuple[float, ...], float, float, float]:
    """First, second and third frame; median and 99th percentile of the frames after the first; their mean as a share of 80 ms."""
    steady = np.array(times[1:])
    first = tuple(float(total) for total in np.cumsum(times)[:3])
    return first, float(np.median(steady)), float(np.percentile(steady, 99)), float(steady.mean() / FRAME_MS)


def sessions(figures: list[Figures], row: str) -> dict[str, int]:
    """By context: the largest batch whose 99th percentile is below 80 ms; 0 where none is."""
    contexts = sorted({found.context_s for found in figures})
    kept = [found for found in figures if found.row == row and found.p99_ms < FRAME_MS]
    return {
        f"{context:g}": max((found.batch for found in kept if found.context_s == context), default=0)
        for context in contexts
    }


def timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1000


def reset_memory(device: str) -> None:
    if device.startswith("cuda"):
        libraries.torch().cuda.reset_peak_memory_stats()


def memory_mb(device: str) -> float:
    """The highest so far: of the device, or of this process."""
    if device.startswith("cuda"):
        return float(libraries.torch().cuda.max_memory_allocated()) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def conditions(options: argparse.Namespace) -> dict[str, object]:
    torch = libraries.torch()
    return {
        "model": "tiny" if options.tiny else str(options.folder or "the shape of CSM-1B, random weights"),
        "device": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else platform.processor() or platform.machine(),
        "dtype": options.dtype,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__,
        "transformers": libraries.transformers().__version__,
        "frames": options.frames,
    }


def line(found: Figures) -> str:
    first = "/".join(f"{value:.0f}" for value in found.first_ms)
    rest = " ".join(
        f"{name} {value:.0f}"
        for name, value in (("prefill", found.prefill_ms), ("join", found.join_ms), ("leave", found.leave_ms))
        if value is not None
    )
    return (
        f"{found.row:9}{found.batch:4} sessions {found.context_s:4g} s: first {first} ms, frame p50 {found.p50_ms:.1f} p99 "
        f"{found.p99_ms:.1f} ms, RTF {found.rtf:.2f}, {found.memory_mb:.0f} MB {rest}"
    )


def print_rest(report: dict[str, Any]) -> None:
    """What is not a row."""
    print(", ".join(f"{name} {value}" for name, value in report["conditions"].items()))
    print(f"sessions within {FRAME_MS:g} ms, by context in seconds: {report['sessions_within_80_ms']}")
    if report["graphs_choose_the_same_codes"] is not None:
        print(f"graphs choose the codes of the loop: {report['graphs_choose_the_same_codes']}")


if __name__ == "__main__":
    sys.exit(main())
