"""Synthetic clips: labels agree with pixels, the first frame shows every object, seeds decide everything."""

import cv2
import numpy as np
import pytest

from siaf.errors import InputError
from siaf.frames.inpainting import fill_hole
from siaf.training.layers import Layer, Motion, affine, composite, warp_canvas
from siaf.training.regions import cut_out, pick_regions
from siaf.training.sources import AnnotatedPhoto, Sources
from siaf.training.synthesis import STILL_GAPS, Clip, ClipSynthesizer, Gaps
from siaf.training.thin import thin_thing

OBJECT, SCENE = (250, 20, 20), (20, 20, 250)


def _photo(*, has_background: bool) -> AnnotatedPhoto:
    """A disc in the colour of objects on a plain scene."""
    index_map = np.zeros((120, 160), np.uint8)
    cv2.circle(index_map, (80, 60), 25, 1, -1)
    image = np.where(index_map[:, :, None] > 0, OBJECT, SCENE).astype(np.uint8)
    return AnnotatedPhoto(image, (index_map,), has_background)


def _cutout() -> np.ndarray:
    image = np.zeros((60, 60, 4), np.uint8)
    cv2.circle(image, (30, 30), 29, (*OBJECT, 255), -1)
    return image


@pytest.fixture(scope="module")
def sources() -> Sources:
    """Objects are red, everything else is blue, so that a test can tell labels from pixels."""
    scene = np.full((120, 160, 3), SCENE, np.uint8)
    return Sources((_photo(has_background=True),), (_photo(has_background=True),), (_cutout(),), (scene,))


def _clips(synthesizer: ClipSynthesizer, count: int) -> list[Clip]:
    return [synthesizer.sample(np.random.default_rng(seed)) for seed in range(count)]


def test_shapes_and_types(sources: Sources) -> None:
    clip = ClipSynthesizer(sources, size=97, length=4).sample(np.random.default_rng(0))
    assert clip.frames.shape == (4, 97, 97, 3) and clip.frames.dtype == np.uint8
    assert clip.labels.shape == (4, 97, 97) and clip.labels.dtype == np.uint8


def test_every_object_is_in_the_first_frame_and_tags_are_consecutive(sources: Sources) -> None:
    numbers = set()
    for clip in _clips(ClipSynthesizer(sources, size=97, length=3, max_objects=3), 60):
        tags, counts = np.unique(clip.labels[0][clip.labels[0] > 0], return_counts=True)
        assert tags.tolist() == list(range(1, len(tags) + 1))
        assert counts.min() >= 60
        assert set(np.unique(clip.labels)) - {0} == set(tags)
        numbers.add(len(tags))
    assert numbers == {1, 2, 3}


def test_a_seed_decides_everything(sources: Sources) -> None:
    one, other = (ClipSynthesizer(sources, size=97, length=3) for _ in range(2))
    other.sample(np.random.default_rng(1))  # what was drawn before does not matter
    first, second = one.sample(np.random.default_rng(7)), other.sample(np.random.default_rng(7))
    assert (first.frames == second.frames).all() and (first.labels == second.labels).all()
    third = one.sample(np.random.default_rng(8))
    assert (first.frames != third.frames).any()


def test_labels_lie_on_the_objects(sources: Sources) -> None:
    """A labelled pixel is red; blue ones would be labels that have slipped off their object."""
    wrong, labelled = 0, 0
    for clip in _clips(ClipSynthesizer(sources, size=97, length=4), 40):
        inside = cv2.erode((clip.labels > 0).astype(np.uint8).transpose(1, 2, 0), np.ones((5, 5))) > 0
        pixels = clip.frames.transpose(1, 2, 0, 3)[inside].astype(int)
        wrong += int((pixels[:, 0] <= pixels[:, 2]).sum())
        labelled += len(pixels)
    assert labelled > 10_000
    assert wrong / labelled < 0.01


def test_objects_move_and_change_shape(sources: Sources) -> None:
    overlaps = []
    for clip in _clips(ClipSynthesizer(sources, size=97, length=4, max_objects=1), 40):
        first, last = clip.labels[0] > 0, clip.labels[-1] > 0
        overlaps.append((first & last).sum() / (first | last).sum())
    assert 0.2 < np.mean(overlaps) < 0.7, "copying the first mask must neither work nor be hopeless"


def test_unlabelled_lookalikes_occur(sources: Sources) -> None:
    """Red that is no object: distractors, occluders, and objects of the photo that were not chosen."""
    with_lookalike = 0
    for clip in _clips(ClipSynthesizer(sources, size=97, length=1), 60):
        outside = cv2.dilate(clip.labels[0], np.ones((7, 7))) == 0
        pixels = clip.frames[0][outside].astype(int)
        with_lookalike += int((pixels[:, 0] > pixels[:, 2] + 60).sum() > 60)
    assert 10 < with_lookalike < 50


