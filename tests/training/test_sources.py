"""Reading the material of synthetic clips from its folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siaf.errors import InputError
from siaf.training.sources import CUTOUT_SIDE, PHOTO_SIDE, Sources, read_sources


def load_sources(root: Path) -> Sources:
    """What is there; the first problem if there is any."""
    sources, problems = read_sources(root)
    if problems:
        raise problems[0]
    return sources


def _save(path: Path, pixels: np.ndarray, *, lossless: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, lossless=lossless)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One file of every kind, in the real layout; the photo of `instances` is larger than what is kept."""
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (60, 90, 3), dtype=np.uint8)
    regions = np.repeat(np.arange(3, dtype=np.uint8), 20)[:, None].repeat(90, 1)
    _save(tmp_path / "segments/images/12.jpg", photo)
    _save(tmp_path / "segments/labels/12_0.png", regions)
    _save(tmp_path / "segments/labels/12_1.png", regions * 2)
    marked = np.zeros((480, 640), np.uint8)
    marked[100:200, 300:400] = 7
    _save(tmp_path / "instances/images/009.jpg", np.full((480, 640, 3), 90, np.uint8))
    _save(tmp_path / "instances/labels/009.png", marked)
    sticker = np.zeros((256, 256, 4), np.uint8)
    sticker[20:240, 100:130] = (200, 30, 30, 255)
    _save(tmp_path / "cutouts/1f202.webp", sticker, lossless=True)
    _save(tmp_path / "backgrounds/000.jpg", np.full((640, 1138, 3), 50, np.uint8))
    return tmp_path


def test_every_kind_is_read(root: Path) -> None:
    sources = load_sources(root)
    counts = (
        len(sources.segments),
        len(sources.instances),
        len(sources.cutouts),
        len(sources.backgrounds),
    )
    assert counts == (1, 1, 1, 1)
    segment = sources.segments[0]
    assert segment.image.shape == (60, 90, 3)
    assert [sorted(np.unique(m)) for m in segment.maps] == [[0, 1, 2], [0, 2, 4]]
    assert not segment.has_background


def test_photos_and_their_maps_shrink_together_and_keep_their_values(root: Path) -> None:
    photo = load_sources(root).instances[0]
    assert photo.image.shape[:2] == photo.maps[0].shape == (300, PHOTO_SIDE)
    assert set(np.unique(photo.maps[0])) == {0, 7}
    assert photo.has_background
    share = (photo.maps[0] == 7).mean()
    assert share == pytest.approx(100 * 100 / (480 * 640), rel=0.05)


def test_cutouts_are_cropped_to_what_is_visible(root: Path) -> None:
    cutout = load_sources(root).cutouts[0]
    assert cutout.shape[0] == CUTOUT_SIDE
    assert cutout.shape[1] == round(30 * CUTOUT_SIDE / 220)
    assert cutout[:, :, 3].min() == 255


def test_palette_maps_keep_their_indices(root: Path) -> None:
    palette = Image.fromarray(np.full((480, 640), 3, np.uint8), mode="P")
    palette.putpalette([value for i in range(256) for value in (255 - i, i, 0)])
    palette.save(root / "instances/labels/009.png")
    assert set(np.unique(load_sources(root).instances[0].maps[0])) == {3}


@pytest.mark.parametrize("folder", ["segments/images", "instances/images", "cutouts", "backgrounds"])
def test_a_missing_folder_is_named(root: Path, folder: str) -> None:
    (root / folder).rename(root / "elsewhere")
    with pytest.raises(InputError) as caught:
        load_sources(root)
    assert caught.value.field == str(root / folder)


def test_an_empty_folder_is_named(root: Path) -> None:
    (root / "backgrounds/000.jpg").unlink()
    with pytest.raises(InputError, match=r"no \.jpg file") as caught:
        load_sources(root)
    assert caught.value.field == str(root / "backgrounds")


@pytest.mark.parametrize("name", ["segments/labels/12_1.png", "instances/labels/009.png"])
def test_a_missing_map_is_named(root: Path, name: str) -> None:
    (root / name).unlink()
    with pytest.raises(InputError, match="no such file") as caught:
        load_sources(root)
    assert caught.value.field == str(root / name)


@pytest.mark.parametrize("name", ["segments/images/12.jpg", "segments/labels/12_0.png", "cutouts/1f202.webp"])
@pytest.mark.parametrize("damage", ["rubbish", "cut off"])
def test_an_unreadable_file_is_named(root: Path, name: str, damage: str) -> None:
    path = root / name
    path.write_bytes(b"not an image" if damage == "rubbish" else path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="cannot be read as an image") as caught:
        load_sources(root)
    assert caught.value.field == str(path)


def test_a_map_of_another_size_than_its_photo_is_named(root: Path) -> None:
    _save(root / "segments/labels/12_1.png", np.zeros((90, 60), np.uint8))
    with pytest.raises(InputError, match="is 60x90, its photo 90x60") as caught:
        load_sources(root)
    assert caught.value.field.endswith("12_1.png")


def test_a_colour_image_is_no_index_map(root: Path) -> None:
    _save(root / "instances/labels/009.png", np.zeros((480, 640, 3), np.uint8))
    with pytest.raises(InputError, match="one channel") as caught:
        load_sources(root)
    assert caught.value.field.endswith("009.png")


def test_instances_without_an_object_are_named(root: Path) -> None:
    _save(root / "instances/labels/009.png", np.zeros((480, 640), np.uint8))
    with pytest.raises(InputError, match="marks no object"):
        load_sources(root)


def test_an_invisible_cutout_is_named(root: Path) -> None:
    _save(root / "cutouts/1f202.webp", np.zeros((64, 64, 4), np.uint8), lossless=True)
    with pytest.raises(InputError, match="fully transparent"):
        load_sources(root)


def test_all_that_is_wrong_is_found_at_once(root: Path) -> None:
    (root / "segments/labels/12_1.png").unlink()
    (root / "instances/labels/009.png").write_bytes(b"not an image")
    (root / "cutouts/1f202.webp").unlink()
    sources, problems = read_sources(root)
    assert [Path(problem.field).name for problem in problems] == ["cutouts", "009.png", "12_1.png"]
    assert len(sources.backgrounds) == 1
