"""deploy/serverless: what CVAT's own scripts deploy is rendered from the one source, and starts the same function."""

import importlib.util
import json
import sys
from pathlib import Path

import jsonschema
import pytest
import render_serverless
import yaml
from render import Deployment, project_version, render

FILES = {path.relative_to(render_serverless.ROOT).as_posix(): text for path, text in render_serverless.files().items()}
CONFIGS = [name for name in FILES if name.endswith(".yaml") and name.startswith("deploy/serverless")]


def test_the_folders_hold_what_is_rendered_and_nothing_else(root: Path) -> None:
    """If this fails: run deploy/render_serverless.py."""
    there = {path for folder in render_serverless.FOLDERS for path in folder.rglob("*") if path.is_file()}
    committed = {path.relative_to(root).as_posix(): path.read_text() for path in there if path.suffix != ".pyc"}
    assert committed == FILES


@pytest.mark.parametrize(
    ("script", "name", "device"), [("cpu", "function.yaml", "cpu"), ("gpu", "function-gpu.yaml", "cuda")]
)
def test_cvats_scripts_find_one_interactor_and_one_tracker(root: Path, script: str, name: str, device: str) -> None:
    """deploy_cpu.sh takes **/function.yaml below the folder it is given, deploy_gpu.sh **/function-gpu.yaml."""
    found = [yaml.safe_load(path.read_text()) for path in sorted((root / "deploy/serverless").glob(f"**/{name}"))]
    assert [config["metadata"]["name"] for config in found] == ["siaf-interactor", "siaf-tracker"]
    assert [config["metadata"]["annotations"]["type"] for config in found] == ["interactor", "tracker"]
    for config in found:
        assert {"name": "SIAF_DEVICE", "value": device} in config["spec"]["env"]
        assert config["spec"]["build"]["baseImage"] == f"siaf-cvat-base:{project_version()}-{script}"


@pytest.mark.parametrize("name", CONFIGS)
def test_has_only_fields_that_nuclio_knows(name: str) -> None:
    schema = json.loads((Path(__file__).parent / "data/nuclio-function.schema.json").read_text())
    jsonschema.validate(yaml.safe_load(FILES[name]), schema)


@pytest.mark.parametrize("name", CONFIGS)
def test_differs_from_what_deploy_sh_deploys_by_the_handler_alone(name: str) -> None:
    config = yaml.safe_load(FILES[name])
    kind, device = name.split("/")[4], "gpu" if "gpu" in name else "cpu"
    assert config["spec"].pop("handler") == "main:handler"
    other = render(Deployment(kind=kind, device=device, base_image=f"siaf-cvat-base:{project_version()}-{device}"))
    del other["spec"]["handler"]
    assert config == other


def test_deploy_sh_and_the_release_make_the_base_image_of_this_name(root: Path) -> None:
    assert "image=siaf-cvat-base:$tag" in (root / "deploy/deploy.sh").read_text()
    release = yaml.safe_load((root / ".github/workflows/release.yml").read_text())
    images = release["jobs"]["image"]["strategy"]["matrix"]["image"]
    assert {"target": "base", "name": "siaf-cvat-base"} in images


@pytest.mark.parametrize("kind", ["interactor", "tracker"])
def test_nuclio_finds_both_entry_points(root: Path, kind: str) -> None:
    """It imports the handler, and looks for init_context in the module that defines it."""
    path = root / "deploy/serverless/pytorch/siaf" / kind / "nuclio/main.py"
    spec = importlib.util.spec_from_file_location(f"nuclio_main_{kind}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert sys.modules[module.handler.__module__].init_context is module.init_context
