"""Train the propagation network on clips (AOT's recipe; facts in docs/training.md)."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siaf.model.fine import stride_four
from siaf.model.identity import one_hot_mask
from siaf.model.losses import ABSENT, restrict_to_present, segmentation_loss
from siaf.model.preprocessing import normalise
from siaf.model.propagation import FrameFeatures, PropagationNet, PropagationOutput, concatenate


@dataclass(frozen=True, kw_only=True)
class PropagationRecipe:
    """How a clip is turned into a loss.

    `truth`: probability that the next step sees the ground truth of this frame instead of the network's own result,
    at the start and at the end. `kept`: fraction of pixels in the bootstrapped cross-entropy, likewise.
    `second_reference`: probability that the clip's last frame is a reference too. `transient`: probability that a
    propagated frame enters the long-term memory, as every fifth may at inference.
    """

    truth: tuple[float, float] = (0.6, 0.15)
    kept: tuple[float, float] = (1.0, 0.35)
    second_reference: float = 0.3
    transient: float = 0.0
    bfloat16: bool = False


def ramp(ends: tuple[float, float], progress: float, until: float = 0.5) -> float:
    """Linear from `ends[0]` to `ends[1]` over the first `until` of the run."""
    return ends[0] + (ends[1] - ends[0]) * min(1.0, progress / until)


class PropagationLoss:
    """Loss of a batch of clips: frames uint8 B×T×H×W×3, labels uint8 B×T×H×W (frame 0 is the reference)."""

    def __init__(self, net: PropagationNet, recipe: PropagationRecipe, *, steps: int, seed: int) -> None:
        self.net, self.recipe, self.steps, self.seed = net, recipe, steps, seed
        self.random = torch.Generator()
        self.encoder_frozen = not any(p.requires_grad for p in net.encoder.parameters())

    def __call__(self, batch: dict[str, Tensor], step: int) -> Tensor:
        self.random.manual_seed(self.seed * 1_000_003 + step)
        with torch.autocast(batch["frames"].device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
            return self._loss(batch, step / self.steps)

    def _loss(self, batch: dict[str, Tensor], progress: float) -> Tensor:
        net, recipe = self.net, self.recipe
        labels = batch["labels"].long()
        tables = shuffle_tags(labels, self.random)
        labels = tables.gather(1, labels.flatten(1)).view_as(labels)
        present = F.one_hot(labels[:, 0].flatten(1), 11).amax(1).bool()
        present[:, 0] = True
        labels = labels * present.gather(1, labels.flatten(1)).view_as(
            labels
        )  # objects that enter later are background

        length = labels.shape[1]
        features = self._encode(batch["frames"])
        long = net.reference(features[0], one_hot_mask(labels[:, 0]))
        short = long
        if length > 2 and self._chance(recipe.second_reference):
            long = concatenate([long, net.reference(features[-1], one_hot_mask(labels[:, -1]))])
            length -= 1
        kept = ramp(recipe.kept, progress)
        before = fine_key(net, features[0]), labels[:, 0]
        losses = []
        for t in range(1, length):
            step = net.propagate(features[t], long, short)
            key = fine_key(net, features[t])
            logits = F.interpolate(
                refined(net, step, key, before, present).float(),
                size=labels.shape[-2:],
                mode="bilinear",
                align_corners=net.config.align_corners,
            )
            losses.append(segmentation_loss(logits, labels[:, t], present, kept))
            if t + 1 < length:
                fed = labels[:, t]
                if not self._chance(ramp(recipe.truth, progress)):
                    fed = restrict_to_present(logits.detach(), present).argmax(1)
                short = net.remember(step.sources, one_hot_mask(fed))
                before = key, fed
                if self._chance(recipe.transient):
                    long = concatenate([long, short])
        return torch.stack(losses).mean()

    def _chance(self, probability: float) -> bool:
        return probability > 0 and torch.rand((), generator=self.random).item() < probability

    def _encode(self, frames: Tensor) -> list[FrameFeatures]:
        clips, length = frames.shape[:2]
        images = normalise(frames.flatten(0, 1)).contiguous(memory_format=torch.channels_last)
        with (
            torch.set_grad_enabled(not self.encoder_frozen),
            torch.autocast(images.device.type, enabled=False),
        ):
            levels = self.net.encoder(images)
            matched = self.net.matching_input(levels).contiguous()
        embedding = self.net.encoder_projector(matched)
        narrowed = self.net.decoder.narrow(levels)  # its adapters learn, also where the encoder is frozen
        split = [level.contiguous().unflatten(0, (clips, length)) for level in (*narrowed, embedding)]
        return [FrameFeatures((split[0][:, t], split[1][:, t], split[2][:, t]), split[3][:, t]) for t in range(length)]


def shuffle_tags(labels: Tensor, generator: torch.Generator | None = None, tags: int = 10) -> Tensor:
    """Random tag assignment per clip: long B×(tags+1) tables that map label k to its tag; background stays 0.

    Every tag is trained equally often, so that none is better than another.
    """
    tables = [
        torch.cat((torch.zeros(1, dtype=torch.long), 1 + torch.randperm(tags, generator=generator))) for _ in labels
    ]
    return torch.stack(tables).to(labels.device)


def fine_key(net: PropagationNet, features: FrameFeatures) -> Tensor | None:
    """How a frame looks to the network's fine decoder; None if it has none."""
    return None if net.fine is None else net.fine.encode(features.levels, net.config.align_corners)


