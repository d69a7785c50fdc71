"""Downloads go on where they stopped, over a real server on this machine."""

from pathlib import Path

import pytest
from one_file_server import Site

from siaf.errors import SiafError
from siaf.weights.download import download


def test_a_file_arrives_whole_with_its_progress(site: Site, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    download(site.url, tmp_path / "w", progress=lambda done, total: seen.append((done, total)))
    assert (tmp_path / "w").read_bytes() == site.content
    assert [p.name for p in tmp_path.iterdir()] == ["w"]
    assert seen[-1] == (len(site.content), len(site.content)) and seen == sorted(seen)


def test_a_broken_connection_is_taken_up_at_once(site: Site, tmp_path: Path) -> None:
    site.breaks = [1_200_000]
    download(site.url, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == site.content
    assert site.asked[0] is None and site.asked[1] is not None


def test_a_later_call_goes_on_where_the_first_stopped(site: Site, tmp_path: Path) -> None:
    site.breaks = [1_100_000, 0]
    with pytest.raises(SiafError, match=r"127.0.0.1:\d+: the connection broke off; 1,\d+,\d+ bytes are kept"):
        download(site.url, tmp_path / "w")
    assert not (tmp_path / "w").exists()
    kept = (tmp_path / "w.part").stat().st_size
    site.asked.clear()
    download(site.url, tmp_path / "w")
    assert site.asked == [f"bytes={kept}-"]
    assert (tmp_path / "w").read_bytes() == site.content


def test_a_file_that_changed_meanwhile_starts_again(site: Site, tmp_path: Path) -> None:
    site.breaks = [1_100_000, 0]
    with pytest.raises(SiafError):
        download(site.url, tmp_path / "w")
    site.content, site.etag = b"new" * 100_000, '"two"'
    download(site.url, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == site.content


@pytest.mark.parametrize("change", [{"etag": None}, {"ranges": False}, {"etag": 'W/"weak"'}])
def test_a_server_that_cannot_resume_is_asked_for_all_of_it(
    change: dict[str, object], site: Site, tmp_path: Path
) -> None:
    for name, value in change.items():
        setattr(site, name, value)
    site.breaks = [1_100_000]
    download(site.url, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == site.content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "text/html; charset=utf-8"}, "answered with a web page instead of the file"),
        ({"status": 404}, "404 Not Found"),
        ({"status": 403}, "403 Forbidden"),
    ],
)
def test_an_answer_that_is_not_the_file_leaves_nothing(
    change: dict[str, object], message: str, site: Site, tmp_path: Path
) -> None:
    for name, value in change.items():
        setattr(site, name, value)
    with pytest.raises(SiafError, match=message):
        download(site.url, tmp_path / "w")
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SiafError, match=r"127.0.0.1:9: cannot be reached. Without a network: ask a friend"):
        download("http://127.0.0.1:9/w", tmp_path / "w", hint="ask a friend")
    assert list(tmp_path.iterdir()) == []
