"""Objects followed over pictures that arrive one by one, in whatever direction: no frame numbers, no video.

A `Track` is a value: every step makes a new one, so that a caller may go back to any earlier one and branch off there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from siaf.engines.base import Engine
from siaf.errors import InputError
from siaf.frames.source import STILL_FPS, Frame, FrameSource
from siaf.masks import IndexMask, index_mask_to_rles, rles_to_index_mask
from siaf.prompts import ObjectPrompt, Prompts
from siaf.session.confidence import Confidence
from siaf.session.feature_cache import FeatureCache
from siaf.session.memory import MAX_PERMANENT, ChainMemory
from siaf.session.session import Session
from siaf.session.state_file import dump_session, parse_session

Pictures = Callable[[str], Frame]
"""A picture seen before, by content digest; uint8 H×W×3."""


class SeenPictures(FrameSource):
    """The pictures on which a user said something, in the order in which they came."""

    def __init__(self, digests: Sequence[str], height: int, width: int, pictures: Pictures) -> None:
        self.digests = list(digests)
        self.height, self.width, self.fps = height, width, STILL_FPS
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self.digests)

    def _read(self, index: int) -> Frame:
        return self._pictures(self.digests[index])

    def _name(self, index: int) -> str:
        return f"picture {index}"


@dataclass(frozen=True, eq=False)
class Pending:
    """Prompts on a picture that the network has not seen yet. `base`: the objects there that are right as they are, run
    lengths by tag.
    """

    digest: str
    prompts: tuple[ObjectPrompt, ...]
    base: Mapping[int, Sequence[int]] | None = None


@dataclass(frozen=True, eq=False)
class Track:
    """Objects on pictures of one size. `position` is the picture that was seen last, `near` the prompted one closest to
    it.
    """

    height: int
    width: int
    pending: tuple[Pending, ...] = ()
    session: Session | None = None
    position: str = ""
    near: int = 0
    chain: ChainMemory | None = None
    mask: IndexMask | None = None
    confidence: Confidence = field(default_factory=dict)

    @property
    def prompted(self) -> list[str]:
        """Digests of the pictures that the network has prompts for, as numbered in the session."""
        return self.session.frames.digests if self.session and isinstance(self.session.frames, SeenPictures) else []

    @property
    def tags(self) -> list[int]:
        """Objects that are tracked, ascending."""
        known = self.session.objects.tags if self.session else []
        return sorted({*known, *(p.tag for pending in self.pending for p in pending.prompts if p.tag)})


class Tracker:
    """Steps of tracks, for one model. `pictures` finds prompted pictures again."""

    def __init__(self, model: Engine, features: FeatureCache, pictures: Pictures) -> None:
        self._model, self._features, self._pictures = model, features, pictures

    def prompt(self, track: Track, pending: Pending) -> Track:
        """Add prompts on a picture; the network sees all that were collected, jointly, at the next `step`."""
        return replace(track, pending=(*track.pending, pending), position=pending.digest, chain=None)

    def step(self, track: Track, picture: Frame, digest: str) -> Track:
        """Find all objects on the next picture: its `mask` and `confidence`.

        On a prompted picture that is what the prompts gave, and the track goes on from there. Raises InputError naming
        `picture` for one of another size.
        """
        if picture.shape[:2] != (track.height, track.width):
            size = f"{picture.shape[1]}×{picture.shape[0]}"
            raise InputError(f"is {size} pixels, the frames before {track.width}×{track.height}", field="picture")
        track = self.run_pending(track)
        session = track.session
        if session is None:
            raise InputError("nothing is tracked", field="track")
        if digest in track.prompted:
            near = track.prompted.index(digest)
            mask = session.mask(near)
            scores = {int(tag): 1.0 for tag in session.objects.tags}
            return replace(track, position=digest, near=near, chain=None, mask=mask, confidence=scores)
        chain = replace(track.chain) if track.chain else session.beyond().chain(track.near)
        mask, scores = session.beyond().step(picture, digest, chain, track.near)
        return replace(track, position=digest, chain=chain, mask=mask, confidence=scores)

    def run_pending(self, track: Track) -> Track:
        """Let the network see all collected prompts, in one round."""
        if not track.pending:
            return track
        session = self._copy(track)
        frames = session.frames
        assert isinstance(frames, SeenPictures)
        given = Prompts()
        for pending in track.pending:
            if pending.digest not in frames.digests:
                frames.digests.append(pending.digest)
            here = given.at(frames.digests.index(pending.digest))
            if pending.base is not None:
                mask = here.own_mask(track.height, track.width)
                base = rles_to_index_mask(pending.base, height=track.height, width=track.width)
                np.copyto(mask, base, where=base > 0)
            spoken = {*(pending.base or ()), *(p.tag for p in pending.prompts if p.tag)}
            here.about = (here.about or frozenset()) | spoken
            for prompt in pending.prompts:
                if prompt.rle is not None and here.mask is not None:  # it is all there is of the object
                    here.mask[here.mask == prompt.tag] = 0
                here.add(prompt, track.height, track.width)
        session.interact_with(given)
        for _ in session.propagate():  # objects drawn on one of the pictures are looked for on the others
            pass
        near = frames.digests.index(track.pending[-1].digest)
        session.beyond().chain(near)  # so that the state which is kept holds the memory
        return replace(track, pending=(), session=session, near=near, chain=None)

    def join(self, parts: Sequence[tuple[Track, Mapping[int, int]]]) -> Track:
        """One track of the objects of several: with each track the new tag of every object that is kept.

        Tracks that the network has seen must stand at the same picture, and a prompt must be pending there, as the new
        track goes on from it (`joinable`).
        """
        first = parts[0][0]
        joined = Track(first.height, first.width, position=first.position)
        here: IndexMask = np.zeros((first.height, first.width), np.uint8)
        pending: list[Pending] = []
        session: Session | None = None
        for track, tags in parts:
            table = np.zeros(256, np.uint8)
            table[list(tags.keys())] = list(tags.values())
            if track.session is not None:
                session = self._adopt(session, track, table)
                if track.mask is not None:
                    here = np.where(here > 0, here, table[track.mask]).astype(np.uint8)
            for entry in track.pending:
                prompts = tuple(
                    replace(
                        p,
                        tag=tags[p.tag],
                        strokes=tuple(replace(s, tag=tags.get(s.tag, 0)) for s in p.strokes),
                    )
                    for p in entry.prompts
                    if p.tag in tags
                )
                base = None if entry.base is None else {tags[t]: rle for t, rle in entry.base.items() if t in tags}
                if prompts:
                    pending.append(Pending(entry.digest, prompts, base))
        if session is not None and here.any():
            pending = [
                replace(p, base=index_mask_to_rles(_beneath(p.base, here))) if p.digest == joined.position else p
                for p in pending
            ]
        return replace(joined, session=session, pending=tuple(pending))

    @staticmethod
    def joinable(tracks: Sequence[Track]) -> bool:
        """Whether `join` can go on from where these stand."""
        if len({(track.height, track.width) for track in tracks}) > 1:
            return False
        if all(track.session is None for track in tracks):
            return True
        places = {track.position for track in tracks}
        return len(places) == 1 and any(p.digest in places for track in tracks for p in track.pending)

    def dump(self, track: Track) -> bytes:
        """The session behind a track, which the network has seen, as a state file."""
        assert track.session is not None
        return dump_session(track.session)

    def load(self, data: bytes, digests: Sequence[str], height: int, width: int) -> Session:
        """The inverse of `dump`. Raises StateError if it is of another model."""
        frames = SeenPictures(digests, height, width, self._pictures)
        return parse_session(data, self._model, frames, cache=self._features, digests=dict(enumerate(digests)))

    # -- inside ---------------------------------------------------------------------------------------------------

    def _copy(self, track: Track) -> Session:
        """A session that may be changed: others may still hold the track."""
        if track.session is not None:
            return self.load(dump_session(track.session), track.prompted, track.height, track.width)
        return self._empty(track)

    def _empty(self, track: Track) -> Session:
        frames = SeenPictures([], track.height, track.width, self._pictures)
        return Session(self._model, frames, cache=self._features)

    def _adopt(self, session: Session | None, track: Track, table: NDArray[np.uint8]) -> Session:
        """Take over what a track's prompts gave, with new tags, as one round of human masks."""
        session = self._empty(track) if session is None else session
        frames = session.frames
        assert isinstance(frames, SeenPictures) and track.session is not None
        masks = {number: table[track.session.mask(number)] for number in _recent(track.session, table)}
        given = Prompts()
        spoken = frozenset(int(table[tag]) for tag in track.session.objects.tags if table[tag])
        for number, mask in masks.items():
            digest = track.prompted[number]
            if digest not in frames.digests:
                frames.digests.append(digest)
            at = frames.digests.index(digest)
            here = given.at(at)
            here.mask, here.about = np.where(mask > 0, mask, session.mask(at)).astype(np.uint8), spoken
        session.interact_with(given)
        return session


def _beneath(base: Mapping[int, Sequence[int]] | None, mask: IndexMask) -> IndexMask:
    """An index mask with objects, run lengths by tag, on top of it."""
    over = rles_to_index_mask(base or {}, height=mask.shape[0], width=mask.shape[1])
    return np.where(over > 0, over, mask).astype(np.uint8)


def _shown(mask: IndexMask | None) -> set[int]:
    """Tags with a pixel in a mask."""
    return set() if mask is None else {int(tag) for tag in np.unique(mask) if tag}


def _recent(session: Session, table: NDArray[np.uint8]) -> list[int]:
    """The last prompted pictures, as many as are read at once, and for every kept object the last that shows it."""
    kept = [tag for tag in session.objects.tags if table[tag]]
    numbers = session.interacted
    chosen = set(numbers[-MAX_PERMANENT:])
    missing = set(kept)
    for number in reversed(numbers):
        shown = missing & _shown(session.mask(number))
        if shown:
            chosen.add(number)
            missing -= shown
    return sorted(chosen)
