"""The variants: one code path, told apart by these numbers only."""

from dataclasses import dataclass
from typing import Literal

from siaf.model.encoders import EncoderName

MAX_TAGS = 10  # objects that one pass can tell apart (paper §III: 10 identities)


@dataclass(frozen=True, kw_only=True)
class PropagationConfig:
    """Across-round propagation network (AOT's architecture; `gated`: DeAOT's).

    `matching` is the input of the projector: "last" is the encoder's deepest map (official AOT), "8+16" the stride-8
    and stride-16 maps together, which match better when the encoder was trained on ImageNet only.
    `memory_gap`: a predicted frame enters the long-term memory every so many frames; 0 = never (AOTT, AOTS, AOTB).
    `memory_kept`: how many of them stay, the newest; AOT keeps all, at 10 MB each at this width and three layers.
    `fine`, `motion_prior`: a second decoder at stride 4 (siaf.model.fine), and objects kept near where they were
    (siaf.model.motion); AOT has neither. `objects_per_pass`: how many objects share a pass, at most MAX_TAGS.
    `boundary`: what is found is drawn finer afterwards (siaf.model.boundary).
    `windows`: small objects are followed in parts of the frame (siaf.session.window_chains).
    `sharpness`: factor of the logits of the long-term read, but in training. A memory of eleven large frames has twenty
    times as many tokens as those of training; among so many, what matches well is worth too little.
    `balanced`: all interacted frames together weigh as much there as all predicted ones together, before any match.
    `short_side`: input size in pixels that the network is run at; smaller frames are scaled up by at most `enlarge`,
    and to no more than `enlarged_to`, by default that size.
    """

    encoder: EncoderName
    layers: int
    dim: int = 256
    heads: int = 8
    matching: Literal["last", "8+16"] = "last"
    memory_gap: int = 0
    memory_kept: int = 2
    align_corners: bool = True
    gated: bool = False
    fine: bool = False
    motion_prior: bool = False
    boundary: bool = False
    windows: bool = False
    sharpness: float = 1.0
    balanced: bool = False
    objects_per_pass: int = MAX_TAGS
    short_side: int = 480
    enlarge: float = 1.0
    enlarged_to: int | None = None


@dataclass(frozen=True, kw_only=True)
class InteractionConfig:
    """Across-frame interaction network (AFI). `short_side`, `enlarge` as above."""

    encoder: EncoderName
    dim: int = 256
    heads: int = 8
    id_dim: int = 16
    head_dim: int = 64
    aspp_rates: tuple[int, ...] = (6, 12, 18)
    align_corners: bool = True
    short_side: int = 480
    enlarge: float = 1.0


PROPAGATION: dict[str, PropagationConfig] = {
    "siaf-t": PropagationConfig(
        encoder="mobilenetv2",
        layers=1,
        dim=128,
        heads=4,
        matching="8+16",
        memory_gap=5,
        memory_kept=10,  # as breakdance and bmx-trees need, at 1.4 MB each (docs/training.md)
        fine=True,
        motion_prior=True,
        boundary=True,
        windows=True,
        sharpness=1.75,
        balanced=True,
        short_side=433,
        enlarge=3.0,
        enlarged_to=321,
    ),
    "aott": PropagationConfig(encoder="mobilenetv2", layers=1),
    "aots": PropagationConfig(encoder="mobilenetv2", layers=2),
    "aotb": PropagationConfig(encoder="mobilenetv2", layers=3),
    "aotl": PropagationConfig(encoder="mobilenetv2", layers=3, memory_gap=5),
    "r50_aotl": PropagationConfig(encoder="resnet50", layers=3, memory_gap=5),
    "swinb_aotl": PropagationConfig(encoder="swinb", layers=3, memory_gap=5, align_corners=False),
    "deaott": PropagationConfig(encoder="mobilenetv2", layers=1, heads=1, gated=True),
    "deaots": PropagationConfig(encoder="mobilenetv2", layers=2, heads=1, gated=True),
    "deaotb": PropagationConfig(encoder="mobilenetv2", layers=3, heads=1, gated=True),
    "deaotl": PropagationConfig(encoder="mobilenetv2", layers=3, heads=1, gated=True, memory_gap=5),
    "r50_deaotl": PropagationConfig(encoder="resnet50", layers=3, heads=1, gated=True, memory_gap=5),
    "swinb_deaotl": PropagationConfig(
        encoder="swinb", layers=3, heads=1, gated=True, memory_gap=5, align_corners=False
    ),
}

INTERACTION: dict[str, InteractionConfig] = {
    # 369: 24×42 cells of a 16:9 frame, as wide as three windows of the encoder; 385 pads to four, a seventh slower.
    "siaf-t": InteractionConfig(
        encoder="tinyvit", dim=128, heads=4, head_dim=32, aspp_rates=(3, 6, 9), short_side=369, enlarge=3.0
    ),
    "siaf-r50": InteractionConfig(encoder="resnet50"),
    "siaf-swinb": InteractionConfig(encoder="swinb", aspp_rates=(3, 6, 9), align_corners=False),
}
