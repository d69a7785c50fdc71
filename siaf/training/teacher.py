"""Label photos with a promptable segmentation model (a teacher), so that they can serve as training data.

The teacher is any SAM-like model exported to ONNX as Segment Anything's own export does: an image encoder, and a
decoder that takes points (label 1), the corners of a box (labels 2, 3) and a padding point (label −1).
Which one made the data of the weights that ship: docs/model-card.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.errors import InputError
from siaf.files import atomic_write
from siaf.masks import Bitmap, IndexMask

Photo = NDArray[np.uint8]

INPUT_SIDE = 1024  # what Segment Anything's encoders see
_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
_STD = np.array([58.395, 57.12, 57.375], np.float32)

PHOTO_SIDE = 400  # what training keeps of a photo (siaf.training.sources)
_GRID = ((0.5, 0.5), (0.25, 0.3), (0.75, 0.3), (0.25, 0.7), (0.75, 0.7))
_CENTRAL_BOXES = (0.95, 0.7)
_QUALITY, _STABILITY = 0.86, 0.85
_AREA = (0.004, 0.6)
_OVERLAP = 0.1
_MOST_OBJECTS = 12


@dataclass(frozen=True)
class Answer:
    """A teacher's mask, bool H×W; the IoU it expects; the IoU of its masks at a higher and a lower threshold."""

    mask: Bitmap
    quality: float
    stability: float


Ask: TypeAlias = Callable[[Sequence[tuple[float, float]], Sequence[int]], Answer]
"""Points (x, y) in the photo's pixels, their labels → the teacher's answer for this photo."""


class Teacher(Protocol):
    """Encodes a photo, uint8 H×W×3 RGB, and answers prompts about it."""

    def look(self, photo: Photo) -> Ask: ...


class OnnxTeacher:
    """Encoder and decoder files run by ONNX Runtime on the CPU. Raises InputError naming a file that cannot be read."""

    def __init__(self, encoder: Path, decoder: Path, threads: int = 1) -> None:
        self.encoder, self.decoder = _session(encoder, threads), _session(decoder, threads)

    def look(self, photo: Photo) -> Ask:
        """Encode a photo, uint8 H×W×3 RGB, once; then prompt as often as you like."""
        height, width = photo.shape[:2]
        scale = INPUT_SIDE / max(height, width)
        size = (round(width * scale), round(height * scale))
        pixels = np.zeros((INPUT_SIDE, INPUT_SIDE, 3), np.float32)
        pixels[: size[1], : size[0]] = (cv2.resize(photo, size, interpolation=cv2.INTER_LINEAR) - _MEAN) / _STD
        embedding = self.encoder.run(None, {"input": np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])})[0]

        def ask(points: Sequence[tuple[float, float]], labels: Sequence[int]) -> Answer:
            where, kinds = [(x * scale, y * scale) for x, y in points], list(labels)
            if 2 not in kinds:  # without a box the decoder expects a padding point
                where.append((0.0, 0.0))
                kinds.append(-1)
            logits, quality, _ = self.decoder.run(
                None,
                {
                    "image_embeddings": embedding,
                    "point_coords": np.array([where], np.float32),
                    "point_labels": np.array([kinds], np.float32),
                    "mask_input": np.zeros((1, 1, 256, 256), np.float32),
                    "has_mask_input": np.zeros(1, np.float32),
                    "orig_im_size": np.array((height, width), np.float32),
                },
            )
            plane = logits[0, 0]
            stability = ((plane > 1).sum() + 1) / ((plane > -1).sum() + 1)
            return Answer(plane > 0, float(quality[0, 0]), float(stability))

        return ask