def test_lookalikes_come_forth_from_behind_objects(sources: Sources) -> None:
    coming = 0
    for clip in _clips(ClipSynthesizer(sources, size=97, length=4), 200):
        pixels = clip.frames.astype(int)
        unlabelled = ((pixels[..., 0] > pixels[..., 2] + 60) & (clip.labels == 0)).sum((1, 2))
        coming += int(unlabelled[0] < 150 and unlabelled[-1] > unlabelled[0] + 120)
    assert coming >= 5  # 2 by chance, from behind other things


def test_objects_leave_and_come_back(sources: Sources) -> None:
    gone, back = 0, 0
    for clip in _clips(ClipSynthesizer(sources, size=97, length=4), 80):
        for tag in range(1, int(clip.labels[0].max()) + 1):
            there = (clip.labels == tag).any((1, 2))
            gone += int(not there[-1])
            back += int(there[-1] and not there.all())
    assert gone > 0 and back > 0


def test_larger_gaps_mean_larger_changes(sources: Sources) -> None:
    def change(gaps: Gaps) -> float:
        clips = _clips(ClipSynthesizer(sources, size=97, length=2, max_objects=1, gaps=gaps), 30)
        return float(np.mean([(clip.labels[0] != clip.labels[1]).mean() for clip in clips]))

    assert change(Gaps((0.1, 0.2))) < 0.6 * change(STILL_GAPS)


def test_a_single_frame_is_possible(sources: Sources) -> None:
    clip = ClipSynthesizer(sources, size=65, length=1).sample(np.random.default_rng(0))
    assert clip.frames.shape == (1, 65, 65, 3) and clip.labels.any()


@pytest.mark.parametrize("name", ["size", "length", "max_objects"])
def test_numbers_below_one_are_refused(sources: Sources, name: str) -> None:
    with pytest.raises(InputError) as caught:
        numbers = {"size": 65, "length": 2, "max_objects": 1} | {name: 0}
        ClipSynthesizer(sources, size=numbers["size"], length=numbers["length"], max_objects=numbers["max_objects"])
    assert caught.value.field == name


def test_sources_without_any_visible_object_are_refused() -> None:
    blank = AnnotatedPhoto(np.zeros((60, 60, 3), np.uint8), (np.zeros((60, 60), np.uint8),), True)
    bad = Sources((blank,), (blank,), (np.zeros((9, 9, 4), np.uint8),), (blank.image,))
    with pytest.raises(InputError, match="sources: show no object"):
        ClipSynthesizer(bad, size=65, length=2).sample(np.random.default_rng(0))


