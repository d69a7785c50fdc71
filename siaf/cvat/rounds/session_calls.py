"""A planned round as calls of a session."""

import numpy as np

from siaf.cvat.rounds.planning import RoundInput
from siaf.cvat.sessions.base import JobSession
from siaf.prompts import FramePrompts, Prompts


def run_round(session: JobSession, planned: RoundInput) -> None:
    """One round of a job, in as few calls as say exactly what was drawn.

    Corrected frames that do not speak for the round's new objects come first, before those exist. A frame with both
    strokes and a corrected mask takes two calls more: strokes may change what siaf had there, not what a human drew.
    Boxes are as strokes.
    """
    labels = {tag: known.label for tag, known in planned.objects.items()}
    given = planned.prompts
    asked = {frame: here.drawn_tags for frame, here in given.drawn.items()}
    both = {f for f in asked.keys() & given.masks.keys() if not _all_fixed(given[f])}
    groups: dict[frozenset[int], list[int]] = {}
    for frame in given.masks:
        groups.setdefault(given[frame].about or frozenset(), []).append(frame)
    drawn = given.drawn_tags
    if not both and (not groups or (len(groups) == 1 and drawn <= next(iter(groups)))):
        session.interact(given, labels)
        return
    for about, frames in sorted(groups.items(), key=lambda group: (len(group[0]), sorted(group[1]))):
        alone = {frame: FramePrompts(mask=given[frame].mask, about=about) for frame in frames}
        session.interact(Prompts(alone), labels)
    if not asked:
        return
    unmasked = {frame: FramePrompts(here.strokes, here.boxes) for frame, here in given.drawn.items()}
    found = session.interact(Prompts(unmasked), labels)
    again = {}
    for frame in both:
        here = given[frame]
        fixed = np.zeros_like(found[frame]) if here.fixed is None else here.fixed
        rest = np.where(np.isin(found[frame], np.unique(fixed[fixed > 0])), 0, found[frame])
        mask = np.where(fixed > 0, fixed, rest).astype(np.uint8)
        # What the strokes gave is on the mask too, but nobody has seen it.
        again[frame] = FramePrompts(mask=mask, about=(here.about or frozenset()) - asked[frame])
    if again:
        session.interact(Prompts(again), labels)


def _all_fixed(here: FramePrompts) -> bool:
    """Whether the person drew all of a frame's mask."""
    return here.fixed is None or (here.mask is not None and np.array_equal(here.mask, here.fixed))
