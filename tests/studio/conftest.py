"""A studio with the tiny model, on a folder of pictures."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from page_bench import FRAMES, Served, Tab, picture
from PIL import Image
from studio_client import Page, Studio, free_port, studio_on

from siaf.model.loaded import Model
from siaf.studio.clip import Clip, Unopened, VideoClip


@pytest.fixture
def folder(tmp_path: Path, clip: NDArray[np.uint8]) -> Path:
    """The clip's twelve frames as pictures."""
    place = tmp_path / "squares"
    place.mkdir()
    for number, frame in enumerate(clip):
        Image.fromarray(frame).save(place / f"{number}.png")
    return place


@pytest.fixture
def studio(folder: Path, tiny_model: Model) -> Iterator[Studio]:
    """It listens, and holds the pictures."""
    with studio_on(folder, tiny_model) as running:
        yield running


@pytest.fixture
def page(studio: Studio) -> Page:
    """A tab that holds the desk."""
    return studio.page("first")


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve pictures of three moving squares."""
    place = tmp_path_factory.mktemp("page") / "clip"
    place.mkdir()
    for frame in range(FRAMES):
        Image.fromarray(picture(frame)).save(place / f"{frame:02}.png")
    return place


@pytest.fixture(scope="module")
def running(squares: Path) -> Iterator[Served]:
    """The real command, with the model that comes with siaf, on the squares."""
    studio = Served(squares, free_port())
    studio.start()
    yield studio
    studio.end()


@pytest.fixture
def served(running: Served) -> Served:
    """The same, with an empty session: starting it takes longer than what most tests do."""
    running.empty()
    return running


@pytest.fixture
def tab(chromium: Any, served: Served) -> Iterator[Tab]:
    """The page in a browser of its own, which holds the desk."""
    context = chromium.new_context(viewport={"width": 1200, "height": 760}, accept_downloads=True)
    opened = Tab(context, served).open().take()
    yield opened
    context.close()
    assert not opened.faults


@pytest.fixture
def opened(tmp_path: Path, clip: NDArray[np.uint8]) -> Callable[[int], Clip]:
    """Jobs 1 to 9 are folders of pictures; CVAT refuses others."""

    def open_one(number: int) -> Clip:
        if number == 403:
            raise Unopened("you have no permission", field="job 403", status=403)
        if number > 9:
            raise Unopened("there is no such job", field=f"job {number}", status=404)
        place = tmp_path / f"job-{number}"
        if not place.exists():
            place.mkdir()
            for i, frame in enumerate(clip):
                Image.fromarray(frame).save(place / f"{i}.png")
        return VideoClip(place)

    return open_one
