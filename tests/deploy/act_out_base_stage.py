"""Acts out the Dockerfile's `wheel` and `base` stages without Docker, then uses the result as `nuctl` would.

    sudo python tests/deploy/act_out_base_stage.py [--torch-index URL] [--keep]

Runs the Dockerfile's own RUN lines with a bare copy of this Python (no site-packages), on the build
context that .dockerignore lets through. Then, as the image's user and with the repository hidden from the
process, it lets the folder that deploy.sh hands to `nuctl --path` answer one interactor and one tracker
request, and runs `siaf demo`. Needs root (another user, a mount namespace), PyYAML for deploy.sh, a
package index, and disk: 1.5 GB for a CPU build of torch, 7 GB for the CUDA build. By hand or as a CI step
of its own; not part of `make test`.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile import Instruction, build_context, parse

ROOT = Path(__file__).resolve().parents[2]
SCENE = Path(__file__).with_name("act_out_requests.py")
FAKE_NUCTL = """\
#!/bin/sh
[ "$1" = deploy ] || exit 0
while [ $# -gt 0 ]; do
    [ "$1" != --path ] || cp -R "$2/." "$OPT_NUCLIO"
    shift
done
"""


@dataclass
class Stage:
    """A folder that stands for the image's file system, and what the instructions so far have set."""

    folder: Path
    arguments: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"

    @property
    def python(self) -> Path:
        return self.folder / "python"

    def paths(self, instruction: Instruction | None = None) -> dict[str, str]:
        """Paths inside the image and where they are here."""
        places = {"/wheels": "wheels", "/src": "src", "/var/lib/siaf": "state"}
        found = {inside: str(self.folder / here) for inside, here in places.items()}
        for mount in instruction.mounts() if instruction else []:
            origin = self.folder if "from" in mount else self.folder / "context"
            found[mount["target"]] = str(origin / mount["source"].lstrip("/"))
        return found

    def run(self, command: str, cwd: Path, **environment: str) -> None:
        """A shell command as the image would run it; who is not root does not see the repository."""
        variables = {
            "PATH": f"{self.python / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "LD_LIBRARY_PATH": str(self.python / "lib"),
            "HOME": str(self.folder / "home"),
            # How this machine reaches its package index is no part of the image.
            **{key: value for key, value in os.environ.items() if key in ("PIP_CERT", "SSL_CERT_FILE")},
            **self.environment,
            **self.arguments,
            **environment,
        }
        shell = ["sh", "-e", "-c", command]
        if not self.user.startswith("0:"):
            user, group = self.user.split(":")
            become = f"exec setpriv --reuid {user} --regid {group} --clear-groups"
            hidden = f'mount -t tmpfs none "{ROOT}" && {become} "$@"'
            shell = ["unshare", "--mount", "sh", "-c", hidden, "sh", *shell]
        start = time.monotonic()
        subprocess.run(shell, cwd=cwd, env=variables, check=True)
        print(f"    {time.monotonic() - start:.0f} s", flush=True)


def bare_python(folder: Path) -> None:
    """A copy of this interpreter with pip and nothing else, readable by everybody."""
    base = Path(sys.base_prefix)
    left_out = shutil.ignore_patterns("site-packages", "dist-packages", "test", "config-3*", "__pycache__")
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, folder / library.relative_to(base), ignore=left_out)
    (folder / "bin").mkdir()
    for name in (f"python3.{sys.version_info.minor}", "python3", "python"):
        shutil.copy(Path(sys.executable).resolve(), folder / "bin" / name)
    for shared in base.glob("lib/libpython*"):
        shutil.copy(shared, folder / "lib", follow_symlinks=False)


