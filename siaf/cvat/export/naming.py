"""Which object each region is, over all jobs of a task."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from siaf.cvat.export.regions import Region
from siaf.errors import InputError
from siaf.masks import MAX_TAG

_SEVERAL = "has no number, and its label has several objects"


@dataclass
class Named:
    """Regions with their numbers, and the objects. `by_label`: those whose regions had no number; `ignored`: regions
    that may be any of several objects, by reason.
    """

    regions: list[Region] = field(default_factory=list)
    objects: dict[int, str] = field(default_factory=dict)
    by_label: list[int] = field(default_factory=list)
    ignored: dict[str, list[str]] = field(default_factory=dict)


def name_objects(regions: Sequence[Region]) -> Named:
    """A number is an object, in all jobs; regions without one are their label's only object, if it has only one.

    Raises InputError, naming the object, if a number has two labels.
    """
    named = Named([region for region in regions if region.tag])
    first: dict[int, Region] = {}
    for region in named.regions:
        other = first.setdefault(region.tag, region)
        if other.label != region.label:
            raise InputError(
                f"is a {other.label!r} in job {other.clip.id} ({other.name}), but a {region.label!r} in job "
                f"{region.clip.id} ({region.name}); give one of them another number",
                field=f"object {region.tag}",
            )
    named.objects = {tag: region.label for tag, region in sorted(first.items())}
    without = [region for region in regions if not region.tag]
    for label in sorted({region.label for region in without}):
        _name_unnumbered(named, label, [region for region in without if region.label == label])
    return named


def _name_unnumbered(named: Named, label: str, regions: Sequence[Region]) -> None:
    known = [tag for tag, name in named.objects.items() if name == label]
    together = Counter((region.clip.id, region.frame) for region in regions)
    if len(known) > 1 or max(together.values()) > 1:
        named.ignored.setdefault(_SEVERAL, []).extend(region.name for region in regions)
        return
    tag = known[0] if known else next(t for t in range(1, MAX_TAG + 2) if t not in named.objects)
    if tag > MAX_TAG:
        raise InputError(f"there are more than {MAX_TAG} objects", field="object")
    named.objects[tag] = label
    named.by_label.append(tag)
    named.regions += [replace(region, tag=tag) for region in regions]
