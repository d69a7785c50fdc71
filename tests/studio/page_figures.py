"""How long a labeler waits in the studio's page, in headless Chromium: `python tests/studio/page_figures.py`.

Works on the demo clip with the model that comes with siaf; --long scrubs through 2,000 frames of 1080p, which it makes.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import av
import numpy as np
import page_bench
from page_bench import Served, Tab
from studio_client import free_port

import siaf

DEMO = Path(siaf.__file__).parent / "demo_data"

SCRUB = """async count => {
    // As a key that is held down: the next frame as soon as this one is on the screen with its masks.
    const stage = document.querySelector('#stage');
    const times = [];
    let last = performance.now();
    for (let i = 0; i < count; i += 1) {
        const frame = Number(document.querySelector('#frame').value) + 1;
        document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'f', bubbles: true}));
        while (Number(stage.dataset.shown) !== frame) await new Promise(requestAnimationFrame);
        times.push(performance.now() - last);
        last = performance.now();
    }
    return times;
}"""


def strokes(number: int) -> Iterator[tuple[int, int, list[tuple[float, float]]]]:
    """Frame, tag and points of the demo's rounds."""
    for frame, drawn in enumerate(json.loads((DEMO / f"round{number}.json").read_text())["scribbles"]):
        for stroke in drawn:
            points = [(x * page_bench.WIDTH, y * page_bench.HEIGHT) for x, y in stroke["path"]]
            yield frame, stroke["object_id"], points


def say(what: str, value: str) -> None:
    print(f"{what:<44} {value}", flush=True)


class Watch:
    """Seconds since it was begun: how long somebody waited, and how long the studio computed."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._begun, self._computed = time.perf_counter(), served.processor_s

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._begun, self._served.processor_s - self._computed

    def tell(self, what: str, *times: tuple[float, float]) -> None:
        """Print it, or the median of what was read before."""
        waited, computed = (statistics.median(each) for each in zip(*(times or [self.read()]), strict=True))
        say(what, f"{waited:.2f} s, of the processor {computed:.2f} s")


def scrub(tab: Tab, what: str, count: int) -> None:
    """Go through the clip from its first frame, twice."""
    for turn in ("first time", "again"):
        tab.press("Home")
        tab.shows(0)
        times = tab.page.evaluate(SCRUB, count)
        slow = sorted(times)[int(0.95 * len(times))]
        say(f"{what}, {turn}", f"{1000 * len(times) / sum(times):.0f} frames/s (95 % of them within {slow:.0f} ms)")


def demo(browser: Any, folder: Path, threads: int, *, patient: bool) -> None:
    """A round on the demo clip, and its masks. Who is `patient` looks before every step until the studio rests."""
    page_bench.WIDTH, page_bench.HEIGHT = 854, 480
    print("\nwith pauses" if patient else "\nwithout a pause", flush=True)
    place = folder / f"patient-{patient}"
    place.mkdir()
    served = Served(Path(shutil.copy(DEMO / "big-buck-bunny.mp4", place)), free_port(), threads=threads)
    served.start()
    tab = Tab(browser.new_context(viewport={"width": 1400, "height": 860}), served)
    page = tab.page
    page.set_default_timeout(900_000)  # a busy machine is slow, and tells the processor's time all the same
    tab.open()
    previews, ahead = [], []

    def pause() -> None:
        watch, before = Watch(served), -1.0
        while patient and served.processor_s - before > 0.05:
            before = served.processor_s
            page.wait_for_timeout(2000)
        ahead.append(watch.read())

    for frame, tag, points in strokes(1):
        tab.go(frame)
        tab.press(str(tag))
        pause()
        tab.draw(points)
        watch = Watch(served)
        tab.masked("preview")
        previews.append(watch.read())
    watch.tell("stroke → preview, the first", previews[0])
    watch.tell("stroke → preview, the next ones", *previews[1:])
    pause()
    watch = Watch(served)
    tab.commit(1)
    watch.tell(f"commit of {len(previews)} frames")
    pause()
    watch = Watch(served)
    tab.press("Shift+Enter")
    page.wait_for_selector("#bar:not([value='0'])")
    watch.tell("Shift+Enter → first propagated frame")
    tab.hears("All frames are done")
    watch.tell("Shift+Enter → all frames")
    masks = blake2b(repr([served.looking.masks(frame)[frame] for frame in range(66)]).encode(), digest_size=8)
    say("the masks of all frames", masks.hexdigest())
    watch.tell("before a stroke, in pauses", *ahead[:-2])
    watch.tell("before the commit, in a pause", ahead[-2])
    watch.tell("before the propagation, in a pause", ahead[-1])
    if not patient:
        scrub(tab, "scrubbing through 66 frames with masks", 65)
    served.end()


def long(browser: Any, folder: Path, threads: int) -> None:
    """2,000 frames of 1080p with a mask on each."""
    page_bench.WIDTH, page_bench.HEIGHT = 1920, 1080
    video = folder / "long.mp4"
    with av.open(str(video), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.bit_rate = 1920, 1080, 6_000_000
        noise = np.random.default_rng(0).integers(60, 90, (1080, 1920, 3), dtype=np.uint8)
        for frame in range(2000):
            pixels = noise.copy()
            left = 200 + frame % 1200
            pixels[300:700, left : left + 400] = (200, 60, 40)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    session = siaf.Session(siaf.load_model("siaf-t"), siaf.open_video(video))
    mask = np.zeros((1080, 1920), np.uint8)
    mask[300:700, 200:600] = 1
    session.interact(references={0: mask})
    for frame in range(1, 2000):
        session.set_propagated_mask(frame, np.roll(mask, frame % 1200, axis=1))
    session.save(Path(f"{video}.siaf"))
    served = Served(video, free_port(), threads=threads)
    served.start()
    tab = Tab(browser.new_context(viewport={"width": 1400, "height": 860}), served)
    begun = time.perf_counter()
    tab.open()
    say("2,000 frames of 1080p: opened", f"{time.perf_counter() - begun:.2f} s")
    scrub(tab, "scrubbing through 600 of them", 600)
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    for one in processes:
        if one["type"] in ("renderer", "GPU"):
            held = Path(f"/proc/{one['id']}/status").read_text().split("VmRSS:")[1].split()[0]
            say(f"memory, {one['type']} process", f"{int(held) / 2**20:.2f} GiB")
    served.end()


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--threads", type=int, default=2, help="of the studio (default: %(default)s)")
    arguments = parser.parse_args()
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as play, tempfile.TemporaryDirectory() as folder:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        if arguments.long:
            long(browser, Path(folder), arguments.threads)
        else:
            demo(browser, Path(folder), arguments.threads, patient=True)
            demo(browser, Path(folder), arguments.threads, patient=False)
        browser.close()


if __name__ == "__main__":
    main()
