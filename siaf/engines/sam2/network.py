"""The networks of a SAM 2 model as transformers has them, objects along the batch axis; no state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

NO_OBJECT = -1024.0
"""Logit of every pixel of an object that is judged absent."""


@dataclass(frozen=True)
class Sam2Features:
    """An encoded frame: `fine` 1×C×4h×4w and `middle` 1×C×2h×2w as the mask decoder takes them, `coarse` 1×C×h×w."""

    fine: Tensor
    middle: Tensor
    coarse: Tensor

    def map(self, change: Any) -> "Sam2Features":
        """The same with every tensor changed."""
        return Sam2Features(*(change(x) for x in self.named().values()))

    def named(self) -> dict[str, Tensor]:
        """Every tensor by name."""
        return {"fine": self.fine, "middle": self.middle, "coarse": self.coarse}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Sam2Features":
        """The inverse of `named`; KeyError if one is missing."""
        return cls(tensors["fine"], tensors["middle"], tensors["coarse"])


class Decoded(NamedTuple):
    """Of B objects: mask logits B×4h×4w, object pointers B×1×C, and B×1 how sure it is that each is there (logit)."""

    logits: Tensor
    pointers: Tensor
    scores: Tensor


class PromptTensors(NamedTuple):
    """Prompts of B objects. `points` B×N×2 (x, y) in pixels of the input, (0, 0) the centre of the first; `labels` B×N:
    1 on the object, 0 beside it, 2 and 3 a box's corners; `mask` logits B×1×4h×4w, or None.
    """

    points: Tensor
    labels: Tensor
    mask: Tensor | None


class MemoryRead(NamedTuple):
    """What B objects read. `frames` B×(k·N)×C with their positions, (k·N)×C; `pointers` B×p×C' with theirs, p×C."""

    frames: Tensor
    frame_positions: Tensor
    pointers: Tensor
    pointer_positions: Tensor


