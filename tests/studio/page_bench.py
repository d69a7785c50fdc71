"""A studio started by the real command, and a tab of a real browser on it."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from studio_client import Json, Page, until

from siaf.masks import decode_rle

FRAMES, WIDTH, HEIGHT = 12, 120, 80
PATIENCE_MS = 90_000
SIDE = 24
COLOURS = {1: (220, 50, 40), 2: (40, 80, 220), 3: (240, 220, 60)}
Point = tuple[float, float]


def corner(tag: int, frame: int) -> tuple[int, int]:
    """Left and top of a square on a frame."""
    return {1: (6 + 3 * frame, 6), 2: (90 - 4 * frame, 48), 3: (88, 6 + 2 * frame)}[tag]


def middle(tag: int, frame: int) -> Point:
    """The middle of a square on a frame."""
    left, top = corner(tag, frame)
    return left + SIDE / 2, top + SIDE / 2


def line(tag: int, frame: int) -> list[Point]:
    """A stroke across a square."""
    x, y = middle(tag, frame)
    return [(x - 7, y - 5), (x, y + 5), (x + 7, y - 4)]


def picture(frame: int) -> NDArray[np.uint8]:
    """A frame, uint8 H×W×3."""
    pixels = np.random.default_rng(0).integers(60, 90, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for tag, colour in COLOURS.items():
        left, top = corner(tag, frame)
        pixels[top : top + SIDE, left : left + SIDE] = colour
    return pixels


class Served:
    """`siaf studio` on a port, as a process that can be killed and started again."""

    def __init__(self, path: Path, port: int, *options: str, threads: int = 1) -> None:
        self.path, self.port, self.options, self.threads = path, port, options, threads
        self.url = f"http://127.0.0.1:{port}/"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it answers then."""
        command = [sys.executable, "-m", "siaf", "studio", str(self.path), "--port", str(self.port), "--no-browser"]
        self._process = subprocess.Popen(
            [*command, *self.options], env={**os.environ, "OMP_NUM_THREADS": str(self.threads)}
        )
        until(self._answers, "the studio answers", 600)

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "the studio ended"
        try:
            return bool(urllib.request.urlopen(self.url, timeout=10).status == 200)
        except OSError:
            return False

    @property
    def processor_s(self) -> float:
        """Seconds that the process has computed, on all its threads together."""
        assert self._process is not None
        user, system = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """As when the machine loses its power."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def empty(self) -> None:
        """Take back all rounds and limits; the next tab that asks gets the desk."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        before = Page(self.port, "before")
        before.do("POST", "hold", tab="before", take=True)
        while (now := before.get("session"))["rounds"]:
            before.do("POST", "undo", revision=now["revision"])
        for each in now["objects"]:
            before.do("POST", "objects", revision=before.revision, do="remove", tags=[each["tag"]])
        before.do("PUT", "limits", revision=before.revision, within=None, barriers=[])

    def end(self) -> None:
        """As with Ctrl-C."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)

    @property
    def looking(self) -> Page:
        """Asks the studio what it has, without holding the desk."""
        return Page(self.port, "looking")

    def session(self) -> Json:
        """As the page gets it."""
        found: Json = self.looking.get("session")
        return found

    def masked(self) -> set[int]:
        """Frames on which an object has pixels."""
        stats = self.session()["stats"]
        return {int(frame) for frame, found in stats.items() if any(area for _, area, _ in found)}

    def bitmaps(self, frame: int, of: str = "now") -> dict[int, NDArray[np.bool_]]:
        """A frame's masks by tag, bool H×W."""
        masks = self.looking.masks(frame, of=of)[frame]["masks"]
        return {each["tag"]: decode_rle(each["rle"], height=HEIGHT, width=WIDTH) for each in masks}

    def everything(self) -> list[dict[int, bytes]]:
        """The masks of all frames, to compare."""
        return [{tag: mask.tobytes() for tag, mask in self.bitmaps(f).items()} for f in range(FRAMES)]


