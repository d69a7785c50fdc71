"""Segment Anything's two-way transformer: tokens read the image, and the image reads the tokens."""

import torch.nn.functional as F
from torch import Tensor, nn

from siaf.model.layers import to_map, to_tokens

WIDTH = 256
_HEADS = 8
_DEPTH = 2


class Attention(nn.Module):
    """Attention between B×N×256 and B×M×256, inside at `width` channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(WIDTH, width) for _ in range(3))
        self.out_proj = nn.Linear(width, WIDTH)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        parts = self.q_proj(query), self.k_proj(key), self.v_proj(value)
        heads = (x.unflatten(2, (_HEADS, -1)).transpose(1, 2) for x in parts)
        out: Tensor = self.out_proj(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))
        return out


class _Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(WIDTH, 8 * WIDTH), nn.Linear(8 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lin2(F.relu(self.lin1(x)))
        return out


class Layer(nn.Module):
    """Tokens among themselves, tokens from the image, a perceptron, the image from the tokens."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(WIDTH)
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(WIDTH) for _ in range(4))
        self.cross_attn_token_to_image = Attention(WIDTH // 2)
        self.mlp = _Perceptron()
        self.cross_attn_image_to_token = Attention(WIDTH // 2)

    def forward(self, tokens: Tensor, image: Tensor, prompts: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        if self.first:  # the tokens are the prompts, whose positions they hold
            tokens = self.norm1(self.self_attn(tokens, tokens, tokens))
        else:
            placed = tokens + prompts
            tokens = self.norm1(tokens + self.self_attn(placed, placed, tokens))
        where = image + position
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + prompts, where, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(where, tokens + prompts, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """Image B×256×h×w, its positions 1×256×h×w and tokens B×N×256 → tokens and image, changed."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(first=i == 0) for i in range(_DEPTH))
        self.final_attn_token_to_image = Attention(WIDTH // 2)
        self.norm_final_attn = nn.LayerNorm(WIDTH)

    def forward(self, image: Tensor, position: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
        size = image.shape[2], image.shape[3]
        cells, places, tokens = to_tokens(image), to_tokens(position), prompts
        for layer in self.layers:
            tokens, cells = layer(tokens, cells, prompts, places)
        read = self.final_attn_token_to_image(tokens + prompts, cells + places, cells)
        return self.norm_final_attn(tokens + read), to_map(cells, size)
