"""The cache of encoded frames: bounded in memory, and on disk where it may spill."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from siaf.model.loaded import Model
from siaf.model.propagation import FrameFeatures
from siaf.session.feature_cache import FeatureCache, feature_bytes

make = FrameFeatures.of


@pytest.fixture(scope="module")
def features(tiny_model: Model, clip: NDArray[np.uint8]) -> list[FrameFeatures]:
    return [tiny_model.encode_batch([frame])[0] for frame in clip[:4]]


def equal(one: FrameFeatures | None, other: FrameFeatures) -> bool:
    assert one is not None
    given = other.named()
    return one.named().keys() == given.keys() and all(torch.equal(a, given[name]) for name, a in one.named().items())


def test_of_what_others_used_the_least_recent_leaves_first(features: list[FrameFeatures]) -> None:
    cache = FeatureCache(max_bytes=2 * feature_bytes(features[0]))
    cache.put("a", features[0], "one")
    cache.put("b", features[1], "one")
    assert cache.get("a", make, "one") is features[0]
    cache.put("c", features[2], "another")
    assert cache.get("b", make) is None
    assert cache.get("a", make) is features[0]
    assert cache.bytes == 2 * feature_bytes(features[0])


def test_passes_over_a_clip_that_is_too_long_find_what_there_is_room_for(features: list[FrameFeatures]) -> None:
    cache = FeatureCache(max_bytes=2 * feature_bytes(features[0]))
    found = []
    for _ in range(3):
        for name, each in zip("abcd", features, strict=True):
            found.append(cache.get(name, make, "one") is not None)
            cache.put(name, each, "one")
            assert cache.get(name, make, "one") is each  # the newest is always there
    assert not any(found[:4])
    assert any(found[4:8]) and any(found[8:])


def test_a_second_clip_takes_the_place_of_the_first(features: list[FrameFeatures]) -> None:
    cache = FeatureCache(max_bytes=2 * feature_bytes(features[0]))
    for user, names in (("one", "ab"), ("another", "cd")):
        for name, each in zip(names, features, strict=False):
            cache.put(name, each, user)
    assert [cache.get(name, make) is not None for name in "abcd"] == [False, False, True, True]


def test_what_leaves_memory_comes_back_from_disk_in_another_process_too(
    features: list[FrameFeatures], tmp_path: Path
) -> None:
    cache = FeatureCache(max_bytes=feature_bytes(features[0]), folder=tmp_path)
    for name, each in zip("abc", features, strict=False):
        cache.put(name, each)
    assert equal(cache.get("a", make), features[0])
    assert cache.bytes <= feature_bytes(features[0])
    later = FeatureCache(folder=tmp_path)
    assert equal(later.get("b", make), features[1])
    assert later.get("d", make) is None


def test_the_disk_is_bounded_too(features: list[FrameFeatures], tmp_path: Path) -> None:
    size = feature_bytes(features[0])
    cache = FeatureCache(max_bytes=size, folder=tmp_path, max_disk_bytes=int(2.5 * size))
    for name, each in zip("abcd", features, strict=True):
        cache.put(name, each)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2.5 * size
    assert cache.get("a", make) is None
    assert equal(cache.get("b", make), features[1])


def test_a_damaged_file_is_as_if_it_were_not_there(features: list[FrameFeatures], tmp_path: Path) -> None:
    cache = FeatureCache(max_bytes=feature_bytes(features[0]), folder=tmp_path)
    cache.put("a", features[0])
    cache.put("b", features[1])
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    assert cache.get("a", make) is None
    cache.put("a", features[0])
    assert equal(cache.get("a", make), features[0])
