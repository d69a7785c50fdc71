"""What a finished session leaves on disk: mask PNGs, an overlay video, CVAT annotations, a report."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np

from siaf.frames.source import Frame
from siaf.masks import MAX_TAG, IndexMask
from siaf.output.cvat_xml import CvatXml
from siaf.output.overlay import OverlayVideo
from siaf.output.palette import write_mask_png
from siaf.output.report import write_report
from siaf.output.results import Areas, Interaction, Results

__all__ = ["Interaction", "Results", "write_results"]


def write_results(folder: Path, results: Results) -> Iterator[tuple[int, int]]:
    """Write masks/, overlay.mp4, annotations.xml and report.html into an empty folder.

    Masks are named by number, %05d.png, or after their picture. This is a generator of (done, total) frames
    that has written everything when it is exhausted; use it inside `siaf.files.staged_folder`, so that a failure leaves
    nothing half-written. OSErrors pass; but if the overlay fails, the rest is written and `results.notes` says so.
    """
    frames = results.frames
    areas: Areas = {}
    names = results.mask_names
    (folder / "masks").mkdir()
    with (
        _Overlay(folder / "overlay.mp4", results) as video,
        CvatXml(
            folder / "annotations.xml",
            name=results.name,
            n_frames=len(frames),
            height=frames.height,
            width=frames.width,
            labels=results.labels,
            pictures=frames.names,
        ) as annotations,
    ):
        for count, n in enumerate(results.numbers, 1):
            mask = results.mask(n)
            write_mask_png(folder / "masks" / names[n], mask)
            video.add(frames[n], mask)
            annotations.add(n, mask)
            pixels = np.bincount(mask.ravel(), minlength=MAX_TAG + 1)
            areas[n] = {tag: int(pixels[tag]) for tag in results.labels if pixels[tag]}
            yield count, len(results.numbers)
    write_report(folder / "report.html", results, areas)


class _Overlay:
    """An OverlayVideo that is left out with a note if it fails, because the masks are what counts."""

    def __init__(self, path: Path, results: Results) -> None:
        self._path, self._results = path, results
        self._video: OverlayVideo | None = None
        frames = results.frames
        with self._giving_up():
            self._video = OverlayVideo(path, height=frames.height, width=frames.width, fps=frames.fps)

    def add(self, frame: Frame, mask: IndexMask) -> None:
        if self._video is not None:
            with self._giving_up():
                self._video.add(frame, mask)

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError, ValueError, MemoryError, cv2.error) as error:
            self._close(error)
            self._results.notes.append(f"there is no overlay.mp4: {error or type(error).__name__}")
            self._path.unlink(missing_ok=True)

    def _close(self, error: BaseException) -> None:
        video, self._video = self._video, None
        if video is not None:
            with suppress(av.FFmpegError, OSError):
                video.__exit__(type(error), error, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._close(error)
        elif self._video is not None:
            with self._giving_up():
                self._video.__exit__(None, None, None)