def refined(
    net: PropagationNet,
    step: PropagationOutput,
    key: Tensor | None,
    before: tuple[Tensor | None, Tensor],
    present: Tensor,
) -> Tensor:
    """What a step finds, float B×11×h×w logits, after the fine decoder if there is one.

    `key`: `fine_key` of the frame; `before`: that of the frame before, and its labels, long B×H×W; `present` bool B×11:
    tags that the clip holds.
    """
    fine, (key_before, labels) = net.fine, before
    if fine is None or key is None or key_before is None:
        return step.logits
    count = int(present.sum(1).max())
    order = present.int().argsort(dim=1, descending=True, stable=True)[:, :count]
    valid = present.gather(1, order)

    def chosen(maps: Tensor) -> Tensor:
        return maps.gather(1, order[:, :, None, None].expand(-1, -1, *maps.shape[2:]))

    scores = chosen(restrict_to_present(step.logits, present).softmax(1))
    there = chosen(stride_four(labels, step.logits.shape[1]))
    found = fine(scores, fine.shared_features(step.hidden, key)[:, None], key, (key_before, there), valid)
    found = found.float().masked_fill(~valid[:, :, None, None], ABSENT)
    everything = torch.full_like(step.logits, ABSENT, dtype=torch.float32)
    return everything.scatter(1, order[:, :, None, None].expand_as(found), found)


def start_as_matching(net: PropagationNet, images: list[np.ndarray], seed: int = 0) -> None:
    """Initialise so that the untrained network already copies labels by nearest neighbour.

    The projector becomes a whitened principal-component basis of the frozen encoder's features on `images`
    (uint8 H×W×3 RGB), queries equal keys, and every branch that would disturb the match starts at zero.
    """
    torch.manual_seed(seed)
    for name, parameter in net.named_parameters():
        if not name.startswith("encoder.") and parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter)
    with torch.no_grad():
        _principal_projector(net, images)
        for layer, _ in net.LSTT.blocks():
            nn.init.eye_(layer.linear_Q.weight).mul_(1.6)
            nn.init.zeros_(layer.linear_Q.bias)
            nearby = layer.short_term_attn
            for zero in (
                layer.self_attn.projection.weight,
                layer.linear2.weight,
                nearby.relative_emb_v,
                *nearby.relative_emb_k.parameters(),
            ):
                if zero is not None:
                    nn.init.zeros_(zero)
        # A whole patch of one tag gets an embedding of unit size; AOT's own initialisation gives a much weaker signal.
        bank = net.patch_wise_id_bank.weight
        taps = bank.shape[-1] * bank.shape[-2]
        bank.copy_((torch.randn(*bank.shape[:2], 1, 1) + 0.3 * torch.randn_like(bank)) / taps)
        net.patch_wise_id_bank.load_state_dict({"weight": bank, "bias": torch.zeros(len(bank))})


def _principal_projector(net: PropagationNet, images: list[np.ndarray]) -> None:
    samples = []
    for image in images:
        levels = net.encoder(normalise(torch.from_numpy(image)[None]))
        samples.append(net.matching_input(levels)[0].flatten(1).T)
    features = torch.cat(samples).double()
    mean = features.mean(0)
    values, vectors = torch.linalg.eigh((features - mean).T @ (features - mean) / len(features))
    dim = net.config.dim
    values, vectors = values[-dim:].clamp_min(1e-6), vectors[:, -dim:]
    basis = vectors * values**-0.25
    basis = basis @ torch.linalg.qr(torch.randn(len(values), dim, dtype=torch.double))[0]
    basis = basis / ((features - mean) @ basis).std()
    weight, bias = basis.T[:, :, None, None].float(), (-mean @ basis).float()
    net.encoder_projector.load_state_dict({"weight": weight, "bias": bias})
