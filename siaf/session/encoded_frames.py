"""Frames as an engine sees them: encoded once, and kept in a cache by what they show."""

from collections.abc import Callable, Sequence

from siaf.engines.base import Engine, Features
from siaf.frames.source import Frame, FrameSource, frame_digest
from siaf.session.feature_cache import FeatureCache


class EncodedFrames:
    """Features of a clip's frames, and of pictures beside them. `digests`: of frames that were read before, by number;
    those of others join them.
    """

    def __init__(self, model: Engine, frames: FrameSource, cache: FeatureCache, digests: dict[int, str]) -> None:
        self._model, self._frames, self._cache, self.digests = model, frames, cache, digests
        self._user = object()  # of the cache; not the session, which the cache would keep alive

    def digest(self, frame: int) -> str:
        """Content digest of a frame's pixels."""
        if frame not in self.digests:
            self.digests[frame] = frame_digest(self._frames[frame])
        return self.digests[frame]

    def features(self, numbers: Sequence[int]) -> list[Features]:
        """Encoded frames, by number."""
        read: dict[int, Frame] = {}
        for number in numbers:
            if number not in self.digests:  # read once, for the digest and for the network
                read[number] = self._frames[number]
                self.digests[number] = frame_digest(read[number])
        pictures = [lambda f=f: read[f] if f in read else self._frames[f] for f in numbers]
        return self.encode([self.digests[f] for f in numbers], pictures)

    def encode(self, digests: Sequence[str], pictures: Sequence[Callable[[], Frame]]) -> list[Features]:
        """Encoded pictures by content digest; those that the cache has not are read, and encoded in one batch."""
        make, device = self._model.features_of, self._model.device  # the cache's files give tensors on the CPU
        kept = {digest: self._cache.get(self._key(digest), make, self._user) for digest in digests}
        known = {digest: found.map(lambda x: x.to(device)) for digest, found in kept.items() if found is not None}
        missing = {d: read for d, read in zip(digests, pictures, strict=True) if d not in known}
        if missing:
            found = self._model.encode_batch([read() for read in missing.values()])
            for digest, features in zip(missing, found, strict=True):
                known[digest] = features
                self._cache.put(self._key(digest), features, self._user)
        return [known[digest] for digest in digests]

    def prepare(self, frame: int) -> bool:
        """Encode a frame before it is needed; False where the cache has no room."""
        if self._cache.full:
            return False
        self.features([frame])
        return True

    def _key(self, digest: str) -> str:
        """What a frame's features are kept under: its content, the weights and the size they are made at."""
        model = self._model
        return f"{digest}/{model.digest}/{model.short_side}" + ("/autocast" if model.autocast else "")
