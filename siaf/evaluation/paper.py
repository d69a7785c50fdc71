"""The paper's Tables I to III: interactive evaluation over frames per round, rounds, and with parts switched off.

A part is switched off at run time, with the weights as they are; the paper trained its baseline without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siaf.evaluation.curve import summarise
from siaf.evaluation.davis import LabelledSequence
from siaf.evaluation.interactive import PlayedRound, first_strokes, play, propagate_newest, repropagate
from siaf.evaluation.table import Row
from siaf.model.identity import Slots
from siaf.model.loaded import FrameEncoding, Model
from siaf.session.feature_cache import FeatureCache

ROUNDS = 3


class FrameByFrame(Model):
    """A model without across-frame attention: its interaction network sees every interacted frame alone."""

    @classmethod
    def of(cls, model: Model) -> "FrameByFrame":
        """The same networks."""
        return cls(**{field.name: getattr(model, field.name) for field in fields(model)})

    def decode_masks(
        self,
        encodings: Sequence[FrameEncoding],
        strokes: NDArray[np.int16],
        previous: NDArray[np.int16],
        slots: Slots,
        asked: Sequence[int] | None = None,
    ) -> Tensor:
        """As `Model.decode_masks`, frame by frame."""
        chosen = range(len(encodings)) if asked is None else asked
        alone = super().decode_masks
        return torch.cat([alone([encodings[i]], strokes[:, [i]], previous[:, [i]], slots) for i in chosen])


@dataclass(frozen=True)
class Setting:
    """`frames` per round; with across-frame attention and re-propagation or without."""

    frames: int = 3
    across: bool = True
    repropagate: bool = True


FULL = Setting()
TABLE_I = (Setting(1), FULL)
TABLE_II = (
    Setting(across=False, repropagate=False),
    Setting(repropagate=False),
    Setting(across=False),
    FULL,
)
TABLE_III = (Setting(1), Setting(2), FULL)


def play_setting(model: Model, sequence: LabelledSequence, setting: Setting) -> list[list[PlayedRound]]:
    """`ROUNDS` rounds of every sample of a sequence."""
    return [
        play(
            model if setting.across else FrameByFrame.of(model),
            sequence,
            per_round=setting.frames,
            rounds=ROUNDS,
            first=first,
            fill=repropagate if setting.repropagate else propagate_newest,
            cache=FeatureCache(),
        )
        for first in first_strokes(sequence, setting.frames)
    ]


Played = dict[Setting, list[list[PlayedRound]]]
"""All samples of all sequences by setting."""


def tables(played: Played) -> dict[str, list[Row]]:
    """Tables I to III by title, as far as their settings were played."""
    result = {
        "Table I: frames per round and rounds": [
            {"frames": s.frames, "rounds": r, **_quality(played[s], r)}
            for s in TABLE_I
            if s in played
            for r in (1, ROUNDS)
        ],
        f"Table II: parts switched off, {FULL.frames} frames, {ROUNDS} rounds": [
            {
                "across-frame attention": "yes" if s.across else "no",
                "re-propagation": "yes" if s.repropagate else "no",
                **_quality(played[s], ROUNDS),
            }
            for s in TABLE_II
            if s in played
        ],
        "Table III: frames per round": [
            {"frames": s.frames, "rounds": r, **_quality(played[s], r)}
            for s in TABLE_III
            if s in played
            for r in range(1, ROUNDS + 1)
        ],
    }
    return {title: rows for title, rows in result.items() if rows}


def _quality(samples: Sequence[Sequence[PlayedRound]], rounds: int) -> Row:
    summary = summarise([[r.score for r in sample[:rounds]] for sample in samples])
    return {
        "J&F@60s": summary.at_threshold,
        "J&F": float(summary.j_and_f[-1]),
        "J": float(summary.jaccard[-1]),
        "F": float(summary.boundary[-1]),
        "scribbled frames": float(np.mean([sample[:rounds][-1].scribbled_frames for sample in samples])),
    }
