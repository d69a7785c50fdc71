"""The manifests: valid, wired to each other and to what Nuclio makes, without a secret in them."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from helm_chart import Chart
from render import Deployment, render

NAMES = {
    render(Deployment(kind=kind, device="cpu", base_image="b"))["metadata"]["name"]
    for kind in ("interactor", "tracker")
}
FUNCTION_LABEL = "nuclio.io/function-name"  # Nuclio puts it on every pod of a function
HTTP_PORT = 8080  # of the processor's trigger, fixed by Nuclio


@pytest.fixture(scope="module")
def manifests(chart: Chart) -> list[dict[str, Any]]:
    """All that the chart can make."""
    site = 'service.site="https://cvat.example.com"'
    return chart("service.enabled=true", site, "agents.interaction=1", "agents.tracking=2")


def get(manifests: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = [m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name)]
    return found["spec"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_valid_for_old_and_new_kubernetes(manifests: list[dict[str, Any]], version: str) -> None:
    for manifest in manifests:
        if manifest["kind"] != "NuclioFunction":  # Nuclio's own kind (test_chart.py)
            kubernetes_validate.validate(manifest, version, strict=True)


def test_the_service_finds_redis(manifests: list[dict[str, Any]]) -> None:
    labels = get(manifests, "StatefulSet", "siaf-redis")["template"]["metadata"]["labels"]
    assert get(manifests, "Service", "siaf-redis")["selector"].items() <= labels.items()


def test_redis_runs_with_nothing_it_does_not_need(manifests: list[dict[str, Any]]) -> None:
    pod = get(manifests, "StatefulSet", "siaf-redis")["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_only_cvat_its_dashboard_the_sync_and_prometheus_reach_a_function(
    manifests: list[dict[str, Any]],
) -> None:
    policy = get(manifests, "NetworkPolicy", "siaf-functions")
    (selector,) = policy["podSelector"]["matchExpressions"]
    assert (selector["key"], set(selector["values"])) == (FUNCTION_LABEL, NAMES)
    (rule,) = policy["ingress"]
    assert [port["port"] for port in rule["ports"]] == [HTTP_PORT]
    assert [source["podSelector"]["matchLabels"] for source in rule["from"]] == [
        {"nuclio.io/app": "dashboard"},
        {"app": "cvat-app", "tier": "backend"},
        {"siaf-client": "true"},
        {"app.kubernetes.io/name": "prometheus"},
    ]


def test_a_function_reaches_redis_and_names_only(manifests: list[dict[str, Any]]) -> None:
    policy = get(manifests, "NetworkPolicy", "siaf-functions")
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert [{port["port"] for port in rule["ports"]} for rule in policy["egress"]] == [{6379}, {53}]
    labels = get(manifests, "StatefulSet", "siaf-redis")["template"]["metadata"]["labels"]
    assert policy["egress"][0]["to"][0]["podSelector"]["matchLabels"].items() <= labels.items()


def test_only_functions_reach_redis_and_redis_reaches_nothing(manifests: list[dict[str, Any]]) -> None:
    policy = get(manifests, "NetworkPolicy", "siaf-redis")
    (rule,) = policy["ingress"]
    (selector,) = rule["from"][0]["podSelector"]["matchExpressions"]
    assert (selector["key"], set(selector["values"])) == (FUNCTION_LABEL, NAMES)
    assert policy["egress"] == []


def test_a_drain_takes_one_pod_of_a_function_at_a_time(manifests: list[dict[str, Any]]) -> None:
    for name in NAMES:
        budget = get(manifests, "PodDisruptionBudget", name)
        assert budget == {"maxUnavailable": 1, "selector": {"matchLabels": {FUNCTION_LABEL: name}}}


def test_no_secret_is_in_a_file_and_every_key_is_explained(root: Path, manifests: list[dict[str, Any]]) -> None:
    text = "".join(path.read_text() for path in (root / "deploy").rglob("*.yaml")) + yaml.safe_dump(manifests)
    assert "kind: Secret" not in text
    assert "stringData" not in text
    keys = set(re.findall(r"secretKeyRef:\s+key: ([\w-]+)\s+name: siaf$", text, re.MULTILINE))
    assert keys == {"store", "token", "redis-password", "cvat-token"}
    guide = (root / "docs/operations.md").read_text()
    assert all(f"--from-literal={key}=" in guide for key in keys)
