"""What the across-round memory keeps and what a frame reads of it."""

import torch

from siaf.model.propagation import FrameMemory
from siaf.session.memory import MAX_PERMANENT, MAX_TRANSIENT, AcrossRoundMemory, ChainMemory, room


def entry(value: float) -> FrameMemory:
    return [(torch.full((1, 2, 4), value), torch.full((1, 2, 4), value))]


def test_a_reannotated_frame_replaces_its_entry() -> None:
    memory = AcrossRoundMemory()
    memory.put(3, entry(1))
    memory.read(5, [])
    memory.put(3, entry(2))
    assert memory.read(5, [])[0][0].unique().tolist() == [2.0]


def test_a_read_is_bounded_and_holds_the_nearest_on_both_sides() -> None:
    memory = AcrossRoundMemory()
    for frame in [0, *range(100, 140)]:
        memory.put(frame, entry(frame))
    chosen = memory.select(99)
    assert len(chosen) == MAX_PERMANENT
    assert chosen[0] == 0  # the only one before, far as it is
    assert chosen[1] == 100
    assert len(memory.entries) == 41  # nothing is evicted by being unread


def test_an_interacted_frame_reads_itself_as_the_nearest_before() -> None:
    memory = AcrossRoundMemory()
    for frame in (4, 9):
        memory.put(frame, entry(frame))
    assert memory.select(4) == (4, 9)


def test_predicted_frames_are_read_after_the_users_and_fewer_beside_several_of_those() -> None:
    memory = AcrossRoundMemory()
    memory.put(0, entry(0))
    predicted = [entry(-1), entry(-2)]

    def read() -> list[float]:
        key, _ = memory.read(5, predicted)[0]
        return key[0, ::2, 0].tolist()

    assert read() == [0.0, -1.0, -2.0]
    memory.put(9, entry(9))
    assert read() == [0.0, 9.0, -2.0]


def test_chains_with_other_predicted_frames_read_their_own() -> None:
    memory = AcrossRoundMemory()
    memory.put(0, entry(0))
    lanes = [[entry(-lane)] for lane in range(1, 7)]
    for _ in range(2):
        for lane, predicted in enumerate(lanes, 1):
            assert memory.read(5, predicted)[0][1].unique().tolist() == [-lane, 0.0]


def test_every_fifth_frame_becomes_transient_memory_and_few_are_kept() -> None:
    chain = ChainMemory(entry(0))
    for step in range(1, 31):
        chain.advance(entry(step), gap=5, kept=2)
    assert [m[0][0][0, 0, 0].item() for m in chain.transient] == [25.0, 30.0]
    assert chain.short[0][0][0, 0, 0].item() == 30.0
    for step in range(31, 301):
        chain.advance(entry(step), gap=5)
    assert len(chain.transient) == MAX_TRANSIENT


def test_beside_several_interacted_frames_a_chain_keeps_what_it_reads() -> None:
    assert [room(count, 10) for count in (1, 2, 8)] == [10, 1, 1]
    assert room(1, 2) == 2
    chain = ChainMemory(entry(0))
    for step in range(1, 31):
        chain.advance(entry(step), gap=5, kept=room(2, 10))
    assert [m[0][0][0, 0, 0].item() for m in chain.transient] == [30.0]


def test_gap_zero_keeps_no_transient_memory() -> None:
    chain = ChainMemory(entry(0))
    for step in range(20):
        chain.advance(entry(step), gap=0)
    assert chain.transient == []
