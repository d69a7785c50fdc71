"""CVAT's tracker: shapes and states in, shapes and states out, in both protocols."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from function_client import Client, base64_of, encode
from numpy.typing import NDArray

from siaf.masks import decode_rle, encode_rle

HEIGHT, WIDTH = 72, 96
Frames = NDArray[np.uint8]
BOX = {"type": "rectangle", "points": [5, 10, 25, 30]}


def square(left: int, top: int, side: int = 20) -> NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def mask_shape(mask: NDArray[np.bool_], **extra: Any) -> dict[str, Any]:
    return {"type": "mask", "points": encode_rle(mask), **extra}


def init(client: Client, image: bytes, *shapes: Any) -> list[Any]:
    states = client.cvat(image, shapes=list(shapes), states=[])["states"]
    assert len(states) == len(shapes)
    return list(states)


def follow(client: Client, image: bytes, states: list[Any]) -> dict[str, Any]:
    answer = client.cvat(image, shapes=[None] * len(states), states=states)
    assert len(answer["shapes"]) == len(answer["states"]) == len(states)
    return dict(answer)


ALL_KINDS = [
    BOX,
    {"type": "polygon", "points": [70, 40, 90, 40, 90, 60, 70, 60]},
    mask_shape(square(40, 5)),
    {"type": "polyline", "points": [30, 50, 40, 55, 50, 60]},
    {"type": "points", "points": [60, 20, 62, 24]},
]


class TestProtocol:
    """What CVAT relies on whatever the network finds."""

    def test_every_kind_of_shape_comes_back_as_what_it_was(self, client: Client, jpegs: list[bytes]) -> None:
        states = init(client, jpegs[0], *ALL_KINDS)
        for image in jpegs[1:4]:
            answer = follow(client, image, states)
            for shape, begun in zip(answer["shapes"], ALL_KINDS, strict=True):
                if shape is not None:
                    assert shape["type"] == begun["type"]
                    check_points(shape)
            states = answer["states"]

    def test_bare_lists_in_bare_lists_out(self, client: Client, jpegs: list[bytes]) -> None:
        states = init(client, jpegs[0], [5, 10, 25, 30], [70.5, 40, 90, 60])
        shapes = follow(client, jpegs[1], states)["shapes"]
        assert all(len(shape) == 4 and all(isinstance(x, float) for x in shape) for shape in shapes)

    def test_states_are_small_and_plain_json(self, client: Client, jpegs: list[bytes]) -> None:
        states = init(client, jpegs[0], *[BOX] * 30)
        states = follow(client, jpegs[1], states)["states"]
        assert all(len(json.dumps(state)) < 300 for state in states)
        assert states[0].keys() == {"session", "tag", "step", "revision", "mac"}

    def test_nothing_in_nothing_out(self, client: Client, jpegs: list[bytes]) -> None:
        assert client.cvat(jpegs[0], shapes=[], states=[]) == {"shapes": [], "states": []}

    def test_states_of_null_count_as_none(self, client: Client, jpegs: list[bytes]) -> None:
        assert len(client.cvat(jpegs[0], shapes=[BOX], states=None)["states"]) == 1

    def test_the_same_call_again_has_the_same_answer(self, client: Client, jpegs: list[bytes]) -> None:
        states = init(client, jpegs[0], BOX)
        first = follow(client, jpegs[1], states)
        follow(client, jpegs[2], first["states"])
        assert follow(client, jpegs[1], states) == first

    def test_going_back_branches_off(self, client: Client, jpegs: list[bytes]) -> None:
        states = init(client, jpegs[4], mask_shape(square(21, 10)))
        forward = follow(client, jpegs[5], states)
        backward = follow(client, jpegs[3], states)
        assert forward["states"] != backward["states"]
        again = follow(client, jpegs[6], forward["states"])
        assert follow(client, jpegs[6], forward["states"]) == again


def check_points(shape: dict[str, Any]) -> None:
    points = shape["points"]
    assert np.isfinite(points).all()
    if shape["type"] == "rectangle":
        assert points[0] < points[2]
        assert points[1] < points[3]
    elif shape["type"] == "mask":
        assert decode_rle(points, height=HEIGHT, width=WIDTH).any()
        assert len(points) >= 6
    else:
        assert len(points) % 2 == 0
        assert len(points) >= {"polygon": 6}.get(shape["type"], 2)


class TestObjects:
    """Several objects, new ones, edited ones, absent ones."""

    @pytest.fixture
    def client(self, recorded: Client) -> Client:
        return recorded

    @staticmethod
    def passes(client: Client) -> list[int]:
        """Objects of every propagation pass."""
        calls = client.service.model.calls
        return [sum(map(len, call.slots)) for call in calls if call.method == "propagate"]

    def test_ten_objects_are_one_pass(self, client: Client, jpegs: list[bytes]) -> None:
        shapes = [mask_shape(square(8 * i, 5 * i, 7)) for i in range(10)]
        states = init(client, jpegs[0], *shapes)
        follow(client, jpegs[1], states)
        assert self.passes(client) == [10]

    def test_objects_begun_apart_on_one_frame_are_one_pass(self, client: Client, jpegs: list[bytes]) -> None:
        one, two = init(client, jpegs[0], mask_shape(square(5, 10))), init(client, jpegs[0], mask_shape(square(70, 40)))
        answer = follow(client, jpegs[1], [*one, *two])
        assert self.passes(client) == [2]
        assert len({state["revision"] for state in answer["states"]}) == 1

    def test_an_object_added_later_joins_the_running_ones(self, client: Client, jpegs: list[bytes]) -> None:
        running = follow(client, jpegs[1], init(client, jpegs[0], mask_shape(square(5, 10))))["states"]
        added = init(client, jpegs[1], mask_shape(square(66, 40)))
        client.service.model.calls.clear()
        answer = follow(client, jpegs[2], [*running, *added])
        assert self.passes(client)[-1] == 2
        assert len({state["revision"] for state in answer["states"]}) == 1
        follow(client, jpegs[3], answer["states"])
        assert self.passes(client)[-1] == 2

    def test_objects_that_stand_at_different_frames_are_followed_apart(
        self, client: Client, jpegs: list[bytes]
    ) -> None:
        one = follow(client, jpegs[1], init(client, jpegs[0], mask_shape(square(5, 10))))["states"]
        two = follow(client, jpegs[3], init(client, jpegs[2], mask_shape(square(62, 40))))["states"]
        client.service.model.calls.clear()
        answer = follow(client, jpegs[4], [*one, *two])
        assert self.passes(client) == [1, 1]
        follow(client, jpegs[5], answer["states"])

    def test_new_and_running_shapes_in_one_call(self, client: Client, jpegs: list[bytes]) -> None:
        running = init(client, jpegs[0], BOX)
        new = mask_shape(square(66, 40), label_id=5)
        answer = client.cvat(jpegs[1], shapes=[BOX, new], states=[*running, None])
        assert answer["shapes"][1] == new
        assert answer["shapes"][0]["type"] == "rectangle"
        follow(client, jpegs[2], answer["states"])

    def test_old_clients_send_unchanged_shapes_along(self, client: Client, jpegs: list[bytes]) -> None:
        states = init(client, jpegs[0], BOX)
        expected = follow(client, jpegs[1], states)
        answer = client.cvat(jpegs[1], shapes=[BOX], states=states)
        assert answer["shapes"] == expected["shapes"]
        moved = client.cvat(jpegs[2], shapes=answer["shapes"], states=answer["states"])
        assert moved["shapes"] == follow(client, jpegs[2], expected["states"])["shapes"]

    def test_an_edited_shape_begins_anew_and_the_others_go_on(self, client: Client, jpegs: list[bytes]) -> None:
        one, two = mask_shape(square(5, 10)), mask_shape(square(70, 40))
        states = init(client, jpegs[0], one, two)
        untouched = follow(client, jpegs[1], states)
        edited = mask_shape(square(30, 30))
        answer = client.cvat(jpegs[1], shapes=[None, edited], states=states)
        assert answer["shapes"] == [untouched["shapes"][0], edited]
        # Back on this very frame, both are as they were left.
        back = follow(client, jpegs[1], answer["states"])
        assert back["shapes"][1]["points"] == edited["points"]
        follow(client, jpegs[2], answer["states"])

    def test_a_prompted_frame_gives_what_was_drawn(self, client: Client, jpegs: list[bytes]) -> None:
        mask = mask_shape(square(5, 10))
        states = follow(client, jpegs[1], init(client, jpegs[0], mask))["states"]
        assert follow(client, jpegs[0], states)["shapes"] == [mask]

    def test_an_absent_object_is_null_and_a_rectangle_stays(
        self, client: Client, jpegs: list[bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        states = init(client, jpegs[0], BOX, mask_shape(square(70, 40)))
        first = follow(client, jpegs[1], states)
        nothing = lambda *args: (np.zeros((HEIGHT, WIDTH), np.uint8), {})  # noqa: E731
        with monkeypatch.context() as patch:
            patch.setattr("siaf.session.propagation.mask_confidence", nothing)
            absent = follow(client, jpegs[2], first["states"])
        assert absent["shapes"] == [first["shapes"][0], None]
        everywhere = lambda *args: (np.full((HEIGHT, WIDTH), 2, np.uint8), {2: 1.0})  # noqa: E731
        with monkeypatch.context() as patch:
            patch.setattr("siaf.session.propagation.mask_confidence", everywhere)
            back = follow(client, jpegs[3], absent["states"])
        assert back["shapes"][1]["points"] == [0, HEIGHT * WIDTH, 0, 0, WIDTH - 1, HEIGHT - 1]

    def test_null_for_an_absent_rectangle_is_a_setting(
        self, start: Any, jpegs: list[bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = start(absent_rectangle="null")
        states = init(client, jpegs[0], BOX)
        monkeypatch.setattr(
            "siaf.session.propagation.mask_confidence", lambda *args: (np.zeros((HEIGHT, WIDTH), np.uint8), {})
        )
        assert follow(client, jpegs[1], states)["shapes"] == [None]


class TestRounds:
    """Shapes with tags are parts of a round on numbered frames (test_through_cvat.py)."""

    @pytest.mark.parametrize("tag", [0, 4])
    def test_a_tag_needs_a_numbered_frame(self, client: Client, jpegs: list[bytes], tag: int) -> None:
        stroke = {"type": "polyline", "points": [20, 20, 30, 22], "tag": tag}
        body = {"image": base64_of(jpegs[0]), "shapes": [BOX, stroke], "states": []}
        status, answer = client.call("POST", "/", body)
        assert (status, answer["error"]["field"]) == (400, "shapes[1].frame")

    def test_a_round_and_shapes_to_follow_in_one_call(self, client: Client, jpegs: list[bytes]) -> None:
        stroke = {"type": "polyline", "points": [20, 20, 30, 22], "tag": 4, "frame": 0, "frames": 12}
        body = {"image": base64_of(jpegs[0]), "shapes": [stroke, BOX], "states": []}
        status, answer = client.call("POST", "/", body)
        assert (status, answer["error"]["field"]) == (400, "shapes[0].frame")


class TestTokens:
    """Nobody else's, nobody's old ones, nothing changed."""

    def refused(self, client: Client, image: bytes, states: Any) -> tuple[int, str]:
        body = {"image": base64_of(image), "shapes": [None], "states": states}
        status, answer = client.call("POST", "/", body)
        return status, answer["error"]["field"]

    @pytest.mark.parametrize(
        "change", [{"tag": 2}, {"session": "0" * 32}, {"step": 7}, {"mac": ""}, {"mac": "\ud800"}, {"more": 1}]
    )
    def test_a_changed_state(self, client: Client, jpegs: list[bytes], change: dict[str, Any]) -> None:
        (state,) = init(client, jpegs[0], BOX)
        assert self.refused(client, jpegs[1], [{**state, **change}]) == (422, "states[0]")

    @pytest.mark.parametrize("state", [{}, {"n": 0}, "abc", 5, [], True])
    def test_what_is_no_state_of_this_function(self, client: Client, jpegs: list[bytes], state: Any) -> None:
        assert self.refused(client, jpegs[1], [state]) == (422, "states[0]")

    def test_a_state_of_another_store(self, client: Client, start: Any, jpegs: list[bytes]) -> None:
        assert self.refused(client, jpegs[1], init(start(), jpegs[0], BOX)) == (422, "states[0]")

    def test_a_state_of_other_weights(
        self, start: Any, other_weights: Path, jpegs: list[bytes], tmp_path: Path
    ) -> None:
        store = f"file:{tmp_path}"
        before = start(store=store)
        states = follow(before, jpegs[1], init(before, jpegs[0], BOX))["states"]
        assert self.refused(start(store=store, weights=other_weights), jpegs[1], states) == (422, "states[0]")

    def test_a_state_that_was_forgotten(self, start: Any, jpegs: list[bytes]) -> None:
        client = start(session_ttl=3600)
        (state,) = init(client, jpegs[0], BOX)
        store = client.service._store
        store.delete(f"track/{state['revision']}/snapshot")
        client.service._tracker._tracks._live.clear()
        assert self.refused(client, jpegs[1], [state]) == (404, "states[0]")

    def test_a_frame_of_another_size(self, client: Client, jpegs: list[bytes], clip: Frames) -> None:
        states = init(client, jpegs[0], BOX)
        small = encode(clip[1, :50])
        assert self.refused(client, small, states) == (422, "image")


class TestAnotherWorker:
    """Nothing of a tracker session is in the worker alone."""

    @pytest.fixture
    def workers(self, start: Any, tmp_path: Any) -> tuple[Client, Client]:
        store = f"file:{tmp_path}"
        return start(store=store), start(store=store)

    def test_goes_on_with_the_same_result(self, workers: tuple[Client, Client], jpegs: list[bytes]) -> None:
        one = workers[0]
        shapes = [mask_shape(square(5, 10)), mask_shape(square(70, 40))]
        states, apart = init(one, jpegs[0], *shapes), None
        alone = init(one, jpegs[0], *shapes)
        for turn, image in enumerate(jpegs[1:]):
            answer = follow(workers[turn % 2], image, states)
            states = answer["states"]
            apart = follow(one, image, alone)
            alone = apart["states"]
            assert answer["shapes"] == apart["shapes"]

    def test_finds_the_memories_of_a_long_way_and_the_store_holds_few(
        self, workers: tuple[Client, Client], jpegs: list[bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = workers
        held, store = set(), one.service._store
        put, delete = store.put, store.delete
        monkeypatch.setattr(store, "put", lambda key, *rest: (held.add(key), put(key, *rest)))
        monkeypatch.setattr(store, "delete", lambda *keys: (held.difference_update(keys), delete(*keys)))
        way = [init(one, jpegs[0], mask_shape(square(5, 10)))]
        images = [jpegs[1 + step % 11] for step in range(90)]
        for image in images[:89]:
            way.append(follow(one, image, way[-1])["states"])
        assert len([key for key in held if key.endswith("/memory")]) == 16 + 10  # steps, and every fifth before them
        for step in (89, 80):  # the next, and one that is asked again
            found = follow(other, images[step], way[step])
            chain = other.service._tracker._tracks.load(found["states"][0]["revision"], "").track.chain
            assert len(chain.transient) == 10
            assert found["shapes"] == follow(one, images[step], way[step])["shapes"]

    def test_goes_on_after_the_memory_of_the_step_was_dropped(
        self, workers: tuple[Client, Client], jpegs: list[bytes]
    ) -> None:
        one, other = workers
        states = init(one, jpegs[0], mask_shape(square(5, 10)))
        for image in jpegs[1:4]:
            states = follow(one, image, states)["states"]
        one.service._store.delete(f"track/{states[0]['revision']}/memory")
        assert len(follow(other, jpegs[4], states)["shapes"]) == 1
