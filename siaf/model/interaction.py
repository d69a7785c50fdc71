"""The across-frame interaction network, AFI (paper §III-B, Eq. 1 and 3–6).

Strokes of several objects on several frames go in together; one index mask per interacted frame comes out.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siaf.model.across import AcrossFrameAttention
from siaf.model.config import MAX_TAGS, InteractionConfig
from siaf.model.encoders import build_encoder
from siaf.model.identity import look_up_patches
from siaf.model.priors import CHANNELS, stroke_priors
from siaf.model.similarity import StrokeSimilarity

UNMARKED = -1  # in stroke maps: no stroke here; in previous masks: nothing known here


class InteractionInput(NamedTuple):
    """Frames with what is known of them, as in `InteractionNet.forward` but N = clips · frames in one row."""

    images: Tensor
    strokes: Tensor
    previous: Tensor


class InteractionFeatures(NamedTuple):
    """What AFI makes of N frames before they hear of each other, N×C×h×w each: the encoder's maps at stride 4, 8 and
    the deepest one, and those at stride 8 and 16 after `AcrossFrameAttention.within`.
    """

    low: Tensor
    fine: Tensor
    high: Tensor
    inside_fine: Tensor
    inside_coarse: Tensor


class IdentityEmbedding(nn.Module):
    """The ID mechanism on label maps: a learnt vector for background and each of ten tags, none where unmarked."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(MAX_TAGS + 1, dim) * dim**-0.5)

    def forward(self, labels: Tensor, stem: nn.Conv2d, first: int) -> Tensor:
        """What a stem, whose input channels from `first` on are the vectors', makes of them: long N×H×W in −1…10 →
        float N×C×h×w. The map of vectors itself, the largest of all maps, is never made.
        """
        kernels = stem.weight[:, first : first + self.vectors.shape[1]]
        per_label = torch.einsum("cdij,ld->clij", kernels, self.vectors)
        return look_up_patches(per_label, labels, stem.stride[0], int(stem.padding[0]))


