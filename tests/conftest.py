"""Shared fixtures: a model with random weights and a small moving-square video, so that tests need no downloads."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from numpy.typing import NDArray
from recording_model import RecordingModel

from siaf.model.loaded import Model
from siaf.session.fitting import Fitting
from siaf.weights import build_model

torch.set_num_threads(1)
settings.register_profile("siaf", deadline=None)  # what else the machine does is no fault of the code
settings.load_profile("siaf")


class Adapting:
    """Whether the test that runs is marked with "adapting"."""

    now = False


@pytest.fixture(scope="session", autouse=True)
def _adapts_where_a_test_is_about_it() -> Iterator[None]:
    """With random weights, what an adaptation learns is as meaningless as the masks: other tests do without."""
    pays = Fitting.pays
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitting, "pays", lambda self, now: Adapting.now and pays(self, now))
        yield


@pytest.fixture(autouse=True)
def _adapting(request: pytest.FixtureRequest) -> None:
    Adapting.now = request.node.get_closest_marker("adapting") is not None


@pytest.fixture(scope="session")
def tiny_model() -> Model:
    """siaf-t with random weights at a small working resolution: real code paths, meaningless masks."""
    model = build_model("siaf-t", device="cpu", seed=3)
    return replace(model, short_side=65, interaction_short_side=65)


@pytest.fixture
def recording(tiny_model: Model) -> RecordingModel:
    """The same, and it notes what it is asked."""
    return RecordingModel.of(tiny_model)


@pytest.fixture(scope="session")
def clip() -> NDArray[np.uint8]:
    """Twelve frames of 72×96 pixels, uint8 N×H×W×3: two squares moving over noise."""
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(60, 90, (1, 72, 96, 3), dtype=np.uint8), 12, axis=0)
    for t in range(12):
        frames[t, 10:30, 5 + 4 * t : 25 + 4 * t] = (200, 40, 40)
        frames[t, 40:60, 70 - 4 * t : 90 - 4 * t] = (40, 60, 210)
    return frames


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The system's Chromium, driven by Playwright: one for all tests, as two of its loops cannot run at once."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "there is no Chromium"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
