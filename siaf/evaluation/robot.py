"""The scribble robot of the DAVIS interactive challenge: strokes that a labeler would draw on errors.

For every object, and for the background, the wrongly labelled area is opened and thinned to its medial axis,
and the longest path of every connected part of the axis becomes a stroke, smoothed as a Bézier curve (Caelles
et al., "The 2018 DAVIS Challenge on Video Object Segmentation", section 3). Parameters are those of the
challenge's evaluation service. davisinteractive 1.0.4 leaves the choice between equally good strokes to the
libraries below it (a random tie-break in the medial axis, the order of neighbours in a graph); here it is
fixed, the same masks give the same strokes on every machine, and apart from it the strokes are the same.
"""

import math
from collections.abc import Collection, Sequence
from itertools import pairwise

import cv2
import networkx as nx
import numpy as np
from numpy.typing import NDArray
from skimage.filters import rank
from skimage.morphology import disk, medial_axis

from siaf.errors import InputError
from siaf.masks import Bitmap, IndexMask
from siaf.scribbles import Scribble

OPENING_FRACTION = 0.2
"""Diameter of the opening disk over the square root of the error's area."""
MAX_OPENING_RADIUS = 16.0
MIN_AXIS_PIXELS = 4
CURVE_POINTS = 1000

Path = NDArray[np.float64]


def robot_scribbles(pred: IndexMask, gt: IndexMask, tags: Sequence[int]) -> list[Scribble]:
    """Strokes on what `pred` missed of the background (tag 0) and of every tag, in this order.

    `pred`, `gt`: index masks H×W. The first interaction is an all-zero `pred`. An error that thins to fewer
    than four pixels gets no stroke, so the list may be empty although the masks differ. As DAVIS JSON:
    `siaf.davis.davis_document`.
    """
    if pred.shape != gt.shape or gt.ndim != 2:
        raise InputError(f"shape {pred.shape} does not fit the ground truth's {gt.shape}", field="prediction")
    size = np.array(gt.shape[::-1], np.float64)
    # The challenge's robot divides pixels by the size; who draws its strokes multiplies by the size less one.
    return [
        Scribble(tag, _bezier(path) * (size - 1) / size)
        for tag in (0, *tags)
        for path in _axis_paths((gt == tag) & (pred != tag))
    ]


def next_frames(quality: NDArray[np.floating], count: int, used: Collection[int] = ()) -> list[int]:
    """The `count` frames that the robot scribbles next: lowest quality first, `used` ones last.

    `quality`: N, J&F of every frame averaged over objects. Equal frames come in temporal order. A clip of
    fewer than `count` frames gives all its frames.
    """
    worst_first = np.argsort(quality, kind="stable").tolist()
    return sorted(worst_first, key=lambda frame: frame in used)[:count]


def first_frames(gt: NDArray[np.uint8], count: int) -> list[int]:
    """Frames for the first interaction, when there is no prediction to find errors in.

    `gt`: index masks N×H×W. The clip is cut into `count` equal parts; each gives the frame closest to its
    middle among those that show most tags. Raises InputError if there are fewer frames than `count`.
    """
    if not 1 <= count <= len(gt):
        raise InputError(f"cannot choose {count} frames from a clip of {len(gt)}", field="frames")
    shown = np.array([np.count_nonzero(np.unique(mask)) for mask in gt])
    bounds = np.linspace(0, len(gt), count + 1)
    chosen = []
    for start, end in pairwise(bounds):
        part = np.arange(int(start), int(end))
        candidates = part[shown[part] == shown[part].max()]
        chosen.append(int(candidates[np.abs(candidates - (start + end - 1) / 2).argmin()]))
    return chosen


def _axis_paths(error: Bitmap) -> list[Path]:
    """Longest path through every connected part of the error's medial axis: float64 N×2, (x, y) in pixels."""
    if not error.any():
        return []
    x, y, width, height = cv2.boundingRect(error.view(np.uint8))
    # The opening knows the image border from the window's, so a disk's diameter of empty pixels is kept.
    margin = int(2 * MAX_OPENING_RADIUS) + 1
    left, top = max(x - margin, 0), max(y - margin, 0)
    window = error[top : y + height + margin, left : x + width + margin]
    axis = medial_axis(np.pad(_opened(window), 1), rng=0)  # type: ignore[no-untyped-call]
    rows, columns = np.nonzero(axis[1:-1, 1:-1])
    points = np.stack([columns + left, rows + top], axis=1).astype(np.float64)
    graph = _neighbour_graph(rows, columns)
    trees = (_without_cycles(graph, part) for part in nx.connected_components(graph))
    return [points[_longest_path(tree)] for tree in trees if len(tree) >= MIN_AXIS_PIXELS]


def _opened(error: Bitmap) -> Bitmap:
    """Morphological opening with the largest disk, up to the robot's, that leaves anything."""
    mask = error.astype(np.uint8)
    radius = min(OPENING_FRACTION * np.sqrt(np.count_nonzero(mask)) / 2, MAX_OPENING_RADIUS)
    while radius > 1:
        # Not cv2.erode: with the few-pixel footprints of small radii, OpenCV 4.14 and 5.0 answer wrongly.
        footprint = disk(radius)  # type: ignore[no-untyped-call]
        eroded = rank.minimum(mask, footprint)  # type: ignore[no-untyped-call]
        opened: Bitmap = rank.maximum(eroded, footprint).astype(bool)  # type: ignore[no-untyped-call]
        if opened.any():
            return opened
        radius *= 0.9
    return error


def _neighbour_graph(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> "nx.Graph[int]":
    """Pixels in raster order as nodes, edges of length 1 or √2 between the eight neighbours."""
    index = {pixel: node for node, pixel in enumerate(zip(rows.tolist(), columns.tolist(), strict=True))}
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(len(index)))
    for (row, column), node in index.items():
        for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
            other = index.get((row + down, column + right))
            if other is not None:
                graph.add_edge(node, other, weight=float(np.hypot(down, right)))
    return graph


def _without_cycles(graph: "nx.Graph[int]", part: Collection[int]) -> "nx.Graph[int]":
    """A connected part of the graph with the longest edge of every cycle removed."""
    tree = graph.subgraph(part).copy()
    while True:
        try:
            cycle = nx.find_cycle(tree)
        except nx.NetworkXNoCycle:
            return tree
        tree.remove_edge(*max(cycle, key=lambda edge: graph.edges[edge]["weight"]))


def _longest_path(tree: "nx.Graph[int]") -> list[int]:
    """Nodes of a path between the two ends of the tree that are furthest apart, in steps."""
    start = _furthest(tree, next(iter(tree)))
    path: list[int] = nx.shortest_path(tree, start, _furthest(tree, start))
    return path


def _furthest(tree: "nx.Graph[int]", start: int) -> int:
    steps: dict[int, int] = dict(nx.single_source_shortest_path_length(tree, start))
    return max(steps, key=lambda node: steps[node])


def _bezier(path: Path) -> Path:
    """The Bézier curve with the path's points as control points, sampled from its end to its start."""
    if len(path) > CURVE_POINTS:
        return path
    t = np.linspace(0, 1, CURVE_POINTS)[:, None]
    degree, k = len(path) - 1, np.arange(len(path))
    binomials = np.array([math.comb(degree, i) for i in range(len(path))], np.float64)
    bernstein = binomials * t ** (degree - k) * (1 - t) ** k
    curve: Path = bernstein @ path
    return curve
