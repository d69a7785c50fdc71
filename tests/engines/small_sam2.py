"""EdgeTAM and SAM 2 of a few channels with random weights: real code paths, meaningless masks."""

from functools import cache
from typing import Any, Literal

import torch

from siaf.engines.sam2.engine import Sam2Engine
from siaf.engines.sam2.network import Sam2Network

Kind = Literal["edgetam", "sam2.1"]
KINDS: tuple[Kind, ...] = ("edgetam", "sam2.1")
SIDE = 64


@cache
def small_network(kind: Kind) -> Any:
    """The model as transformers has it. No parameter is zero, and objects are judged to be there."""
    from transformers import (
        EdgeTamVideoConfig,
        EdgeTamVideoModel,
        Sam2HieraDetConfig,
        Sam2VideoConfig,
        Sam2VideoModel,
        Sam2VisionConfig,
    )

    grid = SIDE // 16
    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 1, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 1, 1],
        global_attention_blocks=[],
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone.to_dict(),
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[4 * grid, 4 * grid], [2 * grid, 2 * grid], [grid, grid]],
        fpn_hidden_size=128,
    )
    config: dict[str, Any] = {
        "vision_config": vision.to_dict(),
        "prompt_encoder_config": {"hidden_size": 128, "image_size": SIDE, "patch_size": 16},
        "mask_decoder_config": {"hidden_size": 128, "mlp_dim": 64, "iou_head_hidden_dim": 64},
        "image_size": SIDE,
        "num_maskmem": 4,
        "max_object_pointers_in_encoder": 5,
        "memory_attention_hidden_size": 128,
        "memory_attention_num_layers": 2,
        "memory_attention_rope_feat_sizes": [grid, grid],
        "memory_encoder_hidden_size": 128,
        "mask_downsampler_embed_dim": 128,
        "memory_fuser_embed_dim": 128,
        "memory_fuser_intermediate_dim": 64,
    }
    with torch.random.fork_rng():
        torch.manual_seed(5)
        if kind == "edgetam":
            own = {"perceiver_resampler_num_latents": 4, "perceiver_resampler_num_latents_2d": 4}
            model = EdgeTamVideoModel(EdgeTamVideoConfig(**config, **own, memory_attention_rope_k_sizes=[2, 2]))
        else:
            model = Sam2VideoModel(Sam2VideoConfig(**config))
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.mask_decoder.pred_obj_score_head.proj_out.bias.data.fill_(5.0)
    return model.eval().requires_grad_(False)


@cache
def small_engine(kind: Kind) -> Sam2Engine:
    """The engine over it."""
    return Sam2Engine(kind, f"random-{kind}", Sam2Network(small_network(kind)), torch.device("cpu"))