def label_photo(ask: Ask, size: tuple[int, int], rng: np.random.Generator) -> IndexMask:
    """Disjoint objects of a photo of `size` = (height, width) as an index mask, the most trusted and largest first.

    Asks for what fills central boxes, since photos mostly show one thing, and for whole objects at a few points: a
    first answer may be a part, so two more points inside it ask again.
    """
    height, width = size
    found: list[tuple[float, Answer]] = []
    for share in _CENTRAL_BOXES:
        low, high = (1 - share) / 2, (1 + share) / 2
        corners = [(width * low, height * low), (width * high, height * high), (width / 2, height / 2)]
        answer = ask(corners, (2, 3, 1))
        found.append((answer.quality + answer.stability + 0.1, answer))
    for x, y in _GRID:
        shift = rng.uniform(-0.08, 0.08, 2)
        point = (width * (x + shift[0]), height * (y + shift[1]))
        answer = ask([point], [1])
        if answer.mask.any() and answer.quality > _QUALITY - 0.06:
            whole = ask([point, *_points_inside(answer.mask, 2, rng)], [1, 1, 1])
            if whole.quality > answer.quality - 0.03:
                answer = whole
        found.append((answer.quality + answer.stability, answer))
    return _disjoint(found, size)


def _disjoint(found: list[tuple[float, Answer]], size: tuple[int, int]) -> IndexMask:
    objects = []
    for trust, answer in found:
        mask = _main_parts(answer.mask)
        area = float(mask.mean())
        if answer.quality > _QUALITY and answer.stability > _STABILITY and _AREA[0] < area < _AREA[1]:
            objects.append((trust + 0.3 * np.sqrt(area), mask))
    result = np.zeros(size, np.uint8)
    count = 0
    for _, mask in sorted(objects, key=lambda item: -item[0]):
        if count < _MOST_OBJECTS and (result[mask] > 0).mean() < _OVERLAP:
            count += 1
            result[mask & (result == 0)] = count
    return result


def _main_parts(mask: Bitmap) -> Bitmap:
    """Drop small parts: those of less than a tenth of the largest one."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept: Bitmap = np.isin(parts, np.flatnonzero(areas >= 0.1 * areas.max(initial=0)) + 1)
    return kept


def _points_inside(mask: Bitmap, count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Points (x, y), the deeper inside the mask the likelier."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    flat = depth.ravel().astype(np.float64)
    rows, columns = np.unravel_index(rng.choice(flat.size, count, p=flat / flat.sum()), mask.shape)
    return [(float(x), float(y)) for x, y in zip(columns, rows, strict=True)]


def label_folder(photos: Path, out: Path, teacher: Teacher) -> int:
    """Label every .jpg/.jpeg below `photos`; `out` gets images/NAME.jpg and labels/NAME.png (siaf.training.sources).

    Photos that `out` already has are left alone, so a stopped run can resume. Returns how many were added; photos
    on which nothing is found are left out. Raises InputError naming a photo that cannot be read.
    """
    added = 0
    for folder in ("images", "labels"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    files = [path for path in sorted(photos.iterdir()) if path.suffix.lower() in (".jpg", ".jpeg")]
    for number, path in enumerate(files):
        target = out / "labels" / f"{path.stem}.png"
        if target.exists():
            continue
        image = cv2.imread(str(path))
        if image is None:
            raise InputError("cannot be read as an image", field=str(path))
        scale = PHOTO_SIDE / max(image.shape[:2])
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        ask = teacher.look(np.ascontiguousarray(image[..., ::-1], np.uint8))
        labels = label_photo(ask, (image.shape[0], image.shape[1]), np.random.default_rng(number))
        if labels.any():
            with atomic_write(out / "images" / f"{path.stem}.jpg") as file:
                file.write(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
            with atomic_write(target) as file:
                file.write(cv2.imencode(".png", labels)[1].tobytes())
            added += 1
            print({"photo": path.name, "objects": int(labels.max()), "done": f"{number + 1}/{len(files)}"}, flush=True)
    return added


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if not path.is_file():
        raise InputError("no such file", field=str(path))
    try:
        return onnxruntime.InferenceSession(str(path), options)
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base
        raise InputError(f"not a model that ONNX Runtime reads: {error}", field=str(path)) from None
