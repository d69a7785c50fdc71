"""Frames as pictures, which browsers keep and may stop waiting for."""

import http.client
import io
import threading
import time

import numpy as np
import pytest
from PIL import Image
from studio_client import Page, until

from siaf.studio.pictures import Pictures


def test_frames_are_pictures_that_browsers_keep(page: Page) -> None:
    status, headers, content = page.send("GET", "/api/frames/3")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert "immutable" in headers["Cache-Control"]
    shown = np.asarray(Image.open(io.BytesIO(content)))
    assert np.abs(shown[14:26, 21:33].mean(axis=(0, 1)) - (200, 40, 40)).max() < 6
    status, _, content = page.send("GET", "/api/frames/3", If_None_Match=headers["ETag"])
    assert (status, content) == (304, b"")
    _, small, content = page.send("GET", "/api/frames/3?width=48")
    assert Image.open(io.BytesIO(content)).size == (48, 36)
    assert small["ETag"] != headers["ETag"]


def test_a_frame_that_nobody_waits_for_is_not_read(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is scrubbed over hundreds of frames breaks off what it asked for."""
    begun, go_on, jpeg = [], threading.Event(), Pictures.jpeg

    def slowly(self: Pictures, frame: int, width: int | None = None) -> bytes:
        begun.append(frame)
        assert go_on.wait(60)
        return jpeg(self, frame, width)

    monkeypatch.setattr(Pictures, "jpeg", slowly)
    connections = [http.client.HTTPConnection("127.0.0.1", page.port, timeout=60) for _ in range(10)]
    for frame, connection in enumerate(connections):
        connection.request("GET", f"/api/frames/{frame}", headers=page.headers)
    until(lambda: len(begun) == 3, "all threads read")
    left = [connection for frame, connection in enumerate(connections) if frame not in begun][:-1]
    for connection in left:
        connection.close()
    time.sleep(0.3)  # the server hears of it
    go_on.set()
    waiting = [connection for connection in connections if connection not in left]
    assert [connection.getresponse().status for connection in waiting] == [200] * 4
    assert len(begun) == 4
