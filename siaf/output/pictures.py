"""Small pictures for the report: a frame with its masks and the strokes that a user drew."""

from base64 import b64encode
from collections.abc import Iterable

import cv2
import numpy as np

from siaf.frames.source import Frame
from siaf.masks import IndexMask
from siaf.output.overlay import draw_masks
from siaf.output.palette import BRIGHT, Colour
from siaf.scribbles import Scribble

LONGEST_SIDE = 480
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def thumbnail(frame: Frame, mask: IndexMask, scribbles: Iterable[Scribble] = ()) -> str:
    """JPEG data URI, at most `LONGEST_SIDE` pixels a side, of a frame with its masks and strokes.

    An object's strokes are light in its colour with a black rim, background strokes are black with a white
    rim, and a stroke "not this object" is black with a rim in the object's colour.
    """
    height, width = frame.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    small = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT).astype(np.uint8)
    picture = draw_masks(picture, small)
    for scribble in scribbles:
        _draw_stroke(picture, scribble, scale)
    # cv2 takes blue first.
    _, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + b64encode(jpeg.tobytes()).decode()


def _draw_stroke(picture: Frame, scribble: Scribble, scale: float) -> None:
    red, green, blue = BRIGHT[scribble.tag].tolist()
    core, rim = (red, green, blue), _BLACK
    if scribble.polarity == "negative":
        core, rim = rim, core
    elif scribble.tag == 0:
        core, rim = _BLACK, _WHITE
    _polyline(picture, scribble, scale, rim, extra=3)
    _polyline(picture, scribble, scale, core, extra=0)


def _polyline(picture: Frame, scribble: Scribble, scale: float, colour: Colour, *, extra: int) -> None:
    thickness = max(2, round(scribble.width * scale)) + extra
    path = np.round((scribble.points + 0.5) * scale - 0.5).astype(np.int32)
    if len(path) == 1:
        x, y = path[0].tolist()
        cv2.circle(picture, (x, y), max(2, thickness // 2 + 1), colour, cv2.FILLED, cv2.LINE_AA)
    else:
        cv2.polylines(picture, [path], False, colour, thickness, cv2.LINE_AA)
