"""How long a labeler waits in the studio's page, in headless Chromium: `python tests/studio/page_figures.py [--long]`.

Works on the demo clip with the model that comes with siaf; --long scrubs through 2,000 frames of 1080p, which it makes.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
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


def since(begun: float) -> str:
    return f"{time.perf_counter() - begun:.2f} s"


def scrub(tab: Tab, what: str, count: int) -> None:
    """Go through the clip from its first frame, twice."""
    for turn in ("first time", "again"):
        tab.press("Home")
        tab.shows(0)
        times = tab.page.evaluate(SCRUB, count)
        slow = sorted(times)[int(0.95 * len(times))]
        say(f"{what}, {turn}", f"{1000 * len(times) / sum(times):.0f} frames/s (95 % of them within {slow:.0f} ms)")


def demo(browser: Any, folder: Path) -> None:
    """A round on the demo clip, and its masks."""
    page_bench.WIDTH, page_bench.HEIGHT = 854, 480
    video = shutil.copy(DEMO / "big-buck-bunny.mp4", folder)
    served = Served(Path(video), free_port(), threads=2)
    served.start()
    tab = Tab(browser.new_context(viewport={"width": 1400, "height": 860}), served).open()
    page = tab.page
    previews = []
    for frame, tag, points in strokes(1):
        tab.go(frame)
        tab.press(str(tag))
        page.wait_for_timeout(1500)  # as a person who looks for the object
        tab.draw(points)
        begun = time.perf_counter()
        tab.masked("preview")
        previews.append(time.perf_counter() - begun)
    say("stroke → preview, the first", f"{previews[0]:.2f} s")
    say("stroke → preview, the next ones", f"{statistics.median(previews[1:]):.2f} s")
    asked = page.evaluate("""() => performance.getEntriesByType('resource')
        .filter(one => one.name.endsWith('/api/preview')).map(one => one.duration / 1000)""")
    say("  of which the server's answer", f"{statistics.median(asked[1:]):.2f} s")
    begun = time.perf_counter()
    tab.commit(1)
    say(f"commit of {len(previews)} frames", since(begun))
    begun = time.perf_counter()
    tab.press("Shift+Enter")
    page.wait_for_selector("#bar:not([value='0'])")
    say("Shift+Enter → first propagated frame", since(begun))
    tab.hears("All frames are done")
    say("all other frames", since(begun))
    scrub(tab, "scrubbing through 66 frames with masks", 65)
    served.end()


def long(browser: Any, folder: Path) -> None:
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
    served = Served(video, free_port(), threads=2)
    served.start()
    tab = Tab(browser.new_context(viewport={"width": 1400, "height": 860}), served)
    begun = time.perf_counter()
    tab.open()
    say("2,000 frames of 1080p: opened", since(begun))
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
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as play, tempfile.TemporaryDirectory() as folder:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        (long if parser.parse_args().long else demo)(browser, Path(folder))
        browser.close()


if __name__ == "__main__":
    main()
