"""A small folder in the layout of DAVIS 2017: two sequences, several objects, three sets of scribbles."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from function.http.messages import Request
from function.service import Service
from function.settings import Settings
from function.store import open_store
from siaf.evaluation.davis import LabelledSequence, write_sequence
from siaf.evaluation.interactive import robot_sets
from siaf.frames.source import ArrayFrames, Frame
from siaf.model.loaded import Model

HEIGHT, WIDTH = 72, 96
COLOURS = ((210, 40, 40), (40, 60, 210), (40, 190, 60))


def squares(name: str, objects: int, length: int = 6) -> LabelledSequence:
    """Squares of different colours that move over noise, tags 1 to `objects`."""
    rng = np.random.default_rng(objects)
    frames = np.repeat(rng.integers(90, 120, (1, HEIGHT, WIDTH, 3), dtype=np.uint8), length, axis=0)
    masks = np.zeros((length, HEIGHT, WIDTH), np.uint8)
    for i in range(length):
        for tag in range(1, objects + 1):
            area = np.s_[i, 24 * tag - 22 : 24 * tag - 2, 5 + 10 * tag + 3 * i : 27 + 10 * tag + 3 * i]
            frames[area], masks[area] = COLOURS[tag - 1], tag
    return LabelledSequence(name, ArrayFrames(frames), masks)


@pytest.fixture(scope="session")
def two_objects() -> LabelledSequence:
    return squares("duo", 2)


@pytest.fixture(scope="session")
def davis2017(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("davis2017")
    for sequence in (squares("duo", 2), squares("trio", 3)):
        write_sequence(root, robot_sets(sequence))
    return root


class _Silent:
    def info_with(self, message: str, *args: object, **kwargs: object) -> None: ...

    def error_with(self, message: str, *args: object, **kwargs: object) -> None: ...


@pytest.fixture
def function(tiny_model: Model) -> Callable[..., dict[str, Any]]:
    """CVAT's calls to the function with the same networks: a frame and the body's other keys in, the answer out."""
    service = Service(tiny_model, open_store("memory:", 2**26), Settings(interactor_reply="mask"))

    def call(frame: Frame, **body: Any) -> dict[str, Any]:
        picture = io.BytesIO()
        Image.fromarray(frame).save(picture, "PNG")
        body = {"image": base64.b64encode(picture.getvalue()).decode(), **body}
        reply = service.answer(Request("POST", "/", body), _Silent())
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    return call