class TestRegions:
    def test_background_is_never_chosen(self) -> None:
        photo = _photo(has_background=True)
        masks = pick_regions(photo, 3, np.random.default_rng(0))
        assert len(masks) == 1 and (masks[0] == photo.maps[0]).all()

    def test_regions_of_one_photo_do_not_overlap(self) -> None:
        index_map = (np.indices((120, 160)) // 30).sum(0).astype(np.uint8)
        photo = AnnotatedPhoto(np.zeros((120, 160, 3), np.uint8), (index_map,), False)
        for seed in range(30):
            masks = pick_regions(photo, 3, np.random.default_rng(seed))
            assert len(masks) == 3
            assert np.sum(masks, 0).max() == 1

    def test_neighbouring_regions_are_sometimes_one_object(self) -> None:
        index_map = (np.arange(160)[None].repeat(120, 0) // 20).astype(np.uint8)
        photo = AnnotatedPhoto(np.zeros((120, 160, 3), np.uint8), (index_map,), False)
        sizes = []
        for seed in range(60):
            (mask,) = pick_regions(photo, 1, np.random.default_rng(seed))
            assert cv2.connectedComponents(mask)[0] == 2, "connected"
            assert mask.mean() <= 0.4
            sizes.append(round(mask.sum() / (20 * 120)))
        assert {1, 2, 3} <= set(sizes)

    def test_a_cut_out_is_premultiplied_and_tight(self) -> None:
        photo = _photo(has_background=True)
        cut = cut_out(photo.image, photo.maps[0])
        assert cut is not None
        sprite, middle = cut
        assert sprite.shape == (51, 51, 4)
        assert np.allclose(middle, [80.5, 60.5])
        assert (sprite[sprite[:, :, 3] == 0] == 0).all()
        assert (sprite[sprite[:, :, 3] == 255][:, :3] == OBJECT).all()

    def test_a_filled_hole_shows_its_surroundings(self) -> None:
        photo = _photo(has_background=True)
        filled = fill_hole(photo.image, photo.maps[0], np.random.default_rng(0))
        hole = photo.maps[0] > 0
        assert (filled[~cv2.dilate(photo.maps[0], np.ones((5, 5))).astype(bool)] == SCENE).all()
        assert filled[hole].mean(0)[2] > 200 and filled[hole].mean(0)[0] < 60


class TestLayers:
    def _layer(self, tag: int) -> Layer:
        still = Motion(np.zeros(7, np.float32), np.ones(7, np.float32), np.zeros((2, 7), np.float32))
        sprite = np.full((21, 21, 4), 255, np.uint8)
        return Layer(sprite, (10.0, -5.0), still, tag, np.zeros((2, 4, 4, 2), np.float32))

    @pytest.mark.parametrize("tag", [0, 2])
    def test_a_layer_covers_picture_and_labels_alike(self, tag: int) -> None:
        picture, label = np.zeros((61, 61, 3), np.uint8), np.full((61, 61), 1, np.uint8)
        rest = np.zeros(7, np.float32)
        composite(picture, label, self._layer(tag), affine(rest, (0.0, 0.0)), rest, None, 1.0)
        expected = np.zeros((61, 61), bool)
        expected[25 - 10 : 25 + 11, 40 - 10 : 40 + 11] = True
        assert ((picture > 127).all(2) == expected).all()
        assert (label[expected] == tag).all() and (label[~expected] == 1).all()

    def test_the_camera_carries_every_layer_along(self) -> None:
        picture, label = np.zeros((61, 61, 3), np.uint8), np.zeros((61, 61), np.uint8)
        rest, pan = np.zeros(7, np.float32), np.array([-10, 5, 0, 0, 0, 0, 0], np.float32)
        composite(picture, label, self._layer(1), affine(pan, (0.0, 0.0)), rest, None, 1.0)
        rows, columns = np.nonzero(label)
        assert (rows.mean(), columns.mean()) == (30, 30)

    def test_what_is_outside_the_picture_changes_nothing(self) -> None:
        picture, label = np.zeros((61, 61, 3), np.uint8), np.zeros((61, 61), np.uint8)
        rest, away = np.zeros(7, np.float32), np.array([500, 0, 0, 0, 0, 0, 0], np.float32)
        composite(picture, label, self._layer(1), affine(rest, (0.0, 0.0)), away, None, 1.0)
        assert not picture.any() and not label.any()

    def test_motion_starts_at_rest_place_and_stays_bounded(self) -> None:
        motion = Motion.draw(np.random.default_rng(0), 3, 100.0)
        states = motion.states(np.array([0.0, 50.0, 5000.0], np.float32))
        assert (states[0] == 0).all()
        assert (np.abs(states[1:] - motion.noise[1:]) <= motion.limit * 1.001).all()


def test_an_untouched_photo_is_shown_as_it_was_taken(sources: Sources) -> None:
    """The scene around and below the object is the photo's own: where the label ends, the object's colour ends."""
    maker = ClipSynthesizer(sources, size=97, length=2, untouched=1.0)
    layers = [maker._in_place(np.random.default_rng(seed)) for seed in range(5)]
    assert all(len(scene) == 1 and scene[0].labels is not None and scene[0].labels.any() for scene in layers)
    for scene in layers:
        picture, labels = warp_canvas(scene[0], np.eye(3), scene[0].motion.states(np.zeros(1, np.float32))[0], 97)
        red = picture[:, :, 0] > picture[:, :, 2]
        assert (red != (labels > 0)).mean() < 0.02


def test_lookalikes_with_a_tag_of_their_own_touch_and_cross(sources: Sources) -> None:
    """Of clips with two objects or more some change sides: what was left of the other one ends to the right of it."""
    touching, crossing = 0, 0
    for clip in _clips(ClipSynthesizer(sources, size=97, length=4, max_objects=2), 150):
        if clip.labels[0].max() < 2 or not all((clip.labels[t] == k).any() for t in (0, -1) for k in (1, 2)):
            continue
        grown = cv2.dilate((clip.labels[0] == 1).astype(np.uint8), np.ones((5, 5))) > 0
        touching += int((grown & (clip.labels[0] == 2)).any())
        first, last = (np.subtract(*(np.argwhere(clip.labels[t] == k).mean(0) for k in (1, 2))) for t in (0, -1))
        crossing += int(first @ last < 0)
    assert touching >= 10
    assert crossing >= 5


def test_thin_things_are_thin_and_whole() -> None:
    for seed in range(20):
        alpha = thin_thing(np.full((60, 80, 3), 200, np.uint8), np.random.default_rng(seed))[:, :, 3]
        assert 150 < (alpha > 128).sum() < 0.25 * alpha.size
        inside = cv2.erode((alpha > 128).astype(np.uint8), np.ones((9, 9)))
        assert inside.mean() < 0.01, "nothing is as wide as nine pixels but where bars meet"
