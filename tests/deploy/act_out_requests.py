"""One scene of act_out_base_stage.py: Nuclio's part played by hand, in the image's Python."""

import base64
import io
import json
import logging
import sys
from typing import Any

import nuclio_sdk
from PIL import Image, ImageDraw

import function.main
import siaf

SIZE = (320, 200)  # width, height


def picture(x: int) -> str:
    """A bright disc at x on a dark ground, as CVAT sends a frame."""
    image = Image.new("RGB", SIZE, (40, 60, 50))
    ImageDraw.Draw(image).ellipse((x - 30, 70, x + 30, 130), fill=(230, 120, 40))
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def ask(context: Any, body: dict[str, Any]) -> Any:
    """What CVAT would read."""
    event = nuclio_sdk.Event(body=body, content_type="application/json", method="POST", path="/")
    response = function.main.handler(context, event)
    assert response.status_code == 200, (response.status_code, response.body)
    assert response.content_type == "application/json"
    return json.loads(response.body)


def interactor(context: Any) -> None:
    body = {"image": picture(100), "pos_points": [[100, 100]], "neg_points": [], "obj_bbox": []}
    (shape,) = ask(context, body)["shapes"]
    *runs, left, top, right, bottom = shape["points"]
    assert 0 <= left <= right < SIZE[0] and 0 <= top <= bottom < SIZE[1]
    assert sum(runs) == (right - left + 1) * (bottom - top + 1)
    pixels = sum(runs[1::2])
    print(f"    mask of {pixels} pixels; the disc has {3.1416 * 30 * 30:.0f}")


def tracker(context: Any) -> None:
    box = {"type": "rectangle", "points": [70, 70, 130, 130]}
    states = ask(context, {"image": picture(100), "shapes": [box], "states": []})["states"]
    reply = ask(context, {"image": picture(112), "shapes": [None], "states": states})
    print(f"    the disc moved 12 to the right: {box['points']} -> {reply['shapes'][0]['points']}")


def main() -> None:
    here = [module.__file__ for module in (siaf, function.main)]
    print("    " + " ".join(map(str, here)))
    logger = nuclio_sdk.Logger(logging.INFO)
    logger.set_handler("default", sys.stderr, nuclio_sdk.logger.HumanReadableFormatter())
    context = nuclio_sdk.Context(logger)
    function.main.init_context(context)
    {"interactor": interactor, "tracker": tracker}[sys.argv[1]](context)


main()
