"""What the deployment's tests share: the repository, its scripts as modules, tools of the venv."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_chart import Chart

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy"))

from render import Deployment, render  # noqa: E402 (a script, not a package)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Path of a command that the dev extra brings into the venv."""

    def find(name: str) -> str:
        path = Path(sys.executable).parent / name
        assert path.is_file(), f"{name} is not in the venv: is it in pyproject.toml's dev extra?"
        return str(path)

    return find


@pytest.fixture(scope="session")
def chart(tool: Callable[[str], str]) -> Chart:
    """What Helm makes of our chart; CalledProcessError for values that it refuses."""

    def template(*values: str) -> list[dict[str, Any]]:
        folder = str(ROOT / "deploy/helm/siaf")
        command = [tool("helm"), "template", "siaf", folder, "--namespace", "cvat"]
        command += [option for value in values for option in ("--set-json", value)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]

    return template


VARIANTS = [
    Deployment(kind=kind, device=device, platform=platform, image=image, base_image=None if image else "base:1")
    for kind in ("interactor", "tracker")
    for device in ("cpu", "gpu")
    for platform, image in (("local", None), ("local", "registry/siaf:1"), ("kube", "registry/siaf:1"))
]


def variant_name(deployment: Deployment) -> str:
    """A readable test id."""
    how = "image" if deployment.image else "built"
    return f"{deployment.kind}-{deployment.device}-{deployment.platform}-{how}"


@pytest.fixture(params=VARIANTS, ids=variant_name)
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """Every variant that deploy.sh can ask for."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def config(deployment: Deployment) -> dict[str, Any]:
    """Its rendered function configuration."""
    return render(deployment)
