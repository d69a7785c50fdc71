"""What frames read of the user's frames is kept as long as those are all still read."""

import torch

from siaf.model.partial_attention import PartialAttention
from siaf.model.propagation import FrameMemory
from siaf.session.read_cache import ReadCache


def entry() -> FrameMemory:
    """All alike, so that only identity tells them apart."""
    return [(torch.zeros(1, 2, 4), torch.zeros(1, 2, 4))]


READ = PartialAttention(torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 2))
SIZE = 40


def test_only_new_entries_are_left_to_read() -> None:
    kept, (a, b) = ReadCache(), (entry(), entry())
    assert kept.find(5, [a]) == (None, [a])
    kept.keep(5, [a], READ)
    read, rest = kept.find(5, [a, b])
    assert read is READ and [x is b for x in rest] == [True]
    assert kept.find(6, [a]) == (None, [a])


def test_an_entry_that_is_no_longer_read_first_spoils_what_was_read() -> None:
    kept, (a, b) = ReadCache(), (entry(), entry())
    kept.keep(5, [a], READ)
    for entries in ([b], [b, a], []):
        read, rest = kept.find(5, entries)
        assert read is None
        assert [x is y for x, y in zip(rest, entries, strict=True)] == [True] * len(entries)


def test_a_full_store_keeps_what_it_has_and_takes_its_newer_reads() -> None:
    kept, (a, b) = ReadCache(max_bytes=2 * SIZE), (entry(), entry())
    for frame in range(4):
        kept.keep(frame, [a], READ)
        kept.keep(frame, [a, b], READ)
    assert kept.bytes == 2 * SIZE
    assert [kept.find(frame, [a, b])[0] is READ for frame in range(4)] == [True, True, False, False]
