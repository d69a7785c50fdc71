"""What `siaf doctor` looks at. Every check returns what it found and never raises for what it looks for."""

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from siaf.errors import SiafError
from siaf.version import siaf_version

_PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "PIL": "Pillow",
    "av": "av",
    "safetensors": "safetensors",
}
"""Module → package, of those whose compiled parts fail to load on some machines."""
_OTHER_OPENCVS = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
_DRIVER = Path("/proc/driver/nvidia/version")
_TIMEOUT_S = (5.0, 20.0)


@dataclass(frozen=True)
class Finding:
    """One check: of what, whether it is well, what was found, and for a problem what to do."""

    what: str
    ok: bool
    found: str
    cure: str = ""


def installation() -> Iterator[Finding]:
    """Versions, packages that load, the device and the threads."""
    system = f"Python {platform.python_version()} on {platform.platform(terse=True)}"
    yield Finding("siaf", True, f"{siaf_version()}, {system}")
    packages = list(_packages())
    yield from packages
    if all(finding.ok for finding in packages):
        yield _device()
        yield _threads()


def _packages() -> Iterator[Finding]:
    for module, package in _PACKAGES.items():
        try:
            import_module(module)
            yield Finding(package, True, version(package))
        except PackageNotFoundError:  # another build of it, which serves as well
            yield Finding(package, True, "loads")
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            yield Finding(package, False, f"does not load ({said})", "pip install --force-reinstall siaf-cvat")
    others = [name for name in _OTHER_OPENCVS if _installed(name)]
    if others:
        cure = f"pip uninstall {' '.join(others)}, then pip install --force-reinstall opencv-python-headless"
        yield Finding("OpenCV", False, f"{', '.join(others)} writes over the files of opencv-python-headless", cure)


def _installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        try:
            total = float(torch.ones(8, device="cuda").sum())
        except RuntimeError as error:
            said = str(error).splitlines()[0]
            return Finding("device", False, f"cuda fails ({said})", "update the driver, or use --device cpu")
        names = {torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
        return Finding("device", total == 8, f"cuda, {torch.cuda.device_count()} × {', '.join(sorted(names))}")
    if _DRIVER.exists():
        if torch.version.cuda is None:
            number = torch.__version__.partition("+")[0]
            cure = f"pip install --force-reinstall --index-url https://pypi.org/simple torch=={number}"
            return Finding("device", False, "there is an NVIDIA driver, but torch is its build for CPUs", cure)
        found = f"there is an NVIDIA driver, but torch's CUDA {torch.version.cuda} cannot use it"
        return Finding("device", False, found, "update the driver; in a container, pass --gpus all")
    return Finding("device", True, "cpu (there is no NVIDIA driver)")


def _threads() -> Finding:
    from siaf.model.threads import usable_cpus

    usable, asked = usable_cpus(), os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > usable:
        found = f"OMP_NUM_THREADS={asked}, but this process may use {usable} CPUs"
        return Finding("threads", False, found, f"set it to {usable}, or unset it")
    return Finding("threads", True, f"{asked or usable} of {usable} CPUs{' (OMP_NUM_THREADS)' if asked else ''}")


def weights() -> Iterator[Finding]:
    """The weights that come with siaf, and those in the weights folder: whole and unchanged."""
    try:
        from siaf.weights.folder import weights_folder
        from siaf.weights.importing import verify
        from siaf.weights.loading import SEGMENTER, packaged_weights
    except Exception:  # what does not load has a line of its own
        return
    for name in ("siaf-t", SEGMENTER):
        path = packaged_weights(name)
        if path is None:
            yield Finding(f"weights {name}", False, "not in the package", "pip install --force-reinstall siaf-cvat")
        else:
            yield _verified(name, path, verify, "pip install --force-reinstall siaf-cvat")
    for path in sorted(weights_folder().glob("*.safetensors")):
        yield _verified(path.stem, path, verify, f"remove {path}, and fetch or import it again")


def _verified(name: str, path: Path, verify: Callable[[Path], object], cure: str) -> Finding:
    try:
        verify(path)
    except (SiafError, OSError) as error:
        return Finding(f"weights {name}", False, str(error), cure)
    return Finding(f"weights {name}", True, f"whole ({path})")


def cvat(host: str, token: str | None) -> Finding:
    """Whether a CVAT answers and knows the token."""
    try:
        from siaf.cvat.server.connection import Server, connect
    except ImportError as error:
        return Finding("CVAT", False, f"its packages are missing ({error})", "pip install 'siaf-cvat[cvat]'")
    if not token:
        cure = "make a personal access token in CVAT's profile page and set CVAT_ACCESS_TOKEN"
        return Finding("CVAT", False, f"there is no token for {host}", cure)
    try:
        server = Server(connect(host, token=token))
        about = server.call(server.api.server_api.retrieve_about, what="host")
        user = server.call(server.api.users_api.retrieve_self, what="user")
    except SiafError as error:
        return Finding("CVAT", False, str(error), "check CVAT_HOST and CVAT_ACCESS_TOKEN")
    return Finding("CVAT", True, f"{server.url} is {about['version']} and knows you as {user['username']}")


def function(url: str, token: str | None) -> Finding:
    """Whether siaf's function answers at an address, and takes the token."""
    import requests

    what, url = f"function {url}", url.rstrip("/")
    try:
        info = requests.get(f"{url}/v1/info", timeout=_TIMEOUT_S)
        about = info.json() if info.ok else None
        ready = requests.get(f"{url}/v2/health/ready", timeout=_TIMEOUT_S)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        guarded = requests.get(f"{url}/v1/metrics", headers=headers, timeout=_TIMEOUT_S)
    except requests.exceptions.JSONDecodeError:
        about = None
    except requests.RequestException as error:
        said = " ".join(str(error).split())[:200]
        return Finding(what, False, f"no answer ({said})", "check the address and port: deploy/status.py prints them")
    if not isinstance(about, dict) or about.get("name") != "siaf":
        return Finding(
            what, False, f"{info.status_code}, but not from siaf", "check the port: deploy/status.py prints it"
        )
    if ready.status_code == 503:
        said = ready.json()["error"]["message"]
        return Finding(what, False, f"it is not ready ({said})", "start its store again, or give it room")
    if guarded.status_code == 401:
        return Finding(what, False, "it refuses the token", "set SIAF_TOKEN to the function's own")
    found = f"siaf {about['version']}, {about['model']} on {about['device']}"
    if about["version"] != siaf_version():
        return Finding(what, False, f"{found}, but this is {siaf_version()}", "deploy it again, or install its version")
    return Finding(what, True, found)
