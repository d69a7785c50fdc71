"""How a session comes by its own decoder: which masks teach it, and an adaptation that may be dropped and goes on."""

from collections.abc import Iterator

import numpy as np

from siaf.errors import InputError
from siaf.masks import IndexMask
from siaf.session.adaptation import Adaptation, choose, content_of
from siaf.session.annotations import Annotations
from siaf.session.examples import Annotated
from siaf.session.propagation import Propagator


def said(now: Annotations, frame: int) -> tuple[IndexMask, frozenset[int]]:
    """What a human says of a frame: its mask without objects that were carried there, and the tags it speaks of."""
    tags = now.annotated_tags[frame] - now.adopted.get(frame, frozenset())
    mask = now.masks[frame]
    return np.where(np.isin(mask, list(tags)), mask, 0).astype(np.uint8), tags


def verified_frames(now: Annotations) -> list[int]:
    """Frames whose mask a human made, or saw and gave back, and that show an object."""
    return sorted(frame for frame in now.human if said(now, frame)[0].any())


class Fitting:
    """The adaptation of one session: one that was dropped goes on, as long as it learns from the same."""

    def __init__(self, propagator: Propagator) -> None:
        self._propagator = propagator
        self._running: Adaptation | None = None

    def check(self, now: Annotations) -> None:
        """Raises InputError if no mask is verified, or if the model has no decoder of this kind."""
        model = self._propagator.model
        if model.adaptable is None:
            raise InputError(f"{model.name} has no decoder that a session can adapt", field="adapt")
        if not verified_frames(now):
            raise InputError(
                "needs a mask that somebody has drawn, corrected or accepted; what strokes give does not count",
                field="adapt",
            )

    def pays(self, now: Annotations) -> bool:
        """Whether there is a verified mask, and a network that adaptation was measured to help: one with the fine
        decoder. Published AOT and DeAOT weights may be adapted; whether it helps them nobody has measured.
        """
        model = self._propagator.model.adaptable
        return model is not None and model.propagation.fine is not None and bool(verified_frames(now))

    def steps(self, now: Annotations) -> Iterator[Adaptation]:
        """The adaptation to the verified masks, which `check` has found, after each of its steps that are left; no
        step if the decoder was made of just these masks. Nothing but the adaptation changes.
        """
        work = self._adaptation(now)
        while work is not None and not work.finished:
            work.step()
            if work.finished:
                self._running = None
            yield work

    def _adaptation(self, now: Annotations) -> Adaptation | None:
        model = self._propagator.model.adaptable
        assert model is not None
        frames = choose(verified_frames(now))
        masks = {frame: said(now, frame) for frame in frames}
        features = dict(zip(frames, self._propagator.encoded.features(frames), strict=True))
        digests = {frame: self._propagator.encoded.digest(frame) for frame in frames}
        packed = {frame: (mask.tobytes(), tags) for frame, (mask, tags) in masks.items()}
        content = content_of(model, digests, packed, now.objects)
        if now.decoder is not None and now.decoder.content == content:
            return None
        if self._running is None or self._running.content != content:
            pictures = self._propagator.frames
            annotated = {frame: Annotated(pictures[frame], features[frame], *masks[frame]) for frame in frames}
            self._running = Adaptation(model, content, annotated, now.objects)
        return self._running