def act_out(stage: Stage, instruction: Instruction) -> None:
    """One instruction of the stages `wheel` and `base`."""
    value = instruction.value
    print(f"[{instruction.stage}] {instruction.name} {value[:150]}", flush=True)
    match instruction.name:
        case "ARG":
            name, _, default = value.partition("=")
            stage.arguments.setdefault(name, default)
        case "ENV":
            stage.environment |= dict(part.split("=", 1) for part in value.split())
        case "USER":
            stage.user = value
        case "COPY":
            *sources, target = value.split()
            for source in sources:
                origin = stage.folder / "context" / source
                place = stage.folder / "src" / (target if origin.is_dir() else Path(source).name)
                if origin.is_dir():
                    shutil.copytree(origin, place)
                else:
                    shutil.copy(origin, place)
        case "RUN" if "useradd" in value:
            print("    instead: folders owned by the image's user id")
        case "RUN":
            places = stage.paths(instruction)
            anywhere = "|".join(sorted(map(re.escape, places), key=len, reverse=True))
            command = re.sub(rf"(?<![\w/])({anywhere})", lambda found: places[found[1]], instruction.command())
            cwd = stage.folder / ("src" if instruction.stage == "wheel" else "home")
            stage.run(command, cwd)


def nuctl_copies(stage: Stage, kind: str) -> Path:
    """What `nuctl deploy` would put into /opt/nuclio, from the very script that calls it."""
    place, tools = stage.folder / f"opt-nuclio-{kind}", stage.folder / "fake"
    place.mkdir()
    tools.mkdir(exist_ok=True)
    for name, script in (("nuctl", FAKE_NUCTL), ("docker", "#!/bin/sh\n")):
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    environment = os.environ | {"PYTHON": sys.executable, "OPT_NUCLIO": str(place)}
    environment["PATH"] = f"{tools}:{environment['PATH']}"
    command = [str(ROOT / "deploy/deploy.sh"), "--device", "cpu", "--kind", kind]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    subprocess.run(["chmod", "-R", "a+rX", str(place)], check=True)  # function.yaml's postCopy
    return place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-index", default="https://pypi.org/simple", help="default: PyPI's CUDA build")
    parser.add_argument("--keep", action="store_true", help="leave the folder for a look")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("needs root: the requests are made as another user")
    folder = Path(tempfile.mkdtemp(prefix="siaf-base-"))
    folder.chmod(0o755)
    try:
        play(folder, options.torch_index)
    finally:
        if options.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder)


def play(folder: Path, torch_index: str) -> None:
    """All of it, in an empty folder."""
    stage = Stage(folder, {"TORCH_INDEX": torch_index})
    for name in ("src", "home", "state"):
        (folder / name).mkdir()
    tops = [top for top in ROOT.iterdir() if top.name not in (".git", ".venv")]  # .dockerignore drops these anyway
    files = [path for top in tops for path in ([top] if top.is_file() else top.rglob("*")) if path.is_file()]
    for name in build_context(ROOT, [path.relative_to(ROOT).as_posix() for path in files]):
        (folder / "context" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "context" / name)
    bare_python(stage.python)
    stage.run("python -m ensurepip --upgrade", folder)
    instructions = parse(ROOT / "Dockerfile")
    user = next(i.value for i in instructions if (i.stage, i.name) == ("base", "USER"))
    for name in ("home", "state"):
        os.chown(folder / name, *map(int, user.split(":")))
    for instruction in instructions:
        if instruction.stage in ("wheel", "base"):
            act_out(stage, instruction)
    size = subprocess.run(["du", "-sm", str(stage.python)], check=True, capture_output=True, text=True).stdout
    print(f"installed: {size.split()[0]} MB, the interpreter included")

    shutil.copy(SCENE, folder / SCENE.name)
    for kind in ("interactor", "tracker"):
        print(f"[nuctl] {kind}", flush=True)
        opt_nuclio = nuctl_copies(stage, kind)
        stage.run(f"python {folder / SCENE.name} {kind}", opt_nuclio, PYTHONPATH=str(opt_nuclio), SIAF_DEVICE="cpu")
    print("[siaf demo]", flush=True)
    stage.run("siaf demo --out demo-output && ls demo-output", folder / "home", CUDA_VISIBLE_DEVICES="")


if __name__ == "__main__":
    main()
