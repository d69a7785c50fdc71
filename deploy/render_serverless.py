#!/usr/bin/env python3
"""Writes what other tools deploy: both functions in the layout that CVAT's deploy_cpu.sh and deploy_gpu.sh take
(deploy/serverless), and those that the Helm chart makes (deploy/helm/siaf/functions).

Run it after a change of function.yaml, of a patch or of the version. The base image is the one that function.yaml
names, tagged with version and device. Needs Python 3.11 or newer and PyYAML.
"""

import sys
from pathlib import Path

import yaml
from render import ROOT, Deployment, merge, project_version, render

FOLDERS = SERVERLESS, CHART = ROOT / "deploy" / "serverless", ROOT / "deploy" / "helm" / "siaf" / "functions"
_NOTE = "# Written by deploy/render_serverless.py from function.yaml and deploy/patches; edit those.\n"
_MAIN = '''"""What Nuclio starts. The base image holds the function; nuctl copies this folder beside it."""

from function.main import handler, init_context

__all__ = ["handler", "init_context"]
'''


class _Dumper(yaml.SafeDumper):
    """Lists are indented, as in the other files of this folder."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def files() -> dict[Path, str]:
    """Every file of both folders and its text."""
    found = {}
    for kind in ("interactor", "tracker"):
        folder = SERVERLESS / "pytorch" / "siaf" / kind / "nuclio"
        found[folder / "main.py"] = _MAIN
        for device, name in (("cpu", "function.yaml"), ("gpu", "function-gpu.yaml")):
            found[folder / name] = _NOTE + _dump(_config(kind, device))
            chart = render(Deployment(kind=kind, device=device, platform="kube", image="the chart's own"))
            found[CHART / f"{kind}-{device}.yaml"] = _NOTE + _dump(chart)
    return found


def _dump(config: object) -> str:
    return str(yaml.dump(config, Dumper=_Dumper, sort_keys=False, width=120))


def _config(kind: str, device: str) -> object:
    named = yaml.safe_load((ROOT / "function.yaml").read_text())["spec"]["build"]["baseImage"]
    image = f"{named.rpartition(':')[0]}:{project_version()}-{device}"
    config = render(Deployment(kind=kind, device=device, base_image=image))
    return merge(config, {"spec": {"handler": "main:handler"}})


def main() -> int:
    """Write the files."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
