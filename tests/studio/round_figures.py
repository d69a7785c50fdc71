"""What a round in the studio computes while somebody waits, and what ahead: `python tests/studio/round_figures.py`.

Asks the studio as the page does, on the demo clip, with one thread, and reads the process's processor time: that tells
more than a clock on a machine that has other things to do. --masks also propagates to the end, and tells the masks.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import page_bench
from page_bench import Served
from page_figures import DEMO, say, strokes
from studio_client import Page, free_port


class Labeler:
    """Works through a round. Who is `patient` looks before every step until the studio rests."""

    def __init__(self, served: Served, *, patient: bool) -> None:
        self.served, self.patient = served, patient
        self.page = Page(served.port, "labeler")
        self.page.do("POST", "hold", tab="labeler")

    def step(self, what: str, ask: Callable[[], Any]) -> None:
        """Look, do it, and tell what both cost."""
        begun, before = self.served.processor_s, -1.0
        while self.patient and self.served.processor_s - before > 0.05:
            before = self.served.processor_s
            time.sleep(3)
        looked = self.served.processor_s
        ask()
        say(what, f"{self.served.processor_s - looked:.2f} s, after {looked - begun:.2f} s ahead")

    def round(self) -> None:
        """Three objects on three frames, and the first frame that is propagated."""
        page, tags, drawn = self.page, [], []
        for frame, tag, points in strokes(1):
            page.do("POST", "shown", frame=frame)
            given = [{"tag": tag, "points": [list(point) for point in points], "width": 3.0}]
            body = {"frame": frame, "strokes": given, "elsewhere": list(tags)}
            self.step("stroke → preview", lambda body=body: page.do("POST", "preview", **body))
            tags.append(tag)
            drawn.append({"frame": frame, "strokes": given})
        round_ = {"revision": page.revision, "scribbles": drawn}
        self.step(f"commit of {len(drawn)} frames", lambda: page.do("POST", "rounds", **round_))
        self.step("propagate → first frame", self.propagate)

    def propagate(self) -> None:
        """As far as the first frame."""
        self.page.do("POST", "propagate", revision=self.page.revision)
        while not self.page.get("progress")["propagation"]["done"]:
            time.sleep(0.2)  # asking costs time, too

    def masks(self) -> str:
        """A digest of all masks, once all are there."""
        while self.page.get("progress")["propagation"]["running"]:
            time.sleep(1)
        found = [self.page.masks(frame)[frame] for frame in range(self.page.get("session")["frames"])]
        return blake2b(repr(found).encode(), digest_size=8).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masks", action="store_true")
    arguments = parser.parse_args()
    page_bench.WIDTH, page_bench.HEIGHT = 854, 480
    for patient in (True, False):
        print("with pauses" if patient else "without a pause", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            served = Served(Path(shutil.copy(DEMO / "big-buck-bunny.mp4", folder)), free_port(), threads=1)
            served.start()
            labeler = Labeler(served, patient=patient)
            labeler.round()
            if arguments.masks:
                say("masks", labeler.masks())
            served.kill()


if __name__ == "__main__":
    main()
