"""A worker is killed at random moments; a client that only tries again ends with the masks of an undisturbed run."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from http_worker import Killer, StubbornClient, worker
from redis_server import redis_server

from function.settings import Settings

KILLS = 20
FIRST = {3: [(1, [[20, 20], [30, 20]])], 8: [(2, [[45, 50], [55, 50]])]}
SECOND = {6: [(1, [[30, 25], [40, 25]]), (0, [[5, 60], [30, 65]])]}


def two_rounds(client: StubbornClient, images: list[bytes]) -> dict[int, Any]:
    """A whole session; its final masks by frame."""
    body = {"frames": len(images), "width": 96, "height": 72}
    path = f"/v1/sessions/{client.json('POST', '/v1/sessions', body)['id']}"
    for number in client.json("POST", f"{path}/frames/missing", {})["missing"]:
        assert client.bytes("PUT", f"{path}/frames/{number}", images[number])[0] == 200
    masks: dict[int, Any] = {}
    for revision, strokes in enumerate((FIRST, SECOND)):
        scribbles = [
            {"frame": frame, "strokes": [{"tag": tag, "points": points} for tag, points in lines]}
            for frame, lines in strokes.items()
        ]
        answer = client.json("POST", f"{path}/rounds", {"revision": revision, "scribbles": scribbles})
        masks |= {f["frame"]: [(m["tag"], m["rle"]) for m in f["masks"]] for f in answer["frames"]}
        done, total = 0, answer["total"]
        while done < total:
            answer = client.json("POST", f"{path}/propagate", {"budget_s": 0.02, "after": done})
            done, total = answer["done"], answer["total"]
            for frame in answer["frames"]:
                masks[frame["frame"]] = [(m["tag"], m["rle"]) for m in frame["masks"] if m["rle"]]
    assert sorted(masks) == list(range(len(images)))
    return masks


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.mark.parametrize("kind", ["file", "redis"])
def test_the_final_masks_are_those_of_an_undisturbed_run(
    kind: str, settings: Callable[..., Settings], jpegs: list[bytes], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = f"file:{tmp_path}" if kind == "file" else request.getfixturevalue("redis_url")
    with worker(settings(store=store, log_level="error")) as victim:
        two_rounds(StubbornClient(victim.port), jpegs)  # the first passes of a process are slow
        quiet = StubbornClient(victim.port)
        undisturbed = two_rounds(quiet, jpegs)
        assert quiet.retries == 0
        killer = Killer(victim, quiet.seconds, KILLS, seed=len(kind))
        retries = 0
        for _ in range(KILLS):  # one is enough, but for what would strike after its end
            if not killer.left:
                break
            client = StubbornClient(victim.port, sent=killer.sent)
            assert two_rounds(client, jpegs) == undisturbed
            killer.session_ended(len(client.seconds))
            retries += client.retries
        assert victim.kills == KILLS
        assert retries >= KILLS // 2  # it was in the middle of something
