"""The published models' architectures, for random weights: what their `config.json` says where it says no default."""

from typing import Any

_MODELS: dict[str, dict[str, Any]] = {
    "sam2.1-tiny": {},
    "sam2.1-small": {"blocks_per_stage": [1, 2, 11, 2], "global_attention_blocks": [7, 10, 13]},
    "sam2.1-base-plus": {
        "hidden_size": 112,
        "num_attention_heads": 2,
        "blocks_per_stage": [2, 3, 16, 3],
        "embed_dim_per_stage": [112, 224, 448, 896],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "window_positional_embedding_background_size": [14, 14],
        "global_attention_blocks": [12, 16, 20],
    },
    "sam2.1-large": {
        "hidden_size": 144,
        "num_attention_heads": 2,
        "blocks_per_stage": [2, 6, 36, 4],
        "embed_dim_per_stage": [144, 288, 576, 1152],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "window_size_per_stage": [8, 4, 16, 8],
        "global_attention_blocks": [23, 33, 43],
    },
}
_DEFAULT_WIDTHS = [96, 192, 384, 768]


def build(name: str) -> Any:
    """The model `name` with whatever weights transformers begins with. ImportError without transformers."""
    if name == "edgetam":
        return _edgetam()
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VideoModel, Sam2VisionConfig

    backbone = _MODELS[name]
    widths = backbone.get("embed_dim_per_stage", _DEFAULT_WIDTHS)
    vision = Sam2VisionConfig(
        backbone_config=Sam2HieraDetConfig(**backbone).to_dict(), backbone_channel_list=widths[::-1]
    )
    return Sam2VideoModel(Sam2VideoConfig(vision_config=vision.to_dict()))


def _edgetam() -> Any:
    from transformers import EdgeTamVideoConfig, EdgeTamVideoModel, EdgeTamVisionConfig

    # transformers' default is another backbone.
    backbone = {
        "model_type": "timm_wrapper",
        "architecture": "repvit_m1",
        "num_classes": 1000,  # asked for, though its head is not built
        "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    }
    vision = EdgeTamVisionConfig(backbone_config=backbone)
    return EdgeTamVideoModel(EdgeTamVideoConfig(vision_config=vision.to_dict()))
