"""What the strokes say in learnt features: how alike every place is to what each tag's strokes lie on.

Beside the priors of `siaf.model.priors`, which know colours only, and made to learn: the features are a projection of
the encoder's maps that the loss reaches through these maps.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CELLS = 64  # stroke cells of a frame that stand for a tag


class StrokeSimilarity(nn.Module):
    """Cosine to the most similar stroke cell of each tag, at stride 8."""

    channels = 2  # per tag: to the strokes of the same frame, to those of all frames

    def __init__(self, fine: int, deep: int, dim: int) -> None:
        super().__init__()
        self.fine = nn.Conv2d(fine, dim, 1)
        self.deep = nn.Conv2d(deep, dim, 1)

    def forward(self, fine: Tensor, deep: Tensor, strokes: Tensor, tags: Tensor, frames: int) -> Tensor:
        """Maps at stride 8 and the deepest one, strokes long N×H×W, tags long N×K → float N×K×2×h×w.

        N = clips · `frames`, frame by frame within a clip. A tag without strokes gets zeros.
        """
        size = (fine.shape[-2], fine.shape[-1])
        raised = F.interpolate(self.deep(deep), size=size, mode="bilinear", align_corners=False)
        features = F.normalize((self.fine(fine) + raised).float().flatten(2), dim=1)  # N×C×hw
        marked = F.adaptive_max_pool2d((strokes[:, None] == tags[:, :, None, None]).float(), size).flatten(2) > 0
        clips = []
        for i in range(0, len(features), frames):
            clip = features[i : i + frames]
            clips.append(torch.stack([_to_strokes(clip, marked[i : i + frames, k]) for k in range(tags.shape[1])], 1))
        similarity: Tensor = torch.cat(clips).unflatten(-1, size)
        return similarity


def _to_strokes(features: Tensor, marked: Tensor) -> Tensor:
    """One tag of one clip: features f×C×L and stroke cells bool f×L → similarity f×2×L."""
    own: list[Tensor] = []
    overall: Tensor | None = None
    for frame in range(len(features)):
        cells = marked[frame].nonzero()[:, 0]
        if not len(cells):
            own.append(features.new_zeros(features.shape[-1]))
            continue
        cells = cells[torch.linspace(0, len(cells) - 1, min(len(cells), _CELLS), device=cells.device).long()]
        nearest = (features[frame, :, cells].T @ features).amax(1)  # f×L
        own.append(nearest[frame])
        overall = nearest if overall is None else torch.maximum(overall, nearest)
    if overall is None:
        overall = features.new_zeros(features.shape[0], features.shape[-1])
    return torch.stack((torch.stack(own), overall), dim=1)
