"""Half precision on processors that compute in it."""

import torch


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a CPU multiplies bfloat16 itself (AVX512-BF16 or AMX). Others imitate it and are slower than in float32.

    False for other devices, and where torch cannot say.
    """
    if device.type != "cpu":
        return False
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
