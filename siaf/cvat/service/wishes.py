"""What the body of a request for a round asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from siaf.cvat.rounds.control import Action, Control
from siaf.cvat.service.http import ApiError
from siaf.errors import InputError

_OPTIONS = ("yes", "frames", "barriers", "do", "objects", "from_frame")


@dataclass(frozen=True)
class Wish:
    """A round, or, with `control`, what is done about rounds. `yes` answers a round's questions; `frames` and
    `barriers` are as of `siaf.cvat.rounds.sync.SyncOptions`.
    """

    yes: bool = False
    frames: tuple[int, int] | None = None
    barriers: tuple[int, ...] | None = None
    control: Control | None = None

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> "Wish":
        """Raises ApiError naming what is wrong."""
        unknown = sorted(body.keys() - set(_OPTIONS))
        if unknown:
            raise ApiError(400, "bad_request", f"there is no such option; there are: {', '.join(_OPTIONS)}", unknown[0])
        yes = body.get("yes", False)
        if not isinstance(yes, bool):
            raise ApiError(400, "bad_request", "must be true or false", "yes")
        if "do" not in body:
            for name in ("objects", "from_frame"):
                if name in body:
                    raise ApiError(400, "bad_request", "a round has no use for it: say what to do", name)
            frames, barriers = _numbers(body, "frames"), _numbers(body, "barriers")
            if frames is not None and (len(frames) != 2 or frames[0] > frames[1]):
                raise ApiError(400, "bad_request", "must be the first and the last frame", "frames")
            return cls(yes, None if frames is None else (frames[0], frames[1]), barriers)
        for name in ("yes", "frames", "barriers"):
            if name in body:
                raise ApiError(400, "bad_request", "is of rounds only", name)
        objects = body.get("objects", [])
        if not isinstance(objects, list):
            raise ApiError(400, "bad_request", "must be a list of numbers", "objects")
        try:
            return cls(control=Control(cast(Action, body["do"]), tuple(objects), body.get("from_frame")))
        except InputError as error:
            raise ApiError(400, "bad_request", error.message, error.field) from None


def _numbers(body: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
    """A list of frames; None if it is not there."""
    found = body.get(name)
    if found is None:
        return None
    if not isinstance(found, list) or any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in found):
        raise ApiError(400, "bad_request", "must be a list of frame numbers", name)
    return tuple(found)
