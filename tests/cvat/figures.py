"""The figures of docs/labeling.md: J on shared frames and on the second job, when only the first was scribbled.

python tests/cvat/figures.py DAVIS_FOLDER [NAME …]

Every sequence becomes a CVAT task (on the stand-in) of two jobs that share frames. A line through each object is
drawn on two frames of the first job; then `sync` of the first job and `carry` to the second, with the weights that
ship with siaf.
"""

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from bench import Bench
from standin import StandIn

from siaf.cvat.server.connection import connect
from siaf.cvat.sessions.base import SessionFactory
from siaf.cvat.sessions.local import local_sessions
from siaf.cvat.storage.store import StateStore
from siaf.evaluation.davis import DavisFolder, LabelledSequence
from siaf.evaluation.metrics import jaccard
from siaf.masks import Bitmap, decode_rle
from siaf.weights import load_model

OVERLAP = 5


def stroke(mask: Bitmap) -> list[float]:
    """A line through the middle of the largest part of an object, as a labeler draws one: x, y, x, y, …"""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    largest = parts == 1 + int(np.argmax(stats[1:count, cv2.CC_STAT_AREA]))
    distance = cv2.distanceTransform(largest.astype(np.uint8), cv2.DIST_L2, 5)
    rows = np.flatnonzero(largest.any(1))
    chosen = rows[(np.linspace(0.15, 0.85, 7) * (len(rows) - 1)).astype(int)]
    return [float(v) for y in chosen for v in (int(np.argmax(distance[y])), int(y))]


def measure(bench: Bench, sequence: LabelledSequence) -> tuple[float, float, float]:
    """J on the first job's frames, on the shared frames as the second job shows them, and on the second job's own."""
    frames = np.stack([sequence.frames[i] for i in range(len(sequence.frames))])
    segment = (len(frames) + OVERLAP + 1) // 2
    labels = (("thing", "mask"),)
    first, second = bench.task(frames, labels=labels, segment=segment, overlap=OVERLAP, suffix="png")
    for frame in (segment // 6, segment * 2 // 3):
        for tag in sequence.tags:
            if (sequence.masks[frame] == tag).sum() > 50:
                bench.scribble(first, frame, stroke(sequence.masks[frame] == tag), tag=tag)
    bench.sync(first)
    bench.carry(from_job=first, to_job=second)
    shown = {job: bench.masks(job) for job in (first, second)}

    def score(job: int, wanted: range) -> float:
        values = []
        for frame in wanted:
            for tag in sequence.tags:
                truth = sequence.masks[frame] == tag
                points = shown[job].get((frame, tag))
                found = decode_rle(points, height=truth.shape[0], width=truth.shape[1]) if points else truth & False
                values.append(jaccard(found, truth))
        return float(np.mean(values))

    start = segment - OVERLAP
    return (
        score(first, range(segment)),
        score(second, range(start, segment)),
        score(second, range(segment, len(frames))),
    )


def main() -> None:
    """Print one row per sequence, and the mean."""
    folder = DavisFolder(sys.argv[1])
    model = load_model("siaf-t", device="cpu")
    sessions: SessionFactory = local_sessions(lambda: model)
    server = StandIn()
    print(f"weights {model.digest}\n| sequence | job 1 | shared frames in job 2 | rest of job 2 |\n|---|---|---|---|")
    rows = []
    for name in sys.argv[2:] or folder.sequences():
        with tempfile.TemporaryDirectory() as place:
            store = StateStore(str(Path(place) / "store"))
            bench = Bench(connect(server.url, token="full"), store, sessions, Path(place))
            rows.append(measure(bench, folder.load(name)))
            bench.clean()
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in rows[-1]) + " |", flush=True)
    print("| mean | " + " | ".join(f"{value:.3f}" for value in np.mean(rows, axis=0)) + " |")


if __name__ == "__main__":
    main()
