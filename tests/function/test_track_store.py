"""What a tracker keeps between calls, in a store that other workers read."""

from collections.abc import Callable

import torch

from function.settings import Settings
from function.state.track_store import Snapshot, TrackStore
from function.store import open_store
from siaf.interactive.tracking import Track
from siaf.model.loaded import Model
from siaf.model.propagation import FrameMemory
from siaf.session.feature_cache import FeatureCache
from siaf.session.memory import ChainMemory, WindowChain


def memory(model: Model, height: int, width: int, value: float) -> FrameMemory:
    return [
        (torch.full((1, *keys), value), torch.full((1, *values), value))
        for keys, values in model.memory_shapes(height, width)
    ]


def test_windows_around_small_objects_come_back(tiny_model: Model, settings: Callable[..., Settings]) -> None:
    chosen = settings()
    store = open_store(chosen.store, chosen.store_bytes)
    inside = ChainMemory(memory(tiny_model, 65, 65, 1.0), [memory(tiny_model, 65, 65, 2.0)], 3)
    window = WindowChain((20, 30, 201, 211), frozenset({1}), inside, unseen=2)
    chain = ChainMemory(memory(tiny_model, 360, 400, 3.0), windows=(window,))
    track = Track(360, 400, position="digest", chain=chain)
    TrackStore(tiny_model, store, chosen, FeatureCache()).save(Snapshot("name", "session", 1, track, {}), [])

    back = TrackStore(tiny_model, store, chosen, FeatureCache()).load("name", "states[0]").track.chain
    assert back is not None
    (found,) = back.windows
    assert (found.window, found.tags, found.unseen) == ((20, 30, 201, 211), {1}, 2)
    assert found.memory.since_transient == 3
    kept = [found.memory.short, *found.memory.transient, back.short]
    assert [part[0][0].unique().tolist() for part in kept] == [[1.0], [2.0], [3.0]]
