"""The propagation network: AOT's parameters to the last key, and the independence that sessions build on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from siaf.model.config import PROPAGATION, PropagationConfig
from siaf.model.gated import build_propagation
from siaf.model.identity import one_hot_mask
from siaf.model.propagation import FrameFeatures, PropagationNet, concatenate

AOT = json.loads((Path(__file__).parent.parent / "data" / "aot-state-dicts.json").read_text())


@pytest.mark.parametrize("name", sorted(AOT))
def test_state_dict_has_aots_keys_and_shapes(name: str) -> None:
    with torch.device("meta"):
        net = build_propagation(PROPAGATION[name])
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == AOT[name]


@pytest.fixture(scope="module")
def net() -> PropagationNet:
    torch.manual_seed(0)
    return PropagationNet(PropagationConfig(encoder="mobilenetv2", layers=2, dim=32, heads=2, matching="8+16")).eval()


def encode(net: PropagationNet, count: int, seed: int = 0) -> tuple[FrameFeatures, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, 65, 81, generator=generator)
    labels = torch.randint(0, 3, (count, 65, 81), generator=generator)
    with torch.no_grad():
        return net.encode(images), one_hot_mask(labels)


def take(features: FrameFeatures, i: int) -> FrameFeatures:
    return features.map(lambda x: x[i : i + 1])


def test_logits_have_eleven_channels_at_a_quarter_of_the_resolution(net: PropagationNet) -> None:
    features, masks = encode(net, 1)
    with torch.no_grad():
        memory = net.reference(features, masks)
        logits, *_ = net.propagate(features, memory, memory)
    assert logits.shape == (1, 11, 17, 21)


def test_references_do_not_depend_on_each_other(net: PropagationNet) -> None:
    features, masks = encode(net, 3)
    with torch.no_grad():
        batched = net.reference(features, masks)
        for i in range(3):
            alone = net.reference(take(features, i), masks[i : i + 1])
            for (key, value), (key_i, value_i) in zip(batched, alone, strict=True):
                assert torch.allclose(key[i], key_i[0], atol=1e-5)
                assert torch.allclose(value[i], value_i[0], atol=1e-5)


def test_memory_of_several_frames_may_come_in_any_order(net: PropagationNet) -> None:
    features, masks = encode(net, 3)
    with torch.no_grad():
        first, second = (net.reference(take(features, i), masks[i : i + 1]) for i in (0, 1))
        one, *_ = net.propagate(take(features, 2), concatenate([first, second]), first)
        other, *_ = net.propagate(take(features, 2), concatenate([second, first]), first)
    assert torch.allclose(one, other, atol=1e-4)


def test_interacted_frames_together_weigh_as_much_as_predicted_ones() -> None:
    """One beside two counts as if it were there twice, two beside one as one of them would; entry by entry of a batch,
    and where the interacted frames were read before.
    """
    torch.manual_seed(0)
    config = PropagationConfig(encoder="mobilenetv2", layers=1, dim=32, heads=2, matching="8+16", balanced=True)
    net = PropagationNet(config).eval()
    features, masks = encode(net, 4)
    with torch.no_grad():
        one, two, three = (net.reference(take(features, i), masks[i : i + 1]) for i in range(3))
        seen, tokens = take(features, 3), one[0][0].shape[1]
        alike = concatenate([one, one, two, three]), concatenate([one, two, three, three])
        expected = [net.propagate(seen, memory, one)[0] for memory in alike]
        unsaid, *_ = net.propagate(seen, concatenate([one, two, three]), one)
        both = seen.map(lambda x: x.expand(2, *x.shape[1:]))
        long, short = (
            [(key.expand(2, -1, -1), value.expand(2, -1, -1)) for key, value in memory]
            for memory in (concatenate([one, two, three]), one)
        )
        found, *_ = net.propagate(both, long, short, given=[tokens, 2 * tokens])
        known = net.read(seen, [one, two])
        in_parts, *_ = net.propagate(seen, three, one, known, [2 * tokens])
    assert torch.allclose(found, torch.cat(expected), atol=1e-4)
    assert torch.allclose(in_parts, expected[1], atol=1e-4)
    assert not any(torch.allclose(unsaid, other, atol=1e-3) for other in expected)


def test_identity_decides_what_is_found(net: PropagationNet) -> None:
    """The same image with another mask in memory gives other logits; without identities nothing could be told apart."""
    features, masks = encode(net, 1)
    swapped = masks[:, [0, 2, 1, *range(3, 11)]]
    with torch.no_grad():
        memory, other = net.reference(features, masks), net.reference(features, swapped)
        logits, swapped_logits = (net.propagate(features, m, m)[0] for m in (memory, other))
    assert not torch.allclose(logits, swapped_logits, atol=1e-3)


def test_remember_needs_one_identity_per_layer_value(net: PropagationNet) -> None:
    features, masks = encode(net, 1)
    with torch.no_grad():
        memory = net.reference(features, masks)
        _, seen, _ = net.propagate(features, memory, memory)
        kept = net.remember(seen, masks)
    assert len(kept) == net.config.layers
    assert all(torch.equal(key, seen_key) for (key, _), (seen_key, _) in zip(kept, seen, strict=True))


@pytest.mark.parametrize("name", ["siaf-t", "swinb_aotl", "deaott"])  # windows of 17 that overlap, of 16 that do not
def test_identities_looked_up_equal_those_convolved(name: str) -> None:
    torch.manual_seed(0)
    config = PROPAGATION[name]
    net = build_propagation(replace(config, encoder="mobilenetv2")).eval()
    offset = int(config.align_corners)
    labels = torch.randint(0, 11, (2, 48 + offset, 80 + offset), dtype=torch.uint8)
    with torch.no_grad():
        looked_up, convolved = net.identity(labels), net.identity(one_hot_mask(labels))
    assert looked_up.shape == convolved.shape
    assert (looked_up - convolved).abs().max() <= 1e-5


def test_a_frames_own_attention_is_kept_with_its_features(net: PropagationNet) -> None:
    """Self-attention of the first layer reads no memory: made once for a frame, it gives the same logits."""
    features, masks = encode(net, 1)
    assert features.stream is not None
    without = replace(features, stream=None)
    with torch.no_grad():
        memory, plain = net.reference(features, masks), net.reference(without, masks)
        logits, plain_logits = net.propagate(features, memory, memory)[0], net.propagate(without, plain, plain)[0]
    assert (logits - plain_logits).abs().max() <= 1e-4
