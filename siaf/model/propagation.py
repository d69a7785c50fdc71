"""The propagation network: AOT's architecture, key for key (SIAF §III-C: "MU-Net", Eq. 7, and "MP-Net", Eq. 8).

The network holds no state. What a frame leaves behind is a `FrameMemory` (keys and values of every transformer layer),
which the caller keeps and hands back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple, TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siaf.model.attention import LocalAttention, MultiheadAttention
from siaf.model.balance import balance
from siaf.model.boundary import BoundaryRefiner
from siaf.model.config import MAX_TAGS, PropagationConfig
from siaf.model.encoders import build_encoder
from siaf.model.fine import FineDecoder
from siaf.model.identity import look_up_patches
from siaf.model.layers import ConvGN, GNActDWConv, sine_position, to_map, to_tokens
from siaf.model.partial_attention import PartialAttention

FrameMemory: TypeAlias = list[tuple[Tensor, Tensor]]
"""Per transformer layer: keys and values, float B×N×C each. Several frames are concatenated along N."""


@dataclass(frozen=True)
class FrameFeatures:
    """What the encoder says of a batch of frames: independent of objects, rounds and memory, so it may be cached.

    `levels`: maps at strides 4, 8, 16 for the decoder (`Decoder.narrow`); `embedding`: B×C×h×w at stride 16 for
    matching; `stream`: B×N×C, what the first layer makes of it before it reads any memory (`LSTTLayer.attend`), or None
    where that is left to the layer. `picture`: the frames as boundary refinement sees them, uint8 B×3×H×W
    (`siaf.model.boundary`), or None where nothing does.
    """

    levels: tuple[Tensor, Tensor, Tensor]
    embedding: Tensor
    stream: Tensor | None = None
    picture: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the stride-16 grid."""
        return self.embedding.shape[2], self.embedding.shape[3]

    def map(self, change: Callable[[Tensor], Tensor]) -> "FrameFeatures":
        """The same with every tensor changed."""
        fine, middle, coarse = (change(level) for level in self.levels)
        stream, picture = (None if x is None else change(x) for x in (self.stream, self.picture))
        return FrameFeatures((fine, middle, coarse), change(self.embedding), stream, picture)

    def named(self) -> dict[str, Tensor]:
        """Every tensor by name."""
        fine, middle, coarse = self.levels
        found = {"fine": fine, "middle": middle, "coarse": coarse, "embedding": self.embedding}
        more = {"stream": self.stream, "picture": self.picture}
        return found | {name: tensor for name, tensor in more.items() if tensor is not None}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "FrameFeatures":
        """The inverse of `named`; KeyError if one is missing."""
        levels = tensors["fine"], tensors["middle"], tensors["coarse"]
        return cls(levels, tensors["embedding"], tensors.get("stream"), tensors.get("picture"))


class PropagationOutput(NamedTuple):
    """What one step finds: `logits` B×11×(H/4)×(W/4); `sources`, per layer the frame's (key, value source), for
    `remember`; the decoder's last map, B×C×(H/4)×(W/4).
    """

    logits: Tensor
    sources: FrameMemory
    hidden: Tensor


