"""Thousands of inputs, made up from the OpenAPI document and from CVAT's contracts: no 5xx but 503."""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import schemathesis
from function_client import Client, base64_of, encode
from http_worker import StubbornClient, Worker, worker
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemathesis.checks import load_all_checks

from function.settings import Settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
quick = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

# -- the contracts of POST / ----------------------------------------------------------------------------------------

PICTURES = [base64_of(encode(np.random.default_rng(seed).integers(0, 255, (40, 56, 3), np.uint8))) for seed in range(2)]


def mostly(good: SearchStrategy[Any], bad: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Nine in ten are good, so that a call of many parts has a chance."""
    return st.integers(0, 9).flatmap(lambda n: bad if n == 9 else good)


images = mostly(st.sampled_from(PICTURES), st.sampled_from(["", "QQ==", "%"]))
numbers = st.one_of(
    st.integers(-5, 60),
    st.floats(-5, 60),
    st.sampled_from([0, -1, 1e308, float("nan"), float("inf"), 2**63, 10**400, True, None, "5"]),
)
likely = st.integers(0, 39)
good_pairs = st.lists(st.tuples(likely, likely).map(list), min_size=1, max_size=6)
pairs = st.one_of(good_pairs, good_pairs, st.lists(st.lists(numbers, max_size=3), max_size=6))
words = st.text(st.characters(), max_size=5)  # halves of UTF-16 pairs too, which JSON can carry
json_values: SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)
good_clicks = st.fixed_dictionaries(
    {
        "image": st.sampled_from(PICTURES),
        "pos_points": good_pairs,
        "neg_points": st.one_of(st.just([]), good_pairs),
        "obj_bbox": st.sampled_from([None, [], [[2, 2], [30, 20]], [[2, 2], [30, 20], [25, 5], [50, 39]]]),
    },
    optional={"threshold": st.floats(0.1, 0.9)},
)
spoilt = st.dictionaries(
    st.sampled_from(["image", "pos_points", "neg_points", "obj_bbox", "threshold"]),
    st.one_of(images, pairs, numbers, json_values),
    max_size=2,
)
interactor_bodies = st.builds(lambda good, bad: {**good, **bad}, good_clicks, st.one_of(st.just({}), spoilt))
kinds = st.sampled_from(["rectangle", "polygon", "mask", "polyline", "points", "ellipse"])
whole_shapes = st.sampled_from(
    [
        {"type": "rectangle", "points": [5, 5, 20, 25]},
        {"type": "polygon", "points": [5, 5, 20, 5, 20, 25]},
        {"type": "mask", "points": [0, 12, 3, 4, 6, 6]},
        {"type": "polyline", "points": [5, 5, 20, 25]},
        {"type": "points", "points": [5, 5]},
    ]
)
good_shapes = st.one_of(whole_shapes, st.just([5, 5, 20, 25]))
extra = st.fixed_dictionaries(
    {},
    optional={
        "polarity": st.sampled_from(["positive", "negative", "x", 1]),
        "width": st.one_of(st.floats(1, 20), numbers),
        "read": st.booleans(),
        "remove": st.booleans(),
        "reference": st.booleans(),
        "about": st.one_of(st.none(), st.lists(st.integers(0, 5), max_size=3)),
    },
)
tags = st.fixed_dictionaries({"tag": mostly(st.integers(0, 3), numbers)})
odd_places = st.fixed_dictionaries({"frame": st.integers(-1, 3), "frames": st.integers(-1, 4)})
places = mostly(st.sampled_from([{}, *({"frame": n, "frames": 3} for n in range(3))]), odd_places)


def round_shapes(place: dict[str, int]) -> SearchStrategy[Any]:
    """Shapes of a round, all in one place."""
    one = st.builds(lambda shape, tag, more: shape | tag | more | place, whole_shapes, tags, mostly(st.just({}), extra))
    return st.lists(one, min_size=1, max_size=3)


of_one_frame = places.flatmap(round_shapes)
odd = st.fixed_dictionaries({"type": st.one_of(kinds, words), "points": st.lists(numbers, max_size=9)})
shapes = mostly(good_shapes, st.one_of(st.none(), odd, json_values))
calls = st.one_of(st.lists(shapes, max_size=4), of_one_frame)


def as_many(some: list[Any], count: int) -> list[Any]:
    """The same over and over, or only the first ones."""
    return [some[i % len(some)] for i in range(count)]


@given(body=interactor_bodies)
@quick
def test_interactor(client: Client, body: Any) -> None:
    check(client, body)


@given(data=st.data(), body=st.fixed_dictionaries({"image": images, "shapes": calls}))
@quick
def test_tracker(client: Client, data: Any, body: dict[str, Any]) -> None:
    """A made-up call, then calls that go on from what it answered, changed at random."""
    states = data.draw(mostly(st.just([]), st.lists(json_values, max_size=4)))
    answer = check(client, {**body, "states": states})
    for _ in range(3):
        if "states" not in answer:
            break
        count = len(answer["states"])
        again = data.draw(
            st.one_of(
                st.just([None] * count),
                st.just(answer["shapes"]),
                st.lists(shapes, min_size=count, max_size=count),
                of_one_frame.map(partial(as_many, count=count)),
            )
        )
        states = data.draw(st.permutations(answer["states"]))
        if states and data.draw(mostly(st.just(False), st.just(True))):
            states[0] = {**states[0], data.draw(st.sampled_from(sorted(states[0]))): data.draw(json_values)}
        answer = check(client, {"image": data.draw(images), "shapes": again, "states": states})


def check(client: Client, body: Any) -> dict[str, Any]:
    """The answer, which is a good one, or an error in words."""
    response = client.raw("POST", "/", json.dumps(body).encode(), "application/json")
    assert response.status_code in (200, 400, 404, 409, 413, 415, 422), client.log.lines[-2:]
    event(f"status {response.status_code}")
    answer = json.loads(response.body, parse_constant=lambda name: pytest.fail(f"{name} in an answer"))
    assert isinstance(answer, dict)
    assert ("error" in answer) == (response.status_code != 200)
    return answer


# -- everything in the OpenAPI document -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(settings: Callable[..., Settings]) -> Iterator[Worker]:
    with worker(settings(log_level="error", worker_wait_s=60)) as running:
        yield running


def test_openapi(server: Worker) -> None:
    """Every call of the document, with what fits its schema and with what does not."""
    load_all_checks()
    checks = [
        schemathesis.checks.CHECKS.get_one(name)
        for name in ("response_schema_conformance", "status_code_conformance", "content_type_conformance")
    ]
    api = schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/v1/openapi.json")
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) >= 14
    for operation in operations:
        simple = operation.method == "get" and not list(operation.iter_parameters())  # nothing to get wrong
        for mode in [schemathesis.GenerationMode.POSITIVE] if simple else list(schemathesis.GenerationMode):

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(quick, max_examples=max(5, EXAMPLES // 15), database=None)
            def ask(case: schemathesis.Case) -> None:
                response = case.call()
                assert response.status_code < 500 or response.status_code == 503, response.text
                case.validate_response(response, checks=checks)

            ask()


def test_the_server_has_survived(server: Worker) -> None:
    assert StubbornClient(server.port).json("GET", "/v1/info")["name"] == "siaf"
