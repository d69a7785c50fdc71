"""Index masks from logits of lower resolution, without resizing every channel of every pixel."""

import torch
from torch import Tensor

_AT_ONCE = 2**24  # values of pixels that are interpolated together


def winners(logits: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """The strongest channel at every pixel of logits float C×h×w resized bilinearly to `size`: integer H×W.

    Between four cells of one winner every mixture has that winner too, as interpolation is linear. So only pixels
    between cells that differ are interpolated: a tenth of them, however many channels there are.
    """
    height, width = logits.shape[1:]
    kind = torch.uint8 if len(logits) <= 255 else torch.int16
    unsure = torch.iinfo(kind).max  # no channel's number
    above, below, down = _neighbours(height, size[0], align_corners, logits.device)
    left, right, across = _neighbours(width, size[1], align_corners, logits.device)
    coarse = logits.max(0).indices.to(kind)  # not argmax: torch's is several times slower along this axis
    # Clamped neighbours of the last row and column are themselves.
    next_row, next_col = torch.cat((coarse[1:], coarse[-1:])), torch.cat((coarse[:, 1:], coarse[:, -1:]), dim=1)
    corner = torch.cat((next_row[:, 1:], next_row[:, -1:]), dim=1)
    agree = (coarse == next_row) & (coarse == next_col) & (coarse == corner)
    # Columns first: then the large step copies whole rows.
    result = coarse.masked_fill(~agree, unsure).index_select(1, left).index_select(0, above)

    channels = logits.flatten(1).t().contiguous()  # h·w×C: the channels of a cell side by side
    flat = result.view(-1)
    for places in (flat == unsure).nonzero().squeeze(1).split(max(1, _AT_ONCE // len(logits))):
        rows = places.div(size[1], rounding_mode="floor")
        cols = places - rows * size[1]
        # index_select, not [...]: twice as fast
        top, bottom = above.index_select(0, rows) * width, below.index_select(0, rows) * width
        west, east = left.index_select(0, cols), right.index_select(0, cols)
        dy, dx = down.index_select(0, rows).unsqueeze(1), across.index_select(0, cols).unsqueeze(1)
        upper = channels.index_select(0, top + west).lerp(channels.index_select(0, top + east), dx)
        lower = channels.index_select(0, bottom + west).lerp(channels.index_select(0, bottom + east), dx)
        flat.index_copy_(0, places, upper.lerp(lower, dy).max(1).indices.to(kind))
    return result


def _neighbours(length: int, new: int, align_corners: bool, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For `new` positions the cells before and after in `length` cells, and how far between them, as interpolate."""
    at = torch.arange(new, dtype=torch.float32, device=device)
    if align_corners:
        at = at * ((length - 1) / (new - 1) if new > 1 else 0.0)
    else:
        at = ((at + 0.5) * (length / new) - 0.5).clamp(min=0)
    before = at.long().clamp(max=length - 1)
    return before, (before + 1).clamp(max=length - 1), at - before
