"""Image encoders: torchvision's networks, cut and dilated to the strides that segmentation needs.

Every encoder maps a float N×C×H×W image to a list of feature maps, finest first: strides 4, 8, 16 and, where the
variant has one, a last map at stride 16 (dilated). `channels` lists their widths. What was fused with the image comes
along as in `siaf.model.layers.early_fusion`. Parameter names are those of AOT's
encoders (facts: torchvision's own for MobileNetV2 and ResNet-50), so that AOT and ImageNet checkpoints load by name.
"""

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, resnet50
from torchvision.ops.misc import FrozenBatchNorm2d

from siaf.model.layers import early_fusion
from siaf.model.swin import SwinEncoder
from siaf.model.tinyvit import TinyViTEncoder

EncoderName = Literal["mobilenetv2", "resnet50", "swinb", "tinyvit"]
Depth = Literal["stride16", "aot", "full"]


class MobileNetV2Encoder(nn.Module):
    """MobileNetV2 up to stride 16; its stride-32 stage, where kept, runs dilated at stride 16."""

    _TAPS = (3, 6, 13)

    def __init__(self, depth: Depth, in_channels: int = 3) -> None:
        super().__init__()
        last = {"stride16": 13, "full": 17, "aot": 18}[depth]
        self.features = mobilenet_v2(weights=None, norm_layer=FrozenBatchNorm2d).features[: last + 1]
        if last > 13:
            # The stage that would halve the resolution keeps it and dilates what follows instead (AOT's output stride
            # 16).
            for index, dilation in ((14, 1), (15, 2), (16, 2), (17, 2)):
                depthwise = self.features[index].conv[1][0]
                depthwise.stride, depthwise.dilation, depthwise.padding = (
                    (1, 1),
                    (dilation,) * 2,
                    (dilation,) * 2,
                )
        if in_channels != 3:
            self.features[0][0] = nn.Conv2d(in_channels, 32, 3, stride=2, padding=1, bias=False)
        self._taps = {*self._TAPS, last}
        self.channels = {13: (24, 32, 96), 17: (24, 32, 96, 320), 18: (24, 32, 96, 1280)}[last]

    @property
    def stem(self) -> nn.Conv2d:
        """The convolution that sees the input channels."""
        stem: nn.Conv2d = self.features[0][0]
        return stem

    def forward(self, image: Tensor, fused: Tensor | None = None) -> list[Tensor]:
        _, norm, activation = self.features[0]
        x, levels = activation(norm(early_fusion(self.stem, image, fused))), []
        for index, block in enumerate(self.features[1:], 1):
            x = block(x)
            if index in self._taps:
                levels.append(x)
        return levels


class ResNet50Encoder(nn.Module):
    """ResNet-50; `full` keeps layer4, dilated at stride 16 (DeepLab's output stride 16)."""

    def __init__(self, depth: Depth, in_channels: int = 3) -> None:
        super().__init__()
        net = resnet50(weights=None, norm_layer=FrozenBatchNorm2d, replace_stride_with_dilation=[False, False, True])
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False) if in_channels != 3 else net.conv1
        self.bn1, self.relu, self.maxpool = net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2, self.layer3 = net.layer1, net.layer2, net.layer3
        self.layer4 = net.layer4 if depth == "full" else None
        self.channels = (256, 512, 1024, 2048) if depth == "full" else (256, 512, 1024)

    @property
    def stem(self) -> nn.Conv2d:
        """The convolution that sees the input channels."""
        return self.conv1

    def forward(self, image: Tensor, fused: Tensor | None = None) -> list[Tensor]:
        x = self.maxpool(self.relu(self.bn1(early_fusion(self.conv1, image, fused))))
        levels = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            if stage is not None:
                x = stage(x)
                levels.append(x)
        return levels


Encoder: TypeAlias = MobileNetV2Encoder | ResNet50Encoder | SwinEncoder | TinyViTEncoder


def build_encoder(name: EncoderName, depth: Depth, in_channels: int = 3) -> Encoder:
    """Build an untrained encoder.

    `depth`: "stride16" stops at the last stage of stride 16, "aot" is what AOT's checkpoints hold, "full" adds the
    deepest stage. Only for MobileNetV2 do the first two differ.
    """
    if name == "mobilenetv2":
        return MobileNetV2Encoder(depth, in_channels)
    if name == "resnet50":
        return ResNet50Encoder(depth, in_channels)
    stages = 4 if depth == "full" else 3
    return TinyViTEncoder(stages, in_channels) if name == "tinyvit" else SwinEncoder(stages, in_channels)


def widen_stem(stem: nn.Conv2d, rgb: Tensor) -> None:
    """Put pretrained RGB kernels into a stem with extra input channels, which start at zero (early fusion, SIAF Eq.
    3).
    """
    with torch.no_grad():
        stem.weight.zero_()
        stem.weight[:, : rgb.shape[1]] = rgb
