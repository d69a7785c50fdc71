"""The Helm chart: Helm itself takes it, and its functions are those that deploy.sh has nuctl deploy."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from helm_chart import Chart
from render import Deployment, project_version, render


def functions(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {m["metadata"]["name"]: m for m in manifests if m["kind"] == "NuclioFunction"}


def env(function: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in function["spec"]["env"]}


def test_helm_has_nothing_to_say_against_it(root: Path, tool: Callable[[str], str]) -> None:
    done = subprocess.run(
        [tool("helm"), "lint", "--strict", str(root / "deploy/helm/siaf")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_its_version_is_the_projects(root: Path) -> None:
    about = yaml.safe_load((root / "deploy/helm/siaf/Chart.yaml").read_text())
    assert {about["version"], about["appVersion"]} == {project_version()}


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("kind", ["interactor", "tracker"])
def test_a_function_is_what_deploy_sh_deploys(chart: Chart, kind: str, device: str) -> None:
    made = functions(chart('image.registry="r.example.org/ml/"', f'device="{device}"'))[f"siaf-{kind}"]
    image = f"r.example.org/ml/siaf-cvat:{project_version()}-{device}"
    other = render(Deployment(kind=kind, device=device, platform="kube", image=image))
    (trigger,) = made["spec"]["triggers"].values()
    assert trigger.pop("name") == "myHttpTrigger"  # as nuctl adds it
    added = {"image": made["spec"].pop("image"), "targetCPU": made["spec"].pop("targetCPU")}
    assert added == {"image": image, "targetCPU": 75}
    assert made["spec"] == other["spec"]
    assert made["metadata"]["annotations"] == other["metadata"]["annotations"]


def test_nuclio_s_controller_makes_it_at_once(chart: Chart) -> None:
    """It leaves alone what is not in this state; nuctl sets it when its build is done."""
    for made in functions(chart()).values():
        assert made["apiVersion"] == "nuclio.io/v1beta1"
        assert made["status"] == {"state": "waitingForResourceConfiguration"}


def test_an_upgrade_finds_the_pods_again(chart: Chart) -> None:
    """Nuclio selects them by all of the function's labels, and a Deployment's selector cannot change."""
    for made in functions(chart()).values():
        assert made["metadata"]["labels"] == {"nuclio.io/project-name": "cvat"}


def test_settings_go_to_both_functions_as_text(chart: Chart) -> None:
    values = 'functions.settings={"SIAF_MODEL":"best","SIAF_MAX_BODY_BYTES":67108864,"SIAF_ADAPT":true}'
    for made in functions(chart(values)).values():
        given = env(made)
        assert (given["SIAF_MODEL"], given["SIAF_MAX_BODY_BYTES"], given["SIAF_ADAPT"]) == ("best", "67108864", "true")
        assert given["SIAF_DEVICE"] == "cpu"
        assert given["SIAF_STORE"] == {"secretKeyRef": {"name": "siaf", "key": "store"}}


def test_a_site_s_own_spec_is_merged_in(chart: Chart) -> None:
    own = 'functions.tracker.spec={"nodeSelector":{"gpu":"yes"},"env":[{"name":"HTTPS_PROXY","value":"http://p"}]}'
    made = functions(chart(own))
    assert made["siaf-tracker"]["spec"]["nodeSelector"] == {"gpu": "yes"}
    assert env(made["siaf-tracker"])["HTTPS_PROXY"] == "http://p"
    assert env(made["siaf-tracker"])["SIAF_DEVICE"] == "cpu"
    assert "nodeSelector" not in made["siaf-interactor"]["spec"]


def test_a_site_s_own_variable_stands_in_the_place_of_ours(chart: Chart) -> None:
    own = (
        'functions.tracker.spec={"env":[{"name":"SIAF_DEVICE","value":"cuda:1"},{"name":"SIAF_MODEL","value":"best"}]}'
    )
    made = functions(chart(own, 'functions.settings={"SIAF_MODEL":"siaf-r50"}'))["siaf-tracker"]
    assert [e["value"] for e in made["spec"]["env"] if e["name"] in ("SIAF_DEVICE", "SIAF_MODEL")] == ["cuda:1", "best"]


def test_with_a_gpu_there_is_one_image_to_build(chart: Chart) -> None:
    made = chart('device="gpu"', "service.enabled=true", 'service.site="https://c.example.com"')
    (service,) = [m["spec"]["template"]["spec"] for m in made if m["kind"] == "Deployment"]
    images = {m["spec"]["image"] for m in functions(made).values()}
    assert {service["containers"][0]["image"]} == images == {f"siaf-cvat:{project_version()}-gpu"}


def test_another_secret_is_named_everywhere(chart: Chart) -> None:
    text = yaml.safe_dump(chart('secret="mine"', "service.enabled=true", 'service.site="https://c.example.com"'))
    assert "name: mine" in text
    assert "name: siaf\n" not in text


def test_without_its_own_redis_functions_may_reach_one_elsewhere(chart: Chart) -> None:
    made = chart("redis.enabled=false")
    assert not [m for m in made if "siaf-redis" in m["metadata"]["name"]]
    (policy,) = [m["spec"] for m in made if m["kind"] == "NetworkPolicy"]
    assert policy["egress"][0] == {"ports": [{"protocol": "TCP", "port": 6379}]}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('redis.enabled="yes"', "redis.enabled"),
        ('device="tpu"', "device"),
        ('functions.settings={"MODEL":"best"}', "functions.settings"),
        ("tracker.enabled=false", "tracker"),
        ("replicas.min=3", "replicas.min is larger than replicas.max"),
    ],
)
def test_wrong_values_are_named(chart: Chart, value: str, said: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        chart(value)
    assert said in caught.value.stderr


def test_functions_have_only_fields_that_nuclio_knows(chart: Chart) -> None:
    schema = json.loads((Path(__file__).parent / "data/nuclio-function.schema.json").read_text())
    for made in functions(chart('device="gpu"', 'image.pullSecrets=["registry"]')).values():
        placed = {**made["metadata"], "namespace": "cvat"}  # Helm puts it into the release's
        jsonschema.validate({"metadata": placed, "spec": made["spec"]}, schema)
