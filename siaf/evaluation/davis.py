"""Sequences with ground truth, read from a folder in DAVIS's layout.

    ROOT/JPEGImages/480p/NAME/00000.jpg …     frames
    ROOT/Annotations/480p/NAME/00000.png …    one mask per frame, of the same name and size
    ROOT/Scribbles/NAME/001.json …            optional: first scribbles of humans, DAVIS-interactive JSON
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

from siaf.davis import read_davis, write_davis
from siaf.errors import InputError
from siaf.frames.source import ArrayFrames, FrameSource
from siaf.frames.stills import ImageFiles
from siaf.masks import IndexMask
from siaf.output.palette import write_mask_png
from siaf.scribbles import Scribble

RESOLUTIONS = ("480p", "Full-Resolution")
_WHITE = 255


@dataclass(frozen=True, eq=False)
class LabelledSequence:
    """A clip and its ground truth. `frames`: read when asked for; `masks`: index masks, uint8 N×H×W.

    `scribbles`: first scribbles by frame, one entry per human who drew.
    """

    name: str
    frames: FrameSource
    masks: NDArray[np.uint8]
    scribbles: tuple[dict[int, list[Scribble]], ...] = ()

    @property
    def tags(self) -> list[int]:
        """Tags of all objects that are visible somewhere in the clip, ascending."""
        return [int(tag) for tag in np.unique(self.masks) if tag]

    def first(self, length: int) -> "LabelledSequence":
        """The first `length` frames, and the scribbles on them."""
        if length >= len(self.masks):
            return self
        sets = ({f: drawn for f, drawn in one.items() if f < length} for one in self.scribbles)
        kept = tuple(one for one in sets if one)
        return LabelledSequence(self.name, ArrayFrames(self.frames[:length]), self.masks[:length], kept)

    def every(self, step: int) -> "LabelledSequence":
        """Every frame whose number is a multiple of `step`, and the scribbles on them."""
        if step == 1:
            return self
        sets = ({f // step: drawn for f, drawn in one.items() if not f % step} for one in self.scribbles)
        frames = ArrayFrames([self.frames[i] for i in range(0, len(self.masks), step)])
        return LabelledSequence(self.name, frames, self.masks[::step], tuple(one for one in sets if one))


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
        index_masks = _as_index_masks(np.stack(masks), self._annotations / name)
        return LabelledSequence(name, frames, index_masks, self._scribbles(name, frames))

    def _scribbles(self, name: str, frames: FrameSource) -> tuple[dict[int, list[Scribble]], ...]:
        size = {"n_frames": len(frames), "height": frames.height, "width": frames.width}
        sets = []
        for path in sorted((self.root / "Scribbles" / name).glob("*.json")):
            try:
                sets.append(read_davis(path, **size))
            except InputError as error:
                raise InputError(str(error), field=str(path)) from None
        return tuple(one for one in sets if one)

    def _resolution(self) -> tuple[Path, Path]:
        for resolution in RESOLUTIONS:
            folders = self.root / "JPEGImages" / resolution, self.root / "Annotations" / resolution
            if all(folder.is_dir() for folder in folders):
                return folders
        raise InputError(
            f"{self.root} has no JPEGImages and Annotations with a folder 480p or Full-Resolution in both",
            field="davis",
        )


def write_sequence(root: Path, sequence: LabelledSequence) -> None:
    """Add a sequence, with its scribbles, to a folder in the layout of DAVIS 2017: what `DavisFolder` reads back.

    Frames are JPEGs of quality 95, so their pixels change slightly.
    """
    frames, masks = (root / kind / "480p" / sequence.name for kind in ("JPEGImages", "Annotations"))
    scribbles = root / "Scribbles" / sequence.name
    for folder in (frames, masks, scribbles):
        folder.mkdir(parents=True, exist_ok=True)
    for i, (frame, mask) in enumerate(zip(sequence.frames, sequence.masks, strict=True)):
        Image.fromarray(frame).save(frames / f"{i:05d}.jpg", quality=95)
        write_mask_png(masks / f"{i:05d}.png", mask)
    length, height, width = sequence.masks.shape
    for number, strokes in enumerate(sequence.scribbles, 1):
        path = scribbles / f"{number:03d}.json"
        write_davis(path, strokes, n_frames=length, height=height, width=width, sequence=sequence.name)
    listed = root / "ImageSets" / "2017" / "val.txt"
    listed.parent.mkdir(parents=True, exist_ok=True)
    names = listed.read_text().split() if listed.exists() else []
    if sequence.name not in names:
        listed.write_text("\n".join([*names, sequence.name]) + "\n")


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
