"""Sequences with ground truth, read from a folder in DAVIS's layout.

    ROOT/JPEGImages/480p/NAME/00000.jpg …     frames
    ROOT/Annotations/480p/NAME/00000.png …    one mask per frame, of the same name and size
    ROOT/ImageSets/2017/val.txt               optional: the names of the sequences, one per line

"Full-Resolution" may stand for "480p"; where both are there, 480p is read, as DAVIS's own evaluation does. A
mask is an index mask (DAVIS 2017: palette or grey PNG, value = tag) or binary 0/255 (DAVIS 2016), whose
object gets tag 1.
"""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from siaf.errors import InputError
from siaf.masks import IndexMask
from siaf.video import FrameSource, ImageFiles

RESOLUTIONS = ("480p", "Full-Resolution")
_WHITE = 255


@dataclass(frozen=True, eq=False)
class LabelledSequence:
    """A clip and its ground truth. `frames`: read when asked for; `masks`: index masks, uint8 N×H×W."""

    name: str
    frames: FrameSource
    masks: NDArray[np.uint8]

    @property
    def tags(self) -> list[int]:
        """Tags of all objects that are visible somewhere in the clip, ascending."""
        return [int(tag) for tag in np.unique(self.masks) if tag]


class DavisFolder:
    """The sequences below `root`. Raises InputError, naming "davis", if the layout is not DAVIS's."""

    def __init__(self, root: str | PathLike[str]) -> None:
        self.root = Path(root)
        self._images, self._annotations = self._resolution()

    def sequences(self) -> list[str]:
        """Names of the sequences: those of ImageSets/2017/val.txt in its order, else all in alphabetical order."""
        listed = self.root / "ImageSets" / "2017" / "val.txt"
        if listed.exists():
            names = listed.read_text().split()
        else:
            names = sorted(folder.name for folder in self._annotations.iterdir() if folder.is_dir())
        if not names:
            raise InputError(f"there are no sequences in {self._annotations}", field="davis")
        return names

    def load(self, name: str) -> LabelledSequence:
        """One sequence. Raises InputError, naming the file or folder, for what is missing, unreadable or misfit."""
        if name not in self.sequences():
            raise InputError(f"there is no sequence {name!r} in {self.root}", field="davis")
        frame_files = _by_stem(self._images / name, ".jpg")
        mask_files = _by_stem(self._annotations / name, ".png")
        unmatched = sorted(frame_files.keys() ^ mask_files.keys())
        if unmatched:
            lacking = "frame" if unmatched[0] in mask_files else "mask"
            raise InputError(f"{len(unmatched)} without partner, {unmatched[0]} has no {lacking}", field=name)
        stems = sorted(frame_files)
        frames = ImageFiles([frame_files[stem] for stem in stems])
        masks = [_read_mask(mask_files[stem], frames.height, frames.width) for stem in stems]
        return LabelledSequence(name, frames, _as_index_masks(np.stack(masks), self._annotations / name))

    def _resolution(self) -> tuple[Path, Path]:
        for resolution in RESOLUTIONS:
            folders = self.root / "JPEGImages" / resolution, self.root / "Annotations" / resolution
            if all(folder.is_dir() for folder in folders):
                return folders
        raise InputError(
            f"{self.root} has no JPEGImages and Annotations with a folder 480p or Full-Resolution in both",
            field="davis",
        )


def _by_stem(folder: Path, suffix: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError("no such folder", field=str(folder))
    files = {path.stem: path for path in folder.iterdir() if path.suffix.lower() == suffix}
    if not files:
        raise InputError(f"no {suffix} file in this folder", field=str(folder))
    return files


def _read_mask(path: Path, height: int, width: int) -> IndexMask:
    try:
        with Image.open(path) as image:
            mask: IndexMask = np.array(image if image.mode in ("P", "L") else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError):
        raise InputError("cannot be read as an image", field=str(path)) from None
    if mask.ndim == 3:  # some binary masks are saved with three equal channels
        if (mask != mask[..., :1]).any():
            raise InputError("is a colour picture, not a mask", field=str(path))
        mask = mask[..., 0]
    if mask.shape != (height, width):
        raise InputError(f"is {mask.shape[1]}×{mask.shape[0]} pixels, its frame {width}×{height}", field=str(path))
    return mask


def _as_index_masks(masks: NDArray[np.uint8], folder: Path) -> NDArray[np.uint8]:
    """Binary masks get tag 1; index masks stay. A 255 beside other values is neither."""
    if masks.max() < _WHITE:
        return masks
    if np.isin(masks, (0, _WHITE)).all():
        return np.asarray(masks == _WHITE, np.uint8)
    raise InputError("holds 255 beside other values: neither index masks nor binary 0/255", field=str(folder))
