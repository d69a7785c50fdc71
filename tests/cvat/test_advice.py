"""The frames to look at next, as issues or tags in the job; those of people stay."""

import pytest
from bench import Bench, Json, Pictures

from siaf.cvat import commands
from siaf.cvat.rounds.advice import MESSAGE
from siaf.cvat.server.connection import Server
from siaf.cvat.server.faults import ServerFault
from siaf.errors import InputError

LABELS = (("car", "mask"), ("person", "any"), ("siaf:next", "tag"))


def drawn(bench: Bench, pictures: Pictures) -> int:
    (job,) = bench.task(pictures, labels=LABELS)
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.scribble(job, 0, (72, 50, 85, 50), tag=2, label="person")
    return job


def frames_of_issues(bench: Bench, job: int) -> list[int]:
    return sorted(issue["frame"] for issue in bench.server.issues(job))


def frames_of_tags(bench: Bench, job: int) -> list[int]:
    return sorted(tag["frame"] for tag in bench.server.annotations(job)["tags"])


def issue_on(bench: Bench, job: int, frame: int) -> Json:
    (found,) = [issue for issue in bench.server.issues(job) if issue["frame"] == frame]
    return found


@pytest.mark.parametrize(("kind", "frames"), [("issues", frames_of_issues), ("tags", frames_of_tags)])
def test_advice_follows_the_rounds(anywhere: Bench, pictures: Pictures, kind: str, frames) -> None:
    job = drawn(anywhere, pictures)
    first = anywhere.sync(job, advise=kind)
    assert frames(anywhere, job) == sorted(first.suggest) != []
    anywhere.sync(job)
    assert frames(anywhere, job) == sorted(first.suggest)
    for frame in first.suggest:
        anywhere.box_mask(job, frame, (30, 30, 50, 50), "car", 1)
    second = anywhere.sync(job)
    assert frames(anywhere, job) == sorted(second.suggest)
    assert second.suggest != first.suggest
    commands.control(anywhere.client, job, "undo", store=anywhere.store)
    assert frames(anywhere, job) == sorted(first.suggest)
    anywhere.sync(job, advise="none")
    assert frames(anywhere, job) == []


def test_an_issue_says_where_and_what(bench: Bench, pictures: Pictures) -> None:
    job = drawn(bench, pictures)
    report = bench.sync(job, advise="issues")
    issue = issue_on(bench, job, report.suggest[0])
    left, top, right, bottom = issue["position"]
    assert 0 <= left < right <= 96 and 0 <= top < bottom <= 72
    assert issue["comments"]["count"] == 1
    assert "Correct what is wrong here" in MESSAGE


def test_issues_that_people_made_answered_or_resolved_stay(bench: Bench, standin, pictures: Pictures) -> None:
    job = drawn(bench, pictures)
    theirs = bench.server.create_issue(job, 0, [1.0, 1.0, 9.0, 9.0], "the wheel is cut off")
    report = bench.sync(job, advise="issues")
    answered, resolved, removed = (issue_on(bench, job, f)["id"] for f in report.suggest)
    standin.world.issues[answered]["comments"] = 2
    standin.world.issues[resolved]["resolved"] = True
    bench.server.delete_issue(removed)
    bench.sync(job)
    assert removed not in {issue["id"] for issue in bench.server.issues(job)}
    assert len(bench.server.issues(job)) == 3, "what somebody removed came back"
    bench.sync(job, advise="none")
    assert {issue["id"] for issue in bench.server.issues(job)} == {theirs, answered, resolved}


def test_tags_of_people_stay(bench: Bench, pictures: Pictures) -> None:
    job = drawn(bench, pictures)
    tag = {"frame": 1, "label_id": bench.label_id(job, "siaf:next"), "source": "manual"}
    theirs = bench.server.create_tag(job, tag)
    bench.sync(job, advise="tags")
    assert len(frames_of_tags(bench, job)) > 1
    bench.sync(job, advise="issues")
    assert [tag["id"] for tag in bench.server.annotations(job)["tags"]] == [theirs]
    assert frames_of_issues(bench, job)


@pytest.mark.parametrize(
    ("kind", "frames", "create"),
    [("issues", frames_of_issues, "create_issue"), ("tags", frames_of_tags, "create_tag")],
)
def test_advice_that_cvat_notes_and_answers_too_late_is_there_once(
    bench: Bench, pictures: Pictures, kind: str, frames, create: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = drawn(bench, pictures)
    done = getattr(Server, create)

    def late(*arguments: object) -> int:
        done(*arguments)
        raise ServerFault("504")

    with monkeypatch.context() as patch:
        patch.setattr(Server, create, late)
        with pytest.raises(ServerFault):
            bench.sync(job, advise=kind)
    report = bench.sync(job, advise=kind)
    assert frames(bench, job) == sorted(report.suggest)
    bench.sync(job, advise="none")
    assert frames(bench, job) == []


def test_tags_need_a_label(bench: Bench, pictures: Pictures) -> None:
    (job,) = bench.task(pictures[:2])
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    with pytest.raises(InputError, match=r"^advise: the job has no label 'siaf:next' for tags"):
        bench.sync(job, advise="tags")
    assert bench.masks(job) == {}


def test_who_may_make_no_issues_gets_the_masks(
    bench: Bench, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    from siaf.cvat.server.connection import Refusal, Server

    def refuse(*_: object) -> int:
        raise Refusal("no permission", field="issues", status=403)

    monkeypatch.setattr(Server, "create_issue", refuse)
    job = drawn(bench, pictures)
    report = bench.sync(job, advise="issues")
    assert bench.masks(job)
    assert any("could not be noted in the job: no permission" in note for note in report.notes)
