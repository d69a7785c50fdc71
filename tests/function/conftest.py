"""The function with random weights at a small resolution, called as Nuclio calls it."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from function_client import Client, encode
from http_rounds import FIRST, SECOND, Masks
from numpy.typing import NDArray
from recording_model import RecordingModel

from function.service import Service
from function.settings import Settings
from function.store import open_store
from siaf import Scribble, Session
from siaf.model.loaded import Model
from siaf.weights import build_model, load_model, save_weights

Frames = NDArray[np.uint8]


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SIAF_")}
    yield
    os.environ.update(kept)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory, tiny_model: Model) -> Path:
    """Random weights in a file, as users have real ones."""
    return _write(tiny_model, tmp_path_factory.mktemp("weights") / "siaf-t.safetensors")


@pytest.fixture(scope="session")
def other_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a later version might bring."""
    return _write(build_model("siaf-t", device="cpu", seed=4), tmp_path_factory.mktemp("weights") / "other.safetensors")


def _write(model: Model, path: Path) -> Path:
    save_weights(path, "siaf-t", model.interaction.state_dict(), model.propagation.state_dict(), {"source": "random"})
    return path


@pytest.fixture(scope="session")
def settings(weights: Path) -> Callable[..., Settings]:
    """Settings of a function as small as can be; keywords change them."""

    def make(**changes: Any) -> Settings:
        return Settings(**{"weights": weights, "short_side": 65, "interaction_short_side": 65, **changes})

    return make


@pytest.fixture(scope="session")
def start(settings: Callable[..., Settings]) -> Callable[..., Client]:
    """Start a function; keywords are settings."""
    return lambda **changes: Client(Service.start(settings(**changes)))


@pytest.fixture(scope="session")
def client(start: Callable[..., Client]) -> Client:
    """One function for all tests that need nothing special: they must not disturb each other."""
    return start(interactor_reply="both")


@pytest.fixture
def recorded(recording: RecordingModel, settings: Callable[..., Settings]) -> Client:
    """A function whose model notes what it is asked."""
    chosen = settings(interactor_reply="both")
    return Client(Service(recording, open_store(chosen.store, chosen.store_bytes), chosen))


@pytest.fixture(scope="session")
def jpegs(clip: Frames) -> list[bytes]:
    """The clip's frames as image files."""
    return [encode(frame) for frame in clip]


@pytest.fixture(scope="session")
def model(weights: Path) -> Model:
    """The function's model, as the library has it."""
    model = load_model("siaf-t", device="cpu", weights=weights)
    return replace(model, short_side=65, interaction_short_side=65)


@pytest.fixture(scope="session")
def expected(model: Model, clip: Frames) -> list[Masks]:
    """Masks of all frames after each of the two rounds, from the library itself."""
    session = Session(model, clip)
    result = []
    for strokes in (FIRST, SECOND):
        session.interact({f: [Scribble(t, np.array(p, float)) for t, p in lines] for f, lines in strokes.items()})
        for _ in session.propagate():
            pass
        result.append({f: session.mask(f) for f in range(len(clip))})
    return result
