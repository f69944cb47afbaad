"""A model comes out of an archive that is verified before it is unpacked; hostile archives write nothing but the model."""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from parley.cli.main import run
from parley.models import archives, packages, store
from parley.models.catalogue import ArchiveSource, HubSource, ModelEntry, ModelError, catalogue
from parley.models.packages import OnBytes
from parley.models.pull import pull
from tests.models.model_hosts import ModelHosts
from tests.models.toy_model import CONFIG, WEIGHTS

FOLDER = "toy-2026"
Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, data: bytes = b"", **changes: object) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in changes.items():
        setattr(info, field, value)
    return info, data


def packed(*members: Member) -> bytes:
    """A tar with these members, not compressed."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


WHOLE = (
    member(f"{FOLDER}/README.md", b"a toy"),
    member(f"{FOLDER}/config.json", CONFIG),
    member(f"{FOLDER}/weights.bin", WEIGHTS),
    member(f"{FOLDER}/test_wavs/0.wav", bytes(1000)),
)
WHOLE_BZ2 = bz2.compress(packed(*WHOLE))


@pytest.fixture
def serve(hosts: ModelHosts, model: ModelEntry, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModelEntry]:
    """A function that puts an archive on the host, and returns a toy of the catalogue that has no other source."""

    def put(data: bytes, suffix: str = ".bz2", folder: str = FOLDER, **source: object) -> ModelEntry:
        name = f"toy.tar{suffix}"
        hosts.mirrored[f"release/{name}"] = data
        facts = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), **source}
        made = replace(model, sources=(ArchiveSource(f"{hosts.url}/mirror/release/{name}", folder=folder, **facts),))  # type: ignore[arg-type]
        monkeypatch.setitem(catalogue(), made.name, made)
        return made

    return put


def there(toy: ModelEntry) -> list[str]:
    """The names of everything in the model's folder."""
    return sorted(str(path.relative_to(store.folder_of(toy))) for path in store.folder_of(toy).rglob("*"))


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".bz2", bz2.compress), (".gz", gzip.compress), (".xz", lzma.compress)]
)
def test_a_model_comes_out_of_an_archive_and_nothing_else_does(
    serve: Callable[..., ModelEntry], suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    sources: list[str] = []
    came: list[int] = []
    toy = serve(compress(packed(*WHOLE)), suffix)
    folder = pull(toy, on_source=sources.append, on_bytes=came.append)
    assert sources == [f"127.0.0.1/mirror/release/toy.tar{suffix}"]
    assert sum(came) == toy.size
    assert there(toy) == ["config.json", "weights.bin"]
    assert (folder / "weights.bin").read_bytes() == WEIGHTS
    assert store.faults(toy) == []
    assert pull(toy) == folder


def test_names_of_an_archive_may_begin_with_a_dot_and_files_lie_in_folders(
    serve: Callable[..., ModelEntry], hosts: ModelHosts
) -> None:
    toy = serve(bz2.compress(packed(member("./top/data/config.json", CONFIG))), folder="top")
    file = replace(toy.files[1], path="data/config.json")
    assert (pull(replace(toy, files=(file,))) / "data/config.json").read_bytes() == CONFIG


def test_only_what_other_sources_lack_is_unpacked(serve: Callable[..., ModelEntry], hosts: ModelHosts) -> None:
    toy = serve(bz2.compress(packed(member(f"{FOLDER}/weights.bin", WEIGHTS))))
    hosts.files = {"config.json": CONFIG}
    pull(replace(toy, sources=(HubSource("org/model", only="*.json"), *toy.sources)))
    assert there(toy) == ["config.json", "weights.bin"]


@pytest.mark.parametrize("ignore_ranges", [False, True])
def test_an_archive_that_broke_off_goes_on(
    serve: Callable[..., ModelEntry], hosts: ModelHosts, ignore_ranges: bool
) -> None:
    came: list[int] = []
    toy = serve(WHOLE_BZ2)
    hosts.break_after, hosts.ignore_ranges = 1000, ignore_ranges
    pull(toy, on_bytes=came.append)
    assert store.faults(toy) == []
    assert sum(came) == toy.size
    assert hosts.ranges == ([] if ignore_ranges else ["bytes=1000-"])


def test_an_archive_that_was_interrupted_goes_on_in_the_next_process(
    serve: Callable[..., ModelEntry], hosts: ModelHosts
) -> None:
    toy = serve(WHOLE_BZ2)

    def interrupted(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    hosts.break_after = 1000
    with pytest.raises(KeyboardInterrupt):
        pull(toy, on_bytes=interrupted)
    assert store.installed(toy.name) is None
    pull(toy)
    assert hosts.ranges == ["bytes=1000-"]
    assert there(toy) == ["config.json", "weights.bin"]


def test_what_was_fetched_is_kept_when_the_disk_becomes_full(
    serve: Callable[..., ModelEntry], hosts: ModelHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = serve(WHOLE_BZ2)
    write = packages.write_member

    def full(target: Path, content: IO[bytes], size: int, on_bytes: OnBytes) -> None:
        write(target, io.BytesIO(content.read(100)), size)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(archives, "write_member", full)
        with pytest.raises(ModelError, match="disk became full"):
            pull(toy)
    assert store.installed(toy.name) is None
    asked = len(hosts.requests)
    pull(toy)
    assert len(hosts.requests) == asked, "the archive was here"
    assert store.faults(toy) == []


def test_a_disk_without_room_for_the_archive_beside_its_files_is_told_before_anything_comes(
    serve: Callable[..., ModelEntry], hosts: ModelHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = serve(WHOLE_BZ2, size=1 << 40)
    with pytest.raises(ModelError, match="MB to unpack"):
        pull(toy)
    assert not hosts.requests


@pytest.mark.parametrize(
    "wrong", [{"sha256": hashlib.sha256(b"another").hexdigest()}, {"size": 100}, {"size": 1 << 20}]
)
def test_another_archive_is_refused_before_it_is_unpacked(
    serve: Callable[..., ModelEntry], monkeypatch: pytest.MonkeyPatch, wrong: dict[str, object]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: opened.append("tar"))
    toy = serve(WHOLE_BZ2, **wrong)
    with pytest.raises(ModelError, match=r"toy\.tar\.bz2: (what it gave is not the model|it broke off)"):
        pull(toy)
    assert opened == []
    assert store.installed(toy.name) is None


CUT = WEIGHTS[:-1]
CHANGED = CUT + b"!"


@pytest.mark.parametrize(
    ("hostile", "said"),
    [
        ([member(f"{FOLDER}/../weights.bin", WEIGHTS)], "does not hold"),
        ([member(f"/{FOLDER}/weights.bin", WEIGHTS)], "does not hold"),
        ([member(f"{FOLDER}/weights.bin", type=tarfile.SYMTYPE, linkname="/etc/passwd")], "does not hold"),
        ([member(f"{FOLDER}/weights.bin", type=tarfile.LNKTYPE, linkname=f"{FOLDER}/config.json")], "does not hold"),
        ([member(f"{FOLDER}/weights.bin", type=tarfile.FIFOTYPE)], "does not hold"),
        ([member(f"{FOLDER}/weights.bin", type=tarfile.CHRTYPE, devmajor=1, devminor=5)], "does not hold"),
        ([member(f"{FOLDER}/weights.bin", type=tarfile.DIRTYPE)], "does not hold"),
        ([member(f"{FOLDER}/weights.bin", CUT)], "does not hold"),
        ([member(f"{FOLDER}/weights.bin", CHANGED)], "holds is not the model: .*SHA-256"),
        ([member(f"{FOLDER}/config.json", CONFIG[::-1]), member(f"{FOLDER}/weights.bin", WEIGHTS)], "SHA-256"),
    ],
)
def test_a_hostile_archive_writes_nothing_outside_and_is_no_model(
    serve: Callable[..., ModelEntry], tmp_path: Path, hostile: list[Member], said: str
) -> None:
    toy = serve(bz2.compress(packed(*hostile, member(f"{FOLDER}/config.json", CONFIG))))
    with pytest.raises(ModelError, match=said):
        pull(toy)
    assert store.installed(toy.name) is None
    strays = [path for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()]
    assert all(path.is_relative_to(store.unfinished_folder_of(toy).parent) for path in strays)
    assert {path.name for path in strays} <= {"config.json", "weights.bin", "small.lock"}
    assert not any(path.is_symlink() for path in strays)


def test_links_that_lead_outside_are_not_followed_by_the_files_after_them(
    serve: Callable[..., ModelEntry], tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = member(FOLDER, type=tarfile.SYMTYPE, linkname=str(outside))
    toy = serve(bz2.compress(packed(link, *WHOLE)))
    pull(toy)
    assert there(toy) == ["config.json", "weights.bin"]
    assert list(outside.iterdir()) == []


def test_a_bomb_is_given_up(serve: Callable[..., ModelEntry]) -> None:
    toy = serve(bz2.compress(packed(member("zeros", bytes(64 << 20)), *WHOLE)))
    with pytest.raises(ModelError, match="far more than the model"):
        pull(toy)


@pytest.mark.parametrize(
    "data",
    [
        b"no archive at all",
        WHOLE_BZ2[: len(WHOLE_BZ2) // 2],
        bz2.compress(b"no tar" * 1000),
        bz2.compress(packed(*WHOLE)[:2000]),
        bz2.compress(packed(*WHOLE[:2])),
    ],
)
def test_an_archive_that_is_none_is_an_error_and_is_not_kept(serve: Callable[..., ModelEntry], data: bytes) -> None:
    toy = serve(data)
    with pytest.raises(ModelError, match=r"toy\.tar\.bz2: "):
        pull(toy)
    assert not (store.unfinished_folder_of(toy) / archives.FOLDER).exists()


def test_the_commands_know_a_model_of_an_archive(
    serve: Callable[..., ModelEntry], capsys: pytest.CaptureFixture[str]
) -> None:
    toy = serve(WHOLE_BZ2)
    assert run(["models", "info", toy.name]) == 0
    assert "release/toy.tar.bz2" in capsys.readouterr().out
    assert run(["models", "pull", toy.name]) == 0
    assert run(["models", "verify", toy.name]) == 0
    capsys.readouterr()
    assert run(["models", "list", "--json"]) == 0
    (source,) = json.loads(capsys.readouterr().out)[0]["sources"]
    assert (source["size"], source["sha256"]) == (len(WHOLE_BZ2), hashlib.sha256(WHOLE_BZ2).hexdigest())
    (store.folder_of(toy) / "weights.bin").write_bytes(CHANGED)
    assert run(["models", "verify"]) == 1
    assert run(["models", "rm", toy.name]) == 0
    assert not store.folder_of(toy).exists()
