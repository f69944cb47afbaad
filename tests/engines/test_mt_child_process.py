"""Child processes that translate: what is asked is answered, and one that dies or hangs is noticed, ended and replaced."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from parley.engines.mt.child_pool import ChildPool
from parley.engines.mt.child_process import ChildLost, ChildPipeline
from parley.engines.ports import EngineError, EngineUnavailable

READER = """
import os, sys, time
held = b""
while block := os.read(0, 65536):
    *whole, held = (held + block).split(b"\\0")
    for text in whole:
        {body}
        os.write(1, text.upper() + b"\\0")
"""


def stage(body: str = "pass") -> tuple[str, ...]:
    return (sys.executable, "-c", READER.format(body=body))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def pipeline() -> Iterator[ChildPipeline]:
    made = ChildPipeline("test", [stage(), stage()])
    yield made
    made.close()


def test_a_pipeline_answers_one_text_after_the_other(pipeline: ChildPipeline) -> None:
    assert [pipeline.ask(text, 20) for text in ("one", "", "olá\n[x]", "y" * 200_000)] == [
        "ONE",
        "",
        "OLá\n[X]",
        "Y" * 200_000,
    ]


@pytest.mark.parametrize("which", [0, 1])
def test_a_stage_that_dies_is_noticed_and_all_are_ended(pipeline: ChildPipeline, which: int) -> None:
    assert pipeline.ask("one", 20) == "ONE"
    os.kill(pipeline.pids[which], 9)
    with pytest.raises(ChildLost, match="ended unexpectedly"):
        pipeline.ask("two", 20)
    assert not any(map(alive, pipeline.pids))


@pytest.mark.parametrize("dies_s", [0, 0.5])
def test_what_a_stage_writes_because_the_one_before_it_died_is_no_answer(dies_s: float) -> None:
    """Also while the one before is still about to die, as on a busy machine."""
    dies = stage(f"os.write(1, text[:2]); os.close(1); time.sleep({dies_s}); os._exit(1)")
    finishes = (
        sys.executable,
        "-c",
        "import os\nheld = b''\nwhile b := os.read(0, 99): held += b\nos.write(1, held + b'\\0')",
    )
    pipeline = ChildPipeline("test", [dies, finishes])
    with pytest.raises(ChildLost, match="ended unexpectedly"):
        pipeline.ask("one two", 20)
    assert not any(map(alive, pipeline.pids))


def test_a_process_that_hangs_is_ended_at_the_limit() -> None:
    pipeline = ChildPipeline("test", [stage("time.sleep(60)")])
    with pytest.raises(ChildLost, match=r"did not answer within 0\.2 s"):
        pipeline.ask("one", 0.2)
    assert not any(map(alive, pipeline.pids))


def test_an_answer_without_end_is_cut_off() -> None:
    pipeline = ChildPipeline(
        "test", [stage("os.write(1, b'x' * 65536); [os.write(1, b'x' * 65536) for _ in range(40)]")]
    )
    with pytest.raises(ChildLost):
        pipeline.ask("one", 20)
    assert not any(map(alive, pipeline.pids))


def test_a_program_that_is_not_there_leaves_no_process() -> None:
    with pytest.raises(OSError, match="no-such-program"):
        ChildPipeline("test", [stage(), ("no-such-program",)])


def test_a_lost_process_is_replaced_and_the_text_asked_again() -> None:
    made: list[ChildPipeline] = []

    def start(key: str) -> ChildPipeline:
        made.append(ChildPipeline(key, [stage()]))
        return made[-1]

    pool = ChildPool(start)
    assert pool.ask("a", "one") == "ONE"
    os.kill(made[0].pids[0], 9)
    assert pool.ask("a", "two") == "TWO"
    assert pool.ask("b", "three") == "THREE"
    assert (len(made), pool.fault) == (3, None)
    pool.close()
    pool.close()
    assert not any(alive(pid) for one in made for pid in one.pids)
    with pytest.raises(EngineError, match="closed"):
        pool.ask("a", "four")


def test_a_text_that_kills_every_process_is_a_fault_until_another_is_answered() -> None:
    pool: ChildPool[str] = ChildPool(lambda key: ChildPipeline(key, [stage("os._exit(1) if text == b'bad' else None")]))
    with pytest.raises(ChildLost):
        pool.ask("a", "bad")
    fault = pool.fault
    assert isinstance(fault, ChildLost)
    assert pool.ask("a", "good") == "GOOD"
    assert pool.fault is None
    pool.close()


def test_a_process_that_cannot_be_started_is_a_fault() -> None:
    def start(key: str) -> ChildPipeline:
        raise EngineUnavailable("no such model", code="load_failed")

    pool = ChildPool(start)
    with pytest.raises(EngineUnavailable):
        pool.ask("a", "one")
    assert pool.fault is not None
    assert pool.fault.code == "load_failed"
