"""`siaf segment` as its tests call it: strokes, the command, the files that it leaves."""

from pathlib import Path


def strokes(n_frames: int, **by_frame: list[dict[str, object]]) -> dict[str, object]:
    """A file of strokes as DAVIS has it; `f3=[…]` are those of frame 3."""
    return {"scribbles": [by_frame.get(f"f{n}", []) for n in range(n_frames)], "sequence": "clip"}


def line(tag: int, x0: float, y0: float, x1: float, y1: float) -> dict[str, object]:
    """A stroke of two points, as shares of the picture."""
    return {"path": [[x0, y0], [x1, y1]], "object_id": tag, "start_time": 0, "end_time": 1}


ROUND_1 = strokes(12, f2=[line(1, 0.2, 0.25, 0.3, 0.3)], f9=[line(2, 0.45, 0.65, 0.5, 0.7)])
ROUND_2 = strokes(12, f6=[line(1, 0.4, 0.2, 0.45, 0.3), line(0, 0.1, 0.9, 0.9, 0.95)])


def segment(folder: Path, *more: str) -> list[str]:
    """The command on the folder's clip and first round."""
    return [
        "segment",
        str(folder / "clip"),
        "--scribbles",
        str(folder / "round1.json"),
        "--out",
        str(folder / "out"),
        *more,
    ]


def files(folder: Path) -> dict[str, bytes]:
    """What a folder holds, by name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
