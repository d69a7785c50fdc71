"""The OpenAPI document: served, committed, and true."""

import json
from pathlib import Path

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
