"""What brings the actions into CVAT's pages: nothing of CVAT's is replaced, and what is started is what there is."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from helm_chart import Chart

from siaf.cli import parser

CVAT = """\
name: cvat
services:
  cvat_ui: {image: cvat/ui:dev, networks: [cvat]}
networks:
  cvat:
"""
ENVIRONMENT = {"SIAF_UI_CONF": "/srv/siaf.conf", "SIAF_FUNCTION_URL": "http://f:8080", "CVAT_HOST": "cvat.example.com"}


@pytest.fixture
def config(root: Path, tmp_path: Path, tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """CVAT's compose file (what matters of it) and ours, as compose itself merges them."""
    (tmp_path / "docker-compose.yml").write_text(CVAT)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    files = [tmp_path / "docker-compose.yml", root / "deploy/cvat-ui/compose.cvat-ui.yml"]
    command = [tool("docker-compose"), *(o for file in files for o in ("-f", str(file))), "config", "--format", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # type: ignore[no-any-return]


SITE = 'service.site="https://cvat.example.com"'


@pytest.fixture(scope="module")
def manifests(chart: Chart) -> list[dict[str, Any]]:
    made = chart("service.enabled=true", SITE, 'service.options=["--advise=issues"]')
    return [m for m in made if m["metadata"]["name"] == "siaf-service"]


def test_the_chart_asks_for_the_address_that_browsers_have(chart: Chart) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        chart("service.enabled=true")
    assert "service.site: CVAT's address in browsers" in caught.value.stderr


def starts(command: list[str]) -> Any:
    """The arguments of a container's command, as the CLI reads them."""
    assert command[0] == "siaf"
    return parser().parse_args(command[1:])


def test_cvat_s_own_ui_only_gets_a_file(config: dict[str, Any]) -> None:
    ui = config["services"]["cvat_ui"]
    assert ui["image"] == "cvat/ui:dev"
    (volume,) = ui["volumes"]
    assert (volume["source"], volume["target"], volume["read_only"]) == (
        "/srv/siaf.conf",
        "/etc/nginx/conf.d/siaf.conf",
        True,
    )


def test_only_the_script_and_the_jobs_calls_are_published(config: dict[str, Any]) -> None:
    service = config["services"]["siaf_service"]
    assert "ports" not in service
    rule = service["labels"]["traefik.http.routers.siaf.rule"]
    assert rule == "Host(`cvat.example.com`) && (PathPrefix(`/siaf/jobs/`) || Path(`/siaf/plugin.js`))"
    arguments = starts(service["command"])
    assert (arguments.action, arguments.url) == ("service", ["http://f:8080"])
    assert arguments.listen.endswith(f":{service['labels']['traefik.http.services.siaf.loadbalancer.server.port']}")


def test_nginx_puts_the_script_of_this_origin_into_the_head(root: Path) -> None:
    lines = [line for line in (root / "deploy/cvat-ui/siaf.conf").read_text().splitlines() if line[:1] not in ("#", "")]
    assert lines
    assert all(re.fullmatch(r"sub_filter(_once)? .+;", line) for line in lines)  # valid in the http block
    assert lines[0] == """sub_filter '</head>' '<script src="/siaf/plugin.js" defer></script></head>';"""


@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_valid_for_old_and_new_kubernetes(manifests: list[dict[str, Any]], version: str) -> None:
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_one_pod_with_nothing_that_it_does_not_need(manifests: list[dict[str, Any]]) -> None:
    (deployment,) = [m["spec"] for m in manifests if m["kind"] == "Deployment"]
    assert (deployment["replicas"], deployment["strategy"]["type"]) == (1, "Recreate")
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert deployment["template"]["metadata"]["labels"]["siaf-client"] == "true"  # the functions' network policy
    arguments = starts(container["args"])
    assert arguments.listen.endswith(f":{container['ports'][0]['containerPort']}")
    assert (arguments.site, arguments.advise) == ("https://cvat.example.com", "issues")


def test_helm_mounts_the_same_file(root: Path) -> None:
    values = yaml.safe_load((root / "deploy/cvat-ui/helm-values.yaml").read_text())["cvat"]["frontend"]
    (mount,) = values["additionalVolumeMounts"]
    assert (mount["mountPath"], mount["subPath"]) == ("/etc/nginx/conf.d/siaf.conf", "siaf.conf")
    assert values["additionalVolumes"][0]["name"] == mount["name"]
