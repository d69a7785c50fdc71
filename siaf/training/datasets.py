"""What a run is trained on: several data sets, mixed clip by clip, as the configuration's `[[data]]` tables say.

    [[data]]
    format = "synthetic"    # "synthetic": the layout of siaf.training.sources; the default, at the data folder itself
    path = "."              # below the data folder, or absolute
    share = 0.5             # of the clips

`format` may also be "photos" (images/ and labels/), "coco" (COCO or LVIS: `path` holds the images, `annotations` the
JSON file), "youtube-vos" or "davis" (`split` names the list in ImageSets/2017, "train" by default; `spacing` says how
many ordinary frames it is from one to the next, 1 by default). Photos become synthetic clips, videos are shown as they
are.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from siaf.errors import InputError
from siaf.training import videos
from siaf.training.photos import CocoPhotos, PhotoFolder, Photos
from siaf.training.sources import Sources, read_sources
from siaf.training.synthesis import Clip, ClipSynthesizer, Gaps


class ClipSource(Protocol):
    """Clips, one after the other."""

    def sample(self, rng: np.random.Generator) -> Clip:
        """A clip that depends on nothing but the state of `rng`."""


@dataclass(frozen=True, kw_only=True)
class ClipForm:
    """Size in pixels, frames and objects of a clip; `gaps` and `untouched` as of `ClipSynthesizer`."""

    size: int
    length: int
    max_objects: int = 3
    gaps: Gaps = field(default_factory=Gaps)
    untouched: float | None = None


class DataSet(Protocol):
    """Material for clips."""

    def clips(self, form: ClipForm) -> ClipSource:
        """A source of clips of this form."""

    def problems(self) -> Iterator[InputError]:
        """What is wrong with it, file by file."""


class SyntheticData:
    """Clips made of the sources below a folder, which are kept in memory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def _read(self) -> tuple[Sources, list[InputError]]:
        return read_sources(self._root)

    def problems(self) -> Iterator[InputError]:
        return iter(self._read[1])

    def clips(self, form: ClipForm) -> ClipSource:
        """Raises InputError if something is wrong with the sources."""
        sources, problems = self._read
        if problems:
            raise problems[0]
        return _synthesizer(sources, form)


@dataclass(frozen=True)
class PhotoData:
    """Clips made of photos with marked objects."""

    photos: Photos

    def problems(self) -> Iterator[InputError]:
        return self.photos.problems()

    def clips(self, form: ClipForm) -> ClipSource:
        return _synthesizer(self.photos.sources(), form)


@dataclass(frozen=True)
class VideoData:
    """Clips of real videos."""

    videos: Sequence[videos.Video]

    def problems(self) -> Iterator[InputError]:
        return videos.problems(self.videos)

    def clips(self, form: ClipForm) -> ClipSource:
        return videos.VideoClips(
            self.videos, size=form.size, length=form.length, max_objects=form.max_objects, gaps=form.gaps
        )


def _synthesizer(sources: Sources, form: ClipForm) -> ClipSynthesizer:
    given = {} if form.untouched is None else {"untouched": form.untouched}
    return ClipSynthesizer(
        sources, size=form.size, length=form.length, max_objects=form.max_objects, gaps=form.gaps, **given
    )


@dataclass(frozen=True)
class _Mixed:
    sources: tuple[ClipSource, ...]
    shares: tuple[float, ...]

    def sample(self, rng: np.random.Generator) -> Clip:
        return self.sources[int(rng.choice(len(self.sources), p=self.shares))].sample(rng)


class Mixture:
    """All data sets of a run. `shares` are those of the configuration, of any sum."""

    def __init__(self, sets: Sequence[DataSet], shares: Sequence[float]) -> None:
        self._sets = tuple(sets)
        self._shares = tuple(float(share) / sum(shares) for share in shares)

    def problems(self) -> Iterator[InputError]:
        """What is wrong with any of them, file by file."""
        for one in self._sets:
            yield from one.problems()

    def videos(self) -> list[tuple[float, Sequence[videos.Video]]]:
        """Shares, of the sum 1, and videos of every set. Raises InputError if one has none."""
        found = []
        for i, (share, one) in enumerate(zip(self._shares, self._sets, strict=True)):
            if not isinstance(one, VideoData):
                raise InputError("must be of videos", field=f"data[{i}].format")
            found.append((share, one.videos))
        return found

    def clips(self, form: ClipForm) -> ClipSource:
        """A source of clips of this form."""
        sources = tuple(one.clips(form) for one in self._sets)
        return sources[0] if len(sources) == 1 else _Mixed(sources, self._shares)


def open_data(root: Path, tables: Sequence[dict[str, Any]], size: int) -> Mixture:
    """The data sets of a configuration's `[[data]]` tables (see the module), for clips of `size` pixels.

    Raises InputError naming a table's wrong key, or a folder or file that is missing.
    """
    sets, shares = [], []
    for i, table in enumerate(tables or [{}]):
        given = dict(table)
        share, kind = given.pop("share", 1.0), given.pop("format", "synthetic")
        if not isinstance(share, int | float) or share <= 0:
            raise InputError(f"must be above 0, is {share!r}", field=f"data[{i}].share")
        if kind not in _OPEN:
            raise InputError(f"unknown: {kind!r}; known: {', '.join(_OPEN)}", field=f"data[{i}].format")
        try:
            sets.append(_OPEN[kind](root / given.pop("path", "."), root, size, given))
        except KeyError as error:
            raise InputError("is missing", field=f"data[{i}].{error.args[0]}") from None
        if given:
            raise InputError(f"unknown for {kind}", field=f"data[{i}].{next(iter(given))}")
        shares.append(share)
    return Mixture(sets, shares)


def _photo_side(size: int) -> int:
    """A clip looks at half of a photo's short side at the closest."""
    return 2 * size


_Opener = Callable[[Path, Path, int, dict[str, Any]], DataSet]
_OPEN: dict[str, _Opener] = {
    "synthetic": lambda path, _root, _size, _given: SyntheticData(path),
    "photos": lambda path, _root, size, _given: PhotoData(PhotoFolder(path, _photo_side(size))),
    "coco": lambda path, root, size, given: PhotoData(
        CocoPhotos(path, root / given.pop("annotations"), _photo_side(size))
    ),
    "youtube-vos": lambda path, _root, _size, _given: VideoData(videos.youtube_vos(path)),
    "davis": lambda path, _root, _size, given: VideoData(
        videos.davis(path, given.pop("split", "train"), float(given.pop("spacing", 1)))
    ),
}
"""By format, from its folder, the data folder, the clips' size and the table's further keys, which it takes out."""
