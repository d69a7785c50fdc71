"""Segment Anything (Kirillov et al., ICCV 2023): an image is encoded once, prompts are answered from the embedding.

The layout is MobileSAM's (Zhang et al., 2023), whose image encoder is Tiny-ViT, and the decoder sees edges besides: the
encoder's map of stride 4, as in HQ-SAM (Ke et al., NeurIPS 2023). Images need not be square: positions are relative to
a square of the input's long side, of which an image that is not square has the upper or left part.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siaf.model.tinyvit import TinyViTEncoder
from siaf.model.two_way import WIDTH, TwoWayTransformer

STRIDE = 16
"""Input pixels per cell of the embedding; a mask has four by four pixels per cell."""
NO_POINT, NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT = -1, 0, 1, 2, 3
"""Labels of points: none (fills the place of a box where there is none), clicks, a box's corners."""
EDGES = WIDTH // 8
"""Channels of the map of stride 4."""
_MASKS = 4
_MASK_WIDTH = 16


class LayerNorm2d(nn.Module):
    """LayerNorm over the channels of a map N×C×h×w."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6).permute(0, 3, 1, 2)


class Embedding(NamedTuple):
    """An encoded image: `cells` N×256×h×w, one per 16 pixels; `edges` N×EDGES×4h×4w, of any precision."""

    cells: Tensor
    edges: Tensor


class ImageEncoder(nn.Module):
    """Tiny-ViT and a neck: normalised image N×3×H×W, sides multiples of 16 → its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = TinyViTEncoder(4)
        self.neck = nn.Sequential(
            nn.Conv2d(self.backbone.channels[-1], WIDTH, 1, bias=False),
            LayerNorm2d(WIDTH),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False),
            LayerNorm2d(WIDTH),
        )
        self.edges = nn.Conv2d(self.backbone.channels[0], EDGES, 1)

    def forward(self, image: Tensor) -> Embedding:
        *_, embedding = self.in_parts(image)
        assert embedding is not None
        return embedding

    def in_parts(self, image: Tensor) -> Iterator[Embedding | None]:
        """None after each part of the work, the embedding after the last."""
        maps: list[Tensor] = []
        for levels in self.backbone.in_parts(image):
            maps = levels
            yield None
        yield Embedding(self.neck(maps[-1]), self.edges(maps[0]))


class Prompts(NamedTuple):
    """Encoded prompts: `sparse` B×N×256 of the points, `dense` B×256×h×w of the mask, `position` 1×256×h×w of cells."""

    sparse: Tensor
    dense: Tensor
    position: Tensor


class PromptEncoder(nn.Module):
    """Points and a mask as embeddings."""

    def __init__(self) -> None:
        super().__init__()
        # The frequencies of the position embedding are weights, though no gradient ever reached them.
        self.frequencies = nn.Parameter(torch.randn(2, WIDTH // 2))
        self.point_embeddings = nn.ParameterList([torch.randn(1, WIDTH) for _ in range(4)])
        self.no_point = nn.Parameter(torch.randn(1, WIDTH))
        self.no_mask = nn.Parameter(torch.randn(1, WIDTH))
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, _MASK_WIDTH // 4, 2, 2),
            LayerNorm2d(_MASK_WIDTH // 4),
            nn.GELU(),
            nn.Conv2d(_MASK_WIDTH // 4, _MASK_WIDTH, 2, 2),
            LayerNorm2d(_MASK_WIDTH),
            nn.GELU(),
            nn.Conv2d(_MASK_WIDTH, WIDTH, 1),
        )

    def forward(self, points: Tensor, labels: Tensor, mask: Tensor | None, grid: tuple[int, int]) -> Prompts:
        """`points` B×N×2 (x, y) in pixels of the encoder's input, (0, 0) the centre of its first pixel; `labels` B×N:
        NO_POINT to BOTTOM_RIGHT; `mask` logits B×1×4h×4w or None; `grid` = (h, w) of the embedding.
        """
        side = max(grid) * STRIDE
        sparse = self._position((points + 0.5) / side)
        sparse = torch.where(labels[..., None] == NO_POINT, 0, sparse)
        table = torch.cat((self.no_point, *self.point_embeddings))
        sparse = sparse + table[labels + 1]
        if mask is None:
            dense = self.no_mask.view(1, -1, 1, 1).expand(len(points), -1, *grid)
        else:
            dense = self.mask_downscaling(mask)
        rows, columns = (torch.arange(n, device=points.device) + 0.5 for n in grid)
        cells = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1) / max(grid)
        return Prompts(sparse, dense, self._position(cells).permute(2, 0, 1)[None])

    def _position(self, places: Tensor) -> Tensor:
        """…×2 (x, y), 0 to 1 → …×256."""
        angle = 2 * math.pi * ((2 * places - 1) @ self.frequencies)
        return torch.cat((angle.sin(), angle.cos()), dim=-1)


class MaskDecoder(nn.Module):
    """Embedding and prompts → four masks as logits at a quarter of the input, and the IoU expected of each.

    The first mask answers prompts that leave nothing open; the others are three readings of one that does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(1, 1 + _MASKS, WIDTH))  # the first is asked for the IoU
        self.transformer = TwoWayTransformer()
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(WIDTH, WIDTH // 4, 2, 2),
            LayerNorm2d(WIDTH // 4),
            nn.GELU(),
            nn.ConvTranspose2d(WIDTH // 4, WIDTH // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(_Perceptron(WIDTH // 8) for _ in range(_MASKS))
        self.iou_prediction_head = _Perceptron(_MASKS)
        self.sharpening = nn.Sequential(
            nn.Conv2d(WIDTH // 8 + EDGES, WIDTH // 8, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(WIDTH // 8, WIDTH // 8, 3, padding=1),
        )
        for parameter in self.sharpening[-1].parameters():
            nn.init.zeros_(parameter)  # begins as MobileSAM's decoder

    def forward(self, embedding: Embedding, prompts: Prompts) -> tuple[Tensor, Tensor]:
        """The embedding of one image, prompts of B objects → logits B×4×4h×4w, IoU B×4."""
        count = len(prompts.sparse)
        tokens = torch.cat((self.tokens.expand(count, -1, -1), prompts.sparse), dim=1)
        tokens, image = self.transformer(embedding.cells + prompts.dense, prompts.position, tokens)
        fine = self.output_upscaling(image)
        edges = embedding.edges.to(fine.dtype).expand(count, -1, -1, -1)
        fine = fine + self.sharpening(torch.cat((fine, edges), dim=1))
        kernels = [mlp(tokens[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)]
        masks = torch.einsum("bmc,bchw->bmhw", torch.stack(kernels, dim=1), fine)
        return masks, self.iou_prediction_head(tokens[:, 0])


class _Perceptron(nn.Module):
    """Three linear layers: B×256 → B×out."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, n) for n in (WIDTH, WIDTH, out))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        out: Tensor = self.layers[-1](x)
        return out


class SegmentAnything(nn.Module):
    """The three networks of one model."""

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = ImageEncoder()
        self.prompt_encoder = PromptEncoder()
        self.mask_decoder = MaskDecoder()

    def forward(
        self, embedding: Embedding, points: Tensor, labels: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The masks of B objects on one encoded image; arguments as of `PromptEncoder`, results of `MaskDecoder`."""
        grid = embedding.cells.shape[2], embedding.cells.shape[3]
        out: tuple[Tensor, Tensor] = self.mask_decoder(embedding, self.prompt_encoder(points, labels, mask, grid))
        return out
