"""A loaded model: the two networks, and the way from frames and strokes to probabilities and memories (no state)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from siaf.model.batching import apart, fit_to, joined, side_by_side, stack
from siaf.model.boundary import picture_size, refine_boundaries
from siaf.model.config import MAX_TAGS
from siaf.model.encodings import Encodings
from siaf.model.follower import Follower
from siaf.model.half import computes_bfloat16
from siaf.model.identity import Slots, merge_groups, split_groups
from siaf.model.interacting import run_interaction
from siaf.model.interaction import InteractionFeatures, InteractionInput, InteractionNet
from siaf.model.partial_attention import PartialAttention
from siaf.model.preprocessing import network_size, resize_frames, resize_labels, resize_pictures
from siaf.model.probabilities import Probabilities
from siaf.model.propagation import FrameFeatures, FrameMemory, PropagationNet
from siaf.model.request import Footage, InteractionRequest
from siaf.model.segmenter import Segmenter
from siaf.model.trail import Place, Trace, Trail
from siaf.model.winners import winners

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class StepOutput:
    """What one step of propagation found on a frame.

    `labels`: integer H×W, numbers of merged channels (siaf.model.identity). `scores`: merged probabilities float
    (1 + objects)×h×w at the network's own stride 4. `memory` and `trail`: what the frame leaves to the next one.
    """

    labels: Tensor
    scores: Tensor
    memory: FrameMemory
    trail: Trace | None


@dataclass(frozen=True)
class FrameEncoding:
    """What AFI encodes of one frame on its own: the resized `image` 1×3×h×w, and by group of objects its maps."""

    image: Tensor
    groups: list[InteractionFeatures]


@dataclass(frozen=True)
class ModelIdentity:
    """Which memories a model makes: another network, other weights, another input size or precision make others."""

    name: str
    digest: str
    short_side: int
    autocast: bool
    objects_per_pass: int


@dataclass(frozen=True, eq=False)
class Model:
    """Networks ready to run. `digest` identifies the weights; a session's memory is readable by models of the same
    `identity` only, so that a model never changes: `dataclasses.replace` makes another one.

    `short_side`, `interaction_short_side`: input size in pixels of the two networks. `autocast`: compute in the
    device's half precision where torch deems that safe; what comes out is float32 all the same. `segmenter` refines
    AFI's masks, if there is one. `objects_per_pass`: how many objects propagation finds in one pass, 1 to 10; with more
    than that it takes several, which tell look-alikes apart better and cost more. `slots` in the methods: for every
    group of objects the slots in use (siaf.model.identity).
    """

    name: str
    digest: str
    interaction: InteractionNet
    propagation: PropagationNet
    device: torch.device
    short_side: int = 321
    interaction_short_side: int = 321
    autocast: bool = False
    objects_per_pass: int = MAX_TAGS
    segmenter: Segmenter | None = None

    @property
    def identity(self) -> ModelIdentity:
        """Whose memories it can read."""
        return ModelIdentity(self.name, self.digest, self.short_side, self.autocast, self.objects_per_pass)

    @property
    def adaptable(self) -> "Model | None":
        """The model whose decoder a session may adapt."""
        return self

    @property
    def memory_gap(self) -> int:
        """A predicted frame enters a chain's transient memory every so many frames; 0 = never."""
        return self.propagation.config.memory_gap

    @property
    def memory_kept(self) -> int:
        """How many predicted frames a chain's transient memory holds at most."""
        return self.propagation.config.memory_kept

    @property
    def window_side(self) -> int | None:
        """Side in pixels of the square as which it sees a part of a frame, to follow small objects; None: never."""
        return self.short_side if self.propagation.config.windows else None

    def adjusted(self, short_side: int | None, interaction_short_side: int | None, autocast: bool) -> "Model":
        """The same with other input sizes, where they are given, and in this precision."""
        return replace(
            self,
            short_side=short_side or self.short_side,
            interaction_short_side=interaction_short_side or self.interaction_short_side,
            autocast=autocast,
        )

    @torch.inference_mode()
    def encode_batch(self, frames: Sequence[Frame]) -> list[FrameFeatures]:
        """Features of frames of one size, all in one pass."""
        size = self._propagation_size(*frames[0].shape[:2])
        images = torch.cat([resize_frames(self._tensor(frame)[None], size) for frame in frames])
        with self._precision():
            features = self.propagation.encode(images).map(Tensor.float)
        if self.propagation.boundary is not None:
            features = replace(features, picture=torch.cat([self._picture(frame, features) for frame in frames]))
        if len(frames) == 1:
            return [features]
        # Copies, so that a cache may drop one frame without holding the batch.
        return [features.map(lambda x, i=i: x[i : i + 1].clone()) for i in range(len(frames))]  # type: ignore[misc]

    @torch.inference_mode()
    def reference_batch(
        self, features: Sequence[FrameFeatures], masks: Sequence[NDArray[np.uint8]]
    ) -> list[FrameMemory]:
        """Memories of frames whose masks are known, A of Eq. 7, in one pass: none depends on another.

        `masks`, of each frame: uint8 G×H×W, the index mask in each group's slots.
        """
        groups = len(masks[0])
        labels = resize_labels(self._tensor(np.concatenate(masks)), self.input_size(features[0]))
        with self._precision():
            memory = self.propagation.reference(side_by_side(features, groups), labels)
        return apart(_float(memory), groups, len(features))

    @torch.inference_mode()
    def propagate(
        self,
        features: Sequence[FrameFeatures],
        long: Sequence[FrameMemory],
        short: Sequence[FrameMemory],
        slots: Slots,
        size: tuple[int, int],
        known: PartialAttention | None = None,
        trails: Sequence[Trail | None] = (),
        tags: NDArray[np.uint8] | None = None,
        places: Sequence[Place] = (),
    ) -> list["StepOutput"]:
        """One step of Eq. 8 on each of several chains in one pass, all groups of objects at once.

        `long` and `short` are the chains' memories, of as many tokens each. Masks come at `size` = (rows, columns).
        `known`, for one chain: what `read` gave for a part of its long-term memory; `long` then holds the rest, if any.
        `trails`: what each chain knows of the frame before (by default nothing); `tags`: the tag of every merged
        channel, which trails speak of. `places`: how many interacted frames `long` begins with, or
        `known` is of (by default nobody says).
        """
        net, follower, count, groups = self.propagation, self._follower, len(features), len(slots)
        channels = np.arange(1 + sum(map(len, slots)), dtype=np.uint8) if tags is None else tags
        together = side_by_side(features, groups)
        tokens = together.size[0] * together.size[1]
        given = [len(place.offsets) * tokens for place in places for _ in slots]
        with self._precision():
            step = net.propagate(together, stack(long) if long else None, stack(short), known, given)
        scores, labels, remembered, left = [], [], [], []
        for i, trail in enumerate(trails or [None] * count):
            part = slice(i * groups, (i + 1) * groups)
            used = [step.logits[i * groups + g, [0, *group]].float() for g, group in enumerate(slots)]
            used, key = follower.follow(used, step.hidden[part], features[i], slots, trail, channels)
            winner = self._winners(used, self.input_size(together))
            remembered.append(split_groups(winner, slots))
            left.append(follower.leave(winner, key, trail, channels))
            labels.append(self._labels(used, features[i], size))
            scores.append(merge_groups(used))
        with self._precision():
            memory = net.remember(step.sources, torch.cat(remembered))
        memories = apart(_float(memory), groups, count)
        return [StepOutput(*found) for found in zip(labels, scores, memories, left, strict=True)]

    @torch.inference_mode()
    def trail(self, features: FrameFeatures, mask: NDArray[np.uint8]) -> Trail | None:
        """What a chain knows that starts at a frame with this index mask, uint8 H×W; None where nothing is of use."""
        if not self._follower.traces:
            return None
        labels = resize_labels(self._tensor(mask[None]), self.input_size(features))[0]
        return self._follower.begin(features, labels)

    def trail_shapes(self, height: int, width: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors of a trail on frames of height × width, by name."""
        return self._follower.shapes(*self._propagation_size(height, width))

    def trail_of(self, tensors: Mapping[str, Tensor], height: int, width: int, groups: int) -> Trail:
        """A trail from its tensors, for frames of height × width; ValueError, naming the tensor, for a misfit."""
        return Trail.checked(tensors, self.trail_shapes(height, width))

    @property
    def _follower(self) -> Follower:
        """What links a frame to the one before."""
        return Follower(self.propagation, self.device, self._precision)

    @property
    def partial_reader(self) -> "Model | None":
        """The model, if what a frame reads of a memory can be kept while the memory grows."""
        return self if self.propagation.reads_in_parts and self.device.type == "cpu" and not self.autocast else None

    @torch.inference_mode()
    def read(
        self,
        features: FrameFeatures,
        memories: Sequence[FrameMemory],
        groups: int,
        known: PartialAttention | None = None,
    ) -> PartialAttention:
        """What a frame reads of parts of the long-term memory, joined with what is known of other parts."""
        return self.propagation.read(side_by_side([features], groups), memories, known)

    @torch.inference_mode()
    def encode_prompts(
        self, frames: Sequence[Frame], strokes: NDArray[np.int16], previous: NDArray[np.int16]
    ) -> list[FrameEncoding]:
        """The part of AFI in which frames do not hear of each other: the encoding of each may be kept.

        `strokes` and `previous` int16 G×f×h×w at `interaction_size`, in slots (−1 = unmarked).
        """
        size = (strokes.shape[2], strokes.shape[3])
        images = torch.cat([resize_frames(self._tensor(frame)[None], size) for frame in frames])
        groups = []
        for marks in zip(strokes, previous, strict=True):  # strokes are fused at the image: every group needs a pass
            with self._precision():
                given = InteractionInput(images, *(self._tensor(x).long() for x in marks))
                groups.append(self.interaction.encode_prompts(given))
        rows = [slice(i, i + 1) for i in range(len(frames))]
        return [
            FrameEncoding(images[row], [InteractionFeatures(*(x[row] for x in group)) for group in groups])
            for row in rows
        ]

    @torch.inference_mode()
    def decode_masks(
        self,
        encodings: Sequence[FrameEncoding],
        strokes: NDArray[np.int16],
        previous: NDArray[np.int16],
        slots: Slots,
        asked: Sequence[int] | None = None,
    ) -> Tensor:
        """AFI, Eq. 1: all interacted frames of a round, all objects, from what `encode_prompts` made of them.

        Returns merged probabilities float f×(1 + objects)×(h/2)×(w/2) (see `siaf.model.probabilities`) of all frames,
        or of those with the indices `asked`.
        """
        everything = list(range(len(encodings)))
        chosen = everything if asked is None else list(asked)
        groups = []
        for g, group in enumerate(slots):
            tags = torch.tensor([[0, *group]], device=self.device)
            marks = (self._tensor(strokes[g]).long(), self._tensor(previous[g]).long())
            given = InteractionInput(joined([each.image for each in encodings]), *marks)
            maps = zip(*(each.groups[g] for each in encodings), strict=True)
            features = InteractionFeatures(*(joined(list(each)) for each in maps))
            with self._precision():
                picked = None if chosen == everything else chosen  # picking copies maps
                groups.append(self.interaction.decode_masks(given, features, tags, len(encodings), picked).float())
        return torch.stack([merge_groups([group[i] for group in groups]) for i in range(len(chosen))])

    def interact(
        self,
        footage: Footage,
        request: InteractionRequest,
        asked_before: Encodings | None = None,
        beside_before: Encodings | None = None,
    ) -> dict[int, Probabilities]:
        """AFI on all frames of a request together (Eq. 1): by asked frame, ascending, what it makes of it."""
        return run_interaction(self, footage.frames, request, asked_before, beside_before)

    def interaction_size(self, height: int, width: int) -> tuple[int, int]:
        """Input size (rows, columns) of the interaction network for frames of height × width."""
        config, short_side = self.interaction.config, self.interaction_short_side
        align, enlarge = config.align_corners, config.enlarge
        return network_size(height, width, short_side=short_side, align_corners=align, enlarge=enlarge)

    @property
    def memory_channels(self) -> tuple[int, int]:
        """Channels of a frame memory's keys and values (`siaf.model.propagation.FrameMemory`)."""
        config = self.propagation.config
        return (config.dim // 2, 4 * config.dim) if config.gated else (config.dim, config.dim)

    def memory_shapes(self, height: int, width: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """Of a memory of a frame of height × width, per layer: tokens and channels of its keys, and of its values."""
        rows, cols = self.grid(height, width)
        keys, values = self.memory_channels
        return [((rows * cols, keys), (rows * cols, values))] * self.propagation.config.layers

    def fit_memory(self, memory: FrameMemory, groups: int, grid: tuple[int, int], own: tuple[int, int]) -> FrameMemory:
        """A memory on the grid `own` for a frame with another grid and other groups of objects."""
        return fit_to(memory, groups, grid, own)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of the stride-16 grid on which frames of height × width are remembered."""
        rows, cols = self._propagation_size(height, width)
        return -(-rows // 16), -(-cols // 16)

    def features_of(self, tensors: Mapping[str, Tensor]) -> FrameFeatures:
        """Features from their tensors by name (`FrameFeatures.named`); KeyError if one is missing."""
        return FrameFeatures.of(tensors)

    def input_size(self, features: FrameFeatures) -> tuple[int, int]:
        """Input size (rows, columns) of the propagation network that a frame's features were made at."""
        rows, cols = features.size
        if self.propagation.config.align_corners:
            return (rows - 1) * 16 + 1, (cols - 1) * 16 + 1
        return rows * 16, cols * 16

    def _propagation_size(self, height: int, width: int) -> tuple[int, int]:
        """Input size (rows, columns) of the propagation network."""
        config = self.propagation.config
        return network_size(
            height,
            width,
            short_side=self.short_side,
            align_corners=config.align_corners,
            enlarge=config.enlarge,
            enlarged_to=config.enlarged_to,
        )

    def _winners(self, logits: list[Tensor], size: tuple[int, int]) -> Tensor:
        """The strongest merged channel at every pixel, integer H×W."""
        align = self.propagation.config.align_corners
        if len(logits) == 1:
            return winners(logits[0], size, align)
        return merge_groups(_resize(logits, size, align)).max(0).indices  # merging groups is not linear

    def _labels(self, logits: list[Tensor], features: FrameFeatures, size: tuple[int, int]) -> Tensor:
        """As `_winners`, with boundaries drawn finer where the network does that."""
        net = self.propagation
        if net.boundary is None or features.picture is None or len(logits) > 1:
            return self._winners(logits, size)
        half = computes_bfloat16(self.device)  # only windows' memories depend on this: machines may differ
        with torch.autocast(self.device.type, torch.bfloat16 if half else None, enabled=half or self.autocast):
            drawn = refine_boundaries(net.boundary, features.picture, logits[0])
        return winners(drawn, size, net.config.align_corners)

    def _picture(self, frame: Frame, features: FrameFeatures) -> Tensor:
        """A frame as boundary refinement sees it, uint8 1×3×H×W."""
        rows, cols = features.levels[0].shape[-2:]
        return resize_pictures(self._tensor(frame)[None], picture_size(rows, cols))

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, enabled=self.autocast)

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self.device.type != "cuda":
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)  # the GPU need not wait for it


def _resize(logits: list[Tensor], size: tuple[int, int], align_corners: bool) -> list[Tensor]:
    return [F.interpolate(x[None], size=size, mode="bilinear", align_corners=align_corners)[0] for x in logits]


def _float(memory: FrameMemory) -> FrameMemory:
    return [(key.float(), value.float()) for key, value in memory]
