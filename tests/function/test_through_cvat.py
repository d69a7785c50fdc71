"""Rounds through CVAT's own door: tracker calls that give exactly what the library gives."""

from typing import Any

import numpy as np
import pytest
from function_client import Client, base64_of
from numpy.typing import NDArray

from siaf import Scribble, Session
from siaf.masks import decode_rle, index_mask_to_rles
from siaf.model.loaded import Model

HEIGHT, WIDTH = 72, 96
Frames = NDArray[np.uint8]
Masks = dict[int, NDArray[np.uint8]]

ROUNDS: list[dict[int, list[tuple[int, list[list[float]]]]]] = [
    {3: [(1, [[20, 20], [30, 20]])], 8: [(2, [[45, 50], [55, 50]]), (0, [[2, 2], [9, 2]])]},
    {6: [(1, [[30, 25], [40, 25]])]},
]
TAGS = [1, 2]


class ThroughCvat:
    """A client as the sync is one: it sees masks and states, never a frame."""

    def __init__(self, client: Client, jpegs: list[bytes]) -> None:
        self.client, self.jpegs = client, jpegs
        self.states: dict[int, Any] = {}
        self.masks: Masks = {}

    def send(self, frame: int, shapes: list[Any]) -> dict[str, Any]:
        first = next(iter(self.states.values()), None)
        states = [self.states.get(s["tag"] if s else tag, first) for s, tag in zip(shapes, TAGS * 20, strict=False)]
        answer = self.client.cvat(self.jpegs[frame], shapes=shapes, states=states if first else [])
        self.states |= {state["tag"]: state for state in answer["states"]}
        for tag in TAGS:  # an object that was not in this call goes on from it all the same
            if tag in self.states:
                self.states[tag] = next((s for s in answer["states"] if s["tag"] == tag), answer["states"][0])
        return dict(answer)

    def numbered(self, frame: int, **shape: Any) -> dict[str, Any]:
        return {"type": "points", "points": [0, 0], "frame": frame, "frames": len(self.jpegs), **shape}

    def take(self, frame: int, shapes: list[Any]) -> None:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        for shape in shapes:
            if shape is not None:
                mask[decode_rle(shape["points"], height=HEIGHT, width=WIDTH)] = shape["tag"]
        self.masks[frame] = mask

    def round(self, drawn: dict[int, list[dict[str, Any]]]) -> None:
        for frame, shapes in drawn.items():
            self.send(frame, [self.numbered(frame, **shape) for shape in shapes])
        answer: dict[str, Any] = {}
        for frame in drawn:
            answer = self.send(frame, [self.numbered(frame, tag=tag, read=True) for tag in TAGS])
            self.take(frame, answer["shapes"])
        while (frame := answer["next"]) is not None:
            done = answer["done"]
            answer = self.send(frame, [None] * len(TAGS))
            assert answer["frame"] == frame
            if answer["done"] > done:
                self.take(frame, answer["shapes"])
        assert answer["done"] == answer["total"]


def strokes(lines: list[tuple[int, list[list[float]]]]) -> list[dict[str, Any]]:
    return [{"type": "polyline", "points": [x for xy in points for x in xy], "tag": tag} for tag, points in lines]


@pytest.fixture(scope="module")
def expected(model: Model, clip: Frames) -> list[Masks]:
    session = Session(model, clip)
    result = []
    for given in ROUNDS:
        session.interact({f: [Scribble(t, np.array(p, float)) for t, p in lines] for f, lines in given.items()})
        for _ in session.propagate():
            pass
        result.append({f: session.mask(f) for f in range(12)})
    return result


def test_two_rounds_are_those_of_the_library(client: Client, jpegs: list[bytes], expected: list[Masks]) -> None:
    rounds = ThroughCvat(client, jpegs)
    for given, masks in zip(ROUNDS, expected, strict=True):
        rounds.round({frame: strokes(lines) for frame, lines in given.items()})
        assert all(np.array_equal(rounds.masks[frame], masks[frame]) for frame in range(12))


def test_workers_take_turns(start: Any, jpegs: list[bytes], tmp_path: Any, expected: list[Masks]) -> None:
    workers = [start(store=f"file:{tmp_path}") for _ in range(2)]

    class Turns(ThroughCvat):
        def send(self, frame: int, shapes: list[Any]) -> dict[str, Any]:
            self.client = workers[(workers.index(self.client) + 1) % 2]
            return super().send(frame, shapes)

    rounds = Turns(workers[0], jpegs)
    for given, masks in zip(ROUNDS, expected, strict=True):
        rounds.round({frame: strokes(lines) for frame, lines in given.items()})
        assert all(np.array_equal(rounds.masks[frame], masks[frame]) for frame in range(12))


