"""What became of writes that CVAT never answered, and which unknown shapes are siaf's own.

CVAT goes on with a request whose client got a 504, was cut off or died: it may be done after the next sync has read the
job, or even finished. So a write that cannot be seen yet is *undecided*: the ledger keeps what it said, and what turns
up later with the same marks is siaf's, never a human's. Of two shapes of siaf on one spot the next round keeps one.
"""

import time
from collections.abc import Collection, Mapping, Sequence

from siaf.cvat.job.ledger import Ledger, OwnShape, OwnTrack, Pending

LATE_S = 86_400.0
"""How long an undecided write is remembered; no server or proxy holds a request for a day."""


def settle(
    ledger: Ledger,
    shapes: Mapping[int, str],
    tracks: Mapping[int, OwnTrack],
    automatic: Collection[str],
) -> None:
    """Bring the ledger up to what the job holds.

    `shapes` are marks by id, `tracks` the marks of tracks by id: all of them if a write is pending or undecided, else
    at least the automatic ones. `automatic` are those that no human drew, "s<id>" or "t<id>".
    """
    now = time.time()
    ledger.undecided = [write for write in ledger.undecided if now - write.since < LATE_S]
    pending, ledger.pending = ledger.pending, None
    if pending is not None:
        done = _decide_tracks(ledger, pending, tracks) if pending.tracks else _decide_shapes(ledger, pending, shapes)
        if not done:
            pending.since = now
            ledger.undecided = [write for write in ledger.undecided if not _same(write, pending)] + [pending]
    _late_shapes(ledger, shapes)
    _late_tracks(ledger, tracks)
    _adopt_shapes(ledger, {n: mark for n, mark in shapes.items() if f"s{n}" in automatic})
    _adopt_tracks(ledger, {n: track for n, track in tracks.items() if f"t{n}" in automatic})


def _same(one: Pending, other: Pending) -> bool:
    return (one.action, one.ids, one.shapes, one.tracks) == (other.action, other.ids, other.shapes, other.tracks)


# -- the pending write: whether it was done ---------------------------------------------------------------------------


def _decide_shapes(ledger: Ledger, pending: Pending, found: Mapping[int, str]) -> bool:
    if pending.action == "create":
        return _find_created(ledger, pending.shapes, found)
    here = [(n, entry) for n, entry in zip(pending.ids, pending.shapes, strict=True) if n is not None]
    if pending.action == "delete":
        for number, _entry in here:
            if number not in found:
                ledger.shapes.pop(number, None)
        return not any(number in found for number, _entry in here)
    done = {number: entry for number, entry in here if found.get(number) == entry.mark}
    ledger.shapes |= done
    return bool(done)


def _find_created(ledger: Ledger, entries: Sequence[OwnShape], found: Mapping[int, str]) -> bool:
    """What was created is known by its mark alone, unless an earlier undecided write says the same."""
    free: dict[str, list[int]] = {}
    for number in sorted(found.keys() - ledger.shapes.keys(), reverse=True):
        free.setdefault(found[number], []).append(number)
    earlier = {entry.mark for write in ledger.undecided for entry in write.shapes}
    gone, seen = [], False
    for entry in entries:
        if free.get(entry.mark):
            ledger.shapes[free[entry.mark].pop()] = entry
            seen = seen or entry.mark not in earlier
        else:
            gone.append(entry)
    if seen:  # CVAT creates all of a request or nothing: what is missing was there, and a human deleted it since
        lowest = min(0, *ledger.shapes)
        ledger.shapes |= {lowest - 1 - i: entry for i, entry in enumerate(gone)}
    return seen


def _decide_tracks(ledger: Ledger, pending: Pending, found: Mapping[int, OwnTrack]) -> bool:
    decided = pending.action != "create"
    for number, entry in zip(pending.ids, pending.tracks, strict=True):
        if number is None:
            number = _best(entry, {n: track for n, track in found.items() if n not in ledger.tracks})
            if number is not None:
                ledger.tracks[number] = entry
                decided = True
        elif pending.action == "delete":
            if number in found:
                decided = False
            else:
                ledger.tracks.pop(number, None)
        else:
            decided = decided and number in found and _is_whole(ledger.tracks.get(number), entry, found[number])
            _merge(ledger, number, entry, found)
    return decided


def _best(entry: OwnTrack, free: Mapping[int, OwnTrack]) -> int | None:
    """The track that has most of the keyframes; its label, group and attributes are the same in any case."""
    alike = [number for number in sorted(free) if free[number].mark == entry.mark]
    return max(alike, key=lambda number: _common(entry, free[number]), default=None)


def _common(one: OwnTrack, other: OwnTrack) -> int:
    return sum(other.keyframes.get(frame) == mark for frame, mark in one.keyframes.items())


def _is_whole(old: OwnTrack | None, entry: OwnTrack, here: OwnTrack) -> bool:
    """Whether all of an update is there: what it set, and what it took away."""
    before = old.keyframes if old is not None else {}
    left = [f for f, mark in before.items() if f not in entry.keyframes and here.keyframes.get(f) == mark]
    return here.mark == entry.mark and _common(entry, here) == len(entry.keyframes) and not left


def _merge(ledger: Ledger, number: int, entry: OwnTrack, found: Mapping[int, OwnTrack]) -> None:
    """Take over what is there of an update: every keyframe that looks as it says is siaf's."""
    old, here = ledger.tracks.get(number), found.get(number)
    if old is None or here is None:
        return
    done = {frame: mark for frame, mark in entry.keyframes.items() if here.keyframes.get(frame) == mark}
    mark = entry.mark if here.mark == entry.mark else old.mark
    ledger.tracks[number] = OwnTrack(entry.tag, mark, {**old.keyframes, **done})


# -- undecided writes that were done after all ------------------------------------------------------------------------


def _late_shapes(ledger: Ledger, found: Mapping[int, str]) -> None:
    for write in ledger.undecided:
        for number, entry in zip(write.ids, write.shapes, strict=False):
            if number is None:
                continue
            if write.action == "update" and found.get(number) == entry.mark:
                ledger.shapes[number] = entry
            elif write.action == "delete" and number not in found:
                ledger.shapes.pop(number, None)


def _late_tracks(ledger: Ledger, found: Mapping[int, OwnTrack]) -> None:
    for write in ledger.undecided:
        for number, entry in zip(write.ids, write.tracks, strict=False):
            if number is None:
                continue
            if write.action == "update":
                _merge(ledger, number, entry, found)
            elif write.action == "delete" and number not in found:
                ledger.tracks.pop(number, None)


# -- unknown shapes that say what siaf says ---------------------------------------------------------------------------


def _adopt_shapes(ledger: Ledger, found: Mapping[int, str]) -> None:
    late = [entry for write in ledger.undecided if write.action != "delete" for entry in write.shapes]
    known = {entry.mark: entry for entry in (*late, *ledger.shapes.values())}
    ledger.shapes |= {n: known[mark] for n, mark in found.items() if n not in ledger.shapes and mark in known}


def _adopt_tracks(ledger: Ledger, found: Mapping[int, OwnTrack]) -> None:
    late = [entry for write in ledger.undecided if write.action != "delete" for entry in write.tracks]
    known = [*late, *ledger.tracks.values()]
    for number in sorted(found.keys() - ledger.tracks.keys()):
        here = found[number]
        alike = [entry for entry in known if entry.mark == here.mark and _common(entry, here)]
        if alike:
            entry = max(alike, key=lambda entry: _common(entry, here))
            ledger.tracks[number] = OwnTrack(entry.tag, entry.mark, dict(entry.keyframes))
