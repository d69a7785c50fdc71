"""The cost of a session: rounds, many annotated frames, long clips."""

import gc
from collections.abc import Iterator
from typing import get_args

import numpy as np

from siaf.bench.clip import moving_clip
from siaf.bench.clock import Clock, resident_mb
from siaf.engines.base import Engine
from siaf.evaluation.table import Row
from siaf.session.feature_cache import FeatureCache
from siaf.session.propagation import Repropagate
from siaf.session.session import Session
from siaf.session.state_file import dump_session

_NEAR = 5
"""A correction's neighbourhood: so many frames on each side."""


def rounds(model: Engine, clock: Clock, height: int, width: int, frames: int = 70) -> Iterator[Row]:
    """Seconds of three rounds of one frame each, and until the neighbourhood of the round's frame is there.

    Last comes a first round whose frames were all prepared before it.
    """
    source, clip = moving_clip(frames, height, width, 3)
    chosen = frames // 2, frames // 7, frames - frames // 7
    found: dict[tuple[Repropagate, str], Row] = {}

    def measure(session: Session, frame: int, name: str) -> None:
        row = _round(session, clock, frame, clip.strokes(frame))
        best = found.setdefault((session.repropagate, name), row)
        found[session.repropagate, name] = {key: min(value, best[key]) for key, value in row.items()}

    for _ in range(clock.repeat):
        for mode in get_args(Repropagate):
            session = Session(model, source, cache=FeatureCache(2**31))
            session.repropagate = mode
            for number, frame in enumerate(chosen, 1):
                measure(session, frame, str(number))
        session = Session(model, source, cache=FeatureCache(2**31))
        for frame in range(frames):
            session.prepare(frame)
        measure(session, chosen[0], "1, prepared")
    for (mode, name), row in found.items():
        first = found[mode, "1"]["all s"]
        ratios = {"of round 1": row["all s"] / first, "near, of round 1": row["near s"] / first}
        yield {"repropagate": mode, "round": name, **row, **ratios}


def _round(session: Session, clock: Clock, frame: int, strokes: list) -> Row:  # type: ignore[type-arg]
    start = clock.now()
    session.interact({frame: strokes})
    asked = clock.now() - start
    near = {f for f in range(frame - _NEAR, frame + _NEAR + 1) if 0 <= f < len(session.frames) and f != frame}
    first = shown = 0.0
    for _ in session.propagate():
        passed = clock.now() - start
        first = first or passed
        if not shown and near <= {*session.plan.results[: session.plan.results_done], *session.interacted}:
            shown = passed
    return {"interact s": asked, "first s": first, "near s": shown, "all s": clock.now() - start}


def references(model: Engine, clock: Clock, height: int, width: int) -> Iterator[Row]:
    """Milliseconds of a propagated frame, features known, by number of annotated frames."""
    frames, counts = 164, (1, 5, 10, 20, 40)
    source, clip = moving_clip(frames, height, width, 1)
    cache = FeatureCache(2**33)
    times = dict.fromkeys(counts, float("inf"))
    sessions = {}
    for count in counts:
        session = sessions[count] = Session(model, source, cache=cache)
        chosen = np.linspace(2, frames - 3, count).round().astype(int)
        session.interact(references={int(f): clip.mask(int(f)) for f in chosen})
        next(session.propagate())  # the memory of all references
    for _ in range(clock.repeat):
        for count, session in sessions.items():
            steps = [clock.seconds(lambda s=session: next(s.propagate())) for _ in range(8) if session.pending]  # type: ignore[misc]
            times[count] = min([times[count], *(1e3 * s for s in steps)])
    for count, session in sessions.items():
        state = len(dump_session(session)) / 2**20
        yield {"references": count, "ms": times[count], "ratio to 5": times[count] / times[5], "state MB": state}


def memory(model: Engine, clock: Clock, height: int, width: int, frames: int = 2000) -> Iterator[Row]:
    """Resident memory along a long clip of one session, and seconds per hundred frames."""
    source, clip = moving_clip(frames, height, width, 2)
    session = Session(model, source, cache=FeatureCache(64 * 2**20))
    session.interact(references={0: clip.mask(0)})
    start = clock.now()
    for done, total in session.propagate():
        if done % max(1, total // 10) == 0 or done == 100:
            gc.collect()
            yield {"frames": done, "resident MB": resident_mb(), "ms per frame": 1e3 * (clock.now() - start) / done}
