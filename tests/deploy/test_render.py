"""Rendering: how patches merge, what the command line adds, what is refused."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from render import DeployError, Deployment, main, merge, render

LOCAL = Deployment(kind="interactor", device="cpu", base_image="base:1")


def env(config: dict[str, Any]) -> dict[str, Any]:
    return {variable["name"]: variable.get("value") for variable in config["spec"]["env"]}


@pytest.mark.parametrize(
    ("base", "patch", "merged"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": 1}, {"b": {"c": None, "d": 4}}, {"a": 1, "b": {"d": 4}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        (
            [{"name": "x", "value": "1"}, {"name": "y", "value": "2"}],
            [{"name": "y", "value": None, "from": "s"}, {"name": "z", "value": "3"}],
            [{"name": "x", "value": "1"}, {"name": "y", "from": "s"}, {"name": "z", "value": "3"}],
        ),
    ],
    ids=["mappings", "null", "null in what is new", "plain lists", "named lists"],
)
def test_merge(base: Any, patch: Any, merged: Any) -> None:
    assert merge(base, patch) == merged


def test_a_directory_of_the_host_becomes_a_volume() -> None:
    config = render(Deployment(**{**vars(LOCAL), "store": "file:/srv/siaf"}))
    (volume,) = config["spec"]["volumes"]
    assert volume["volume"]["hostPath"] == {"path": "/srv/siaf"}
    assert env(config)["SIAF_STORE"] == f"file:{volume['volumeMount']['mountPath']}"


def test_the_directory_inside_is_the_one_that_the_image_makes(root: Path) -> None:
    config = render(Deployment(**{**vars(LOCAL), "store": "file:/srv/siaf"}))
    assert config["spec"]["volumes"][0]["volumeMount"]["mountPath"] in (root / "Dockerfile").read_text()


def test_another_model_and_its_weights_on_the_host_become_settings_and_a_volume() -> None:
    given = {"model": "edgetam", "weights": "/srv/siaf/edgetam", "store": "file:/srv/siaf/state"}
    config = render(Deployment(**{**vars(LOCAL), **given}))
    state, weights = config["spec"]["volumes"]
    assert state["volume"]["hostPath"] == {"path": "/srv/siaf/state"}
    assert weights["volume"]["hostPath"] == {"path": "/srv/siaf/edgetam"}
    assert env(config)["SIAF_MODEL"] == "edgetam"
    assert env(config)["SIAF_WEIGHTS"] == weights["volumeMount"]["mountPath"] == "/var/lib/siaf/weights/edgetam"
    schema = json.loads((Path(__file__).parent / "data/nuclio-function.schema.json").read_text())
    jsonschema.validate(config, schema)


def test_the_token_is_passed_on_locally_and_never_on_kubernetes() -> None:
    assert env(render(Deployment(**{**vars(LOCAL), "token": "secret"})))["SIAF_TOKEN"] == "secret"
    kube = Deployment(kind="interactor", device="cpu", platform="kube", image="i:1", token="secret")
    assert "secret" not in yaml.safe_dump(render(kube)).replace("secretKeyRef", "")


def test_patches_of_the_site_come_last(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("spec: {env: [{name: SIAF_DEVICE, value: 'cuda:1'}], nodeSelector: {gpu: a}}")
    config = render(Deployment(kind="tracker", device="gpu", base_image="b", patches=(tmp_path / "site.yaml",)))
    assert env(config)["SIAF_DEVICE"] == "cuda:1"
    assert config["spec"]["nodeSelector"] == {"gpu": "a"}


def test_the_shipped_patches_apply(root: Path) -> None:
    patches = (root / "deploy/patches/replicas.yaml", root / "deploy/patches/weights.example.yaml")
    config = render(Deployment(kind="tracker", device="gpu", platform="kube", image="i:1", patches=patches))
    assert (config["spec"]["minReplicas"], config["spec"]["maxReplicas"]) == (2, 4)
    (mount,) = [volume["volumeMount"]["mountPath"] for volume in config["spec"]["volumes"]]
    (weights,) = config["spec"]["initContainers"]
    assert weights["command"][-1] == f"{mount}/"
    assert env(config)["SIAF_WEIGHTS"].startswith(f"{mount}/")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"store": "file:state"}, "absolute path"),
        ({"store": "file:/srv/siaf", "platform": "kube"}, "use redis://"),
        ({"model": "siaf-r50", "weights": "siaf-r50.safetensors"}, "--weights siaf-r50.safetensors: .* absolute path"),
        ({"model": "edgetam", "weights": "/srv/edgetam", "platform": "kube"}, "weights.example.yaml"),
        ({"model": "edgetam"}, "no image holds the weights of edgetam: give --weights"),
        ({"store": "memory:", "patches": ("replicas.yaml",)}, "4 replicas cannot share SIAF_STORE=memory:"),
        ({"patches": ("no-such.yaml",)}, "No such file"),
        ({"patches": ("broken.yaml",)}, "broken.yaml: while parsing"),
        ({"patches": ("list.yaml",)}, "must be a mapping"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    change: dict[str, Any], message: str, tmp_path: Path, root: Path
) -> None:
    (tmp_path / "broken.yaml").write_text("spec: {")
    (tmp_path / "list.yaml").write_text("- spec")
    (tmp_path / "replicas.yaml").write_text((root / "deploy/patches/replicas.yaml").read_text())
    patches = tuple(tmp_path / name for name in change.get("patches", ()))
    with pytest.raises(DeployError, match=message) as caught:
        render(Deployment(**{**vars(LOCAL), **change, "patches": patches}))
    assert "\n" not in str(caught.value)


def test_the_command_prints_yaml(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIAF_TOKEN", "t")
    assert main(["--kind", "interactor", "--device", "cpu", "--base-image", "base:1"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == render(Deployment(**{**vars(LOCAL), "token": "t"}))


def test_the_command_fails_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--kind", "tracker", "--device", "cpu", "--store", "file:here"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
