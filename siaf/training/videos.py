"""Real clips with masks for training: YouTube-VOS and DAVIS, or pseudo-labelled clips in the layout of one of them.

YouTube-VOS   JPEGImages/NAME/00000.jpg, Annotations/NAME/00000.png (every fifth frame; others may lie between)
DAVIS         JPEGImages/480p/NAME/00000.jpg, Annotations/480p/NAME/00000.png, ImageSets/2017/train.txt
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.errors import InputError
from siaf.training.photos import read_mask
from siaf.training.sources import decode
from siaf.training.synthesis import Clip, Gaps

_MIN_VISIBLE = 60
"""Fewest pixels of an object in the first frame of the crop; what shows less is not labelled."""
_ATTEMPTS = 20


@dataclass(frozen=True)
class Video:
    """Frames with their masks, in order. `spacing`: ordinary frames (about 25 a second) from one to the next."""

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]
    spacing: float = 1.0


def youtube_vos(root: Path) -> list[Video]:
    """Videos of YouTube-VOS's training split, below `root` or its folder train, as far as they have masks.

    Raises InputError if there are none; a mask without its frame is found by `problems`.
    """
    root = root / "train" if (root / "train").is_dir() else root
    return _videos(root / "JPEGImages", root / "Annotations", None, spacing=5.0)


def davis(root: Path, split: str = "train", spacing: float = 1.0) -> list[Video]:
    """Videos of DAVIS 2017 at 480p that ImageSets/2017/`split`.txt lists; without that file all.

    `spacing` as of `Video`: 2 where every second frame was kept. Raises InputError if it is not above 0.
    """
    if not spacing > 0:
        raise InputError(f"must be above 0, is {spacing}", field="spacing")
    listed = root / "ImageSets" / "2017" / f"{split}.txt"
    names = listed.read_text().split() if listed.is_file() else None
    return _videos(root / "JPEGImages" / "480p", root / "Annotations" / "480p", names, spacing)


def _videos(images: Path, masks: Path, names: list[str] | None, spacing: float) -> list[Video]:
    for folder in (images, masks):
        if not folder.is_dir():
            raise InputError("no such folder", field=str(folder))
    if names is None:
        names = sorted(folder.name for folder in masks.iterdir() if folder.is_dir())
    videos = []
    for name in names:
        found = tuple(sorted((masks / name).glob("*.png")))
        frames = tuple(images / name / f"{mask.stem}.jpg" for mask in found)
        videos.append(Video(name, frames, found, spacing))
    if not videos:
        raise InputError("no videos in this folder", field=str(masks))
    return videos


def problems(videos: Sequence[Video]) -> Iterator[InputError]:
    """What is wrong with single files, video by video. Decodes everything."""
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(_problems_of, videos):
            yield from found


def _problems_of(video: Video) -> list[InputError]:
    if not video.masks:
        return [InputError("has no masks", field=video.name)]
    found, shown = [], False
    for frame, mask in zip(video.frames, video.masks, strict=True):
        try:
            shown |= bool(read_mask(mask, decode(frame, "RGB").shape[:2], empty=True).any())
        except InputError as error:
            found.append(error)
    if not shown and not found:
        found.append(InputError("its masks show no object", field=str(video.masks[0].parent)))
    return found


class VideoClips:
    """Random crops of random moments: `length` frames of `size` × `size` pixels with 1 to `max_objects` objects.

    `gaps` as for synthetic clips, as far as a video is long enough and its frames close enough. Objects are those of
    the first frame; what enters later is background. Half of the clips are mirrored, half run backwards.
    """

    def __init__(self, videos: Sequence[Video], *, size: int, length: int, max_objects: int, gaps: Gaps) -> None:
        self._videos = [video for video in videos if len(video.masks) >= length]
        if not self._videos:
            raise InputError(f"no video has {length} frames with masks", field="data")
        self._size, self._length, self._max_objects, self._gaps = size, length, max_objects, gaps

    def sample(self, rng: np.random.Generator) -> Clip:
        """A clip that depends on nothing but the state of `rng`. Raises InputError for a file that cannot be read."""
        for _ in range(_ATTEMPTS):
            video = self._videos[int(rng.integers(len(self._videos)))]
            moments = self._moments(video, rng)
            mirrored = rng.random() < 0.5
            frames = [decode(video.frames[i], "RGB") for i in moments]
            masks = [read_mask(video.masks[i], frames[0].shape[:2], empty=True) for i in moments]
            crop = self._crop(masks[0], rng)
            if crop is None:
                continue
            flip = np.s_[:, ::-1] if mirrored else np.s_[:, :]
            size = (self._size, self._size)
            labels = np.stack([cv2.resize(m[crop][flip], size, interpolation=cv2.INTER_NEAREST) for m in masks])
            labels = self._renumbered(labels.astype(np.uint8, copy=False), rng)
            if labels[0].any():
                pictures = [cv2.resize(f[crop][flip], size, interpolation=cv2.INTER_AREA) for f in frames]
                return Clip(np.stack(pictures).astype(np.uint8, copy=False), labels)
        raise InputError(f"show no object of {_MIN_VISIBLE} px in {_ATTEMPTS} attempts", field="videos")

    def _moments(self, video: Video, rng: np.random.Generator) -> list[int]:
        """Numbers of the clip's frames, each once."""
        (low, high), later = self._gaps.first, self._gaps.later
        first = np.exp(rng.uniform(np.log(low), np.log(high), 1))
        gaps = np.concatenate([first, rng.uniform(*later, max(self._length - 2, 0))])[: self._length - 1]
        steps = np.maximum(1, np.round(gaps / video.spacing)).astype(int)
        room = len(video.masks) - 1
        while steps.sum() > room:  # the longest gap gives way
            steps[steps.argmax()] -= 1
        start = int(rng.integers(room - steps.sum() + 1))
        moments = [start, *(start + steps.cumsum()).tolist()]
        return moments[::-1] if rng.random() < 0.5 else moments

    def _crop(self, mask: NDArray[np.uint8], rng: np.random.Generator) -> tuple[slice, slice] | None:
        """A square around one object of the first frame, between the whole short side and a close look."""
        tags = np.unique(mask[mask > 0])
        if not tags.size:
            return None
        height, width = mask.shape
        x, y, w, h = cv2.boundingRect((mask == tags[int(rng.integers(tags.size))]).view(np.uint8))
        short = min(height, width)
        side = round(float(np.clip(max(w, h) * rng.uniform(1.1, 3.0), 0.45 * short, short)))
        middle = np.array([x + w / 2, y + h / 2]) + rng.normal(0, 0.12, 2) * side
        left, top = np.clip(middle - side / 2, 0, np.array([width - side, height - side])).astype(int).tolist()
        return slice(top, top + side), slice(left, left + side)

    def _renumbered(self, labels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Tags 1..K for at most `max_objects` of the first frame's objects, background for everything else."""
        counts = np.bincount(labels[0].ravel(), minlength=256)
        counts[0] = 0
        visible = rng.permutation(np.flatnonzero(counts >= _MIN_VISIBLE))[: self._max_objects]
        table = np.zeros(256, np.uint8)
        table[visible] = np.arange(1, visible.size + 1)
        chosen: NDArray[np.uint8] = table[labels]
        return chosen
