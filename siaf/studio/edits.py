"""Changes of a session that the page asks for, as functions of the session."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from function.http.messages import bad_request, impossible
from function.http.schemas import RoundRequest
from siaf.masks import IndexMask
from siaf.output.palette import COLOR
from siaf.prompts import FramePrompts, Prompts
from siaf.session.session import Session
from siaf.studio.clip import Clip, Label
from siaf.studio.desk import Desk
from siaf.studio.schemas import ObjectsRequest


@dataclass(frozen=True)
class TakenRound:
    """A round that the session took: its masks by frame, and how many frames it leaves to propagate."""

    revision: int
    number: int
    masks: dict[int, IndexMask]
    total: int


def take_round(
    desk: Desk, body: RoundRequest, given: Prompts, labels: Sequence[Label]
) -> Callable[[Session], TakenRound]:
    """Take a round. One that was taken already is only answered: the answer may have been lost on its way."""

    def take(session: Session) -> TakenRound:
        if not _is_last(session, body.revision, given):
            desk.check(body.revision)
            for i, info in enumerate(body.objects):
                if info.tag not in session.objects and info.tag not in given.tags:
                    raise impossible(f"there is no object with tag {info.tag}", f"objects[{i}].tag")
                _check_label(info.label, labels, f"objects[{i}].label")
                _check_note(info.origin, f"objects[{i}].origin")
            session.interact_with(given)
            for info in body.objects:
                name_object(session, info.tag, info.label, info.origin.get(COLOR))
        last = session.rounds[-1]
        masks = {f: session.mask(f) for f in sorted({*last.scribbles, *last.references})}
        return TakenRound(session.revision, len(session.rounds), masks, len(session.plan.results))

    return take


def edit_objects(body: ObjectsRequest, clip: Clip) -> Callable[[Session], None]:
    """Change objects of a clip as `body` says. Raises ApiError or InputError naming the field."""
    pair = body.do in ("swap", "merge")
    if len(body.tags) != 1 + pair:
        raise bad_request(f"{body.do} needs {1 + pair}, not {len(body.tags)}", "tags")
    from_frame = body.from_frame
    if body.do in ("swap", "merge", "split"):
        if from_frame is None:
            raise bad_request(f"{body.do} needs the frame from which on it counts", "from_frame")
    elif from_frame is not None:
        raise bad_request(f"{body.do} counts on all frames", "from_frame")
    for name in ("label", "color"):
        if getattr(body, name) is not None and body.do not in ("name", "split"):
            raise bad_request(f"{body.do} gives none", name)
    if body.do == "name" and body.label is None and body.color is None:
        raise bad_request("give a label or a color", "label")
    _check_label(body.label, clip.labels, "label")

    def edit(session: Session) -> None:
        first, *others = body.tags
        for i, tag in enumerate(body.tags):
            if tag not in session.objects:
                raise impossible(f"there is no object with tag {tag}", f"tags[{i}]")
        if from_frame is None:
            if body.do == "remove":
                session.remove_object(first)
            else:
                name_object(session, first, body.label, body.color)
        elif body.do == "swap":
            session.swap_objects(first, others[0], from_frame, clip.kept_frames(body.tags))
        elif body.do == "merge":
            session.merge_objects(first, others[0], from_frame, clip.kept_frames(body.tags))
        else:
            new = session.split_object(first, from_frame, keep=clip.kept_frames(body.tags))
            session.objects[new].origin.pop(COLOR, None)  # it looks like itself
            name_object(session, new, body.label, body.color)

    return edit


def name_object(session: Session, tag: int, label: str | None, color: str | None) -> None:
    """Give an object a label or colour, or both; an undo of later rounds takes neither back."""
    for table in (session.objects, *(past.before.objects for past in session.rounds)):
        if tag in table:
            if label is not None:
                table[tag].label = label
            if color is not None:
                table[tag].origin[COLOR] = color


def _check_label(label: str | None, labels: Sequence[Label], name: str) -> None:
    known = [each.name for each in labels]
    if label is not None and known and label not in known:
        raise impossible(f"must be one of {', '.join(known)}", name)


def _check_note(origin: dict[str, str], name: str) -> None:
    """Of an object's note the studio knows the colour."""
    for key, value in origin.items():
        if key != COLOR or not re.fullmatch("#[0-9a-f]{6}", value):
            raise impossible(f'holds a {COLOR} like "#1e90ff" and nothing else', name)


def _is_last(session: Session, revision: int, given: Prompts) -> bool:
    """Whether the last round was this one, made of a revision: what was given tells it, after a restart too."""
    if not given or not session.rounds:
        return False
    # Since then an adaptation counts one, and frames that were done another.
    if not 0 < session.revision - revision <= 3:
        return False
    last, drawn = session.rounds[-1], given.drawn
    strokes = {frame: here.strokes for frame, here in drawn.items()}
    boxes = {frame: here.boxes for frame, here in drawn.items() if here.boxes}
    if (last.scribbles, last.boxes, last.references) != (strokes, boxes, sorted(given.masks)):
        return False
    return all(_shows(session.mask(frame), given[frame]) for frame in given.masks)


def _shows(mask: IndexMask, given: FramePrompts) -> bool:
    """Whether a frame's mask is the one that was given, but for what strokes and objects it said nothing about add."""
    same = mask == given.mask
    if given.draws or given.about is not None:
        same |= given.mask == 0
    return bool(same.all())
