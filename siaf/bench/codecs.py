"""How long encoding and decoding masks and images takes, next to the network."""

import base64
import binascii
import json
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from siaf.bench.clip import MovingObjects
from siaf.bench.clock import Clock
from siaf.bench.network import Bench
from siaf.engines.base import Engine
from siaf.evaluation.table import Row
from siaf.frames.images import decode_image
from siaf.masks import decode_rle, encode_rle

_SIZES = {"1080p": (1080, 1920), "4K": (2160, 3840)}


def codecs(model: Engine, clock: Clock, height: int, width: int) -> Iterator[Row]:
    """Milliseconds of every conversion of one mask or frame, at 1080p and 4K, and of a propagated frame there."""
    times: dict[str, dict[str, float]] = {}
    for name, size in _SIZES.items():
        calls = _calls(*size)
        bench = Bench(model, *size, 1)
        calls |= {"network: propagated frame": bench.propagate, "network: encoder": bench.encode}
        calls |= _sdk_calls(*size)
        times[name] = clock.best(calls)
    for call in next(iter(times.values())):
        yield {"conversion": call, **{f"{name} ms": found[call] for name, found in times.items()}}


def _calls(height: int, width: int) -> dict[str, Callable[[], object]]:
    clip = MovingObjects(2, height, width, 1)
    frame, mask = clip[0], clip.mask(0) == 1
    rle = encode_rle(mask)
    _, jpeg = cv2.imencode(".jpg", frame[..., ::-1])
    data = jpeg.tobytes()
    text = base64.b64encode(data).decode()
    answer = json.dumps(rle)
    return {
        "RLE encode": lambda: encode_rle(mask),
        "RLE decode": lambda: decode_rle(rle, height=height, width=width),
        "RLE to JSON": lambda: json.dumps(rle),
        "RLE from JSON": lambda: json.loads(answer),
        "base64 decode": lambda: binascii.a2b_base64(text, strict_mode=True),
        "JPEG decode": lambda: decode_image(data, max_pixels=height * width, field="image"),
    }


def _sdk_calls(height: int, width: int) -> dict[str, Callable[[], object]]:
    """cvat_sdk's own mask coder, where installed, for comparison."""
    try:
        from cvat_sdk.masks import decode_mask, encode_mask
    except ImportError:
        return {}
    mask = MovingObjects(2, height, width, 1).mask(0) == 1
    ys, xs = np.nonzero(mask)
    box = [float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)]
    points = encode_mask(mask, box)
    return {
        "cvat_sdk RLE encode": lambda: encode_mask(mask),
        "cvat_sdk RLE encode, box given": lambda: encode_mask(mask, box),
        "cvat_sdk RLE decode": lambda: decode_mask(points, image_width=width, image_height=height),
    }