class Sam2Network:
    """The parts of `transformers.Sam2VideoModel` or `EdgeTamVideoModel`, called by the names of its modules."""

    def __init__(self, model: Any) -> None:
        self.model, self.config = model, model.config
        self.image_size = int(self.config.image_size)
        self.grid: tuple[int, int] = tuple(self.config.vision_config.backbone_feature_sizes[-1])
        self.memory_channels = int(self.config.memory_encoder_output_channels)
        self.pointer_channels = int(self.config.vision_config.fpn_hidden_size)
        self.recent_frames = int(self.config.num_maskmem) - 1
        self.recent_pointers = int(self.config.max_object_pointers_in_encoder) - 1
        self._perceiver: Any = getattr(model, "spatial_perceiver", None)

    @property
    def memory_tokens(self) -> int:
        """Tokens of one object's memory of one frame."""
        if self._perceiver is None:
            return self.grid[0] * self.grid[1]
        return int(self.config.perceiver_resampler_num_latents + self.config.perceiver_resampler_num_latents_2d)

    def encode(self, images: Tensor) -> Sam2Features:
        """Normalised images B×3×S×S."""
        found = self.model.get_image_features(images, return_dict=True).fpn_hidden_states
        sizes = self.config.vision_config.backbone_feature_sizes
        maps = (x.permute(1, 2, 0).unflatten(2, tuple(size)) for x, size in zip(found, sizes, strict=True))
        return Sam2Features(*maps)

    # -- masks ----------------------------------------------------------------------------------------------------

    def decode(self, features: Sam2Features, seen: Tensor, prompts: PromptTensors | None, *, several: bool) -> Decoded:
        """Masks of B objects on one frame from `seen` B×C×h×w, its map as each of them sees it. `several`: choose the
        best of several readings.
        """
        count, device = len(seen), seen.device
        points, labels, mask = self._nothing(count, None) if prompts is None else prompts
        sparse, dense = self.model.prompt_encoder(points[:, None], labels[:, None], None, mask)
        logits, expected, tokens, scores = self.model.mask_decoder(
            image_embeddings=seen,
            image_positional_embeddings=self.model.get_image_wide_positional_embeddings().expand(count, -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
            high_resolution_features=[x.expand(count, -1, -1, -1) for x in (features.fine, features.middle)],
        )
        scores = scores[:, 0].float()
        best = expected[:, 0].argmax(-1) if several else torch.zeros(count, dtype=torch.long, device=device)
        rows = torch.arange(count, device=device)
        present = scores > 0
        chosen = torch.where(present[..., None], logits[rows, 0, best].float(), NO_OBJECT)
        token = tokens[rows, 0, best if tokens.shape[2] > 1 else torch.zeros_like(best)]
        pointers = torch.where(present, self.model.object_pointer_proj(token), self.model.no_object_pointer)
        return Decoded(chosen, pointers.float()[:, None], scores)

    def alone(self, features: Sam2Features) -> Tensor:
        """A frame's map where nothing is remembered yet, 1×C×h×w."""
        nothing: Tensor = self.model.no_memory_embedding.view(1, -1, 1, 1)
        return features.coarse + nothing

    def conditioned(self, features: Sam2Features, read: MemoryRead) -> Tensor:
        """A frame's map as B objects see it that read their memories, B×C×h×w."""
        count = len(read.frames)
        tokens = features.coarse.flatten(2).permute(2, 0, 1).expand(-1, count, -1)
        position = self._position(self.model.vision_encoder.neck.position_encoding, features.coarse)
        # A pointer is wider than a memory's token, so it is read as several.
        parts = read.pointers.shape[2] // self.memory_channels
        pointers = read.pointers.reshape(count, -1, self.memory_channels)
        positions = torch.cat((read.frame_positions, read.pointer_positions.repeat_interleave(parts, 0)))
        own = (
            {} if self._perceiver is None else {"num_spatial_memory_tokens": read.frames.shape[1] // self.memory_tokens}
        )
        found = self.model.memory_attention(
            current_vision_features=tokens,
            current_vision_position_embeddings=position.flatten(2).permute(2, 0, 1),
            memory=torch.cat((read.frames, pointers), dim=1).transpose(0, 1),
            memory_posision_embeddings=positions[:, None].expand(-1, count, -1),
            num_object_pointer_tokens=pointers.shape[1],
            **own,
        )
        seen: Tensor = found.reshape(count, -1, found.shape[-1]).transpose(1, 2).unflatten(2, self.grid)
        return seen

    # -- memories -------------------------------------------------------------------------------------------------

    def given(self, features: Sam2Features, masks: Tensor) -> Decoded:
        """What masks of B objects that are known say of them; `masks` B×1×S×S, 0 or 1, each with a pixel."""
        prompts = self._nothing(len(masks), self.model.mask_downsample(masks))
        seen = features.coarse.expand(len(masks), -1, -1, -1)
        return self.decode(features, seen, prompts, several=True)

    def remember(self, features: Sam2Features, shares: Tensor, present: Tensor) -> Tensor:
        """Memories of B objects on a frame, B×N×C. `shares` B×1×S×S: how far each pixel is the object's, 0 to 1;
        `present` bool B×1.
        """
        scaled = shares * self.config.sigmoid_scale_for_mem_enc + self.config.sigmoid_bias_for_mem_enc
        maps, positions = self.model.memory_encoder(features.coarse.expand(len(shares), -1, -1, -1), scaled)
        occluded = self.model.occlusion_spatial_embedding_parameter
        if occluded is not None:
            maps = maps + (~present).float()[..., None, None] * occluded[..., None, None]
        if self._perceiver is not None:
            # It takes no batch: it views what it has expanded.
            places = positions.expand(len(maps), -1, -1, -1)
            each = [self._perceiver(*one)[0] for one in zip(maps.split(1), places.split(1), strict=True)]
            return torch.cat(each).float()
        tokens: Tensor = maps.flatten(2).transpose(1, 2)
        return tokens.bfloat16().float()  # as the model was trained to read it

    def no_object_pointers(self, count: int) -> Tensor:
        """Pointers of objects that are not there, count×1×C."""
        pointer: Tensor = self.model.no_object_pointer.detach().float()
        return pointer.expand(count, 1, -1)

    def memory_position(self, ago: int) -> Tensor:
        """Positions N×C of a memory's tokens: of a frame so many steps ago, 1 the last; 0 is an interacted frame."""
        like = torch.empty(1, self.memory_channels, *self.grid, device=self.model.no_memory_embedding.device)
        if self._perceiver is None:
            place = self._position(self.model.memory_encoder.position_encoding, like)
        else:
            side = int(self.config.perceiver_resampler_num_latents_2d**0.5)
            place = self._position(self._perceiver.positional_encoding, like[..., :side, :side])
        tokens = place[0].flatten(1).t()
        tokens = torch.cat((tokens.new_zeros(self.memory_tokens - len(tokens), self.memory_channels), tokens))
        when: Tensor = self.model.memory_temporal_positional_encoding[ago - 1].view(1, -1)
        return tokens + when

    def pointer_positions(self, offsets: list[int]) -> Tensor:
        """Positions p×C of pointers of frames so many steps away."""
        device = self.model.no_memory_embedding.device
        if not self.config.enable_temporal_pos_encoding_for_object_pointers:
            return torch.zeros(len(offsets), self.memory_channels, device=device)
        half = self.pointer_channels // 2
        rates = 10000 ** (2 * (torch.arange(half, dtype=torch.float32, device=device) // 2) / half)
        angle = torch.tensor(offsets, dtype=torch.float32, device=device)[:, None] / self.recent_pointers / rates
        waves = torch.cat((angle.sin(), angle.cos()), dim=-1)
        found: Tensor = self.model.temporal_positional_encoding_projection_layer(waves)
        return found

    def enlarge(self, logits: Tensor) -> Tensor:
        """Logits B×4h×4w at the size of the input, B×1×S×S."""
        side = self.image_size
        return F.interpolate(logits[:, None], size=(side, side), mode="bilinear", align_corners=False)

    def several(self, points: int, *, tracking: bool) -> bool:
        """Whether the model chooses among several readings for so many points."""
        config = self.config
        allowed = config.multimask_output_in_sam and (not tracking or config.multimask_output_for_tracking)
        return bool(allowed and config.multimask_min_pt_num <= points <= config.multimask_max_pt_num)

    def _nothing(self, count: int, mask: Tensor | None) -> PromptTensors:
        """Prompts of objects without a point."""
        device = self.model.no_memory_embedding.device
        labels = -torch.ones(count, 1, dtype=torch.int, device=device)
        return PromptTensors(torch.zeros(count, 1, 2, device=device), labels, mask)

    @staticmethod
    def _position(module: Any, like: Tensor) -> Tensor:
        found: Tensor = module(like.shape, like.device, torch.float32)
        return found
