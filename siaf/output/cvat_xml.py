"""annotations.xml, "CVAT for video 1.1" or "CVAT for images 1.1", with mask shapes as CVAT's exporter writes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from siaf.masks import MAX_TAG, IndexMask, index_mask_to_rles
from siaf.output.palette import colour
from siaf.output.results import printable

TAG_ATTRIBUTE = "object"
"""Name of the label attribute that carries the tag."""

_Content: TypeAlias = "str | Sequence[tuple[str, _Content]]"


class CvatXml:
    """Writes masks frame by frame. Use as a context manager, `add` in order.

    CVAT has no mask tracks (contract section 4.4): every mask is a track of one frame that ends on the next.
    Its importer makes a shape of each and keeps label and attributes, but drops `group_id`; so the tag that
    ties an object's masks together is in both. Before an import, the task needs the labels named in `meta`,
    each with the attribute "object": an unknown label fails the import, an unknown attribute is dropped.

    `labels` names the CVAT label of every tag. Frame numbers are those of the source video. With `pictures`, file
    names of the frames, the form is that for images: CVAT finds a picture by its name, in whatever order it sorts them.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        n_frames: int,
        height: int,
        width: int,
        labels: Mapping[int, str],
        pictures: Sequence[str] | None = None,
    ) -> None:
        self._n_frames = n_frames
        self._size = {"width": str(width), "height": str(height)}
        self._pictures = pictures
        self._labels = labels
        self._tracks = 0
        self._depth = 0
        self._file = path.open("wb")
        self._xml = XMLGenerator(self._file, "utf-8")
        self._xml.startDocument()
        self._start("annotations")
        self._element("version", "1.1")
        self._element("meta", [("task", self._task(name, height, width))])

    def add(self, frame: int, mask: IndexMask) -> None:
        """All objects of one frame's index mask."""
        shapes = {tag: _shape(points) for tag, points in index_mask_to_rles(mask).items()}
        if self._pictures is not None:
            self._start("image", {"id": str(frame), "name": printable(self._pictures[frame]), **self._size})
            for tag, shape in shapes.items():
                label = {"label": self._labels[tag], "source": "semi-auto", "occluded": "0"}
                self._mask(tag, label | shape | {"group_id": str(tag)})
            self._end("image")
            return
        for tag, shape in shapes.items():
            track = {"id": str(self._tracks), "label": self._labels[tag], "source": "semi-auto"}
            self._start("track", track | {"group_id": str(tag)})
            for number, outside in ((frame, "0"), (frame + 1, "1")):
                if number < self._n_frames:
                    state = {"frame": str(number), "keyframe": "1", "outside": outside, "occluded": "0"}
                    self._mask(tag, state | shape)
            self._end("track")
            self._tracks += 1

    def _mask(self, tag: int, attributes: Mapping[str, str]) -> None:
        self._start("mask", attributes)
        self._element("attribute", str(tag), {"name": TAG_ATTRIBUTE})
        self._end("mask")

    def _task(self, name: str, height: int, width: int) -> _Content:
        """What people and other readers want to know; CVAT's importer skips it."""
        return [
            ("name", name),
            ("size", str(self._n_frames)),
            ("mode", "interpolation" if self._pictures is None else "annotation"),
            ("start_frame", "0"),
            ("stop_frame", str(self._n_frames - 1)),
            ("frame_filter", ""),
            ("labels", [("label", self._label(label)) for label in dict.fromkeys(self._labels.values())]),
            ("original_size", [("width", str(width)), ("height", str(height))]),
        ]

    def _label(self, label: str) -> _Content:
        first = next(tag for tag in self._labels if self._labels[tag] == label)
        attribute: _Content = [
            ("name", TAG_ATTRIBUTE),
            ("mutable", "False"),
            ("input_type", "number"),
            ("default_value", str(first)),
            ("values", f"1\n{MAX_TAG}\n1"),  # least, greatest, step
        ]
        red, green, blue = colour(first)
        return [
            ("name", label),
            ("color", f"#{red:02x}{green:02x}{blue:02x}"),
            ("type", "any"),
            ("attributes", [("attribute", attribute)]),
        ]

    def _element(self, name: str, content: _Content, attributes: Mapping[str, str] | None = None) -> None:
        if isinstance(content, str):
            self._indent()
            self._xml.startElement(name, AttributesImpl(attributes or {}))
            self._xml.characters(content)
            self._xml.endElement(name)
            return
        self._start(name, attributes)
        for child, inner in content:
            self._element(child, inner)
        self._end(name)

    def _start(self, name: str, attributes: Mapping[str, str] | None = None) -> None:
        self._indent()
        self._xml.startElement(name, AttributesImpl(attributes or {}))
        self._depth += 1

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._indent()
        self._xml.endElement(name)

    def _indent(self) -> None:
        self._xml.ignorableWhitespace("\n" + "  " * self._depth)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if error is None:
                self._end("annotations")
                self._xml.endDocument()


def _shape(points: Sequence[int]) -> dict[str, str]:
    """CVAT's points of a mask as its XML has them."""
    *runs, left, top, right, bottom = points
    return {
        "rle": ", ".join(map(str, runs)),
        "left": str(left),
        "top": str(top),
        "width": str(right - left + 1),
        "height": str(bottom - top + 1),
        "z_order": "0",
    }
