"""CVAT's interactor: clicks and boxes in, a mask that every CVAT shows out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from function_client import Client, base64_of, encode
from numpy.typing import NDArray

from function.calls.interactor import mask_json
from siaf.masks import decode_rle, index_mask_to_rles

HEIGHT, WIDTH = 72, 96
Frames = NDArray[np.uint8]


def bitmap(answer: dict[str, Any]) -> NDArray[np.bool_]:
    mask = np.array(answer["mask"])
    assert mask.shape == (HEIGHT, WIDTH)
    assert set(np.unique(mask)) <= {0, 255}
    return mask > 0


def frame(seed: int) -> bytes:
    """A picture that no other test has clicked on."""
    return encode(np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))


def test_a_single_click_is_in_the_mask(client: Client) -> None:
    assert bitmap(client.cvat(frame(1), pos_points=[[30.2, 20.7]], neg_points=[], obj_bbox=[]))[21, 30]


def test_a_negative_click_is_not(client: Client) -> None:
    mask = bitmap(client.cvat(frame(2), pos_points=[[30, 20]], neg_points=[[60, 50]], obj_bbox=None))
    assert mask[20, 30]
    assert not mask[50, 60]


def test_clicks_close_to_each_other_are_one_stroke(client: Client) -> None:
    points = [[20.0 + 1.5 * i, 30.0] for i in range(20)]
    assert bitmap(client.cvat(frame(3), pos_points=points, neg_points=[]))[30, 20:48].all()


@pytest.mark.parametrize("box", [[[10, 10], [40, 50]], [[-2.5, -1], [97, 73]]])
def test_a_box_alone_gives_a_mask(client: Client, box: list[list[float]]) -> None:
    assert bitmap(client.cvat(frame(4), pos_points=[], neg_points=[], obj_bbox=box)).any()


def test_several_boxes_are_several_objects(client: Client) -> None:
    answer = client.cvat(
        frame(5), pos_points=[[15, 15]], neg_points=[], obj_bbox=[[10, 10], [30, 30], [50, 40], [80, 60]]
    )
    assert len(answer["shapes"]) == 2
    assert bitmap(answer)[15, 15]


def test_shapes_are_what_new_user_interfaces_read(client: Client) -> None:
    answer = client.cvat(frame(6), pos_points=[[30, 20]], neg_points=[])
    (shape,) = answer["shapes"]
    assert shape["type"] == "mask"
    assert np.array_equal(decode_rle(shape["points"], height=HEIGHT, width=WIDTH), bitmap(answer))
    (attribute,) = shape["attributes"]
    assert attribute["spec_id"] == 0
    assert 0 <= float(attribute["value"]) <= 1
    assert isinstance(attribute["value"], str)
    assert "group" not in shape


@pytest.mark.parametrize(
    ("setting", "keys"), [("mask", {"mask"}), ("shapes", {"shapes"}), ("both", {"mask", "shapes"})]
)
def test_the_form_of_the_answer_is_a_setting(start: Callable[..., Client], setting: str, keys: set[str]) -> None:
    assert start(interactor_reply=setting).cvat(frame(7), pos_points=[[30, 20]], neg_points=[]).keys() == keys


def test_the_next_click_starts_from_the_last_answer(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    previous = []
    import function.calls.interactor as module

    segment = module.segment_clicks
    monkeypatch.setattr(
        module,
        "segment_clicks",
        lambda *args, **kwargs: previous.append(kwargs["earlier"]) or segment(*args, **kwargs),
    )
    picture = frame(8)
    first = bitmap(client.cvat(picture, pos_points=[[30, 20]], neg_points=[]))
    client.cvat(picture, pos_points=[[30, 20], [60, 60]], neg_points=[])
    client.cvat(picture, pos_points=[[50, 50]], neg_points=[])
    assert [len(p) for p in previous] == [0, 1, 0]
    assert np.array_equal(decode_rle(previous[1][1], height=first.shape[0], width=first.shape[1]), first)


def test_the_same_call_again_has_the_same_answer(client: Client) -> None:
    picture = frame(9)
    calls = [[[30, 20]], [[30, 20], [60, 60]], [[30, 20], [60, 60], [5, 5]]]
    first = [client.cvat(picture, pos_points=points, neg_points=[[40, 40]]) for points in calls]
    again = [client.cvat(picture, pos_points=points, neg_points=[[40, 40]]) for points in calls]
    assert first == again


def test_a_high_threshold_leaves_fewer_pixels(client: Client) -> None:
    low, high = (bitmap(client.cvat(frame(10), pos_points=[[30, 20]], neg_points=[], threshold=t)) for t in (0.2, 0.95))
    assert (high <= low).all()
    assert high.sum() < low.sum()


class TestFrameOfASession:
    """A picture that belongs to an open session is answered with all that the session knows."""

    @pytest.fixture
    def session(self, client: Client, jpegs: list[bytes]) -> str:
        return self.opened(client, jpegs)

    @staticmethod
    def opened(client: Client, jpegs: list[bytes]) -> str:
        session = client.ok("POST", "/v1/sessions", {"frames": 12, "width": WIDTH, "height": HEIGHT})["id"]
        for number, image in enumerate(jpegs):
            client.upload(session, number, image)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[10:30, 5:25], mask[40:60, 70:90] = 7, 4
        masks = [{"tag": tag, "rle": rle} for tag, rle in index_mask_to_rles(mask).items()]
        client.ok(
            "POST", f"/v1/sessions/{session}/rounds", {"revision": 0, "references": [{"frame": 0, "masks": masks}]}
        )
        return str(session)

    def test_the_object_under_the_click_keeps_its_tag(self, client: Client, session: str, jpegs: list[bytes]) -> None:
        answer = client.cvat(jpegs[0], pos_points=[[15, 20]], neg_points=[])
        assert [(s["tag"], s["group"]) for s in answer["shapes"]] == [(7, 7)]

    def test_a_box_around_a_known_object_means_that_object(
        self, client: Client, session: str, jpegs: list[bytes]
    ) -> None:
        answer = client.cvat(jpegs[0], pos_points=[], neg_points=[], obj_bbox=[[69, 39], [91, 61]])
        assert [s["tag"] for s in answer["shapes"]] == [4]

    def test_a_click_elsewhere_is_a_new_object(self, client: Client, session: str, jpegs: list[bytes]) -> None:
        answer = client.cvat(jpegs[0], pos_points=[[50, 5]], neg_points=[])
        assert [s["tag"] for s in answer["shapes"]] == [1]

    def test_the_other_interacted_frames_and_the_memory_take_part(self, recorded: Client, jpegs: list[bytes]) -> None:
        self.opened(recorded, jpegs)
        calls = recorded.service.model.calls
        calls.clear()
        recorded.cvat(jpegs[6], pos_points=[[15, 20]], neg_points=[])
        asked = [(call.method, call.count) for call in calls if call.method in ("propagate", "decode_masks")]
        assert asked == [("propagate", 1), *[("decode_masks", 2)] * 3]

    def test_without_the_frames_that_it_needs_a_session_stands_aside(
        self, client: Client, session: str, jpegs: list[bytes]
    ) -> None:
        digest = client.upload(session, 0, jpegs[0])["digest"]
        client.service._store.delete(f"frame/{digest}-{WIDTH}x{HEIGHT}")
        client.service._sessions._live.clear()
        client.service._features._entries.clear()
        (shape,) = client.cvat(jpegs[5], pos_points=[[50, 5]], neg_points=[])["shapes"]
        assert {"tag", "group"}.isdisjoint(shape)  # a tag of another picture's own would be some object of the session

    def test_clicking_changes_nothing_in_the_session(self, client: Client, session: str, jpegs: list[bytes]) -> None:
        before = client.raw("GET", f"/v1/sessions/{session}/state").body
        client.cvat(jpegs[4], pos_points=[[50, 5]], neg_points=[[70, 50]])
        assert client.raw("GET", f"/v1/sessions/{session}/state").body == before


def test_a_session_of_other_weights_stands_aside(
    start: Callable[..., Client], other_weights: Path, jpegs: list[bytes], tmp_path: Path
) -> None:
    """After an upgrade the store still has it; the labeler's click is answered all the same."""
    store = f"file:{tmp_path}"
    before = start(store=store)
    session = before.ok("POST", "/v1/sessions", {"frames": 1, "width": WIDTH, "height": HEIGHT})["id"]
    before.upload(session, 0, jpegs[0])
    round_ = {"revision": 0, "scribbles": [{"frame": 0, "strokes": [{"tag": 7, "points": [[15, 20]]}]}]}
    before.ok("POST", f"/v1/sessions/{session}/rounds", round_)
    after = start(store=store, weights=other_weights, interactor_reply="shapes")
    (shape,) = after.cvat(jpegs[0], pos_points=[[15, 20]], neg_points=[])["shapes"]
    assert "tag" not in shape


def test_a_mask_becomes_text_as_json_would_write_it() -> None:
    mask = np.random.default_rng(0).random((5, 7)) > 0.5
    assert json.loads(mask_json(mask)) == (mask * 255).tolist()
    assert json.loads(mask_json(np.ones((1, 1), bool))) == [[255]]


def test_a_charset_in_the_content_type_changes_nothing(client: Client) -> None:
    body = json.dumps({"image": base64_of(frame(11)), "pos_points": [[30, 20]], "neg_points": []}).encode()
    assert client.raw("POST", "/", body, "application/json; charset=utf-8").status_code == 200
