"""Malformed requests are answered in words."""

import os

from function_client import Client
from worst import calls, crafted_images

HEIGHT, WIDTH = 72, 96
REQUESTS = int(os.environ.get("FUZZ_EXAMPLES", "300"))


def test_malformed_requests_are_answered_in_words(client: Client) -> None:
    """The short form of `tests/function/worst.py`, which also measures."""
    session = f"/v1/sessions/{client.ok('POST', '/v1/sessions', {'frames': 4, 'width': WIDTH, 'height': HEIGHT})['id']}"
    assert len(list(crafted_images())) >= 95
    pictures = 0
    heavy = ("many ", "a click on 40", "8 boxes on 40", "255 boxes on 40", "image: PNG of", "frame: PNG of")
    count = 0
    for what, method, path, data in calls(session, b""):
        if what.startswith(heavy):
            continue
        if what.startswith("image: "):
            pictures += 1
            if pictures % 4:  # a click takes its time; as frames of a session all of them come
                continue
        response = client.raw(method, path, data, "application/json" if method == "POST" else "")
        assert response.status_code < 500, (what, client.log.lines[-2:])
        count += 1
        if count == REQUESTS:
            break
