"""YouTube-VIS: one annotation per object, with a mask, or null, for every frame of the video."""

import json
from pathlib import Path
from typing import Any

from siaf.boxes import mask_box
from siaf.files import atomic_write
from siaf.masks import decode_rle
from siaf.output.datasets.clip import LabeledClip
from siaf.output.datasets.coco import categories
from siaf.output.datasets.column_runs import column_runs

_VIDEO = 1


def write_youtube_vis(path: Path, clip: LabeledClip) -> list[str]:
    """Write a clip as one JSON file; no notes. An annotation's `id` is the object. Raises as `atomic_write`."""
    size = {"width": clip.width, "height": clip.height, "length": len(clip.frames)}
    video = {"id": _VIDEO, **size, "file_names": [frame.picture for frame in clip.frames]}
    shown = sorted({tag for frame in clip.frames for tag in frame.masks})
    annotations = [{**_object(clip, tag), **size} for tag in shown]
    content = {"info": {"description": clip.name}, "videos": [video], "annotations": annotations}
    with atomic_write(path) as file:
        file.write(json.dumps({**content, "categories": categories(clip)}).encode())
    return []


def _object(clip: LabeledClip, tag: int) -> dict[str, Any]:
    segmentations: list[Any] = []
    boxes: list[Any] = []
    areas: list[Any] = []
    for frame in clip.frames:
        if tag not in frame.masks:
            for column in (segmentations, boxes, areas):
                column.append(None)
            continue
        bitmap = decode_rle(frame.masks[tag], height=clip.height, width=clip.width)
        left, top, right, bottom = map(int, mask_box(bitmap))
        segmentations.append({"size": [clip.height, clip.width], "counts": column_runs(bitmap)})
        boxes.append([left, top, right - left, bottom - top])
        areas.append(int(bitmap.sum()))
    return {
        "id": tag,
        "video_id": _VIDEO,
        "category_id": clip.category(tag),
        "segmentations": segmentations,
        "bboxes": boxes,
        "areas": areas,
        "iscrowd": 0,
    }
