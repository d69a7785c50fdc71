"""The masks in a session's state file, read without a model: what siaf.cvat writes into jobs."""

import json
from collections.abc import Collection, Mapping

import numpy as np
import torch
from safetensors.torch import load, save

from siaf.errors import StateError
from siaf.masks import IndexMask
from siaf.results import MaskStore
from siaf.shrinking import areas, losses
from siaf.state import FORMAT, VERSION, read_document


class Results:
    """Masks and confidences by frame of the session. Raises StateError for what is no state file."""

    def __init__(self, state: bytes) -> None:
        document = read_document(state)
        try:
            tensors = load(state)
            self.height, self.width = int(document["height"]), int(document["width"])
            self.masks = MaskStore(self.height, self.width)
            # An interacted frame's own mask stands before what an earlier round propagated to it.
            for frame, number in {**document["results"], **document["now"]["masks"]}.items():
                self.masks.put_packed(int(frame), tensors[f"mask.{number}"].numpy().tobytes())
            self._interacted = sorted(map(int, document["now"]["masks"]))
            self._confidence = {
                int(frame): {int(tag): float(score) for tag, score in scores.items()}
                for frame, scores in document["confidence"].items()
                if frame not in document["now"]["masks"]
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(f"damaged: {type(error).__name__}: {error}", field="state") from None

    @property
    def interacted(self) -> list[int]:
        """Frames that a user scribbled on or gave a mask for, ascending."""
        return self._interacted

    def scores(self, frame: int) -> dict[int, float]:
        """Confidence by tag of a propagated frame."""
        return self._confidence.get(frame, {})

    def __contains__(self, frame: int) -> bool:
        return frame in self.masks

    def mask(self, frame: int) -> IndexMask:
        """Index mask of a frame, uint8 H×W; background where nothing was propagated."""
        if frame not in self.masks:
            return np.zeros((self.height, self.width), np.uint8)
        return self.masks[frame]

    def lost_since(self, before: "Results", tags: Collection[int]) -> dict[int, dict[int, bool]]:
        """By propagated frame, which of these objects lost most of what they had there (`siaf.shrinking.losses`)."""
        found = {}
        for frame in before.masks:
            if frame in self._interacted or frame not in self.masks:
                continue
            if before.masks.packed(frame) == self.masks.packed(frame):
                continue
            had = {tag: size for tag, size in areas(before.masks[frame]).items() if tag in tags}
            lost = losses(had, areas(self.masks[frame]), self.height * self.width)
            if lost:
                found[frame] = lost
        return found

    def score(self, frame: int, tag: int) -> float:
        """0 to 1; 1 on interacted frames."""
        return min(1.0, max(0.0, self._confidence.get(frame, {}).get(tag, 1.0)))


def adaptation_note(state: bytes) -> str:
    """What a round that was to adapt the network came to."""
    decoder = read_document(state)["now"].get("decoder")
    if decoder is None:
        return "not adapted: masks on two frames that somebody has drawn, corrected or accepted are needed"
    if decoder["change"] is None:
        return "not adapted: a mask that was left out for a trial came out worse"
    return "adapted to the masks that people have drawn, corrected or accepted"


def pack_results(
    masks: MaskStore,
    interacted: Collection[int],
    confidence: Mapping[int, Mapping[int, float]],
    *,
    frames: int,
    height: int,
    width: int,
) -> bytes:
    """Masks alone in the form of a state file, for `Results`: no session can go on from it."""
    numbers = {frame: number for number, frame in enumerate(masks)}
    document = {
        "format": FORMAT,
        "version": VERSION,
        "model": "masks only",
        "frames": frames,
        "height": height,
        "width": width,
        "digests": {},
        "results": {str(f): n for f, n in numbers.items() if f not in interacted},
        "now": {"masks": {str(f): n for f, n in numbers.items() if f in interacted}},
        "confidence": {str(f): {str(t): c for t, c in scores.items()} for f, scores in confidence.items()},
    }
    tensors = {f"mask.{n}": torch.frombuffer(bytearray(masks.packed(f)), dtype=torch.uint8) for f, n in numbers.items()}
    return save(tensors, {"siaf": json.dumps(document)})
