"""The OpenAPI document: served, committed, and true."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from function_client import Client

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_committed_document_is_the_served_one(client: Client) -> None:
    served = client.ok("GET", "/v1/openapi.json")
    committed = json.loads(COMMITTED.read_text())
    served["info"]["version"] = committed["info"]["version"]
    assert served == committed


def test_every_route_is_in_it(client: Client) -> None:
    paths = client.ok("GET", "/v1/openapi.json")["paths"]
    assert {(route.path, route.method.lower()) for route in client.service.routes} == {
        (path, method) for path, methods in paths.items() for method in methods
    }


def test_info_says_what_a_client_must_know(client: Client) -> None:
    info = client.ok("GET", "/v1/info")
    assert info["model"] == "siaf-t"
    assert len(info["weights"]) == 32
    assert info["limits"]["max_frames"] == 20_000


def test_health_and_metadata_are_the_open_inference_protocols(client: Client) -> None:
    assert client.ok("GET", "/v2/health/live") == {"live": True}
    assert client.ok("GET", "/v2/health/ready") == {"ready": True}
    model = client.ok("GET", "/v2/models/siaf")
    assert (model["name"], model["platform"]) == ("siaf", "pytorch_safetensors")
    assert model["versions"] == [client.ok("GET", "/v1/info")["version"]]
    assert {tensor["name"] for tensor in model["inputs"]} == {"image", "pos_points", "neg_points", "obj_bbox"}
    assert model["outputs"] == [{"name": "mask", "datatype": "UINT8", "shape": [-1, -1]}]
    assert client.call("GET", "/v2/models/other")[0] == 404


def test_it_is_not_ready_without_its_store(start: Callable[..., Client], tmp_path: Path) -> None:
    client = start(store=f"file:{tmp_path}/state", token="swordfish")
    assert client.ok("GET", "/v2/health/ready") == {"ready": True}  # without the token, as probes come
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "state").write_text("in the way")
    status, answer = client.call("GET", "/v2/health/ready")
    assert (status, answer["error"]["code"]) == (503, "busy")
    assert "the session store is unavailable" in answer["error"]["message"]
    assert client.ok("GET", "/v2/health/live") == {"live": True}


def test_the_document_says_what_the_mask_holds(client: Client, jpegs: list[bytes]) -> None:
    paths = client.ok("GET", "/v1/openapi.json")["paths"]
    reply = paths["/"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"][0]
    allowed = reply["properties"]["mask"]["items"]["items"]["enum"]
    assert set(np.unique(client.cvat(jpegs[0], pos_points=[[15, 20]])["mask"])) == set(allowed)
