"""State files that no siaf has written: a good one, changed in one place, so that everything else about it is right."""

import json
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor


def document_of(data: bytes) -> dict[str, Any]:
    """The JSON document of a state file."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(json.loads(header["__metadata__"]["siaf"]))


def with_changes(data: bytes, **changes: object) -> bytes:
    """A state file whose document has other entries."""
    return save(load(data), {"siaf": json.dumps({**document_of(data), **changes})})


Path = tuple[str | int, ...]
NOWHERE = 10**6
"""A frame beyond any test's video."""

DOCUMENT: list[tuple[Path, list[Any]]] = [
    (("format",), ["siaf", None, 5]),
    (("version",), [1, 3, "2", 2.5, None, 10**400]),
    (("model",), ["siaf-r50", None]),
    (("weights",), ["", 7]),
    (("short_side",), [97, "65"]),
    (("autocast",), [True, 1]),
    (("grid",), [[6, 5], [1, 30], [5], [5, 6, 1], [0, 0], [-5, -6], [10**9, 10**9], None]),
    (("revision",), [-1, 1.5, "1", 10**30]),
    (("digests",), [None, {}, {"3": 5}, {str(NOWHERE): "0" * 32}]),
    (("rounds",), [None, {}, [None], [{}]]),
    (("rounds", 0, "scribbles"), [None, {str(NOWHERE): []}, {"3": [{}]}, {"3": 5}, {"x": []}]),
    (("rounds", 0, "scribbles", "3", 0, "points"), [[], [[1]], [[1, 2, 3]], [[float("nan"), 1]], [[1e300, 1]], "x"]),
    (("rounds", 0, "scribbles", "3", 0, "width"), [0, -1, float("inf"), 1e9, "3"]),
    (("rounds", 0, "scribbles", "3", 0, "tag"), [256, -1, 1.5, True]),
    (("rounds", 0, "scribbles", "3", 0, "polarity"), ["maybe", None]),
    (("rounds", 0, "references"), [[NOWHERE], ["3"], 3]),
    (("rounds", 1, "before", "places"), [[5, 5], [None] * 10**5]),
    (("rounds", 1, "before", "masks"), [{}, {"3": 10**6}]),
    (("now",), [None, [], {}]),
    (("now", "masks"), [{}, {"3": -1}, {"3": 0, "5": 0}]),
    (("now", "known"), [{}, {"3": [0]}, {"3": [256]}, {"3": None}]),
    (("now", "interacted"), [{}, {"3": 0}, {"3": None}, {"-1": 1}]),
    (("now", "human"), [[4], None, [NOWHERE]]),
    (("now", "adopted"), [{"4": [1]}, {"3": ["1"]}]),
    (("now", "places"), [[], [1, 1], [1, 2, 3], [None] * 10**6, [0, 1], ["1"], {}]),
    (("now", "objects"), [[], [{"tag": 1}], [{"tag": 9, "label": None, "origin": {}}], None]),
    (("now", "objects", 0, "label"), [5, ["x"]]),
    (("now", "objects", 0, "origin"), [None, {"a": 5}, []]),
    (("results",), [None, {str(NOWHERE): 0}, {"2": 10**6}, {"2": "0"}]),
    (("confidence",), [None, {"2": 5}, {"2": {"1": float("nan")}}, {"2": {"1": float("inf")}}, {"2": {"0": 1}}]),
    (("remembered",), [{}, {"3": [0]}, {"3": [0, 99]}, {str(NOWHERE): [0, 1]}]),
    (("plan",), [None, [], {}]),
    (("plan", "at"), [-1, 10**6, 1.0, None]),
    (("plan", "stages"), [None, [[]], [[[3, [], []]]], [[[11, [1], []]]], [[[-1, [1], []]]], [[[3, [NOWHERE], []]]]]),
    (("plan", "stages", 0, 0, 1), [[0] * 10**5, ["x"], [None]]),
    (("plan", "stages", 0, 0, 2), [[0], [256], None]),
    (("plan", "stages", 3, 1, 2), [[1], [9]]),
    (("plan", "lanes"), [{"9": [0, 1, 1]}, {"0": [0, 1, 9]}, {"0": [3, 1, 1]}, {"0": []}, None]),
    (("made",), [None, {"x": "y"}, {"1": 5}]),
    (("walked",), [None, {"1>2": 5}]),
    (("something new",), [1]),
]


