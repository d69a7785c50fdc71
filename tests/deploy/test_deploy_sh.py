"""deploy.sh and undeploy.sh: they do what they print, twice is as good as once, secrets stay hidden."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from render import project_version

from siaf.model.names import ENGINE_NAMES

GOLDEN = Path(__file__).parent / "data"
FAKE = """\
#!/bin/sh
echo "$(basename "$0") $*" >> "$LOG"
case "$(basename "$0") $1 $2" in
  "nuctl get project") grep -q "nuctl create project" "$LOG" ;;
  "nuctl get function") grep -q "nuctl deploy" "$LOG" ;;
  "nuctl deploy "*) [ -z "$FAIL" ] || exit 3 ;;
  "nuctl version "*) echo 'Client version:'; echo '"Label: 1.14.1, Git commit: x, OS: linux, Arch: amd64"' ;;
esac
"""


class Bench:
    """deploy.sh with a docker and a nuctl that only write down how they were called."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.log, self.keep = root, folder / "log", folder / "keep"
        tools = folder / "bin"
        for directory in (tools, self.keep, folder / "tmp"):
            directory.mkdir()
        self.log.touch()
        for name in ("docker", "nuctl"):
            (tools / name).write_text(FAKE)
            (tools / name).chmod(0o755)
        self.env = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHON": sys.executable,
            "REVISION": "0123abc",
            "TMPDIR": str(folder / "tmp"),
            "LOG": str(self.log),
            "KEEP": str(self.keep),
            "FAIL": "",
        }

    def run(self, script: str, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.root / "deploy" / script), *options]
        return subprocess.run(command, capture_output=True, text=True, env=self.env | env, cwd=self.keep)

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def bench(root: Path, tmp_path: Path) -> Bench:
    return Bench(root, tmp_path)


GOLDENS = {
    "local": "--device cpu --kind both --store file:/srv/siaf",
    "local-redis": "--device gpu --kind tracker --store redis://:hunter2@siaf_redis:6379/0",
    "engine": "--device gpu --kind interactor --model edgetam --weights /srv/siaf/edgetam --store file:/srv/siaf/state",
    "kube": "--device gpu --kind both --platform kube --namespace cvat --registry registry.example.org/ml "
    "--patch {root}/deploy/patches/replicas.yaml",
}


@pytest.mark.parametrize("name", GOLDENS)
def test_dry_run(name: str, bench: Bench, root: Path) -> None:
    """Update: SIAF_GOLDEN=write pytest tests/deploy/test_deploy_sh.py, then read the diff."""
    options = GOLDENS[name].format(root=root).split()
    result = bench.run("deploy.sh", *options, "--dry-run", SIAF_TOKEN="hunter2", NUCLIO_VERSION="1.14.1")
    assert result.returncode == 0, result.stderr
    printed = result.stdout.replace(str(root), "{root}").replace(project_version(), "{version}")
    golden = GOLDEN / f"deploy-{name}.golden"
    if os.environ.get("SIAF_GOLDEN") == "write":
        golden.write_text(printed)
    assert printed == golden.read_text()
    assert "hunter2" not in printed
    assert bench.calls() == []


def commands(printed: str) -> list[str]:
    """The commands of a dry run, or of a real one, without the rendered files and the folder's name."""
    pattern = re.compile(r"(docker|nuctl|mkdir|cp|find) ")
    return [re.sub(r"\S*/(siaf-deploy|tmp\.\w+)/", "W/", line) for line in printed.splitlines() if pattern.match(line)]


@pytest.mark.parametrize("name", GOLDENS)
def test_does_what_the_dry_run_printed(name: str, bench: Bench, root: Path) -> None:
    options = GOLDENS[name].format(root=root).split()
    real = bench.run("deploy.sh", *options)
    assert real.returncode == 0, real.stderr
    dry = bench.run("deploy.sh", *options, "--dry-run")
    assert commands(real.stdout.replace(":hunter2@", ":***@")) == commands(dry.stdout.replace(":hunter2@", ":***@"))


def test_a_second_run_is_an_upgrade(bench: Bench) -> None:
    options = ["--device", "cpu", "--kind", "interactor"]
    for _ in range(2):
        assert bench.run("deploy.sh", *options).returncode == 0
    calls = [" ".join(call.split()[:3]) for call in bench.calls()]
    assert calls.count("nuctl create project") == 1
    assert [call.split()[:2] for call in calls].count(["nuctl", "deploy"]) == 2


def test_nothing_secret_reaches_a_command_line_and_nothing_is_left_behind(bench: Bench, tmp_path: Path) -> None:
    result = bench.run("deploy.sh", *GOLDENS["local-redis"].split(), SIAF_TOKEN="swordfish")
    assert result.returncode == 0, result.stderr
    assert "swordfish" not in result.stdout + bench.log.read_text()
    assert "hunter2" not in result.stdout + bench.log.read_text()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_failing_command_ends_the_run(bench: Bench, tmp_path: Path) -> None:
    result = bench.run("deploy.sh", "--device", "cpu", "--kind", "both", FAIL="yes")
    assert result.returncode != 0
    assert sum("nuctl deploy" in call for call in bench.calls()) == 1
    assert list((tmp_path / "tmp").iterdir()) == []


