"""What the page is shown of a session: made by the thread that owns it, read by all."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from siaf.masks import IndexMask
from siaf.output.palette import COLOR, colour
from siaf.session.confidence import Confidence
from siaf.session.mask_store import MaskStore
from siaf.session.session import Session
from siaf.session.shrinking import areas
from siaf.studio.clip import Label

Json = dict[str, Any]
Stats = list[list[int | float | None]]
"""Of one frame: [tag, pixels, confidence or None where a person worked] of every object."""

_COUNTING_S = 0.2
"""How long areas are counted at a time: of a long video they come bit by bit."""
_SUGGESTIONS = 3


@dataclass(frozen=True)
class Propagation:
    """How far masks have come. `error` says why it stopped, if it did by itself."""

    running: bool = False
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    adapting: bool = False
    error: str | None = None


@dataclass(frozen=True)
class _Counted:
    """A frame's packed mask, and what was made of it."""

    packed: bytes
    areas: dict[int, int]
    scores: dict[int, float] | None
    stats: Stats

    @classmethod
    def of(cls, packed: bytes, areas: dict[int, int], scores: Confidence | None) -> "_Counted":
        """Areas and confidence as the page gets them; the latter may go on to change."""
        sure = {tag: round(score, 4) for tag, score in (scores or {}).items()}
        stats: Stats = [[tag, areas.get(tag, 0), sure.get(tag)] for tag in sorted({*areas, *sure})]
        return cls(packed, areas, None if scores is None else dict(scores), stats)


@dataclass(frozen=True)
class View:
    """A session at one moment; nothing in it changes.

    `said`: what people gave, as the page gets it. `now` and `before` hold masks, those of before the last round.
    `drawn`: frames that a person worked on. `stats` are by frame; `log` has every frame whose stats came since the last
    change of what people said, in that order. `counted`: what the stats were made of.
    """

    revision: int
    said: Json
    now: MaskStore
    before: MaskStore
    drawn: frozenset[int]
    propagation: Propagation
    suggested: list[int]
    shrunk: list[Json]
    stats: dict[int, Stats] = field(default_factory=dict)
    log: tuple[tuple[int, Stats], ...] = ()
    counted: Mapping[int, _Counted] = field(default_factory=dict)
    results_done: int = 0

    @property
    def whole(self) -> bool:
        """Whether the stats of all masks are there."""
        return len(self.stats) == len(self.now)

    def mask(self, frame: int, *, before: bool = False) -> IndexMask | None:
        """A frame's index mask, uint8 H×W; None where there is none."""
        store = self.before if before else self.now
        return store[frame] if frame in store else None  # noqa: SIM401 – a store is no mapping

    @classmethod
    def of(
        cls,
        session: Session,
        labels: Sequence[Label] = (),
        before: MaskStore | None = None,
        last: "View | None" = None,
    ) -> "View":
        """A session after a change. `before`: its masks before the last round, where they are known; `last`: the view
        until then.
        """
        if before is None:
            before = session.rounds[-1].before.masks if session.rounds else MaskStore(session.height, session.width)
        said, none = said_by(session, labels), MaskStore(session.height, session.width)
        blank = cls(session.revision, said, none, before, frozenset(), Propagation(), [], [])
        if last is not None:
            blank = replace(blank, counted=last.counted)
        return blank.updated(session, Propagation(), anew=True)

    def updated(self, session: Session, propagation: Propagation, *, anew: bool = False) -> "View":
        """The view after a step of the propagation; `anew`: what people said is another, so the log begins again."""
        snapshot = session.snapshot()
        stores = snapshot.propagation.results, snapshot.annotations.masks
        packed = {f: store.packed(f) for store in stores for f in store}
        counted = _count(packed, self.counted, session)
        stats = {frame: one.stats for frame, one in counted.items()}
        done = session.plan.results_done
        fresh = [f for f in session.plan.results[0 if anew else self.results_done : done] if f in stats]
        if not anew:
            fresh += [f for f in stats.keys() - set(fresh) if stats[f] != self.stats.get(f)]
        return replace(
            self,
            revision=session.revision,
            now=MaskStore.of_packed(packed, session.height, session.width),
            drawn=frozenset(session.interacted),
            propagation=replace(propagation, done=done, total=len(session.plan.results)),
            suggested=[] if propagation.running else session.suggest(_SUGGESTIONS),
            shrunk=[
                {"tag": one.tag, "gone": one.gone, "frames": list(one.frames), "text": str(one)}
                for one in session.shrunk
            ],
            stats=stats,
            log=(*(() if anew else self.log), *((f, stats[f]) for f in fresh)),
            counted=counted,
            results_done=done,
        )


def _count(packed: Mapping[int, bytes], counted: Mapping[int, _Counted], session: Session) -> dict[int, _Counted]:
    """The stats of masks: the known ones, and as many new ones as there is time for."""
    until = time.monotonic() + _COUNTING_S
    drawn, confidence, late = set(session.interacted), session.confidence, False
    found: dict[int, _Counted] = {}
    for frame, data in packed.items():
        scores = None if frame in drawn else confidence.get(frame)
        known = counted.get(frame)
        if known is not None and known.packed == data:
            found[frame] = known if known.scores == scores else _Counted.of(data, known.areas, scores)
        elif not late:
            found[frame] = _Counted.of(data, areas(session.mask(frame)), scores)
            late = time.monotonic() > until
    return found


def said_by(session: Session, labels: Sequence[Label]) -> Json:
    """What people gave and decided, as `GET api/session` tells it."""
    interacted: dict[int, list[int]] = {}
    strokes = []
    for number, past in enumerate(session.rounds, 1):
        for frame in sorted({*past.scribbles, *past.references}):
            interacted.setdefault(frame, []).append(number)
        for frame, drawn in sorted(past.scribbles.items()):
            strokes.append(
                {
                    "frame": frame,
                    "round": number,
                    "strokes": [
                        {
                            "tag": one.tag,
                            "points": np.round(one.points, 2).tolist(),
                            "width": one.width,
                            "polarity": one.polarity,
                        }
                        for one in drawn
                    ],
                }
            )
    within = session.within
    return {
        "rounds": len(session.rounds),
        "objects": [
            {"tag": tag, "label": session.objects[tag].label, "color": color_of(session, tag, labels)}
            for tag in session.objects.tags
        ],
        "interacted": interacted,
        "strokes": strokes,
        "references": sorted({frame for past in session.rounds for frame in past.references}),
        "barriers": list(session.barriers),
        "within": None if within is None else [within.start, within.stop],
    }


def color_of(session: Session, tag: int, labels: Sequence[Label]) -> str:
    """An object's colour, "#rrggbb": what a person chose, its label's, or that of its tag."""
    known = session.objects[tag]
    if COLOR in known.origin:
        return known.origin[COLOR]
    for label in labels:
        if label.name == known.label:
            return label.color
    red, green, blue = colour(tag)
    return f"#{red:02x}{green:02x}{blue:02x}"