class Tab:
    """A tab of the page. `faults`: errors that no script of the page caught."""

    def __init__(self, context: Any, served: Served) -> None:
        self.served = served
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))

    def open(self, place: str = "") -> "Tab":
        """Go to the page, and wait for its first frame."""
        self.page.goto(self.served.url + place)
        self.page.wait_for_selector("#stage[data-shown]")
        return self

    def take(self) -> "Tab":
        """Take the desk over, unless this tab has it."""
        if self.page.get_attribute("body", "data-holder") == "false":
            self.page.click("#take-over")
        self.wait(holder=True)
        return self

    def reload(self) -> None:
        """As F5."""
        self.page.reload()
        self.page.wait_for_selector("#stage[data-shown]")

    @property
    def said(self) -> str:
        """The status line."""
        return str(self.page.inner_text("#status"))

    @property
    def drafts(self) -> list[int]:
        """Frames that were drawn on and not committed."""
        return [int(frame) for frame in (self.page.get_attribute("body", "data-drafts") or "").split()]

    @property
    def frame(self) -> int:
        """The one that is shown."""
        return int(self.page.input_value("#frame"))

    def press(self, *keys: str) -> None:
        """Keys, one after another."""
        for key in keys:
            self.page.keyboard.press(key)

    def go(self, frame: int) -> None:
        """Show a frame; it is there with its masks then."""
        self.page.fill("#frame", str(frame))
        self.press("Enter")
        self.shows(frame)

    def shows(self, frame: int) -> None:
        """Wait until a frame is on the screen with its masks."""
        self.page.wait_for_selector(f"#stage[data-shown='{frame}']")

    def wait(self, **state: Any) -> None:
        """Wait until the body's data are these."""
        told = "".join(f"[data-{name}='{str(v).lower() if isinstance(v, bool) else v}']" for name, v in state.items())
        try:
            self.page.wait_for_selector(f"body{told}")
        except Exception as error:
            here = self.page.evaluate("() => JSON.stringify({...document.body.dataset})")
            raise AssertionError(f"waited for {state}, the page is at {here} and says {self.said!r}") from error

    def hears(self, words: str) -> None:
        """Wait until the status line says this."""
        try:
            self.page.locator("#status", has_text=words).wait_for()
        except Exception as error:
            raise AssertionError(f"waited for {words!r}, the page says {self.said!r}") from error

    def masked(self, how: str) -> None:
        """Wait until the masks on the stage are a "preview", "drawn", "propagated", "painted" or of "before"."""
        self.page.wait_for_selector(f"#stage[data-masked='{how}']")

    def place(self, point: Point) -> Point:
        """Where a pixel of the whole frame is on the screen."""
        box = self.page.locator("#stage").bounding_box()
        scale = min((box["width"] - 24) / WIDTH, (box["height"] - 24) / HEIGHT)
        left = box["x"] + (box["width"] - WIDTH * scale) / 2
        top = box["y"] + (box["height"] - HEIGHT * scale) / 2
        return left + point[0] * scale, top + point[1] * scale

    def draw(self, points: Sequence[Point], button: str = "left") -> None:
        """With the mouse."""
        mouse = self.page.mouse
        mouse.move(*self.place(points[0]))
        mouse.down(button=button)
        for point in points[1:]:
            mouse.move(*self.place(point), steps=6)
        mouse.up(button=button)

    def scribble(self, tag: int, frame: int) -> None:
        """Draw across a square, and wait for its preview."""
        if self.frame != frame:
            self.go(frame)
        self.press(str(tag))
        self.draw(line(tag, frame))
        self.masked("preview")

    def commit(self, rounds: int) -> None:
        """Enter, and wait for the round of this number."""
        self.press("Enter")
        self.wait(rounds=rounds, busy="")

    def propagate(self) -> None:
        """Shift+Enter, and wait for the end."""
        self.press("Shift+Enter")
        self.hears("All frames are done")
        self.wait(running=False, busy="")

    def choose(self, tag: int, entry: str) -> None:
        """Click an entry of an object's menu."""
        self.page.click(f"#objects [data-tag='{tag}'] [data-role=more]")
        self.page.click(f".menu >> text={entry}")
