"""Files of sockets: private, and nothing of anybody else is replaced."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from parley.engines.vc.voice_sockets import SocketRefused, check_free, identity, listen_at, remove, runtime_folder

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets")


def stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def test_a_socket_and_its_folder_are_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "v.sock"
    with listen_at(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.umask(0o022) == 0o022, "the umask is as it was"


def test_a_stale_socket_is_replaced_and_only_the_own_one_removed(tmp_path: Path) -> None:
    path = tmp_path / "v.sock"
    stale(path)
    check_free(path)
    assert path.exists(), "to look changes nothing"
    with listen_at(path):
        first = identity(path)
    with listen_at(path):
        remove(path, first if first != identity(path) else None)
        assert path.exists()
        remove(path, identity(path))
        assert not path.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link", "live", "long"])
def test_what_is_something_else_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "v.sock"
    held: socket.socket | None = None
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        stale(tmp_path / "other")
        path.symlink_to(tmp_path / "other")
    elif kind == "live":
        held = listen_at(path)
    else:
        path = tmp_path / ("v" * 120)
    before = identity(path)
    for refuse in (check_free, listen_at):
        with pytest.raises(SocketRefused) as caught:
            refuse(path)
        assert str(path) in caught.value.message
        assert "--socket" in caught.value.remedy
    assert identity(path) == before
    if held is not None:
        held.close()


def test_the_runtime_folder_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = runtime_folder()
    assert folder == tmp_path / "parley"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    with pytest.raises(SocketRefused, match="only you"):
        runtime_folder()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(SocketRefused, match="only you"):
        runtime_folder()


def test_without_a_runtime_folder_it_is_one_of_this_users_temporary_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert runtime_folder() == tmp_path / f"parley-{os.getuid()}"
