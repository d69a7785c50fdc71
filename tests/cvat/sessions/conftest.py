"""Sessions in this process and in a function, with the same random weights."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from served_function import Served

from function.settings import Settings
from siaf.cvat.sessions.base import SessionFactory
from siaf.cvat.sessions.local import local_sessions
from siaf.model.loaded import Model
from siaf.weights import load_model, save_weights


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory, tiny_model: Model) -> Path:
    """The tiny model in a file, as a function reads it."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, "siaf-t", tiny_model.interaction.state_dict(), tiny_model.propagation.state_dict(), {})
    return path


@pytest.fixture
def sessions(weights: Path) -> SessionFactory:
    """This process, with the function's weights."""
    model = load_model("siaf-t", device="cpu", weights=weights)
    model = replace(model, short_side=65, interaction_short_side=65)
    return local_sessions(lambda: model)


@pytest.fixture
def serve(weights: Path, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start a function; keywords are settings."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SIAF_")}
    started = []

    def start(**changes: object) -> Served:
        small = {"weights": weights, "short_side": 65, "interaction_short_side": 65, "log_level": "error"}
        started.append(Served(Settings(**{**small, **changes})))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for served in started:
        served.stop()
    os.environ.update(kept)