def crafted(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Files by a name that says what is wrong with each. `good`: a state whose propagation is under way."""
    document, tensors = document_of(good), load(good)
    for path, values in DOCUMENT:
        name = ".".join(map(str, path))
        for value in values:
            yield f"{name} = {str(value)[:30]}", _file(tensors, _changed(document, path, value))
        if len(path) == 1 and path[0] in document and path[0] not in ("short_side", "autocast"):
            yield f"{name} missing", _file(tensors, {k: v for k, v in document.items() if k != path[0]})
    for name, changed in _tensors(tensors):
        yield name, _file(changed, document)
    yield from _headers(good, document)


def _changed(document: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    twin = list(document) if isinstance(document, list) else dict(document)
    inner = twin[path[0]] if len(path) > 1 else None
    twin[path[0]] = _changed(inner, path[1:], value)
    return twin


def _file(tensors: dict[str, Tensor], document: Any) -> bytes:
    return bytes(save(tensors, {"siaf": json.dumps(document)}))


def _tensors(good: dict[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    key = next(name for name in sorted(good) if name.startswith("memory.") and name.endswith(".key"))
    value, lane = key.removesuffix("key") + "value", next(name for name in sorted(good) if name.startswith("lane."))
    for name in (key, value, lane, "mask.0"):
        yield f"{name} missing", {k: v for k, v in good.items() if k != name}
    for extra in ("memory.99.0.key", "mask.999", "carried.0.0.key", "carried.7.0.key", "x", "lane.5.short.0.key"):
        yield f"{extra} too", {**good, extra: good[key].clone()}
    for name in (key, value, lane):
        tensor = good[name]
        groups, tokens, channels = tensor.shape
        for kind in (torch.float16, torch.float64, torch.int32, torch.bool, torch.bfloat16, torch.float8_e4m3fn):
            yield f"{name} {kind}", {**good, name: tensor.to(kind)}
        for shape in (
            (tokens, channels),
            (1, groups, tokens, channels),
            (tokens, groups, channels),
            (0, tokens, channels),
        ):
            yield f"{name} of {shape}", {**good, name: torch.zeros(shape)}
        for shape in ((groups + 1, tokens, channels), (groups, tokens + 1, channels), (groups, tokens, channels + 1)):
            yield f"{name} of {shape}", {**good, name: torch.zeros(shape)}
        for number in (float("nan"), float("inf"), -float("inf"), 3e38):
            odd = tensor.clone()
            odd.view(-1)[7] = number
            yield f"{name} with {number}", {**good, name: odd}
    mask = good["mask.0"]
    bomb = np.frombuffer(zlib.compress(bytes(50_000_000)), np.uint8).copy()
    for what, packed in [
        ("empty", mask[:0]),
        ("cut", mask[:-3]),
        ("longer", torch.cat([mask, mask[:3]])),
        ("of another type", mask.float()),
        ("of another rank", mask[None]),
        ("a bomb", torch.from_numpy(bomb)),
        ("no deflate", torch.zeros(50, dtype=torch.uint8)),
    ]:
        yield f"a mask {what}", {**good, "mask.0": packed.clone()}


def _headers(good: bytes, document: Any) -> Iterator[tuple[str, bytes]]:
    size = int.from_bytes(good[:8], "little")
    header, content = json.loads(good[8 : 8 + size]), good[8 + size :]
    name = next(k for k in sorted(header) if k.startswith("memory."))

    def file(text: bytes, length: int | None = None) -> bytes:
        return (len(text) if length is None else length).to_bytes(8, "little") + text + content

    def with_entry(**changes: Any) -> bytes:
        return file(json.dumps({**header, name: {**header[name], **changes}}).encode())

    begin, end = header[name]["data_offsets"]
    yield "an offset too far", with_entry(data_offsets=[begin, end + 4])
    yield "offsets beyond the file", with_entry(data_offsets=[begin, 10**12])
    yield "negative offsets", with_entry(data_offsets=[-4, end])
    yield "offsets the wrong way", with_entry(data_offsets=[end, begin])
    yield "one offset", with_entry(data_offsets=[begin])
    yield "offsets that are text", with_entry(data_offsets=["0", "4"])
    yield "a huge shape", with_entry(shape=[2**62, 2**62, 4])
    yield "a negative shape", with_entry(shape=[-1, 30, 128])
    yield "an unknown type", with_entry(dtype="F33")
    yield "no shape", file(json.dumps({**header, name: {"dtype": "F32", "data_offsets": [begin, end]}}).encode())
    yield "no document", file(json.dumps({k: v for k, v in header.items() if k != "__metadata__"}).encode())
    yield "another document", file(json.dumps({**header, "__metadata__": {"siaf": "{}"}}).encode())
    yield "a document that is a list", file(json.dumps({**header, "__metadata__": {"siaf": "[]"}}).encode())
    yield "a document that is none", file(json.dumps({**header, "__metadata__": {"siaf": "{"}}).encode())
    yield "a deep document", file(json.dumps({**header, "__metadata__": {"siaf": "[" * 10**5}}).encode())
    yield "a document that is no text", file(json.dumps({**header, "__metadata__": {"siaf": document}}).encode())
    yield "a deep header", file(b"[" * 10**5)
    yield "many lists as a header", file(b"[" + b"[]," * 10**6 + b"[]]")
    yield "a header that is a number", file(b"5")
    yield "a header of bytes", file(b"\xff" * 100)
    yield "no header", file(b"")
    yield "a header longer than the file", file(json.dumps(header).encode(), 2**40)
    yield "a header longer than any", file(json.dumps(header).encode(), 2**64 - 1)
    yield "a byte missing", good[:-1]
    yield "a byte too many", good + b"\0"
    yield "half of it", good[: len(good) // 2]
    yield "a pickle", b"\x80\x04\x95" + good
    yield "nothing but a length", good[:8]
