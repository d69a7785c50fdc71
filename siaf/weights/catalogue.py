"""Published weights that siaf can use: where they are, what is known of them, and under which licence.

Nothing here is guessed. `sha256` is the beginning of the file's SHA-256 where its publisher states it (torchvision puts
it into file names); None means that nobody published one, and that a download can be checked by its contents only.
`megabytes` is torchvision's own figure (in MiB), or the size of the tensors, to which a checkpoint may add its
optimiser's.
"""

from dataclasses import dataclass
from typing import Literal

_AOT_LICENCE = "BSD-3-Clause (of the repository; none stated for the weights)"
_TORCHVISION_LICENCE = "BSD-3-Clause (of torchvision; trained on ImageNet, whose terms see)"


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published file. `kind`: what it becomes, a propagation network or an encoder to train from."""

    kind: Literal["propagation", "encoder"]
    what: str
    url: str
    file: str
    licence: str
    megabytes: float | None
    sha256: str | None = None


def _aot(what: str, drive: str, megabytes: float) -> Published:
    return Published(
        kind="propagation",
        what=f"{what}, PRE_YTB_DAV (YouTube-VOS and DAVIS), from the authors' model zoo",
        url=f"https://drive.usercontent.google.com/download?id={drive}&export=download&confirm=t",
        file=f"{what}_PRE_YTB_DAV.pth",
        licence=_AOT_LICENCE,
        megabytes=megabytes,
    )


def _torchvision(what: str, file: str, megabytes: float) -> Published:
    return Published(
        kind="encoder",
        what=what,
        url=f"https://download.pytorch.org/models/{file}",
        file=file,
        licence=_TORCHVISION_LICENCE,
        megabytes=megabytes,
        sha256=file.removesuffix(".pth").rsplit("-", 1)[1],
    )


CATALOGUE: dict[str, Published] = {
    "aott": _aot("AOTT", "1owPmwV4owd_ll6GuilzklqTyAd0ZvbCu", 22.1),
    "aots": _aot("AOTS", "1beU5E6Mdnr_pPrgjWvdWurKAIwJSz1xf", 27.0),
    "aotb": _aot("AOTB", "1hH-GOn4GAxHkV8ARcQzsUy8Ax6ndot-A", 31.8),
    "aotl": _aot("AOTL", "1L1N2hkSPqrwGgnW9GyFHuG59_EYYfTG4", 31.8),
    "r50_aotl": _aot("R50_AOTL", "1qJDYn3Ibpquu4ffYoQmVjg1YCbr2JQep", 57.1),
    "swinb_aotl": _aot("SwinB_AOTL", "192jCGQZdnuTsvX-CVra-KVZl2q1ZR0vW", 249.9),
    "deaott": _aot("DeAOTT", "1ThWIZQS03cYWx1EKNN8MIMnJS5eRowzr", 27.9),
    "deaots": _aot("DeAOTS", "1YwIAV5tBtn5spSFxKLBQBEQGwPHyQlHi", 39.2),
    "deaotb": _aot("DeAOTB", "1BHxsonnvJXylqHlZ1zJHHc-ymKyq-CFf", 50.5),
    "deaotl": _aot("DeAOTL", "18elNz_wi9JyVBcIUYKhRdL08MA-FqHD5", 50.5),
    "r50_deaotl": _aot("R50_DeAOTL", "1QoChMkTVxdYZ_eBlZhK2acq9KMQZccPJ", 75.8),
    "swinb_deaotl": _aot("SwinB_DeAOTL", "1g4E-F0RPOx9Nd6J7tU9AE1TjsouL4oZq", 268.6),
    "mobilenetv2-imagenet": _torchvision("MobileNetV2, ImageNet-1k", "mobilenet_v2-b0353104.pth", 13.6),
    "resnet50-imagenet": _torchvision("ResNet-50, ImageNet-1k", "resnet50-0676ba61.pth", 97.8),
    "swinb-imagenet": _torchvision("Swin-B, ImageNet-1k", "swin_b-68c6b09e.pth", 335.4),
    "swinb-imagenet22k": Published(
        kind="encoder",
        what="Swin-B, ImageNet-22k, from Microsoft",
        url="https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window7_224_22k.pth",
        file="swin_base_patch4_window7_224_22k.pth",
        licence="MIT (of the repository; trained on ImageNet, whose terms see)",
        megabytes=None,
    ),
}

BEST = {"siaf-swinb": "swinb_deaotl", "siaf-r50": "r50_deaotl"}
"""Model → the best published propagation network with its encoder, the most accurate model first."""