def test_an_answer_that_was_lost_is_given_again(client: Client, jpegs: list[bytes]) -> None:
    rounds = ThroughCvat(client, jpegs)
    rounds.send(0, [rounds.numbered(0, **strokes(ROUNDS[0][3])[0])])
    read = rounds.send(0, [rounds.numbered(0, tag=1, read=True)])
    first = client.cvat(jpegs[1], shapes=[None], states=read["states"])
    assert client.cvat(jpegs[1], shapes=[None], states=read["states"]) == first
    assert (first["frame"], first["next"], first["done"], first["total"]) == (1, 2, 1, 11)


def test_masks_and_boxes_and_removing(client: Client, jpegs: list[bytes]) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:30, 5:25] = 2
    shapes = [
        {"type": "mask", "points": index_mask_to_rles(mask)[2], "tag": 2},
        {"type": "rectangle", "points": [40, 40, 60, 60], "tag": 1},
    ]
    rounds = ThroughCvat(client, jpegs)
    rounds.round({0: shapes})
    assert (rounds.masks[0][mask == 2] == 2).all()
    assert (rounds.masks[0] == 1).any()
    rounds.round({5: [{"tag": 2, "remove": True}, *strokes([(1, [[50, 50], [55, 50]])])]})
    assert all(not (rounds.masks[frame] == 2).any() for frame in range(12) if frame != 0)


@pytest.mark.parametrize("about", [None, [1], [1, 2], []])
def test_what_a_human_s_masks_speak_for(
    client: Client, model: Model, jpegs: list[bytes], clip: Frames, about: list[int] | None
) -> None:
    """`reference` and `about` are references and `about` of the library; a frame may be a reference without a mask."""
    shown = np.zeros((HEIGHT, WIDTH), np.uint8)
    shown[10:30, 5:25] = 1
    spoken = {} if about is None else {6: about, 9: about}
    session = Session(model, clip)
    line = ROUNDS[0][8][:1]
    drawn = {3: [Scribble(tag, np.array(points, float)) for tag, points in line]}
    session.interact(drawn, {6: shown, 9: np.zeros_like(shown)}, about=spoken)
    for _ in session.propagate():
        pass

    said = {"tag": 0, "reference": True, **({} if about is None else {"about": about})}
    mask = {"type": "mask", "points": index_mask_to_rles(shown)[1], "tag": 1}
    rounds = ThroughCvat(client, jpegs)
    rounds.round({3: strokes(line), 6: [said, mask], 9: [said]})
    assert all(np.array_equal(rounds.masks[frame], session.mask(frame)) for frame in range(12))


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"frame": 12}, 422, "shapes[0].frame"),
        ({"frames": 13}, 422, "shapes[0].frame"),
        ({"frames": None}, 400, "shapes[0].frame"),
        ({"tag": None}, 400, "shapes[0].frame"),
        ({"tag": 256}, 400, "shapes[0].tag"),
        ({"frame": -1}, 400, "shapes[0].frame"),
        ({"frame": 5, "read": True}, 422, "shapes[0].frame"),
        ({"points": [900, 900]}, 422, "shapes[0].points"),
        ({"reference": True, "about": [0]}, 400, "shapes[0].about"),
        ({"reference": True, "about": "all"}, 400, "shapes[0].about"),
        ({"reference": True, "frame": None, "frames": None}, 400, "shapes[0].frame"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    client: Client, jpegs: list[bytes], change: dict[str, Any], status: int, field: str
) -> None:
    rounds = ThroughCvat(client, jpegs)
    states = rounds.send(0, [rounds.numbered(0, tag=1, points=[20, 20])])["states"]
    shape = {**rounds.numbered(0, tag=1, points=[20, 20]), **change}
    body = {"image": base64_of(jpegs[0]), "shapes": [shape], "states": states}
    answer = client.call("POST", "/", body)
    assert (answer[0], answer[1]["error"]["field"]) == (status, field)


def test_a_frame_after_the_last_is_refused(client: Client, jpegs: list[bytes]) -> None:
    rounds = ThroughCvat(client, jpegs[:1])
    rounds.round({0: strokes([(1, [[20, 20], [25, 20]])])})
    body = {"image": base64_of(jpegs[1]), "shapes": [None], "states": [rounds.states[1]]}
    status, answer = client.call("POST", "/", body)
    assert (status, answer["error"]["field"]) == (422, "image")
