"""Jobs that are opened as people come, in one process."""

import threading
from collections.abc import Callable, Sized
from pathlib import Path

import pytest
from studio_client import FIRST, SECOND, Page, rooms_on, until

from siaf.errors import Busy, InputError, SiafError
from siaf.frames.source import open_video
from siaf.model.loaded import Model
from siaf.session.session import Session
from siaf.studio.clip import Clip, VideoClip
from siaf.studio.rooms import IN_USE_S, JobRooms, Room


class JobPage(Page):
    """A tab on one job."""

    def __init__(self, port: int, job: int, tab: str, **headers: str) -> None:
        super().__init__(port, tab, **headers)
        self.job = job

    def send(self, method: str, path: str, *rest: bytes | None, **changed: str | None):  # type: ignore[no-untyped-def]
        return super().send(method, f"/jobs/{self.job}{path}", *rest, **changed)


def tab(port: int, job: int, name: str) -> JobPage:
    page = JobPage(port, job, name)
    page.do("POST", "hold", tab=name)
    return page


def test_two_labelers_on_two_jobs_do_not_see_one_another(
    opened: Callable[[int], Clip], tiny_model: Model, tmp_path: Path
) -> None:
    with rooms_on(JobRooms(opened, tiny_model)) as port:
        ann, ben = tab(port, 1, "ann"), tab(port, 2, "ben")
        assert (ann.get("session")["holder"], ben.get("session")["holder"]) == (True, True)
        assert ann.get("session")["key"] != ben.get("session")["key"]
        ann.commit(2, strokes=(FIRST,))
        assert ben.get("session")["rounds"] == 0
        ben.commit(5, strokes=(SECOND,))
        for page in (ann, ben):
            page.do("POST", "propagate", revision=page.revision)
        for page in (ann, ben):
            until(lambda page=page: not page.get("progress")["propagation"]["running"], "both are done")
        assert [page.get("session")["propagation"]["done"] for page in (ann, ben)] == [11, 11]
        assert set(ann.get("session")["interacted"]) == {"2"}
        assert set(ben.get("session")["interacted"]) == {"5"}
        late = JobPage(port, 1, "late")
        assert late.do("POST", "hold", tab="late") == {"holder": False}
        assert late.ask("POST", "undo", {"revision": late.revision})[0] == 423
    for job, frame in ((1, 2), (2, 5)):
        kept = Session.load(tmp_path / f"job-{job}.siaf", tiny_model, open_video(tmp_path / f"job-{job}"))
        assert (kept.interacted, kept.pending) == ([frame], 0)


def test_masks_are_those_of_a_session_alone(opened: Callable[[int], Clip], tiny_model: Model) -> None:
    with rooms_on(JobRooms(opened, tiny_model)) as port:
        alone = tab(port, 1, "a")
        alone.commit(2)
        alone.propagate()
        pages = [tab(port, job, f"tab {job}") for job in (2, 3)]
        for page in pages:
            page.commit(2)
        for page in pages:
            page.do("POST", "propagate", revision=page.revision)
        for page in pages:
            until(lambda page=page: not page.get("progress")["propagation"]["running"], "all are done")
        assert pages[0].masks(*range(12)) == pages[1].masks(*range(12)) == alone.masks(*range(12))


@pytest.mark.parametrize(
    ("job", "status", "said"),
    [(42, 404, "job 42: there is no such job"), (403, 403, "job 403: you have no permission")],
)
def test_a_job_that_cannot_be_opened_gets_a_page_that_says_why(
    opened: Callable[[int], Clip], tiny_model: Model, job: int, status: int, said: str
) -> None:
    with rooms_on(JobRooms(opened, tiny_model)) as port:
        page = JobPage(port, job, "a")
        got, headers, content = page.send("GET", "/")
        assert (got, headers["Content-Type"]) == (status, "text/html; charset=utf-8")
        assert said in content.decode()
        got, answer = page.ask("GET", "session")
        assert (got, answer["error"]["code"]) == (status, "unopened")


def test_whoever_asks_for_no_job_is_asked_which(opened: Callable[[int], Clip], tiny_model: Model) -> None:
    with rooms_on(JobRooms(opened, tiny_model)) as port:
        page = Page(port, "a")
        assert b"Which job?" in page.send("GET", "/")[2]
        assert page.ask("GET", "session")[0] == 404
        status, headers, _ = page.send("GET", "/jobs/3")
        assert (status, headers["Location"]) == (303, "3/")
        assert b'id="stage"' in page.send("GET", "/jobs/3/")[2]
        assert page.send("GET", "/jobs/3/main.js")[0] == 200
        for path in ("/jobs/x/", "/jobs/0/", "/jobs/12345678901/", "/jobs/"):
            assert page.send("GET", path)[0] == 404


