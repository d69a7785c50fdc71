"""Files and folders appear whole or not at all, and what was there before stays when writing fails."""

import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from siaf.errors import InputError
from siaf.files import atomic_write, staged_folder


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 64 KiB: writing fails in the kernel, as on a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, old[1]))
    try:
        yield  # inside a test only: pytest writes to a log of its own between tests
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class TestAtomicWrite:
    def test_replaces_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"old")
        with atomic_write(tmp_path / "a") as file:
            file.write(b"new")
            assert (tmp_path / "a").read_bytes() == b"old"
        assert tree(tmp_path) == {"a": b"new"}

    def test_a_failing_block_leaves_the_old_file_and_nothing_else(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"old")
        with pytest.raises(RuntimeError), atomic_write(tmp_path / "a") as file:
            file.write(b"half")
            raise RuntimeError
        assert tree(tmp_path) == {"a": b"old"}

    def test_a_full_disk_leaves_the_old_file_and_nothing_else(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"old")
        with full_disk(), pytest.raises(OSError, match="too large"), atomic_write(tmp_path / "a") as file:
            file.write(bytes(200_000))
        assert tree(tmp_path) == {"a": b"old"}

    def test_others_may_read_the_file_as_any_other(self, tmp_path: Path) -> None:
        (tmp_path / "plain").write_bytes(b"")
        with atomic_write(tmp_path / "a"):
            pass
        modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "a")}
        assert len(modes) == 1

    @pytest.mark.parametrize("place", ["missing/a", "file/a", "folder"])
    def test_an_impossible_place_is_named(self, tmp_path: Path, place: str) -> None:
        (tmp_path / "file").write_bytes(b"")
        (tmp_path / "folder").mkdir()
        with pytest.raises(InputError, match=f"cannot write to .*{place}"), atomic_write(tmp_path / place):
            pass


class TestStagedFolder:
    def test_entries_appear_when_the_block_ends(self, tmp_path: Path) -> None:
        with staged_folder(tmp_path / "out") as stage:
            (stage / "masks").mkdir()
            (stage / "masks" / "0.png").write_bytes(b"0")
            (stage / "report.html").write_bytes(b"r")
            assert tree(tmp_path / "out").keys().isdisjoint({"report.html", "masks/0.png"})
        assert tree(tmp_path / "out") == {"masks/0.png": b"0", "report.html": b"r"}

    def test_entries_of_the_same_name_are_replaced_whole_and_others_stay(self, tmp_path: Path) -> None:
        (tmp_path / "masks").mkdir()
        (tmp_path / "masks" / "9.png").write_bytes(b"of a longer video")
        (tmp_path / "notes.txt").write_bytes(b"mine")
        with staged_folder(tmp_path) as stage:
            (stage / "masks").mkdir()
            (stage / "masks" / "0.png").write_bytes(b"0")
        assert tree(tmp_path) == {"masks/0.png": b"0", "notes.txt": b"mine"}

    def test_a_failing_block_leaves_everything_as_it_was(self, tmp_path: Path) -> None:
        (tmp_path / "report.html").write_bytes(b"old")
        with pytest.raises(RuntimeError), staged_folder(tmp_path) as stage:
            (stage / "report.html").write_bytes(b"new")
            raise RuntimeError
        assert tree(tmp_path) == {"report.html": b"old"}
        assert [p.name for p in tmp_path.iterdir()] == ["report.html"]

    def test_a_full_disk_leaves_everything_as_it_was(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"old")
        with full_disk(), pytest.raises(OSError, match="too large"), staged_folder(tmp_path) as stage:
            (stage / "a").write_bytes(b"new")
            (stage / "b").write_bytes(bytes(200_000))
        assert tree(tmp_path) == {"a": b"old"}

    def test_a_folder_made_for_it_goes_away_again(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError), staged_folder(tmp_path / "out"):
            raise RuntimeError
        assert list(tmp_path.iterdir()) == []

    def test_when_one_entry_cannot_be_moved_the_others_go_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import os

        (tmp_path / "a").write_bytes(b"old a")
        (tmp_path / "b").write_bytes(b"old b")
        rename = os.replace

        def failing(source: Path, target: Path) -> None:
            if Path(target) == tmp_path / "b" and Path(source).parent.name == "new":
                raise OSError(5, "Input/output error")
            rename(source, target)

        monkeypatch.setattr(os, "replace", failing)
        with pytest.raises(OSError, match="Input/output"), staged_folder(tmp_path) as stage:
            for name in "abc":
                (stage / name).write_bytes(b"new")
        assert tree(tmp_path) == {"a": b"old a", "b": b"old b"}

    @pytest.mark.parametrize("place", ["file", "file/below"])
    def test_an_impossible_place_is_named(self, tmp_path: Path, place: str) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(InputError, match="cannot write to") as caught, staged_folder(tmp_path / place):
            pass
        assert caught.value.field == "out"
