"""What a chain remembers of the frames that it has passed last: memories of a few, object pointers of more."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Recent:
    """`features`: G×N×C of each of the last frames, `pointers`: G×1×C'; the newest last."""

    features: tuple[Tensor, ...] = ()
    pointers: tuple[Tensor, ...] = ()

    def after(self, features: Tensor, pointers: Tensor, frames: int, most: int) -> "Recent":
        """The same one frame later; memories of at most so many `frames` are kept, pointers of at most `most`."""
        return Recent((*self.features, features)[-frames:] if frames else (), (*self.pointers, pointers)[-most:])

    def named(self) -> dict[str, Tensor]:
        """Every tensor by name, frames along the first axis."""
        found = {"features": self.features, "pointers": self.pointers}
        return {name: torch.stack(tensors) for name, tensors in found.items() if tensors}

    @classmethod
    def checked(cls, tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> "Recent":
        """The inverse of `named`; ValueError, naming the tensor, unless they have at most these shapes' frames."""
        found = {}
        for name, tensor in tensors.items():
            if name not in shapes:
                raise ValueError(f"{name}: this tensor is unknown")
            most, *rest = shapes[name]
            if tensor.dtype != torch.float32 or list(tensor.shape[1:]) != rest or not 0 < len(tensor) <= most:
                raise ValueError(f"{name}: is {tensor.dtype} {list(tensor.shape)}, not float32 {[most, *rest]} at most")
            found[name] = tuple(tensor)
        return cls(found.get("features", ()), found.get("pointers", ()))
