"""Files that are none, that are damaged, or that are out of the ordinary."""

import numpy as np
import pytest
from bad_requests import HEIGHT, PICTURE, RNG, WIDTH, error_of, file
from function_client import Client, base64_of
from PIL import Image

from siaf.masks import decode_rle


def status(client: Client, data: bytes) -> tuple[int, str | None]:
    return error_of(client, {"image": base64_of(data), "pos_points": [[5, 5]], "neg_points": []})


@pytest.mark.parametrize("text", ["%%%", "äöü", "QQ", "data:image/png;base64,QQ==", "Q\nQ=="])
def test_not_base64(client: Client, text: str) -> None:
    assert error_of(client, {"image": text, "pos_points": [[5, 5]]}) == (415, "image")


@pytest.mark.parametrize(
    "data",
    [b"", b"no image", b"%PDF-1.4", b"<svg xmlns='http://www.w3.org/2000/svg'/>", file(PICTURE)[:500]],
)
def test_not_an_image(client: Client, data: bytes) -> None:
    assert status(client, data) == (415, "image")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_image(client: Client, kind: str) -> None:
    data = file(PICTURE, kind)
    assert status(client, data[: len(data) // 2]) == (415, "image")


def test_a_decompression_bomb(client: Client) -> None:
    bomb = file(Image.new("1", (20_000, 20_000)))
    assert len(bomb) < 100_000
    assert status(client, bomb) == (413, "image")


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (file(Image.new("RGB", (1, 1))), (1, 1)),
        (file(PICTURE.convert("CMYK"), "JPEG"), (HEIGHT, WIDTH)),
        (file(Image.fromarray(RNG.integers(0, 65535, (40, 50)).astype(np.uint16))), (40, 50)),
        (file(PICTURE.convert("LA")), (HEIGHT, WIDTH)),
        (file(PICTURE.convert("P")), (HEIGHT, WIDTH)),
        (file(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(180)]), (HEIGHT, WIDTH)),
        (file(Image.new("RGB", (3, 2000))), (2000, 3)),
    ],
    ids=["1x1", "CMYK", "16 bit", "grey with alpha", "palette", "animated GIF", "very narrow"],
)
def test_unusual_images_are_taken(client: Client, data: bytes, size: tuple[int, int]) -> None:
    mask = client.cvat(data, pos_points=[[0, 0]], neg_points=[])["mask"]
    assert np.shape(mask) == size


def test_a_rotated_image_counts_as_shown(client: Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    mask = client.cvat(file(PICTURE, "JPEG", exif=exif), pos_points=[[70, 90]], neg_points=[])["mask"]
    assert np.shape(mask) == (WIDTH, HEIGHT)


def test_a_rotated_frame_counts_as_shown_in_every_call(client: Client) -> None:
    """Upright size for an uploaded frame and for the tracker too."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = file(PICTURE, "JPEG", exif=exif)
    session = client.ok("POST", "/v1/sessions", {"frames": 1, "width": HEIGHT, "height": WIDTH})["id"]
    assert client.upload(session, 0, turned)["frame"] == 0
    strokes = [{"tag": 1, "points": [[60, 90]]}]
    round_ = {"revision": 0, "scribbles": [{"frame": 0, "strokes": strokes}]}
    (frame,) = client.ok("POST", f"/v1/sessions/{session}/rounds", round_)["frames"]
    assert decode_rle(frame["masks"][0]["rle"], height=WIDTH, width=HEIGHT)[90, 60]
    box = {"type": "rectangle", "points": [10, 80, 40, 95]}
    states = client.cvat(turned, shapes=[box], states=[])["states"]
    assert client.cvat(turned, shapes=[None], states=states)["shapes"][0]["type"] == "rectangle"
