"""The compose file joins CVAT's own without touching CVAT's services."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CVAT = """\
name: cvat
services:
  cvat_server: {image: cvat/server:dev, networks: [cvat]}
networks:
  cvat:
"""


def merged(root: Path, folder: Path, compose: str) -> dict[str, Any]:
    """CVAT's files (what matters of them) and ours, as compose itself merges them."""
    (folder / "docker-compose.yml").write_text(CVAT)
    files = [folder / "docker-compose.yml", root / "deploy/compose.siaf.yml"]
    options = [option for file in files for option in ("-f", str(file))]
    command = [compose, *options, "config", "--format", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # type: ignore[no-any-return]


@pytest.fixture
def config(root: Path, tmp_path: Path, tool: Callable[[str], str]) -> dict[str, Any]:
    return merged(root, tmp_path, tool("docker-compose"))


def test_adds_one_service_to_cvats_network(config: dict[str, Any]) -> None:
    assert set(config["services"]) == {"cvat_server", "siaf_redis"}
    assert set(config["services"]["siaf_redis"]["networks"]) == {"cvat"}
    # deploy.sh puts the functions into this network by default.
    assert config["networks"]["cvat"]["name"] == "cvat_cvat"


def test_redis_is_not_published_and_not_privileged(config: dict[str, Any]) -> None:
    redis = config["services"]["siaf_redis"]
    assert "ports" not in redis
    assert redis["cap_drop"] == ["ALL"]
    assert redis["user"] == "redis"


def test_redis_keeps_sessions_over_a_restart(config: dict[str, Any]) -> None:
    redis = config["services"]["siaf_redis"]
    assert [volume["target"] for volume in redis["volumes"]] == ["/data"]
    command = " ".join(redis["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy volatile-lru" in command


def test_has_the_redis_of_kubernetes(config: dict[str, Any], root: Path) -> None:
    assert config["services"]["siaf_redis"]["image"] in (root / "deploy/helm/siaf/values.yaml").read_text()