def test_one_token_opens_all_jobs_and_nothing_is_opened_without_it(
    opened: Callable[[int], Clip], tiny_model: Model
) -> None:
    seen: list[int] = []

    def noting(number: int) -> Clip:
        seen.append(number)
        return opened(number)

    with rooms_on(JobRooms(noting, tiny_model), token="secret") as port:
        stranger = JobPage(port, 1, "a")
        status, _, content = stranger.send("GET", "/")
        assert (status, b"open the link that the studio printed" in content) == (401, True)
        assert stranger.ask("GET", "session")[0] == 401
        assert seen == []
        status, headers, _ = Page(port, "a").send("GET", "/?token=secret")
        cookie = headers["Set-Cookie"].split(";")[0]
        for job in (1, 2):
            assert JobPage(port, job, "a", Cookie=cookie).send("GET", "/")[0] == 200
        assert seen == [1, 2]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def numbers(rooms: JobRooms) -> Callable[[int], Room]:
    return lambda number: rooms.enter(number)  # type: ignore[return-value]


def test_the_job_that_nobody_used_for_longest_is_saved_and_closed_for_another(
    opened: Callable[[int], Clip], tiny_model: Model
) -> None:
    clock = Clock()
    rooms = JobRooms(opened, tiny_model, most=2, clock=clock)
    enter = numbers(rooms)
    first, second = enter(1), enter(2)
    with pytest.raises(Busy, match="2 jobs are open here, which is the most, and people work on all"):
        enter(3)
    clock.now = IN_USE_S - 1
    assert enter(1) is first
    clock.now = IN_USE_S
    enter(3)  # in the place of 2
    assert enter(1) is first
    clock.now = 3 * IN_USE_S
    assert enter(2) is not second  # its folder could not be opened twice
    rooms.close()


def test_a_job_that_was_closed_goes_on_where_it_was(opened: Callable[[int], Clip], tiny_model: Model) -> None:
    clock = Clock()
    with rooms_on(JobRooms(opened, tiny_model, most=1, clock=clock)) as port:
        page = tab(port, 1, "a")
        page.commit(2)
        shown, revision = page.masks(2), page.revision
        clock.now = IN_USE_S
        assert JobPage(port, 2, "b").get("session")["rounds"] == 0
        status, answer = page.ask("GET", "session")
        assert (status, answer["error"]["code"]) == (503, "busy")
        clock.now = 2 * IN_USE_S
        assert (page.masks(2), page.revision) == (shown, revision)
        page.commit(4)


def test_who_comes_at_once_gets_one_session(opened: Callable[[int], Clip], tiny_model: Model) -> None:
    seen: list[int] = []

    def noting(number: int) -> Clip:
        seen.append(number)
        return opened(number)

    rooms = JobRooms(noting, tiny_model)
    found: list[Room | None] = []
    threads = [threading.Thread(target=lambda: found.append(rooms.enter(1))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (seen, len(set(map(id, found)))) == ([1], 1)
    rooms.close()


def test_who_comes_back_while_the_job_is_being_closed_waits_until_it_is(
    opened: Callable[[int], Clip], tiny_model: Model
) -> None:
    clock = Clock()
    closing, go_on = threading.Event(), threading.Event()

    def slow_to_close(number: int) -> Clip:
        clip = opened(number)
        close = clip.close

        def closed() -> None:
            closing.set()
            assert go_on.wait(60)
            close()

        if number == 1:
            clip.close = closed  # type: ignore[method-assign]
        return clip

    rooms = JobRooms(slow_to_close, tiny_model, most=2, clock=clock)
    first = rooms.enter(1)
    clock.now = IN_USE_S
    rooms.enter(2)
    found: list[Room | None] = []
    other = threading.Thread(target=rooms.enter, args=(3,))
    other.start()
    assert closing.wait(60)
    clock.now = 3 * IN_USE_S
    back = threading.Thread(target=lambda: found.append(rooms.enter(1)))
    back.start()
    back.join(0.2)
    assert found == []
    go_on.set()
    for thread in (other, back):
        thread.join(60)
    assert len(found) == 1 and found[0] is not first
    rooms.close()


def test_what_is_kept_does_not_grow_with_the_jobs_that_people_ask_for(
    opened: Callable[[int], Clip], tiny_model: Model
) -> None:
    clock = Clock()
    rooms = JobRooms(opened, tiny_model, most=1, clock=clock)

    def kept() -> int:
        return sum(len(each) for each in vars(rooms).values() if isinstance(each, Sized))

    rooms.enter(1)
    before = kept()
    for number in range(10, 60):  # there are none
        clock.now += IN_USE_S
        with pytest.raises(InputError):
            rooms.enter(number)
    for number in (2, 3, 2, 3):
        clock.now += IN_USE_S
        rooms.enter(number)
    assert kept() == before
    rooms.close()


def test_a_job_that_could_not_be_opened_takes_no_place(opened: Callable[[int], Clip], tiny_model: Model) -> None:
    rooms = JobRooms(opened, tiny_model, most=1)
    for number in (42, 403):
        with pytest.raises(InputError):
            rooms.enter(number)

    faults = iter([SiafError("damaged")])

    class Damaged(VideoClip):
        def load(self, model: Model) -> Session:
            if (fault := next(faults, None)) is not None:
                raise fault
            return super().load(model)

    clip = opened(1)
    folder = Path(clip.place).with_suffix("")
    clip.close()
    rooms = JobRooms(lambda number: Damaged(folder), tiny_model, most=1)
    with pytest.raises(SiafError, match="damaged"):
        rooms.enter(1)
    rooms.enter(1)  # it was let go of
    rooms.close()
