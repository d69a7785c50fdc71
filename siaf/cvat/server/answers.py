"""What this package needs of CVAT's and the function's answers, and their own words in errors.

A proxy, another version or a broken server may answer with JSON of any kind: that is said where it is read, with the
place, and not found out by a KeyError somewhere else.
"""

import json
from collections.abc import Mapping
from typing import Any

Form = type | list["Form"] | Mapping[str, "Form"]
"""A type (`object`: whatever, but it must be there; `float`: any number), a list whose entries have a form, or keys."""

_ATTRIBUTES: Form = [{"spec_id": int, "value": object}]
_FIGURE: Mapping[str, Form] = {"type": str, "frame": int, "points": [float], "attributes": _ATTRIBUTES}

LISTED_JOB: Mapping[str, Form] = {"id": int, "type": str, "state": str, "start_frame": int, "updated_date": str}
JOB: Form = {**LISTED_JOB, "task_id": int, "stop_frame": int, "data_original_chunk_type": object}
META: Form = {
    "frames": [{"width": int, "height": int, "name": str}],
    "deleted_frames": [int],
    "chunk_size": int,
    "chunks_updated_date": object,
}
LABEL: Form = {
    "id": int,
    "name": str,
    "type": str,
    "color": object,
    "attributes": [
        {"id": int, "name": str, "mutable": bool, "input_type": str, "default_value": object, "values": [object]}
    ],
}
ANNOTATIONS: Form = {
    "shapes": [{**_FIGURE, "id": int, "label_id": int, "source": object}],
    "tracks": [
        {
            "id": int,
            "label_id": int,
            "frame": int,
            "source": object,
            "attributes": _ATTRIBUTES,
            "shapes": [{**_FIGURE, "outside": bool}],
        }
    ],
    "tags": [{"id": int, "label_id": int}],
}
ISSUE: Mapping[str, Form] = {"id": int, "frame": int, "resolved": object}
GUIDE: Form = {"id": int, "markdown": str}
WRITTEN: Form = {"shapes": [{"id": int}], "tracks": [{"id": int}]}


class UnexpectedAnswer(Exception):
    """An answer of another form; `str()` says where it differs."""


def check_answer(answer: Any, form: Form, where: str = "") -> None:
    """Raises UnexpectedAnswer naming the first place, like "shapes[3].frame", where the answer is not of this form."""
    if isinstance(form, Mapping):
        _require(isinstance(answer, dict), where, "an object", answer)
        for key, inner in form.items():
            place = f"{where}.{key}" if where else key
            if key not in answer:
                raise UnexpectedAnswer(f"{place} is missing")
            check_answer(answer[key], inner, place)
    elif isinstance(form, list):
        _require(isinstance(answer, list), where, "a list", answer)
        if form == [float] and set(map(type, answer)) <= {int, float}:
            return  # masks have very many numbers
        for i, entry in enumerate(answer):
            check_answer(entry, form[0], f"{where}[{i}]")
    elif form is float:
        _require(isinstance(answer, int | float), where, "a number", answer)
    elif form is int:
        _require(isinstance(answer, int) and not isinstance(answer, bool), where, "a whole number", answer)
    else:
        _require(isinstance(answer, form), where, {str: "a text", bool: "true or false"}.get(form, ""), answer)


def _require(fits: bool, where: str, what: str, answer: Any) -> None:
    if not fits:
        raise UnexpectedAnswer(f"{where or 'it'} is {short(json.dumps(answer), 60)} instead of {what}")


def said(data: bytes) -> str:
    """The server's own words, cut short; a page of HTML has none."""
    try:
        words = json.loads(data)
    except ValueError:
        return "no reason given"
    if isinstance(words, dict) and isinstance(words.get("detail"), str):
        words = words["detail"]
    return short(words if isinstance(words, str) else json.dumps(words))


def short(reason: object, most: int = 200) -> str:
    """A reason in one line."""
    text = " ".join(str(reason).split())
    text = text.split("): ", 1)[1] if text.startswith("HTTPConnection") and "): " in text else text
    return text if len(text) <= most else text[: most - 3] + "..."
