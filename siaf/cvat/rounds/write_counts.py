"""What was written to a job, in numbers: for reports of rounds, and of what people do besides."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # loads torch
    from siaf.cvat.writing.changes import Change


@dataclass(kw_only=True)
class WriteCounts:
    """`created`, `updated` and `deleted` count masks, `tracks` the tracks by the same words. `human` counts the masks
    of people that were left as they are, `human_keyframes` those of tracks; `notes` is what people should know.
    """

    created: int = 0
    updated: int = 0
    deleted: int = 0
    tracks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("created", "updated", "deleted"), 0))
    human: int = 0
    human_keyframes: int = 0
    notes: list[str] = field(default_factory=list)

    def count(self, change: "Change") -> None:
        """Add a write that was done."""
        name = {"create": "created", "update": "updated", "delete": "deleted"}[change.action]
        setattr(self, name, getattr(self, name) + len(change.shapes))
        self.tracks[name] += len(change.tracks)

    def written_lines(self) -> list[str]:
        """For people."""
        lines = [
            f"  masks: {self.created} new, {self.updated} changed, {self.deleted} removed; "
            f"{self.human} by people, left alone"
        ]
        if any(self.tracks.values()) or self.human_keyframes:
            lines.append(
                f"  tracks: {self.tracks['created']} new, {self.tracks['updated']} changed, "
                f"{self.tracks['deleted']} removed; {self.human_keyframes} keyframes by people, left alone"
            )
        return lines
