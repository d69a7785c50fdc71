"""CVAT's tracker: shapes to begin with and states to go on from in, shapes and states out.

All objects of a call are one pass of the network. What CVAT keeps between calls are small tokens that name a snapshot
in the store; a snapshot never changes, so that a state may be sent twice, or late, or after going back.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from function.calls.shapes import Shape, as_prompt, read_shape
from function.calls.through_cvat import SESSION_PREFIX, Asked, CallsThroughCvat
from function.http.contracts import TrackerRequest
from function.http.messages import Reply, Request, impossible, request_fields, too_large
from function.http.routing import parse
from function.runtime.timing import note_session, phase
from function.settings import Settings
from function.state.pictures import Picture, read_picture
from function.state.records import Record
from function.state.tokens import Token, Tokens
from function.state.track_store import Snapshot, TrackStore
from function.state.tracked_shape import TrackedShape
from function.store import Store
from siaf.engines.base import Engine
from siaf.interactive.tracking import Pending, Track, Tracker
from siaf.session.feature_cache import FeatureCache

Place = tuple[Snapshot, int]
"""Where an object is after a call: snapshot and tag."""


@dataclass(frozen=True)
class _Entry:
    """One index of a call. `raw` is the shape as it came."""

    index: int
    raw: Any
    shape: Shape | None
    token: Token | None

    @property
    def name(self) -> str:
        """How errors name it."""
        return f"shapes[{self.index}]" if self.shape else f"states[{self.index}]"


class TrackerCalls:
    """Tracker calls of CVAT, both protocols, and rounds that come as tracker calls."""

    def __init__(self, model: Engine, store: Store, settings: Settings, features: FeatureCache) -> None:
        self._settings, self._store = settings, store
        self._tracks = TrackStore(model, store, settings, features)
        self._tracker: Tracker = self._tracks.tracker
        self._tokens = Tokens(store)
        self._through_cvat = CallsThroughCvat(model, store, settings, features, self._tokens)

    def answer(self, request: Request) -> Reply:
        """The reply to `shapes` and `states`."""
        body = parse(TrackerRequest, request)
        entries = self._entries(body)
        picture = read_picture(body.image, self._settings.max_pixels)
        if not entries:
            return Reply(json.dumps({"shapes": [], "states": []}))
        call = None
        token = next((entry.token for entry in entries if entry.token), None)
        if token is not None:
            note_session(token.session)
            # A call that goes on somewhere has one answer, whoever asks again.
            text = json.dumps([picture.digest, body.shapes, body.states], sort_keys=True)
            call = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
            answered = self._store.get(f"track/{call}/reply")
            if answered is not None:
                return Reply(answered.decode())
        with phase("model"):
            if any(_is_through_cvat(entry) for entry in entries):
                self._check_objects([e.shape for e in entries if e.shape and not e.shape.read], picture)
                asked = [Asked(entry.raw, entry.shape, entry.token) for entry in entries]
                reply = self._through_cvat.answer(asked, picture, call)
            else:
                reply = self._track(entries, picture, call)
        note_session(reply["states"][0]["session"])
        with phase("encode"):
            text = json.dumps(reply)
        if call:
            with phase("store"):
                self._store.put(f"track/{call}/reply", text.encode(), self._settings.session_ttl)
        return Reply(text)

    # -- following ------------------------------------------------------------------------------------------------

    def _track(self, entries: list[_Entry], picture: Picture, call: str | None) -> dict[str, Any]:
        """Follow what has a state, begin what has none or was moved by the labeler."""
        parents = self._parents(entries)
        going: list[_Entry] = []
        fresh: list[_Entry] = []
        for entry in entries:
            moved = entry.token is None or (entry.shape and self._moved(entry, parents[entry.index]))
            (fresh if moved else going).append(entry)
        name = call or Record.new_id()
        places = self._follow([(e, parents[e.index]) for e in going], picture, name, last=not fresh)
        if fresh:
            places = self._begin(fresh, places, picture, name)
        shapes = []
        for entry in entries:
            snapshot, tag = places[entry.index]
            shapes.append(entry.raw if entry in fresh else self._shape(snapshot, tag))
        return self._reply(shapes, [places[entry.index] for entry in entries])

    def _follow(
        self, going: list[tuple[_Entry, Snapshot]], picture: Picture, name: str, last: bool
    ) -> dict[int, Place]:
        """One pass for all objects that can share one; where each is then, by index. Written to the store if `last`."""
        sources = list({snapshot.id: snapshot for _, snapshot in going}.values())
        shown = [s for s in sources if _tags_of(s, going)]
        if len(shown) > 1 and Tracker.joinable([s.track for s in shown]):
            joined, tags = self._join([(s, _tags_of(s, going)) for s in shown], name)
            return self._step(joined, shown, {e.index: _renamed(tags, s, _tag(e)) for e, s in going}, picture, last)
        places: dict[int, Place] = {}
        for number, source in enumerate(sources):
            own = replace(source, id=name if len(sources) == 1 else f"{name}-{number}", step=source.step + 1)
            members = {e.index: _tag(e) for e, s in going if s.id == source.id}
            places |= self._step(own, [source], members, picture, last)
        return places

    def _step(
        self, snapshot: Snapshot, parents: list[Snapshot], tags: dict[int, int], picture: Picture, last: bool
    ) -> dict[int, Place]:
        with request_fields(picture="image", track="shapes"):
            track = self._tracker.step(snapshot.track, picture.pixels, picture.digest)
        shapes = {tag: replace(shape) for tag, shape in snapshot.shapes.items()}
        after = replace(snapshot, track=track, shapes=shapes)
        for tag, shape in shapes.items():
            if track.mask is not None:
                shape.show(track.mask == tag)
        if last:
            self._tracks.save(after, parents)
        return {index: (after, tag) for index, tag in tags.items()}

    def _join(self, parts: list[tuple[Snapshot, list[int]]], name: str) -> tuple[Snapshot, dict[str, dict[int, int]]]:
        """One snapshot of the given objects of several, and by snapshot the new tag of each."""
        free = iter(range(1, 256))
        tags = {snapshot.id: {tag: next(free) for tag in chosen} for snapshot, chosen in parts}
        track = self._tracker.join([(snapshot.track, tags[snapshot.id]) for snapshot, _ in parts])
        shapes = {new: s.shapes[old] for s, _ in parts for old, new in tags[s.id].items()}
        first = parts[0][0]
        step = max(snapshot.step for snapshot, _ in parts) + 1
        return Snapshot(name, first.session, step, track, shapes), tags

    def _begin(self, fresh: list[_Entry], going: dict[int, Place], picture: Picture, name: str) -> dict[int, Place]:
        """New objects on this picture, beside those that were just followed onto it."""
        height, width = picture.size
        self._check_objects([entry.shape for entry in fresh], picture)
        self._tracks.keep_picture(picture.digest, picture.data)
        prompts, shapes = [], {}
        for tag, entry in enumerate(fresh, 1):
            shape = entry.shape
            assert shape is not None
            prompts.append(as_prompt(shape, tag, height, width, entry.name))
            shapes[tag] = TrackedShape(shape.kind, shape.points, shape.bare, last=shape.points)
        pending = Pending(picture.digest, tuple(prompts))
        track = self._tracker.prompt(Track(height, width), pending)
        session = next((e.token.session for e in fresh if e.token), None) or Record.new_id()
        new = Snapshot(f"{name}-new", session, 0, track, shapes)
        kept: dict[str, tuple[Snapshot, list[int]]] = {}
        for snapshot, tag in going.values():
            if tag:
                kept.setdefault(snapshot.id, (snapshot, []))[1].append(tag)
        parts = list(kept.values())
        joined, tags = self._join([*parts, (new, list(shapes))], name)
        joined = replace(joined, session=parts[0][0].session if parts else session)
        self._tracks.save(joined, [])
        return {
            **{index: (joined, _renamed(tags, s, tag)) for index, (s, tag) in going.items()},
            **{entry.index: (joined, tags[new.id][tag]) for tag, entry in enumerate(fresh, 1)},
        }

    # -- inside ---------------------------------------------------------------------------------------------------

    def _entries(self, body: TrackerRequest) -> list[_Entry]:
        shapes, states = body.shapes or [], body.states or []
        if shapes and states and len(shapes) != len(states):
            raise impossible(f"{len(states)} states for {len(shapes)} shapes", "states")
        count = max(len(shapes), len(states))
        entries = []
        for i in range(count):
            raw, state = shapes[i] if shapes else None, states[i] if states else None
            if raw is None and state is None:
                raise impossible("neither a shape nor a state", f"shapes[{i}]")
            shape = None if raw is None else read_shape(raw, f"shapes[{i}]", self._settings.max_points)
            token = None if state is None else self._tokens.read(state, f"states[{i}]")
            entries.append(_Entry(i, raw, shape, token))
        return entries

    def _check_objects(self, shapes: list[Shape | None], picture: Picture) -> None:
        """Every polygon and mask becomes a bitmap of the picture's size."""
        count = sum(shape is not None and shape.kind in ("polygon", "mask") for shape in shapes)
        pixels, most = picture.size[0] * picture.size[1], self._settings.max_object_pixels
        if count > 1 and count * pixels > most:
            raise too_large(f"{count} polygons and masks on {pixels} pixels; their product may be {most}", "shapes")

    def _parents(self, entries: list[_Entry]) -> dict[int, Snapshot]:
        """By index, the snapshot to go on from."""
        found: dict[int, Snapshot] = {}
        for entry in entries:
            if entry.token:
                snapshot = self._tracks.load(entry.token.revision, f"states[{entry.index}]")
                if entry.token.tag and entry.token.tag not in snapshot.shapes:
                    raise impossible("names an object that is not tracked", f"states[{entry.index}]")
                found[entry.index] = snapshot
        return found

    @staticmethod
    def _moved(entry: _Entry, parent: Snapshot) -> bool:
        """Whether the labeler changed the shape since the function last gave it."""
        assert entry.shape is not None
        shown = parent.shapes.get(_tag(entry))  # the background has none
        return shown is None or entry.shape.kind != shown.kind or not shown.is_at(entry.shape.points)

    def _shape(self, snapshot: Snapshot, tag: int) -> Any:
        """An object as CVAT sees it, null where it is absent."""
        if tag == 0:
            return None
        shape = snapshot.shapes[tag]
        points = shape.shown
        if points is None and shape.kind == "rectangle" and self._settings.absent_rectangle == "last":
            points = shape.last
        if points is None or shape.bare:
            return points
        return {"type": shape.kind, "points": points}

    def _reply(self, shapes: list[Any], places: list[Place]) -> dict[str, Any]:
        states = [self._tokens.sign(Token(s.session, tag, s.step, s.id)) for s, tag in places]
        return {"shapes": shapes, "states": states}


def _is_through_cvat(entry: _Entry) -> bool:
    """The call is part of a round on numbered frames."""
    if entry.token is not None:
        return entry.token.session.startswith(SESSION_PREFIX)
    return entry.shape is not None and entry.shape.frame is not None


def _tag(entry: _Entry) -> int:
    assert entry.token is not None
    return entry.token.tag


def _tags_of(snapshot: Snapshot, going: list[tuple[_Entry, Snapshot]]) -> list[int]:
    """Objects of a snapshot that this call asks for, each once, in order."""
    return list(dict.fromkeys(_tag(e) for e, s in going if s.id == snapshot.id and _tag(e)))


def _renamed(tags: dict[str, dict[int, int]], snapshot: Snapshot, tag: int) -> int:
    """The tag that an object of a snapshot has after a join; background stays background."""
    return tags[snapshot.id][tag] if tag else 0
