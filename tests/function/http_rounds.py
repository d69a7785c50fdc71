"""Sessions and rounds as a client of the function makes them, and the masks that it reads back."""

from typing import Any

import numpy as np
from function_client import Client
from numpy.typing import NDArray

from siaf.masks import rles_to_index_mask

HEIGHT, WIDTH = 72, 96
Masks = dict[int, NDArray[np.uint8]]

FIRST = {3: [(1, [[20, 20], [30, 20]])], 8: [(2, [[45, 50], [55, 50]])]}
SECOND = {6: [(1, [[30, 25], [40, 25]]), (0, [[5, 60], [30, 65]])]}


def open_session(client: Client, jpegs: list[bytes], **more: Any) -> str:
    """A session with all its frames uploaded; its id."""
    body = {"frames": len(jpegs), "width": WIDTH, "height": HEIGHT, **more}
    session = str(client.ok("POST", "/v1/sessions", body)["id"])
    for number, image in enumerate(jpegs):
        client.upload(session, number, image)
    return session


def round_body(revision: int, strokes: dict[int, list[tuple[int, Any]]], **more: Any) -> dict[str, Any]:
    """A round with these strokes, (tag, points) by frame."""
    scribbles = [
        {"frame": frame, "strokes": [{"tag": tag, "points": points} for tag, points in lines]}
        for frame, lines in strokes.items()
    ]
    return {"revision": revision, "scribbles": scribbles, **more}


def read(frames: list[dict[str, Any]]) -> Masks:
    """Index masks by frame, of the masks in an answer."""
    return {
        f["frame"]: rles_to_index_mask(
            {m["tag"]: m["rle"] for m in f["masks"] if m["rle"] is not None}, height=HEIGHT, width=WIDTH
        )
        for f in frames
    }


def propagate(client: Client, session: str, budget_s: float = 60) -> Masks:
    """All frames that the calls of a propagation answer."""
    masks, after = {}, 0
    while True:
        answer = client.ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": budget_s, "after": after})
        masks |= read(answer["frames"])
        after = answer["done"]
        if after == answer["total"]:
            return masks
