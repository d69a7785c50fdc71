"""Checks of what callers of the Python API pass: an InputError names the argument and says what it should be."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from siaf.boxes import Box, as_box
from siaf.errors import InputError
from siaf.scribbles import Scribble


def frame_number(value: object, count: int, field: str) -> int:
    """A frame's number, 0 to `count` − 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"a frame is a whole number (0 to {count - 1}), not {_what(value)}", field=field)
    if not 0 <= value < count:
        raise InputError(f"frame {value} is not in the video (0 to {count - 1})", field=field)
    return int(value)


def frame_range(value: object, count: int, field: str) -> None:
    """InputError unless `value` is a range of frames, one after the other, of a video of `count`."""
    if not isinstance(value, range):
        raise InputError(f"must be a range, as range(20, 31), not {_what(value)}", field=field)
    if value.step != 1 or not 0 <= value.start < value.stop <= count:
        raise InputError(f"is {value}; it must be ascending, not empty, and within range(0, {count})", field=field)


def by_frame(value: object, form: str, count: int, field: str) -> dict[int, Any]:
    """A mapping from frame numbers; None is an empty one. `form` shows what it should look like."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"must be {form}, not {_what(value)}", field=field)
    return {frame_number(frame, count, f"{field}[{frame!r}]"): entry for frame, entry in value.items()}


def strokes_of_frame(value: object, field: str) -> list[Scribble]:
    """One frame's strokes."""
    if isinstance(value, np.ndarray) or not isinstance(value, Sequence) or isinstance(value, str):
        hint = "; masks belong in references" if isinstance(value, np.ndarray) else ""
        raise InputError(f"must be a list of Scribble, not {_what(value)}{hint}", field=field)
    for i, stroke in enumerate(value):
        if not isinstance(stroke, Scribble):
            raise InputError(f"must be a Scribble, not {_what(stroke)}", field=f"{field}[{i}]")
    return list(value)


def boxes_of_frame(value: object, height: int, width: int, field: str) -> dict[int, Box]:
    """One frame's boxes by tag."""
    if not isinstance(value, Mapping):
        raise InputError(f"must be {{tag: (left, top, right, bottom)}}, not {_what(value)}", field=field)
    for tag in value:
        if isinstance(tag, bool) or not isinstance(tag, int | np.integer):
            raise InputError(f"a tag is a whole number, not {_what(tag)}", field=f"{field}[{tag!r}]")
    return {int(t): as_box(box, height=height, width=width, field=f"{field}[{t}]") for t, box in value.items()}


def _what(value: object) -> str:
    """A value in a few words."""
    if isinstance(value, str | int | float | bool) or value is None:
        return repr(value)[:60]
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
