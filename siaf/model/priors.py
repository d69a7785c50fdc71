"""What the strokes say without any learning: how far, and how unlike in colour, every pixel is from each tag's strokes.

These maps enter the interaction network's mask head beside the strokes themselves. They are computed at a quarter of
the network's resolution, for all frames and tags together.
"""

import torch
from torch import Tensor

CHANNELS = 3  # per tag: near and far geodesic similarity, colour similarity
_STEP = 0.02  # price of one cell, in the unit of a full-range colour step
_COLOURS = 48  # stroke pixels that stand for a tag's colours


def stroke_priors(images: Tensor, strokes: Tensor) -> Tensor:
    """Similarity of every pixel to each tag's strokes.

    `images` float N×3×h×w in 0…1; `strokes` bool N×K×h×w. Returns float N×K×3×h×w in 0…1: exp(−8 g), exp(−2 g) of the
    geodesic distance g to the tag's strokes in that frame, and exp(−40 c²) of the colour distance c to the nearest of
    the tag's stroke colours. A tag without strokes in a frame gets zeros there.
    """
    distance = geodesic_distance(images, strokes)
    near, far = torch.exp(-8 * distance), torch.exp(-2 * distance)
    return torch.stack((near, far, _colour_similarity(images, strokes)), dim=2)


def geodesic_distance(images: Tensor, seeds: Tensor, passes: int = 2) -> Tensor:
    """Cheapest path from each tag's seeds: float N×K×h×w (inf where a tag has no seeds).

    A step to a neighbour costs its colour difference (largest channel) plus a constant. Alternating directional sweeps,
    as in fast-marching replacements: exact for paths that turn no more often than `passes` allows.
    """
    distance = torch.full(seeds.shape, torch.inf, device=images.device).masked_fill(seeds, 0.0)
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().amax(1) + _STEP
    right = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().amax(1) + _STEP
    for _ in range(passes):
        _sweep(distance, down)
        _sweep(distance.transpose(2, 3), right.transpose(1, 2))
    return distance


def _sweep(distance: Tensor, cost: Tensor) -> None:
    """Relax down then up, in place. `distance` N×K×h×w, `cost` N×(h−1)×w between neighbouring rows."""
    for row in range(1, distance.shape[2]):
        torch.minimum(distance[:, :, row], distance[:, :, row - 1] + cost[:, None, row - 1], out=distance[:, :, row])
    for row in range(distance.shape[2] - 2, -1, -1):
        torch.minimum(distance[:, :, row], distance[:, :, row + 1] + cost[:, None, row], out=distance[:, :, row])


def _colour_similarity(images: Tensor, strokes: Tensor) -> Tensor:
    pixels = images.flatten(2)
    similarity = torch.zeros(strokes.shape, device=images.device)
    for frame, tag in strokes.flatten(2).any(-1).nonzero().tolist():
        marked = strokes[frame, tag].flatten().nonzero()[:, 0]
        marked = marked[torch.linspace(0, len(marked) - 1, min(len(marked), _COLOURS)).long()]
        gap = torch.cdist(pixels[frame].T[None], pixels[frame, :, marked].T[None])[0].amin(1)
        similarity[frame, tag] = torch.exp(-40 * gap.square()).view(images.shape[-2:])
    return similarity
