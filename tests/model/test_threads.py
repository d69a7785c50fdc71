"""Threads in containers: the quota counts, not the machine's processors."""

from pathlib import Path

import pytest

from siaf.model import threads


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("9900000 100000", 8)],
)
def test_a_container_s_quota(tmp_path: Path, limit: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(limit + "\n")
    assert threads.usable_cpus(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("300000", 3), ("-1", 8)])
def test_the_older_form(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert threads.usable_cpus(tmp_path) == expected


def test_no_container(tmp_path: Path) -> None:
    assert threads.usable_cpus(tmp_path) == 8


@pytest.mark.parametrize(("own", "expected"), [(None, [1]), ("4", [])])
def test_an_explicit_number_of_threads_stands(
    monkeypatch: pytest.MonkeyPatch, own: str | None, expected: list[int]
) -> None:
    chosen: list[int] = []
    monkeypatch.setattr("torch.get_num_threads", lambda: 6)
    monkeypatch.setattr("torch.set_num_threads", chosen.append)
    monkeypatch.setattr("siaf.model.threads.usable_cpus", lambda: 1)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if own:
        monkeypatch.setenv("OMP_NUM_THREADS", own)
    threads.limit_threads()
    assert chosen == expected
