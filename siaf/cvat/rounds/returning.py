"""Scribbles that were removed from a job once rounds had taken them, and come back as these rounds are taken back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from siaf.cvat.job.labels import LabelBook
from siaf.cvat.job.ledger import Ledger
from siaf.cvat.job.reading import Reading
from siaf.cvat.job.strokes import Stroke, keyframe_shape, read_stroke
from siaf.cvat.server.connection import Json

Create = Callable[[Sequence[Json], Sequence[Json]], None]
"""Makes shapes and tracks anew in the job."""


@dataclass(frozen=True)
class Returning:
    """Of the shapes and tracks that were kept, those that no round has taken any more."""

    shapes: list[Json]
    tracks: list[Json]
    book: LabelBook

    @classmethod
    def of(cls, kept: dict[str, list[Json]], ledger: Ledger, book: LabelBook) -> "Returning":
        """`kept`: of the store's `scribbles`; `ledger`: the one of before the rounds that are taken back."""

        def waits(shape: Json, track: Json | None) -> bool:
            stroke = _stroke(shape, track, book)
            return stroke is not None and not stroke.used(ledger.strokes)

        shapes = [shape for shape in kept["shapes"] if waits(shape, None)]
        return cls(shapes, [track for track in kept["tracks"] if waits(track["shapes"][0], track)], book)

    def __len__(self) -> int:
        return len(self.shapes) + len(self.tracks)

    @property
    def marks(self) -> set[str]:
        """What they will be known by."""
        return self._marks(self.shapes, self.tracks)

    def bring(self, reading: Reading, create: Create) -> None:
        """Make those that the job does not show: whoever is stopped may do it again, and brings none twice."""
        there = {mark for stroke in reading.strokes for mark in stroke.marks}
        shapes = [shape for shape in self.shapes if not self._marks([shape], []) & there]
        tracks = [track for track in self.tracks if not self._marks([], [track]) & there]
        if shapes or tracks:
            create(shapes, tracks)

    def _marks(self, shapes: Sequence[Json], tracks: Sequence[Json]) -> set[str]:
        found = [_stroke(shape, None, self.book) for shape in shapes]
        found += [
            _stroke(keyframe, track, self.book)
            for track in tracks
            for keyframe in track["shapes"]
            if not keyframe["outside"]
        ]
        return {stroke.marks[0] for stroke in found if stroke is not None}


def _stroke(shape: Json, track: Json | None, book: LabelBook) -> Stroke | None:
    given = shape if track is None else keyframe_shape(track, shape)
    label = book[given["label_id"]]
    return None if label is None else read_stroke(given, label, book, track)
