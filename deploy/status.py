#!/usr/bin/env python3
"""Asks Nuclio's dashboard for SIAF's functions the way CVAT does, and says what CVAT makes of the answer.

Needs Python 3.11 or newer and nothing else. Exit code 1 if there is a problem; each is one line.
"""

import argparse
import json
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

PROJECT = "cvat"  # CVAT lists the functions of this Nuclio project only
SHAPE_TYPES = {"rectangle", "polygon", "polyline", "points", "ellipse", "cuboid", "skeleton", "mask"}
KINDS = ("interactor", "tracker")


def problems(function: dict[str, Any]) -> Iterator[str]:
    """What would keep CVAT from listing, showing or calling a function, as the dashboard describes it."""
    metadata, spec, status = (function.get(key) or {} for key in ("metadata", "spec", "status"))
    annotations = metadata.get("annotations") or {}
    for key, value in annotations.items():
        if not isinstance(value, str):
            yield f"annotation {key} is {value!r}, not a string"
    if (project := (metadata.get("labels") or {}).get("nuclio.io/project-name")) != PROJECT:
        yield f"is in Nuclio project {project!r}: CVAT lists project {PROJECT!r} only"
    if not spec.get("description"):
        yield "has no description: CVAT cannot list any function"
    if (state := status.get("state")) != "ready":
        yield f"is {state!r}, not ready: {status.get('message') or 'see its log'}"
    yield from _annotation_problems({key: str(value) for key, value in annotations.items()})


def _annotation_problems(annotations: dict[str, str]) -> Iterator[str]:
    kind = annotations.get("type")
    if kind not in KINDS:
        yield f"annotation type is {kind!r}, neither interactor nor tracker"
    try:
        labels = json.loads(annotations.get("spec") or "[]")
    except ValueError:
        labels = None
    if not isinstance(labels, list):
        yield "annotation spec is not a JSON list: CVAT leaves it out"
    for key in ("version", "min_pos_points", "min_neg_points"):
        if key in annotations and not annotations[key].lstrip("-").isdecimal():
            yield f"annotation {key} is {annotations[key]!r}, not a whole number: CVAT leaves it out"
    if kind == "interactor":
        if annotations.get("version", "1") in ("0", "1"):
            yield "annotation version is below 2: the Interact button is disabled"
        for key in ("startswith_box", "startswith_box_optional"):
            if annotations.get(key, "").lower() in ("false", "0", "no", "off"):
                yield f"annotation {key} is {annotations[key]!r}, which CVAT takes for true: leave it out"
    if kind == "tracker" and "supported_shape_types" in annotations:
        types = annotations["supported_shape_types"].split(",")
        for unknown in sorted(set(types) - SHAPE_TYPES):
            yield f"supported_shape_types has {unknown!r}, which is no shape type"
        if "rectangle" not in types:
            yield "supported_shape_types lacks rectangle: the Trackers tab does not show it"


def _ask(url: str, headers: dict[str, str]) -> Any:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def check(dashboard: str, namespace: str, host: str, invoke: str, kinds: list[str]) -> int:
    """Print state and problems of the functions; the number of problems.

    `invoke` is the way CVAT calls a function: `direct`, at its port on `host`, or through the `dashboard`.
    """
    headers = {
        "x-nuclio-project-name": PROJECT,
        "x-nuclio-function-namespace": namespace,
        "x-nuclio-invoke-via": "domain-name",
        "X-Nuclio-Invoke-Timeout": "120s",
    }
    functions = _ask(f"{dashboard}/api/functions", headers)
    count = 0
    for name in (f"siaf-{kind}" for kind in kinds):
        function = functions.get(name)
        if function is None:
            count += 1
            print(f"{name}: not in project {PROJECT}, namespace {namespace}")
            continue
        port = (function.get("status") or {}).get("httpPort")
        found = list(problems(function))
        if invoke == "direct":
            url, extra = f"http://{host}:{port}/v1/info", {}
        else:
            url = f"{dashboard}/api/function_invocations"
            extra = {"x-nuclio-function-name": name, "x-nuclio-path": "/v1/info"}
        try:
            answer = json.dumps(_ask(url, headers | extra if extra else {}))
        except (OSError, ValueError) as error:
            answer = "no answer"
            found.append(f"does not answer at {url}: {error}")
        print(f"{name}: port {port}: {answer}")
        for problem in found:
            print(f"{name}: PROBLEM: {problem}")
        count += len(found)
    return count


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dashboard", default="http://localhost:8070", metavar="URL")
    parser.add_argument("--namespace", default="nuclio", help="with CVAT's Helm chart: the release's namespace")
    parser.add_argument("--host", default="localhost", help="where the functions' ports are published (direct)")
    parser.add_argument("--invoke", choices=["direct", "dashboard"], default="direct", help="dashboard on Kubernetes")
    parser.add_argument("--kind", choices=[*KINDS, "both"], default="both")
    options = parser.parse_args(arguments)
    kinds = list(KINDS) if options.kind == "both" else [options.kind]
    try:
        found = check(options.dashboard, options.namespace, options.host, options.invoke, kinds)
    except (OSError, ValueError) as error:
        print(f"status.py: the dashboard at {options.dashboard} does not answer: {error}", file=sys.stderr)
        return 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
