"""Views of an annotated picture: masks go with what they are of, and strangers are background."""

from collections.abc import Iterator

import numpy as np
import pytest

from siaf.frames.source import Frame
from siaf.masks import IndexMask
from siaf.session.views import draw_view

GREY, RED, BLUE = (128, 128, 128), (230, 20, 20), (20, 20, 230)


@pytest.fixture
def scene() -> tuple[Frame, IndexMask]:
    """Two plain squares on grey."""
    picture = np.full((120, 160, 3), GREY, np.uint8)
    mask = np.zeros((120, 160), np.uint8)
    picture[30:70, 20:60], mask[30:70, 20:60] = RED, 1
    picture[50:100, 90:140], mask[50:100, 90:140] = BLUE, 2
    return picture, mask


def views(scene: tuple[Frame, IndexMask], count: int = 40) -> Iterator[tuple[Frame, IndexMask]]:
    for seed in range(count):
        yield draw_view(*scene, np.random.default_rng(seed))


def test_a_view_is_as_large_and_shows_no_other_objects(scene: tuple[Frame, IndexMask]) -> None:
    for picture, mask in views(scene):
        assert (picture.shape, picture.dtype) == ((120, 160, 3), np.uint8)
        assert (mask.shape, mask.dtype) == ((120, 160), np.uint8)
        assert set(np.unique(mask)) <= {0, 1, 2}


def test_masks_go_with_their_objects(scene: tuple[Frame, IndexMask]) -> None:
    """Within an object's mask the picture has its colour, whatever lies over or beside it."""
    for picture, mask in views(scene):
        for tag, channel in ((1, 0), (2, 2)):
            inside = picture[mask == tag].astype(int)
            if len(inside):
                others = inside[:, [c for c in range(3) if c != channel]].max(axis=1)
                assert np.mean(inside[:, channel] > others + 40) > 0.9


def test_the_same_numbers_draw_the_same_view(scene: tuple[Frame, IndexMask]) -> None:
    first, again = (draw_view(*scene, np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_what_was_never_there_is_background(scene: tuple[Frame, IndexMask], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siaf.session.views._STRANGE", 0.0)
    plain = list(views(scene))
    monkeypatch.setattr("siaf.session.views._STRANGE", 1.0)
    strange = list(views(scene))

    def new_colours(ones: list[tuple[Frame, IndexMask]]) -> list[float]:
        """By view, the share of background pixels that are neither grey nor near one of the objects' colours."""
        shares = []
        for picture, mask in ones:
            pixels = picture[mask == 0].astype(int)
            far = [np.abs(pixels - colour).max(axis=1) > 75 for colour in (GREY, RED, BLUE)]
            shares.append(float(np.mean(np.all(far, axis=0))))
        return shares

    assert np.mean(new_colours(plain)) < 0.005
    assert np.mean(new_colours(strange)) > 0.02
