"""What a round did, for people and for machines."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from siaf.cvat.rounds.write_counts import WriteCounts


@dataclass
class SyncReport(WriteCounts):
    """One round of a job; frames are the task's.

    `scribbles`: frame → number of strokes taken, `boxes` the same; `references`: frames with masks of people, or of
    another job. `ignored`: what the job holds and the round did not use, names by reason.
    `resumed`: nothing is new, but an earlier call stopped before its end, and this one went on. `requests` and
    `received` count what CVAT was asked, `calls` what a function was asked directly, `uploaded` bytes of frames sent to
    it.
    """

    job: int
    dry_run: bool = False
    round: int = 0
    resumed: bool = False
    scribbles: dict[int, int] = field(default_factory=dict)
    boxes: dict[int, int] = field(default_factory=dict)
    references: list[int] = field(default_factory=list)
    objects: dict[int, str] = field(default_factory=dict)
    removed: list[int] = field(default_factory=list)
    relabelled: list[int] = field(default_factory=list)
    frames: int = 0
    suggest: list[int] = field(default_factory=list)
    shrunk: list[str] = field(default_factory=list)
    ignored: dict[str, list[str]] = field(default_factory=dict)
    requests: int = 0
    received: int = 0
    calls: int = 0
    uploaded: int = 0
    uploaded_frames: int = 0
    seconds: float = 0.0

    @property
    def changed(self) -> bool:
        """Whether anything was taken from the job or written to it."""
        return self._taken or self._written

    @property
    def _taken(self) -> bool:
        return bool(self.scribbles or self.boxes or self.references or self.removed or self.relabelled)

    @property
    def _written(self) -> bool:
        return bool(self.created or self.updated or self.deleted or any(self.tracks.values()))

    @property
    def _without_news(self) -> str:
        if self.resumed:
            would = "would go on" if self.dry_run else "went on"
            return f"nothing new was drawn since round {self.round} was stopped: it {would}"
        if self._written:
            return "nothing new was drawn; what the job lacked was written"
        return "nothing new was drawn"

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        head = f"job {self.job}, round {self.round}{' (dry run: nothing was changed)' if self.dry_run else ''}"
        lines = [head]
        if self.scribbles:
            lines.append(f"  scribbles on frames {_list(self.scribbles)}")
        if self.boxes:
            lines.append(f"  boxes on frames {_list(self.boxes)}")
        if self.references:
            lines.append(f"  masks used as they are, on frames {_list(self.references)}")
        if self.removed:
            lines.append(f"  objects removed: {_list(self.removed)}")
        if self.relabelled:
            lines.append(f"  objects with a new label: {_list(self.relabelled)}")
        if not self._taken:
            lines.append(f"  {self._without_news}")
        objects = ", ".join(f"{tag} {label}" for tag, label in self.objects.items())
        lines.append(f"  objects: {objects or 'none'}")
        if not self.dry_run:
            lines += self.written_lines()
        lines += [f"  please check: {one} (task frames)" for one in self.shrunk]
        if self.suggest:
            lines.append(f"  annotate next: frames {_list(self.suggest)}")
        return [*lines, *(f"  {line}" for line in (*self.notes, *ignored_lines(self.ignored)))]


def merge_ignored(into: dict[str, list[str]], more: Mapping[str, list[str]]) -> None:
    """Add what was not used elsewhere, by the same reasons; each name once."""
    for reason, names in more.items():
        known = into.setdefault(reason, [])
        known += [name for name in names if name not in known]


def ignored_lines(ignored: Mapping[str, list[str]], most: int = 3, what: str = "not used") -> list[str]:
    """A line for every reason, with the first shapes that it holds for; `what` is what they are not."""
    lines = []
    for reason, names in ignored.items():
        more = f" … ({len(names)} in all)" if len(names) > most else ""
        lines.append(f"{what}: {', '.join(names[:most])}{more}: {reason}")
    return lines


def _list(numbers: Mapping[int, object] | list[int], most: int = 12) -> str:
    shown = [str(number) for number in list(numbers)[:most]]
    return ", ".join(shown) + (f" … ({len(numbers)} in all)" if len(numbers) > most else "")
