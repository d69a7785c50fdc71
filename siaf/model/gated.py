"""DeAOT's propagation: the same network around a gated transformer, key for key with the official DeAOT checkpoints.

Two streams run through the layers: what things look like (visual) and who they are (identity). Both are matched by the
same attention, which is computed on the visual stream alone; the identity stream never decides where to look.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siaf.model.attention import LocalAttention
from siaf.model.config import PropagationConfig
from siaf.model.layers import to_map, to_tokens
from siaf.model.partial_attention import PartialAttention
from siaf.model.propagation import FrameFeatures, FrameMemory, PropagationNet

_EXPANSION = 2  # values and gates are twice as wide as the stream they belong to


class DepthwiseConv(nn.Module):
    """5×5 depthwise convolution on tokens."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 5, padding=2, groups=dim, bias=False)
        self.dropout = nn.Dropout2d(0.1)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """B×N×C on the grid `size` → B×N×C."""
        return to_tokens(self.dropout(self.conv(to_map(x, size))))


class GatedAttention(nn.Module):
    """Attention over all tokens, gated: (softmax(QKᵀ)V) ⊙ U, a depthwise convolution, a projection."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dw_conv = DepthwiseConv(_EXPANSION * 2 * dim)
        self.projection = nn.Linear(_EXPANSION * 2 * dim, 2 * dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, gate: Tensor, size: tuple[int, int]) -> Tensor:
        """B×N×A queries, B×M×A keys, B×M×4C values, B×N×4C gate → B×N×2C, both streams."""
        read = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.projection(self.dw_conv(read * gate, size))
        return out


class GatedSelfAttention(GatedAttention):
    """Gated attention of both streams to themselves."""

    def __init__(self, dim: int, attention_dim: int) -> None:
        super().__init__(dim)
        self.linear_QK = nn.Linear(2 * dim, attention_dim)
        self.linear_V1 = nn.Linear(dim, _EXPANSION * dim)
        self.linear_V2 = nn.Linear(dim, _EXPANSION * dim)
        self.linear_U1 = nn.Linear(dim, _EXPANSION * dim)
        self.linear_U2 = nn.Linear(dim, _EXPANSION * dim)

    def attend(self, visual: Tensor, identity: Tensor, size: tuple[int, int]) -> Tensor:
        """B×N×C each → B×N×2C."""
        query = self.linear_QK(torch.cat((visual, identity), dim=-1))
        value = F.silu(torch.cat((self.linear_V1(visual), self.linear_V2(identity)), dim=-1))
        gate = F.silu(torch.cat((self.linear_U1(visual), self.linear_U2(identity)), dim=-1))
        out: Tensor = self(query, query, value, gate, size)
        return out


class LocalGatedAttention(LocalAttention):
    """Gated attention of every position to the window around it; values carry no relative term."""

    def __init__(self, dim: int, attention_dim: int) -> None:
        super().__init__(attention_dim, heads=1)
        self.register_parameter("relative_emb_v", None)
        self.dw_conv = DepthwiseConv(_EXPANSION * 2 * dim)
        self.projection = nn.Linear(_EXPANSION * 2 * dim, 2 * dim)

    def gated(self, query: Tensor, key: Tensor, value: Tensor, gate: Tensor, size: tuple[int, int]) -> Tensor:
        """As GatedAttention, on one grid: B×N×A, B×N×A, B×N×4C, B×N×4C → B×N×2C."""
        out: Tensor = self.projection(self.dw_conv(self.read(query, key, value, size) * gate, size))
        return out


class GatedLayer(nn.Module):
    """One gated propagation module: long- and short-term memory reads, then self-attention, on both streams.

    The first layer has no identity stream to look at yet: there, who is where comes from the memory alone.
    """

    def __init__(self, dim: int, first: bool) -> None:
        super().__init__()
        self.attention_dim, wide = dim // 2, _EXPANSION * dim
        self.norm1 = nn.LayerNorm(dim)
        self.linear_QV = nn.Linear(dim, self.attention_dim + wide)
        self.linear_U = nn.Linear(dim, wide)
        self.linear_ID_V = nn.Linear(dim if first else 2 * dim, wide)
        self.id_norm1 = None if first else nn.LayerNorm(dim)
        self.linear_ID_U = None if first else nn.Linear(dim, wide)
        self.long_term_attn = GatedAttention(dim)
        self.short_term_attn = LocalGatedAttention(dim, self.attention_dim)
        self.norm2 = nn.LayerNorm(dim)
        self.id_norm2 = nn.LayerNorm(dim)
        self.self_attn = GatedSelfAttention(dim, self.attention_dim)

    def project(self, visual: Tensor, identity: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Streams B×N×C (`identity` None in the first layer) → query = key, value source, gate.

        The value source is the visual value and, behind it, the normed identity stream where there is one.
        """
        normed = self.norm1(visual)
        query, value = self.linear_QV(normed).split((self.attention_dim, _EXPANSION * normed.shape[-1]), dim=-1)
        value, gate = F.silu(value), F.silu(self.linear_U(normed))
        if identity is None or self.id_norm1 is None or self.linear_ID_U is None:
            return query, value, torch.cat((gate, torch.ones_like(gate)), dim=-1)
        own = self.id_norm1(identity)
        source = torch.cat((value, own), dim=-1)
        return query, source, torch.cat((gate, F.silu(self.linear_ID_U(own))), dim=-1)

    def value(self, source: Tensor, identity: Tensor) -> Tensor:
        """Values of both streams once it is known who is where: `identity` B×N×C → B×N×4C."""
        wide = _EXPANSION * identity.shape[-1]
        visual, own = source[..., :wide], source[..., wide:]
        return torch.cat((visual, F.silu(self.linear_ID_V(torch.cat((own, identity), dim=-1)))), dim=-1)

    def read_memory(
        self,
        streams: tuple[Tensor, Tensor | None],
        query: Tensor,
        gate: Tensor,
        long: tuple[Tensor, Tensor],
        short: tuple[Tensor, Tensor],
        size: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        """Read both memories into both streams, then let each look at itself: two B×N×C."""
        visual, identity = streams
        found = self.long_term_attn(query, *long, gate, size) + self.short_term_attn.gated(query, *short, gate, size)
        seen, who = found.chunk(2, dim=-1)
        visual, identity = visual + seen, who if identity is None else identity + who
        own = self.self_attn.attend(self.norm2(visual), self.id_norm2(identity), size)
        seen, who = own.chunk(2, dim=-1)
        return visual + seen, identity + who


class TokenGroupNorm(nn.Module):
    """GroupNorm over channels and tokens: B×N×C → B×N×C."""

    def __init__(self, groups: int, dim: int) -> None:
        super().__init__()
        self.gn = nn.GroupNorm(groups, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.gn(x.transpose(1, 2)).transpose(1, 2)
        return out


class GatedTransformer(nn.Module):
    """The stack of gated layers and the one norm in front of the decoder, which sees the last layer only."""

    def __init__(self, config: PropagationConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GatedLayer(config.dim, first=i == 0) for i in range(config.layers))
        self.decoder_norms = nn.ModuleList([TokenGroupNorm(2, 2 * config.dim)])

    def stack(self) -> list[GatedLayer]:
        """The layers, with their type."""
        return cast(list[GatedLayer], list(self.layers))


class GatedPropagationNet(PropagationNet):
    """DeAOT behind PropagationNet's interface.

    Its memories have keys B×N×C/2 and values B×N×4C. It has no position embedding and no feed-forward layers.
    """

    def __init__(self, config: PropagationConfig) -> None:
        super().__init__(config)
        self.LSTT = GatedTransformer(config)  # type: ignore[assignment]  # only the methods below look inside
        self.id_norm = nn.LayerNorm(config.dim)

    def begin(self, embedding: Tensor) -> Tensor | None:
        """Nothing: the first layer reads memory before anything else but projections, which are larger than maps."""
        return None

    def identity(self, mask: Tensor) -> Tensor:
        """As in PropagationNet, normed."""
        out: Tensor = self.id_norm(super().identity(mask))
        return out

    def reference(self, features: FrameFeatures, mask: Tensor) -> FrameMemory:
        """As in PropagationNet."""
        size, known, layers = features.size, self.identity(mask), self._stack()
        streams: tuple[Tensor, Tensor | None] = to_tokens(features.embedding), None
        memory: FrameMemory = []
        for i, layer in enumerate(layers):
            query, source, gate = layer.project(*streams)
            own = (query, layer.value(source, known))
            memory.append(own)
            if i + 1 < len(layers):  # nobody asks what the last layer reads
                streams = layer.read_memory(streams, query, gate, own, own, size)
        return memory

    @property
    def reads_in_parts(self) -> bool:
        """Never."""
        return False

    def transform(
        self,
        features: FrameFeatures,
        long: FrameMemory | None,
        short: FrameMemory,
        known: PartialAttention | None = None,
        given: Sequence[int] = (),
    ) -> tuple[list[Tensor], FrameMemory]:
        """As in PropagationNet, but for `PropagationConfig.sharpness` and `PropagationConfig.balanced`: never."""
        assert long is not None
        size = features.size
        streams: tuple[Tensor, Tensor | None] = to_tokens(features.embedding), None
        sources: FrameMemory = []
        for i, layer in enumerate(self._stack()):
            query, source, gate = layer.project(*streams)
            streams = layer.read_memory(streams, query, gate, long[i], short[i], size)
            sources.append((query, source))
        visual, who = streams
        assert who is not None
        return [torch.cat((visual, who), dim=-1)], sources

    def decode(self, streams: Sequence[Tensor], features: FrameFeatures) -> tuple[Tensor, Tensor]:
        """As in PropagationNet."""
        norm = cast(GatedTransformer, self.LSTT).decoder_norms[0]
        return self._decoded([to_map(norm(streams[0]), features.size)], features)

    def remember(self, sources: FrameMemory, mask: Tensor) -> FrameMemory:
        """As in PropagationNet."""
        identity = self.identity(mask)
        layers = self._stack()
        return [(key, layer.value(source, identity)) for layer, (key, source) in zip(layers, sources, strict=True)]

    def _stack(self) -> list[GatedLayer]:
        return cast(GatedTransformer, self.LSTT).stack()


def build_propagation(config: PropagationConfig) -> PropagationNet:
    """An untrained network of either kind."""
    return GatedPropagationNet(config) if config.gated else PropagationNet(config)
