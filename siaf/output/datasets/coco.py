"""COCO instance segmentation: one annotation per object and picture, with run lengths."""

import json
from pathlib import Path
from typing import Any

from siaf.boxes import mask_box
from siaf.files import atomic_write
from siaf.masks import decode_rle
from siaf.output.datasets.clip import LabeledClip
from siaf.output.datasets.column_runs import column_runs


def write_coco(path: Path, clip: LabeledClip) -> list[str]:
    """Write a clip as one JSON file; no notes. `track_id` is the object. Raises as `atomic_write`."""
    annotations: list[dict[str, Any]] = []
    for frame in clip.frames:
        for tag, points in sorted(frame.masks.items()):
            bitmap = decode_rle(points, height=clip.height, width=clip.width)
            left, top, right, bottom = map(int, mask_box(bitmap))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": frame.number + 1,  # many readers take 0 for none
                    "category_id": clip.category(tag),
                    "track_id": tag,
                    "segmentation": {"size": [clip.height, clip.width], "counts": column_runs(bitmap)},
                    "area": int(bitmap.sum()),
                    "bbox": [left, top, right - left, bottom - top],
                    "iscrowd": 0,
                }
            )
    images = [
        {"id": frame.number + 1, "file_name": frame.picture, "width": clip.width, "height": clip.height}
        for frame in clip.frames
    ]
    content = {"info": {"description": clip.name}, "images": images, "annotations": annotations}
    with atomic_write(path) as file:
        file.write(json.dumps({**content, "categories": categories(clip)}).encode())
    return []


def categories(clip: LabeledClip) -> list[dict[str, Any]]:
    """The clip's labels as COCO lists them."""
    return [{"id": i, "name": label, "supercategory": ""} for i, label in enumerate(clip.labels, 1)]
