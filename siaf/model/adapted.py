"""Which part of a propagation network may be adapted to a clip: what comes after the transformer.

Nothing that is kept of frames (features, memories, what they read) depends on it, so all of that stays valid.
"""

import copy
from collections.abc import Mapping
from itertools import chain

from torch import Tensor

from siaf.model.propagation import PropagationNet

_EARLY = "decoder.adapter_"
_FIXED = ("fine.key.", "fine.transport.")  # a frame's key is part of what chains leave behind


def decoder_tensors(net: PropagationNet) -> dict[str, Tensor]:
    """The adaptable parameters by name: the decoder's, its norms', and the fine decoder's."""
    early = {
        f"{_EARLY}{name}."
        for name in ("4x", "8x", "16x")
        if (adapter := getattr(net.decoder, f"adapter_{name}")).out_channels <= adapter.in_channels
    }
    return {
        name: parameter
        for name, parameter in net.named_parameters()
        if name.startswith(("decoder.", "LSTT.decoder_norms.", "fine."))
        and not name.startswith((*_FIXED, *early))
    }


def with_decoder(net: PropagationNet, tensors: Mapping[str, Tensor]) -> PropagationNet:
    """A network that shares all but these parameters, which it has its own copies of."""
    everything = dict(chain(net.named_parameters(), net.named_buffers()))
    shared = {id(tensor): tensor for name, tensor in everything.items() if name not in tensors}
    own = copy.deepcopy(net, shared)
    for name, parameter in own.named_parameters():
        if name in tensors:
            parameter.data = tensors[name].detach().to(parameter.device, parameter.dtype, copy=True)
    return own
