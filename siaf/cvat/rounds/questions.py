"""What a round would do that its labelers hardly meant: it is asked first."""

from collections.abc import Callable, Sequence

from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.labels import OBJECT, LabelBook
from siaf.cvat.job.reading import HumanMask, Reading
from siaf.cvat.job.strokes import shape_name
from siaf.errors import InputError
from siaf.masks import IndexMask


class Unanswered(InputError):
    """A round that was not run because somebody has to say what is meant; `questions` are sentences."""

    def __init__(self, job: int, questions: Sequence[str]) -> None:
        shown = "; ".join(questions[:3]) + (f"; … ({len(questions)} questions in all)" if len(questions) > 3 else "")
        how = f"set their numbers, or use them as they are: siaf cvat sync --job {job} --yes (--dry-run lists all)"
        super().__init__(f"{shown}: {how}", field=f"job {job}")
        self.questions = list(questions)


def find_questions(
    reading: Reading,
    masks: Sequence[HumanMask],
    clip: JobClip,
    book: LabelBook,
    current: Callable[[int], IndexMask],
) -> list[str]:
    """Masks without a number that are new, and what they would do.

    `masks` are `reading.human` with the tags that they would get; `current(frame)` is the session's mask of its frame.
    CVAT's "join" gives such a mask in the place of several, and the brush makes one wherever the number is forgotten.
    """
    drawn = [mask for mask in masks if mask.figure is not None]
    new = [mask for mask in drawn if not reading.human[mask.key].tag]  # one that a round took has the tag it got
    questions = []
    for mask in new:
        replaced = _replaced(mask, reading, clip, current)
        if replaced:
            objects = f"object{'s' if len(replaced) > 1 else ''} {' and '.join(map(str, replaced))}"
            questions.append(
                f"{_name(mask)} has no number and lies where {objects} had a mask that is gone; "
                f"it would become object {mask.tag}, a {mask.label!r}, and {objects} would be absent there"
            )
    for frame, tag in sorted({(mask.frame, mask.tag) for mask in new}):
        together = [mask for mask in drawn if (mask.frame, mask.tag) == (frame, tag)]
        if len(together) > 1:
            lacks = "" if any(la.tag_attribute for la in book.objects) else f" (siaf cvat setup adds {OBJECT!r})"
            names = " and ".join(_name(mask) for mask in together)
            questions.append(f"{names} have no number{lacks}; together they would become object {tag}")
    return questions


def _name(mask: HumanMask) -> str:
    assert mask.figure is not None
    return shape_name(mask.figure)


def _replaced(mask: HumanMask, reading: Reading, clip: JobClip, current: Callable[[int], IndexMask]) -> list[int]:
    """Objects whose mask was deleted where this one is."""
    lost = {tag for frame, tag in reading.missing if frame == mask.frame} | reading.gone
    lost.discard(mask.tag)
    if not lost:
        return []
    covered = current(clip.to_clip(mask.frame))[mask.bitmap(clip)]
    return sorted(lost & set(covered.tolist()))
