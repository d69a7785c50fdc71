"""Encoded pictures from anyone: what is shown, and what is refused."""

import io
from contextlib import suppress

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from siaf.images import ImageError, ImageTooLarge, decode_image

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


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_become_8(kind: str) -> None:
    deep = RNG.integers(0, 65536, (20, 30)).astype(np.uint16)
    assert np.array_equal(decode(encode(Image.fromarray(deep), kind))[1:, :, 1], deep[1:] >> 8)


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
