"""docs/operations.md says what the code says, and has an answer to every known issue."""

import re
from pathlib import Path

import pytest
import yaml
from render import Deployment, render

from function.runtime.metrics import Metrics
from function.settings import Settings, settings_table
from siaf.cvat.service.metrics import Metrics as ServiceMetrics

KNOWN_ISSUES = """
    cvat#6861 cvat#5258 cvat-PR#6073 cvat#7267 nuclio-PR#1699 nuclio#2814 nuclio#3016 nuclio#1162
    nuclio-PR#2818 cvat-PR#6840 cvat#3301 cvat#6041 cvat#7274 cvat#4352 cvat#10133 cvat#4950
    cvat#6192 nuclio#2788 nuclio#2812 nuclio#2791 nuclio-PR#3002 nuclio#2885 cvat#8200 cvat#6582
    cvat#6797 cvat#6714 nuclio#3328 nuclio#3472 nuclio#3694 nuclio#1816 nuclio#1822 cvat#1997
    cvat#2489 nuclio#1781 cvat-PR#2546 cvat#8402 cvat#9391 cvat#2635 cvat#7793 cvat#8679 cvat#9486
    cvat#6129 nuclio#2021 cvat#2011 cvat#7278 cvat#7015 cvat#6036 cvat#6332 cvat#10149 cvat#10151
"""
"""What users of CVAT's serverless functions have run into, by repository and number."""


@pytest.fixture(scope="module")
def guide(root: Path) -> str:
    return (root / "docs/operations.md").read_text()


@pytest.fixture(scope="module")
def metric_names() -> set[str]:
    metrics = Metrics()
    metrics.count("cvat", 200, 0.1, {"decode": 0.1})
    service = ServiceMetrics()
    service.answered("rounds", 200)
    service.ended("done", 1.0)
    text = metrics.render(feature_bytes=1, live_sessions=1) + service.render().decode()
    return {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def test_the_table_of_settings_is_the_functions_own(guide: str) -> None:
    """Update it with what `python -m function.settings` prints."""
    table = re.search(r"<!-- settings: .*? -->\n(.*?)<!-- /settings -->", guide, re.DOTALL)
    assert table is not None
    assert table[1] == settings_table()


def test_every_variable_it_names_is_a_setting(root: Path, guide: str) -> None:
    known = {f"SIAF_{name.upper()}" for name in Settings.model_fields}
    files = (root / "deploy").glob("**/compose*.yml")
    composed = {name for file in files for name in re.findall(r"SIAF_[A-Z_]*[A-Z]", file.read_text())}
    assert set(re.findall(r"SIAF_[A-Z_]*[A-Z]", guide)) <= known | composed


def test_limits_are_those_in_force(guide: str) -> None:
    settings = Settings(_env_file=None)
    spec = render(Deployment(kind="tracker", device="cpu", base_image="b"))["spec"]
    trigger = spec["triggers"]["myHttpTrigger"]
    table = guide.split("## Sizes and timeouts, end to end")[1].split("\n## ")[0]
    for value, variable in [
        (
            f"{trigger['workerAvailabilityTimeoutMilliseconds'] // 1000} s",
            "workerAvailabilityTimeoutMilliseconds",
        ),
        (f"{spec['eventTimeout'].removesuffix('s')} s", "eventTimeout"),
        (f"{settings.max_budget_s:.0f} s", "SIAF_MAX_BUDGET_S"),
        (f"{settings.lock_wait_s:.0f} s", "SIAF_LOCK_WAIT_S"),
        (f"{settings.max_body_bytes >> 20} MiB", "SIAF_MAX_BODY_BYTES"),
        (f"{trigger['attributes']['maxRequestBodySize'] >> 20} MiB", "maxRequestBodySize"),
        (f"{settings.max_pixels // 10**6} megapixels", "SIAF_MAX_PIXELS"),
        (f"{settings.session_ttl // 3600} h in the function", "SIAF_SESSION_TTL"),
    ]:
        assert any(value in line and variable in line for line in table.splitlines()), (value, variable)


def test_every_metric_is_explained_and_there(guide: str, metric_names: set[str]) -> None:
    named = set(re.findall(r"`(siaf_\w+)", guide))
    bases = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in metric_names}
    assert named == {name for name in bases if f"{name}_total" not in bases}


def test_alerts_ask_for_metrics_that_exist_and_have_an_answer(root: Path, guide: str, metric_names: set[str]) -> None:
    (group,) = yaml.safe_load((root / "deploy/prometheus/alerts.yaml").read_text())["groups"]
    for rule in group["rules"]:
        assert set(re.findall(r"siaf_\w+", rule["expr"])) <= metric_names
        assert f"| `{rule['alert']}` |" in guide
        assert {"severity"} == set(rule["labels"])


def test_prometheus_scrapes_what_the_function_serves_and_waits_for_the_worker(root: Path) -> None:
    (job,) = yaml.safe_load((root / "deploy/prometheus/scrape.yaml").read_text())["scrape_configs"]
    timeout = render(Deployment(kind="tracker", device="cpu", base_image="b"))["spec"]["eventTimeout"]
    assert job["metrics_path"] == "/v1/metrics"
    assert int(job["scrape_timeout"].removesuffix("s")) > int(timeout.removesuffix("s"))
    assert int(job["scrape_interval"].removesuffix("s")) >= int(job["scrape_timeout"].removesuffix("s"))


@pytest.mark.parametrize("issue", KNOWN_ISSUES.split())
def test_every_known_issue_has_an_answer(issue: str, guide: str) -> None:
    assert re.search(rf"{issue.replace('-', ' ')}\b", guide.split("## Troubleshooting")[1])


def test_files_and_sections_it_points_to_are_there(root: Path, guide: str) -> None:
    paths = re.findall(r"(?<![\w./])((?:deploy|tests|docs)/[\w./-]+\w)", guide)
    assert len(paths) > 20
    for path in paths:
        assert (root / path).exists(), path
    headings = {re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-") for line in guide.splitlines()}
    anchors = re.findall(r"\]\(#([\w-]+)\)", guide)
    assert len(anchors) > 2
    for anchor in anchors:
        assert anchor in headings


def test_commands_have_options_that_exist(root: Path, guide: str) -> None:
    for script in ("deploy.sh", "undeploy.sh", "status.py"):
        text = (root / "deploy" / script).read_text()
        lines = re.findall(rf"deploy/{re.escape(script)}(.*)", guide)
        assert lines, script
        for line in lines:
            assert all(option in text for option in re.findall(r"--[a-z-]+", line)), line
