"""Encoded pictures from anyone: what is shown, and what is refused."""

import io
from contextlib import suppress

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from siaf.frames.images import ImageError, ImageTooLarge, decode_image

RNG = np.random.default_rng(0)
PICTURE = Image.fromarray(RNG.integers(0, 255, (20, 30, 3), np.uint8))


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def decode(data: bytes) -> NDArray[np.uint8]:
    frame = decode_image(data, max_pixels=1000, field="upload")
    assert frame.dtype == np.uint8
    assert frame.shape[2] == 3
    frame[0, 0] = 0  # its owner may change it
    return frame


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_pictures_are_as_they_were(kind: str) -> None:
    assert np.array_equal(decode(encode(PICTURE, kind))[1:], np.asarray(PICTURE)[1:])


def test_a_picture_is_turned_as_its_exif_orientation_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(encode(PICTURE, exif=exif))
    assert np.array_equal(turned[1:], np.rot90(np.asarray(PICTURE), -1)[1:])


def smooth(height: int, width: int) -> Image.Image:
    """A picture as cameras make them: colours change slowly, with some noise."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 9 + k) * np.cos(y / (7 + k)) for k in range(3)], axis=2)
    return Image.fromarray((127 + 90 * waves + RNG.normal(0, 12, waves.shape)).clip(0, 255).astype(np.uint8))


JPEGS = {
    **{f"quality {quality}": {"quality": quality} for quality in (5, 50, 95, 100)},
    **{f"subsampling {how}": {"subsampling": how} for how in ("4:4:4", "4:2:2", "4:2:0")},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "RGB inside": {"keep_rgb": True},
}


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(64, 96), (61, 35), (1, 1), (17, 300)])
def test_a_jpegs_pixels_are_those_that_pillow_reads(
    options: dict[str, object], mode: str, size: tuple[int, int]
) -> None:
    data = encode(smooth(*size).convert(mode), "JPEG", **options)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(decode_image(data, max_pixels=10_000), expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_turned_as_its_exif_orientation_says(orientation: int, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(smooth(40, 60).convert(mode), "JPEG", exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(decode_image(data, max_pixels=10_000), expected)


@pytest.mark.parametrize("kept", [0.5, 0.7, 0.95])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"], ids=["cut off", "cut off and closed"])
def test_half_a_jpeg_is_treated_as_pillow_treats_it(kept: float, end: bytes) -> None:
    whole = encode(smooth(64, 96), "JPEG", quality=95)
    data = whole[: int(len(whole) * kept)] + end
    with Image.open(io.BytesIO(data)) as image:
        if end:
            assert np.array_equal(decode_image(data, max_pixels=10_000), np.asarray(image))
        else:
            with pytest.raises(ImageError, match="truncated"):
                decode_image(data, max_pixels=10_000)


def test_bytes_after_a_jpegs_end_change_nothing() -> None:
    data = encode(smooth(64, 96), "JPEG")
    frame = decode_image(data, max_pixels=10_000)
    assert np.array_equal(decode_image(data + bytes(40), max_pixels=10_000), frame)


def spread(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Values from 0 to 255 by their own range."""
    low, high = float(values.min()), float(values.max())
    return (values - low) * 255 / (high - low)


@pytest.mark.parametrize(
    ("kind", "deep"),
    [
        ("PNG", RNG.integers(0, 65536, (20, 30)).astype(np.uint16)),
        ("PNG", RNG.integers(0, 4096, (20, 30)).astype(np.uint16)),
        ("TIFF", RNG.integers(29_000, 31_000, (20, 30)).astype(np.uint16)),
        ("TIFF", RNG.integers(0, 100_000, (20, 30)).astype(np.int32)),
        ("TIFF", RNG.uniform(0, 1, (20, 30)).astype(np.float32)),
        ("PNG", RNG.integers(0, 4096, (20, 30, 3)).astype(np.uint16)),
        ("TIFF", RNG.integers(0, 4096, (20, 30, 3)).astype(np.uint16)),
    ],
    ids=["16 bits", "12 bits", "thermal", "32 bits", "floats", "colours PNG", "colours TIFF"],
)
def test_deep_values_are_scaled_by_their_range(kind: str, deep: NDArray[np.generic]) -> None:
    if deep.ndim == 3:
        data = cv2.imencode(f".{kind.lower()}", deep[..., ::-1])[1].tobytes()
    else:
        data = encode(Image.fromarray(deep), kind)
    frame = decode(data)[1:].astype(float)
    expected = spread(deep)
    expected = expected if deep.ndim == 3 else np.repeat(expected[..., None], 3, axis=2)
    assert np.abs(frame - expected[1:]).max() <= 1


def test_a_hot_pixel_does_not_set_the_range_and_what_is_no_number_is_black() -> None:
    deep = np.linspace(0, 1, 3000, dtype=np.float32).reshape(50, 60)
    deep[20, 20], deep[30, 30] = 1e6, np.nan
    frame = decode_image(encode(Image.fromarray(deep), "TIFF"), max_pixels=3000)
    assert frame[20, 20].tolist() == [255] * 3
    assert frame[30, 30].tolist() == [0] * 3
    assert abs(int(frame[25, 0, 0]) - 128) <= 1


def test_deep_pictures_are_turned_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = np.arange(600, dtype=np.uint16).reshape(20, 30)
    turned = decode(encode(Image.fromarray(deep), exif=exif))
    assert turned.shape == (30, 20, 3)
    assert turned[29, 19, 0] < turned[29, 0, 0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    assert decode(encode(PICTURE.convert(mode))).shape == (20, 30, 3)


def test_of_an_animation_the_first_picture_is_shown() -> None:
    first, second = Image.new("RGB", (30, 20), "red"), Image.new("RGB", (30, 20), "blue")
    assert (decode(encode(first, "GIF", save_all=True, append_images=[second]))[1:, :, 0] > 200).all()


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"%PDF-1.4", b"\xff\xd8\xff", encode(PICTURE)[:300]])
def test_what_is_no_whole_image_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"^upload: "):
        decode(data)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(ImageTooLarge, match=r"^upload: is 40×30, more than the allowed 1000 pixels"):
        decode(encode(PICTURE.resize((40, 30))))
    with pytest.raises(ImageTooLarge, match=r"^upload: "):
        decode(encode(Image.new("1", (20_000, 20_000))))


def test_damaged_files_never_raise_anything_else() -> None:
    whole = [encode(PICTURE, kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")]
    for turn in range(600):
        data = bytearray(whole[turn % len(whole)])
        for _ in range(4):
            data[RNG.integers(len(data))] = RNG.integers(256)
        with suppress(ImageError, ImageTooLarge):
            decode_image(bytes(data[: RNG.integers(len(data))]), max_pixels=10_000)
