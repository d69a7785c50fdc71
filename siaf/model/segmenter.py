"""Segment Anything ready to run: a frame and prompts in its pixels in, a mask's logits out; embeddings are kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from siaf.boxes import Box
from siaf.frames.source import frame_digest
from siaf.lru import LruCache
from siaf.model.half import computes_bfloat16
from siaf.model.preprocessing import resize_frames
from siaf.model.sam import BOTTOM_RIGHT, NEGATIVE, NO_POINT, POSITIVE, STRIDE, TOP_LEFT, Embedding, SegmentAnything

LONG_SIDE = 1024  # pixels, what Segment Anything was trained at
_ENLARGED = 2.0  # a frame is enlarged at most so much
_KEPT = 16
_NOWHERE = (0.0, 0.0)

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prompt:
    """What is known of one object: points N×2 (x, y) in the frame's pixels on it and beside it, its box.

    `mask`: logits float h×w of `Segmenter.mask_size`, where it is thought to be.
    """

    positive: Points
    negative: Points
    box: Box | None
    mask: Tensor | None


class Segmenter:
    """The network, and the embeddings of the frames that were asked about last (4.7 MB each, at most 16).

    Frames are encoded in bfloat16 where the CPU computes in it: 0.6 of the time, as accurate (docs/performance.md).
    """

    def __init__(self, net: SegmentAnything, device: torch.device) -> None:
        self.net, self.device = net, device
        self._half = computes_bfloat16(device)
        self._embeddings: LruCache[str, Embedding] = LruCache(_KEPT)
        self._begun: LruCache[str, Iterator[Embedding | None]] = LruCache(1)
        self._lock = Lock()

    def mask_size(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of the masks of frames of height × width: four to a cell of the embedding."""
        rows, columns = self._input_size(height, width)
        return 4 * rows // STRIDE, 4 * columns // STRIDE

    def embed(self, frame: NDArray[np.uint8]) -> Embedding:
        """The embedding of a frame, uint8 H×W×3 RGB."""
        digest = frame_digest(frame)
        with self._lock:
            kept = self._embeddings.get(digest)
            begun = self._begun.pop(digest)
        if kept is not None:
            return kept
        *_, found = self._in_parts(frame) if begun is None else begun
        assert found is not None
        return self._keep(digest, found)

    def embed_part(self, frame: NDArray[np.uint8]) -> bool:
        """Do a part of what `embed` does, which goes on from there; whether more is left. Of one frame at a time."""
        digest = frame_digest(frame)
        with self._lock:
            if digest in self._embeddings:
                return False
            begun = self._begun.pop(digest)
        parts = self._in_parts(frame) if begun is None else begun
        found = next(parts)
        if found is None:
            with self._lock:
                self._begun.put(digest, parts)
            return True
        self._keep(digest, found)
        return False

    @torch.inference_mode()
    def _in_parts(self, frame: NDArray[np.uint8]) -> Iterator[Embedding | None]:
        parts, found = self.net.image_encoder.in_parts(self.prepared(frame)), None
        while found is None:
            # A thread's own: never around a yield.
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
                found = next(parts)
            yield found

    def _keep(self, digest: str, found: Embedding) -> Embedding:
        found = Embedding(found.cells.float(), found.edges.half())
        with self._lock:
            self._embeddings.put(digest, found)
        return found

    def forget(self) -> None:
        """Keep no embedding any longer."""
        with self._lock:
            self._embeddings.clear()
            self._begun.clear()

    @torch.inference_mode()
    def segment(self, frame: NDArray[np.uint8], prompt: Prompt) -> Tensor:
        """An object's logits, float h×w of `mask_size`. The frame is encoded only if it is not among those kept."""
        points, labels = self.tokens(prompt, *frame.shape[:2])
        masks, _ = self.net(
            self.embed(frame),
            points.to(self.device),
            labels.to(self.device),
            None if prompt.mask is None else prompt.mask[None, None].to(self.device, torch.float32),
        )
        found: Tensor = masks[0, 0].float()
        return found

    def tokens(self, prompt: Prompt, height: int, width: int) -> tuple[Tensor, Tensor]:
        """A prompt on a frame of height × width as the network takes it: points float 1×N×2, labels int 1×N."""
        rows, columns = self._input_size(height, width)
        corners = (
            [_NOWHERE] if prompt.box is None else [(x - 0.5, y - 0.5) for x, y in (prompt.box[:2], prompt.box[2:])]
        )
        labels = [POSITIVE] * len(prompt.positive) + [NEGATIVE] * len(prompt.negative)
        labels += [NO_POINT] if prompt.box is None else [TOP_LEFT, BOTTOM_RIGHT]
        places = np.concatenate((prompt.positive.reshape(-1, 2), prompt.negative.reshape(-1, 2), np.array(corners)))
        points = (places + 0.5) * (columns / width, rows / height) - 0.5
        return torch.tensor(points[None], dtype=torch.float32), torch.tensor([labels])

    def prepared(self, frame: NDArray[np.uint8]) -> Tensor:
        """A frame uint8 H×W×3 RGB as the image encoder takes it, 1×3×h×w."""
        image = torch.from_numpy(np.ascontiguousarray(frame))[None].to(self.device)
        return resize_frames(image, self._input_size(*frame.shape[:2]))

    def _input_size(self, height: int, width: int) -> tuple[int, int]:
        scale = enlargement(height, width)
        rows, columns = (max(1, round(side * scale / STRIDE)) * STRIDE for side in (height, width))
        return rows, columns


def enlargement(height: int, width: int) -> float:
    """How much larger than in the frame the segmenter sees its pixels."""
    return min(LONG_SIDE / max(height, width), _ENLARGED)


def resized(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """A map h×w at another size, antialiased where that is smaller."""
    return F.interpolate(mask[None, None].float(), size=size, mode="bilinear", antialias=True)[0, 0]
