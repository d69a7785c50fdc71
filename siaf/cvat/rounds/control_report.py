"""What taking back a round, or changing objects, did to a job."""

from dataclasses import asdict, dataclass, field
from typing import Any

from siaf.cvat.rounds.write_counts import WriteCounts

_DONE = {
    "undo": "the last round is taken back",
    "swap": "swapped",
    "merge": "merged",
    "split": "split",
    "adopt": "adopted",
    "write": "masks are in the job",
}

_WHY_KEPT = {"adopt": "not adopted", "write": "made by people, so they stay as they are in CVAT"}


@dataclass
class ControlReport(WriteCounts):
    """`round`: the last one that counts now. `kept`: shapes of people that the change would have been about, and that
    stay as they are, or automatic ones that could not be adopted. `human` and `human_keyframes` count all in the job.
    """

    job: int
    done: str
    round: int = 0
    objects: dict[int, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def lines(self, most: int = 12) -> list[str]:
        """For people."""
        lines = [f"job {self.job}: {_DONE[self.done]}; round {self.round}"]
        lines.append(f"  objects: {', '.join(f'{tag} {label}' for tag, label in self.objects.items()) or 'none'}")
        lines += self.written_lines()
        if self.kept:
            more = f" … ({len(self.kept)} in all)" if len(self.kept) > most else ""
            why = _WHY_KEPT.get(self.done, "made by people, so these frames are as they were")
            lines.append(f"  {why}: {', '.join(self.kept[:most])}{more}")
        return [*lines, *(f"  {note}" for note in self.notes)]
