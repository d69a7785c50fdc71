"""What taking back a round, or changing objects, did to a job."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # loads torch
    from siaf.cvat.writing.changes import Change

_DONE = {
    "undo": "the last round is taken back",
    "swap": "swapped",
    "merge": "merged",
    "split": "split",
    "adopt": "adopted",
}


@dataclass
class ControlReport:
    """`round`: the last one that counts now. `kept`: shapes of people that the change would have been about, and that
    stay as they are, or automatic ones that could not be adopted; `created` … count masks, `tracks` tracks.
    `human` counts all masks of people in the job, `human_keyframes` those of tracks.
    """

    job: int
    done: str
    round: int = 0
    objects: dict[int, str] = field(default_factory=dict)
    created: int = 0
    updated: int = 0
    deleted: int = 0
    tracks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("created", "updated", "deleted"), 0))
    human: int = 0
    human_keyframes: int = 0
    kept: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, change: "Change") -> None:
        """Add a write that was done."""
        name = {"create": "created", "update": "updated", "delete": "deleted"}[change.action]
        setattr(self, name, getattr(self, name) + len(change.shapes))
        self.tracks[name] += len(change.tracks)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def lines(self, most: int = 12) -> list[str]:
        """For people."""
        lines = [f"job {self.job}: {_DONE[self.done]}; round {self.round}"]
        lines.append(f"  objects: {', '.join(f'{tag} {label}' for tag, label in self.objects.items()) or 'none'}")
        lines.append(
            f"  masks: {self.created} new, {self.updated} changed, {self.deleted} removed; "
            f"{self.human} by people, left alone"
        )
        if any(self.tracks.values()) or self.human_keyframes:
            lines.append(
                f"  tracks: {self.tracks['created']} new, {self.tracks['updated']} changed, "
                f"{self.tracks['deleted']} removed; {self.human_keyframes} keyframes by people, left alone"
            )
        if self.kept:
            more = f" … ({len(self.kept)} in all)" if len(self.kept) > most else ""
            why = "not adopted" if self.done == "adopt" else "made by people, so these frames are as they were"
            lines.append(f"  {why}: {', '.join(self.kept[:most])}{more}")
        return [*lines, *(f"  {note}" for note in self.notes)]