def test_nuctl_gets_the_function_package_and_a_rendered_file(bench: Bench, tmp_path: Path, root: Path) -> None:
    """nuctl copies all of --path to /opt/nuclio, where `function.main` must be importable."""
    nuctl = tmp_path / "bin/nuctl"
    copy = textwrap.dedent(
        """
        if [ "$1" = deploy ]; then
            while [ $# -gt 0 ]; do
                [ "$1" != --path ] || cp -R "$2" "$KEEP/context"
                [ "$1" != --file ] || { cp "$2" "$KEEP/function.yaml"; stat -c %a "$2" > "$KEEP/mode"; }
                shift
            done
        fi
        """
    )
    nuctl.write_text(nuctl.read_text() + copy)
    assert bench.run("deploy.sh", "--device", "cpu", "--kind", "tracker", SIAF_TOKEN="swordfish").returncode == 0
    context = bench.keep / "context"
    copied = {path.relative_to(context).as_posix() for path in context.rglob("*") if path.is_file()}
    package = {path.relative_to(root).as_posix() for path in (root / "function").rglob("*") if path.is_file()}
    assert copied == {name for name in package if "__pycache__" not in name}
    assert "function/__init__.py" in copied
    config = yaml.safe_load((bench.keep / "function.yaml").read_text())
    assert {"name": "SIAF_TOKEN", "value": "swordfish"} in config["spec"]["env"]
    assert (bench.keep / "mode").read_text().strip() == "600"


def test_the_processor_image_has_nuctls_own_version(bench: Bench) -> None:
    options = ["--device", "cpu", "--kind", "tracker", "--platform", "kube", "--registry", "r"]
    assert bench.run("deploy.sh", *options).returncode == 0
    assert any("--build-arg NUCLIO_VERSION=1.14.1" in call for call in bench.calls())


@pytest.mark.parametrize("model", ["siaf-r50", *ENGINE_NAMES])
def test_other_engines_get_an_image_that_has_their_packages(model: str, bench: Bench) -> None:
    options = ["--device", "cpu", "--kind", "tracker", "--model", model, "--weights", "/srv/weights"]
    assert bench.run("deploy.sh", *options).returncode == 0
    (build,) = [call for call in bench.calls() if call.startswith("docker build")]
    assert ("--build-arg SAM2=yes" in build) == (f"{project_version()}-cpu-sam2 " in build) == (model in ENGINE_NAMES)


def test_another_engine_without_weights_stops_before_anything_is_built(bench: Bench) -> None:
    result = bench.run("deploy.sh", "--device", "gpu", "--kind", "both", "--model", "sam2.1-large")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "no image holds the weights of sam2.1-large: give --weights" in result.stderr
    assert bench.calls() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--kind both", "--device must be cpu or gpu"),
        ("--device tpu --kind both", "--device must be cpu or gpu"),
        ("--device cpu", "--kind must be interactor, tracker or both"),
        ("--device cpu --kind both --platform kube", "needs --registry"),
        ("--device cpu --kind both --store", "--store needs a value"),
        ("--device cpu --kind both --fast", "unknown option --fast"),
    ],
)
def test_a_wrong_option_is_one_line_and_nothing_happens(options: str, message: str, bench: Bench) -> None:
    result = bench.run("deploy.sh", *options.split())
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert message in result.stderr
    assert bench.calls() == []


def test_a_store_that_cannot_work_stops_before_anything_is_built(bench: Bench) -> None:
    result = bench.run("deploy.sh", "--device", "cpu", "--kind", "tracker", "--store", "file:state")
    assert result.returncode == 2
    assert "absolute path" in result.stderr
    assert bench.calls() == []


def test_undeploy_removes_what_is_there_and_says_what_is_not(bench: Bench) -> None:
    assert "siaf-tracker is not there" in bench.run("undeploy.sh", "--kind", "both").stdout
    assert bench.run("deploy.sh", "--device", "cpu", "--kind", "both").returncode == 0
    result = bench.run("undeploy.sh", "--kind", "both", "--namespace", "n")
    assert result.returncode == 0
    assert [call for call in bench.calls() if "delete" in call] == [
        "nuctl delete function siaf-interactor --platform local --namespace n",
        "nuctl delete function siaf-tracker --platform local --namespace n",
    ]
    assert result.stdout.splitlines() == [call for call in bench.calls() if "delete" in call]


def test_undeploy_dry_run(bench: Bench) -> None:
    result = bench.run("undeploy.sh", "--kind", "tracker", "--platform", "kube", "--dry-run")
    assert result.stdout == "nuctl delete function siaf-tracker --platform kube --namespace nuclio\n"
    assert bench.calls() == []
