"""Tags keep their place in the network's slots for good."""

import numpy as np
import pytest

from siaf.errors import InputError
from siaf.session.objects import MAX_PLACES, ObjectTable


def table(*tags: int) -> ObjectTable:
    objects = ObjectTable()
    for tag in tags:
        objects.add(tag)
    return objects


def test_tags_get_slots_in_the_order_they_appear() -> None:
    assert table(7, 3).slots(0) == {1: 7, 2: 3}


def test_the_eleventh_object_opens_a_second_group() -> None:
    objects = table(*range(1, 12))
    assert objects.groups() == 2
    assert objects.slots(1) == {1: 11}


def test_removing_a_tag_moves_no_other() -> None:
    objects = table(5, 6, 7)
    objects.remove(6)
    objects.add(9)
    assert objects.slots(0) == {1: 5, 3: 7, 4: 9}
    objects.add(6)
    assert objects.slots(0) == {1: 5, 2: 6, 3: 7, 4: 9}


def test_an_index_mask_is_split_into_groups_of_slots() -> None:
    objects = table(*range(101, 112))
    mask = np.array([[0, 101, 110, 111, 250]], np.uint8)
    assert objects.to_slots(mask).tolist() == [[[0, 1, 10, 0, 0]], [[0, 0, 0, 1, 0]]]


@pytest.mark.parametrize("tag", [0, -1, 256])
def test_a_tag_outside_the_range_is_refused(tag: int) -> None:
    with pytest.raises(InputError, match="tag"):
        ObjectTable().add(tag)


def test_an_unknown_tag_is_named() -> None:
    with pytest.raises(InputError, match="no object with tag 4"):
        table(1).remove(4)


def test_a_copy_is_independent() -> None:
    objects = table(1)
    twin = objects.copy()
    twin.add(2)
    twin[1].label = "dog"
    assert objects.tags == [1]
    assert objects[1].label is None


def test_places_do_not_grow_for_ever() -> None:
    objects = ObjectTable()
    for i in range(MAX_PLACES):
        objects.add(i % 255 + 1)
        objects.remove(i % 255 + 1)
        objects = objects.restore(objects.places(), [])
    with pytest.raises(InputError, match="tag: 510 objects"):
        objects.add(1)
    assert objects.tags == []
