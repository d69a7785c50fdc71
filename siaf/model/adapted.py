"""The part of a propagation network that may be adapted to a clip: what comes after the transformer.

Nothing that is kept of frames (features, memories, reads of them, keys of trails) depends on it, so all of that stays
valid under any such decoder.
"""

import copy
from collections.abc import Mapping
from itertools import chain

from torch import Tensor

from siaf.model.propagation import PropagationNet

_AFTER = ("decoder.", "LSTT.decoder_norms.", "fine.")
_KEPT_OF_FRAMES = ("fine.key.", "fine.transport.")
"""Keys are kept with frames, and label transport, which reads them, has been trained on more motion than a few masks
show."""


def decoder_parameters(net: PropagationNet) -> dict[str, Tensor]:
    """The adaptable parameters, by name."""
    adapters = {name: getattr(net.decoder, name) for name in ("adapter_4x", "adapter_8x", "adapter_16x")}
    # What these make of a frame is kept with its features (Decoder.narrow).
    early = [f"decoder.{name}." for name, conv in adapters.items() if conv.out_channels <= conv.in_channels]
    return {
        name: parameter.detach()
        for name, parameter in net.named_parameters()
        if name.startswith(_AFTER) and not name.startswith((*_KEPT_OF_FRAMES, *early))
    }


def with_decoder(net: PropagationNet, change: Mapping[str, Tensor]) -> PropagationNet:
    """A network whose decoder is another's plus `change`, by name of `decoder_parameters`; it shares the rest."""
    everything = dict(chain(net.named_parameters(), net.named_buffers()))
    shared = {id(tensor): tensor for name, tensor in everything.items() if name not in change}
    own = copy.deepcopy(net, shared)
    for name, parameter in own.named_parameters():
        if name in change:
            parameter.data.add_(change[name].to(parameter.device, parameter.dtype))
    return own
