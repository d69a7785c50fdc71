"""Photos labelled by a teacher: whole, trusted, disjoint objects, whatever the teacher's parts and doubts."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from siaf.errors import InputError
from siaf.training.teacher import Answer, Ask, OnnxTeacher, label_folder, label_photo

SIZE = (120, 160)


def disc(x: int, y: int, radius: int) -> np.ndarray:
    canvas = np.zeros(SIZE, np.uint8)
    cv2.circle(canvas, (x, y), radius, 1, -1)
    return canvas > 0


def teacher(whole: np.ndarray, part: np.ndarray, *, quality: float = 0.95, stability: float = 0.95) -> Ask:
    """Knows one object: one point on it yields a part, a box or several points the whole; elsewhere nothing."""

    def ask(points: Sequence[tuple[float, float]], labels: Sequence[int]) -> Answer:
        clicked = [p for p, label in zip(points, labels, strict=True) if label == 1]
        on_it = any(whole[int(y), int(x)] for x, y in clicked)
        mask = np.zeros(SIZE, bool) if not on_it else part if len(labels) == 1 else whole
        return Answer(mask, quality, stability)

    return ask


def label(ask: Ask) -> np.ndarray:
    return label_photo(ask, SIZE, np.random.default_rng(0))


def test_an_object_is_labelled_whole() -> None:
    whole, part = disc(80, 60, 30), disc(80, 60, 12)
    assert np.array_equal(label(teacher(whole, part)), whole.astype(np.uint8))


def test_an_object_off_the_centre_is_asked_for_a_second_time() -> None:
    whole, part = disc(40, 36, 22), disc(40, 36, 14)
    assert np.array_equal(label(teacher(whole, part)), whole.astype(np.uint8))


@pytest.mark.parametrize("doubt", [{"quality": 0.8}, {"stability": 0.7}])
def test_what_the_teacher_doubts_is_left_out(doubt: dict[str, float]) -> None:
    assert not label(teacher(disc(80, 60, 30), disc(80, 60, 12), **doubt)).any()


def test_specks_and_scenery_are_left_out() -> None:
    assert not label(teacher(disc(80, 60, 3), disc(80, 60, 2))).any()
    everywhere = np.ones(SIZE, bool)
    assert not label(teacher(everywhere, everywhere)).any()


def test_crumbs_are_dropped() -> None:
    whole = disc(80, 60, 30)
    assert np.array_equal(label(teacher(whole | disc(150, 10, 4), whole)), whole.astype(np.uint8))


def test_objects_do_not_overlap() -> None:
    """Two answers that share most of their pixels are one object; two that do not are two."""
    left, right = disc(40, 36, 22), disc(120, 84, 22)

    def ask(points: Sequence[tuple[float, float]], labels: Sequence[int]) -> Answer:
        x, y = points[-1]
        mask = left if left[int(y), int(x)] else right if right[int(y), int(x)] else np.zeros(SIZE, bool)
        return Answer(mask, 0.95, 0.95)

    labels = label(ask)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert np.array_equal(labels > 0, left | right)


def test_files_that_are_no_model_are_named(tmp_path: Path) -> None:
    wrong = tmp_path / "encoder.onnx"
    with pytest.raises(InputError, match=r"encoder\.onnx.*no such file"):
        OnnxTeacher(wrong, wrong)
    wrong.write_text("<html>not found</html>")
    with pytest.raises(InputError, match=r"encoder\.onnx.*not a model"):
        OnnxTeacher(wrong, wrong)


class _OneDisc:
    """In the place of the networks: what a teacher that sees a disc in every photo would answer."""

    def look(self, photo: np.ndarray) -> Ask:
        assert photo.shape == (*SIZE, 3)
        return teacher(disc(80, 60, 30), disc(80, 60, 12))


def test_a_folder_is_labelled_once(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for name in ("a.jpg", "b.JPEG"):
        cv2.imwrite(str(photos / name), np.full((*SIZE, 3), 90, np.uint8))
    assert label_folder(photos, out, _OneDisc()) == 2
    assert label_folder(photos, out, _OneDisc()) == 0
    assert sorted(p.name for p in out.rglob("*.*")) == ["a.jpg", "a.png", "b.jpg", "b.png"]
    assert np.array_equal(cv2.imread(str(out / "labels" / "a.png"), cv2.IMREAD_GRAYSCALE) > 0, disc(80, 60, 30))


def test_a_broken_photo_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"not a photo")
    with pytest.raises(InputError, match="broken.jpg"):
        label_folder(tmp_path, tmp_path / "out", _OneDisc())