class LSTTLayer(nn.Module):
    """One long short-term transformer block: self-attention, long- and short-term memory reads, feed-forward."""

    def __init__(self, dim: int, heads: int, sharpness: float = 1.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.linear_Q = nn.Linear(dim, dim)
        self.linear_V = nn.Linear(dim, dim)
        self.long_term_attn = MultiheadAttention(dim, heads, use_linear=False, sharpness=sharpness)
        self.short_term_attn = LocalAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.self_attn = MultiheadAttention(dim, heads)
        self.norm3 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, 4 * dim)
        self.activation = GNActDWConv(4 * dim)
        self.linear2 = nn.Linear(4 * dim, dim)

    def attend(self, x: Tensor, position: Tensor) -> Tensor:
        """Self-attention: the residual stream B×N×C before and after."""
        normed = self.norm1(x)
        placed = normed + position
        out: Tensor = x + self.self_attn(placed, placed, normed)
        return out

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """After `attend`: B×N×C → its normed form (value source), and the query = key."""
        source = self.norm2(x)
        return source, self.linear_Q(source)

    def value(self, source: Tensor, identity: Tensor) -> Tensor:
        """Values that carry who is where: linear_V(source + identity), B×N×C."""
        out: Tensor = self.linear_V(source + identity)
        return out

    def read_memory(
        self,
        x: Tensor,
        query: Tensor,
        long: tuple[Tensor, Tensor] | None,
        short: tuple[Tensor, Tensor],
        size: tuple[int, int],
        known: PartialAttention | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Read both memories into the residual stream, then feed forward: B×N×C.

        `known`: what was read of a part of the long-term memory before; `long` is the rest, if there is any. `bias`,
        float B×1×1×M, without `known`: added to the logits of the long-term memory's M tokens.
        """
        if known is None:
            assert long is not None
            far = self.long_term_attn(query, *long, bias)
        else:
            rest = [self.long_term_attn.part(query, *long)] if long else []
            far = self.long_term_attn.finish(reduce(PartialAttention.join, rest, known))
        x = x + far + self.short_term_attn(query, *short, size)
        out: Tensor = x + self.linear2(self.activation(self.linear1(self.norm3(x)), size))
        return out


class LSTT(nn.Module):
    """The stack of blocks and the norms in front of the decoder."""

    def __init__(self, config: PropagationConfig) -> None:
        super().__init__()
        # AOT's checkpoints hold this token although nothing reads it.
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.dim))
        self.layers = nn.ModuleList(LSTTLayer(config.dim, config.heads, config.sharpness) for _ in range(config.layers))
        self.decoder_norms = nn.ModuleList(nn.LayerNorm(config.dim) for _ in range(config.layers))

    def blocks(self) -> list[tuple[LSTTLayer, nn.LayerNorm]]:
        """Every layer with the norm of its output."""
        return list(zip(cast(list[LSTTLayer], self.layers), cast(list[nn.LayerNorm], self.decoder_norms), strict=True))


class Decoder(nn.Module):
    """Feature pyramid from stride 16 to stride 4; one logit map for background and each of the ten tags."""

    def __init__(self, config: PropagationConfig, shortcuts: tuple[int, ...]) -> None:
        super().__init__()
        dim = config.dim
        self.align_corners = config.align_corners
        # AOT decodes what every layer and the encoder say, DeAOT both streams of its last layer.
        self.conv_in = ConvGN(2 * dim if config.gated else dim * (config.layers + 1), dim, 1)
        self.conv_16x = ConvGN(dim, dim, 3)
        self.conv_8x = ConvGN(dim, dim // 2, 3)
        self.conv_4x = ConvGN(dim // 2, dim // 2, 3)
        self.adapter_16x = nn.Conv2d(shortcuts[2], dim, 1)
        self.adapter_8x = nn.Conv2d(shortcuts[1], dim, 1)
        self.adapter_4x = nn.Conv2d(shortcuts[0], dim // 2, 1)
        self.conv_out = nn.Conv2d(dim // 2, MAX_TAGS + 1, 1)

    def narrow(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """An encoder's maps at strides 4, 8, 16, as small as they can be kept: adapted already if that narrows them."""
        return self._adapt(levels, early=True)

    def _adapt(self, levels: Sequence[Tensor], early: bool) -> tuple[Tensor, Tensor, Tensor]:
        adapters = self.adapter_4x, self.adapter_8x, self.adapter_16x
        fine, middle, coarse = (
            adapter(level) if (adapter.out_channels <= adapter.in_channels) == early else level
            for adapter, level in zip(adapters, levels, strict=False)
        )
        return fine, middle, coarse

    def forward(self, embeddings: list[Tensor], levels: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Stride-16 embeddings → logits B×11×(H/4)×(W/4)."""
        out: Tensor = self.conv_out(self.hidden(embeddings, levels))
        return out

    def hidden(self, embeddings: list[Tensor], levels: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """The map B×C×(H/4)×(W/4) that the logits are read from."""
        fine, middle, coarse = self._adapt(levels, early=False)
        x = F.relu(self.conv_in(torch.cat(embeddings, dim=1)))
        x = F.relu(self.conv_16x(coarse + x))
        x = F.relu(self.conv_8x(middle + self._resize(x, middle)))
        return F.relu(self.conv_4x(fine + self._resize(x, fine)))

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=self.align_corners)


class PropagationNet(nn.Module):
    """AOT: remembers frames with an index mask, and finds every tag of the memory in another frame, in one pass."""

    def __init__(self, config: PropagationConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.encoder, "stride16" if config.matching == "8+16" else "aot")
        channels = self.encoder.channels
        matched = channels[1] + channels[2] if config.matching == "8+16" else channels[-1]
        self.encoder_projector = nn.Conv2d(matched, config.dim, 1)
        self.LSTT = LSTT(config)
        self.decoder = Decoder(config, channels[:3])
        kernel, padding = (17, 8) if config.align_corners else (16, 0)
        self.patch_wise_id_bank = nn.Conv2d(MAX_TAGS + 1, config.dim, kernel, stride=16, padding=padding)
        self.fine = FineDecoder(channels[:3], config.dim // 2) if config.fine else None
        self.boundary = BoundaryRefiner() if config.boundary else None

    def matching_input(self, levels: list[Tensor]) -> Tensor:
        """What the projector sees of the encoder's maps."""
        if self.config.matching == "last":
            return levels[-1]
        # Stride-8 features average to the stride-16 grid (centres coincide when sizes are 16k+1); .57 balances their
        # energy.
        pooled = F.avg_pool2d(levels[1], 3, stride=2, padding=1, count_include_pad=False)
        return torch.cat((0.57 * pooled, levels[2]), dim=1)

    def encode(self, image: Tensor) -> FrameFeatures:
        """Normalised RGB, float B×3×H×W → features."""
        levels = self.encoder(image)
        embedding = self.encoder_projector(self.matching_input(levels))
        return FrameFeatures(self.decoder.narrow(levels), embedding, self.begin(embedding))

    def begin(self, embedding: Tensor) -> Tensor | None:
        """What the transformer does of a frame on its own, to be kept with its features: `FrameFeatures.stream`."""
        return self._attend(self.LSTT.blocks()[0][0], to_tokens(embedding), (embedding.shape[2], embedding.shape[3]))

    def _begun(self, features: FrameFeatures) -> Tensor:
        x = self.begin(features.embedding) if features.stream is None else features.stream
        assert x is not None
        return x

    @staticmethod
    def _attend(layer: LSTTLayer, x: Tensor, size: tuple[int, int]) -> Tensor:
        return layer.attend(x, sine_position(size, x.shape[-1], x.device))

    def identity(self, mask: Tensor) -> Tensor:
        """Index mask in slots → identity embedding B×N×C.

        Integer B×H×W (0 = background), or one-hot float B×11×H×W, which AOT's convolution takes as it is. The former
        is several times as fast: no channel of zeros is made or multiplied.
        """
        bank = self.patch_wise_id_bank
        if mask.dim() == 4:
            return to_tokens(bank(mask))
        assert bank.bias is not None
        return to_tokens(look_up_patches(bank.weight, mask, bank.stride[0], int(bank.padding[0]))) + bank.bias

    def reference(self, features: FrameFeatures, mask: Tensor) -> FrameMemory:
        """Memory of a frame whose mask (as in `identity`) is known, A(I_t, M_t) of Eq. 7. It depends on no other
        frame.
        """
        size, identity = features.size, self.identity(mask)
        x, blocks = self._begun(features), self.LSTT.blocks()
        memory: FrameMemory = []
        for i, (layer, _) in enumerate(blocks):
            if i:
                x = self._attend(layer, x, size)
            source, query = layer.project(x)
            own = (query, layer.value(source, identity))
            memory.append(own)
            if i + 1 < len(blocks):  # nobody asks what the last layer reads
                x = layer.read_memory(x, query, own, own, size)
        return memory

    @property
    def reads_in_parts(self) -> bool:
        """Whether what a frame reads of a memory depends on those two alone, so that `read` can be asked before."""
        return self.config.layers == 1

    def read(
        self, features: FrameFeatures, memories: Sequence[FrameMemory], known: PartialAttention | None = None
    ) -> PartialAttention:
        """What the only layer reads of parts of the long-term memory, on a CPU: for `known` of `propagate`.

        `known`: what it read of other parts. Part by part, so that the sum has the same bits in however many calls.
        """
        layer, _ = self.LSTT.blocks()[0]
        _, query = layer.project(self._begun(features))
        parts = [layer.long_term_attn.part(query, *memory[0]) for memory in memories]
        return reduce(PartialAttention.join, parts if known is None else [known, *parts])

    def propagate(
        self,
        features: FrameFeatures,
        long: FrameMemory | None,
        short: FrameMemory,
        known: PartialAttention | None = None,
        given: Sequence[int] = (),
    ) -> PropagationOutput:
        """Find the memory's tags in a frame, P(U, I_t) of Eq. 8.

        `known`: what `read` gave for a part of the long-term memory, that of all interacted frames; `long` is the rest,
        or None. `given`: how many tokens of every entry of the long-term memory, its first or all of `known`, are of
        interacted frames; by default nobody says, and none is weighed otherwise.
        """
        streams, sources = self.transform(features, long, short, known, given)
        logits, hidden = self.decode(streams, features)
        return PropagationOutput(logits, sources, hidden)

    def transform(
        self,
        features: FrameFeatures,
        long: FrameMemory | None,
        short: FrameMemory,
        known: PartialAttention | None = None,
        given: Sequence[int] = (),
    ) -> tuple[list[Tensor], FrameMemory]:
        """The first half of `propagate`: what the transformer leaves to `decode`, B×N×C each, and `sources`."""
        size, x = features.size, self._begun(features)
        bias = None
        if self.config.balanced and long is not None:
            known, bias = balance(long[0][0].shape[1], known, given, long[0][0].device)
        streams: list[Tensor] = []
        sources: FrameMemory = []
        for i, (layer, _) in enumerate(self.LSTT.blocks()):
            if i:
                x = self._attend(layer, x, size)
            source, query = layer.project(x)
            x = layer.read_memory(x, query, long[i] if long else None, short[i], size, known, bias)
            sources.append((query, source))
            streams.append(x)
        return streams, sources

    def decode(self, streams: Sequence[Tensor], features: FrameFeatures) -> tuple[Tensor, Tensor]:
        """The second half: `PropagationOutput.logits` and `PropagationOutput.hidden`. No memory depends on it."""
        normed = [norm(x) for x, (_, norm) in zip(streams, self.LSTT.blocks(), strict=True)]
        return self._decoded([features.embedding, *(to_map(x, features.size) for x in normed)], features)

    def _decoded(self, embeddings: list[Tensor], features: FrameFeatures) -> tuple[Tensor, Tensor]:
        hidden = self.decoder.hidden(embeddings, features.levels)
        return self.decoder.conv_out(hidden), hidden

    def remember(self, sources: FrameMemory, mask: Tensor) -> FrameMemory:
        """Memory of a frame just propagated, from what `propagate` returned and the mask (as in `identity`) it led
        to.
        """
        identity = self.identity(mask)
        return [
            (key, layer.value(source, identity))
            for (layer, _), (key, source) in zip(self.LSTT.blocks(), sources, strict=True)
        ]


def concatenate(memories: list[FrameMemory]) -> FrameMemory:
    """Join the memories of several frames along the token axis."""
    return [
        (torch.cat([k for k, _ in layer], dim=1), torch.cat([v for _, v in layer], dim=1))
        for layer in zip(*memories, strict=True)
    ]
