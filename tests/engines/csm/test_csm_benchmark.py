"""The benchmark runs on the tiny model, and reports what it says it measures."""

from __future__ import annotations

import json

import pytest

from benchmarks import csm

pytest.importorskip("torch")
pytest.importorskip("transformers")


def test_each_way_is_measured_for_each_batch_and_context(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        csm.main(
            [
                "--tiny",
                "--json",
                "--device",
                "cpu",
                "--rows",
                "generate,loop",
                "--batches",
                "1,2",
                "--contexts",
                "0,4",
                "--frames",
                "3",
            ]
        )
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    rows = {(found["row"], found["batch"], found["context_s"]): found for found in report["figures"]}
    assert set(rows) == {
        (row, batch, context) for row in ("generate", "loop") for batch in (1, 2) for context in (0, 4)
    }
    for found in rows.values():
        first = found["first_ms"]
        assert 0 < first[0] <= first[1] <= first[2]
        assert 0 < found["p50_ms"] <= found["p99_ms"]
        assert found["rtf"] > 0
        assert found["memory_mb"] > 10
    # generate() has no sound before its end; the loop's first frame comes before its third.
    assert rows["generate", 1, 0]["first_ms"][0] == rows["generate", 1, 0]["first_ms"][2]
    assert rows["loop", 1, 0]["first_ms"][0] < rows["loop", 1, 0]["first_ms"][2]
    assert rows["loop", 1, 4]["prefill_ms"] > 0
    assert rows["loop", 2, 4]["join_ms"] > 0
    assert set(report["sessions_within_80_ms"]) == {"generate", "loop"}
    assert report["graphs_choose_the_same_codes"] is None
    assert report["conditions"]["model"] == "tiny"


def test_a_way_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        csm.main(["--rows", "loop,fast"])
    assert "fast" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert csm.main(["--folder", "nowhere", "--rows", "loop"]) == 2
    assert capsys.readouterr().err.startswith("csm: There is no folder nowhere.")
