"""Encoded frames, kept because a frame's features never change between rounds."""

from collections import OrderedDict

from siaf.model.propagation import FrameFeatures

DEFAULT_BYTES = 512 * 2**20


def feature_bytes(features: FrameFeatures) -> int:
    """Size in memory."""
    return sum(t.nbytes for t in (*features.levels, features.embedding))


class FeatureCache:
    """Least recently used features leave first, once `max_bytes` is exceeded. Only a cache: losing it costs time."""

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._entries: OrderedDict[str, FrameFeatures] = OrderedDict()

    def get(self, key: str) -> FrameFeatures | None:
        """Features under a content digest, or None."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: str, features: FrameFeatures) -> None:
        """Keep features; what exceeds the budget leaves, oldest use first."""
        if key in self._entries:
            return
        self._entries[key] = features
        self.bytes += feature_bytes(features)
        while self.bytes > self.max_bytes and len(self._entries) > 1:
            _, dropped = self._entries.popitem(last=False)
            self.bytes -= feature_bytes(dropped)
