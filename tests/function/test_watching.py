"""What an operator sees: log lines with timings, and metrics."""

import json
from collections.abc import Callable

from function_client import Client


def test_a_request_is_one_log_line_with_its_id_and_timings(client: Client, jpegs: list[bytes]) -> None:
    client.log.lines.clear()
    response = client.raw("GET", "/v1/info", headers={"X-Request-Id": "abc"})
    client.cvat(jpegs[11], pos_points=[[40, 20]], neg_points=[])
    info, click = client.log.lines
    assert response.headers["X-Request-Id"] == info["id"] == "abc"
    assert (info["call"], info["status"]) == ("info", 200)
    assert click["call"] == "cvat"
    assert click["ms"] >= click["model_ms"] > 0
    assert {"decode_ms", "encode_ms"} <= click.keys()


def test_a_session_is_named_in_the_log_by_what_nobody_can_use(client: Client) -> None:
    """The whole id opens the session; eight digits tell it from others."""
    client.log.lines.clear()
    client.call("GET", f"/v1/sessions/{'0' * 32}")
    assert (client.log.lines[0]["session"], client.log.lines[0]["status"]) == ("0" * 8, 404)


def test_every_part_of_a_round_has_its_time(client: Client, jpegs: list[bytes]) -> None:
    session = client.ok("POST", "/v1/sessions", {"frames": 2, "width": 96, "height": 72})["id"]
    client.log.lines.clear()
    for number in range(2):
        client.upload(session, number, jpegs[number])
    round_ = {"revision": 0, "scribbles": [{"frame": 0, "strokes": [{"tag": 1, "points": [[20, 20]]}]}]}
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_)
    client.ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": 20})
    upload, _, drawn, propagated = client.log.lines
    assert {"decode_ms", "store_ms"} <= upload.keys()
    for line in (drawn, propagated):
        phases = [line[f"{name}_ms"] for name in ("decode", "model", "encode", "store")]
        assert all(part >= 0 for part in phases)
        assert sum(phases) <= line["ms"] + 0.5  # a phase within another is not counted twice


def test_the_session_behind_a_call_of_cvat_is_named_too(client: Client, jpegs: list[bytes]) -> None:
    states = client.cvat(jpegs[0], shapes=[{"type": "rectangle", "points": [5, 10, 25, 30]}], states=[])["states"]
    client.log.lines.clear()
    for _ in range(2):  # the second time from memory
        client.cvat(jpegs[1], shapes=[None], states=states)
    assert [line["session"] for line in client.log.lines] == [states[0]["session"][:8]] * 2


def test_metrics_count_calls_and_phases(start: Callable[..., Client], jpegs: list[bytes]) -> None:
    client = start()
    client.cvat(jpegs[0], pos_points=[[40, 20]], neg_points=[])
    client.call("GET", "/nothing")
    response = client.raw("GET", "/v1/metrics")
    assert response.content_type.startswith("text/plain; version=0.0.4")
    assert 'siaf_requests_total{call="cvat",status="200"} 1.0' in response.body
    assert 'siaf_requests_total{call="none",status="404"} 1.0' in response.body
    assert 'siaf_phase_seconds_count{phase="model"} 1.0' in response.body
    assert "siaf_feature_cache_bytes" in response.body


def test_no_line_of_the_log_has_all_of_a_session_s_id(start: Callable[..., Client], jpegs: list[bytes]) -> None:
    client = start()
    session = client.ok("POST", "/v1/sessions", {"frames": 1, "width": 96, "height": 72})["id"]
    client.upload(session, 0, jpegs[0])
    client.cvat(jpegs[0], shapes=[{"type": "rectangle", "points": [5, 10, 25, 30]}])
    assert session not in json.dumps(client.log.lines)
    assert session[:8] in json.dumps(client.log.lines)
    assert all(len(line["session"] or "") <= 8 for line in client.log.lines)
