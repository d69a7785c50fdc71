"""Folders in DAVIS's layout, of 2016 and of 2017, and what is wrong with them."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from siaf.errors import InputError
from siaf.evaluation.davis import DavisFolder

HEIGHT, WIDTH = 6, 8


def binary(i: int) -> Image.Image:
    """A DAVIS 2016 mask: grey 0/255."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[1:3, i : i + 2] = 255
    return Image.fromarray(mask)


def palette(i: int) -> Image.Image:
    """A DAVIS 2017 mask: palette colours, value = tag."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[0, :], mask[5, i] = 2, 1
    image = Image.fromarray(mask)
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    return image


def add_sequence(root: Path, name: str, masks: list[Image.Image], resolution: str = "480p") -> None:
    frames, annotations = (root / kind / resolution / name for kind in ("JPEGImages", "Annotations"))
    frames.mkdir(parents=True)
    annotations.mkdir(parents=True)
    for i, mask in enumerate(masks):
        Image.new("RGB", (WIDTH, HEIGHT), (10 * i, 0, 0)).save(frames / f"{i:05d}.jpg")
        mask.save(annotations / f"{i:05d}.png")


def masks_of(root: Path, name: str) -> NDArray[np.uint8]:
    return DavisFolder(root).load(name).masks


def test_a_binary_sequence_has_one_object_with_tag_1(tmp_path: Path) -> None:
    add_sequence(tmp_path, "swan", [binary(0), binary(3)])
    sequence = DavisFolder(tmp_path).load("swan")
    assert sequence.name == "swan"
    assert sequence.tags == [1]
    assert sequence.masks.dtype == np.uint8
    assert sequence.masks.shape == (2, HEIGHT, WIDTH)
    assert sequence.masks[1, 1, 3] == 1
    assert [frame.shape for frame in sequence.frames] == [(HEIGHT, WIDTH, 3)] * 2


def test_palette_masks_keep_their_tags(tmp_path: Path) -> None:
    add_sequence(tmp_path, "two", [palette(0), palette(4)])
    sequence = DavisFolder(tmp_path).load("two")
    assert sequence.tags == [1, 2]
    assert sequence.masks[1, 5, 4] == 1
    assert (sequence.masks[:, 0] == 2).all()


def test_a_binary_mask_saved_in_colour_counts_as_binary(tmp_path: Path) -> None:
    add_sequence(tmp_path, "grey", [binary(0).convert("RGB")])
    assert masks_of(tmp_path, "grey").tolist() == (np.array(binary(0)) == 255)[None].astype(int).tolist()


def test_sequences_are_those_of_the_list_else_all(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        add_sequence(tmp_path, name, [binary(0)])
    assert DavisFolder(tmp_path).sequences() == ["a", "b", "c"]
    listed = tmp_path / "ImageSets" / "2017" / "val.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("c\na\n")
    assert DavisFolder(tmp_path).sequences() == ["c", "a"]


def test_full_resolution_is_read_where_there_is_no_480p(tmp_path: Path) -> None:
    add_sequence(tmp_path, "swan", [binary(0)], "Full-Resolution")
    assert DavisFolder(tmp_path).sequences() == ["swan"]
    add_sequence(tmp_path, "dog", [binary(0)], "480p")
    assert DavisFolder(tmp_path).sequences() == ["dog"]


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"davis: .*JPEGImages and Annotations"):
        DavisFolder(tmp_path)


def test_an_unknown_sequence_is_refused(tmp_path: Path) -> None:
    add_sequence(tmp_path, "swan", [binary(0)])
    with pytest.raises(InputError, match="davis: there is no sequence 'goose'"):
        DavisFolder(tmp_path).load("goose")


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    add_sequence(tmp_path, "swan", [binary(0), binary(1), binary(2)])
    (tmp_path / "Annotations" / "480p" / "swan" / "00001.png").unlink()
    with pytest.raises(InputError, match="swan: 1 without partner, 00001 has no mask"):
        DavisFolder(tmp_path).load("swan")


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    add_sequence(tmp_path, "swan", [binary(0), binary(1).resize((WIDTH, HEIGHT + 1))])
    with pytest.raises(InputError, match=r"00001\.png: is 8×7 pixels, its frame 8×6"):
        DavisFolder(tmp_path).load("swan")


def test_an_unreadable_mask_is_named(tmp_path: Path) -> None:
    add_sequence(tmp_path, "swan", [binary(0)])
    (tmp_path / "Annotations" / "480p" / "swan" / "00000.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(InputError, match=r"00000\.png: cannot be read"):
        DavisFolder(tmp_path).load("swan")


def test_what_is_neither_binary_nor_index_mask_is_refused(tmp_path: Path) -> None:
    mixed = Image.fromarray(np.array([[0, 3, 255, 0, 0, 0, 0, 0]] * HEIGHT, np.uint8))
    add_sequence(tmp_path, "mixed", [mixed])
    with pytest.raises(InputError, match="255 beside other values"):
        DavisFolder(tmp_path).load("mixed")
    add_sequence(tmp_path, "coloured", [Image.new("RGB", (WIDTH, HEIGHT), (255, 0, 0))])
    with pytest.raises(InputError, match="colour picture"):
        DavisFolder(tmp_path).load("coloured")


def test_written_sequences_are_read_back_with_their_scribbles(davis2017: Path) -> None:
    folder = DavisFolder(davis2017)
    assert folder.sequences() == ["duo", "trio"]
    trio = folder.load("trio")
    assert trio.tags == [1, 2, 3]
    assert trio.masks.shape == (6, 72, 96)
    assert [sorted(one) for one in trio.scribbles] == [[0], [2], [4]]
    assert {stroke.tag for stroke in trio.scribbles[1][2]} == {1, 2, 3}


def test_a_shortened_sequence_keeps_the_scribbles_on_its_frames(davis2017: Path) -> None:
    short = DavisFolder(davis2017).load("duo").first(3)
    assert len(short.frames) == len(short.masks) == 3
    assert [sorted(one) for one in short.scribbles] == [[0], [2]]


def test_scribbles_that_do_not_fit_are_named(tmp_path: Path) -> None:
    add_sequence(tmp_path, "swan", [binary(0), binary(1)])
    path = tmp_path / "Scribbles" / "swan" / "001.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"scribbles": [[]]}')
    with pytest.raises(InputError, match=r"001\.json: scribbles: has 1 frames, but the video has 2"):
        DavisFolder(tmp_path).load("swan")
