"""Annotations of the CVAT stand-in: what a 2.73.0 server checks, what it does not, and which ids it gives.

Checked: types, counts of points, label and attribute ids, score and source. Not checked: everything geometric.
"""

import copy
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

SOURCES = ("auto", "semi-auto", "manual", "file", "consensus")
_REQUIRED = "This field is required."
SERVER_ERROR = "<!doctype html>\n<title>Server Error (500)</title>"


class Refused(Exception):
    """An answer other than success: status and body."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


class Annotations:
    """Annotations by job. `labels` is shared with the world: id → label with its attributes."""

    def __init__(self, labels: Mapping[int, Json]) -> None:
        self._labels = labels
        self._jobs: dict[int, dict[str, dict[int, Json]]] = {}
        self.next = {"shapes": 1, "tracks": 1, "tags": 1, "keyframes": 1}

    # -- reading --------------------------------------------------------------------------------------------------

    def get(self, job: int) -> Json:
        """As GET answers: missing attributes filled in with defaults, numbers as floats, in no useful order."""
        stored = self._of(job)
        return _collection(
            tags=[self._shown(tag) for tag in stored["tags"].values()],
            shapes=sorted(
                (self._shown(shape) for shape in stored["shapes"].values()),
                key=lambda s: (s["frame"], s["id"] * 7 % 5),
            ),
            tracks=[self._shown_track(track) for track in stored["tracks"].values()],
        )

    def get_many(self, stops: Mapping[int, int]) -> Json:
        """A task's view, from job id → last frame: what its jobs hold; a track that goes on is ended after its job."""
        merged = _collection()
        for job, stop in stops.items():
            part = self.get(job)
            for track in part["tracks"]:
                last = track["shapes"][-1]
                if not last["outside"] and stop < max(stops.values()):
                    track["shapes"].append({**copy.deepcopy(last), "frame": stop + 1, "outside": True})
            for kind in ("tags", "shapes", "tracks"):
                merged[kind].extend(part[kind])
        return merged

    # -- writing --------------------------------------------------------------------------------------------------

    def put(self, job: int, data: Json) -> Json:
        """Replace everything; kinds that are not given are erased too."""
        checked = self._checked(data, action="create")
        self._jobs.pop(job, None)
        return self._insert(job, checked)

    def patch(self, job: int, action: str | None, data: Json) -> Json:
        if action not in ("create", "update", "delete"):
            raise Refused(400, ["Please specify a correct 'action' for the request"])
        checked = self._checked(data, action=action)
        stored = self._of(job)
        if action == "delete":
            for kind in ("tags", "shapes", "tracks"):
                for entry in checked[kind]:
                    stored[kind].pop(entry["id"], None)
            return checked
        for kind in ("tags", "shapes", "tracks"):
            for entry in checked[kind]:
                self._check_free(job, kind, entry.get("id"))
        for kind in ("tags", "shapes", "tracks"):
            for entry in checked[kind]:
                stored[kind].pop(entry.get("id"), None)
        return self._insert(job, checked)

    def clear(self, job: int) -> None:
        self._jobs.pop(job, None)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _of(self, job: int) -> dict[str, dict[int, Json]]:
        return self._jobs.setdefault(job, {"tags": {}, "shapes": {}, "tracks": {}})

    def _check_free(self, job: int, kind: str, number: int | None) -> None:
        table = {"tags": "labeledimage", "shapes": "labeledshape", "tracks": "labeledtrack"}[kind]
        for other, stored in self._jobs.items():
            if other != job and number in stored[kind]:
                raise Refused(
                    400,
                    f'duplicate key value violates unique constraint "engine_{table}_pkey"\n'
                    f"DETAIL:  Key (id)=({number}) already exists.\n",
                )

    def _insert(self, job: int, data: Json) -> Json:
        stored = self._of(job)
        for kind in ("tags", "shapes", "tracks"):
            for entry in data[kind]:
                if entry.get("id") is None:
                    entry["id"] = self.next[kind]
                    self.next[kind] += 1
                for keyframe in entry["shapes"] if kind == "tracks" else ():
                    if keyframe.get("id") is None:
                        keyframe["id"] = self.next["keyframes"]
                        self.next["keyframes"] += 1
                stored[kind][entry["id"]] = copy.deepcopy(entry)
        return data

    def _checked(self, data: Json, *, action: str) -> Json:
        problems: Json = {}
        for kind, check in (
            ("tags", _tag_problems),
            ("shapes", _shape_problems),
            ("tracks", _track_problems),
        ):
            found = [check(entry, action) for entry in data.get(kind) or []]
            if any(found):
                problems[kind] = [p for p in found if p] if len(found) == 1 else found
        if problems:
            raise Refused(400, problems)
        for track in data.get("tracks") or []:
            if not track["shapes"]:
                raise Refused(500, SERVER_ERROR)
        result = _collection(
            tags=[_with_defaults(tag, _TAG) for tag in data.get("tags") or []],
            shapes=[_with_defaults(shape, _SHAPE) for shape in data.get("shapes") or []],
            tracks=[_track_with_defaults(track) for track in data.get("tracks") or []],
        )
        if action != "delete":
            self._check_ids(result)
        return result

    def _check_ids(self, data: Json) -> None:
        for entry in [*data["tags"], *data["shapes"], *data["tracks"]]:
            label = self._labels.get(entry["label_id"])
            if label is None:
                raise Refused(400, [f"label_id `{entry['label_id']}` is invalid"])
            track = "shapes" in entry
            self._check_attributes(entry, label, mutable=False if track else None)
            for keyframe in entry["shapes"] if track else ():
                self._check_attributes(keyframe, label, mutable=True)

    @staticmethod
    def _check_attributes(entry: Json, label: Json, *, mutable: bool | None) -> None:
        known = {a["id"] for a in label["attributes"] if mutable is None or a["mutable"] is mutable}
        for attribute in entry["attributes"]:
            if attribute["spec_id"] not in known:
                raise Refused(400, [f"spec_id `{attribute['spec_id']}` is invalid"])

    def _shown(self, entry: Json, mutable: bool | None = None, label_id: int | None = None) -> Json:
        shown = copy.deepcopy(entry)
        given = {a["spec_id"]: a["value"] for a in shown["attributes"]}
        label = self._labels[label_id or entry["label_id"]]
        shown["attributes"] = [
            {"spec_id": a["id"], "value": given.get(a["id"], a["default_value"])}
            for a in label["attributes"]
            if mutable is None or a["mutable"] is mutable
        ]
        if "points" in shown:
            shown["points"] = [float(v) for v in shown["points"]]
        for key in ("rotation", "score"):
            if key in shown:
                shown[key] = float(shown[key])
        return shown

    def _shown_track(self, track: Json) -> Json:
        shown = self._shown({k: v for k, v in track.items() if k != "shapes"}, mutable=False)
        shown["shapes"] = []
        held: list[Json] = []  # a keyframe keeps the values of the one before it
        for keyframe in sorted(track["shapes"], key=lambda s: s["frame"]):
            given = {a["spec_id"] for a in keyframe["attributes"]}
            values = [*keyframe["attributes"], *(a for a in held if a["spec_id"] not in given)]
            full = self._shown({**keyframe, "attributes": values}, mutable=True, label_id=track["label_id"])
            held = full["attributes"]
            shown["shapes"].append(full)
        return shown


