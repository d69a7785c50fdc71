"""A session that somebody made of the same pixels spoils nobody's work."""

import io
import json
from collections.abc import Callable

import pytest
from function_client import Client
from PIL import Image

from siaf.masks import decode_rle

HEIGHT, WIDTH = 72, 96


def test_one_of_another_size_cannot_bind_a_frame(start: Callable[..., Client], jpegs: list[bytes]) -> None:
    client = start()
    own = client.ok("POST", "/v1/sessions", {"frames": 1, "width": WIDTH, "height": HEIGHT})["id"]
    digest = client.upload(own, 0, jpegs[0])["digest"]
    other = client.ok("POST", "/v1/sessions", {"frames": 1, "width": 10, "height": 10})["id"]
    body = {"digests": [{"frame": 0, "digest": digest}]}
    assert client.ok("POST", f"/v1/sessions/{other}/frames/missing", body)["missing"] == [0]
    twin = client.ok("POST", "/v1/sessions", {"frames": 1, "width": WIDTH, "height": HEIGHT})["id"]
    assert client.ok("POST", f"/v1/sessions/{twin}/frames/missing", body)["missing"] == []


@pytest.mark.parametrize("spoil", ["record", "state", "size"])
def test_whatever_is_wrong_with_it_the_click_is_answered(
    start: Callable[..., Client], jpegs: list[bytes], spoil: str
) -> None:
    client = start(interactor_reply="shapes")
    session = client.ok("POST", "/v1/sessions", {"frames": 1, "width": WIDTH, "height": HEIGHT})["id"]
    client.upload(session, 0, jpegs[0])
    round_ = {"revision": 0, "scribbles": [{"frame": 0, "strokes": [{"tag": 7, "points": [[15, 20]]}]}]}
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_)
    store, key = client.service._store, f"session/{session}/record"
    record = json.loads(store.get(key))
    client.service._sessions._live.clear()
    if spoil == "record":
        store.put(key, b"{}", 60)
    elif spoil == "state":
        store.put(record["state"], b"no state", 60)
    else:
        store.put(key, json.dumps({**record, "width": 10, "height": 10}).encode(), 60)
    (shape,) = client.cvat(jpegs[0], pos_points=[[15, 20]], neg_points=[])["shapes"]
    assert "tag" not in shape


def test_a_part_of_a_frame_is_looked_at_alone(start: Callable[..., Client], jpegs: list[bytes]) -> None:
    """What CVAT sends of a region of interest: a cut-out, JPEG pictures compressed anew."""
    client = start()
    session = client.ok("POST", "/v1/sessions", {"frames": 1, "width": WIDTH, "height": HEIGHT})["id"]
    client.upload(session, 0, jpegs[0])
    round_ = {"revision": 0, "scribbles": [{"frame": 0, "strokes": [{"tag": 7, "points": [[15, 20]]}]}]}
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_)
    left, top, right, bottom = region = (4, 6, 60, 50)
    packed = io.BytesIO()
    Image.open(io.BytesIO(jpegs[0])).crop(region).save(packed, "JPEG")
    click = [[15 - left, 20 - top]]
    (shape,) = client.cvat(packed.getvalue(), pos_points=click, neg_points=[])["shapes"]
    assert "tag" not in shape
    mask = decode_rle(shape["points"], height=bottom - top, width=right - left)
    assert mask[20 - top, 15 - left]
    (whole,) = client.cvat(jpegs[0], pos_points=[[15, 20]], neg_points=[])["shapes"]
    assert whole["tag"] == 7


def test_sharing_can_be_turned_off(start: Callable[..., Client], jpegs: list[bytes]) -> None:
    client = start(share_frames=False, interactor_reply="shapes")
    session = client.ok("POST", "/v1/sessions", {"frames": 1, "width": WIDTH, "height": HEIGHT})["id"]
    digest = client.upload(session, 0, jpegs[0])["digest"]
    round_ = {"revision": 0, "scribbles": [{"frame": 0, "strokes": [{"tag": 7, "points": [[15, 20]]}]}]}
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_)
    (shape,) = client.cvat(jpegs[0], pos_points=[[15, 20]], neg_points=[])["shapes"]
    assert "tag" not in shape
    twin = client.ok("POST", "/v1/sessions", {"frames": 1, "width": WIDTH, "height": HEIGHT})["id"]
    body = {"digests": [{"frame": 0, "digest": digest}]}
    assert client.ok("POST", f"/v1/sessions/{twin}/frames/missing", body)["missing"] == [0]