def _conv_bn(in_channels: int, out_channels: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=dilation * (kernel // 2), dilation=dilation, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class FeatureExtraction(nn.Module):
    """G of Eq. 5: atrous spatial pyramid pooling, then a feed-forward network, on the deepest map."""

    def __init__(self, in_channels: int, dim: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        width = dim // 2
        self.branches = nn.ModuleList(
            [_conv_bn(in_channels, width, 1)] + [_conv_bn(in_channels, width, 3, rate) for rate in rates]
        )
        self.pooled = nn.Conv2d(in_channels, width, 1)
        self.project = _conv_bn(width * (len(rates) + 2), dim, 1)
        self.feed = nn.Sequential(nn.Conv2d(dim, 4 * dim, 1), nn.ReLU(inplace=True), nn.Conv2d(4 * dim, dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        """N×C×h×w → N×dim×h×w."""
        pooled = F.relu(self.pooled(x.mean((2, 3), keepdim=True))).expand(-1, -1, *x.shape[2:])
        x = self.project(torch.cat([*(branch(x) for branch in self.branches), pooled], dim=1))
        out: Tensor = x + self.feed(x)
        return out


class MaskHead(nn.Module):
    """Eq. 6: from across-frame and current-frame features to one logit map per queried tag.

    The trunk (Conv2D, BatchNorm, ReLU) serves all tags. Each tag is then decoded by the *same* small head, which sees
    the trunk beside that tag's own maps, so that ten tags behave alike after training on three.
    """

    def __init__(self, config: InteractionConfig, low: int) -> None:
        super().__init__()
        dim, width = config.dim, config.head_dim
        self.align_corners = config.align_corners
        self.fuse = _conv_bn(2 * dim, dim)
        self.middle = _conv_bn(2 * dim, dim, 1)
        self.low = _conv_bn(low, 48, 1)
        self.trunk = _conv_bn(dim + 48, 2 * width)
        self.edges = nn.Sequential(nn.Conv2d(3, width // 2, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        maps = 2 * (2 + CHANNELS + StrokeSimilarity.channels) + 3
        self.shared = nn.Conv2d(2 * width, width, 3, padding=1)
        self.own = nn.Conv2d(maps, width, 3, padding=1)
        self.tag = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True))
        self.fine = nn.Conv2d(width, width // 2, 1)
        self.out = nn.Sequential(
            nn.ReLU(inplace=True), nn.Conv2d(width // 2, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 1, 1)
        )

    def forward(
        self, image: Tensor, low: Tensor, across: tuple[Tensor, Tensor], current: Tensor, maps: Tensor
    ) -> Tensor:
        """`maps` N×K×M×(H/4)×(W/4) → logits N×K×(H/2)×(W/2)."""
        fine, coarse = across
        x = self.fuse(torch.cat((self._resize(current, coarse), coarse), dim=1))
        x = self.middle(torch.cat((self._resize(x, fine), fine), dim=1))
        x = self.trunk(torch.cat((self._resize(x, low), self.low(low)), dim=1))
        frames, tags = maps.shape[:2]
        per_tag = self.shared(x).unsqueeze(1) + self.own(maps.flatten(0, 1)).unflatten(0, (frames, tags))
        per_tag = self.fine(self.tag(per_tag.flatten(0, 1)))
        edges = self.edges(image)
        per_tag = self._resize(per_tag, edges).unflatten(0, (frames, tags)).add_(edges.unsqueeze(1))
        out: Tensor = self.out(per_tag.flatten(0, 1)).unflatten(0, (frames, tags))[:, :, 0]
        return out

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=self.align_corners)


class InteractionNet(nn.Module):
    """AFI. Tags are the slots 0 (background) … 10; the caller says which of them to decode."""

    def __init__(self, config: InteractionConfig) -> None:
        super().__init__()
        self.config = config
        self.stroke_identity = IdentityEmbedding(config.id_dim)
        self.mask_identity = IdentityEmbedding(config.id_dim)
        self.encoder = build_encoder(config.encoder, "full", in_channels=3 + 2 * config.id_dim)
        channels = self.encoder.channels
        self.across = AcrossFrameAttention((channels[1], channels[2]), config.dim, config.heads)
        self.extract = FeatureExtraction(channels[-1], config.dim, config.aspp_rates)
        self.query = nn.Linear(config.dim, config.id_dim)
        self.similarity = StrokeSimilarity(channels[1], channels[-1], config.dim // 2)
        self.head = MaskHead(config, channels[0])

    def forward(self, images: Tensor, strokes: Tensor, previous: Tensor, tags: Tensor) -> Tensor:
        """All interacted frames of a round, all objects, in one pass.

        `images` float B×f×3×H×W, normalised RGB; `strokes` long B×f×H×W, −1 = unmarked, 0 = background stroke, k = tag;
        `previous` long B×f×H×W, the round before, −1 everywhere on a frame that has none; `tags` long B×K, the slots to
        decode, 0 first; a slot may repeat as padding. Returns logits B×f×K×(H/2)×(W/2) in the order of `tags`.
        """
        clips, frames = images.shape[:2]
        given = InteractionInput(images.flatten(0, 1), strokes.flatten(0, 1), previous.flatten(0, 1))
        logits = self.decode_masks(given, self.encode_prompts(given), tags, frames)
        return logits.view(clips, frames, *logits.shape[1:])

    def encode_prompts(self, given: "InteractionInput") -> "InteractionFeatures":
        """What the network makes of every frame on its own."""
        stem = self.encoder.stem
        fused = self.stroke_identity(given.strokes, stem, 3)
        fused = fused + self.mask_identity(given.previous, stem, 3 + self.config.id_dim)
        low, fine, coarse, high = self.encoder(given.images, fused)
        return InteractionFeatures(low, fine, high, *self.across.within(fine, coarse))

    def decode_masks(
        self,
        given: "InteractionInput",
        features: "InteractionFeatures",
        tags: Tensor,
        frames: int,
        asked: list[int] | None = None,
    ) -> Tensor:
        """Features of clips of so many frames → logits N×K×(H/2)×(W/2); of the frames `asked` only, if given."""
        across = features.inside_fine, self.across.between(features.inside_coarse, frames)
        per_frame = tags.repeat_interleave(frames, dim=0)
        similar = self.similarity(features.fine, features.high, given.strokes, per_frame, frames)
        low, high = features.low, features.high
        if asked is not None:
            given = InteractionInput(*(x[asked] for x in given))
            across = across[0][asked], across[1][asked]
            per_frame, similar, low, high = per_frame[asked], similar[asked], low[asked], high[asked]
        current = self.extract(high)
        quarter = (low.shape[2], low.shape[3])
        answers = self._ask(across[1], per_frame, quarter)
        maps = torch.cat((self._tag_maps(*given, per_frame, self._resize(similar, quarter)), answers), dim=2)
        logits: Tensor = self.head(given.images, low, across, current, maps)
        return logits

    def _ask(self, coarse: Tensor, tags: Tensor, size: tuple[int, int]) -> Tensor:
        """Query the across-frame features by identity: how much of tag k's vector do they carry? N×K×1×h×w."""
        carried = F.linear(coarse.permute(0, 2, 3, 1), self.query.weight, self.query.bias)
        answer = torch.einsum("nhwc,nkc->nkhw", carried, self.stroke_identity.vectors[tags].to(carried.dtype))
        return self._resize(answer.unsqueeze(2), size)

    def _resize(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """N×K×M×h×w maps of tags at another size."""
        flat = F.interpolate(maps.flatten(1, 2), size=size, mode="bilinear", align_corners=self.config.align_corners)
        resized: Tensor = flat.unflatten(1, maps.shape[1:3])
        return resized

    def _tag_maps(self, images: Tensor, strokes: Tensor, previous: Tensor, tags: Tensor, alike: Tensor) -> Tensor:
        """Strokes, previous mask, stroke priors and similarity (`alike`, N×K×2×h×w) of each queried tag and of its
        rivals: N×K×16×h×w."""
        size = (alike.shape[-2], alike.shape[-1])
        select = tags[:, :, None, None]
        # Max-pooling keeps a thin stroke visible at a quarter of the resolution.
        marked = F.adaptive_max_pool2d((strokes[:, None] == select).float(), size)
        before = F.interpolate((previous[:, None] == select).float(), size=size, mode="area")
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            small = F.interpolate(images.float(), size=size, mode="area")
            low, high = small.amin((1, 2, 3), keepdim=True), small.amax((1, 2, 3), keepdim=True)
            prior = stroke_priors((small - low) / (high - low).clamp_min(1e-3), marked > 0)
        own = torch.cat((marked.unsqueeze(2), before.unsqueeze(2), prior, alike), dim=2)
        rivals = _strongest_rival(own, tags)
        background = (tags == 0).float()[:, :, None, None, None].expand(-1, -1, 1, *size)
        known = (previous >= 0).float().amax((1, 2))[:, None, None, None, None].expand_as(background)
        return torch.cat((own, rivals, background, known), dim=2)


def _strongest_rival(maps: Tensor, tags: Tensor) -> Tensor:
    """For every tag the maximum over the other tags' maps: N×K×M×h×w. Padding slots (repeats) are no rivals."""
    rivals = []
    for k in range(tags.shape[1]):
        other = (tags != tags[:, k : k + 1])[:, :, None, None, None]
        rivals.append(maps.masked_fill(~other, 0).amax(1))
    return torch.stack(rivals, dim=1)