_TAG = {"group": 0, "source": "manual", "attributes": []}
_TRACKED = {"occluded": False, "outside": False, "z_order": 0, "rotation": 0, "attributes": []}
_SHAPE = {**_TRACKED, "group": 0, "source": "manual", "score": 1, "elements": []}
_TRACK = {"group": 0, "source": "manual", "attributes": [], "elements": []}


def _collection(**parts: list[Json]) -> Json:
    return {"version": 0, "tags": [], "shapes": [], "tracks": [], "intervals": [], **parts}


def _with_defaults(entry: Json, defaults: Json) -> Json:
    return {**copy.deepcopy(defaults), **copy.deepcopy(entry)}


def _track_with_defaults(track: Json) -> Json:
    full = _with_defaults(track, _TRACK)
    full["shapes"] = [_with_defaults(shape, _TRACKED) for shape in full["shapes"]]
    first = min(full["shapes"], key=lambda s: s["frame"])
    if first["frame"] != full["frame"]:
        extra = {k: v for k, v in copy.deepcopy(first).items() if k != "id"}
        full["shapes"].append({**extra, "frame": full["frame"], "outside": True})
    return full


def _missing(entry: Json, *keys: str) -> Json:
    return {key: [_REQUIRED] for key in keys if entry.get(key) is None}


def _id_problem(entry: Json, action: str) -> Json:
    if action == "create" and entry.get("id") is not None:
        return {"id": ["must be absent"]}
    if action == "delete" and entry.get("id") is None:
        return {"id": [_REQUIRED]}
    return {}


def _common_problems(entry: Json) -> Json:
    found: Json = {}
    frame = entry.get("frame")
    if isinstance(frame, int) and frame < 0:
        found["frame"] = ["Ensure this value is greater than or equal to 0."]
    source = entry.get("source", "manual")
    if source not in SOURCES:
        found["source"] = [f"must be one of {', '.join(map(repr, SOURCES))}, got {source!r}"]
    score = entry.get("score", 1)
    if not isinstance(score, int | float) or score > 1:
        found["score"] = ["Ensure this value is less than or equal to 1."]
    elif score < 0:
        found["score"] = ["Ensure this value is greater than or equal to 0."]
    return found


def _points_problem(entry: Json) -> Json:
    points = entry.get("points", [])
    strings = {
        str(i): "[ErrorDetail(string='Value must be a float or an integer', code='invalid')]"
        for i, value in enumerate(points)
        if isinstance(value, bool) or not isinstance(value, int | float)
    }
    if strings:
        return {"points": strings}
    count, kind = len(points), entry["type"]
    fits = {
        "rectangle": count == 4,
        "ellipse": count == 4,
        "polygon": count >= 6 and count % 2 == 0,
        "polyline": count >= 4 and count % 2 == 0,
        "points": count >= 2 and count % 2 == 0,
        "cuboid": count == 16,
        "mask": count >= 5,
        "skeleton": count == 0,
    }
    if kind not in fits:
        return {"type": [f'"{kind}" is not a valid choice.']}
    return {} if fits[kind] else {"points": [f"invalid length for shape type '{kind}'"]}


def _shape_problems(entry: Json, action: str) -> Json:
    found = {
        **_id_problem(entry, action),
        **_missing(entry, "type", "label_id", "frame"),
        **_common_problems(entry),
    }
    return found if found else _points_problem(entry)


def _tag_problems(entry: Json, action: str) -> Json:
    return {**_id_problem(entry, action), **_missing(entry, "label_id", "frame"), **_common_problems(entry)}


def _track_problems(entry: Json, action: str) -> Json:
    found = {
        **_id_problem(entry, action),
        **_missing(entry, "label_id", "frame", "shapes"),
        **_common_problems(entry),
    }
    shapes = []
    for shape in entry.get("shapes") or []:
        missing = _missing(shape, "type", "frame")
        shapes.append(missing or _points_problem(shape))
    return {**found, "shapes": shapes} if any(shapes) else found
