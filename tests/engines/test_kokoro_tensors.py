"""Voices are read from files of anybody, and nothing in a file is executed."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parley.engines.tts.kokoro_tensors import InvalidVoice, names, read
from tests.engines.tiny_kokoro import ROWS, WIDTH, style, torch_file, torch_pickle, torch_voice

VOICE = style(3)


def saved(path: Path, array: Any, **options: Any) -> Path:
    np.save(path, array, **options)
    return path


@pytest.mark.parametrize("rank", [3, 2])
@pytest.mark.parametrize("kind", ["bin", "npy", "npz", "pt", "pth", "npz packed", "npy double", "npy fortran"])
def test_every_format_gives_the_same_voice(tmp_path: Path, kind: str, rank: int) -> None:
    values, path = style(3, rank), tmp_path / f"mine.{kind.partition(' ')[0]}"
    match kind:
        case "bin":
            path.write_bytes(values.tobytes())
        case "npy":
            np.save(path, values)
        case "npy double":
            np.save(path, values.astype(">f8"))
        case "npy fortran":
            np.save(path, np.asfortranarray(values))
        case "npz":
            np.savez(path, values)
        case "npz packed":
            np.savez_compressed(path, values)
        case _:
            torch_voice(path, values)
    assert names(path) == ("mine",)
    assert np.array_equal(read(path, "mine"), style(3, 2))


def test_an_archive_of_many_voices_gives_each(tmp_path: Path) -> None:
    path = tmp_path / "voices-v1.0.bin"
    with path.open("wb") as file:
        np.savez(file, af_one=style(1), bm_two=style(2))
    assert names(path) == ("af_one", "bm_two")
    assert np.array_equal(read(path, "bm_two"), style(2, 2))


def test_a_view_of_a_larger_storage_is_read_by_its_strides(tmp_path: Path) -> None:
    stored = np.arange(2 * ROWS * WIDTH, dtype=np.float32).reshape(ROWS, 2 * WIDTH) / 1e6
    described = torch_pickle().replace(
        b"\x87q\x06J" + WIDTH.to_bytes(4, "little"), b"\x87q\x06J" + (2 * WIDTH).to_bytes(4, "little")
    )
    assert described != torch_pickle()
    path = torch_file(tmp_path / "view.pt", described, stored.tobytes())
    assert np.array_equal(read(path, "view"), stored[:, :WIDTH])


def changed(**at: float) -> bytes:
    values = style(3)
    for where, value in at.items():
        values[int(where[1:]), 0, 7] = value
    return values.tobytes()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (VOICE.tobytes()[:-4], "522236 bytes instead of 522240"),
        (VOICE.tobytes() + b"1234", "522244 bytes"),
        (b"", "0 bytes"),
        (bytes(3 << 20), "larger than"),
        (changed(_9=float("nan")), "not numbers"),
        (changed(_9=float("-inf")), "not numbers"),
        (changed(_509=10.5), "the value 10.5"),
        (changed(_0=-1e30), "the value 1e"),
    ],
)
def test_raw_numbers_of_no_voice_are_refused(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "odd.bin"
    path.write_bytes(data)
    with pytest.raises(InvalidVoice, match=why):
        read(path, "odd")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((511, 1, WIDTH), np.float32),
        np.zeros((WIDTH, ROWS), np.float32),
        np.zeros((ROWS, WIDTH), np.int64),
        np.zeros((ROWS, WIDTH), np.complex64),
        np.array([{"a": 1}], object),
        np.float32(1),
    ],
)
def test_arrays_of_another_shape_or_kind_are_refused(tmp_path: Path, array: Any) -> None:
    path = saved(tmp_path / "odd.npy", array, allow_pickle=True)
    with pytest.raises(InvalidVoice, match=r"its shape is|not floating-point"):
        read(path, "odd")


def test_a_header_that_claims_a_huge_array_makes_none(tmp_path: Path) -> None:
    path = saved(tmp_path / "huge.npy", VOICE)
    path.write_bytes(path.read_bytes().replace(b"(510, 1, 256), }", b"(10**9,9**9), }"))
    with pytest.raises(InvalidVoice):
        read(path, "huge")
    path.write_bytes(path.read_bytes().replace(b"(10**9,9**9), }", b"(999999, 999), }"))
    with pytest.raises(InvalidVoice, match="shape"):
        read(path, "huge")


def test_an_archive_that_unpacks_to_more_than_a_voice_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(64 << 20))
    assert path.stat().st_size < 100_000
    with pytest.raises(InvalidVoice, match="larger than"):
        read(path, "bomb")
    torch_file(path := tmp_path / "bomb.pt", bytes(1 << 20), b"")
    with pytest.raises(InvalidVoice, match="larger than"):
        read(path, "bomb")
    path = tmp_path / "many.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for at in range(2000):
            archive.writestr(f"{at}.npy", b"")
    with pytest.raises(InvalidVoice, match="another kind"):
        names(path)


# --- hostile pickles: each would leave a trace if it were executed ---


class Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


def hostile(trace: Path) -> dict[str, bytes]:
    touch = f"touch {trace}"
    write = f"open({str(trace)!r}, 'w').close()"
    valid = torch_pickle()
    return {
        "os.system": pickle.dumps(Runs(os.system, touch), 2),
        "eval": pickle.dumps(Runs(eval, write), 2),
        "exec": pickle.dumps(Runs(exec, write), 2),
        "a chain": pickle.dumps(Runs(getattr, Runs(__import__, "os"), "system"), 2),
        "newest protocol": pickle.dumps(Runs(os.system, touch), pickle.HIGHEST_PROTOCOL),
        "oldest protocol": pickle.dumps(Runs(os.system, touch), 0),
        "inside the hooks": valid.replace(
            b"ccollections\nOrderedDict\nq\x08)R", pickle.dumps(Runs(os.system, touch), 2)[2:-1]
        ),
        "before the tensor": pickle.dumps(Runs(os.system, touch), 2)[:-1] + b"0" + valid[2:],
        "after the tensor": valid[:-1] + b"0" + pickle.dumps(Runs(os.system, touch), 2)[2:],
        "instead of a storage": valid.replace(b"ctorch\nFloatStorage\n", b"cos\nsystem\n"),
        "an instance": b"(S'" + touch.encode() + b"'\nios\nsystem\n.",
        "an object": b"(cos\nsystem\nS'" + touch.encode() + b"'\no.",
        "a state": valid[:-1] + pickle.dumps({"a": Runs(os.system, touch)}, 2)[2:-1] + b"b.",
        "an extension": b"\x80\x02\x82\x01.",
        "a nested pickle": pickle.dumps(Runs(pickle.loads, pickle.dumps(Runs(os.system, touch))), 2),
        "ordered dict of items": valid.replace(b"OrderedDict\nq\x08)R", b"OrderedDict\nq\x08]\x85R"),
    }


def run_by_the_standard_library(data: bytes) -> None:
    """What a careless reader does."""

    class Careless(pickle.Unpickler):
        def persistent_load(self, key: Any) -> Any:
            return key

    Careless(io.BytesIO(data)).load()


@pytest.mark.parametrize("kind", hostile(Path("x")))
def test_a_hostile_pickle_is_refused_and_leaves_no_trace(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "executed"
    path = torch_file(tmp_path / "evil.pt", hostile(trace)[kind], VOICE.tobytes())
    called: list[object] = []
    for module, name in ((os, "system"), (builtins, "eval"), (builtins, "exec"), (pickle, "loads"), (pickle, "load")):
        monkeypatch.setattr(module, name, lambda *given: called.append(given))
    with pytest.raises(InvalidVoice):
        read(path, "evil")
    monkeypatch.undo()
    assert not called
    assert not trace.exists()


@pytest.mark.parametrize(
    "kind", ["os.system", "eval", "exec", "newest protocol", "oldest protocol", "an instance", "an object"]
)
def test_the_hostile_pickles_do_run_elsewhere(tmp_path: Path, kind: str) -> None:
    """Else the test above would prove nothing."""
    trace = tmp_path / "executed"
    run_by_the_standard_library(hostile(trace)[kind])
    assert trace.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02Nr\xff\xff\xff\xff.",  # a memo of four thousand million places
        b"\x80\x02" + b"(" * 4000 + b".",
        b"\x80\x02)" + b"\x85" * 4000 + b".",
        b"\x80\x02)q\x00" + b"h\x00\x86" * 1200 + b".",
        b"\x80\x02" + b"\x8b\xff\xff\xff\x7f" + b"1" * 100 + b".",  # an integer of two thousand million bytes
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # bytes beyond any memory
        b"I" + b"9" * 4000 + b"\n.",
        b"\x80\x02h\x07.",
        b"\x80\x02tR.",
        b"\x80\x02",
        b"",
        b".",
        torch_pickle(kind="DoubleStorage"),
        torch_pickle(shape=(ROWS, 2, WIDTH)),
        torch_pickle(shape=(ROWS * WIDTH,)),
        torch_pickle().replace(b"q\x06J\x00\x01\x00\x00", b"q\x06J\x00\x00\x00\x40"),  # a stride beyond the numbers
        torch_pickle().replace(b"q\x06J\x00\x01\x00\x00", b"q\x06J\x00\xff\xff\xff"),  # and one before them
    ],
)  # fmt: skip
def test_odd_pickles_are_refused_at_once(tmp_path: Path, data: bytes) -> None:
    path = torch_file(tmp_path / "odd.pt", data, VOICE.tobytes())
    with pytest.raises(InvalidVoice):
        read(path, "odd")


def test_torch_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.pt"
    path.write_bytes(pickle.dumps(VOICE))
    with pytest.raises(InvalidVoice, match=r"since version 1\.6"):
        read(path, "old")
    torch_file(path, torch_pickle(), VOICE.tobytes()[:100])
    with pytest.raises(InvalidVoice, match="larger than the numbers"):
        read(path, "old")
    np.savez(tmp_path / "a.npz", VOICE)
    (tmp_path / "a.npz").rename(path)
    with pytest.raises(InvalidVoice, match="not an archive of torch"):
        read(path, "old")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.integers(0, 700), st.binary(min_size=1, max_size=8), st.sampled_from(["pt", "npz", "npy"]))
def test_damaged_files_are_read_or_refused(tmp_path: Path, at: int, damage: bytes, kind: str) -> None:
    path = tmp_path / f"damaged.{kind}"
    if kind == "pt":
        torch_voice(path, VOICE)
    elif kind == "npz":
        np.savez(path, VOICE)
    else:
        np.save(path, VOICE)
    data = bytearray(path.read_bytes())
    data[at : at + len(damage)] = damage
    path.write_bytes(data)
    try:
        values = read(path, "damaged")
    except InvalidVoice:
        return
    assert values.shape == (ROWS, WIDTH)
    assert np.abs(values).max() <= 10
