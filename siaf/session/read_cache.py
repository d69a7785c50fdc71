"""What frames read of the user's frames, kept from round to round: only frames that are new in the memory are read."""

from siaf.model.partial_attention import PartialAttention
from siaf.model.propagation import FrameMemory

MAX_BYTES = 64 * 2**20  # of a session: 160 frames of siaf-t


class ReadCache:
    """By frame, the newest read and the memory entries that went into it, in order.

    Entries are told apart by identity: an annotation that changes has a new one. Once `max_bytes` are in use, frames
    that were not read before are not kept: every round takes the frames in much the same order, so pushing out the
    oldest would leave none to find.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._kept: dict[int, tuple[list[FrameMemory], PartialAttention]] = {}

    def find(self, frame: int, entries: list[FrameMemory]) -> tuple[PartialAttention | None, list[FrameMemory]]:
        """What is known of a read of the first of these entries, and the rest, which is still to be read."""
        parts, read = self._kept.get(frame, ([], None))
        if len(parts) > len(entries) or any(part is not entry for part, entry in zip(parts, entries, strict=False)):
            return None, entries
        return read, entries[len(parts) :]

    def keep(self, frame: int, entries: list[FrameMemory], read: PartialAttention) -> None:
        """Keep a read of just these entries for a later round."""
        size = _bytes(read)
        known = _bytes(self._kept[frame][1]) if frame in self._kept else 0
        if self.bytes - known + size <= self.max_bytes:
            self._kept[frame] = entries, read
            self.bytes += size - known


def _bytes(read: PartialAttention) -> int:
    return read.values.nbytes + read.logsumexp.nbytes
