"""The frames that siaf advises to look at next, as issues or tags in the job itself.

Only what siaf made is removed again, and an issue that somebody answered or resolved is theirs.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from siaf.boxes import mask_box
from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.labels import LabelBook
from siaf.cvat.job.ledger import Ledger
from siaf.cvat.server.connection import Json, Refusal, Server
from siaf.errors import InputError
from siaf.session.snapshot import SessionMasks

Advise = Literal["issues", "tags", "none"]
NEXT_TAG = "siaf:next"
MESSAGE = "SIAF is least sure of this frame. Correct what is wrong here, or go on to the next one; then run a round."


def check_advice(advise: str, book: LabelBook) -> None:
    """InputError naming "advise" if there is no label for such tags."""
    if advise == "tags" and book.named_tag(NEXT_TAG) is None:
        raise InputError(f"the job has no label {NEXT_TAG!r} for tags: add one, or use issues", field="advise")


class Advisor:
    """Keeps the advice in one job up to date. `save` is called after everything that was made or removed."""

    def __init__(self, server: Server, clip: JobClip, book: LabelBook, save: Callable[[], None]) -> None:
        self._server, self._clip, self._book, self._save = server, clip, book, save

    def update(self, ledger: Ledger, advise: str, masks: SessionMasks | None) -> list[str]:
        """Advice on the frames that the ledger suggests, and on no others; what people should know of it."""
        wanted = [frame for frame in map(self._clip.to_task, ledger.suggest) if self._clip.shows(frame)]
        wanted = wanted if advise in ("issues", "tags") and masks is not None else []
        if not wanted and not ledger.advised:
            if ledger.advise != advise:
                ledger.advise = advise
                self._save()
            return []
        try:
            if ledger.advise != advise or set(ledger.advised) - set(wanted):
                void = set(ledger.advised) - (set(wanted) if ledger.advise == advise else set())
                self._remove(ledger, sorted(void))
            ledger.advise = advise
            new = [frame for frame in wanted if frame not in ledger.advised]  # what somebody removed is answered
            there = self._unknown(ledger, advise, masks, new) if new else {}
            for frame in new:
                ledger.advised[frame] = there.get(frame) or self._create(frame, advise, masks)
                self._save()
        except Refusal as refusal:  # the round itself is done
            return [f"the frames to look at next could not be noted in the job: {refusal.message}"]
        self._save()
        return []

    def _unknown(
        self, ledger: Ledger, advise: str, masks: SessionMasks | None, frames: Sequence[int]
    ) -> dict[int, int]:
        """Advice on frames that is in the job, though the ledger does not know it: CVAT made it, and answered late."""
        known = set(ledger.advised.values())
        if advise == "tags":
            label = self._book.named_tag(NEXT_TAG)
            assert label is not None
            tags = self._server.annotations(self._clip.id)["tags"]
            own = [tag for tag in tags if tag["label_id"] == label.id and tag["source"] == "auto"]
            found = {tag["frame"]: tag["id"] for tag in own}
        else:
            assert masks is not None
            places = {frame: self._place(frame, masks) for frame in frames}
            issues = [issue for issue in self._server.issues(self._clip.id) if _is_untouched(issue)]
            found = {issue["frame"]: issue["id"] for issue in issues if places.get(issue["frame"]) == issue["position"]}
        return {frame: number for frame, number in found.items() if number not in known}

    def _create(self, frame: int, advise: str, masks: SessionMasks | None) -> int:
        if advise == "tags":
            label = self._book.named_tag(NEXT_TAG)
            assert label is not None
            return self._server.create_tag(self._clip.id, {"frame": frame, "label_id": label.id, "source": "auto"})
        assert masks is not None
        return self._server.create_issue(self._clip.id, frame, self._place(frame, masks), MESSAGE)

    def _place(self, frame: int, masks: SessionMasks) -> list[float]:
        """Left, top, right, bottom of the object that the network is least sure of there, or of the frame."""
        at = self._clip.to_clip(frame)
        scores, mask = masks.confidence.get(at, {}), masks.mask(at)
        for tag in sorted(scores, key=lambda tag: (scores[tag], tag)):
            if (mask == tag).any():
                return [float(value) for value in mask_box(mask == tag)]
        return [0.0, 0.0, float(self._clip.width), float(self._clip.height)]

    def _remove(self, ledger: Ledger, frames: Sequence[int]) -> None:
        if ledger.advise == "tags":
            ids = {ledger.advised[frame] for frame in frames}
            here = [tag for tag in self._server.annotations(self._clip.id)["tags"] if tag["id"] in ids]
            if here:
                self._server.delete_tags(self._clip.id, here)
        else:
            issues = {issue["id"]: issue for issue in self._server.issues(self._clip.id)}
            for frame in frames:
                issue = issues.get(ledger.advised[frame])
                if issue is not None and _is_untouched(issue):
                    self._server.delete_issue(issue["id"])
        for frame in frames:
            del ledger.advised[frame]
        self._save()


def _is_untouched(issue: Json) -> bool:
    """Whether nobody answered or resolved it."""
    comments = issue.get("comments") or {}
    return not issue["resolved"] and int(comments.get("count", 1)) <= 1
