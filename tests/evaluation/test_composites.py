"""Composites: one clip of several sequences' objects whose index masks say exactly what is visible of each."""

import numpy as np
import pytest

from siaf.errors import InputError
from siaf.evaluation.composites import composite, composites
from siaf.evaluation.davis import LabelledSequence
from siaf.frames.source import ArrayFrames

COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}
HEIGHT, WIDTH = 96, 160


def sequence(name: str, n: int = 6, step: int = 3) -> LabelledSequence:
    """A disc of one colour that moves over grey."""
    frames, masks = np.full((n, HEIGHT, WIDTH, 3), 128, np.uint8), np.zeros((n, HEIGHT, WIDTH), np.uint8)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for i in range(n):
        masks[i][(rows - 48) ** 2 + (columns - 60 - step * i) ** 2 < 20**2] = 1
        frames[i][masks[i] == 1] = COLOURS[name]
    return LabelledSequence(name, ArrayFrames(frames), masks)


RED, GREEN, BLUE = (sequence(name) for name in COLOURS)


def test_every_tag_is_where_its_object_is_seen() -> None:
    clip = composite([RED, GREEN, BLUE], seed=4)
    assert clip.tags == [1, 2, 3]
    for frame, mask in zip(clip.frames, clip.masks, strict=True):
        for tag, colour in enumerate(COLOURS.values(), start=1):
            like = np.abs(frame.astype(int) - colour).max(axis=2) < 40
            assert like.any()
            assert (mask[like] == tag).all()
        assert (frame[mask == 0].max(axis=1) < 200).all()


def test_every_object_is_visible_in_the_first_frame_and_on_average() -> None:
    for seed in range(5):
        areas = [[(mask == tag).sum() for tag in (1, 2, 3)] for mask in composite([RED, GREEN, BLUE], seed).masks]
        assert min(areas[0]) > 100
        assert np.mean(areas, axis=0).min() > 100


def test_the_base_keeps_its_frames_where_nothing_is_pasted() -> None:
    clip = composite([RED, GREEN], seed=0)
    untouched = clip.masks[0] == RED.masks[0]
    away = untouched & (np.abs(clip.frames[0].astype(int) - RED.frames[0]).max(axis=2) == 0)
    assert away.mean() > 0.8
    assert clip.name == "red+green"


def test_the_same_seed_gives_the_same_clip_and_another_seed_another() -> None:
    once, again, other = (composite([RED, GREEN], seed) for seed in (1, 1, 2))
    assert (once.masks == again.masks).all()
    assert all((a == b).all() for a, b in zip(once.frames, again.frames, strict=True))
    assert (once.masks != other.masks).any()


def test_a_clip_is_as_long_as_its_shortest_sequence() -> None:
    assert len(composite([RED, sequence("green", n=4)], seed=0).masks) == 4


def test_every_sequence_is_the_base_of_one_clip() -> None:
    assert [clip.name for clip in composites([RED, GREEN, BLUE], objects=2)] == ["red+green", "green+blue", "blue+red"]


def test_too_few_sequences_or_objects_are_refused() -> None:
    with pytest.raises(InputError, match="sequences"):
        composite([RED], seed=0)
    with pytest.raises(InputError, match="sequences"):
        list(composites([RED, GREEN], objects=3))
    empty = LabelledSequence("empty", RED.frames, np.zeros_like(RED.masks))
    with pytest.raises(InputError, match="sequences: empty shows no object"):
        composite([RED, empty], seed=0)
