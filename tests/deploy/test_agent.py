"""Agents of CVAT Online and Enterprise: valid files that start the functions that siaf.cvat.auto_annotation makes."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from cvat_sdk import auto_annotation
from helm_chart import Chart
from render import project_version

from siaf.cvat import auto_annotation as functions

SPECS = {
    "interaction": auto_annotation.InteractionFunctionSpec,
    "tracking": auto_annotation.TrackingFunctionSpec,
}


@pytest.fixture
def services(root: Path, tool: Callable[[str], str]) -> dict[str, Any]:
    """The compose file as compose itself reads it."""
    variables = {"CVAT_ACCESS_TOKEN": "t", "SIAF_INTERACTION": "11", "SIAF_TRACKING": "12"}
    command = [tool("docker-compose"), "-f", "deploy/agent/compose.agent.yml", "config", "--format", "json"]
    done = subprocess.run(command, cwd=root, env=os.environ | variables, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["services"]  # type: ignore[no-any-return]


@pytest.fixture
def deployments(chart: Chart) -> list[dict[str, Any]]:
    made = chart("agents.interaction=11", 'agents.tracking="12"')
    return [m for m in made if m["kind"] == "Deployment"]


def test_the_chart_makes_no_agent_without_its_number(chart: Chart) -> None:
    (only,) = [m for m in chart("agents.tracking=12") if m["kind"] == "Deployment"]
    assert only["metadata"]["name"] == "siaf-agent-tracking"


def check(arguments: list[str]) -> tuple[str, str]:
    """Kind and number of the function that a command runs, which is one that we have."""
    host, command, action, number, module, parameter = arguments
    assert host.startswith("--server-host=https://")
    assert (command, action) == ("function", "run-agent")
    assert module == f"--function-module={functions.__name__}"
    kind = parameter.removeprefix("--function-parameter=kind=str:")
    assert kind in SPECS
    return kind, number


def test_compose_runs_one_agent_for_each_function(services: dict[str, Any]) -> None:
    assert [check(service["command"]) for service in services.values()] == [("interaction", "11"), ("tracking", "12")]
    for service in services.values():
        assert "ports" not in service
        assert service["cap_drop"] == ["ALL"]
        assert service["environment"] == {"CVAT_ACCESS_TOKEN": "t"}


def test_kubernetes_runs_the_same(deployments: list[dict[str, Any]], services: dict[str, Any]) -> None:
    for deployment, service in zip(deployments, services.values(), strict=True):
        assert deployment["spec"]["replicas"] == 1
        pod = deployment["spec"]["template"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        (container,) = pod["spec"]["containers"]
        assert check(container["args"]) == check(service["command"])
        assert container["image"].rpartition("/")[2] == service["image"]


@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_valid_for_old_and_new_kubernetes(deployments: list[dict[str, Any]], version: str) -> None:
    for deployment in deployments:
        kubernetes_validate.validate(deployment, version, strict=True)


@pytest.mark.parametrize("kind", SPECS)
def test_the_parameter_makes_a_function_of_that_kind(kind: str) -> None:
    assert isinstance(functions.create(kind=kind).spec, SPECS[kind])


def test_versions_are_this_projects_and_the_sdks(root: Path) -> None:
    sdk = re.search(r"^cvat-sdk==(.+)$", (root / "requirements.txt").read_text(), re.MULTILINE)
    assert sdk is not None
    dockerfile = (root / "deploy/agent/Dockerfile").read_text()
    assert f"cvat-cli=={sdk[1]} " in dockerfile
    for name in ("Dockerfile", "compose.agent.yml"):
        text = (root / "deploy/agent" / name).read_text()
        assert set(re.findall(r"siaf-cvat-\w+:([\d.]+)-cpu", text)) == {project_version()}
