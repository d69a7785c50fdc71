"""Times that can be compared on a machine that also does other work."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["wall", "cpu"]


@dataclass(frozen=True)
class Clock:
    """ "wall" is how long a user waits; "cpu" is this process's processor time, which other work disturbs less."""

    kind: Kind = "wall"
    repeat: int = 5

    def now(self) -> float:
        """Seconds since some moment."""
        return time.perf_counter() if self.kind == "wall" else time.process_time()

    def seconds(self, call: Callable[[], object]) -> float:
        """How long one call takes."""
        start = self.now()
        call()
        return self.now() - start

    def best(self, calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
        """Milliseconds of each call, by name: the least of several, taken in turns, so that all meet the same load."""
        for call in calls.values():
            call()
        found = dict.fromkeys(calls, float("inf"))
        for _ in range(self.repeat):
            for name, call in calls.items():
                found[name] = min(found[name], 1e3 * self.seconds(call))
        return found


def resident_mb() -> float:
    """Resident memory of this process in MB (Linux)."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024
