"""A studio on a job of the stand-in: its page, and what can be asked of the job afterwards."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from bench import Bench, Pictures, bitmap, check_ledger
from studio_client import Page, studio_on

from siaf import Scribble
from siaf.cvat.server.connection import Server
from siaf.cvat.studio.clip import StudioJob
from siaf.model.loaded import Model

Json = dict[str, Any]

LINE_1, LINE_2 = (8.0, 20.0, 20.0, 20.0), (72.0, 50.0, 85.0, 50.0)

OBJECTS = [{"tag": 1, "label": "car"}, {"tag": 2, "label": "person"}]


class JobPage(Page):
    """The page of a studio on a job."""

    @property
    def now(self) -> Json:
        return dict(self.get("session"))

    def post(self, call: str, status: int = 200, **body: Any) -> Json:
        found, answer = self.ask("POST", call, body)
        assert found == status, answer
        return dict(answer)

    def draw(self, scribbles: dict[int, list[Json]], **more: Any) -> Json:
        """A round of strokes by frame, whose objects are named as `OBJECTS` has them."""
        drawn = [{"frame": frame, "strokes": strokes} for frame, strokes in scribbles.items()]
        tags = {stroke["tag"] for strokes in scribbles.values() for stroke in strokes}
        named = [one for one in OBJECTS if one["tag"] in tags]
        return self.post("rounds", revision=self.revision, scribbles=drawn, objects=named, **more)

    def shown(self, pictures: Pictures) -> dict[tuple[int, int], np.ndarray]:
        """All masks, by frame and tag."""
        found = self.masks(*range(len(pictures)))
        return {(f, m["tag"]): bitmap(m["rle"], pictures) for f, at in found.items() for m in at["masks"]}

    def export(self, kind: str) -> tuple[bytes, str]:
        """Content, and what the browser calls it."""
        status, headers, content = self.send("GET", f"/api/export/{kind}")
        assert status == 200, content
        return content, str(headers["Content-Disposition"])


def stroke(tag: int, line: tuple[float, ...], **more: Any) -> Json:
    """A stroke along x, y, x, y, …, as a body has it."""
    return {"tag": tag, "points": [[line[i], line[i + 1]] for i in range(0, len(line), 2)], **more}


def stroke_of(line: tuple[float, ...]) -> Scribble:
    """The same as the library has it, for object 2."""
    return Scribble(2, np.array(line).reshape(-1, 2))


Open = Callable[..., Any]
"""Job, and a client if not the bench's → a context with the `JobPage`."""


def studio_on_jobs(bench: Bench, model: Model) -> Open:
    """Opens the studio on a job of the bench; it is closed where the block ends."""

    @contextmanager
    def opened(job: int, client: Any = None) -> Iterator[JobPage]:
        server = Server(client or bench.client)
        clip = StudioJob(server, job, bench.store.job(server.url, job))
        try:
            with studio_on(Path(), model, clip=clip) as running:
                page = JobPage(running.port, "test")
                page.post("hold", tab="test")
                yield page
        finally:
            clip.close()

    return opened


def nothing_to_do(bench: Bench, job: int) -> None:
    """A sync finds that the job is as it should be."""
    before, ledger = bench.everything(job), bench.store.job(bench.server.url, job).ledger()
    report = bench.sync(job)
    assert not report.changed
    assert report.round == ledger.round
    assert bench.everything(job) == before
    check_ledger(bench, job)


def auto(bench: Bench, job: int) -> list[Any]:
    """All that siaf wrote."""
    return [entry for entry in bench.contents(job) if entry["source"] == "auto"]


def label_color(bench: Bench, job: int, name: str) -> str:
    return next(label["color"] for label in bench.server.labels(job_id=job) if label["name"] == name)
