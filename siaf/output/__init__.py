"""What a finished session leaves on disk: mask PNGs, an overlay video, CVAT annotations, a report."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from siaf.masks import MAX_TAG
from siaf.output.cvat_xml import CvatXml
from siaf.output.overlay import OverlayVideo
from siaf.output.palette import write_mask_png
from siaf.output.report import write_report
from siaf.output.results import Areas, Interaction, Results

__all__ = ["Interaction", "Results", "write_results"]


def write_results(folder: Path, results: Results) -> Iterator[tuple[int, int]]:
    """Write masks/%05d.png, overlay.mp4, annotations.xml and report.html into an empty folder.

    A generator of (done, total) frames that has written everything when it is exhausted; use it inside
    `siaf.files.staged_folder`, so that a failure leaves nothing half-written. OSErrors pass.
    """
    frames = results.frames
    size = {"height": frames.height, "width": frames.width}
    areas: Areas = {}
    (folder / "masks").mkdir()
    with (
        OverlayVideo(folder / "overlay.mp4", fps=frames.fps, **size) as video,
        CvatXml(
            folder / "annotations.xml", name=results.name, n_frames=len(frames), labels=results.labels, **size
        ) as annotations,
    ):
        for n in range(len(frames)):
            mask = results.mask(n)
            write_mask_png(folder / "masks" / f"{n:05d}.png", mask)
            video.add(frames[n], mask)
            annotations.add(n, mask)
            pixels = np.bincount(mask.ravel(), minlength=MAX_TAG + 1)
            areas[n] = {tag: int(pixels[tag]) for tag in results.labels if pixels[tag]}
            yield n + 1, len(frames)
    write_report(folder / "report.html", results, areas)
