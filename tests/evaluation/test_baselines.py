"""The baselines do what their names say: on easy clips they are right, and they never touch a reference."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.models import mobilenet_v2

from siaf.errors import InputError, StateError
from siaf.evaluation import baselines
from siaf.evaluation.metrics import jaccard
from siaf.model.loaded import Model

Array = NDArray[np.uint8]


def moving_square(n: int = 5, step: int = 4) -> tuple[Array, Array]:
    """A textured square that moves right over dark noise: frames uint8 N×H×W×3, index masks (tag 3) uint8 N×H×W."""
    rng = np.random.default_rng(1)
    ground = rng.integers(20, 50, (96, 128, 3), dtype=np.uint8)
    texture = np.kron(rng.integers(140, 250, (8, 8, 3), dtype=np.uint8), np.ones((5, 5, 1), np.uint8))
    frames, masks = np.repeat(ground[None], n, axis=0), np.zeros((n, 96, 128), np.uint8)
    for i in range(n):
        left = 20 + step * i
        frames[i, 30:70, left : left + 40] = texture
        masks[i, 30:70, left : left + 40] = 3
    return frames, masks


def colour_features(frame: Array) -> NDArray[np.float32]:
    """Unit RGB vectors at stride 4."""
    cells = frame[2::4, 2::4].astype(np.float32).transpose(2, 0, 1)
    return cells / np.linalg.norm(cells, axis=0)


def test_copy_nearest_takes_the_nearest_and_of_two_the_earlier() -> None:
    first, last = np.full((2, 2), 1, np.uint8), np.full((2, 2), 2, np.uint8)
    assert baselines.copy_nearest(5, {0: first, 4: last})[:, 0, 0].tolist() == [1, 1, 1, 2, 2]


def test_no_reference_is_refused() -> None:
    with pytest.raises(InputError, match="references"):
        baselines.copy_nearest(3, {})


@pytest.mark.parametrize("reference", [0, 2, 4])
def test_optical_flow_follows_a_moving_square_forwards_and_backwards(reference: int) -> None:
    frames, masks = moving_square()
    found = baselines.optical_flow(frames, {reference: masks[reference]})
    assert (found[reference] == masks[reference]).all()
    assert set(np.unique(found)) == {0, 3}
    assert min(jaccard(f == 3, m == 3) for f, m in zip(found, masks, strict=True)) > 0.85


def test_nearest_neighbours_find_a_jumping_object_by_its_looks() -> None:
    frames = np.full((2, 64, 64, 3), (0, 120, 0), np.uint8)
    masks = np.zeros((2, 64, 64), np.uint8)
    for i, left in enumerate((4, 40)):
        frames[i, 16:36, left : left + 20] = (200, 0, 0)
        masks[i, 16:36, left : left + 20] = 7
    found = baselines.nearest_neighbour(frames, {0: masks[0]}, colour_features)
    assert (found[0] == masks[0]).all()
    assert jaccard(found[1] == 7, masks[1] == 7) > 0.8


def test_mobilenet_features_are_two_unit_vectors_at_stride_16(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(mobilenet_v2(weights=None).state_dict(), tmp_path / "weights.pt")
    features = baselines.mobilenet_features(tmp_path / "weights.pt")(moving_square(1)[0][0])
    assert features.shape == (32 + 96, 6, 8)
    np.testing.assert_allclose(np.linalg.norm(features[:32], axis=0), 0.7, rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(features[32:], axis=0), 1, rtol=1e-4)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(StateError, match=r"other\.pt"):
        baselines.mobilenet_features(tmp_path / "other.pt")


def test_a_models_encoder_gives_the_same_kind_of_features(tiny_model: Model) -> None:
    assert baselines.encoder_features(tiny_model)(moving_square(1)[0][0]).shape == (128, 6, 8)


def test_all_are_listed_by_name() -> None:
    frames, masks = moving_square()
    found = {n: method(frames, {0: masks[0]}) for n, method in baselines.baselines(colour_features).items()}
    assert list(found) == ["copy-nearest", "nearest-neighbour", "optical-flow"]
    assert all((masks_found[0] == masks[0]).all() for masks_found in found.values())
