"""Functions for `cvat_sdk.auto_annotation`: `cvat-cli function create-native | run-agent`, `annotate_task`.

Every class is a thin skin over the library. Agents (CVAT Online and Enterprise) call them without any id of task or
frame, so that they see one frame at a time; rounds over several frames are what `siaf cvat sync` is for. For cvat-
cli, `create` makes the one that is named:

cvat-cli function create-native siaf --function-module siaf.cvat.auto_annotation -p kind=str:interaction
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cvat_sdk import auto_annotation as cvataa
from cvat_sdk import models
from numpy.typing import NDArray
from PIL import Image

from siaf.boxes import Box, as_box, mask_box
from siaf.engines.base import Engine
from siaf.errors import InputError, SiafError
from siaf.frames.source import Frame, as_frames, frame_digest
from siaf.interactive.clicks import Clicks, segment_clicks
from siaf.interactive.tracking import Pending, Track, Tracker
from siaf.masks import Bitmap, decode_rle, encode_rle, from_polygon, index_mask_to_rles, outline
from siaf.prompts import ObjectPrompt
from siaf.session.feature_cache import FeatureCache
from siaf.session.session import Session
from siaf.session.state_file import read_masks, read_summary
from siaf.weights import load_model


@dataclass
class Picture:
    """A frame with its content digest."""

    pixels: Frame
    digest: str

    @classmethod
    def of(cls, image: Image.Image) -> "Picture":
        """From what CVAT hands over."""
        pixels = np.array(image.convert("RGB"))
        return cls(pixels, frame_digest(pixels))


class SiafInteraction:
    """Points and a box on one frame → a mask."""

    spec = cvataa.InteractionFunctionSpec(min_pos_points=0, min_neg_points=0, min_bounding_boxes=0)

    def __init__(self, model: Engine) -> None:
        self._model = model

    def preprocess_image(self, context: Any, image: Image.Image) -> Session:
        """A session of the one frame; the agent keeps it while the labeler clicks on."""
        return Session(self._model, [Picture.of(image).pixels])

    def detect(self, context: Any, pp_image: Session, prompts: Any) -> list[cvataa.InteractionResultShape]:
        """The clicked object, with its confidence."""
        size = {"height": pp_image.height, "width": pp_image.width}
        boxes: tuple[Box, ...] = ()
        if prompts.bounding_box is not None:
            boxes = (as_box([c for corner in prompts.bounding_box for c in corner], **size, field="bounding_box"),)
        clicks = Clicks(_pairs(prompts.pos_points), _pairs(prompts.neg_points), boxes)
        return [
            cvataa.InteractionResultShape(
                type="mask",
                points=[float(value) for value in segment.rle],
                attributes=[models.AttributeValRequest(spec_id=0, value=f"{segment.confidence:.4f}")],
            )
            for segment in segment_clicks(pp_image, 0, clicks)
            if segment.rle is not None
        ]


@dataclass
class Following:
    """One object that is followed; the frame where it began goes when this goes."""

    tracker: Tracker
    track: Track


class SiafTracking:
    """A mask, polygon or rectangle followed from frame to frame, in either direction, one object at a time."""

    spec = cvataa.TrackingFunctionSpec(supported_shape_types=["mask", "polygon", "rectangle"])

    def __init__(self, model: Engine) -> None:
        self._model = model
        self._features = FeatureCache()

    def preprocess_image(self, context: Any, image: Image.Image) -> Picture:
        """The frame with its digest."""
        return Picture.of(image)

    def init_tracking_state(self, context: Any, pp_image: Picture, shape: cvataa.TrackableShape) -> Following:
        """Begin at a shape."""
        height, width = pp_image.pixels.shape[:2]
        tracker = Tracker(self._model, self._features, {pp_image.digest: pp_image.pixels}.__getitem__)
        prompt = _prompt(shape.type, list(shape.points), height, width)
        track = tracker.prompt(Track(height, width), Pending(pp_image.digest, (prompt,)))
        return Following(tracker, tracker.run_pending(track))

    def track(self, context: Any, pp_image: Picture, state: Following) -> cvataa.TrackableShape | None:
        """Where the object is now, None if it is not there; the state goes on from here."""
        state.track = state.tracker.step(state.track, pp_image.pixels, pp_image.digest)
        mask = state.track.mask
        if mask is None or not mask.any():
            return None
        kind = context.original_shape_type
        return cvataa.TrackableShape(type=kind, points=_points(kind, mask > 0))


class SessionReplay:
    """The masks of a session, played back frame by frame: for `annotate_task`, which open-source CVAT has.

    Frames are known by their content, so that the pictures of the task must be those of `frames` (a folder, a video or
    what `siaf.open_video` returns). An object's label is the one it has in the session, else "object <tag>"; the tag is
    in the group.
    """

    def __init__(self, state: bytes | str | Path, frames: Any) -> None:
        data = state if isinstance(state, bytes) else Path(state).read_bytes()
        summary = read_summary(data)
        self._results = read_masks(data)
        source = as_frames(frames)
        if len(source) != summary.frames:
            raise InputError(f"has {len(source)} frames, the session {summary.frames}", field="frames")
        self._numbers = {frame_digest(source[i]): i for i in range(len(source))}
        labels = {o.tag: o.label or f"object {o.tag}" for o in summary.objects}
        names = sorted(set(labels.values()))
        self._label_ids = {tag: names.index(label) for tag, label in labels.items()}
        self.spec = cvataa.DetectionFunctionSpec(
            labels=[cvataa.label_spec(name, i, type="mask") for i, name in enumerate(names)]
        )

    def detect(self, context: Any, image: Image.Image) -> list[models.LabeledShapeRequest]:
        """The frame's masks; none for a picture that the session does not have."""
        number = self._numbers.get(Picture.of(image).digest)
        if number is None:
            return []
        return [
            cvataa.mask(self._label_ids[tag], [float(v) for v in rle], group=tag)
            for tag, rle in index_mask_to_rles(self._results.mask(number)).items()
            if tag in self._label_ids
        ]


def create(kind: str, model: str = "siaf-t", device: str = "auto", weights: str | None = None) -> Any:
    """What cvat-cli calls. `kind`: "interaction" or "tracking"."""
    functions = {"interaction": SiafInteraction, "tracking": SiafTracking}
    if kind not in functions:
        raise SiafError(f"kind {kind!r} is not one of {', '.join(functions)}")
    return functions[kind](load_model(model, device=device, weights=weights))


def _pairs(points: Sequence[Any]) -> NDArray[np.float64]:
    return np.array(points, np.float64).reshape(-1, 2)


def _prompt(kind: str, points: list[float], height: int, width: int) -> ObjectPrompt:
    if kind == "mask":
        return ObjectPrompt(1, rle=encode_rle(decode_rle(points, height=height, width=width, clip=True, field="shape")))
    if kind == "polygon":
        return ObjectPrompt(1, rle=encode_rle(from_polygon(_pairs(points), height=height, width=width, field="shape")))
    return ObjectPrompt(1, box=as_box(points, height=height, width=width, field="shape"))


def _points(kind: str, mask: Bitmap) -> list[float]:
    if kind == "mask":
        return [float(value) for value in encode_rle(mask)]
    if kind == "polygon":
        return [float(value) for value in outline(mask).ravel()]
    return list(mask_box(mask))
