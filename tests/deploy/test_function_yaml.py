"""Every variant of function.yaml is what Nuclio takes, what CVAT shows, and the same function."""

import copy
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import status
from render import Deployment, render

from function.settings import Settings, load_settings

CVAT_TIMEOUT_S = 120
"""After this CVAT gives a function up (CVAT_NUCLIO_DEFAULT_TIMEOUT)."""


def trigger(config: dict[str, Any]) -> dict[str, Any]:
    return config["spec"]["triggers"]["myHttpTrigger"]  # type: ignore[no-any-return]


def event_timeout(config: dict[str, Any]) -> int:
    return int(config["spec"]["eventTimeout"].removesuffix("s"))


def test_has_only_fields_that_nuclio_knows(config: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).parent / "data/nuclio-function.schema.json").read_text())
    jsonschema.validate(config, schema)


def test_what_kubernetes_reads_of_it_makes_a_valid_pod(config: dict[str, Any]) -> None:
    spec = config["spec"]
    mounts = [volume["volumeMount"] for volume in spec.get("volumes", [])]
    container = {
        "name": "nuclio",
        "image": "image",
        "env": spec["env"],
        "resources": spec.get("resources", {}),
        "volumeMounts": mounts,
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": config["metadata"],
        "spec": {
            "containers": [container],
            "initContainers": spec.get("initContainers", []),
            "securityContext": spec.get("securityContext", {}),
            "volumes": [volume["volume"] for volume in spec.get("volumes", [])],
        },
    }
    kubernetes_validate.validate(pod, "1.33", strict=True)


def test_one_worker_because_a_second_is_a_second_model_and_shares_nothing(config: dict[str, Any]) -> None:
    assert trigger(config)["numWorkers"] == 1
    assert config["spec"]["minReplicas"] == config["spec"]["maxReplicas"] == 1


def test_cvat_shows_it(config: dict[str, Any]) -> None:
    deployed = copy.deepcopy(config)
    deployed["metadata"]["labels"] = {"nuclio.io/project-name": "cvat"}  # nuctl's --project-name
    deployed["status"] = {"state": "ready", "httpPort": 32768}
    assert list(status.problems(deployed)) == []


def test_waiting_and_working_end_before_cvat_gives_up(config: dict[str, Any]) -> None:
    waiting = trigger(config)["workerAvailabilityTimeoutMilliseconds"] / 1000
    assert waiting + event_timeout(config) < CVAT_TIMEOUT_S


def test_the_worker_is_not_killed_while_the_function_keeps_its_own_limits(config: dict[str, Any]) -> None:
    limits = Settings(_env_file=None)
    assert event_timeout(config) >= 2 * (limits.max_budget_s + limits.lock_wait_s)


def test_the_function_itself_refuses_bodies_that_are_too_large(config: dict[str, Any]) -> None:
    assert trigger(config)["attributes"]["maxRequestBodySize"] > Settings(_env_file=None).max_body_bytes


def test_every_variable_is_a_setting_with_a_value_that_starts(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in config["spec"]["env"]:
        assert variable["name"].removeprefix("SIAF_").lower() in Settings.model_fields
        if "value" in variable:
            monkeypatch.setenv(variable["name"], variable["value"])
    load_settings()


def test_python_is_the_same_everywhere(config: dict[str, Any], root: Path) -> None:
    version = config["spec"]["runtime"].removeprefix("python:")
    dockerfile = (root / "Dockerfile").read_text()
    assert re.search(rf"^ARG PYTHON_IMAGE=python:{re.escape(version)}\.", dockerfile, re.MULTILINE)
    assert f"py{version}-whl" in dockerfile
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["requires-python"].startswith(f">={version}")


def test_the_handler_is_there(config: dict[str, Any], root: Path) -> None:
    module, name = config["spec"]["handler"].split(":")
    source = (root / f"{module.replace('.', '/')}.py").read_text()
    # Nuclio looks for init_context in the module that defines the handler.
    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE)
    assert re.search(r"^(async )?def init_context\(", source, re.MULTILINE)


def test_a_ready_made_image_leaves_nothing_to_build(config: dict[str, Any], deployment: Deployment) -> None:
    assert ("build" in config["spec"]) == (deployment.image is None)


def test_the_function_does_not_run_as_root(config: dict[str, Any], deployment: Deployment, root: Path) -> None:
    user = re.findall(r"^USER (.+)$", (root / "Dockerfile").read_text(), re.MULTILINE)[-1]
    assert int(user.split(":")[0]) > 0
    if deployment.image is None:
        assert config["spec"]["build"]["directives"]["postCopy"][-1] == {"kind": "USER", "value": user}
    if deployment.platform == "kube":
        context = config["spec"]["securityContext"]
        assert context["runAsNonRoot"]
        assert f"{context['runAsUser']}:{context['runAsGroup']}" == user


def test_kubernetes_takes_secrets_from_a_secret(config: dict[str, Any], deployment: Deployment) -> None:
    variables = {variable["name"]: variable for variable in config["spec"]["env"]}
    if deployment.platform == "kube":
        for name, key in (("SIAF_STORE", "store"), ("SIAF_TOKEN", "token")):
            assert variables[name] == {
                "name": name,
                "valueFrom": {"secretKeyRef": {"name": "siaf", "key": key}},
            }
    else:
        assert "SIAF_TOKEN" not in variables


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("platform", ["local", "kube"])
def test_interactor_and_tracker_differ_in_what_must_differ(device: str, platform: str) -> None:
    interactor, tracker = (
        render(Deployment(kind=kind, device=device, platform=platform, base_image="base:1"))
        for kind in ("interactor", "tracker")
    )
    for config in (interactor, tracker):
        del config["metadata"]["name"], config["metadata"]["annotations"], config["spec"]["description"]
        del config["spec"]["build"]["image"]
    assert interactor == tracker


@pytest.mark.parametrize("kind", ["interactor", "tracker"])
def test_gpu_differs_from_cpu_by_device_and_limit(kind: str) -> None:
    cpu, gpu = (render(Deployment(kind=kind, device=device, base_image="base:1")) for device in ("cpu", "gpu"))
    assert gpu["spec"].pop("resources") == {"limits": {"nvidia.com/gpu": 1}}
    assert [cpu["spec"]["env"].pop(0)["value"], gpu["spec"]["env"].pop(0)["value"]] == ["cpu", "cuda"]
    for config in (cpu, gpu):
        del config["spec"]["build"]["image"]
    assert cpu == gpu


def test_tracker_takes_every_shape_that_the_sync_sends() -> None:
    tracker = render(Deployment(kind="tracker", device="cpu", base_image="base:1"))
    types = tracker["metadata"]["annotations"]["supported_shape_types"].split(",")
    assert set(types) == {"rectangle", "polygon", "polyline", "points", "mask"}


def test_the_first_click_is_sent_and_negative_clicks_are_allowed() -> None:
    interactor = render(Deployment(kind="interactor", device="cpu", base_image="base:1"))
    annotations = interactor["metadata"]["annotations"]
    assert (annotations["min_pos_points"], annotations["min_neg_points"]) == ("1", "0")
    assert not {"startswith_box", "startswith_box_optional"} & annotations.keys()  # either begins with a box
