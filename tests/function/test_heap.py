"""Free memory goes back to the system."""

from pathlib import Path

from function.runtime.heap import give_back


def resident_kb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])


def test_holes_between_blocks_in_use_are_returned() -> None:
    size = 100_000  # below what glibc takes from the system one by one
    blocks: list[bytes | None] = [bytes([1]) * size for _ in range(1000)]
    full = resident_kb()
    for i in range(len(blocks)):
        if i % 10:
            blocks[i] = None
    give_back()
    assert full - resident_kb() > 50_000
    assert sum(block is not None for block in blocks) == 100
