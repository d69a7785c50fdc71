"""Renders one variant of function.yaml: the file at the top of the repository with patches merged in.

A patch has the shape of what it changes: mappings are merged, lists of named things (env, containers) are
merged by name, everything else is replaced, null takes a key away. Needs Python 3.11 or newer and PyYAML.
"""

import argparse
import os
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).resolve().parent.parent
STATE_DIR = "/var/lib/siaf/state"  # made by the Dockerfile, owned by the user that the function runs as
WEIGHTS_DIR = "/var/lib/siaf/weights"


class DeployError(Exception):
    """One line that tells whoever deploys what to change."""


@dataclass(frozen=True)
class Deployment:
    """One function to render.

    `image` is a ready-made image; without it nuctl builds on `base_image`. `store` overrides the
    SIAF_STORE of function.yaml (local) or of the Secret (kube); `file:` in it names a directory of the
    host. `model` becomes SIAF_MODEL; `weights`, a file or a folder of the host, SIAF_WEIGHTS. `token`
    becomes SIAF_TOKEN on the local platform; on Kubernetes it is the Secret's.
    """

    kind: str
    device: str
    platform: str = "local"
    namespace: str = "nuclio"
    network: str = "cvat_cvat"
    image: str | None = None
    base_image: str | None = None
    store: str | None = None
    model: str | None = None
    weights: str | None = None
    token: str | None = None
    patches: tuple[Path, ...] = ()


def merge(base: Any, patch: Any) -> Any:
    """`base` with `patch` merged in, by the rules above. Neither is changed."""
    if isinstance(base, dict) and isinstance(patch, dict):
        merged = dict(base)
        for key, value in patch.items():
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = merge(merged.get(key), value)
        return merged
    if _is_named(base) and _is_named(patch):
        by_name = {item["name"]: item for item in base}
        for item in patch:
            by_name[item["name"]] = merge(by_name.get(item["name"]), item)
        return list(by_name.values())
    return merge({}, patch) if isinstance(patch, dict) else patch


def render(deployment: Deployment) -> dict[str, Any]:
    """The function configuration for `nuctl deploy --file`. Raises DeployError."""
    folder = ROOT / "deploy" / "patches"
    files = [folder / "tracker.yaml"] * (deployment.kind == "tracker")
    files += [folder / "gpu.yaml"] * (deployment.device == "gpu")
    files += [folder / "kube.yaml"] * (deployment.platform == "kube")
    config: dict[str, Any] = _read(ROOT / "function.yaml")
    for path in [*files, *deployment.patches]:
        config = merge(config, _read(path))
    config = merge(config, _site(deployment, config["metadata"]["name"]))
    _check(config)
    return config


def project_version() -> str:
    """The version in pyproject.toml, which all image tags carry."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def _site(deployment: Deployment, name: str) -> dict[str, Any]:
    """What comes from the command line rather than from a file."""
    spec: dict[str, Any] = {"env": []}
    if deployment.image:
        spec["build"] = None  # nuctl builds as soon as it finds anything to build
    else:
        spec["build"] = {"baseImage": deployment.base_image, "image": f"{name}:{_tag(deployment)}"}
    if deployment.platform == "local":
        spec["platform"] = {"attributes": {"network": deployment.network}}
        if deployment.token:
            spec["env"].append({"name": "SIAF_TOKEN", "value": deployment.token})
    if deployment.store:
        store = deployment.store
        if store.startswith("file:"):
            if deployment.platform == "kube":
                raise DeployError("--store file: is for the local platform; on Kubernetes use redis://")
            spec["volumes"] = [_host_volume(f"--store {store}", "siaf-state", store.removeprefix("file:"), STATE_DIR)]
            store = f"file:{STATE_DIR}"
        spec["env"].append({"name": "SIAF_STORE", "value": store, "valueFrom": None})
    if deployment.model:
        spec["env"].append({"name": "SIAF_MODEL", "value": deployment.model})
    if deployment.weights:
        if deployment.platform == "kube":
            raise DeployError(
                "--weights is for the local platform; on Kubernetes see deploy/patches/weights.example.yaml"
            )
        place = f"{WEIGHTS_DIR}/{Path(deployment.weights).name}"
        volume = _host_volume(f"--weights {deployment.weights}", "siaf-weights", deployment.weights, place)
        spec["volumes"] = [*spec.get("volumes", []), volume]
        spec["env"].append({"name": "SIAF_WEIGHTS", "value": place})
    return {"metadata": {"namespace": deployment.namespace}, "spec": spec}


def _host_volume(option: str, name: str, path: str, inside: str) -> dict[str, Any]:
    if not Path(path).is_absolute():
        raise DeployError(f"{option}: Docker mounts only an absolute path of the host")
    return {
        "volume": {"name": name, "hostPath": {"path": path}},
        "volumeMount": {"name": name, "mountPath": inside},
    }


def _check(config: dict[str, Any]) -> None:
    spec = config["spec"]
    given = {entry["name"]: entry.get("value") for entry in spec["env"]}
    store, model = given.get("SIAF_STORE"), given.get("SIAF_MODEL") or ""
    if spec["maxReplicas"] > 1 and store is not None and urlsplit(store).scheme not in ("redis", "rediss"):
        raise DeployError(f"{spec['maxReplicas']} replicas cannot share SIAF_STORE={store}: use redis://")
    if model.startswith(("edgetam", "sam2.1-")) and not given.get("SIAF_WEIGHTS"):
        raise DeployError(f"no image holds the weights of {model}: give --weights, or weights.example.yaml as --patch")


def _tag(deployment: Deployment) -> str:
    return f"{project_version()}-{deployment.device}"


def _is_named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in value)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise DeployError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise DeployError(f"{path}: must be a mapping")
    return content


def main(arguments: list[str]) -> int:
    """Print the rendered configuration as YAML. SIAF_TOKEN is taken from the environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=["interactor", "tracker"], required=True)
    parser.add_argument("--device", choices=["cpu", "gpu"], required=True)
    parser.add_argument("--platform", choices=["local", "kube"], default="local")
    parser.add_argument("--namespace", default="nuclio")
    parser.add_argument("--network", default="cvat_cvat")
    parser.add_argument("--image")
    parser.add_argument("--base-image")
    parser.add_argument("--store")
    parser.add_argument("--model")
    parser.add_argument("--weights")
    parser.add_argument("--patch", type=Path, action="append", default=[], dest="patches")
    options = vars(parser.parse_args(arguments))
    options["patches"] = tuple(options["patches"])
    try:
        config = render(Deployment(**options, token=os.environ.get("SIAF_TOKEN")))
    except DeployError as error:
        print(f"render.py: {error}", file=sys.stderr)
        return 2
    yaml.safe_dump(config, sys.stdout, sort_keys=False, width=120)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
